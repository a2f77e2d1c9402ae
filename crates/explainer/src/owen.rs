//! Owen values (Owen 1977): how a family's Shapley value splits over its members.
//!
//! Families come in random order, each with all its members at once, but for the family that is
//! looked into, whose members come in random order. So members of one family sum to the family's
//! Shapley value in the game of families, and an explanation drilled down still adds up. By
//! enumeration: families are few.

use std::collections::BTreeMap;

use lifecycle::{Attribution, InteractionSource};

use crate::coalition::Coalition;
use crate::estimator::{End, Estimate, Interactions};
use crate::exact::weight;

/// Coalitions that [`owen_values`] evaluates for families of these sizes, at most.
pub fn n_coalitions(sizes: &[usize]) -> usize {
    sizes.iter().map(|size| 1 << (sizes.len() - 1 + size)).sum()
}

/// Splits each output over all members of all families, whose sizes are given; members of one
/// family follow each other.
///
/// `outputs` answers many coalitions at once with as many rows of outputs, in the same order; it is
/// asked once, for each coalition once. One attribution an output, without errors.
///
/// # Errors
///
/// The error of `outputs`, unchanged.
///
/// # Panics
///
/// If there is no family, one has no members, or there are more than 30 families and members of one.
pub fn owen_values<E>(
    sizes: &[usize],
    outputs: impl FnOnce(&[Coalition]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Vec<Attribution>, E> {
    assert!(sizes.iter().all(|size| *size > 0) && !sizes.is_empty(), "families with members");
    let steps = steps(sizes);
    let mut positions: BTreeMap<usize, usize> = BTreeMap::from([(0, 0)]);
    for present in steps.iter().flat_map(|step| [step.before, step.after]) {
        let next = positions.len();
        positions.entry(present).or_insert(next);
    }
    let n_players: usize = sizes.iter().sum();
    let mut coalitions = vec![Coalition::new(); positions.len()];
    for (present, position) in &positions {
        coalitions[*position] = (0..n_players).map(|player| present >> player & 1 == 1).collect();
    }
    let rows = outputs(&coalitions)?;
    assert_eq!(rows.len(), coalitions.len(), "one row a coalition");
    let row = |present: usize| &rows[positions[&present]];
    let attribution = |output: usize| {
        let mut values = vec![0.0; n_players];
        for step in &steps {
            let gain = row(step.after)[output] - row(step.before)[output];
            values[step.player] += step.weight * gain;
        }
        let standard_errors = vec![0.0; n_players];
        Attribution { base_value: rows[0][output], values, standard_errors }
    };
    Ok((0..rows[0].len()).map(attribution).collect())
}

/// The same as an estimate that is complete.
pub(crate) fn estimate<E>(
    sizes: &[usize],
    outputs: impl FnOnce(&[Coalition]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Estimate, E> {
    let mut n_evaluations = 0;
    let attributions = owen_values(sizes, |coalitions| {
        n_evaluations = coalitions.len();
        outputs(coalitions)
    })?;
    let interactions = Interactions::absent(InteractionSource::Owen);
    Ok(Estimate { attributions, interactions, quantile: 0.0, n_evaluations, end: End::Complete })
}

/// A player that joins those present, a bit each, and how probable that is.
struct Step {
    player: usize,
    before: usize,
    after: usize,
    weight: f64,
}

/// All steps of all orders that keep families together.
fn steps(sizes: &[usize]) -> Vec<Step> {
    let starts: Vec<usize> = (0..sizes.len()).map(|family| sizes[..family].iter().sum()).collect();
    let members = |family: usize| ((1_usize << sizes[family]) - 1) << starts[family];
    let mut steps = Vec::new();
    for (family, size) in sizes.iter().enumerate() {
        let others: Vec<usize> = (0..sizes.len()).filter(|other| *other != family).collect();
        for chosen in 0..1_usize << others.len() {
            let present = others.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
            let present = present.fold(0, |present, (_, other)| present | members(*other));
            let of_families = weight(sizes.len(), chosen.count_ones() as usize);
            for inside in 0..1_usize << size {
                let before = present | inside << starts[family];
                let of_members = |inside: usize| weight(*size, inside.count_ones() as usize);
                let absent = (0..*size).filter(|member| inside >> member & 1 == 0);
                steps.extend(absent.map(|member| Step {
                    player: starts[family] + member,
                    before,
                    after: before | 1 << (starts[family] + member),
                    weight: of_families * of_members(inside),
                }));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::coalition::all_coalitions;
    use crate::exact::shapley_values;

    fn owen(sizes: &[usize], game: impl Fn(&Coalition) -> f64) -> Attribution {
        let Ok(mut found) = owen_values(sizes, |coalitions| {
            assert!(coalitions.len() <= n_coalitions(sizes));
            Ok::<_, Infallible>(coalitions.iter().map(|present| vec![game(present)]).collect())
        });
        found.remove(0)
    }

    #[test]
    fn gloves_are_shared_within_the_family() {
        // One left glove, two right ones in a family: the family bargains as one.
        let game = |present: &Coalition| f64::from(present[0] && (present[1] || present[2]));
        assert_eq!(owen(&[1, 2], game).values, [0.5, 0.25, 0.25]);
        let flat = owen(&[1, 1, 1], game).values;
        assert!((flat[0] - 2.0 / 3.0).abs() < 1e-12, "Shapley values where all are alone");
    }

    proptest! {
        /// Members sum to their family's Shapley value, and families of one have it themselves.
        #[test]
        fn members_sum_to_their_family(table in prop::collection::vec(-1e3..1e3_f64, 64)) {
            let game = |present: &[bool]| {
                table[present.iter().fold(0, |row, is_in| 2 * row + usize::from(*is_in))]
            };
            let found = owen(&[2, 1, 3], |present| game(present));
            let families: Vec<Vec<f64>> = all_coalitions(3)
                .iter()
                .map(|of| vec![game(&[of[0], of[0], of[1], of[2], of[2], of[2]])])
                .collect();
            let whole = shapley_values(3, &families).remove(0).values;
            let sums: [f64; 3] =
                [found.values[..2].iter().sum(), found.values[2], found.values[3..].iter().sum()];
            for (sum, whole) in sums.iter().zip(whole) {
                prop_assert!((sum - whole).abs() < 1e-9);
            }
            prop_assert!(found.gap(game(&[true; 6])) < 1e-9);
        }
    }
}
