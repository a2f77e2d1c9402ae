//! `lifecast.v1.Evaluator`: score tables.

use lifecycle::{Digest, Invalid, Score};

use crate::fields::{self, NAME_BYTES_MAX};
use crate::v1;

/// Most rows of a score table in one answer.
const SCORES_MAX: usize = 4096;

/// Which score table to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoresQuery {
    /// Content digest of the artifact of scores.
    pub scores: Digest,
}

impl TryFrom<v1::ListScoresRequest> for ScoresQuery {
    type Error = Invalid;

    fn try_from(message: v1::ListScoresRequest) -> Result<Self, Invalid> {
        let v1::ListScoresRequest { scores } = message;
        Ok(Self { scores: fields::digest("scores", &scores)? })
    }
}

impl From<ScoresQuery> for v1::ListScoresRequest {
    fn from(ScoresQuery { scores }: ScoresQuery) -> Self {
        Self { scores: scores.to_string() }
    }
}

impl From<Vec<Score>> for v1::ListScoresResponse {
    fn from(scores: Vec<Score>) -> Self {
        Self { scores: scores.into_iter().map(v1::Score::from).collect() }
    }
}

impl TryFrom<v1::ListScoresResponse> for Vec<Score> {
    type Error = Invalid;

    fn try_from(message: v1::ListScoresResponse) -> Result<Self, Invalid> {
        let v1::ListScoresResponse { scores } = message;
        fields::length("scores", &scores, 0..=SCORES_MAX)?;
        fields::each("scores", scores, Score::try_from)
    }
}

impl TryFrom<v1::Score> for Score {
    type Error = Invalid;

    fn try_from(message: v1::Score) -> Result<Self, Invalid> {
        let v1::Score { model, task, horizon, metric, value, low, high, n, identifiable } = message;
        Ok(Self {
            model: fields::required_text("model", model, NAME_BYTES_MAX)?,
            task: fields::required_text("task", task, NAME_BYTES_MAX)?,
            horizon,
            metric: fields::required_text("metric", metric, NAME_BYTES_MAX)?,
            value: fields::finite("value", value)?,
            low: fields::finite("low", low)?,
            high: fields::finite("high", high)?,
            n,
            identifiable,
        })
    }
}

impl From<Score> for v1::Score {
    fn from(score: Score) -> Self {
        let Score { model, task, horizon, metric, value, low, high, n, identifiable } = score;
        Self { model, task, horizon, metric, value, low, high, n, identifiable }
    }
}
