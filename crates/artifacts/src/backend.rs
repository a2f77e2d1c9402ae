//! Where objects lie: a folder, or an object store. Both keep the same names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifecycle::Digest;
use object_store::memory::InMemory;

use crate::Error;
use crate::bucket::Bucket;
use crate::files::blocking;
use crate::folder::Folder;

/// Files, by the SHA-256 of their bytes.
pub(crate) const BLOBS: &str = "blobs";
/// Manifests, by content digest.
pub(crate) const CONTENTS: &str = "contents";
/// What each key stands for.
pub(crate) const KEYS: &str = "keys";
/// Unfinished work, by its key.
pub(crate) const DRAFTS: &str = "drafts";
/// What was found to differ from its name.
pub(crate) const DAMAGED: &str = "damaged";

/// Largest record (not blob) that is read or written.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 << 20;

/// A folder, written durably, or an object store, asked again on errors that pass.
#[derive(Debug, Clone)]
pub(crate) enum Backend {
    Folder(Arc<Folder>),
    Bucket(Bucket),
}

impl Backend {
    pub(crate) fn open(uri: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Address { uri: uri.to_owned(), reason };
        match uri.split_once("://") {
            None if uri.is_empty() => Err(wrong("must not be empty".into())),
            None => Self::folder(uri, Path::new(uri)),
            Some(("file", path)) if path.starts_with('/') => {
                let path = object_store::path::Path::from_url_path(path)
                    .map_err(|error| wrong(error.to_string()))?;
                Self::folder(uri, &PathBuf::from(format!("/{path}")))
            }
            Some(("file", _)) => Err(wrong("a file address starts with `file:///`".into())),
            Some(("memory", _)) => Ok(Self::Bucket(Bucket::new(Arc::new(InMemory::new()), ""))),
            Some(("s3", place)) => {
                Bucket::s3(place).map(Self::Bucket).map_err(|error| wrong(error.to_string()))
            }
            Some((scheme, _)) => {
                Err(wrong(format!("scheme `{scheme}` is none of `file`, `memory`, `s3`")))
            }
        }
    }

    fn folder(uri: &str, root: &Path) -> Result<Self, Error> {
        let folder = Folder::open(root).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let reason = format!("{error}: {}", cause.unwrap_or_default());
            Error::Address { uri: uri.to_owned(), reason }
        })?;
        Ok(Self::Folder(Arc::new(folder)))
    }

    /// The bytes of a record, if it is there.
    pub(crate) async fn read(&self, record: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(folder) => {
                let record = record.to_owned();
                on(folder, move |folder| folder.read(&record)).await
            }
            Self::Bucket(bucket) => bucket.read(record).await,
        }
    }

    /// Writes a record where none is. False if one is, or may be: who gets it reads it back.
    pub(crate) async fn create(&self, record: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        match self {
            Self::Folder(folder) => {
                let record = record.to_owned();
                on(folder, move |folder| folder.create(&record, &bytes)).await
            }
            Self::Bucket(bucket) => bucket.create(record, bytes).await,
        }
    }

    /// Writes a record, over what is there.
    pub(crate) async fn write(&self, record: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                let record = record.to_owned();
                on(folder, move |folder| folder.write(&record, &bytes)).await
            }
            Self::Bucket(bucket) => bucket.write(record, bytes).await,
        }
    }

    /// Stores a file's bytes as `below/<digest>`, over what is there; answers length and digest.
    pub(crate) async fn store_blob(
        &self,
        below: &str,
        source: &Path,
    ) -> Result<(u64, Digest), Error> {
        match self {
            Self::Folder(folder) => {
                let (below, source) = (below.to_owned(), source.to_owned());
                on(folder, move |folder| folder.store_blob(&below, &source)).await
            }
            Self::Bucket(bucket) => bucket.store_blob(below, source).await,
        }
    }

    /// Puts an object at a new path, not yet held against its digest. False if there is no such
    /// object.
    pub(crate) async fn load(&self, object: &str, to: &Path) -> Result<bool, Error> {
        match self {
            Self::Folder(folder) => {
                let (object, to) = (object.to_owned(), to.to_owned());
                on(folder, move |folder| folder.load(&object, &to)).await
            }
            Self::Bucket(bucket) => bucket.load(object, to).await,
        }
    }

    /// Bytes of an object, if it is there.
    pub(crate) async fn length(&self, object: &str) -> Result<Option<u64>, Error> {
        match self {
            Self::Folder(folder) => {
                let object = object.to_owned();
                on(folder, move |folder| folder.length(&object)).await
            }
            Self::Bucket(bucket) => bucket.length(object).await,
        }
    }

    /// Moves an object to [`DAMAGED`], so that it is found missing, and made anew, next time.
    pub(crate) async fn set_aside(&self, object: &str) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                let object = object.to_owned();
                on(folder, move |folder| folder.set_aside(&object)).await
            }
            Self::Bucket(bucket) => bucket.set_aside(object).await,
        }
    }

    /// Deletes an object; it may be gone already.
    pub(crate) async fn delete(&self, object: &str) -> Result<(), Error> {
        match self {
            Self::Folder(folder) => {
                let object = object.to_owned();
                on(folder, move |folder| folder.delete(&object)).await
            }
            Self::Bucket(bucket) => bucket.delete(object).await,
        }
    }
}

/// Works on the folder, on one of tokio's threads for blocking work.
async fn on<T: Send + 'static>(
    folder: &Arc<Folder>,
    work: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let folder = Arc::clone(folder);
    blocking(move || work(&folder)).await
}

/// A record beyond [`RECORD_BYTES_MAX`] is none of ours.
pub(crate) fn too_large(record: &str) -> Error {
    Error::CorruptRecord {
        record: record.to_owned(),
        reason: format!("it has more than {RECORD_BYTES_MAX} bytes"),
    }
}
