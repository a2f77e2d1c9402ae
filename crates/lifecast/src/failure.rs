//! Every way a command can end badly, with the exit code that says who has to act.

use std::path::Path;

use artifacts::ProduceError;
use lifecycle::ErrorKind;

/// A command's failure: what happened, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Who has to act.
    pub(crate) kind: ErrorKind,
    /// What happened, causes included.
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// 2 wrong usage or configuration, 3 bad data, 4 unreachable, 5 a fault of ours.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Usage => 2,
            ErrorKind::Data => 3,
            ErrorKind::Unreachable => 4,
            ErrorKind::Internal => 5,
        }
    }

    pub(crate) fn usage(error: anyhow::Error) -> Self {
        Self { kind: ErrorKind::Usage, error }
    }

    pub(crate) fn internal(error: anyhow::Error) -> Self {
        Self { kind: ErrorKind::Internal, error }
    }

    pub(crate) fn file(path: &Path, error: std::io::Error) -> Self {
        let error = anyhow::Error::new(error)
            .context(format!("{}: cannot be read or written", path.display()));
        Self::internal(error)
    }

    /// A path that somebody gave and that cannot be used.
    pub(crate) fn given_path(path: &Path, error: std::io::Error) -> Self {
        let Self { error, .. } = Self::file(path, error);
        Self::usage(error)
    }

    /// A stage's failure, with its name in front.
    pub(crate) fn of_production(stage: &str, error: ProduceError<Self>) -> Self {
        let failure = match error {
            ProduceError::Make(failure) => failure,
            ProduceError::Store(error) => error.into(),
        };
        failure.of_stage(stage)
    }

    /// The same failure with the name of a stage in front.
    pub(crate) fn of_stage(self, stage: &str) -> Self {
        let Self { kind, error } = self;
        Self { kind, error: error.context(format!("{stage} failed")) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<artifacts::Error> for Failure {
    fn from(error: artifacts::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<simulator::Error> for Failure {
    fn from(error: simulator::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<ingest::Error> for Failure {
    fn from(error: ingest::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<features::Error> for Failure {
    fn from(error: features::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<trainer::Error> for Failure {
    fn from(error: trainer::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<predictor::Error> for Failure {
    fn from(error: predictor::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<evaluator::Error> for Failure {
    fn from(error: evaluator::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<explainer::Error> for Failure {
    fn from(error: explainer::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<planner::Error> for Failure {
    fn from(error: planner::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}

impl From<report::Error> for Failure {
    fn from(error: report::Error) -> Self {
        Self { kind: error.kind(), error: error.into() }
    }
}
