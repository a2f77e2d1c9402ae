//! Lives whose stages are known: the smoother finds them.

use std::collections::BTreeSet;

use lifecycle::season::Seasons;
use lifecycle::{ProductId, Series, StageProbabilities};
use panel::{Channel, History, Panel, Statics};

use super::products::products;
use super::*;

/// A life with its true stages: weeks of introduction, growth, maturity and decline.
fn life(durations: [usize; 4], scale: f32) -> (Vec<f32>, Vec<Stage>) {
    let [introduction, growth, maturity, decline] = durations;
    let mut units = Vec::new();
    let mut stages = Vec::new();
    let mut add = |n: usize, stage, level: &dyn Fn(f32) -> f32| {
        for week in 0..n {
            units.push((scale * level((week as f32 + 0.5) / n as f32)).round());
            stages.push(stage);
        }
    };
    add(introduction, Stage::Introduction, &|_| 0.06);
    add(growth, Stage::Growth, &|share| 0.08 + 0.92 * share);
    add(maturity, Stage::Maturity, &|_| 1.0);
    add(decline, Stage::Decline, &|share| 1.0 - share);
    (units, stages)
}

fn history(product: &str, start: i32, units: Vec<f32>) -> History {
    let mut channels: [Vec<f32>; 8] = Default::default();
    channels[Channel::Units as usize] = units;
    History {
        series: Series::of(product),
        statics: Statics::default(),
        start: Period(start),
        channels,
        corrections: Vec::new(),
        given_stage: Vec::new(),
    }
}

/// Weeks 0 to 149; every history is filled with zeros to the end.
fn panel(histories: Vec<History>) -> Panel {
    let mut panel = Panel {
        frequency: Frequency::Week,
        start: Period(0),
        n_periods: 150,
        units_per_one: 1.0,
        share_depth: 0,
        all_lives_ended: false,
        histories,
    };
    for history in &mut panel.histories {
        let n_periods = 150 - history.start.0 as usize;
        history.channels[Channel::Units as usize].resize(n_periods, 0.0);
    }
    panel
}

fn stage_at(label: &Label, index: usize) -> StageProbabilities {
    StageProbabilities::from_weights(std::array::from_fn(|stage| {
        f64::from(label.stages[index * 5 + stage])
    }))
}

/// Labels for the test with no season and the prior of these lives.
fn labels_without_season(panel: &Panel) -> Vec<Label> {
    let unseen = BTreeSet::new();
    let evidence =
        Evidence::new(panel, &unseen, Purpose::Test).with_seasons(Seasons::flat(panel.frequency));
    let smoother = Smoother::new(&evidence, 0.25);
    let [prior] = &smoother.priors[..] else { panic!("one prior") };
    assert!((prior.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(prior.iter().all(|share| *share > 0.0));
    smoother.labels()
}

fn labels(
    panel: &Panel,
    unseen: &BTreeSet<ProductId>,
    lambda: f64,
    purpose: Purpose,
) -> Vec<Label> {
    Smoother::new(&Evidence::new(panel, unseen, purpose), lambda).labels()
}

/// Forty lives of all durations that begin all over the calendar, with their true stages.
fn staggered_lives() -> (Panel, Vec<Vec<Stage>>) {
    let (mut histories, mut truths) = (Vec::new(), Vec::new());
    for n in 0..40 {
        let durations = [
            [4, 8, 12][n % 3],
            [8, 12, 18, 26][n % 4],
            [16, 26, 40][n / 3 % 3],
            [12, 20, 30, 45][n / 4 % 4],
        ];
        let (units, stages) = life(durations, 40.0 + 3.0 * n as f32);
        histories.push(history(&format!("{n:02}"), 12 + 37 * n as i32 % 130, units));
        truths.push(stages);
    }
    let mut panel = Panel { n_periods: 260, ..panel(Vec::new()) };
    for history in &mut histories {
        let n_periods = 260 - history.start.0 as usize;
        history.channels[Channel::Units as usize].resize(n_periods, 0.0);
    }
    panel.histories = histories;
    (panel, truths)
}

fn share_right(labels: &[Label], truths: &[Vec<Stage>]) -> f64 {
    let (mut n_right, mut n_weeks) = (0, 0);
    for (label, stages) in labels.iter().zip(truths) {
        let found = (0..stages.len()).map(|week| stage_at(label, week).likeliest());
        n_right += found.zip(stages).filter(|(found, stage)| found == *stage).count();
        n_weeks += stages.len();
        assert_eq!(stage_at(label, stages.len() + 10).likeliest(), Stage::Ended);
    }
    n_right as f64 / n_weeks as f64
}

#[test]
fn the_smoother_finds_the_stages_of_clean_lives() {
    let (panel, truths) = staggered_lives();
    let found = labels_without_season(&panel);
    assert_eq!(found.len(), truths.len());
    assert!(found.iter().all(|label| !label.is_left_censored));
    let share = share_right(&found, &truths);
    assert!(share > 0.97, "{share}");
    // An estimated season costs little where there is none.
    let share = share_right(&labels(&panel, &BTreeSet::new(), 0.25, Purpose::Test), &truths);
    assert!(share > 0.9, "{share}");
}

#[test]
fn every_probability_and_the_prior_sum_to_one() {
    let histories: Vec<History> =
        (0..9).map(|n| history(&n.to_string(), 3 * n, life([4, 12, 26, 20], 20.0).0)).collect();
    let panel = panel(histories);
    for label in labels_without_season(&panel) {
        assert_eq!(label.stages.len(), 5 * label.weights.len());
        for week in label.stages.chunks(5) {
            assert!((week.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn an_ended_product_is_labelled_so_and_valid_by_the_calendar() {
    let mut delisted = history("dated", 30, vec![9.0; 40]);
    delisted.statics.end = Some(Period(75));
    let panel = panel(vec![delisted, history("silent", 30, vec![9.0; 40])]);
    let found = labels(&panel, &BTreeSet::new(), 0.25, Purpose::Test);
    for (label, first_ended) in found.iter().zip([46, 40]) {
        assert_eq!(stage_at(label, first_ended).of(Stage::Ended), 1.0);
        assert_eq!(stage_at(label, first_ended - 1).of(Stage::Ended), 0.0);
        // 26 of the 150 weeks lie after week 123.
        assert!(label.at(Period(123)).is_some());
        assert!(label.at(Period(124)).is_none());
    }
    let complete = Panel { all_lives_ended: true, ..panel };
    let found = labels(&complete, &BTreeSet::new(), 0.25, Purpose::Test);
    assert!(found.iter().all(|label| label.at(Period(149)).is_some()));
}

#[test]
fn weeks_in_stock_are_needed_before_an_end_but_not_after_it() {
    let mut out_of_stock = history("out", 30, vec![9.0; 40]);
    let mut in_stock = vec![1.0; 120];
    in_stock[40..].fill(0.0);
    out_of_stock.channels[Channel::InStock as usize] = in_stock;
    let panel = panel(vec![out_of_stock]);
    let valid = |panel: &Panel| {
        let found = labels(panel, &BTreeSet::new(), 0.25, Purpose::Test);
        found[0].weights.iter().filter(|weight| **weight > 0.0).count()
    };
    assert_eq!(valid(&panel), 14);
    let mut ended = panel.clone();
    ended.histories[0].statics.end = Some(Period(69));
    assert_eq!(valid(&ended), 94);
}

#[test]
fn training_labels_are_of_seen_products_and_weighted_by_what_came_later() {
    let panel = panel((0..4).map(|n| history(&n.to_string(), 0, vec![5.0; 150])).collect());
    let unseen = BTreeSet::from([ProductId::from("2")]);
    let found = labels(&panel, &unseen, 0.25, Purpose::Training);
    let names: Vec<&str> = found.iter().map(|label| label.product.as_str()).collect();
    assert_eq!(names, ["0", "1", "3"]);
    assert!(found[0].is_left_censored);
    let weight = |week: usize| found[0].weights[week];
    assert_eq!((weight(149), weight(137), weight(136), weight(123)), (0.0, 0.0, 0.5, 1.0));
}

#[test]
fn an_unseen_product_moves_no_other_label() {
    let lives = |last: Vec<f32>| {
        let mut histories: Vec<History> =
            (0..8).map(|n| history(&n.to_string(), 20, life([4, 12, 26, 20], 30.0).0)).collect();
        histories.push(history("9", 20, last));
        panel(histories)
    };
    let unseen = BTreeSet::from([ProductId::from("9")]);
    let one = labels(&lives(vec![400.0; 100]), &unseen, 0.25, Purpose::Test);
    let other = labels(&lives(life([20, 2, 4, 8], 90.0).0), &unseen, 0.25, Purpose::Test);
    assert_eq!(one[..8], other[..8]);
    assert_ne!(one[8], other[8]);
}

#[test]
fn locations_are_summed_and_a_given_stage_is_the_label() {
    let at = |location: &str, mut history: History| {
        history.series.location = Some(location.to_owned().into());
        history
    };
    let panel = panel(vec![
        at("north", history("mug", 40, vec![4.0; 30])),
        at("south", history("mug", 30, vec![2.0; 40])),
        History { given_stage: vec![1, 2, 255], ..history("tin", 147, vec![1.0; 3]) },
    ]);
    let summed = products(&panel);
    assert_eq!((summed[0].start, summed[0].units[9], summed[0].units[10]), (Period(30), 2.0, 6.0));
    let found = labels(&panel, &BTreeSet::new(), 0.25, Purpose::Test);
    assert_eq!(found[1].weights, [1.0, 1.0, 0.0]);
    assert_eq!(stage_at(&found[1], 1).likeliest(), Stage::Maturity);
}

#[test]
fn given_stages_are_settled_at_once() {
    let given = |product: &str| History {
        given_stage: vec![2; 110],
        ..history(product, 40, vec![9.0; 110])
    };
    let all = panel(vec![given("a"), given("b")]);
    let unseen = BTreeSet::from(["b".into()]);
    for purpose in [Purpose::Training, Purpose::Test] {
        let found = labels(&all, &unseen, 0.25, purpose);
        assert_eq!(found.len(), if purpose == Purpose::Training { 1 } else { 2 });
        for label in &found {
            assert_eq!(label.weights, [1.0; 110]);
            assert_eq!(stage_at(label, 109).of(Stage::Maturity), 1.0);
        }
    }
}

#[test]
fn a_life_begins_at_its_launch_or_first_sale_not_at_the_first_row() {
    let units = [vec![0.0; 20], vec![9.0; 60]].concat();
    let mut launched = history("launched", 0, units.clone());
    launched.statics.launch = Some(Period(0));
    let panel =
        panel(vec![launched, history("unknown", 0, units), history("old", 0, vec![9.0; 60])]);
    let found = labels_without_season(&panel);
    let start_and_censored: Vec<(i32, bool)> =
        found.iter().map(|label| (label.start.0, label.is_left_censored)).collect();
    assert_eq!(start_and_censored, [(0, false), (20, false), (0, true)]);
}

#[test]
fn a_product_with_few_units_has_no_label() {
    let few = history("few", 30, vec![1.0; 14]);
    let short = history("short", 140, vec![9.0; 10]);
    assert!(labels(&panel(vec![few, short]), &BTreeSet::new(), 0.25, Purpose::Test).is_empty());
}

#[test]
fn days_are_read_as_weeks_of_life() {
    let (weekly, stages) = life([12, 18, 26, 30], 70.0);
    let days: Vec<f32> =
        weekly.iter().flat_map(|units| std::iter::repeat_n(units / 7.0, 7)).collect();
    let n_days = days.len();
    let mut daily = history("daily", 100, days);
    daily.channels[Channel::Units as usize].resize(n_days + 40, 0.0);
    let panel = Panel {
        frequency: Frequency::Day,
        n_periods: 100 + n_days + 40,
        histories: vec![daily],
        ..panel(Vec::new())
    };
    let found = labels_without_season(&panel);
    let right = (0..n_days).filter(|day| stage_at(&found[0], *day).likeliest() == stages[day / 7]);
    assert!(right.count() > n_days * 85 / 100);
    assert_eq!(stage_at(&found[0], n_days + 20).likeliest(), Stage::Ended);
}
