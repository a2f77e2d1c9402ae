//! One suite for every kind of store: each test runs on a folder and in memory.

use std::sync::Arc;

use lifecycle::ErrorKind;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A store of each kind, and a place for directories.
fn stores() -> Vec<(Store, TempDir)> {
    ["folder", "memory"]
        .into_iter()
        .map(|kind| {
            let place = tempfile::tempdir().unwrap();
            let folder = place.path().join("store");
            let uri = if kind == "folder" { folder.to_str().unwrap() } else { "memory://" };
            (Store::open(uri).unwrap(), place)
        })
        .collect()
}

fn key(seed: u64) -> Key {
    Key {
        stage: "features".into(),
        code_version: "c0de".into(),
        config: json!({"seed": seed, "context": 104}),
        inputs: [("dataset".into(), Digest::of("dataset"))].into(),
        execution: [("device".into(), "cpu".into())].into(),
    }
}

/// A directory that a stage has filled.
fn output(place: &TempDir, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = place.path().join(name);
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

const FILES: [(&str, &str); 3] =
    [("panel.json", "{}"), ("panel/shard-000.parquet", "rows"), ("split.json", "{}")];

fn read(directory: &Path) -> Vec<(String, String)> {
    let files = list(directory).unwrap();
    files.into_iter().map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn what_is_published_is_looked_up_found_and_fetched() {
    for (store, place) in stores() {
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}");
        let directory = output(&place, "out", &FILES);
        let published = store.publish(&key(1), &directory).await.unwrap();
        assert_eq!(published.manifest.files().len(), 3);
        assert_eq!(published.manifest.length(), 8);

        assert_eq!(store.lookup(&key(1)).await.unwrap().as_ref(), Some(&published), "{store}");
        assert_eq!(store.lookup(&key(2)).await.unwrap(), None);
        assert_eq!(store.find(&published.digest).await.unwrap(), published);
        let into = place.path().join("inputs");
        let fetched = store.fetch(&published.digest, &into).await.unwrap();
        assert_eq!(fetched, into.join(published.digest.to_string()));
        assert_eq!(read(&fetched), owned(&FILES), "{store}");
        assert_eq!(read(&directory), owned(&FILES), "the stage's directory is left as it was");
    }
}

#[tokio::test]
async fn the_content_digest_is_the_same_in_every_store_and_for_every_key() {
    let mut digests = Vec::new();
    for (store, place) in stores() {
        for seed in [1, 2] {
            let directory = output(&place, &format!("out{seed}"), &FILES);
            digests.push(store.publish(&key(seed), &directory).await.unwrap().digest);
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[tokio::test]
async fn the_same_content_again_is_a_hit() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let first = store.publish(&key(1), &directory).await.unwrap();
        assert_eq!(store.publish(&key(1), &directory).await.unwrap(), first, "{store}");
    }
}

#[tokio::test]
async fn other_content_under_the_same_key_is_not_reproducible() {
    for (store, place) in stores() {
        let first = output(&place, "first", &FILES);
        let second = output(&place, "second", &[("panel.json", "{ }")]);
        let kept = store.publish(&key(1), &first).await.unwrap();
        let error = store.publish(&key(1), &second).await.unwrap_err();
        let Error::NotReproducible { stage, key: of, stored, made } = &error else {
            panic!("{error}");
        };
        assert_eq!((stage.as_str(), *of, *stored), ("features", key(1).digest(), kept.digest));
        assert_eq!(store.lookup(&key(1)).await.unwrap(), Some(kept), "{store}: the first stays");
        store.find(made).await.expect("the second can be compared with the first");
        assert_eq!(error.kind(), ErrorKind::Internal);

        store.forget(&key(1)).await.unwrap();
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None);
        store.publish(&key(1), &second).await.unwrap();
    }
}

#[tokio::test]
async fn who_publishes_at_the_same_time_gets_the_same_artifact() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let publish = || async { store.publish(&key(1), &directory).await.map(|a| a.digest) };
        let all = futures::future::join_all((0..8).map(|_| publish())).await;
        let digests: Result<Vec<_>, Error> = all.into_iter().collect();
        let digests = digests.unwrap();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{store}");
    }
}

#[tokio::test]
async fn of_two_different_ones_at_the_same_time_one_wins() {
    for (store, place) in stores() {
        let publish = |seed: u64| {
            let directory = output(&place, &format!("{seed}"), &[("x", &seed.to_string())]);
            let store = store.clone();
            async move { store.publish(&key(1), &directory).await }
        };
        let all = futures::future::join_all((0..4).map(publish)).await;
        let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{store}");
        assert!(lost.iter().all(|lost| matches!(lost, Err(Error::NotReproducible { .. }))));
        let winner = won.into_iter().next().unwrap().unwrap();
        assert_eq!(store.lookup(&key(1)).await.unwrap(), Some(winner));
    }
}

/// Puts other bytes in a blob's place, as a failing disk would.
async fn damage(store: &Store, file: &File, bytes: &str) {
    let blob = format!("{BLOBS}/{}", file.sha256);
    store.backend.write(&blob, bytes.as_bytes().to_vec()).await.unwrap();
}

#[tokio::test]
async fn a_flipped_byte_is_an_error_that_names_file_and_artifact_and_the_next_run_heals_it() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap();
        damage(&store, &artifact.manifest.files()[1], "rowt").await;

        let into = place.path().join("inputs");
        let error = store.fetch(&artifact.digest, &into).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let text = error.to_string();
        assert!(text.contains(&artifact.digest.to_string()), "{text}");
        assert!(text.contains("`panel/shard-000.parquet` is damaged"), "{text}");

        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}: to be made anew");
        assert_eq!(store.publish(&key(1), &directory).await.unwrap(), artifact);
        let fetched = store.fetch(&artifact.digest, &into).await.unwrap();
        assert_eq!(read(&fetched), owned(&FILES), "{store}");
        let aside = format!("damaged/{}", artifact.manifest.files()[1].sha256);
        let damaged = store.backend.read(&aside).await.unwrap();
        assert_eq!(damaged, Some(b"rowt".to_vec()), "nothing is lost");
    }
}

#[tokio::test]
async fn publishing_heals_a_damaged_blob_even_unnoticed() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap();
        for file in artifact.manifest.files() {
            damage(&store, file, "half").await;
        }
        store.publish(&key(2), &directory).await.unwrap();
        let fetched = store.fetch(&artifact.digest, place.path()).await.unwrap();
        assert_eq!(read(&fetched), owned(&FILES), "{store}");
    }
}

#[tokio::test]
async fn a_file_cut_short_or_gone_makes_the_lookup_miss() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap();
        damage(&store, &artifact.manifest.files()[1], "row").await;
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}");
        store.publish(&key(1), &directory).await.unwrap();
        assert!(store.lookup(&key(1)).await.unwrap().is_some());

        let blob = artifact.manifest.files()[1].sha256;
        store.backend.delete(&format!("{BLOBS}/{blob}")).await.unwrap();
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}");
        let error = store.fetch(&artifact.digest, place.path()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("blob {blob} is missing")), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_record_is_an_error_once_and_then_a_miss() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap();
        store.publish(&key(2), &directory).await.unwrap();
        let records = [1, 2].map(|seed| format!("{KEYS}/{}", key(seed).digest()));
        let other = store.backend.read(&records[1]).await.unwrap().unwrap();

        for damaged in [b"{\"artifact\":".to_vec(), other] {
            store.backend.write(&records[0], damaged).await.unwrap();
            let error = store.lookup(&key(1)).await.unwrap_err();
            assert!(error.to_string().contains(&records[0]), "{error}");
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}");
            assert_eq!(store.publish(&key(1), &directory).await.unwrap(), artifact);
        }

        let content = format!("{CONTENTS}/{}", artifact.digest);
        store.backend.write(&content, b"{\"files\":[]}".to_vec()).await.unwrap();
        let error = store.fetch(&artifact.digest, place.path()).await.unwrap_err();
        assert!(matches!(error, Error::CorruptRecord { .. }), "{error}");
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}");
        assert_eq!(store.publish(&key(1), &directory).await.unwrap(), artifact);
    }
}

#[tokio::test]
async fn a_fetched_directory_is_checked_and_mended_each_time() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap().digest;
        let into = place.path().join("inputs");
        let fetched = store.fetch(&artifact, &into).await.unwrap();
        // Not written in place: that would be the store's own file.
        fs::remove_file(fetched.join("panel.json")).unwrap();
        fs::write(fetched.join("panel.json"), "[]").unwrap();
        fs::remove_file(fetched.join("split.json")).unwrap();
        fs::write(fetched.join("panel/shard-001.parquet"), "not of the artifact").unwrap();
        assert_eq!(store.fetch(&artifact, &into).await.unwrap(), fetched);
        assert_eq!(read(&fetched), owned(&FILES), "{store}");
        let scratch = list(&into.join(".partial")).unwrap();
        assert_eq!(scratch.len(), 1, "{store}: only the lock stays: {scratch:?}");
    }
}

#[tokio::test]
async fn who_fetches_at_the_same_time_gets_the_same_directory() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let artifact = store.publish(&key(1), &directory).await.unwrap().digest;
        let into = place.path().join("inputs");
        let all = (0..8).map(|_| store.fetch(&artifact, &into));
        for fetched in futures::future::join_all(all).await {
            assert_eq!(read(&fetched.unwrap()), owned(&FILES), "{store}");
        }
    }
}

#[tokio::test]
async fn an_unknown_digest_is_missing() {
    for (store, place) in stores() {
        let error = store.fetch(&Digest::of("nothing"), place.path()).await.unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_empty_directory_and_empty_files_are_artifacts_too() {
    for (store, place) in stores() {
        let empty = output(&place, "empty", &[]);
        fs::create_dir(&empty).unwrap();
        let artifact = store.publish(&key(1), &empty).await.unwrap();
        assert!(store.fetch(&artifact.digest, place.path()).await.unwrap().is_dir());
        let directory = output(&place, "out", &[("a", ""), ("b", "")]);
        let artifact = store.publish(&key(2), &directory).await.unwrap();
        let fetched = store.fetch(&artifact.digest, place.path()).await.unwrap();
        assert_eq!(read(&fetched), owned(&[("a", ""), ("b", "")]), "{store}");
    }
}

#[tokio::test]
async fn a_directory_with_a_hidden_file_is_refused() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &[("panel/.cache", "x")]);
        let error = store.publish(&key(1), &directory).await.unwrap_err();
        assert!(error.to_string().contains("panel/.cache"), "{error}");
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None);
    }
}

/// What a process leaves that was killed after each step of publishing.
#[tokio::test]
async fn what_a_killed_process_leaves_is_never_taken_for_an_artifact() {
    for (store, place) in stores() {
        let directory = output(&place, "out", &FILES);
        let manifest = store.store_files(&directory).await.unwrap();
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}: blobs alone");
        let content = format!("{CONTENTS}/{}", manifest.digest());
        store.backend.write(&content, manifest.canonical_json().into_bytes()).await.unwrap();
        assert_eq!(store.lookup(&key(1)).await.unwrap(), None, "{store}: blobs and contents");
        let artifact = store.publish(&key(1), &directory).await.unwrap();
        assert_eq!(artifact.digest, manifest.digest());
    }
}

#[tokio::test]
async fn a_folder_outlives_its_process_and_sweeps_what_was_half_written() {
    let place = tempfile::tempdir().unwrap();
    let uri = format!("file://{}", place.path().join("my store").display()).replace(' ', "%20");
    let directory = output(&place, "out", &FILES);
    let artifact = Store::open(&uri).unwrap().publish(&key(1), &directory).await.unwrap();

    let left = place.path().join("my store/scratch/4711-0");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("0"), "half a blob").unwrap();
    let store = Store::open(&uri).unwrap();
    assert!(!left.exists());
    assert_eq!(store.lookup(&key(1)).await.unwrap(), Some(artifact));
}

#[test]
fn addresses_that_are_none() {
    for uri in ["", "gs://bucket", "file://relative/path", "http://host/x"] {
        let error = Store::open(uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{uri}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the files, they come back as they were; and the digest depends on nothing else.
    #[test]
    fn files_come_back_as_they_were(
        files in prop::collection::btree_map("[a-z]{1,3}(-[a-z0-9]{1,3}\\.parquet)?", prop::collection::vec(any::<u8>(), 0..64), 0..5)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut digests = Vec::new();
        for (store, place) in stores() {
            let directory = place.path().join("out");
            fs::create_dir(&directory).unwrap();
            for (name, bytes) in &files {
                fs::write(directory.join(name), bytes).unwrap();
            }
            let fetched = runtime.block_on(async {
                let artifact = store.publish(&key(1), &directory).await.unwrap();
                digests.push(artifact.digest);
                store.fetch(&artifact.digest, place.path()).await.unwrap()
            });
            for (name, bytes) in &files {
                prop_assert_eq!(&fs::read(fetched.join(name)).unwrap(), bytes);
            }
            prop_assert_eq!(list(&fetched).unwrap().len(), files.len());
        }
        prop_assert_eq!(digests[0], digests[1]);
    }
}

#[test]
fn a_store_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Arc::new(Store::open("memory://").unwrap()));
}
