//! A process that is killed while it publishes leaves a store that works.
//!
//! The test starts itself once more as the process to be killed, with the store's address in the
//! environment, and kills it (SIGKILL) somewhere on its way: where, its own output decides.

#![allow(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use artifacts::{Key, Store};
use lifecycle::Digest;

/// Names the store to the child.
const PLACE: &str = "LIFECAST_TEST_PLACE";
/// Artifacts that a child publishes if it is let.
const N_ARTIFACTS: u64 = 40;

fn key(n: u64) -> Key {
    Key {
        stage: "simulate".into(),
        code_version: "c0de".into(),
        config: serde_json::json!({ "n": n }),
        inputs: BTreeMap::new(),
        execution: BTreeMap::new(),
    }
}

/// Fills a directory as stage `n` would, a few files of some hundred kilobytes.
fn fill(directory: &Path, n: u64) {
    fs::create_dir_all(directory).unwrap();
    for part in 0..3 {
        let text = format!("{n} {part} ").repeat(40_000);
        fs::write(directory.join(format!("part-{part}.txt")), text).unwrap();
    }
}

/// The child: publishes one artifact after the other, saying so before each. A no-op by itself.
#[tokio::test]
async fn child_publishes() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let store = Store::open(place.join("store").to_str().unwrap()).unwrap();
    for n in 0..N_ARTIFACTS {
        let directory = place.join(format!("out-{}-{n}", std::process::id()));
        fill(&directory, n);
        writeln!(std::io::stderr(), "publishing {n}").unwrap();
        store.publish(&key(n), &directory).await.unwrap();
    }
}

/// Starts a child and kills it as it publishes its `n`th artifact.
fn kill_while_publishing(place: &Path, n: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_publishes", "--exact", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let at = format!("publishing {n}");
    let reached = lines.map_while(Result::ok).any(|line| line == at);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reached, "the child ended before it published {n}");
}

#[tokio::test]
async fn what_killed_processes_leave_can_be_worked_on() {
    let place = tempfile::tempdir().unwrap();
    let uri = place.path().join("store");
    let last = [0, 1, 2, 3, 5, 8, 13];
    for n in last {
        kill_while_publishing(place.path(), n);
    }

    let store = Store::open(uri.to_str().unwrap()).unwrap();
    let mut n_found = 0;
    for n in 0..N_ARTIFACTS {
        let found = store.lookup(&key(n)).await.unwrap();
        if let Some(found) = &found {
            n_found += 1;
            store.fetch(&found.digest, &place.path().join("in")).await.unwrap();
        }
        let directory = place.path().join(format!("out-{n}"));
        fill(&directory, n);
        let published = store.publish(&key(n), &directory).await.unwrap();
        assert!(found.is_none_or(|found| found == published));
    }
    assert!(n_found >= 13, "{n_found} artifacts were complete before the last kill");
    for blob in fs::read_dir(uri.join("blobs")).unwrap() {
        let blob = blob.unwrap().path();
        let digest = Digest::of(fs::read(&blob).unwrap()).to_string();
        assert_eq!(blob.file_name().unwrap().to_str(), Some(digest.as_str()));
    }
    let scratch = fs::read_dir(uri.join("scratch")).unwrap();
    assert_eq!(scratch.count(), 2, "the lock, and this process's own folder");
}
