//! All that a training is, on disk, exactly: a resumed run ends in the same bits.
//!
//! A checkpoint is a folder of files, each named with its SHA-256 in `manifest.json`, which is
//! written last and by renaming, so a run that dies while writing leaves the one before.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use lifecycle::Digest;
use model::{Layout, weights_from_bytes, weights_to_bytes};
use serde::{Deserialize, Serialize};

use crate::optimiser::Optimiser;
use crate::training::{Best, Line, State, Window};

/// A checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// `manifest.json`: which folder is current, and what is in it.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Configuration, rows and parameters that the checkpoint belongs to.
    key: Digest,
    folder: String,
    files: BTreeMap<String, Digest>,
}

/// `state.json`: all that is not a vector of weights. The data cursor and the state of the
/// generators follow from the step and the seed.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    step: u64,
    seed: u64,
    epoch: u64,
    position: u64,
    best_step: u64,
    /// `None` before the first validation.
    best_combined: Option<f64>,
    n_stale: u64,
    window: Window,
    lines: Vec<Line>,
}

/// Writes a checkpoint and removes the one before.
pub(crate) fn save(
    directory: &Path,
    key: Digest,
    layout: &Layout,
    state: &State,
) -> Result<(), Error> {
    let State { optimiser, best, n_stale, window, lines, cursor } = state;
    let numbers = Numbers {
        step: optimiser.step,
        seed: cursor.seed,
        epoch: cursor.epoch,
        position: cursor.position as u64,
        best_step: best.step,
        best_combined: Some(best.combined).filter(|combined| combined.is_finite()),
        n_stale: *n_stale,
        window: *window,
        lines: lines.clone(),
    };
    let folder = format!("step-{:09}", optimiser.step);
    let path = directory.join(&folder);
    fs::create_dir_all(&path).map_err(|error| wrong(&path, &error))?;
    let numbers = serde_json::to_vec(&numbers).map_err(|error| wrong(&path, &error))?;
    let mut files = BTreeMap::new();
    let mut put = |name: &str, bytes: &[u8]| {
        files.insert(name.to_owned(), Digest::of(bytes));
        write_through(&path.join(name), bytes)
    };
    put("state.json", &numbers)?;
    for (name, values) in vectors(optimiser, best) {
        put(name, &weights_to_bytes(layout, values))?;
    }
    let manifest = Manifest { key, folder: folder.clone(), files };
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| wrong(&path, &error))?;
    let fresh = directory.join("manifest.json.new");
    write_through(&fresh, &bytes)?;
    let current = directory.join("manifest.json");
    fs::rename(&fresh, &current).map_err(|error| wrong(&current, &error))?;
    remove_others(directory, &folder)
}

fn vectors<'a>(optimiser: &'a Optimiser, best: &'a Best) -> [(&'static str, &'a [f32]); 5] {
    [
        ("average.safetensors", &optimiser.average),
        ("best.safetensors", &best.weights),
        ("mean.safetensors", &optimiser.mean),
        ("square.safetensors", &optimiser.square),
        ("weights.safetensors", &optimiser.weights),
    ]
}

/// Reads the checkpoint of `key`; `None` where there is none or it belongs to something else.
pub(crate) fn load(directory: &Path, key: Digest, layout: &Layout) -> Result<Option<State>, Error> {
    let path = directory.join("manifest.json");
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(|error| wrong(&path, &error))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| wrong(&path, &error))?;
    if manifest.key != key {
        tracing::warn!(path = %directory.display(), "checkpoint belongs to another training, starting anew");
        return Ok(None);
    }
    let folder = directory.join(&manifest.folder);
    let file = |name: &str| {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|error| wrong(&path, &error))?;
        if manifest.files.get(name) == Some(&Digest::of(&bytes)) {
            Ok(bytes)
        } else {
            Err(wrong(&path, &"its digest is not the manifest's; remove the checkpoint"))
        }
    };
    let vector = |name: &str| {
        weights_from_bytes(layout, &file(name)?).map_err(|error| wrong(&folder.join(name), &error))
    };
    let numbers: Numbers = serde_json::from_slice(&file("state.json")?)
        .map_err(|error| wrong(&folder.join("state.json"), &error))?;
    let optimiser = Optimiser {
        step: numbers.step,
        weights: vector("weights.safetensors")?,
        mean: vector("mean.safetensors")?,
        square: vector("square.safetensors")?,
        average: vector("average.safetensors")?,
    };
    let best = Best {
        step: numbers.best_step,
        combined: numbers.best_combined.unwrap_or(f64::INFINITY),
        weights: vector("best.safetensors")?,
    };
    let cursor = crate::training::Cursor {
        seed: numbers.seed,
        epoch: numbers.epoch,
        position: numbers.position as usize,
    };
    let Numbers { n_stale, window, lines, .. } = numbers;
    Ok(Some(State { optimiser, best, n_stale, window, lines, cursor }))
}

fn remove_others(directory: &Path, keep: &str) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(|error| wrong(directory, &error))?;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("step-") && name != keep {
            fs::remove_dir_all(entry.path()).map_err(|error| wrong(&entry.path(), &error))?;
        }
    }
    Ok(())
}

fn write_through(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = fs::File::create(path).map_err(|error| wrong(path, &error))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error { path: path.to_owned(), reason: reason.to_string() }
}
