//! What can go wrong between a stage and the store.

use std::io;
use std::path::{Path, PathBuf};

use lifecycle::{Digest, ErrorKind};

/// Why an artifact was not published or not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's address cannot be used.
    #[error("store address `{uri}`: {reason}")]
    Address {
        /// As given.
        uri: String,
        /// What would be right.
        reason: String,
    },
    /// The object store did not do what it was asked to, after retries.
    #[error("cannot {action} `{object}` in the store")]
    Objects {
        /// Read, write, delete.
        action: &'static str,
        /// The object's name below the store's root.
        object: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// A file or folder of this machine cannot be used.
    #[error("cannot {action} `{path}`", path = path.display())]
    Io {
        /// Read, write, create.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The folder of the store was there and is not any more.
    #[error("the store's folder `{root}` is gone; is its volume mounted?", root = root.display())]
    Gone {
        /// The store's root.
        root: PathBuf,
    },
    /// The directory holds something that an artifact cannot.
    #[error("cannot publish `{path}`: {reason}", path = path.display())]
    Unpublishable {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No artifact has this content digest.
    #[error("artifact {artifact} is not in the store")]
    Missing {
        /// The content digest asked for.
        artifact: Digest,
    },
    /// A file of an artifact is not what its digest says.
    #[error(
        "artifact {artifact}: its file `{file}` is damaged: blob {blob} {reason}; \
         run again to make it anew"
    )]
    Corrupt {
        /// Content digest of the artifact.
        artifact: Digest,
        /// The file's name inside the artifact.
        file: String,
        /// The digest that its bytes should have.
        blob: Digest,
        /// How the bytes differ.
        reason: String,
    },
    /// A record (`keys/...` or `contents/...`) is not what its name says.
    #[error("record `{record}` in the store is damaged: {reason}; run again to make it anew")]
    CorruptRecord {
        /// The record's name below the store's root.
        record: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The same key gave other bytes than before: the stage broke its promise, or its key misses
    /// something that the result depends on. Both artifacts are in the store, to be compared.
    #[error(
        "stage `{stage}` is not reproducible: key {key} stands for artifact {stored}, \
         but made {made}"
    )]
    NotReproducible {
        /// The stage's name.
        stage: String,
        /// The key's digest.
        key: Digest,
        /// Content digest that the store holds under the key.
        stored: Digest,
        /// Content digest of what was to be published.
        made: Digest,
    },
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } => ErrorKind::Usage,
            Self::Objects { source, .. } => match source {
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
                | object_store::Error::NotFound { .. } => ErrorKind::Usage,
                _ => ErrorKind::Unreachable,
            },
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Usage,
                _ => ErrorKind::Internal,
            },
            Self::Gone { .. } => ErrorKind::Unreachable,
            Self::Missing { .. } | Self::Corrupt { .. } | Self::CorruptRecord { .. } => {
                ErrorKind::Data
            }
            Self::Unpublishable { .. } | Self::NotReproducible { .. } => ErrorKind::Internal,
        }
    }

    /// An [`Error::Io`], for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
