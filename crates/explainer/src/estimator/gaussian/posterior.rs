//! Shapley values and their standard errors, given what was seen.

use lifecycle::Attribution;
use nalgebra::{Cholesky, DMatrix, Dyn};

use super::design::value_covariances;
use super::fit::factor;
use super::prior::{Kernel, Prior};
use crate::estimator::pairs::{Seen, share, values_of_terms};
use crate::estimator::walsh;

/// Means of the values, with their standard deviations times `widening`.
pub(crate) fn attributions(prior: &Prior, seen: &Seen, widening: f64) -> Vec<Attribution> {
    let (n_pairs, n_outputs) = (seen.pairs.len(), seen.odd.len());
    let variances = prior.variances();
    let factor = factor(&Kernel::new(&variances), seen);
    let odd = DMatrix::from_fn(n_pairs, n_outputs, |pair, output| seen.odd[output][pair]);
    let weights = factor.solve(&odd);
    let doubts = doubts(&variances, seen, &factor);
    let attribution = |output: usize| {
        let mut terms = vec![0.0; variances.len()];
        for (pair, at) in seen.pairs.iter().enumerate() {
            terms[*at] = weights[(pair, output)];
        }
        walsh::transform(&mut terms);
        terms.iter_mut().zip(&variances).for_each(|(term, variance)| *term *= variance);
        let fit: f64 = (0..n_pairs).map(|pair| odd[(pair, output)] * weights[(pair, output)]).sum();
        let scale = (fit / super::freedom(n_pairs, seen.n_players)).max(0.0);
        let errors = doubts.iter().map(|doubt| widening * (doubt * scale).sqrt()).collect();
        seen.attribution(output, values_of_terms(seen.n_players, &terms), errors)
    };
    (0..n_outputs).map(attribution).collect()
}

/// Posterior variances of the players' values, up to the scale of an output. Length `n_players`.
fn doubts(variances: &[f64], seen: &Seen, factor: &Cholesky<f64, Dyn>) -> Vec<f64> {
    let (n_players, n_pairs) = (seen.n_players, seen.pairs.len());
    let covariances = value_covariances(n_players, variances);
    let mut learnt =
        DMatrix::from_fn(n_pairs, n_players, |pair, player| covariances[player][seen.pairs[pair]]);
    factor.l_dirty().solve_lower_triangular_mut(&mut learnt);
    let doubt = |player: usize| {
        let terms = variances.iter().enumerate();
        let prior: f64 =
            terms.map(|(term, variance)| variance * share(n_players, term, player).powi(2)).sum();
        let learnt: f64 = (0..n_pairs).map(|pair| learnt[(pair, player)].powi(2)).sum();
        (prior - learnt).max(0.0)
    };
    (0..n_players).map(doubt).collect()
}
