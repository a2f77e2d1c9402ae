//! What can go wrong, by who has to act.

use std::path::PathBuf;

use lifecycle::{ErrorKind, Invalid, Series};

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("[explain] is not valid")]
    Config(#[from] Invalid),
    /// Features or forecasts cannot be read.
    #[error("a table failed")]
    Table(#[from] tables::Error),
    /// The model cannot be loaded or does not answer.
    #[error("the model failed")]
    Model(#[from] model::Error),
    /// A file failed.
    #[error("{path}: cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The published forecasts came from something else.
    #[error(
        "the forecasts are not those of this model on these features: series `{series}`, output \
        `{output}`: published is {published}, the model answers {answered}"
    )]
    OtherForecasts {
        /// Whose forecast.
        series: Series,
        /// Name of the output.
        output: String,
        /// As published.
        published: f64,
        /// As the model that is explained answers.
        answered: f64,
    },
    /// So few evaluations give no answer.
    #[error("evaluations_max is {given}: {n_players} players need at least {least}")]
    Budget {
        /// What may be spent.
        given: usize,
        /// Groups of inputs to credit.
        n_players: usize,
        /// What would do.
        least: usize,
    },
    /// No other product can stand in for what is absent.
    #[error(
        "`{series}` cannot be explained: no other product had sold anything by the origin that could \
        stand in for what is absent; make features of at least two products that have sold"
    )]
    NothingStandsIn {
        /// Whose forecast.
        series: Series,
    },
    /// Nothing is known of the series that could be taken away.
    #[error(
        "`{series}` cannot be explained: nothing was known of it by the origin, not a unit, category, \
        brand or price; ask about a later origin"
    )]
    NothingKnown {
        /// Whose forecast.
        series: Series,
    },
    /// So little time gives no answer.
    #[error("the time was over before anything could be told of errors")]
    Time,
    /// Somebody asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::Budget { .. } => ErrorKind::Usage,
            Self::Table(_)
            | Self::NothingStandsIn { .. }
            | Self::NothingKnown { .. }
            | Self::OtherForecasts { .. } => ErrorKind::Data,
            Self::Model(error) => error.kind(),
            Self::File { .. } | Self::Time | Self::Cancelled => ErrorKind::Internal,
        }
    }
}
