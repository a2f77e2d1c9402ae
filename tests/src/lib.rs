//! What the end-to-end tests and the demo share: where things are.

use std::path::{Path, PathBuf};

use anyhow::ensure;

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
