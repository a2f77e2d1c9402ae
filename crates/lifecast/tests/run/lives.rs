//! `lifecast simulate --lives`: what it writes is read by its own mapping, and its stages are labels.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tables::Label;

fn lifecast(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifecast"));
    command.current_dir(folder).args(arguments).args(["--json", "--quiet"]);
    command.env("LIFECAST_STORE", folder.join("store")).env("LIFECAST_WORK", folder.join("work"));
    command.output().unwrap()
}

fn answer(folder: &Path, arguments: &[&str]) -> Value {
    let output = lifecast(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn simulated_lives_are_ingested_as_they_are_and_their_stages_are_the_labels() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let simulate =
        ["simulate", "--lives", "60", "--frequency", "month", "--seed", "3", "--output", "lives"];
    let summary = answer(folder, &simulate);
    assert_eq!(summary["n_lives"], 60);
    let ingested = answer(folder, &["ingest", "--mapping", "lives/mapping.toml"]);
    let dataset = format!("dataset={}", ingested["artifact"].as_str().unwrap());
    answer(folder, &["features", &dataset, "--out", "features"]);
    let labels: Vec<Label> = tables::read(&folder.join("features/labels-test.parquet")).unwrap();
    assert_eq!(labels.len(), 60);
    for label in &labels {
        // A shop whose files stop with a life says nothing of the time after.
        let n_given = label.weights.iter().take_while(|weight| **weight == 1.0).count();
        assert!(n_given > 0 && label.weights[n_given..].iter().all(|weight| *weight == 0.0));
        for stages in label.stages.chunks(5).take(n_given) {
            assert_eq!(stages.iter().filter(|share| **share == 1.0).count(), 1);
            assert_eq!(stages.iter().sum::<f32>(), 1.0);
        }
    }
}

#[test]
fn lives_without_a_folder_or_in_a_full_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let code = |arguments: &[&str]| lifecast(folder, arguments).status.code();
    assert_eq!(code(&["simulate", "--lives", "5"]), Some(2));
    assert_eq!(code(&["simulate", "--output", "lives"]), Some(2));
    assert_eq!(code(&["simulate", "--lives", "0", "--output", "lives"]), Some(2));
    std::fs::write(folder.join("mine.txt"), "mine").unwrap();
    let full = lifecast(folder, &["simulate", "--lives", "5", "--output", "."]);
    assert_eq!(full.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&full.stderr).contains("is not empty; name a new folder"));
}
