//! A Gaussian process on the odd subspace: for models that cost more than linear algebra.
//!
//! The prior's length scales are fitted by marginal likelihood to what was seen, Shapley values and
//! their standard errors are read from the posterior, and the next pairs are those that lower the
//! errors most. Work grows with the cube of the pairs.
//!
//! Sources: Gaussian processes, their kernels and their marginal likelihood are Rasmussen &
//! Williams (2006); that values depend on the odd part alone is Fumagalli et al. (2026).

mod calibration;
mod design;
mod fit;
mod posterior;
mod prior;

use lifecycle::Attribution;
use rand::Rng;

use self::calibration::Calibration;
use self::prior::Prior;
use super::pairs::{Pair, Seen};
use super::quantile::student_quantile;
use super::sampling::Order;
use super::{Estimator, growth};

/// Pairs by leverage before the first fit.
const FIRST: usize = 8;

/// Pairs chosen at once, at least; a quarter of what was seen where that is more.
const BATCH_LEAST: usize = 4;

/// Pairs that are considered at most at one time.
const CANDIDATES_MAX: usize = 4096;

/// The estimator.
#[derive(Debug, Clone)]
pub(crate) struct Gaussian {
    order: Order,
    prior: Prior,
    calibration: Calibration,
}

impl Gaussian {
    /// Nothing seen.
    pub(crate) fn new(n_players: usize, rng: &mut impl Rng) -> Self {
        let (order, prior) = (Order::new(n_players, rng), Prior::new(n_players));
        Self { order, prior, calibration: Calibration::default() }
    }
}

impl Estimator for Gaussian {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        let n_seen = seen.pairs.len();
        if n_seen <= 1 {
            return self.order.pairs().iter().copied().take(FIRST.min(n_max)).collect();
        }
        let n_new = growth(n_seen, BATCH_LEAST, n_max);
        let open = self.order.pairs().iter().filter(|pair| seen.position(**pair).is_none());
        let mut candidates = seen.pairs.clone();
        candidates.extend(open.take(CANDIDATES_MAX.saturating_sub(n_seen).max(n_new)));
        design::next(&self.prior, &candidates, n_seen, n_new)
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        self.calibration.learn(&self.prior, seen);
        self.prior = fit::fit(&self.prior, seen);
        posterior::attributions(&self.prior, seen, self.calibration.widening())
    }

    fn quantile(&self, seen: &Seen) -> f64 {
        student_quantile(freedom(seen.pairs.len(), seen.n_players) as usize)
    }
}

/// Degrees of freedom of an output's scale: pairs less the parameters that were fitted to them; a
/// quarter of the pairs where those are few.
fn freedom(n_pairs: usize, n_players: usize) -> f64 {
    let n_pairs = n_pairs as f64;
    (n_pairs - n_players as f64 - 1.0).max(n_pairs / 4.0)
}
