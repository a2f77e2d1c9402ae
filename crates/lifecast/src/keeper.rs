//! Checkpoints of a training kept in the store while it goes on, so that it can be taken up where
//! this machine's folders are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use artifacts::Store;
use lifecycle::Digest;
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// Between looks for new checkpoints.
const LOOK: Duration = Duration::from_secs(1);

/// Uploads checkpoints as they are finished, beside the training.
#[derive(Debug)]
pub(crate) struct Keeper {
    store: Store,
    key: Digest,
    folder: PathBuf,
    is_over: Arc<AtomicBool>,
    /// Answers what was kept.
    keeping: JoinHandle<BTreeSet<String>>,
}

impl Keeper {
    /// Fetches what the store has of a training's checkpoints, and keeps those to come.
    pub(crate) async fn start(store: &Store, key: Digest, folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        let n_fetched = store.fetch_drafts(&key, folder).await?;
        if n_fetched > 0 {
            tracing::info!(n_fetched, "fetched checkpoints from the store");
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let keeping = {
            let (store, folder, is_over) = (store.clone(), folder.to_owned(), Arc::clone(&is_over));
            let mut kept: BTreeSet<String> = finished(&folder).into_iter().collect();
            service::spawn("checkpoints", async move {
                loop {
                    tokio::time::sleep(LOOK).await;
                    if is_over.load(Ordering::Relaxed) {
                        return kept;
                    }
                    keep_new(&store, key, &folder, &mut kept).await;
                }
            })
        };
        Ok(Self { store: store.clone(), key, folder: folder.to_owned(), is_over, keeping })
    }

    /// Keeps what was finished last; or, of a training whose model is published, nothing more.
    pub(crate) async fn end(self, is_published: bool) {
        let Self { store, key, folder, is_over, keeping } = self;
        is_over.store(true, Ordering::Relaxed);
        let Ok(mut kept) = keeping.await else { return };
        if !is_published {
            keep_new(&store, key, &folder, &mut kept).await;
        } else if let Err(error) = store.drop_drafts(&key).await {
            tracing::warn!(%error, folder = %folder.display(), "checkpoints stay in the store");
        }
    }
}

/// Uploads the checkpoints that were finished since the last look.
async fn keep_new(store: &Store, key: Digest, folder: &Path, kept: &mut BTreeSet<String>) {
    for name in finished(folder) {
        if kept.contains(&name) {
            continue;
        }
        match store.keep_draft(&key, &name, &folder.join(&name)).await {
            Ok(()) => {
                kept.insert(name);
            }
            // Removed meanwhile by a later one, or the store is away: there will be others.
            Err(error) => tracing::warn!(%error, name, "checkpoint is not kept in the store"),
        }
    }
}

/// Names of finished checkpoints, by member of the model, the latest last.
fn finished(folder: &Path) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let mut found = Vec::new();
    for member in names(folder) {
        for step in names(&folder.join(&member)) {
            let name = format!("{member}/{step}");
            if step.starts_with("step-") && folder.join(&name).join("manifest.json").exists() {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}
