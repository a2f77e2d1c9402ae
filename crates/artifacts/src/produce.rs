//! From a key to its artifact: found in the store, or made once and published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::Digest;

use crate::files::blocking;
use crate::scratch::Scratch;
use crate::{Artifact, Error, Key, Store};

/// An artifact and whether it was there already.
#[derive(Debug, Clone)]
pub struct Produced {
    /// The artifact of the key.
    pub artifact: Artifact,
    /// The key's digest.
    pub key: Digest,
    /// Nothing had to be made.
    pub cached: bool,
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError<E> {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// What makes the artifact failed; nothing was published.
    #[error("making the artifact failed")]
    Make(E),
}

impl Store {
    /// Answers the artifact of `key`, made by `make` if the store has none.
    ///
    /// `make` sees the fetched `inputs` by name and an empty folder to fill; it runs on a thread of
    /// its own. What it wrote counts only once it is published; a process killed on the way leaves
    /// nothing but a folder under `work`, which the next to work there clears.
    ///
    /// Of two that ask for the same with the same `work`, the second waits for what the first makes.
    ///
    /// # Errors
    ///
    /// `Store` where the store fails, `Make` with the first error of `make`, unchanged.
    pub async fn produce<E: Send + 'static>(
        &self,
        key: &Key,
        inputs: &BTreeMap<String, Digest>,
        work: &Path,
        make: impl FnOnce(&BTreeMap<String, PathBuf>, &Path) -> Result<(), E> + Send + 'static,
    ) -> Result<Produced, ProduceError<E>> {
        let digest = key.digest();
        if let Some(artifact) = self.lookup(key).await? {
            return Ok(Produced { artifact, key: digest, cached: true });
        }
        let lock = work.join("locks").join(digest.to_string());
        let _lock = blocking(move || lock_file(&lock)).await?;
        // Whoever held the lock may have made it meanwhile.
        if let Some(artifact) = self.lookup(key).await? {
            return Ok(Produced { artifact, key: digest, cached: true });
        }
        let mut fetched = BTreeMap::new();
        for (name, digest) in inputs {
            let folder = self.fetch(digest, &work.join("fetched")).await?;
            fetched.insert(name.clone(), folder);
        }
        let making = work.join("making");
        let scratch = blocking(move || Scratch::open(&making)).await?;
        let output = scratch.path();
        std::fs::create_dir(&output).map_err(Error::io("create", &output))?;
        let folder = output.clone();
        let made = tokio::task::spawn_blocking(move || make(&fetched, &folder)).await;
        match made {
            Ok(result) => result.map_err(ProduceError::Make)?,
            // A panic goes on in the caller, who decides what it costs.
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        }
        let artifact = self.publish(key, &output).await?;
        Ok(Produced { artifact, key: digest, cached: false })
    }
}

/// Waits for the lock of a file, which is held until the file is dropped. Where the file system has
/// no locks, nobody waits.
fn lock_file(path: &Path) -> Result<std::fs::File, Error> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let file = std::fs::File::create(path).map_err(Error::io("create", path))?;
    if let Err(error) = file.lock() {
        tracing::debug!(%error, "no file locks here: work may be done twice");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn key(seed: u64) -> Key {
        Key {
            stage: "train".into(),
            code_version: "1".into(),
            config: serde_json::json!({ "seed": seed }),
            inputs: BTreeMap::new(),
            execution: BTreeMap::new(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_who_ask_for_the_same_make_it_once() {
        let work = tempfile::tempdir().expect("a folder");
        let store = Store::open("memory://").expect("a store");
        let (none, n_made) = (BTreeMap::new(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let n_made = Arc::clone(&n_made);
            let make = move |_: &_, output: &Path| {
                n_made.fetch_add(1, Ordering::Relaxed);
                std::fs::write(output.join("file"), "text")
            };
            let (store, none, work) = (store.clone(), none.clone(), work.path().to_owned());
            async move { store.produce(&key(3), &none, &work, make).await }
        };
        let (one, other) = tokio::join!(ask(), ask());
        let [one, other] = [one, other].map(|produced| produced.expect("an artifact"));
        assert_eq!(one.artifact, other.artifact);
        assert_ne!(one.cached, other.cached);
        assert_eq!(n_made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_a_failure_publishes_nothing() {
        let work = tempfile::tempdir().expect("a folder");
        let store = Store::open("memory://").expect("a store");
        let none = BTreeMap::new();
        let failed = store
            .produce(&key(1), &none, work.path(), |_, output| {
                std::fs::write(output.join("half"), "half").map_err(|error| error.to_string())?;
                Err::<(), String>("no".into())
            })
            .await;
        assert!(matches!(failed, Err(ProduceError::Make(reason)) if reason == "no"));
        let mut made = Vec::new();
        for _ in 0..2 {
            let produced = store
                .produce(&key(1), &none, work.path(), |_, output| {
                    std::fs::write(output.join("whole"), "whole")
                })
                .await
                .expect("an artifact");
            made.push((produced.artifact.digest, produced.cached));
        }
        assert_eq!(made[0].0, made[1].0);
        assert_eq!((made[0].1, made[1].1), (false, true));
        let inputs = BTreeMap::from([("model".to_owned(), made[0].0)]);
        let read = store
            .produce(&key(2), &inputs, work.path(), |inputs, output| {
                std::fs::copy(inputs["model"].join("whole"), output.join("copy")).map(drop)
            })
            .await
            .expect("an artifact");
        assert_eq!(read.artifact.manifest.files().len(), 1);
    }
}
