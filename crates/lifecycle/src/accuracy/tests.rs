//! Measures of accuracy against closed forms and laws.

use proptest::prelude::*;

use super::*;

fn at(value: f32) -> [f32; N_LEVELS] {
    [value; N_LEVELS]
}

#[test]
fn pinball_weighs_each_side_by_its_level() {
    assert_eq!(pinball(0.9, 10.0, 8.0), 1.8);
    assert!((pinball(0.9, 8.0, 10.0) - 0.2).abs() < 1e-12);
    assert_eq!(pinball(0.5, 3.0, 3.0), 0.0);
}

#[test]
fn a_point_forecast_has_its_absolute_error_as_wql() {
    // Twice the pinball loss of one point at symmetric levels is the absolute error.
    assert!((quantile_loss(10.0, &at(7.0)) - 3.0).abs() < 1e-6);
    let rows = [at(7.0), at(4.0)];
    let wql = wql([(10.0, &rows[0][..]), (2.0, &rows[1][..])]).expect("units");
    assert!((wql - 5.0 / 12.0).abs() < 1e-6);
    assert_eq!(super::wql([(0.0, &rows[0][..])]), None);
}

#[test]
fn all_zeros_have_a_wql_of_one() {
    let zeros = at(0.0);
    let rows = [1.0, 5.0, 0.0].map(|units| (units, &zeros[..]));
    assert!((wql(rows).expect("units") - 1.0).abs() < 1e-12);
}

#[test]
fn scaled_errors_are_one_for_the_naive_forecast_of_its_own_history() {
    let history = [1.0, 3.0, 2.0, f32::NAN, 4.0, 4.0, 6.0];
    let scale = naive_errors(&history, 1).expect("changes");
    assert_eq!(scale, NaiveErrors { absolute: 5.0 / 4.0, squared: 9.0 / 4.0 });
    let (units, forecast) = ([3.0, 2.0, 6.0, 4.0], [1.0, 3.0, 4.0, 4.0]);
    assert!((mase(&units, &forecast, scale).expect("rows") - 1.0).abs() < 1e-12);
    assert!((rmsse(&units, &forecast, scale).expect("rows") - 1.0).abs() < 1e-12);
    assert_eq!(naive_errors(&[2.0, 2.0, 2.0], 1), None);
    assert_eq!(naive_errors(&[2.0, 3.0], 2), None);
    assert_eq!(mase(&[f32::NAN], &[1.0], scale), None);
}

#[test]
fn bias_is_the_share_by_which_the_forecast_is_too_high() {
    let bias = |units: &[f32], means: &[f32]| super::bias(units, means);
    assert!((bias(&[4.0, 6.0], &[6.0, 6.0]).expect("units") - 0.2).abs() < 1e-12);
    assert!((bias(&[4.0, f32::NAN], &[2.0, 9.0]).expect("units") + 0.5).abs() < 1e-12);
    assert_eq!(bias(&[0.0], &[1.0]), None);
}

#[test]
fn a_quantile_of_zero_covers_all_levels_below_the_share_of_zeros() {
    let mut coverage = Coverage::default();
    for units in [0.0, 0.0, 0.0, 2.0] {
        coverage.add(units, 0.0);
    }
    assert_eq!(coverage.gap(0.5), 0.0);
    assert!((coverage.gap(0.9) - 0.15).abs() < 1e-12);
    assert_eq!(Coverage::default().gap(0.5), 0.0);
}

#[test]
fn the_distribution_spans_its_atoms() {
    let mut quantiles = at(0.0);
    for (quantile, value) in quantiles[7..].iter_mut().zip([1.0, 1.0, 2.0, 4.0, 6.0, 8.0]) {
        *quantile = value;
    }
    // Zero up to .5; in whole units .5 lies halfway from zero to one.
    let (below, at_most) = distribution_span(0.0, &quantiles, 1.0);
    assert_eq!(below, 0.0);
    assert!((at_most - 0.55).abs() < 1e-9);
    assert_eq!(distribution_span(9.0, &quantiles, 1.0), (1.0, 1.0));
    assert_eq!(distribution_span(1.0, &quantiles, 0.0), (0.6, 0.7));
    assert!((randomised_pit(0.0, &quantiles, 1.0, 0.5) - 0.275).abs() < 1e-9);
}

#[test]
fn probabilities_are_scored_by_closed_forms() {
    assert!((brier(0.2, true) - 0.64).abs() < 1e-12);
    assert!((log_loss(0.25, true) - 4.0_f64.ln()).abs() < 1e-12);
    assert_eq!(log_loss(0.0, true), -CLIP.ln());
    let even = [0.25; 4];
    assert!((cross_entropy(&even, &[0.0, 1.0, 0.0, 0.0]) - 4.0_f64.ln()).abs() < 1e-12);
    assert!((entropy(&even) - 4.0_f64.ln()).abs() < 1e-12);
    let sure = [1.0, 0.0, 0.0, 0.0];
    assert_eq!(ranked_probability_score(&sure, &sure), 0.0);
    assert_eq!(ranked_probability_score(&sure, &[0.0, 0.0, 0.0, 1.0]), 3.0);
    assert_eq!(ranked_probability_score(&sure, &[0.0, 1.0, 0.0, 0.0]), 1.0);
}

#[test]
fn macro_f1_leaves_out_classes_that_never_occur() {
    assert_eq!(macro_f1(&[[5.0, 0.0], [0.0, 2.0]]), Some(1.0));
    assert_eq!(macro_f1(&[[5.0, 0.0], [0.0, 0.0]]), Some(1.0));
    let f1 = macro_f1(&[[3.0, 1.0], [1.0, 1.0]]).expect("rows");
    assert!((f1 - f64::midpoint(0.75, 0.5)).abs() < 1e-12);
    assert_eq!(macro_f1(&[[0.0; 3]; 3]), None);
}

prop_compose! {
    fn distribution()(weights in prop::array::uniform4(0.01..1.0)) -> [f64; 4] {
        let total: f64 = weights.iter().sum();
        weights.map(|weight: f64| weight / total)
    }
}

proptest! {
    #[test]
    fn the_label_itself_is_the_best_forecast(label in distribution(), other in distribution()) {
        prop_assert!(cross_entropy(&label, &label) <= cross_entropy(&other, &label) + 1e-9);
        prop_assert!((cross_entropy(&label, &label) - entropy(&label)).abs() < 1e-9);
        let own = ranked_probability_score(&label, &label);
        prop_assert!(own <= ranked_probability_score(&other, &label) + 1e-12);
    }

    #[test]
    fn wql_ignores_the_unit_of_sales(
        units in prop::collection::vec(0.0..50.0_f64, 1..9), unit in 0.1..10.0_f64, point in 0.0..50.0_f32
    ) {
        prop_assume!(units.iter().sum::<f64>() > 1.0);
        let row = at(point);
        let scaled_row = row.map(|quantile| (f64::from(quantile) * unit) as f32);
        let plain = wql(units.iter().map(|units| (*units, &row[..]))).expect("units");
        let scaled = wql(units.iter().map(|units| (units * unit, &scaled_row[..]))).expect("units");
        prop_assert!((plain - scaled).abs() < 1e-4 * plain.max(1.0));
    }

    #[test]
    fn the_span_of_a_distribution_rises_with_the_units(
        mut quantiles in prop::array::uniform13(0.0..20.0_f32), less in 0..20_u8, more in 0..20_u8
    ) {
        quantiles.sort_by(f32::total_cmp);
        let (less, more) = (less.min(more), less.max(more));
        let low = distribution_span(f64::from(less), &quantiles, 1.0);
        let high = distribution_span(f64::from(more), &quantiles, 1.0);
        prop_assert!(0.0 <= low.0 && low.0 <= low.1 && high.1 <= 1.0);
        prop_assert!(low.0 <= high.0 && low.1 <= high.1);
    }

    #[test]
    fn brier_is_proper(chance in 0.0..1.0_f64, said in 0.0..1.0_f64) {
        let expected = |p| chance * brier(p, true) + (1.0 - chance) * brier(p, false);
        prop_assert!(expected(chance) <= expected(said) + 1e-12);
    }
}
