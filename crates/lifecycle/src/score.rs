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
    /// `wql`, `wql_cumulative`, `mase`, `rmsse`, `bias`, `brier`, `log_loss`, `rps`, `macro_f1`.
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
