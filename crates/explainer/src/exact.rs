//! Shapley values by enumeration of every coalition (Shapley 1953): exact, so their standard error
//! is 0.

use lifecycle::Attribution;

use crate::coalition::all_coalitions;

/// Splits each output over `n_players` from the outputs of all coalitions.
///
/// `outputs` has shape `[2^n_players, n_outputs]`, in the order of
/// [`all_coalitions`]. One attribution an output.
///
/// # Panics
///
/// If there is not one row a coalition.
pub fn shapley_values(n_players: usize, outputs: &[Vec<f64>]) -> Vec<Attribution> {
    let coalitions = all_coalitions(n_players);
    assert_eq!(outputs.len(), coalitions.len(), "one row a coalition");
    let weights: Vec<f64> = (0..n_players).map(|size| weight(n_players, size)).collect();
    let n_outputs = outputs[0].len();
    let mut values = vec![vec![0.0; n_players]; n_outputs];
    for (bits, coalition) in coalitions.iter().enumerate() {
        let size = coalition.iter().filter(|is_present| **is_present).count();
        for player in (0..n_players).filter(|player| !coalition[*player]) {
            let with = &outputs[bits | 1 << player];
            for (output, values) in values.iter_mut().enumerate() {
                values[player] += weights[size] * (with[output] - outputs[bits][output]);
            }
        }
    }
    let attribution = |(output, values): (usize, Vec<f64>)| Attribution {
        base_value: outputs[0][output],
        standard_errors: vec![0.0; n_players],
        values,
    };
    values.into_iter().enumerate().map(attribution).collect()
}

/// `size! (n - size - 1)! / n!`: the share of orders in which exactly these `size` players precede.
pub(crate) fn weight(n_players: usize, size: usize) -> f64 {
    let mut weight = 1.0 / n_players as f64;
    for step in 1..=size {
        weight *= step as f64 / (n_players - step) as f64;
    }
    weight
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(n_players: usize, game: impl Fn(&[bool]) -> f64) -> Attribution {
        let outputs: Vec<Vec<f64>> =
            all_coalitions(n_players).iter().map(|coalition| vec![game(coalition)]).collect();
        shapley_values(n_players, &outputs).remove(0)
    }

    #[test]
    fn an_interaction_is_shared_equally() {
        let attribution = attribute(3, |present| match present {
            [true, true, _] => 140.0,
            [true, false, _] => 130.0,
            _ => 100.0,
        });
        assert_eq!(attribution.base_value, 100.0);
        for (value, expected) in attribution.values.iter().zip([35.0, 5.0, 0.0]) {
            assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
        }
    }

    proptest! {
        /// Local accuracy, dummy and symmetry for any game of four players, the last a dummy.
        #[test]
        fn the_axioms_hold(table in prop::collection::vec(-1e3..1e3_f64, 8)) {
            let game = |present: &[bool]| {
                table[present[..3].iter().fold(0, |row, is_present| 2 * row + usize::from(*is_present))]
            };
            let attribution = attribute(4, game);
            prop_assert!(attribution.gap(game(&[true; 4])) < 1e-9);
            prop_assert!(attribution.values[3].abs() < 1e-9);
            let swapped = attribute(4, |present| game(&[present[1], present[0], present[2], true]));
            prop_assert!((swapped.values[0] - attribution.values[1]).abs() < 1e-9);
        }

        /// The values of a sum of games are the sums of their values.
        #[test]
        fn values_are_linear(
            first in prop::collection::vec(-1e3..1e3_f64, 8),
            second in prop::collection::vec(-1e3..1e3_f64, 8),
        ) {
            let row = |present: &[bool]| {
                present.iter().fold(0, |row, is_present| 2 * row + usize::from(*is_present))
            };
            let sum = attribute(3, |present| first[row(present)] + second[row(present)]);
            let (first, second) =
                (attribute(3, |present| first[row(present)]), attribute(3, |present| second[row(present)]));
            for player in 0..3 {
                let expected = first.values[player] + second.values[player];
                prop_assert!((sum.values[player] - expected).abs() < 1e-9);
            }
        }
    }
}
