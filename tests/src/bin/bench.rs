//! Ours beside its peers, on the same rows.
//!
//! Started by `cargo xtask bench`. One JSON object a line on stdout, tables for people on stderr;
//! `tests/bench/README.md` says what is compared and how.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tests::bench::budget::Effort;
use tests::bench::peers::Environment;
use tests::bench::sets::{self, Subject};
use tests::bench::{backtest, explain, guards, lines, record, run, shown, training};
use tests::workspace_root;

/// Compares ours with its peers and prints one JSON object a line.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Flags {
    /// What is compared; `guards`: what must hold of our training and inputs
    subject: What,
    /// A small simulated set and cheap peers, in 3 minutes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All sets and peers with three seeds, in up to 8 hours; writes tests/bench
    #[arg(long)]
    full: bool,
    /// So many minutes, in place of 30 or, with `--full`, of 8 hours
    #[arg(long, conflicts_with = "quick", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// Only this set, or these; such a run writes no record
    #[arg(long = "set", value_name = "NAME")]
    only: Vec<String>,
    /// Only this peer in Python, or these; the others are told as left out, and no record is written
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    /// Folder of the two exact games of `explain`
    #[arg(long)]
    fixtures: Option<PathBuf>,
    /// Folder of the bench's store and work
    #[arg(long)]
    home: Option<PathBuf>,
}

/// A subject of comparison, or the guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Turns,
    Accuracy,
    Stages,
    Ablation,
    Guards,
    Training,
    Backtest,
    Explain,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let effort = match flags {
        Flags { quick: true, .. } => Effort::Quick,
        Flags { full: true, .. } => Effort::Full,
        _ => Effort::Plain,
    };
    if flags.subject == What::Training {
        let environment = Environment::prepare(effort.limit()).await?;
        for pace in training::run(effort, &environment)? {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&pace)?)?;
        }
        return Ok(());
    }
    if flags.subject == What::Explain {
        return explanations(effort, flags).await;
    }
    let limit = flags.minutes.map_or_else(|| effort.limit(), Duration::from_mins);
    let home = flags.home.unwrap_or_else(|| workspace_root().join("target/bench"));
    let subject = match flags.subject {
        What::Turns => Subject::Turns,
        What::Accuracy | What::Backtest => Subject::Accuracy,
        What::Ablation => Subject::Ablation,
        // Guards are of sets with all three.
        What::Stages | What::Guards | What::Training | What::Explain => Subject::Stages,
    };
    let sets = sets::sets(subject, effort, &flags.only)?;
    if flags.subject == What::Backtest {
        return back_test((effort, limit), (sets, home)).await;
    }
    if flags.subject == What::Guards {
        return guard((effort, limit), (sets, home)).await;
    }
    let outcome = Box::pin(run::run(subject, (effort, limit), (sets, home), &flags.peers)).await?;
    let lines = lines::of(subject, &outcome);
    run::say(&shown::text(subject, &outcome, &lines));
    for line in &lines {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(line)?)?;
    }
    if effort == Effort::Full && flags.only.is_empty() && flags.peers.is_empty() {
        let path = record::write(subject, &outcome, &lines)?;
        run::say(&format!("written: {}", path.display()));
    }
    Ok(())
}

/// Explains exact games and our own model; without Python ours alone, which is said.
async fn explanations(effort: Effort, flags: Flags) -> anyhow::Result<()> {
    let environment = Environment::of_explainers(effort.limit()).await;
    if let Err(error) = &environment {
        run::say(&format!("no peers: {error:#}"));
    }
    let fixtures = flags.fixtures.unwrap_or_else(explain::fixtures);
    let home = flags.home.unwrap_or_else(|| workspace_root().join("target/bench"));
    let places = (&*fixtures, home);
    let lines = explain::run(effort, places, environment.as_ref().ok(), flags.minutes);
    for line in Box::pin(lines).await? {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&line)?)?;
    }
    Ok(())
}

/// Back-tests some sets at once, one by one, and by others.
async fn back_test(
    (effort, limit): (Effort, Duration),
    (sets, home): (Vec<sets::Set>, PathBuf),
) -> anyhow::Result<()> {
    let environment = Environment::prepare(limit).await;
    if let Err(error) = &environment {
        run::say(&format!("no peers: {error:#}"));
    }
    for set in sets {
        let measured = backtest::run((effort, limit), (set, &home), environment.as_ref().ok());
        for pace in Box::pin(measured).await? {
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&pace)?)?;
        }
    }
    Ok(())
}

/// Guards some sets; a guard that does not hold is said and is no failure of the program.
async fn guard(time: (Effort, Duration), sets: (Vec<sets::Set>, PathBuf)) -> anyhow::Result<()> {
    let guarded = Box::pin(guards::run(time, sets)).await?;
    run::say(&guards::text(&guarded));
    for guard in &guarded.guards {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(guard)?)?;
    }
    Ok(())
}
