//! Pairs by leverage score, without replacement.
//!
//! In the regression whose solution is the Shapley value a coalition of `s` among `n` players has
//! leverage `1 / C(n, s)`, so sizes are about equally likely (`LeverageSHAP`, Musco & Witter 2024,
//! arXiv 2410.01917). Each pair has one uniform number; ordered by that over the leverage, any
//! prefix is a sample without replacement whose inclusion probabilities, given the first number
//! that is left out, are `min(1, leverage * threshold)` (priority sampling; Duffield, Lund &
//! Thorup 2007). So a sample grows without losing its weights.

use rand::{Rng, RngExt};

use super::pairs::Pair;

/// All pairs but the first in a random order, with what they are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    n_players: usize,
    pairs: Vec<Pair>,
    /// Uniform number over leverage, ascending.
    ranks: Vec<f64>,
}

impl Order {
    /// Draws the order.
    pub(crate) fn new(n_players: usize, rng: &mut impl Rng) -> Self {
        let drawn = |pair: Pair| (rng.random::<f64>() / leverage(n_players, pair), pair);
        let mut drawn: Vec<(f64, Pair)> = (1..1 << (n_players - 1)).map(drawn).collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ranks, pairs) = drawn.into_iter().unzip();
        Self { n_players, pairs, ranks }
    }

    /// The pairs, first to last.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// How probable each of the first `n` pairs was to be among them.
    pub(crate) fn inclusion(&self, n: usize) -> Vec<f64> {
        let threshold = self.ranks.get(n).copied().unwrap_or(f64::INFINITY);
        let probability = |pair: &Pair| (leverage(self.n_players, *pair) * threshold).min(1.0);
        self.pairs[..n].iter().map(probability).collect()
    }
}

/// `1 / C(n_players, size)`, by which pairs are drawn.
fn leverage(n_players: usize, pair: Pair) -> f64 {
    1.0 / binomial(n_players, pair.count_ones() as usize)
}

/// What a pair weighs in the regression whose solution is the Shapley value (Charnes et al. 1988,
/// Lundberg & Lee 2017): `(n - 1) / (C(n, s) s (n - s))`.
pub(crate) fn kernel_weight(n_players: usize, pair: Pair) -> f64 {
    let size = pair.count_ones() as usize;
    (n_players - 1) as f64 * leverage(n_players, pair) / (size * (n_players - size)) as f64
}

/// How many subsets of `k` there are among `n`.
fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, step| product * (n - step) as f64 / (step + 1) as f64)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn sizes_are_about_equally_likely_and_every_pair_comes_once() {
        let order = Order::new(10, &mut ChaCha8Rng::seed_from_u64(1));
        let mut pairs = order.pairs().to_vec();
        pairs.sort_unstable();
        assert_eq!(pairs, (1..512).collect::<Vec<_>>());
        let small = order.pairs()[..40].iter().filter(|pair| [1, 9].contains(&pair.count_ones()));
        assert!((4..=10).contains(&small.count()), "10 of 511 pairs have one player on a side");
        assert!(order.inclusion(511).iter().all(|probability| *probability == 1.0));
    }

    #[test]
    fn a_sum_over_all_pairs_is_estimated_without_bias() {
        let exact: f64 = (1..128).map(|pair| kernel_weight(8, pair)).sum();
        let estimate = |seed| {
            let order = Order::new(8, &mut ChaCha8Rng::seed_from_u64(seed));
            let included = order.pairs().iter().zip(order.inclusion(20));
            included.map(|(pair, probability)| kernel_weight(8, *pair) / probability).sum::<f64>()
        };
        let mean = (0..2000).map(estimate).sum::<f64>() / 2000.0;
        assert!((mean / exact - 1.0).abs() < 0.01, "{mean} is not {exact}");
    }
}
