//! Every pair: values without an error, by enumeration (Shapley 1953).
//!
//! Pairs come by leverage score, so that what is known before the end is a regression's. They are
//! asked for in batches that grow, so that a limit of time can end them; a regression is made each
//! time their number has doubled, so that all of them cost no more than the last few.

use lifecycle::Attribution;
use rand::Rng;

use super::pairs::{Pair, Seen};
use super::regression::Regression;
use super::{Estimator, growth};

/// Pairs asked for at once, at most.
const BATCH_MAX: usize = 64;

/// The estimator.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    regression: Regression,
    /// Pairs of the last estimate.
    n_told: usize,
}

impl Exact {
    /// Nothing seen.
    pub(crate) fn new(n_players: usize, rng: &mut impl Rng) -> Self {
        Self { regression: Regression::leverage(n_players, rng), n_told: 0 }
    }
}

impl Estimator for Exact {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        // The first batch is the least of which errors can be told: two pairs a player.
        let least = if seen.pairs.len() == 1 { 2 * seen.n_players - 1 } else { seen.n_players };
        self.regression.next(seen, growth(seen.pairs.len(), least, BATCH_MAX.min(n_max)))
    }

    fn is_due(&self, seen: &Seen) -> bool {
        seen.pairs.len() >= 2 * self.n_told
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        self.n_told = seen.pairs.len();
        self.regression.estimate(seen)
    }

    fn quantile(&self, seen: &Seen) -> f64 {
        self.regression.quantile(seen)
    }
}
