//! What the end-to-end tests, the demo and the bench share: where things are, and servers as
//! processes.

pub mod batch;
pub mod bench;
pub mod chaos;
pub mod gpu;
pub mod hosts;
pub mod killing;
pub mod live;
#[cfg(feature = "mpi")]
pub mod mpi;
pub mod proxies;
pub mod ranks;
pub mod server;

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// The folder of the workspace.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A binary of this workspace, built into the same folder as the running one.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let running = std::env::current_exe()?;
    let folders = running.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    ensure!(found.is_some(), "{name} is not built: run `cargo build --workspace` first");
    Ok(found.unwrap_or_default())
}

/// The JSON object that a command of ours with `--json` printed last.
pub fn answer(output: &Output) -> anyhow::Result<Value> {
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{}\n{}{said}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let last = said.lines().rfind(|line| !line.is_empty()).context("nothing was printed")?;
    serde_json::from_str(last).context("the last line is no JSON")
}
