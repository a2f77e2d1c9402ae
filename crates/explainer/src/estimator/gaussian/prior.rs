//! What is thought of a game before it is seen: a Gaussian process on the odd subspace.
//!
//! The coefficients of odd terms are independent normals, the variance of a term being the product
//! of its players' length scales (automatic relevance determination), times a factor where it has
//! more than one player. With a scale below 1 that is, up to the factor, the odd part of the
//! product kernel over coalitions; but here variances of terms come first, and the covariance of
//! two pairs is their Walsh-Hadamard transform, looked up at where the two differ.

use crate::estimator::pairs::{Pair, players_of_term};
use crate::estimator::walsh;

/// Where the logarithm of a player's scale starts, and whither it is drawn.
const LOG_SCALE: f64 = -1.2;

/// Standard deviation of all parameters around their start: wide, so that it only holds what the
/// data says nothing about.
const SPREAD: f64 = 2.0;

/// Factors of terms with three players and more, and with five and more.
const N_FACTORS: usize = 2;

/// How many factors a term of so many players has.
fn n_factors(n_players_of_term: u32) -> usize {
    (n_players_of_term as usize / 2).min(N_FACTORS)
}

/// The prior, up to the scale of each output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prior {
    /// Logarithms of the players' scales, and of the two factors. Length `n_players + 2`.
    pub(crate) parameters: Vec<f64>,
}

impl Prior {
    /// All players alike.
    pub(crate) fn new(n_players: usize) -> Self {
        let mut parameters = vec![LOG_SCALE; n_players];
        parameters.extend([0.0; N_FACTORS]);
        Self { parameters }
    }

    /// How many players there are.
    pub(crate) fn n_players(&self) -> usize {
        self.parameters.len() - N_FACTORS
    }

    /// Variances of the terms. Length `2^(n_players - 1)`.
    pub(crate) fn variances(&self) -> Vec<f64> {
        let n_players = self.n_players();
        let scales: Vec<f64> = self.parameters.iter().map(|log| log.exp()).collect();
        let (last, factors) = (scales[n_players - 1], &scales[n_players..]);
        let mut products = vec![1.0; 1 << (n_players - 1)];
        for term in 1..products.len() {
            products[term] = products[term & (term - 1)] * scales[term.trailing_zeros() as usize];
        }
        let variance = |(term, product): (usize, f64)| {
            let product = if term.count_ones() % 2 == 0 { product * last } else { product };
            let n_factors = n_factors(players_of_term(n_players, term).count_ones());
            product * factors[..n_factors].iter().product::<f64>()
        };
        products.into_iter().enumerate().map(variance).collect()
    }

    /// What a slope by the logarithm of each variance says of each parameter.
    pub(crate) fn slopes(&self, by_term: &[f64]) -> Vec<f64> {
        let n_players = self.n_players();
        let mut slopes = vec![0.0; self.parameters.len()];
        for (term, slope) in by_term.iter().enumerate() {
            let players = players_of_term(n_players, term);
            for factor in 0..n_factors(players.count_ones()) {
                slopes[n_players + factor] += slope;
            }
            let mut left = players;
            while left != 0 {
                slopes[left.trailing_zeros() as usize] += slope;
                left &= left - 1;
            }
        }
        slopes
    }

    /// How little likely the parameters are in themselves, and its slope.
    pub(crate) fn surprise(&self) -> (f64, Vec<f64>) {
        let start = Self::new(self.n_players()).parameters;
        let apart = self.parameters.iter().zip(start).map(|(at, start)| (at - start) / SPREAD);
        let apart: Vec<f64> = apart.collect();
        let surprise = apart.iter().map(|apart| apart * apart / 2.0).sum();
        (surprise, apart.iter().map(|apart| apart / SPREAD).collect())
    }
}

/// Covariances of odd parts: of pairs `a` and `b` at `a ^ b`. Length `2^(n_players - 1)`.
#[derive(Debug, Clone)]
pub(crate) struct Kernel(Vec<f64>);

impl Kernel {
    /// The kernel of these variances.
    pub(crate) fn new(variances: &[f64]) -> Self {
        let mut kernel = variances.to_vec();
        walsh::transform(&mut kernel);
        Self(kernel)
    }

    /// The covariance of two pairs.
    pub(crate) fn at(&self, a: Pair, b: Pair) -> f64 {
        self.0[a ^ b]
    }

    /// Added to the variance of what is seen, so that rounding of the model is no signal.
    pub(crate) fn nugget(&self) -> f64 {
        1e-9 * self.0[0]
    }
}
