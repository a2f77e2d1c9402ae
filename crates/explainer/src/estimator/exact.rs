//! Every pair: values without an error, by enumeration (Shapley 1953).

use lifecycle::Attribution;

use super::Estimator;
use super::pairs::{Pair, Seen};

/// Pairs asked for at once.
const BATCH: usize = 128;

/// The estimator; where the budget ends first, nothing is known but the total.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact;

impl Estimator for Exact {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        let n_seen = seen.pairs.len();
        (n_seen..n_seen + BATCH.min(n_max)).collect()
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        let unknown = vec![f64::INFINITY; seen.n_players];
        let of_output =
            |output| seen.attribution(output, vec![0.0; seen.n_players], unknown.clone());
        (0..seen.odd.len()).map(of_output).collect()
    }

    fn quantile(&self, _: &Seen) -> f64 {
        super::NORMAL_QUANTILE
    }
}
