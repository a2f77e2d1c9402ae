//! Counterfactuals of models whose turning points are known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lifecycle::{Forecast, Frequency, Outlook, Series, StageProbabilities, UnitsForecast};
use model::Model;
use panel::{Channel, Fitted, Panel, Settings, category_units};

use super::change::tests::{cut, history};
use super::*;
use crate::explained::InProcess;

/// A model of plain arithmetic on what may be changed.
#[derive(Debug)]
struct Plain {
    /// Units and the probability of decline, from the values of all axes; NaN where not planned.
    answer: fn([f64; 5]) -> (f64, f64),
    n_calls: AtomicUsize,
}

impl Plain {
    fn new(answer: fn([f64; 5]) -> (f64, f64)) -> Self {
        Self { answer, n_calls: AtomicUsize::new(0) }
    }
}

impl Explained for Plain {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn outputs(&self, _: &[History], _: Period) -> Result<Vec<Vec<f64>>, Error> {
        Ok(Vec::new())
    }

    fn forecasts(&self, altered: &[Altered], origin: Period) -> Result<Vec<Forecast>, Error> {
        self.n_calls.fetch_add(1, Ordering::Relaxed);
        let forecast = |Altered { history, plan }: &Altered| {
            let first = |values: &[f32]| values.first().map_or(f64::NAN, |v| f64::from(*v));
            let now = |channel| f64::from(history.value(channel, origin));
            let (units, decline) = (self.answer)([
                first(&plan.prices),
                first(&plan.promotions),
                now(Channel::Price),
                now(Channel::Promotion),
                now(Channel::InStock),
            ]);
            let rest = 1.0 - decline;
            let stage = Some(StageProbabilities::from_weights([0.0, 0.0, rest, decline, 0.0]));
            Forecast {
                series: history.series.clone(),
                origin,
                units: Some(UnitsForecast {
                    means: vec![units as f32],
                    ..UnitsForecast::default()
                }),
                stage_now: stage,
                outlooks: [Outlook { turns: None, stage }; 3],
                cold_start: false,
                far_from_training: false,
            }
        };
        Ok(altered.iter().map(forecast).collect())
    }
}

const ALL: [(Channel, f32); 3] =
    [(Channel::Price, 2.0), (Channel::Promotion, 0.2), (Channel::InStock, 0.9)];

fn found(model: &Plain, bounds: &Bounds, channels: &[(Channel, f32)]) -> Counterfactuals {
    let history = history(channels);
    let what_if = WhatIf { bounds, explained: model, history: &history, cut: cut(), horizon: 4 };
    let found = what_if.counterfactuals().expect("arithmetic");
    // What is told is what the model answers to exactly the change that is told.
    for told in &found.counterfactuals {
        let again = model.forecasts(&[what_if.altered(&told.change)], cut().origin);
        let again = target::Reading::of(&again.expect("arithmetic")[0]);
        assert_eq!(again.values, told.after);
        for (axis, value) in &told.change.values {
            let range = found.ranges.iter().find(|range| range.axis == *axis).expect("known");
            assert!((range.low..=range.high).contains(value), "{axis:?} {value}");
        }
    }
    found
}

fn of(found: &Counterfactuals, target: Target) -> &Counterfactual {
    found.counterfactuals.iter().find(|told| told.target == target).expect("asked")
}

fn values(found: &Counterfactuals, target: Target) -> Vec<(Axis, f64)> {
    let told = of(found, target);
    assert!(told.is_reached, "{}", told.en);
    told.change.values.clone()
}

#[test]
fn the_smallest_change_of_one_input_is_found_to_a_thousandth() {
    // Decline leads below a price of 1.83, .915 of what it was; units rise as stock falls.
    let model = Plain::new(|[_, _, price, _, stock]| {
        (100.0 * (1.95 - stock), if price < 1.83 { 0.7 } else { 0.2 })
    });
    let found = found(&model, &Bounds::default(), &ALL);
    let [(axis, factor)] = values(&found, Target::StageNow)[..] else { panic!("one input") };
    assert_eq!(axis, Axis::RecentPrice);
    assert!((0.912..0.915).contains(&factor), "{factor}");
    let told = of(&found, Target::StageNow);
    assert_eq!((&told.was[..], &told.becomes[..]), ("maturity", "decline"));
    assert_eq!(told.output, "P(decline now)");
    assert!((told.output_before - 0.2).abs() < 1e-6 && (told.output_after - 0.7).abs() < 1e-6);
    assert_eq!(values(&found, Target::StageAhead), told.change.values);
    // 115.5 units where stock is .795; all stock takes 10 of the 105 units, not more.
    let [(axis, share)] = values(&found, Target::MoreSales)[..] else { panic!("one input") };
    assert_eq!(axis, Axis::RecentStock);
    assert!((0.79..0.796).contains(&share), "{share}");
    let fewer = of(&found, Target::FewerSales);
    assert!(!fewer.is_reached, "{}", fewer.en);
    assert_eq!(fewer.change.values, [(Axis::RecentStock, 1.0)], "as near as the bounds allow");
    assert!((fewer.output_after - 95.0).abs() < 1e-3);
}

#[test]
fn what_no_input_reaches_alone_two_may_reach() {
    let model = Plain::new(|[_, _, price, promotion, _]| {
        let is_sold_off = price < 1.7 && promotion > 0.6;
        (100.0 - price + promotion, if is_sold_off { 0.7 } else { 0.2 })
    });
    let found = found(&model, &Bounds::default(), &ALL);
    let values = values(&found, Target::StageNow);
    let axes: Vec<Axis> = values.iter().map(|(axis, _)| *axis).collect();
    assert_eq!(axes, [Axis::RecentPrice, Axis::RecentPromotion]);
    assert!(values[0].1 < 0.85 && values[1].1 > 0.6, "{values:?}");
}

#[test]
fn an_input_that_is_not_read_is_said_to_be_so() {
    let model = Plain::new(|[_, _, price, _, _]| (50.0 * price, 0.2));
    let found = found(&model, &Bounds::default(), &ALL);
    let read: Vec<Axis> =
        found.ranges.iter().filter(|range| range.is_read).map(|range| range.axis).collect();
    assert_eq!(read, [Axis::RecentPrice]);
    let stage = of(&found, Target::StageNow);
    assert!(!stage.is_reached && stage.change.values.is_empty());
    assert_eq!((stage.output_before, stage.distance), (stage.output_after, 0.0));
    assert!(stage.en.starts_with("None within bounds"), "{}", stage.en);
    let [(_, factor)] = values(&found, Target::MoreSales)[..] else { panic!("one input") };
    assert!((1.1..1.105).contains(&factor), "{factor}");
}

#[test]
fn a_plan_counts_where_it_is_read() {
    // Even a plan to keep the price says more than none; promotions sell.
    let model = Plain::new(|[price, promotion, ..]| {
        let promotion = if promotion.is_nan() { 0.0 } else { promotion };
        (100.0 + 20.0 * promotion, if price.is_nan() { 0.2 } else { 0.8 })
    });
    let found = found(&model, &Bounds::default(), &ALL);
    assert_eq!(values(&found, Target::StageNow), [(Axis::PlannedPrice, 1.0)]);
    let [(axis, share)] = values(&found, Target::MoreSales)[..] else { panic!("one input") };
    assert_eq!(axis, Axis::PlannedPromotion);
    assert!((0.5..0.51).contains(&share), "{share}");
}

#[test]
fn nothing_that_is_known_may_be_changed_where_nothing_is_known() {
    let model = Plain::new(|_| (100.0, 0.2));
    let found = found(&model, &Bounds::default(), &[]);
    assert!(found.ranges.is_empty());
    assert_eq!(found.counterfactuals.len(), 4, "turns are not forecast");
    for told in &found.counterfactuals {
        assert!(!told.is_reached && told.en.starts_with("No price"), "{}", told.en);
    }
    assert_eq!(found.series, Series::of("mug"));
}

#[test]
fn narrow_bounds_forbid_what_wide_ones_allow_and_calls_are_few() {
    let model = || Plain::new(|[_, _, price, _, _]| (50.0 * price, 0.2));
    let narrow = Bounds { price: [0.95, 1.05], ..Bounds::default() };
    let told = found(&model(), &narrow, &ALL);
    let more = of(&told, Target::MoreSales);
    assert!(!more.is_reached);
    assert_eq!(more.change.values, [(Axis::RecentPrice, 1.05)]);
    let counted = model();
    let history = history(&ALL);
    let bounds = &Bounds::default();
    let what_if = WhatIf { bounds, explained: &counted, history: &history, cut: cut(), horizon: 4 };
    let found = what_if.counterfactuals().expect("arithmetic");
    assert_eq!(found, self::found(&model(), bounds, &ALL), "nothing is left to chance");
    let n_calls = counted.n_calls.load(Ordering::Relaxed);
    assert!(n_calls <= 11, "full batches: {n_calls}");
    assert!(found.n_evaluations < 600, "{}", found.n_evaluations);
}

#[test]
fn a_network_is_turned_by_what_it_reads_and_answers_so_when_it_is_asked_again() {
    let n_periods = 110;
    let mut own = history(&[]);
    let by_week = |of: fn(f32) -> f32| (0..n_periods).map(|week| of(week as f32)).collect();
    own.channels[Channel::Units as usize] = by_week(|week| (30.0 - week / 6.0).round());
    own.channels[Channel::Price as usize] = by_week(|_| 8.0);
    own.channels[Channel::Promotion as usize] = by_week(|week| f32::from(week % 9.0 < 1.0));
    own.channels[Channel::InStock as usize] = by_week(|week| 1.0 - 0.02 * (week % 5.0));
    let panel = Panel {
        frequency: Frequency::Week,
        start: Period(0),
        n_periods,
        units_per_one: 1.0,
        share_depth: 0,
        all_lives_ended: false,
        histories: vec![own],
    };
    let settings = Settings::default_for(Frequency::Week);
    let model = Arc::new(Model::builtin().expect("compiled in"));
    let model = model.on(&Fitted::unfitted(Frequency::Week), settings).expect("by week");
    let (meta, categories) = (panel.meta(model.settings(settings)), category_units(&panel));
    let explained = InProcess::new(&model, &meta, &categories);
    let history = &panel.histories[0];
    let (cut, horizon) = (Cut::new(Frequency::Week, Period(104)), meta.settings.horizon);
    let bounds = &Bounds { sales_change: 0.01, ..Bounds::default() };
    let what_if = WhatIf { bounds, explained: &explained, history, cut, horizon };
    let found = what_if.counterfactuals().expect("a model");
    assert_eq!(found.counterfactuals.len(), Target::ALL.len());
    for range in &found.ranges {
        // No training row has a plan; the others were learnt from.
        assert_eq!(range.is_read, !range.axis.is_planned(), "{}", range.axis.name());
    }
    let served = explained.outputs(std::slice::from_ref(history), cut.origin).expect("a model");
    for (name, served) in explained.names().iter().zip(&served[0]) {
        let place = found.outputs.iter().position(|output| output == name).expect("the same names");
        assert!((found.before[place] - served).abs() <= 1e-4 * served.abs().max(1.0), "{name}");
    }
    for told in &found.counterfactuals {
        let again = explained.forecasts(&[what_if.altered(&told.change)], cut.origin);
        let again = target::Reading::of(&again.expect("a model")[0]);
        for (again, told) in again.values.iter().zip(&told.after) {
            assert!((again - told).abs() <= 1e-4 * told.abs().max(1.0), "{again} is not {told}");
        }
    }
    assert!(of(&found, Target::MoreSales).is_reached, "{}", of(&found, Target::MoreSales).en);
}
