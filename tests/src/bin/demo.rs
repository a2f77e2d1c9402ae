//! The demo: a simulated marketplace, or data of your own, through every stage to the report.
//!
//! Started by `cargo xtask demo`; its store persists, so a second run answers from it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::Parser;

/// Runs the whole pipeline and ends with the report's path and a short table.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask demo")]
struct Flags {
    /// Mapping of your own data; without it a marketplace is simulated.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Pipeline in place of the demo's.
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// Results as one line of JSON on stdout.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let binary = tests::binary("lifecast")?;
    let root = tests::workspace_root();
    let home = root.join("target/demo");
    let pipeline = flags.pipeline.unwrap_or_else(|| match flags.data {
        Some(_) => root.join("tests/pipelines/data.toml"),
        None => root.join("tests/pipelines/simulator-1.toml"),
    });
    let mut command = Command::new(binary);
    command.arg("run").arg(&pipeline);
    command.arg("--store").arg(home.join("store")).arg("--work").arg(home.join("work"));
    let name = match &flags.data {
        Some(data) => {
            command.arg("--data").arg(data);
            data.file_stem().context("--data names no file")?.to_string_lossy().into_owned()
        }
        None => "simulator-1".to_owned(),
    };
    command.arg("--report").arg(home.join(format!("{name}.html")));
    if flags.json {
        command.arg("--json");
    }
    let status = command.status().context("lifecast cannot be started")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(5)))
}
