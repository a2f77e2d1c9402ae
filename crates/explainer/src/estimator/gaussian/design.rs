//! Which pairs to evaluate next: those that leave the least doubt about the Shapley values.
//!
//! A Gaussian process knows its posterior variance before it sees an answer, so pairs are taken
//! greedily by how much each lowers the sum of the variances of all players' values (a Bayesian
//! A-optimal design for a linear functional; Bayesian quadrature, O'Hagan 1991). Conditioning is a
//! Cholesky factorisation that grows by a row a pair, over all candidates at once.

use super::prior::{Kernel, Prior};
use crate::estimator::pairs::{Pair, share};
use crate::estimator::walsh;

/// Candidates, and what is known of them and of the values after some pairs were seen.
struct Conditioned<'a> {
    kernel: &'a Kernel,
    candidates: &'a [Pair],
    /// Rows of the factorisation. Shape `[n_seen, n_candidates]`.
    rows: Vec<Vec<f64>>,
    /// Posterior variance of each candidate's odd part.
    variances: Vec<f64>,
    /// Posterior covariance of values and odd parts. Shape `[n_players, n_candidates]`.
    covariances: Vec<Vec<f64>>,
}

impl Conditioned<'_> {
    /// Sees the candidate at this position.
    fn see(&mut self, position: usize) {
        let deviation = self.variances[position].max(self.kernel.nugget()).sqrt();
        let seen = self.candidates[position];
        let mut row: Vec<f64> =
            self.candidates.iter().map(|candidate| self.kernel.at(seen, *candidate)).collect();
        for earlier in &self.rows {
            let factor = earlier[position];
            row.iter_mut().zip(earlier).for_each(|(row, earlier)| *row -= factor * earlier);
        }
        for row in &mut row {
            *row /= deviation;
        }
        for covariances in &mut self.covariances {
            let factor = covariances[position] / deviation;
            covariances.iter_mut().zip(&row).for_each(|(of, row)| *of -= factor * row);
        }
        self.variances.iter_mut().zip(&row).for_each(|(of, row)| *of -= row * row);
        self.rows.push(row);
    }

    /// By how much seeing each candidate lowers the sum of the variances of values.
    fn gains(&self) -> Vec<f64> {
        let mut gains = vec![0.0; self.candidates.len()];
        for covariances in &self.covariances {
            gains.iter_mut().zip(covariances).for_each(|(gain, of)| *gain += of * of);
        }
        let least = self.kernel.nugget();
        gains.iter_mut().zip(&self.variances).for_each(|(gain, of)| *gain /= of.max(least));
        gains
    }
}

/// Covariances of each player's value and all odd parts. Shape
/// `[n_players, 2^(n_players - 1)]`.
pub(crate) fn value_covariances(n_players: usize, variances: &[f64]) -> Vec<Vec<f64>> {
    let of_player = |player: usize| {
        let terms = variances.iter().enumerate();
        let mut covariances: Vec<f64> =
            terms.map(|(term, variance)| variance * share(n_players, term, player)).collect();
        walsh::transform(&mut covariances);
        covariances
    };
    (0..n_players).map(of_player).collect()
}

/// The next `n_new` pairs among candidates, of which the first `n_seen` were seen.
pub(crate) fn next(prior: &Prior, candidates: &[Pair], n_seen: usize, n_new: usize) -> Vec<Pair> {
    let n_players = prior.n_players();
    let variances = prior.variances();
    let kernel = Kernel::new(&variances);
    let covariances = value_covariances(n_players, &variances);
    let of_candidates = |of: &Vec<f64>| candidates.iter().map(|pair| of[*pair]).collect();
    let mut known = Conditioned {
        kernel: &kernel,
        candidates,
        rows: Vec::new(),
        variances: vec![kernel.at(0, 0) + kernel.nugget(); candidates.len()],
        covariances: covariances.iter().map(of_candidates).collect(),
    };
    let mut is_seen = vec![false; candidates.len()];
    for (position, is_seen) in is_seen.iter_mut().enumerate().take(n_seen) {
        known.see(position);
        *is_seen = true;
    }
    let mut chosen = Vec::new();
    for _ in 0..n_new.min(candidates.len() - n_seen) {
        let gains = known.gains();
        let open = (0..candidates.len()).filter(|position| !is_seen[*position]);
        // The first of equals.
        let best = open.reduce(|best, other| if gains[other] > gains[best] { other } else { best });
        let Some(best) = best else { break };
        known.see(best);
        is_seen[best] = true;
        chosen.push(candidates[best]);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_chosen_that_tell_of_players_who_matter() {
        let mut prior = Prior::new(6);
        // The last three players hardly matter.
        prior.parameters[3..6].fill(-6.0);
        let candidates: Vec<Pair> = (0..32).collect();
        let chosen = next(&prior, &candidates, 1, 3);
        // Signs of the first three in the seen pair and these: all four ways to tell them apart.
        let mut told: Vec<usize> = chosen.iter().map(|pair| pair & 0b111).collect();
        told.push(0);
        for pair in &mut told {
            *pair = (*pair).min(*pair ^ 0b111);
        }
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), 4, "{chosen:?}");
    }

    #[test]
    fn no_pair_is_chosen_twice_and_all_are_in_the_end() {
        let mut chosen = next(&Prior::new(4), &[3, 0, 1, 2, 4, 5, 6, 7], 2, 100);
        chosen.sort_unstable();
        assert_eq!(chosen, [1, 2, 4, 5, 6, 7]);
    }
}
