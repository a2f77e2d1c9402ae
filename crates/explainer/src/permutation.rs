//! Shapley values by paired permutation sampling, for more players than can be enumerated.
//!
//! Adding the players one at a time, in random order, credits each with the change it makes;
//! walking the same order backwards too cancels much of the sampling error.
//!
//! Sources: the walk is Castro, Gómez & Tejada (2009); pairing each order with its reverse is the
//! antithetic sampling of Mitchell, Cooper, Frank & Holmes (2022), JMLR 23(43).

use lifecycle::Attribution;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::coalition::Coalition;

/// Splits each output over `n_players`, from `n_pairs` random orders and their reverses.
///
/// `outputs` answers many coalitions at once with as many rows of outputs, in the same order, and
/// must be deterministic. Base and values sum to the output with every player present at any
/// `n_pairs`, up to rounding.
///
/// # Errors
///
/// The first error of `outputs`, unchanged.
///
/// # Panics
///
/// If `n_players < 1`, `n_pairs < 2`, or `outputs` answers with another length.
pub fn shapley_values<E>(
    n_players: usize,
    n_pairs: usize,
    rng: &mut impl Rng,
    mut outputs: impl FnMut(&[Coalition]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Vec<Attribution>, E> {
    assert!(1 <= n_players, "nothing to attribute to");
    assert!(2 <= n_pairs, "a standard error needs two samples");
    let mut order: Vec<usize> = (0..n_players).collect();
    // Shape [output][player][pair].
    let mut gains: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut base_values = Vec::new();
    for _ in 0..n_pairs {
        order.shuffle(rng);
        let mut chains = growing_coalitions(order.iter().copied(), n_players);
        chains.extend(growing_coalitions(order.iter().rev().copied(), n_players));
        let rows = outputs(&chains)?;
        assert_eq!(rows.len(), chains.len(), "one row a coalition");
        let (forward, reverse) = rows.split_at(n_players + 1);
        base_values.clone_from(&forward[0]);
        gains.resize(base_values.len(), vec![Vec::new(); n_players]);
        for (step, player) in order.iter().enumerate() {
            let back = n_players - step;
            for (output, gains) in gains.iter_mut().enumerate() {
                let gain_forward = forward[step + 1][output] - forward[step][output];
                let gain_reverse = reverse[back][output] - reverse[back - 1][output];
                gains[*player].push(f64::midpoint(gain_forward, gain_reverse));
            }
        }
    }
    let attribution = |(base_value, gains): (f64, Vec<Vec<f64>>)| Attribution {
        base_value,
        values: gains.iter().map(|samples| mean(samples)).collect(),
        standard_errors: gains.iter().map(|samples| standard_error(samples)).collect(),
    };
    Ok(base_values.into_iter().zip(gains).map(attribution).collect())
}

/// From nobody to everybody, adding the players of `order` one at a time. Length `n_players + 1`.
fn growing_coalitions(order: impl Iterator<Item = usize>, n_players: usize) -> Vec<Coalition> {
    let mut coalition = vec![false; n_players];
    let mut chain = vec![coalition.clone()];
    for player in order {
        coalition[player] = true;
        chain.push(coalition.clone());
    }
    chain
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn standard_error(samples: &[f64]) -> f64 {
    let n_samples = samples.len() as f64;
    let center = mean(samples);
    let variance = samples.iter().map(|x| (x - center).powi(2)).sum::<f64>() / (n_samples - 1.0);
    (variance / n_samples).sqrt()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::coalition::all_coalitions;

    fn attribute(n_players: usize, n_pairs: usize, game: impl Fn(&[bool]) -> f64) -> Attribution {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let Ok(mut attributions) =
            shapley_values(n_players, n_pairs, &mut rng, |coalitions: &[Coalition]| {
                let rows = coalitions.iter().map(|coalition| vec![game(coalition)]).collect();
                Ok::<Vec<Vec<f64>>, Infallible>(rows)
            });
        attributions.remove(0)
    }

    #[test]
    fn an_additive_game_has_no_error() {
        let attribution = attribute(12, 2, |present| {
            present
                .iter()
                .enumerate()
                .map(|(player, is_in)| f64::from(*is_in) * player as f64)
                .sum()
        });
        for (player, value) in attribution.values.iter().enumerate() {
            assert!((value - player as f64).abs() < 1e-12);
            assert!(attribution.standard_errors[player] < 1e-12);
        }
    }

    proptest! {
        /// Local accuracy (Lundberg & Lee 2017, property 1), and the exact values lie within five
        /// standard errors, for any game of four players.
        #[test]
        fn sampled_values_agree_with_exact_ones(table in prop::collection::vec(-1e3..1e3_f64, 16)) {
            let game = |present: &[bool]| {
                table[present.iter().fold(0, |row, is_present| 2 * row + usize::from(*is_present))]
            };
            let sampled = attribute(4, 200, game);
            prop_assert!(sampled.gap(game(&[true; 4])) < 1e-9);
            let rows: Vec<Vec<f64>> = all_coalitions(4).iter().map(|coalition| vec![game(coalition)]).collect();
            let exact = crate::exact::shapley_values(4, &rows).remove(0);
            for player in 0..4 {
                let difference = (sampled.values[player] - exact.values[player]).abs();
                prop_assert!(difference <= 5.0 * sampled.standard_errors[player] + 1e-9);
            }
        }
    }
}
