//! What holds of every method, on random games.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::coalition::all_coalitions;
use crate::exact::shapley_values;

/// A game of these many players with one output for each table. Shape `[n_outputs, 2^n]`.
fn game(tables: &[Vec<f64>]) -> impl FnMut(&[Coalition]) -> Result<Vec<Vec<f64>>, String> + '_ {
    |coalitions| {
        let row = |coalition: &Coalition| {
            let present = coalition.iter().enumerate();
            let index =
                present.fold(0, |index, (player, is_in)| index | usize::from(*is_in) << player);
            tables.iter().map(|table| table[index]).collect()
        };
        Ok(coalitions.iter().map(row).collect())
    }
}

fn within(
    method: Method,
    n_players: usize,
    tables: &[Vec<f64>],
    evaluations_max: usize,
) -> Estimate {
    let limits = Limits::evaluations(evaluations_max, 7);
    estimate(method, n_players, &limits, game(tables), |_| {}).expect("a table answers")
}

fn exactly(n_players: usize, table: &[f64]) -> Attribution {
    let rows: Vec<Vec<f64>> = all_coalitions(n_players)
        .iter()
        .map(|coalition| {
            let present = coalition.iter().enumerate();
            vec![
                table[present
                    .fold(0, |index, (player, is_in)| index | usize::from(*is_in) << player)],
            ]
        })
        .collect();
    shapley_values(n_players, &rows).remove(0)
}

/// A table over coalitions of the players, a bit each.
fn table(n_players: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..1 << n_players).map(of).collect()
}

fn assert_near(values: &[f64], expected: &[f64], tolerance: f64) {
    for (value, expected) in values.iter().zip(expected) {
        assert!((value - expected).abs() < tolerance, "{values:?} is not {expected:?}");
    }
}

#[test]
fn an_additive_game_is_known_from_few_coalitions() {
    let additive =
        table(9, |present| (0..9).filter(|player| present >> player & 1 == 1).map(f64::from).sum());
    let expected: Vec<f64> = (0..9).map(f64::from).collect();
    for method in [Method::Permutation, Method::Leverage, Method::Odd, Method::Gaussian] {
        let estimate = within(method, 9, std::slice::from_ref(&additive), 60);
        let tolerance = if method == Method::Gaussian { 0.01 } else { 1e-6 };
        assert_near(&estimate.attributions[0].values, &expected, tolerance);
    }
}

#[test]
fn one_player_has_it_all() {
    for method in Method::ALL {
        let estimate = within(method, 1, &[vec![2.0, 5.0]], 2);
        assert_eq!((estimate.n_evaluations, estimate.end), (2, End::Complete), "{method}");
        assert_eq!(estimate.attributions[0].values, [3.0]);
    }
}

#[test]
fn a_constant_output_is_nobody_s() {
    let tables = [vec![4.0; 512], table(9, |present| f64::from(present.count_ones()).sqrt())];
    for method in [Method::Permutation, Method::Leverage, Method::Odd, Method::Gaussian] {
        let estimate = within(method, 9, &tables, 80);
        assert_eq!(estimate.attributions[0].values, [0.0; 9], "{method}");
        assert_eq!(estimate.attributions[0].base_value, 4.0);
        assert!(estimate.attributions[1].values.iter().all(|value| value.is_finite()));
        assert!(estimate.relative_error().is_finite(), "{method}");
    }
}

#[test]
fn an_estimation_ends_at_its_limits() {
    let curved = [table(10, |present| {
        let n_present = f64::from(present.count_ones());
        n_present + n_present.powi(2).sin()
    })];
    let mut counts = Vec::new();
    let limits = Limits::evaluations(101, 1);
    let last = estimate(Method::Gaussian, 10, &limits, game(&curved), |estimate| {
        counts.push((estimate.n_evaluations, estimate.end == End::Open));
    });
    let last = last.expect("a table answers");
    assert_eq!((last.n_evaluations, last.end), (100, End::Budget), "pairs only");
    assert!(counts.is_sorted() && counts.len() > 3);
    assert_eq!(counts.iter().filter(|(_, is_open)| !is_open).count(), 1);

    let tolerant = Limits { tolerance: 0.9, ..limits };
    let early = estimate(Method::Leverage, 10, &tolerant, game(&curved), |_| {});
    let early = early.expect("a table answers");
    assert!(early.end == End::Tolerance && early.relative_error() <= 0.9);

    let asked = Cell::new(0);
    let is_over = || {
        asked.set(asked.get() + 1);
        asked.get() == 2
    };
    let hurried = Limits { is_over: &is_over, ..limits };
    let partial = estimate(Method::Gaussian, 10, &hurried, game(&curved), |_| {});
    let partial = partial.expect("a table answers");
    assert_eq!(partial.end, End::Deadline);
    assert_eq!(partial.n_evaluations, counts[1].0);
}

#[test]
fn an_enumeration_can_be_cut_early_and_is_estimated_at_doublings() {
    let curved = [table(12, |present| f64::from(present.count_ones()).sin())];
    let (n_asked, longest) = (Cell::new(0), Cell::new(0));
    let mut counts = Vec::new();
    let mut answer = game(&curved);
    let counted = |coalitions: &[Coalition]| {
        n_asked.set(n_asked.get() + 1);
        longest.set(longest.get().max(coalitions.len()));
        answer(coalitions)
    };
    let limits = Limits::evaluations(4096, 1);
    let last = estimate(Method::Exact, 12, &limits, counted, |found| {
        counts.push(found.n_evaluations);
    });
    assert_eq!(last.expect("a table answers").end, End::Complete);
    assert_eq!(counts[0], 48, "the first errors are told of 4 coalitions a player");
    assert!(counts.len() <= 9, "{counts:?}");
    assert!(n_asked.get() > 30 && longest.get() <= 128, "{n_asked:?} batches");

    let n_over = Cell::new(0);
    let is_over = || {
        n_over.set(n_over.get() + 1);
        n_over.get() == 2
    };
    let hurried = Limits { is_over: &is_over, ..limits };
    let partial = estimate(Method::Exact, 12, &hurried, game(&curved), |_| {});
    let partial = partial.expect("a table answers");
    assert_eq!(partial.end, End::Deadline, "between two doublings, too");
    assert!((49..96).contains(&partial.n_evaluations), "{}", partial.n_evaluations);
}

#[test]
fn what_is_no_number_is_not_good_enough() {
    let tables = [table(9, |present| if present == 77 { f64::NAN } else { present as f64 })];
    for method in [Method::Permutation, Method::Leverage, Method::Odd, Method::Gaussian] {
        let limits = Limits { tolerance: 0.5, ..Limits::evaluations(511, 1) };
        let estimate = estimate(method, 9, &limits, game(&tables), |_| {});
        let estimate = estimate.expect("a table answers");
        assert!(estimate.end == End::Tolerance || estimate.n_evaluations > 500, "{method}");
        let is_number = estimate.attributions[0].values.iter().all(|value| value.is_finite());
        assert!(is_number || estimate.end != End::Tolerance, "{method}");
    }
}

#[test]
fn an_error_of_the_game_is_passed_on() {
    let fails = |_: &[Coalition]| Err("the model is away");
    let error = estimate(Method::Odd, 5, &Limits::evaluations(20, 1), fails, |_| {});
    assert_eq!(error.expect_err("it fails"), "the model is away");
}

#[test]
fn intervals_of_a_network_cover_and_errors_shrink() {
    // A saturating sum with unequal players: terms of all orders.
    let curved = table(11, |present| {
        let sum: f64 = (0..11)
            .filter(|player| present >> player & 1 == 1)
            .map(|player| (f64::from(player) - 3.0) / 4.0)
            .sum();
        sum.tanh() + 0.3 * (2.0 * sum).cos()
    });
    let exact = exactly(11, &curved);
    for method in [Method::Leverage, Method::Odd, Method::Gaussian] {
        let error = |evaluations_max: usize| {
            let estimate = within(method, 11, std::slice::from_ref(&curved), evaluations_max);
            let pairs = estimate.attributions[0].values.iter().zip(&exact.values);
            pairs.map(|(value, exact)| (value - exact).powi(2)).sum::<f64>().sqrt()
        };
        let (few, many) = (error(60), error(600));
        assert!(many < few / 3.0, "{method}: {few}, {many}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Base and values sum to everybody's output at any budget, and one seed is one answer.
    #[test]
    fn values_add_up_at_any_budget(
        table in prop::collection::vec(-1e3..1e3_f64, 128),
        evaluations_max in 2..128_usize,
    ) {
        for method in Method::ALL {
            let tables = [table.clone()];
            let estimate = within(method, 7, &tables, evaluations_max);
            prop_assert!(estimate.attributions[0].gap(table[127]) < 1e-9, "{}", method);
            prop_assert_eq!(estimate.attributions[0].base_value, table[0]);
            prop_assert_eq!(&estimate, &within(method, 7, &tables, evaluations_max));
            prop_assert!(estimate.n_evaluations <= evaluations_max);
        }
    }

    /// With every coalition evaluated all methods are exact, so local accuracy, symmetry, dummy
    /// and linearity are those of the exact values.
    #[test]
    fn all_coalitions_give_exact_values(table in prop::collection::vec(-1e3..1e3_f64, 64)) {
        let exact = exactly(6, &table);
        for method in Method::ALL {
            let estimate = within(method, 6, std::slice::from_ref(&table), 64);
            prop_assert_eq!(estimate.end, End::Complete);
            prop_assert_eq!(estimate.relative_error(), 0.0);
            assert_near(&estimate.attributions[0].values, &exact.values, 1e-9);
        }
    }

    /// The values of a sum of games are the sums of their values, on the same coalitions.
    #[test]
    fn what_samples_without_looking_is_linear(
        first in prop::collection::vec(-1e3..1e3_f64, 256),
        second in prop::collection::vec(-1e3..1e3_f64, 256),
    ) {
        let sum: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
        for method in [Method::Permutation, Method::Leverage] {
            let estimate = within(method, 8, &[first.clone(), second.clone(), sum.clone()], 80);
            let [first, second, sum] = [0, 1, 2].map(|output| &estimate.attributions[output].values);
            let expected: Vec<f64> = first.iter().zip(second).map(|(a, b)| a + b).collect();
            assert_near(sum, &expected, 1e-6);
        }
    }
}
