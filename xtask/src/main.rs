//! Workspace tasks, run as `cargo xtask <task>`.

mod codegen;

use clap::Parser;
use xshell::Shell;

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Write `crates/wire/src/generated` from `proto`.
    Codegen {
        /// Change nothing; fail if the files in git are not the ones `proto` gives.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let sh = Shell::new()?;
    sh.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    match Task::parse() {
        Task::Codegen { check } => codegen::run(&sh, check),
    }
}
