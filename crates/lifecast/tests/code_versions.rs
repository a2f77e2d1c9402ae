//! What changes a stage's code version, and what does not.
//!
//! The build script is compiled in as a module, to try it on a small workspace.

#![allow(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[allow(dead_code, reason = "its `main` runs when the program is built, not here")]
#[path = "../build.rs"]
mod build;

const STAGES: &[(&str, &str)] = &[("train", "trainer"), ("ingest", "ingest")];

/// A workspace of two stages: `trainer` uses `model`, both use `lifecycle`.
fn workspace() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "Cargo.lock", "version = 4\n");
    write(root.path(), "Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n\n[lints]\n");
    let manifest = |uses: &str| format!("[package]\nname = \"x\"\n\n[dependencies]\n{uses}");
    for (name, uses) in [
        ("lifecycle", "serde.workspace = true\n"),
        ("model", "lifecycle.workspace = true\n\n[dev-dependencies]\ningest = {}\n"),
        ("trainer", "\n[dependencies.model]\nworkspace = true\n"),
        ("ingest", "lifecycle = { workspace = true }\n"),
    ] {
        write(root.path(), &format!("crates/{name}/Cargo.toml"), &manifest(uses));
        write(root.path(), &format!("crates/{name}/src/lib.rs"), "//! A crate.\n");
    }
    root
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn versions(root: &Path) -> BTreeMap<String, String> {
    build::code_versions(root, STAGES).unwrap().into_iter().collect()
}

/// Writes the file into a fresh workspace; answers the stages whose version it changes.
fn changed_by(file: &str, text: &str) -> Vec<String> {
    let root = workspace();
    let before = versions(root.path());
    write(root.path(), file, text);
    let after = versions(root.path());
    before.into_iter().filter(|(stage, v)| after[stage] != *v).map(|(stage, _)| stage).collect()
}

#[test]
fn a_source_changes_its_stage_and_those_above_it() {
    assert_eq!(changed_by("crates/trainer/src/lib.rs", "//! Other.\n"), ["train"]);
    assert_eq!(changed_by("crates/model/src/lib.rs", "//! Other.\n"), ["train"]);
    assert_eq!(changed_by("crates/model/src/deep/layer.rs", "//! New.\n"), ["train"]);
    assert_eq!(changed_by("crates/model/builtin/weights.bin", "0101"), ["train"]);
    assert_eq!(changed_by("crates/ingest/src/lib.rs", "//! Other.\n"), ["ingest"]);
    assert_eq!(changed_by("crates/lifecycle/src/lib.rs", "//! Other.\n"), ["ingest", "train"]);
}

#[test]
fn dependencies_change_all_stages() {
    assert_eq!(changed_by("Cargo.lock", "version = 5\n"), ["ingest", "train"]);
    let features = "[workspace.dependencies]\nserde = { version = \"1\", features = [] }\n";
    assert_eq!(changed_by("Cargo.toml", features), ["ingest", "train"]);
}

#[test]
fn what_is_not_in_the_library_changes_nothing() {
    let none: [&str; 0] = [];
    assert_eq!(changed_by("crates/trainer/tests/resume.rs", "//! A test.\n"), none);
    assert_eq!(changed_by("crates/report/src/lib.rs", "//! Of no stage here.\n"), none);
    let lints = "# Why.\n[workspace.dependencies]\n# Text.\nserde = \"1\"\n\n[lints]\nall = 1\n";
    assert_eq!(changed_by("Cargo.toml", lints), none);
}

#[test]
fn the_program_knows_all_its_stages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let versions = build::code_versions(&root, build::STAGES).unwrap();
    assert_eq!(versions.len(), 9);
    assert!(versions.iter().all(|(_, version)| version.len() == 64));
}
