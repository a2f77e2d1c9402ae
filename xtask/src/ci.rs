//! `cargo xtask ci`: what has to pass before a change lands, the cheapest first.

use std::io::Write;
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use crate::cargo::cargo;
use crate::{codegen, full, programs, tidy};

/// A check's name, and the check.
pub(crate) type Step = (&'static str, fn(&Shell) -> anyhow::Result<()>);

/// Doc tests stand before the tests, because nextest has none and should have the last word.
const STEPS: &[Step] = &[
    ("format", |sh| Ok(cargo(sh, "fmt --all --check").run()?)),
    ("tidy", tidy::run),
    ("codegen", |sh| codegen::run(sh, true)),
    ("clippy", |sh| {
        Ok(cargo(sh, "clippy --workspace --all-targets --locked -- -D warnings").run()?)
    }),
    ("docs", |sh| {
        let docs = cargo(sh, "doc --workspace --no-deps --locked");
        Ok(docs.env("RUSTDOCFLAGS", "-D warnings").run()?)
    }),
    ("doc tests", |sh| Ok(cargo(sh, "test --workspace --doc --locked").run()?)),
    ("tests", tests),
    ("end to end", end_to_end),
];

/// Runs all steps; the first that fails ends it.
pub(crate) fn run(sh: &Shell, full: bool) -> anyhow::Result<()> {
    let mut times = Vec::new();
    let more = if full { full::STEPS } else { &[] };
    for (name, check) in STEPS.iter().chain(more) {
        say(&format!("== {name}"));
        let start = now();
        if let Err(error) = check(sh) {
            say(&format!("\nci: {} passed, 1 failed", times.len()));
            return Err(error.context(format!("`{name}` failed")));
        }
        times.push((name, start.elapsed()));
    }
    say("");
    for (name, time) in &times {
        say(&format!("{name:>12} {:>6.1} s", time.as_secs_f64()));
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    say(&format!("{:>12} {:>6.1} s\n", "total", total.as_secs_f64()));
    say(&format!("ci: {} passed, 0 failed", times.len()));
    Ok(())
}

/// With nextest where it is installed, for its speed and output; both run the same tests.
fn tests(sh: &Shell) -> anyhow::Result<()> {
    let has_nextest = cargo(sh, "nextest --version").quiet().ignore_stderr().read().is_ok();
    if has_nextest {
        Ok(cargo(sh, "nextest run --workspace --locked --no-fail-fast").run()?)
    } else {
        let tests = "test --workspace --locked --no-fail-fast --lib --bins --tests";
        Ok(cargo(sh, tests).run()?)
    }
}

/// All stages as processes of their own.
fn end_to_end(sh: &Shell) -> anyhow::Result<()> {
    programs::build(sh)?;
    let e2e = programs::path(sh, "e2e")?;
    if !e2e.exists() {
        say("there is no program `e2e` yet: nothing is run");
        return Ok(());
    }
    Ok(cmd!(sh, "{e2e}").run()?)
}

/// Tells people; what programs read goes to stdout.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // nobody may be listening
}

#[allow(clippy::disallowed_methods, reason = "how long each step takes is for the reader alone")]
fn now() -> Instant {
    Instant::now()
}
