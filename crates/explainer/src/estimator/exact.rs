//! Every pair: values without an error, by enumeration (Shapley 1953).
//!
//! Pairs come by leverage score, so that what is known before the end is a regression's.

use lifecycle::Attribution;
use rand::Rng;

use super::Estimator;
use super::pairs::{Pair, Seen};
use super::regression::Regression;

/// Pairs asked for at once.
const BATCH: usize = 64;

/// The estimator.
#[derive(Debug, Clone)]
pub(crate) struct Exact(Regression);

impl Exact {
    /// Nothing seen.
    pub(crate) fn new(n_players: usize, rng: &mut impl Rng) -> Self {
        Self(Regression::leverage(n_players, rng))
    }
}

impl Estimator for Exact {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        self.0.next(seen, BATCH.min(n_max))
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        self.0.estimate(seen)
    }

    fn quantile(&self, seen: &Seen) -> f64 {
        self.0.quantile(seen)
    }
}
