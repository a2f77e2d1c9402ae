//! What can go wrong, and who has to act.

use std::path::PathBuf;

use lifecycle::{ErrorKind, Invalid};

/// Features could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration asks for something impossible.
    #[error("features configuration")]
    Config(#[source] Invalid),
    /// The data set is too short, or empty.
    #[error("data set")]
    Dataset(#[source] Invalid),
    /// A file of the data set is missing or damaged.
    #[error("{path}: cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table cannot be read or written.
    #[error("table")]
    Table(#[from] tables::Error),
    /// The output cannot be written.
    #[error("{path}: cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Usage,
            Self::Dataset(_) | Self::Read { .. } | Self::Table(_) => ErrorKind::Data,
            Self::Write { .. } | Self::Cancelled => ErrorKind::Internal,
        }
    }
}
