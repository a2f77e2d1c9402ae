//! Reads settings from TOML files; errors name the file, the line and the key, on one line.

use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;

/// The settings in a file; errors say that it is no valid one of this `kind`.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, kind: &str) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text[..start].matches('\n').count();
        let reason = error.message().trim().replace('\n', " ");
        anyhow::anyhow!("{}, line {line}: is not a valid {kind}: {reason}", path.display())
    })
}
