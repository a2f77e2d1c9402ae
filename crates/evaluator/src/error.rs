//! What may go wrong, and who has to act.

use std::path::PathBuf;

use lifecycle::{ErrorKind, Invalid};

/// An evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting has no meaning.
    #[error("evaluate: {0}")]
    Config(Invalid),
    /// Two tables of forecasts bear one name, or a rule's.
    #[error("forecasts: `{name}` is given twice, or is the name of a rule")]
    Name {
        /// The name.
        name: String,
    },
    /// Features, labels, truth or forecasts cannot be read.
    #[error("an input of the evaluation cannot be read")]
    Input(#[from] tables::Error),
    /// A directory has no tables where they should be.
    #[error("{path}: holds no forecasts (part-NNN.parquet)")]
    NoForecasts {
        /// The directory.
        path: PathBuf,
        /// Why it cannot be listed, if so.
        source: Option<std::io::Error>,
    },
    /// A table of forecasts does not fit the panel.
    #[error("{path}: {reason}")]
    Forecasts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No series had begun at any test origin.
    #[error("no test row: no series has begun by the first test origin")]
    NoRows,
    /// A result cannot be written.
    #[error("{path}: cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table of results cannot be written.
    #[error("the score table cannot be written")]
    Output(#[source] tables::Error),
    /// Whoever watches asked to stop.
    #[error("stopped as asked")]
    Cancelled,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Name { .. } => ErrorKind::Usage,
            Self::Input(_) | Self::NoForecasts { .. } | Self::Forecasts { .. } | Self::NoRows => {
                ErrorKind::Data
            }
            Self::Write { .. } | Self::Output(_) | Self::Cancelled => ErrorKind::Internal,
        }
    }
}
