//! Paired permutation sampling: each player is credited with the change it makes when players come
//! in random order, and in the reverse of it.
//!
//! The coalitions on the way of an order are the complements of those on the way of its reverse, so
//! the mean of both changes is a change of the odd part. A coalition is evaluated once, however
//! many orders pass it.
//!
//! Sources: the walk is Castro, Gómez & Tejada (2009); pairing each order with its reverse is the
//! antithetic sampling of Mitchell, Cooper, Frank & Holmes (2022), JMLR 23(43).

use lifecycle::Attribution;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::pairs::{Pair, Seen, pair_of};
use super::quantile::student_quantile;
use super::{Estimator, growth};

/// Orders that pass nothing new are drawn at most so often before the first unseen pairs are taken.
const DRAWS_MAX: usize = 100;

/// The estimator.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    rng: ChaCha8Rng,
    orders: Vec<Vec<usize>>,
}

impl Permutation {
    /// Nothing drawn.
    pub(crate) fn new(rng: ChaCha8Rng) -> Self {
        Self { rng, orders: Vec::new() }
    }

    /// The orders whose pairs were all seen.
    fn known(&self, seen: &Seen) -> Vec<&Vec<usize>> {
        let is_known =
            |order: &&Vec<usize>| way(order).all(|(pair, _)| seen.position(pair).is_some());
        self.orders.iter().filter(is_known).collect()
    }
}

impl Estimator for Permutation {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        let n_players = seen.n_players;
        let mut asked = Vec::new();
        let mut is_asked = vec![false; seen.n_possible()];
        let n_orders = growth(self.orders.len(), 2, usize::MAX);
        let mut n_draws = 0;
        while (n_draws < n_orders || asked.is_empty()) && n_draws < DRAWS_MAX {
            n_draws += 1;
            let mut order: Vec<usize> = (0..n_players).collect();
            order.shuffle(&mut self.rng);
            for (pair, _) in way(&order) {
                if seen.position(pair).is_none() && !is_asked[pair] {
                    is_asked[pair] = true;
                    asked.push(pair);
                }
            }
            self.orders.push(order);
        }
        if asked.is_empty() {
            asked = (0..seen.n_possible()).filter(|pair| seen.position(*pair).is_none()).collect();
        }
        asked.truncate(n_max);
        asked
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        let orders = self.known(seen);
        let of_output = |output: usize| {
            let mut gains = vec![Vec::new(); seen.n_players];
            for order in &orders {
                // With nobody present the odd part is that of everybody, negative.
                let mut before = -seen.odd[output][0];
                for (player, (pair, sign)) in order.iter().zip(way(order)) {
                    let after = sign * seen.odd[output][seen.position(pair).unwrap_or_default()];
                    gains[*player].push(after - before);
                    before = after;
                }
            }
            let values = gains.iter().map(|gains| mean(gains)).collect();
            seen.attribution(output, values, gains.iter().map(|gains| error(gains)).collect())
        };
        (0..seen.odd.len()).map(of_output).collect()
    }

    fn quantile(&self, seen: &Seen) -> f64 {
        student_quantile(self.known(seen).len().saturating_sub(1))
    }
}

/// The pairs passed after each player of an order has come, with the signs of their odd parts.
fn way(order: &[usize]) -> impl Iterator<Item = (Pair, f64)> {
    let n_players = order.len();
    let everybody = (1_usize << n_players) - 1;
    order.iter().scan(everybody, move |absent, player| {
        *absent &= !(1 << player);
        Some(pair_of(n_players, *absent))
    })
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

/// The standard error of a mean; infinite where one sample or none was drawn.
fn error(samples: &[f64]) -> f64 {
    if samples.len() < 2 {
        return f64::INFINITY;
    }
    let (n_samples, center) = (samples.len() as f64, mean(samples));
    let variance = samples.iter().map(|x| (x - center).powi(2)).sum::<f64>() / (n_samples - 1.0);
    (variance / n_samples).sqrt()
}
