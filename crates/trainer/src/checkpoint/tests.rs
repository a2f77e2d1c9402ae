//! Trainings that find checkpoints of others, unfinished ones and damaged ones.

use std::path::Path;

use lifecycle::Unwatched;

use crate::config::Config;
use crate::training::Stopped;
use crate::training::tests::{config, trained, try_train};

/// Files of this name in the checkpoints of a folder, the latest last.
fn files(checkpoints: &Path, name: &str) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(checkpoints).expect("checkpoints");
    let mut folders: Vec<_> = folders.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders.into_iter().map(|folder| folder.join(name)).collect()
}

#[test]
fn a_checkpoint_of_another_training_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    trained(&config(), Some(directory.path()), &Unwatched);
    let other = Config { seed: 9, ..config() };
    assert_eq!(
        trained(&other, Some(directory.path()), &Unwatched),
        trained(&other, None, &Unwatched)
    );
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_is_an_error_only_if_there_is_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let whole = trained(&config(), Some(directory.path()), &Unwatched);
    let vectors = files(directory.path(), "mean.safetensors");
    assert_eq!(vectors.len(), 2, "the last two are kept: {vectors:?}");
    // The one that an unlucky process left behind: no manifest.
    let unfinished = directory.path().join("step-000000000023-0000");
    std::fs::create_dir(&unfinished).expect("a folder");
    std::fs::write(unfinished.join("mean.safetensors"), b"half").expect("written");
    let damage = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("a checkpoint");
        bytes.push(0);
        std::fs::write(path, bytes).expect("written");
    };
    damage(&vectors[1]);
    assert_eq!(trained(&config(), Some(directory.path()), &Unwatched), whole);
    for vector in files(directory.path(), "mean.safetensors") {
        if vector.exists() && vector.parent() != Some(&unfinished) {
            damage(&vector);
        }
    }
    let error = try_train(&config(), Some(directory.path()), &Unwatched);
    let Err(Stopped::Checkpoint(error)) = error else { panic!("the damage is seen") };
    assert!(error.to_string().contains("mean.safetensors"));
}
