//! Builds the workspace once and starts its programs by path.
//!
//! Never `cargo run -p`: with one package's features, everything would be built a second time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use xshell::Shell;

use crate::cargo::cargo;

/// Builds everything, then runs a program of `tests` and passes its exit code on.
pub(crate) fn build_and_run(
    sh: &Shell,
    program: &str,
    arguments: Vec<OsString>,
) -> anyhow::Result<ExitCode> {
    build(sh)?;
    run(sh, program, arguments)
}

/// Runs a program that is built.
pub(crate) fn run(sh: &Shell, program: &str, arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let path = path(sh, program)?;
    let status = Command::new(&path)
        .args(arguments)
        .current_dir(sh.current_dir())
        .status()
        .with_context(|| format!("cannot start {}", path.display()))?;
    // A process that a signal ended has no code.
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(5)))
}

/// Builds every library and program.
pub(crate) fn build(sh: &Shell) -> anyhow::Result<()> {
    Ok(cargo(sh, "build --workspace --locked").run()?)
}

/// The same with ranks of MPI.
pub(crate) fn build_with_mpi(sh: &Shell) -> anyhow::Result<()> {
    Ok(cargo(sh, "build --workspace --locked --features lifecast/mpi,tests/mpi").run()?)
}

/// Where cargo puts a program.
pub(crate) fn path(sh: &Shell, program: &str) -> anyhow::Result<PathBuf> {
    let target = metadata(sh)?["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")?;
    Ok(target.join("debug").join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
}

/// What cargo says of the workspace's own packages.
pub(crate) fn metadata(sh: &Shell) -> anyhow::Result<serde_json::Value> {
    let json = cargo(sh, "metadata --format-version 1 --no-deps --locked").quiet().read()?;
    Ok(serde_json::from_str(&json)?)
}
