//! The laws of windows: nothing later is seen, origins do not disturb each other, units have no
//! fixed size.

use std::collections::BTreeSet;

use lifecycle::{Frequency, Series, Split};

use super::*;
use crate::marketplace::{N_SERIES, panel};
use crate::{
    CONTEXT_INPUTS, Channel, Correction, HORIZON_INPUTS, LEVEL_INPUTS, Panel, STATIC_INPUTS,
    Settings, Statics, category_units,
};

const SETTINGS: Settings = Settings { context: 60, horizon: 13 };

fn settings(frequency: Frequency) -> Settings {
    match frequency {
        Frequency::Day => Settings { context: 91, horizon: 28 },
        Frequency::Week => SETTINGS,
        Frequency::Month => Settings { context: 24, horizon: 12 },
    }
}

fn fit(panel: &Panel) -> Fitted {
    let settings = settings(panel.frequency);
    let split = Split::new(panel.frequency, panel.start, panel.n_periods, settings.horizon)
        .expect("long enough");
    Fitted::fit(panel, &split, &BTreeSet::new(), settings)
}

/// Windows of every series of a panel at these origins.
fn cut(panel: &Panel, fitted: &Fitted, origins: &[Period]) -> Vec<Vec<Window>> {
    let meta = panel.meta(settings(panel.frequency));
    let categories = category_units(panel);
    let cutter = Cutter::new(&meta, &categories, fitted);
    panel.histories.iter().map(|history| cutter.windows(history, origins)).collect()
}

/// Everything after the origin is something else: values, corrections known later, ends.
fn scrambled(panel: &Panel, origin: Period) -> Panel {
    let mut panel = panel.clone();
    for (number, history) in panel.histories.iter_mut().enumerate() {
        let n_known = usize::try_from(origin.since(history.start) + 1).unwrap_or(0);
        for channel in Channel::ALL {
            let values = &mut history.channels[channel as usize];
            for (step, value) in values.iter_mut().enumerate().skip(n_known) {
                *value = ((step * 31 + number * 7) % 50) as f32;
            }
        }
        // What became known later changed by other amounts; as known at the origin nothing did.
        let units = &mut history.channels[Channel::Units as usize];
        for correction in history.corrections.iter_mut().filter(|c| c.known > origin) {
            let step = correction.period.since(history.start) as usize;
            if correction.period <= origin {
                units[step] += 17.0;
                correction.change += 17.0;
            } else {
                correction.change = 3.0;
            }
        }
        history.statics.end = history.statics.end.filter(|end| *end <= origin);
    }
    panel
}

fn origins(panel: &Panel, steps: &[i32]) -> Vec<Period> {
    steps.iter().map(|step| panel.start.plus(*step)).collect()
}

#[test]
fn nothing_after_the_origin_is_seen() {
    for (frequency, n_periods, at) in [
        (Frequency::Week, 130, [3, 40, 71, 100]),
        (Frequency::Day, 500, [3, 100, 243, 400]),
        (Frequency::Month, 50, [3, 14, 27, 40]),
    ] {
        let panel = panel(frequency, n_periods, 7);
        let fitted = fit(&panel);
        for origin in origins(&panel, &at) {
            let known = cut(&panel, &fitted, &[origin]);
            assert_eq!(known, cut(&scrambled(&panel, origin), &fitted, &[origin]));
        }
    }
}

#[test]
fn fitted_state_sees_nothing_after_the_cut_and_no_unseen_product() {
    let panel = panel(Frequency::Week, 130, 8);
    let split = Split::new(Frequency::Week, panel.start, 130, 13).expect("long enough");
    let unseen = BTreeSet::from([panel.histories[3].series.product.clone()]);
    let fitted = Fitted::fit(&panel, &split, &unseen, SETTINGS);
    let mut other = scrambled(&panel, split.last_training_period());
    for units in &mut other.histories[3].channels[Channel::Units as usize] {
        *units = 999.0;
    }
    let again = Fitted::fit(&other, &split, &unseen, SETTINGS);
    let text = |fitted: &Fitted| serde_json::to_string(fitted).expect("JSON");
    assert_eq!(text(&fitted), text(&again));
    let read: Fitted = serde_json::from_str(&text(&fitted)).expect("read back");
    assert_eq!(read, fitted);
    fitted.validate(Frequency::Week).expect("of this version");
    assert!(fitted.validate(Frequency::Month).is_err());
}

#[test]
fn many_origins_give_the_bytes_of_each_alone() {
    for (frequency, n_periods) in [(Frequency::Week, 130), (Frequency::Day, 400)] {
        let panel = panel(frequency, n_periods, 9);
        let fitted = fit(&panel);
        let steps: Vec<i32> = (0..n_periods as i32).step_by(11).collect();
        let together = cut(&panel, &fitted, &origins(&panel, &steps));
        for (number, step) in steps.into_iter().enumerate().step_by(3) {
            let alone = cut(&panel, &fitted, &origins(&panel, &[step]));
            for (many, one) in together.iter().zip(&alone) {
                assert_eq!(many[number], one[0]);
            }
        }
    }
}

#[test]
fn variants_give_the_bytes_of_each_alone() {
    let panel = panel(Frequency::Week, 130, 18);
    let fitted = fit(&panel);
    let meta = panel.meta(SETTINGS);
    let categories = category_units(&panel);
    let cutter = Cutter::new(&meta, &categories, &fitted);
    let variants = Variants::new(cutter.clone());
    let origin = panel.start.plus(110);
    for history in &panel.histories {
        let mut sold_out = history.clone();
        sold_out.channels[Channel::InStock as usize] = vec![0.0; history.n_periods()];
        let mut moved = history.clone();
        moved.statics.category = vec!["toys".to_owned()];
        let mut unpriced = history.clone();
        unpriced.channels[Channel::Price as usize].clear();
        for variant in [history, &sold_out, &moved, &unpriced, history] {
            let alone = cutter.windows(variant, &[origin]).remove(0);
            assert_eq!(variants.window(variant, origin), alone, "{}", history.series);
        }
    }
}

#[test]
fn every_number_has_its_name_and_every_value_is_finite() {
    for (frequency, n_periods) in
        [(Frequency::Week, 130), (Frequency::Day, 400), (Frequency::Month, 50)]
    {
        let panel = panel(frequency, n_periods, 10);
        let fitted = fit(&panel);
        let meta = panel.meta(settings(frequency));
        let categories = category_units(&panel);
        let cutter = Cutter::new(&meta, &categories, &fitted);
        let steps: Vec<i32> = (0..n_periods as i32).step_by(7).collect();
        for history in &panel.histories {
            let origins = origins(&panel, &steps);
            for raw in cutter.raw_windows(history, &origins, None) {
                let names: Vec<&str> = raw.numbers.iter().map(|(name, _)| *name).collect();
                assert_eq!(names, STATIC_INPUTS);
                let unbounded = raw.numbers.iter().find(|(_, value)| value.is_infinite());
                assert_eq!(unbounded, None);
            }
            for window in cutter.windows(history, &origins) {
                let Settings { context, horizon } = meta.settings;
                assert_eq!(window.context.len(), context * CONTEXT_INPUTS.len());
                assert_eq!(window.horizon.len(), horizon * HORIZON_INPUTS.len());
                assert_eq!(window.statics.len(), STATIC_INPUTS.len());
                assert_eq!(window.filter.expected.len(), meta.n_outlook_periods());
                let values = window.context.iter().chain(&window.statics).chain(&window.horizon);
                assert!(values.chain(&window.filter.expected).all(|value| value.is_finite()));
                assert!(window.scale > 0.0);
            }
        }
    }
}

/// Units times `c` in every series; what one unit is stays.
fn times(panel: &Panel, c: f32) -> Panel {
    let mut panel = panel.clone();
    for history in &mut panel.histories {
        for channel in [Channel::Units, Channel::Returns] {
            for value in &mut history.channels[channel as usize] {
                *value *= c;
            }
        }
        for correction in &mut history.corrections {
            correction.change *= c;
        }
    }
    panel
}

#[test]
fn units_times_c_change_level_inputs_and_the_scale_alone() {
    let panel = panel(Frequency::Week, 130, 11);
    let fitted = fit(&panel);
    let origin = origins(&panel, &[110]);
    let is_level = |name: &&str| LEVEL_INPUTS.contains(name);
    for (one, large) in
        cut(&panel, &fitted, &origin).iter().zip(&cut(&times(&panel, 8.0), &fitted, &origin))
    {
        let (one, large) = (&one[0], &large[0]);
        assert!((large.scale / one.scale - 8.0).abs() < 1e-4, "{} {}", one.scale, large.scale);
        for (inputs, small, great) in [
            (CONTEXT_INPUTS, &one.context, &large.context),
            (STATIC_INPUTS, &one.statics, &large.statics),
            (HORIZON_INPUTS, &one.horizon, &large.horizon),
        ] {
            for (number, (a, b)) in small.iter().zip(great).enumerate() {
                let name = inputs[number % inputs.len()];
                assert!(is_level(&name) || (a - b).abs() < 1e-4, "{name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn declaring_another_unit_changes_nothing_but_the_scale() {
    let panel = panel(Frequency::Week, 130, 12);
    let declared = Panel { units_per_one: 16.0, ..times(&panel, 16.0) };
    let origin = origins(&panel, &[100]);
    let (one, other) = (fit(&panel), fit(&declared));
    for (small, large) in cut(&panel, &one, &origin).iter().zip(&cut(&declared, &other, &origin)) {
        assert_eq!(small[0].scale * 16.0, large[0].scale);
        assert_eq!(small[0].statics, large[0].statics);
        assert_eq!(small[0].context, large[0].context);
        assert_eq!(small[0].horizon, large[0].horizon);
        assert_eq!(small[0].filter, large[0].filter);
    }
}

#[test]
fn a_product_without_history_gets_the_level_of_its_category() {
    let panel = panel(Frequency::Week, 130, 13);
    let fitted = fit(&panel);
    let meta = panel.meta(SETTINGS);
    let categories = category_units(&panel);
    let cutter = Cutter::new(&meta, &categories, &fitted);
    let statics = Statics {
        category: vec!["home".to_owned(), "bowls".to_owned()],
        launch: Some(meta.last().plus(-1)),
        ..Statics::default()
    };
    let history = meta.empty_history(Series::of("new"), statics);
    let window = &cutter.windows(&history, &[meta.last()])[0];
    assert!(window.cold_start);
    assert_eq!((window.n_observed, window.age), (0, 2));
    let level = fitted.launches.level(&history.statics.category);
    assert!((f64::from(window.scale) - level).abs() < 1e-4 * level);
    assert!(window.filter.expected.iter().all(|units| *units > 0.0));
    assert!(window.context.iter().all(|value| *value == 0.0));
    // Neither category nor launch: still an answer.
    let nobody = meta.empty_history(Series::of("nobody"), Statics::default());
    assert!(cutter.windows(&nobody, &[meta.last()])[0].scale > 0.0);
    let unfitted = Fitted::unfitted(Frequency::Week);
    let none = BTreeMap::new();
    let bare = Cutter::new(&meta, &none, &unfitted);
    let windows = bare.windows(&nobody, &[meta.start, meta.last()]);
    assert!(windows.iter().all(|window| window.cold_start && window.scale > 0.0));
}

#[test]
fn observed_sales_outweigh_analogues_as_they_come_in() {
    let mut panel = panel(Frequency::Week, 130, 14);
    let fitted = fit(&panel);
    let history = &mut panel.histories[0];
    history.corrections.clear();
    history.channels = Default::default();
    history.channels[Channel::Units as usize] = vec![200.0; 130];
    let start = history.start;
    let windows = &cut(&panel, &fitted, &[start, start.plus(3), start.plus(4)])[0];
    assert!(windows[0].scale < windows[1].scale && windows[1].scale < windows[2].scale);
    assert!((windows[2].scale - 200.0).abs() < 1e-2);
    assert_eq!(
        windows.iter().map(|window| window.cold_start).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[test]
fn a_cold_start_ends_with_four_weeks_or_four_longer_periods() {
    for (frequency, n_periods, n_cold) in
        [(Frequency::Day, 400, 28), (Frequency::Week, 130, 4), (Frequency::Month, 50, 4)]
    {
        let mut panel = panel(frequency, n_periods, 21);
        let fitted = fit(&panel);
        let history = &mut panel.histories[0];
        history.channels = Default::default();
        history.channels[Channel::Units as usize] = vec![20.0; n_periods];
        let start = history.start;
        let windows = &cut(&panel, &fitted, &[start.plus(n_cold - 1), start.plus(n_cold)])[0];
        let flags = windows.iter().map(|window| window.cold_start).collect::<Vec<_>>();
        assert_eq!(flags, [true, false], "{frequency:?}");
    }
}

#[test]
fn a_stock_out_is_masked_and_moves_no_mean() {
    let mut panel = panel(Frequency::Week, 130, 15);
    let fitted = fit(&panel);
    let history = &mut panel.histories[0];
    history.corrections.clear();
    history.channels[Channel::Units as usize] = vec![10.0; 130];
    history.channels[Channel::InStock as usize] = vec![1.0; 130];
    let origin = panel.start.plus(99);
    let before = cut(&panel, &fitted, &[origin])[0][0].clone();
    for step in 92..97 {
        panel.histories[0].channels[Channel::Units as usize][step] = 0.0;
        panel.histories[0].channels[Channel::InStock as usize][step] = 0.0;
    }
    let after = cut(&panel, &fitted, &[origin])[0][0].clone();
    assert!((after.scale - before.scale).abs() < 1e-4);
    assert_eq!(after.n_observed, before.n_observed - 5);
    let at = |window: &Window, step: usize, name: &str| {
        let input = CONTEXT_INPUTS.iter().position(|input| *input == name).expect("an input");
        window.context[(SETTINGS.context + step - 100) * CONTEXT_INPUTS.len() + input]
    };
    assert_eq!((at(&after, 94, "observed"), at(&after, 94, "units")), (0.0, 0.0));
    assert_eq!(at(&after, 94, "in_stock"), 0.0);
    assert_eq!((at(&after, 97, "observed"), at(&after, 97, "units")), (1.0, 1.0_f32.asinh()));
}

#[test]
fn a_plan_reaches_the_horizon_and_nothing_else() {
    let panel = panel(Frequency::Week, 130, 16);
    let fitted = fit(&panel);
    let meta = panel.meta(SETTINGS);
    let categories = category_units(&panel);
    let cutter = Cutter::new(&meta, &categories, &fitted);
    let history = panel
        .histories
        .iter()
        .find(|history| !history.channel(Channel::Price).is_empty())
        .expect("a priced series");
    let origin = panel.start.plus(110);
    let plan = Plan { prices: vec![2.5; 4], promotions: vec![1.0] };
    let planned = cutter.window_with_plan(history, origin, &plan);
    let unplanned = &cutter.windows(history, &[origin])[0];
    assert_eq!(planned.context, unplanned.context);
    assert_eq!(planned.statics, unplanned.statics);
    let known = |window: &Window, name: &str| -> Vec<f32> {
        let input = HORIZON_INPUTS.iter().position(|input| *input == name).expect("an input");
        window.horizon.iter().skip(input).step_by(HORIZON_INPUTS.len()).copied().collect()
    };
    assert_eq!(known(unplanned, "price_known"), [0.0; 13]);
    assert_eq!(known(&planned, "price_known")[..5], [1.0, 1.0, 1.0, 1.0, 0.0]);
    assert!(known(&planned, "price")[0] < -0.5);
    assert_eq!(known(&planned, "promotion_known")[..2], [1.0, 0.0]);
}

#[test]
fn a_correction_counts_from_the_period_it_is_known_in() {
    let mut panel = panel(Frequency::Week, 130, 17);
    let fitted = fit(&panel);
    let history = &mut panel.histories[0];
    history.channels = Default::default();
    history.channels[Channel::Units as usize] = vec![4.0; 130];
    let period = |step| history.start.plus(step);
    history.corrections =
        vec![Correction { period: period(60), known: period(63), change: -5000.0 }];
    let origins = [period(62), period(63)];
    let windows = &cut(&panel, &fitted, &origins)[0];
    assert!(windows[0].scale > 100.0, "{}", windows[0].scale);
    assert!((windows[1].scale - 4.0).abs() < 1e-4);
    assert_eq!(panel.histories.len(), N_SERIES);
}
