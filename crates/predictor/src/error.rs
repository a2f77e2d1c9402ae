//! What can go wrong, by who has to act.

use std::path::PathBuf;

use lifecycle::{ErrorKind, Invalid, Series};

/// Forecasts could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("prediction configuration")]
    Config(#[source] Invalid),
    /// The features cannot be read.
    #[error("the features cannot be read")]
    Features(#[source] tables::Error),
    /// The model cannot be used.
    #[error("the model cannot be used")]
    Model(#[source] model::Error),
    /// Nobody knows the series.
    #[error("series `{0}` is not in the panel")]
    UnknownSeries(Series),
    /// The history cannot be used.
    #[error("the history cannot be used")]
    History(#[source] Invalid),
    /// Forecasts cannot be written.
    #[error("forecasts cannot be written")]
    Write(#[source] tables::Error),
    /// A file cannot be read or written.
    #[error("{path}: cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody asked to stop.
    #[error("prediction was cancelled")]
    Cancelled,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::UnknownSeries(_) => ErrorKind::Usage,
            Self::Features(_) | Self::Model(_) | Self::History(_) => ErrorKind::Data,
            Self::Write(_) | Self::File { .. } | Self::Cancelled => ErrorKind::Internal,
        }
    }
}
