//! The files of a features artifact: see [`tables::features`].

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use lifecycle::ProductId;
use panel::Panel;
use serde::Serialize;
use tables::IndexRow;
use tables::features::{INDEX_FILE, shard_file};

use crate::Error;

/// Writes histories as shards of at most `shard_series` series, sorted over all shards, and the
/// index of them; returns the number of shards.
pub(crate) fn write_panel(
    output: &Path,
    panel: &Panel,
    shard_series: usize,
    unseen: &BTreeSet<ProductId>,
) -> Result<usize, Error> {
    let directory = output.join("panel");
    std::fs::create_dir_all(&directory)
        .map_err(|source| Error::Write { path: directory.clone(), source })?;
    let mut index = Vec::with_capacity(panel.histories.len());
    let mut n_shards = 0;
    for (shard, histories) in panel.histories.chunks(shard_series).enumerate() {
        tables::write(&output.join(shard_file(shard)), histories)?;
        index.extend(histories.iter().enumerate().map(|(row, history)| IndexRow {
            series: history.series.clone(),
            shard: shard as i32,
            row: row as i32,
            start: history.start.0,
            n_periods: history.n_periods() as i32,
            is_unseen: unseen.contains(&history.series.product),
        }));
        n_shards = shard + 1;
    }
    tables::write(&output.join(INDEX_FILE), &index)?;
    Ok(n_shards)
}

/// Writes one JSON file with a newline at its end.
pub(crate) fn write_json(output: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let path = output.join(name);
    let write = || -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        let mut file = std::fs::File::create(&path)?;
        file.write_all(&text)?;
        file.sync_all()
    };
    write().map_err(|source| Error::Write { path: path.clone(), source })
}
