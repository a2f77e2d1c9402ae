//! One cell of a score table.

use serde::{Deserialize, Serialize};

/// The score of one model at one task and horizon, over all scored test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Whose forecasts; ours is `lifecast`.
    pub model: String,
    /// `units`, `halved`, `doubled`, `silent` or `stage`.
    pub task: String,
    /// In weeks for turns and stages (0 is now), in periods for units.
    pub horizon: u32,
    /// `wql`, `wql_cumulative`, `mase`, `rmsse`, `bias`, `brier`, `log_loss`, `rps`, `macro_f1`,
    /// `macro_f1_decided`.
    pub metric: String,
    /// The score.
    pub value: f64,
    /// Lower end of its 95 % interval (bootstrap over products).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rows scored.
    pub n: u64,
    /// False where the data set cannot carry this score: fewer than 3 test origins, 100 products,
    /// or 50 rows of a class.
    pub identifiable: bool,
}

/// A value of a metric as a cost: the smaller, the better.
pub fn cost(metric: &str, value: f64) -> f64 {
    match metric {
        "bias" => value.abs(),
        "macro_f1" | "macro_f1_decided" => -value,
        _ => value,
    }
}

/// Which values of a metric are better.
pub fn better(metric: &str) -> &'static str {
    match metric {
        "bias" => "nearer 0",
        _ if cost(metric, 1.0) < 0.0 => "higher",
        _ => "lower",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_knows_what_is_better() {
        assert_eq!((cost("wql", 0.5), better("wql")), (0.5, "lower"));
        assert_eq!((cost("bias", -0.5), better("bias")), (0.5, "nearer 0"));
        assert_eq!((cost("macro_f1_decided", 0.5), better("macro_f1_decided")), (-0.5, "higher"));
    }
}
