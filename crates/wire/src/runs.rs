//! `lifecast.v1.Runs`: one piece of long work, and how it stands.

use std::time::SystemTime;

use lifecycle::{Digest, ErrorKind, Invalid};

use crate::fields::{self, at};
use crate::v1;

/// One piece of long work.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Made from stage and `request_id`.
    pub id: String,
    /// Name of the stage.
    pub stage: String,
    /// As the client chose it.
    pub request_id: String,
    /// Where it stands.
    pub state: RunState,
    /// Number of the last event, from 1.
    pub sequence: u64,
    /// How far each part is, in the order in which they began.
    pub parts: Vec<PartProgress>,
    /// When it was accepted.
    pub accepted_at: SystemTime,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Waits for its turn.
    Queued,
    /// At work.
    Running,
    /// Its artifact is published.
    Succeeded(Outcome),
    /// It met an error.
    Failed(Failure),
    /// It was stopped.
    Cancelled(Failure),
}

impl RunState {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded(_) | Self::Failed(_) | Self::Cancelled(_) => true,
        }
    }
}

/// How far one part of the work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartProgress {
    /// Name of the part.
    pub part: String,
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0: unknown.
    pub total: u64,
}

/// What a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Content digest of the artifact.
    pub artifact: Digest,
    /// Key of the artifact.
    pub key: Digest,
    /// The artifact was in the store already.
    pub cached: bool,
    /// The stage's summary as one JSON object; empty where there is none.
    pub summary_json: String,
}

/// Why a run made nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who has to act.
    pub kind: ErrorKind,
    /// What is wrong, where, and what would be right.
    pub message: String,
}

impl TryFrom<v1::Run> for Run {
    type Error = Invalid;

    fn try_from(message: v1::Run) -> Result<Self, Invalid> {
        let v1::Run {
            id,
            stage,
            request_id,
            state,
            sequence,
            parts,
            outcome,
            error,
            accepted_at,
            ended_at,
        } = message;
        let time = |field: &str, timestamp: prost_types::Timestamp| {
            SystemTime::try_from(timestamp).map_err(|_| Invalid::new(field, "is out of range"))
        };
        let accepted_at = fields::required("accepted_at", accepted_at)?;
        Ok(Self {
            id: fields::required_text("id", id, usize::MAX)?,
            stage: fields::required_text("stage", stage, usize::MAX)?,
            request_id,
            state: run_state(state, outcome, error)?,
            sequence,
            parts: parts.into_iter().map(PartProgress::from).collect(),
            accepted_at: time("accepted_at", accepted_at)?,
            ended_at: ended_at.map(|ended_at| time("ended_at", ended_at)).transpose()?,
        })
    }
}

/// The run of a response, which must have one.
impl TryFrom<Option<v1::Run>> for Run {
    type Error = Invalid;

    fn try_from(message: Option<v1::Run>) -> Result<Self, Invalid> {
        Self::try_from(fields::required("run", message)?).map_err(at("run"))
    }
}

impl From<Run> for v1::Run {
    fn from(run: Run) -> Self {
        let Run { id, stage, request_id, state, sequence, parts, accepted_at, ended_at } = run;
        let (state, outcome, error) = match state {
            RunState::Queued => (v1::RunState::Queued, None, None),
            RunState::Running => (v1::RunState::Running, None, None),
            RunState::Succeeded(outcome) => (v1::RunState::Succeeded, Some(outcome.into()), None),
            RunState::Failed(failure) => (v1::RunState::Failed, None, Some(failure.into())),
            RunState::Cancelled(failure) => (v1::RunState::Cancelled, None, Some(failure.into())),
        };
        Self {
            id,
            stage,
            request_id,
            state: state.into(),
            sequence,
            parts: parts.into_iter().map(v1::PartProgress::from).collect(),
            outcome,
            error,
            accepted_at: Some(accepted_at.into()),
            ended_at: ended_at.map(Into::into),
        }
    }
}

fn run_state(
    state: i32,
    outcome: Option<v1::RunOutcome>,
    error: Option<v1::RunError>,
) -> Result<RunState, Invalid> {
    let failure = |error: Option<v1::RunError>| {
        Failure::try_from(fields::required("error", error)?).map_err(at("error"))
    };
    match v1::RunState::try_from(state) {
        Ok(v1::RunState::Queued) => Ok(RunState::Queued),
        Ok(v1::RunState::Running) => Ok(RunState::Running),
        Ok(v1::RunState::Succeeded) => {
            let outcome = fields::required("outcome", outcome)?;
            Ok(RunState::Succeeded(Outcome::try_from(outcome).map_err(at("outcome"))?))
        }
        Ok(v1::RunState::Failed) => Ok(RunState::Failed(failure(error)?)),
        Ok(v1::RunState::Cancelled) => Ok(RunState::Cancelled(failure(error)?)),
        Ok(v1::RunState::Unspecified) | Err(_) => Err(Invalid::new("state", "is unknown")),
    }
}

impl From<v1::PartProgress> for PartProgress {
    fn from(v1::PartProgress { part, done, total }: v1::PartProgress) -> Self {
        Self { part, done, total }
    }
}

impl From<PartProgress> for v1::PartProgress {
    fn from(PartProgress { part, done, total }: PartProgress) -> Self {
        Self { part, done, total }
    }
}

impl TryFrom<v1::RunOutcome> for Outcome {
    type Error = Invalid;

    fn try_from(message: v1::RunOutcome) -> Result<Self, Invalid> {
        let v1::RunOutcome { artifact, key, cached, summary_json } = message;
        Ok(Self {
            artifact: fields::digest("artifact", &artifact)?,
            key: fields::digest("key", &key)?,
            cached,
            summary_json,
        })
    }
}

impl From<Outcome> for v1::RunOutcome {
    fn from(Outcome { artifact, key, cached, summary_json }: Outcome) -> Self {
        Self { artifact: artifact.to_string(), key: key.to_string(), cached, summary_json }
    }
}

impl TryFrom<v1::RunError> for Failure {
    type Error = Invalid;

    fn try_from(message: v1::RunError) -> Result<Self, Invalid> {
        let v1::RunError { kind, message } = message;
        let kind = match v1::RunErrorKind::try_from(kind) {
            Ok(v1::RunErrorKind::Usage) => ErrorKind::Usage,
            Ok(v1::RunErrorKind::Data) => ErrorKind::Data,
            Ok(v1::RunErrorKind::Unreachable) => ErrorKind::Unreachable,
            Ok(v1::RunErrorKind::Internal) => ErrorKind::Internal,
            Ok(v1::RunErrorKind::Unspecified) | Err(_) => {
                return Err(Invalid::new("kind", "is unknown"));
            }
        };
        Ok(Self { kind, message })
    }
}

impl From<Failure> for v1::RunError {
    fn from(Failure { kind, message }: Failure) -> Self {
        let kind = match kind {
            ErrorKind::Usage => v1::RunErrorKind::Usage,
            ErrorKind::Data => v1::RunErrorKind::Data,
            ErrorKind::Unreachable => v1::RunErrorKind::Unreachable,
            ErrorKind::Internal => v1::RunErrorKind::Internal,
        };
        Self { kind: kind.into(), message }
    }
}
