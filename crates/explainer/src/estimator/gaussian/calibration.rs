//! How far predictions missed what was seen next, which no fit could make smaller.
//!
//! Before a fit sees new pairs, the last prior predicts them, each from all before it. Were the
//! prior right, the squares of what it misses by, in standard deviations, would be 1 on average
//! (prequential, Dawid 1984). Where they are more, standard errors are widened by as much.

use super::fit::{covariance, varying};
use super::prior::{Kernel, Prior};
use crate::estimator::pairs::Seen;

/// What an earlier batch counts, beside the one after it.
const KEPT: f64 = 0.5;

/// Standard errors are wider by this, for length scales are taken as if they were known. With it
/// 95 % intervals cover 96 to 98 % over the random games of `cargo xtask bench explain`.
const UNKNOWN_SCALES: f64 = 1.1;

/// Squares of standardised misses of predictions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calibration {
    n_fitted: usize,
    misses: f64,
    n: f64,
}

impl Calibration {
    /// Looks at what is new to a prior that was fitted to all pairs before.
    pub(crate) fn learn(&mut self, prior: &Prior, seen: &Seen) {
        let (n_fitted, n_pairs) = (self.n_fitted, seen.pairs.len());
        self.n_fitted = n_pairs;
        let factor = covariance(&Kernel::new(&prior.variances()), seen).cholesky();
        let (Some(factor), true) = (factor, n_fitted > 0) else { return };
        let mut standard = varying(seen);
        factor.l_dirty().solve_lower_triangular_mut(&mut standard);
        let squares = |output: usize, pairs: std::ops::Range<usize>| {
            pairs.map(|pair| standard[(pair, output)].powi(2)).sum::<f64>()
        };
        (self.misses, self.n) = (self.misses * KEPT, self.n * KEPT);
        for output in 0..standard.ncols() {
            let freedom = super::freedom(n_fitted, seen.n_players);
            let scale = squares(output, 0..n_fitted) / freedom;
            if scale > 0.0 {
                self.misses += squares(output, n_fitted..n_pairs) / scale;
                self.n += (n_pairs - n_fitted) as f64;
            }
        }
    }

    /// What standard errors are multiplied with.
    pub(crate) fn widening(&self) -> f64 {
        let missed = if self.n > 0.0 { self.misses / self.n } else { 1.0 };
        UNKNOWN_SCALES * missed.max(1.0).sqrt()
    }
}
