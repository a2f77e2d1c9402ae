//! The stage on a small features artifact, by a model of random weights.

mod shop;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifecycle::{Forecast, Frequency, Period, Series, Unwatched};
use model::{
    Architecture, Calibration, Description, Dimensions, Kind, Member, Model, Network, Size,
    initial_weights,
};
use panel::{CONTEXT_INPUTS, HORIZON_INPUTS, STATIC_INPUTS};
use predictor::{Config, Inputs, LoadedPanel, Manifest, Predictor, run};
use tables::FeaturesDir;

/// A features artifact and a model of random weights, in one directory.
fn world(directory: &Path) -> (PathBuf, PathBuf) {
    let (features, model) = (directory.join("features"), directory.join("model"));
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    std::fs::create_dir_all(&model).expect("a folder");
    random_model(&features, Frequency::Week).save(&model).expect("saved");
    (features, model)
}

fn random_model(features: &Path, frequency: Frequency) -> Model {
    let dimensions = Dimensions {
        context: shop::SETTINGS.context,
        horizon: shop::SETTINGS.horizon,
        n_context_inputs: CONTEXT_INPUTS.len(),
        n_static_inputs: STATIC_INPUTS.len(),
        n_horizon_inputs: HORIZON_INPUTS.len(),
    };
    let network = Network::patches(Architecture::new(Kind::Transformer, Size::Tiny, dimensions));
    let member = Member { kind: Kind::Transformer, size: Size::Tiny };
    let mut description = Description::new(vec![member], dimensions);
    description.training.n_turn_rows = 1;
    description.training.n_stage_rows = 1;
    let correlations = model::Dependence::independent(dimensions.horizon).correlations().to_vec();
    let calibration = Calibration { correlations, ..Calibration::default() };
    description.calibrations.insert(frequency, calibration);
    let weights = initial_weights(&network.layout(), 1);
    let fitted = FeaturesDir::open(features).expect("opens").fitted().clone();
    Model::new(description, &[network], weights, fitted)
}

fn loaded_panel(features: &Path, panel: panel::Panel) -> Arc<LoadedPanel> {
    let fitted = FeaturesDir::open(features).expect("opens").fitted().clone();
    Arc::new(LoadedPanel::new(panel, shop::SETTINGS, fitted))
}

fn written(config: &Config, features: &Path, model: &Path, output: &Path) -> Vec<Forecast> {
    std::fs::create_dir_all(output).expect("a folder");
    let summary = run(config, &Inputs { features, model }, output, &Unwatched).expect("forecasts");
    let mut forecasts = Vec::new();
    for number in 0.. {
        let path = output.join(format!("forecasts/part-{number:03}.parquet"));
        if !path.exists() {
            break;
        }
        let rows = tables::read::<Forecast>(&path).expect("reads");
        assert!(rows.len() <= config.part_rows);
        forecasts.extend(rows);
    }
    assert_eq!(summary.n_forecasts, forecasts.len());
    forecasts
}

#[test]
fn forecasts_are_sorted_whole_and_those_of_single_questions() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, model) = world(directory.path());
    let config = Config { part_rows: 100, ..Config::default() };
    let forecasts = written(&config, &features, &model, &directory.path().join("a"));
    let key = |row: &Forecast| (row.origin, row.series.clone());
    assert!(forecasts.is_sorted_by(|a, b| key(a) < key(b)));
    let split = shop::split();
    for origin in split.test_origins(0) {
        assert_eq!(forecasts.iter().filter(|row| row.origin == origin).count(), 24);
    }
    assert_eq!(forecasts.last().map(|row| row.origin), Some(split.origin_after(split.n_periods)));

    let predictor = Predictor::open(&features, &model).expect("opens");
    for row in forecasts.iter().step_by(37) {
        let single = predictor.forecast(&row.series, row.origin).expect("answers");
        let (single, row) = (single.units.expect("units"), row.units.as_ref().expect("units"));
        for (a, b) in single.cumulative_quantiles.iter().zip(&row.cumulative_quantiles) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0));
        }
    }
    assert!(predictor.forecast(&Series::of("nobody"), split.start).is_err());
}

#[test]
fn fewer_rows_in_memory_or_threads_give_the_same_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, model) = world(directory.path());
    let (first, second) = (directory.path().join("a"), directory.path().join("b"));
    let many = Config { rows_in_memory: 1000, ..Config::default() };
    written(&many, &features, &model, &first);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    pool.install(|| written(&many, &features, &model, &second));
    let manifest = std::fs::read(first.join("forecasts.json")).expect("a manifest");
    let manifest: Manifest = serde_json::from_slice(&manifest).expect("reads");
    assert_eq!((manifest.model.as_str(), manifest.members), ("lifecast", vec![Kind::Transformer]));
    for name in ["forecasts.json", "forecasts/part-000.parquet"] {
        let bytes = |directory: &Path| std::fs::read(directory.join(name)).expect("written");
        assert!(bytes(&first) == bytes(&second), "{name}");
    }
    let few = Config { rows_in_memory: 1, part_rows: 1000, ..Config::default() };
    let few = written(&few, &features, &model, &directory.path().join("c"));
    assert_eq!(few, written(&many, &features, &model, &directory.path().join("d")));
}

#[test]
fn what_comes_after_an_origin_changes_no_forecast() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, model) = world(directory.path());
    let split = shop::split();
    let scrambled = shop::panel(split.cut, 5);
    let loaded = Model::load(&model).expect("loads");
    let (before, after) = (
        Predictor::open(&features, &model).expect("opens"),
        Predictor::new(&Arc::new(loaded), loaded_panel(&features, scrambled)).expect("joins"),
    );
    let at = |predictor: &Predictor, origin: Period| -> Vec<Forecast> {
        let histories = predictor.histories().iter();
        histories.map(|h| predictor.forecast(&h.series, origin).expect("answers")).collect()
    };
    let cut = split.last_training_period();
    assert_eq!(at(&before, cut), at(&after, cut));
    assert_ne!(at(&before, cut.plus(6)), at(&after, cut.plus(6)));
}

#[test]
fn a_model_of_another_frequency_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, _) = world(directory.path());
    let model = random_model(&features, Frequency::Month);
    let panel = loaded_panel(&features, shop::panel(shop::N_PERIODS, 0));
    let error = Predictor::new(&Arc::new(model), panel).expect_err("months");
    let reason = std::error::Error::source(&error).expect("has a reason").to_string();
    assert!(reason.ends_with("by month, the data is by week"), "{reason}");
}
