//! All that a training is, on disk, exactly: a resumed run ends in the same bits.
//!
//! A checkpoint is a folder of files, each named with its SHA-256 in `manifest.json`, which is
//! written last and by renaming. Each has a folder that nobody else writes to. So a process that dies
//! while it writes leaves those before, and so does one that was stopped, taken for lost and replaced,
//! and wakes up. The last two are kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use lifecycle::Digest;
use model::{Layout, weights_from_bytes, weights_to_bytes};
use serde::{Deserialize, Serialize};

use crate::state::{Cursor, Line, State, Window};

/// A checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// Checkpoints that are kept.
const N_KEPT: usize = 2;

/// `manifest.json`: whose checkpoint it is, and what is in it.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Configuration, rows and parameters that the checkpoint belongs to.
    key: Digest,
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

/// All of a state that is no vector, as JSON.
pub(crate) fn numbers(state: &State) -> Vec<u8> {
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
    serde_json::to_vec(&numbers).expect("numbers are plain data")
}

/// Puts what [`numbers`] wrote into a state.
pub(crate) fn take_numbers(json: &[u8], state: &mut State) -> Result<(), String> {
    let numbers: Numbers = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let Numbers { step, seed, epoch, position, best_step, best_combined, .. } = numbers;
    state.optimiser.step = step;
    state.best.step = best_step;
    state.best.combined = best_combined.unwrap_or(f64::INFINITY);
    state.cursor = Cursor { seed, epoch, position: position as usize };
    (state.n_stale, state.window, state.lines) = (numbers.n_stale, numbers.window, numbers.lines);
    Ok(())
}

/// Files of the vectors, in the order of [`State::vectors_mut`].
const VECTORS: [&str; 5] = [
    "weights.safetensors",
    "mean.safetensors",
    "square.safetensors",
    "average.safetensors",
    "best.safetensors",
];

/// Writes a checkpoint, and removes old ones.
pub(crate) fn save(
    directory: &Path,
    key: Digest,
    layout: &Layout,
    state: &mut State,
) -> Result<(), Error> {
    let step = state.optimiser.step;
    let path = new_folder(directory, step)?;
    let mut files = BTreeMap::new();
    let mut put = |name: &str, bytes: &[u8]| {
        files.insert(name.to_owned(), Digest::of(bytes));
        write_through(&path.join(name), bytes)
    };
    put("state.json", &numbers(state))?;
    for (name, values) in VECTORS.iter().zip(state.vectors_mut()) {
        put(name, &weights_to_bytes(layout, values))?;
    }
    let bytes = serde_json::to_vec_pretty(&Manifest { key, files })
        .map_err(|error| wrong(&path, &error))?;
    let fresh = path.join("manifest.json.new");
    write_through(&fresh, &bytes)?;
    let manifest = path.join(MANIFEST);
    fs::rename(&fresh, &manifest).map_err(|error| wrong(&manifest, &error))?;
    remove_old(directory, (step, &path), key)
}

const MANIFEST: &str = "manifest.json";

/// A folder that nobody else writes to, not even a process that was given up and lives.
fn new_folder(directory: &Path, step: u64) -> Result<PathBuf, Error> {
    fs::create_dir_all(directory).map_err(|error| wrong(directory, &error))?;
    for number in 0..10_000 {
        let path = directory.join(format!("step-{step:012}-{number:04}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(wrong(&path, &error)),
        }
    }
    Err(wrong(directory, &"has 10,000 checkpoints of one step; remove them"))
}

/// Folders of checkpoints with their steps, the latest first.
fn folders(directory: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(directory, &error)),
    };
    let named = entries.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (step, _) = name.strip_prefix("step-")?.split_once('-')?;
        Some((step.parse().ok()?, entry.path()))
    });
    let mut named: Vec<(u64, PathBuf)> = named.collect();
    named.sort();
    named.reverse();
    Ok(named)
}

/// The manifest of a checkpoint; `None` of one that was never finished.
fn manifest_of(folder: &Path) -> Result<Option<Manifest>, Error> {
    let path = folder.join(MANIFEST);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(&path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(&path, &error)),
    }
}

/// Reads the latest whole checkpoint of `key`; `None` where there is none.
///
/// One that was never finished, of a process that died while it wrote, is passed over; so is a
/// damaged one if there is an older one that is whole.
pub(crate) fn load(directory: &Path, key: Digest, layout: &Layout) -> Result<Option<State>, Error> {
    let mut damage = None;
    for (_, folder) in folders(directory)? {
        let read = match manifest_of(&folder) {
            Ok(None) => continue,
            Ok(Some(manifest)) if manifest.key != key => {
                tracing::warn!(path = %folder.display(), "checkpoint of another training, left alone");
                continue;
            }
            Ok(Some(manifest)) => read(&folder, &manifest, layout),
            Err(error) => Err(error),
        };
        match read {
            Ok(state) => return Ok(Some(state)),
            Err(error) => {
                tracing::warn!(%error, "damaged checkpoint, looking for an older one");
                damage.get_or_insert(error);
            }
        }
    }
    damage.map_or(Ok(None), Err)
}

fn read(folder: &Path, manifest: &Manifest, layout: &Layout) -> Result<State, Error> {
    let file = |name: &str| {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|error| wrong(&path, &error))?;
        if manifest.files.get(name) == Some(&Digest::of(&bytes)) {
            Ok(bytes)
        } else {
            Err(wrong(&path, &"its digest is not the manifest's; remove the checkpoint"))
        }
    };
    let mut state = State::default();
    take_numbers(&file("state.json")?, &mut state)
        .map_err(|reason| wrong(&folder.join("state.json"), &reason))?;
    for (name, values) in VECTORS.iter().zip(state.vectors_mut()) {
        *values = weights_from_bytes(layout, &file(name)?)
            .map_err(|error| wrong(&folder.join(name), &error))?;
    }
    Ok(state)
}

/// Removes what is not among the last checkpoints of `key`: older ones, those of other trainings,
/// and unfinished ones that no later step can be writing.
fn remove_old(directory: &Path, (step, own): (u64, &Path), key: Digest) -> Result<(), Error> {
    let mut n_kept = 1;
    for (of, folder) in folders(directory)? {
        let is_kept = match manifest_of(&folder) {
            _ if folder == own || of > step => true,
            Ok(Some(manifest)) if manifest.key == key && n_kept < N_KEPT => {
                n_kept += 1;
                true
            }
            _ => false,
        };
        if !is_kept {
            match fs::remove_dir_all(&folder) {
                // Another rank that was first may be removing it, too.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(wrong(&folder, &error));
                }
                _ => {}
            }
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

#[cfg(test)]
mod tests;
