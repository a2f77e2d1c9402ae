//! Damage in the store is named, and the next run heals it; a model of another version is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use artifacts::{Key, Store};
use expect_test::expect;
use serde_json::Value;

use crate::shop::{Run, Shop};

/// The digest of the file `name` in the artifact of `stage`.
fn blob(shop: &Shop, stage: &str, name: &str) -> String {
    let records = shop.records();
    let record = records.iter().find(|(_, record)| record["key"]["stage"] == stage);
    let files = record.unwrap().1["manifest"]["files"].as_array().unwrap().clone();
    let file = files.iter().find(|file| file["name"] == name).unwrap();
    file["sha256"].as_str().unwrap().to_owned()
}

/// Flips a bit in the middle of a blob, which is read only.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The error with digests shortened to a word.
fn without_digests(run: &Run) -> String {
    let pieces = run.error().split_inclusive(|character: char| !character.is_ascii_hexdigit());
    let shortened = pieces.map(|piece| match piece.split_at_checked(64) {
        Some((digest, rest)) if digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("DIGEST{rest}")
        }
        _ => piece.to_owned(),
    });
    shortened.collect()
}

#[test]
fn a_damaged_artifact_is_named_and_the_next_run_heals_it() {
    let shop = Shop::new();
    let digests = shop.run().digests();

    let report = shop.path(&format!("store/blobs/{}", blob(&shop, "report", "report.html")));
    flip(&report);
    let run = shop.run();
    expect!["artifact DIGEST: its file `report.html` is damaged: blob DIGEST has bytes of another digest (DIGEST); run again to make it anew"].assert_eq(&without_digests(&run));
    assert_eq!(run.code, Some(3));
    let healed = shop.run();
    assert_eq!(healed.digests(), digests);
    let made: Vec<String> = healed
        .stages()
        .into_iter()
        .filter(|(_, _, cached)| !cached)
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(made, ["report"], "what is whole is not made again");

    // An input of a stage that has to run: the data set's table of products, and `features` anew.
    flip(&shop.path(&format!("store/blobs/{}", blob(&shop, "ingest", "products.parquet"))));
    shop.replace("pipeline.toml", "[features]\n", "[features]\nlabel_lambda = 0.5\n");
    let run = shop.run();
    expect!["features failed: artifact DIGEST: its file `products.parquet` is damaged: blob DIGEST has bytes of another digest (DIGEST); run again to make it anew"].assert_eq(&without_digests(&run));
    assert_eq!(run.code, Some(3));
    let other = shop.run().digests();
    assert_eq!(other[0], digests[0], "the healed data set is the one it was");
    assert_ne!(other[1], digests[1]);

    // A record cut off by a full disk.
    let (record, _) = shop.records().remove(0);
    let text = fs::read(&record).unwrap();
    fs::write(&record, &text[..text.len() / 2]).unwrap();
    shop.replace("pipeline.toml", "label_lambda = 0.5\n", "");
    let runs = [shop.run(), shop.run(), shop.run()];
    assert!(runs.iter().any(|run| run.code == Some(0)), "{}", runs[2].stderr);
    assert_eq!(runs[2].digests(), digests);
}

/// Copies a folder of artifacts, whose files are read-only, into one that can be changed.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::write(to, fs::read(from).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_model_of_another_version_is_refused() {
    let shop = Shop::new();
    let digests = shop.run().digests();
    let ours = digests.iter().find(|(name, _)| name == "train/lifecast").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Store::open(shop.path("store").to_str().unwrap()).unwrap();
    let records = shop.records();
    let (_, record) = records.iter().find(|(_, record)| record["artifact"] == ours.1).unwrap();
    let key: Key = serde_json::from_value(record["key"].clone()).unwrap();

    let fetched =
        runtime.block_on(store.fetch(&ours.1.parse().unwrap(), &shop.path("old"))).unwrap();
    let other = shop.path("other");
    copy(&fetched, &other);
    let path = other.join("model.json");
    let mut model: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    model["format"] = 99.into();
    fs::write(&path, serde_json::to_vec(&model).unwrap()).unwrap();
    runtime.block_on(store.forget(&key)).unwrap();
    runtime.block_on(store.publish(&key, &other)).unwrap();

    let run = shop.run();
    expect!["predict/lifecast failed: the model cannot be used: work/fetched/DIGEST/model.json: made by another version: field `format` is 99, this version needs 4; train the model again"].assert_eq(&without_digests(&run));
    assert_eq!(run.code, Some(3));

    // Forgotten, it is trained again: nothing else was lost.
    runtime.block_on(store.forget(&key)).unwrap();
    assert_eq!(shop.run().digests(), digests);
}
