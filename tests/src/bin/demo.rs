//! The demo: a simulated marketplace, or data of your own, through every stage to the report.
//!
//! One process serves all stages over gRPC, another drives them. Started by `cargo xtask demo`; its
//! store persists, so a second run answers from it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use clap::Parser;
use service::PeakMemory;
use tests::server::Server;

/// Runs the whole pipeline and ends with the report's path and a short table.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask demo")]
struct Flags {
    /// Mapping of your own data; without it a marketplace is simulated
    #[arg(long)]
    data: Option<PathBuf>,
    /// Pipeline in place of the demo's
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// Folder of the demo's store, work and reports
    #[arg(long)]
    home: Option<PathBuf>,
    /// Results as one line of JSON on stdout
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let memory = PeakMemory::watch();
    let root = tests::workspace_root();
    let home = flags.home.unwrap_or_else(|| root.join("target/demo"));
    let pipeline = flags.pipeline.unwrap_or_else(|| match flags.data {
        Some(_) => root.join("tests/pipelines/data.toml"),
        None => root.join("tests/pipelines/simulator-1.toml"),
    });
    let name = match &flags.data {
        Some(data) => data.file_stem().context("--data names no file")?,
        None => pipeline.file_stem().context("--pipeline names no file")?,
    };
    let report = home.join(format!("{}.html", name.to_string_lossy()));
    let (store, work) = (home.join("store"), home.join("work"));
    let server = Server::start(&["all"], &store, &work)?;

    let mut command = Command::new(tests::binary("lifecast")?);
    command.arg("run").arg(&pipeline).arg("--json").arg("--url").arg(server.url());
    command.arg("--store").arg(&store).arg("--work").arg(&work).arg("--report").arg(report);
    if let Some(data) = &flags.data {
        command.arg("--data").arg(data);
    }
    let output = command.stderr(Stdio::inherit()).output().context("lifecast run")?;
    drop(server);
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(5)));
    }
    let mut outcome = tests::answer(&output)?;
    let peak_bytes = memory.peak_bytes();
    outcome["peak_memory_bytes"] = peak_bytes.into();
    let gib = peak_bytes as f64 / f64::from(1 << 30);
    writeln!(std::io::stderr(), "peak memory of all processes together: {gib:.2} GiB")?;
    if flags.json {
        writeln!(std::io::stdout(), "{outcome}")?;
    }
    Ok(ExitCode::SUCCESS)
}
