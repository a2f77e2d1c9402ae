//! Where a stage works: the store, a folder for unfinished work, and what of code and machine stands
//! in every key that it makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::Digest;
use serde::Serialize;

use crate::{Key, ProduceError, Produced, Store};

/// Folders of fetched artifacts, by what they are to the stage.
pub type Folders = BTreeMap<String, PathBuf>;

/// Where one stage makes its artifacts. Two workplaces with equal code and execution that share a
/// store find each other's artifacts.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// Name of the stage, as in its keys.
    pub stage: String,
    /// Digest of the stage's sources.
    pub code_version: String,
    /// What else moves bits: target features, device kind, world size.
    pub execution: BTreeMap<String, String>,
    /// The store.
    pub store: Store,
    /// Folder for fetched artifacts and unfinished work.
    pub folder: PathBuf,
}

/// What is asked of a stage.
#[derive(Debug, Clone)]
pub struct Order<C> {
    /// What it computes.
    pub config: C,
    /// Content digests of the artifacts to fetch, by what they are to the stage.
    pub inputs: BTreeMap<String, Digest>,
    /// Digests of what it reads besides artifacts: files of this machine, a secret key.
    pub files: BTreeMap<String, Digest>,
}

impl<C> Order<C> {
    /// An order that reads nothing yet.
    pub fn new(config: C) -> Self {
        Self { config, inputs: BTreeMap::new(), files: BTreeMap::new() }
    }
}

impl Workplace {
    /// Answers the artifact of an order, made by `make` if the store has none.
    ///
    /// `make` sees the configuration, the fetched inputs and an empty folder to fill; see
    /// [`Store::produce`].
    pub async fn produce<C, E>(
        &self,
        order: Order<C>,
        make: impl FnOnce(&C, &Folders, &Path) -> Result<(), E> + Send + 'static,
    ) -> Result<Produced, ProduceError<E>>
    where
        C: Serialize + Send + 'static,
        E: Send + 'static,
    {
        let key = self.key(&order);
        let Order { config, inputs, files: _ } = order;
        let make = move |inputs: &Folders, output: &Path| make(&config, inputs, output);
        self.store.produce(&key, &inputs, &self.folder, make).await
    }

    /// The key of an order.
    fn key<C: Serialize>(&self, order: &Order<C>) -> Key {
        let Order { config, inputs, files } = order;
        let named = inputs.iter().chain(files).map(|(name, digest)| (name.clone(), *digest));
        Key {
            stage: self.stage.clone(),
            code_version: self.code_version.clone(),
            config: serde_json::to_value(config).expect("a configuration is plain data"),
            inputs: named.collect(),
            execution: self.execution.clone(),
        }
    }

    /// The folder where work on an order that was cut off is taken up again.
    pub fn checkpoint<C: Serialize>(&self, order: &Order<C>) -> PathBuf {
        self.folder.join("checkpoints").join(self.key(order).digest().to_string())
    }

    /// The artifact of an order, if the store has it.
    pub async fn lookup<C: Serialize>(
        &self,
        order: &Order<C>,
    ) -> Result<Option<crate::Artifact>, crate::Error> {
        self.store.lookup(&self.key(order)).await
    }

    /// The digest of an order's key: what drafts of its work are kept under.
    pub fn key_digest<C: Serialize>(&self, order: &Order<C>) -> Digest {
        self.key(order).digest()
    }

    /// Fetches an artifact and answers its folder.
    pub async fn fetch(&self, artifact: &Digest) -> Result<PathBuf, crate::Error> {
        self.store.fetch(artifact, &self.folder.join("fetched")).await
    }
}
