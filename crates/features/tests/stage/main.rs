//! The stage as a whole: a data set's directory in, a features directory out.

mod shop;

use std::path::Path;

use features::{Config, Error, Inputs, Summary};
use lifecycle::{ErrorKind, Frequency, Period, Unwatched};
use panel::{Channel, Cutter, Window, category_units};
use tables::FeaturesDir;

use crate::shop::Shop;

fn run(dataset: &Path, output: &Path) -> Result<Summary, Error> {
    let config = Config { shard_series: 7, ..Config::default() };
    features::run(&config, &Inputs { dataset }, output, &Unwatched)
}

/// Features of a shop; keep the directory as long as they are read.
fn features_of(shop: &Shop) -> (tempfile::TempDir, FeaturesDir) {
    let root = tempfile::tempdir().expect("a directory");
    let (dataset, output) = (root.path().join("dataset"), root.path().join("features"));
    std::fs::create_dir(&output).expect("created");
    shop.write(&dataset);
    run(&dataset, &output).expect("features");
    let opened = FeaturesDir::open(output).expect("opened");
    (root, opened)
}

fn bytes(root: &tempfile::TempDir, file: &str) -> Vec<u8> {
    std::fs::read(root.path().join("features").join(file)).expect("read")
}

/// All windows at every fourth origin up to the cut.
fn windows_of(features: &FeaturesDir) -> Vec<Window> {
    let panel = features.panel().expect("a panel");
    let categories = category_units(&panel);
    let cutter = Cutter::new(features.meta(), &categories, features.fitted());
    let last = features.split().last_training_period();
    let mut windows = Vec::new();
    for history in &panel.histories {
        let origins: Vec<Period> =
            (history.start.0..=last.0).rev().step_by(4).map(Period).collect();
        let origins: Vec<Period> = origins.into_iter().rev().collect();
        windows.extend(cutter.windows(history, &origins));
    }
    windows
}

#[test]
fn what_comes_after_the_cut_changes_nothing_before_it() {
    let shop = Shop::new(7);
    let (root, features) = features_of(&shop);
    let frequency = features.meta().frequency;
    let last_day = frequency.last_day(features.split().last_training_period());
    let scrambled = shop.scrambled_after(last_day);
    assert!(scrambled != shop);
    let (other_root, other) = features_of(&scrambled);
    for file in ["fitted.json", "labels-train.parquet", "split.json", "index.parquet"] {
        assert!(bytes(&root, file) == bytes(&other_root, file), "{file}");
    }
    let test = "labels-test.parquet";
    assert!(bytes(&root, test) != bytes(&other_root, test));
    // Debug prints each number such that other bits print otherwise.
    let (windows, others) = (windows_of(&features), windows_of(&other));
    assert!(windows.len() > 150);
    assert_eq!(windows.len(), others.len());
    for (window, other) in windows.iter().zip(&others) {
        assert_eq!(format!("{window:?}"), format!("{other:?}"));
    }
}

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let root = tempfile::tempdir().expect("a directory");
    let dataset = root.path().join("dataset");
    Shop::new(3).write(&dataset);
    let outputs = [1, 2].map(|n_threads| {
        let output = root.path().join(n_threads.to_string());
        std::fs::create_dir(&output).expect("created");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| run(&dataset, &output)).expect("features");
        output
    });
    let files = ["panel.json", "split.json", "fitted.json", "index.parquet", "reliability.json"];
    let tables = ["labels-train.parquet", "labels-test.parquet", "panel/shard-000.parquet"];
    for file in files.into_iter().chain(tables) {
        let [one, two] = outputs.each_ref().map(|it| std::fs::read(it.join(file)).expect("read"));
        assert!(one == two, "{file}");
    }
}

#[test]
fn the_panel_comes_back_sorted_over_shards_and_the_index_finds_each_series() {
    let (_root, features) = features_of(&Shop::new(5));
    let histories = features.histories().expect("histories");
    assert!(features.n_shards() > 2);
    assert!(histories.is_sorted_by_key(|history| history.series.clone()));
    for row in features.index().expect("an index") {
        let shard = features.shard(row.shard as usize).expect("a shard");
        let history = &shard[row.row as usize];
        assert_eq!(history.series, row.series);
        assert_eq!((history.start.0, history.n_periods()), (row.start, row.n_periods as usize));
        assert_eq!(features.unseen().contains(&row.series.product), row.is_unseen);
    }
    let trained = features.labels_train().expect("labels");
    assert!(!trained.is_empty());
    assert!(trained.iter().all(|label| !features.unseen().contains(&label.product)));
    let last = features.split().last_training_period();
    let within = |label: &tables::Label| label.start.plus(label.weights.len() as i32 - 1) == last;
    assert!(trained.iter().all(within));
    assert!(features.labels_test().expect("labels").len() > trained.len());
}

#[test]
fn a_closed_week_is_no_sale_of_anybody() {
    let (_root, features) = features_of(&Shop::new(5));
    let closed = features.meta().frequency.period_of(shop::CLOSED);
    for history in features.histories().expect("histories") {
        if history.start <= closed {
            assert!(history.value(Channel::Units, closed).is_nan());
            assert!(history.value(Channel::Units, closed.plus(1)).is_finite());
        }
    }
}

#[test]
fn a_monthly_panel_keeps_its_holes() {
    let root = tempfile::tempdir().expect("a directory");
    let (dataset, output) = (root.path().join("dataset"), root.path().join("features"));
    std::fs::create_dir(&output).expect("created");
    let holes = shop::write_monthly_panel(&dataset);
    let summary = run(&dataset, &output).expect("features");
    // The last day given is the first of the last month: the month counts all the same.
    assert_eq!((summary.n_periods, summary.n_closed, summary.horizon), (51, 0, 12));
    let features = FeaturesDir::open(output).expect("opened");
    assert_eq!(features.meta().frequency, Frequency::Month);
    let missing: usize = features
        .histories()
        .expect("histories")
        .iter()
        .map(|history| {
            history.channel(Channel::Units).iter().filter(|units| units.is_nan()).count()
        })
        .sum();
    assert_eq!(missing, holes);
}

#[test]
fn errors_say_who_has_to_act() {
    let root = tempfile::tempdir().expect("a directory");
    let nowhere = run(&root.path().join("nowhere"), root.path()).expect_err("no data");
    assert_eq!(nowhere.kind(), ErrorKind::Data);
    assert!(nowhere.to_string().contains("dataset.json"));
    let dataset = root.path().join("dataset");
    Shop::new(1).write(&dataset);
    let config = Config { cut: Some(500), ..Config::default() };
    let inputs = Inputs { dataset: &dataset };
    let error = features::run(&config, &inputs, root.path(), &Unwatched).expect_err("too late");
    assert_eq!(error.kind(), ErrorKind::Usage);
    std::fs::write(dataset.join("sales/part-001.parquet"), "PAR1 cut short").expect("written");
    let damaged = run(&dataset, root.path()).expect_err("damaged");
    assert_eq!(damaged.kind(), ErrorKind::Data);
    assert!(format!("{damaged:?}").contains("part-001.parquet"));
}

#[test]
fn what_comes_after_the_cut_does_not_choose_lambda() {
    let shop = Shop::new(7);
    let (_root, features) = features_of(&shop);
    let last_day = Frequency::Week.last_day(features.split().last_training_period());
    let (_other_root, other) = features_of(&shop.scrambled_after(last_day));
    let [one, other] =
        [features, other].map(|features| features.reliability().expect("read").expect("labels"));
    assert!(one.lambda_fit.is_some());
    assert_eq!(one.lambda_fit, other.lambda_fit);
    assert_eq!(one.lambda, one.lambda_fit.and_then(|fit| fit.chosen()).expect("tried"));
    assert_ne!(one.halves, other.halves);
}

#[test]
fn across_halves_inputs_and_labels_come_from_different_buyers() {
    let root = tempfile::tempdir().expect("a directory");
    let dataset = root.path().join("dataset");
    Shop::new(3).write(&dataset);
    let made = |name: &str, cross_half| {
        let output = root.path().join(name);
        std::fs::create_dir(&output).expect("created");
        let config = Config { cross_half, label_lambda: Some(0.25), ..Config::default() };
        let made = features::run(&config, &Inputs { dataset: &dataset }, &output, &Unwatched);
        made.map(|_| FeaturesDir::open(output).expect("opened"))
    };
    let units = |features: &FeaturesDir| -> f32 {
        let histories = features.histories().expect("histories");
        let units = histories.iter().flat_map(|history| history.channel(Channel::Units));
        units.filter(|units| units.is_finite()).sum()
    };
    let (whole, half) = (made("whole", false).expect("made"), made("half", true).expect("made"));
    let share = units(&half) / units(&whole);
    assert!((0.4..0.6).contains(&share), "{share}");
    assert!(whole.labels_test().expect("labels") != half.labels_test().expect("labels"));
    let has_views = |history: &panel::History| !history.channel(Channel::Views).is_empty();
    assert!(!half.histories().expect("histories").iter().any(has_views));

    let file = dataset.join("dataset.json");
    let text = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, text.replace(r#""order""#, "null")).expect("written");
    assert!(made("as before", false).is_ok());
    let error = made("no halves", true).expect_err("nothing to cut by");
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(format!("{error:?}").contains("map `customer`"), "{error:?}");
}
