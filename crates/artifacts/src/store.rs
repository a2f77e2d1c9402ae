//! Publishing, looking up and fetching artifacts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt, stream};
use lifecycle::Digest;
use serde::{Deserialize, Serialize};

use crate::backend::{BLOBS, Backend, CONTENTS, KEYS};
use crate::files::{blocking, digest, list};
use crate::manifest::{File, Manifest};
use crate::scratch::Scratch;
use crate::{Error, Key};

/// Files read or written at the same time.
const N_AT_ONCE: usize = 4;

/// Attempts to create a record that is neither created nor there to be read.
const CREATE_ATTEMPTS_MAX: usize = 5;

/// A store of artifacts. Cloning it is cheap and gives the same store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) backend: Backend,
    uri: String,
}

/// An artifact in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The content digest: what it is, by which stages pass it on and runs are compared.
    pub digest: Digest,
    /// Its files.
    pub manifest: Manifest,
}

impl Artifact {
    fn new(manifest: Manifest) -> Self {
        Self { digest: manifest.digest(), manifest }
    }
}

/// What lies at `keys/<key>`. The key's fields are there for people, and to check the name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    artifact: Digest,
    key: Key,
    manifest: Manifest,
}

impl Store {
    /// Opens the store at an address, and makes it where it is a folder that is not there.
    ///
    /// | address | store |
    /// |---|---|
    /// | `file:///path`, or a plain path | a folder |
    /// | `s3://bucket/prefix` | S3 and what speaks like it; see the usual `AWS_` variables |
    /// | `memory://` | a new one in this process's memory; clones share it |
    pub fn open(uri: &str) -> Result<Self, Error> {
        let backend = Backend::open(uri)?;
        let uri = match &backend {
            Backend::Folder(folder) => folder.root().display().to_string(),
            Backend::Bucket(_) => uri.to_owned(),
        };
        Ok(Self { backend, uri })
    }

    /// The artifact that the key stands for, if it was published and all of it is still there.
    pub async fn lookup(&self, key: &Key) -> Result<Option<Artifact>, Error> {
        let Some(artifact) = self.recorded(key).await? else {
            return Ok(None);
        };
        if self.is_whole(&artifact).await? {
            return Ok(Some(artifact));
        }
        tracing::warn!(stage = key.stage, artifact = %artifact.digest, "artifact lacks files");
        Ok(None)
    }

    /// The artifact with this content digest.
    pub async fn find(&self, artifact: &Digest) -> Result<Artifact, Error> {
        let record = format!("{CONTENTS}/{artifact}");
        let Some(bytes) = self.backend.read(&record).await? else {
            return Err(Error::Missing { artifact: *artifact });
        };
        if Digest::of(&bytes) != *artifact {
            return Err(self.damaged(record, "its bytes are not those of its digest").await);
        }
        match serde_json::from_slice(&bytes) {
            Ok(manifest) => Ok(Artifact { digest: *artifact, manifest }),
            Err(error) => Err(self.damaged(record, &error.to_string()).await),
        }
    }

    /// Publishes the files of a directory under the key, and answers the artifact they are.
    ///
    /// Publishing what is there already changes nothing, except that it heals what is damaged.
    /// If the key stands for something else, that stays, and the error is `NotReproducible`.
    pub async fn publish(&self, key: &Key, directory: &Path) -> Result<Artifact, Error> {
        let artifact = Artifact::new(self.store_files(directory).await?);
        let content = format!("{CONTENTS}/{}", artifact.digest);
        self.backend.write(&content, artifact.manifest.canonical_json().into_bytes()).await?;

        let record = format!("{KEYS}/{}", key.digest());
        let (digest, manifest) = (artifact.digest, artifact.manifest.clone());
        let body = Record { artifact: digest, key: key.clone(), manifest };
        let mut body = serde_json::to_vec_pretty(&body).expect("a record is plain JSON");
        body.push(b'\n');
        for _ in 0..CREATE_ATTEMPTS_MAX {
            if self.backend.create(&record, body.clone()).await? {
                tracing::debug!(stage = key.stage, artifact = %artifact.digest, "published");
                return Ok(artifact);
            }
            match self.recorded(key).await {
                Ok(Some(stored)) if stored.digest == artifact.digest => return Ok(artifact),
                Ok(Some(stored)) => {
                    return Err(Error::NotReproducible {
                        stage: key.stage.clone(),
                        key: key.digest(),
                        stored: stored.digest,
                        made: artifact.digest,
                    });
                }
                // Deleted, or damaged and set aside, meanwhile: the name is free again.
                Ok(None) | Err(Error::CorruptRecord { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let reason = "it can be neither created nor read".to_owned();
        Err(Error::CorruptRecord { record, reason })
    }

    /// Puts the artifact's files into `into/<content digest>`, and answers that directory.
    ///
    /// Every file is held against its digest, each time: one that is there already and whole is
    /// kept, a damaged one is fetched again, and what does not belong there is removed. The files
    /// may be links to the store's own: read them, never write to them.
    pub async fn fetch(&self, artifact: &Digest, into: &Path) -> Result<PathBuf, Error> {
        let artifact = self.find(artifact).await?;
        let directory = into.join(artifact.digest.to_string());
        let (manifest, below) = (artifact.manifest.clone(), directory.clone());
        let wanted = blocking(move || prepare(&manifest, &below)).await?;
        if !wanted.is_empty() {
            let partial = into.join(".partial");
            let scratch = blocking(move || Scratch::open(&partial)).await?;
            let (digest, scratch, directory) = (&artifact.digest, &scratch, &directory);
            stream::iter(wanted)
                .map(|file| async move { self.fetch_file(digest, &file, scratch, directory).await })
                .buffered(N_AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        Ok(directory)
    }

    /// Forgets what the key stands for, so that the stage makes it anew. Files stay.
    pub async fn forget(&self, key: &Key) -> Result<(), Error> {
        self.backend.delete(&format!("{KEYS}/{}", key.digest())).await
    }

    /// What `keys/<key>` says, if it is there.
    async fn recorded(&self, key: &Key) -> Result<Option<Artifact>, Error> {
        let record = format!("{KEYS}/{}", key.digest());
        let Some(bytes) = self.backend.read(&record).await? else {
            return Ok(None);
        };
        let wrong = match serde_json::from_slice::<Record>(&bytes) {
            Ok(Record { key: stored, .. }) if stored != *key => {
                "it has another key's fields".into()
            }
            Ok(Record { artifact, manifest, .. }) if manifest.digest() == artifact => {
                return Ok(Some(Artifact { digest: artifact, manifest }));
            }
            Ok(_) => "its manifest has another digest than it says".into(),
            Err(error) => error.to_string(),
        };
        Err(self.damaged(record, &wrong).await)
    }

    /// Whether the manifest and all blobs are there, with their lengths.
    async fn is_whole(&self, artifact: &Artifact) -> Result<bool, Error> {
        if self.backend.length(&format!("{CONTENTS}/{}", artifact.digest)).await?.is_none() {
            return Ok(false);
        }
        // Files of equal content share a blob.
        let blobs: BTreeMap<_, _> =
            artifact.manifest.files().iter().map(|file| (file.sha256, file.length)).collect();
        let present: Vec<bool> = stream::iter(blobs)
            .map(|(blob, length)| async move {
                let found = self.backend.length(&format!("{BLOBS}/{blob}")).await?;
                Ok::<_, Error>(found == Some(length))
            })
            .buffered(N_AT_ONCE)
            .try_collect()
            .await?;
        Ok(present.into_iter().all(|present| present))
    }

    /// Stores every file of a directory as a blob.
    async fn store_files(&self, directory: &Path) -> Result<Manifest, Error> {
        let path = directory.to_owned();
        let files = blocking(move || list(&path)).await?;
        let files: Vec<File> = stream::iter(files)
            .map(|(name, path)| async move {
                let (length, sha256) = self.backend.store_blob(BLOBS, &path).await?;
                Ok::<_, Error>(File { name, length, sha256 })
            })
            .buffered(N_AT_ONCE)
            .try_collect()
            .await?;
        Manifest::new(files).map_err(|invalid| Error::Unpublishable {
            path: directory.to_owned(),
            reason: invalid.to_string(),
        })
    }

    /// Fetches one file, and gives it its name when its bytes are known to be the right ones.
    async fn fetch_file(
        &self,
        artifact: &Digest,
        file: &File,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<(), Error> {
        let partial = scratch.path();
        let mut reason = String::new();
        for _ in 0..2 {
            // The second time, because bytes can flip on their way, too.
            let is_there = self.backend.load(&format!("{BLOBS}/{}", file.sha256), &partial).await?;
            if !is_there {
                reason = "is missing".into();
                break;
            }
            let (partial, to, file) = (partial.clone(), directory.join(&file.name), file.clone());
            match blocking(move || accept(&partial, &to, &file)).await? {
                None => return Ok(()),
                Some(difference) => reason = difference,
            }
        }
        self.set_aside(&format!("{BLOBS}/{}", file.sha256)).await;
        Err(Error::Corrupt {
            artifact: *artifact,
            file: file.name.clone(),
            blob: file.sha256,
            reason,
        })
    }

    /// The error of a damaged record, which is moved out of the way.
    async fn damaged(&self, record: String, reason: &str) -> Error {
        self.set_aside(&record).await;
        Error::CorruptRecord { record, reason: reason.to_owned() }
    }

    async fn set_aside(&self, object: &str) {
        if let Err(error) = self.backend.set_aside(object).await {
            tracing::warn!(%error, object, "damaged object cannot be set aside: delete it by hand");
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

/// Makes the directory and its folders, removes what is not in the manifest, and answers the files
/// that are missing or damaged.
fn prepare(manifest: &Manifest, directory: &Path) -> Result<Vec<File>, Error> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    for file in manifest.files() {
        let path = directory.join(&file.name);
        let folder = path.parent().expect("a file's path has a folder");
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let wanted: BTreeMap<&str, &File> =
        manifest.files().iter().map(|file| (file.name.as_str(), file)).collect();
    let mut missing = wanted.clone();
    for (name, path) in list(directory)? {
        match wanted.get(name.as_str()) {
            None => fs::remove_file(&path).map_err(Error::io("delete", &path))?,
            Some(file) if digest(&path)? == (file.length, file.sha256) => {
                missing.remove(name.as_str());
            }
            Some(_) => {}
        }
    }
    Ok(missing.into_values().cloned().collect())
}

/// Moves a fetched file to its name if it is what its digest says; otherwise says how it differs.
fn accept(partial: &Path, to: &Path, file: &File) -> Result<Option<String>, Error> {
    let (length, sha256) = digest(partial)?;
    if length != file.length {
        remove(partial);
        return Ok(Some(format!("has {length} bytes instead of {}", file.length)));
    }
    if sha256 != file.sha256 {
        remove(partial);
        return Ok(Some(format!("has bytes of another digest ({sha256})")));
    }
    fs::rename(partial, to).map_err(Error::io("create", to))?;
    remove(partial); // a rename to a link to the same file leaves both
    Ok(None)
}

/// Removes a scratch file that may be gone already; its folder goes away soon, in any case.
fn remove(partial: &Path) {
    let _ = fs::remove_file(partial);
}

#[cfg(test)]
mod tests;
