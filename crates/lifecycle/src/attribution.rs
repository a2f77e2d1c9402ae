//! How a forecast splits over its players (Shapley values; Lundberg & Lee 2017).

use serde::{Deserialize, Serialize};

/// One model output, split over its players. Every number has the unit of that output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// Output with every player absent.
    pub base_value: f64,
    /// Shapley value of each player. Shape `[n_players]`.
    pub values: Vec<f64>,
    /// Standard error of each of `values`; 0 where they are exact. Shape `[n_players]`.
    pub standard_errors: Vec<f64>,
}

impl Attribution {
    /// `|base + sum of values - output| / max(1, |output|)`: local accuracy.
    pub fn gap(&self, output: f64) -> f64 {
        let total = self.base_value + self.values.iter().sum::<f64>();
        (total - output).abs() / output.abs().max(1.0)
    }
}

/// How interactions of players are known, or why they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionSource {
    /// All coalitions were evaluated.
    Exact,
    /// Terms of two players were fitted to the coalitions that were evaluated.
    Regression,
    /// Not known: so few coalitions do not tell.
    TooFew,
    /// Not known: Owen values have none.
    Owen,
}

/// Why an estimate of attributions stands where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EstimateEnd {
    /// It goes on.
    Open,
    /// Everything was evaluated: values are exact.
    Complete,
    /// The error is within the tolerance.
    Tolerance,
    /// The budget is spent.
    Budget,
    /// The time is over: the answer depends on the machine, so it must not be kept.
    Deadline,
}
