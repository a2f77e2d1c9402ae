//! The stage on a small features artifact: what it writes, that it repeats, and that it sees
//! nothing after the cut.

mod shop;

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::{ErrorKind, Part, Unwatched};
use model::{Kind, Member, Model, Size};
use panel::category_units;
use tables::FeaturesDir;
use trainer::{
    Adapt, Builtin, Config, Inputs, Rows, Scatter, Source, Start, Wrong, run, run_wrong,
    suggestions,
};

fn config() -> Config {
    Config {
        size: Size::Tiny,
        steps_max: 8,
        batch: 32,
        micro_batch: 16,
        validate_every: 4,
        checkpoint_every: 3,
        stage_holdout: 0.3,
        ..Config::default()
    }
}

fn trained(config: &Config, features: &Path, output: &Path) -> trainer::Summary {
    std::fs::create_dir_all(output).expect("a folder");
    let inputs = Inputs { features: vec![features], base: None, checkpoint: None };
    run(config, &inputs, output, &Unwatched).expect("trains")
}

fn file(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).expect("written")
}

#[test]
fn the_same_features_and_seed_give_the_same_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let features = directory.path().join("features");
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let (first, second) = (directory.path().join("a"), directory.path().join("b"));
    let summary = trained(&config(), &features, &first);
    assert_eq!(summary.n_steps, 8);
    assert!(summary.n_training_rows > 200 && summary.n_validation_rows > 50, "{summary:?}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    pool.install(|| trained(&config(), &features, &second));
    for name in ["model.json", "model.safetensors", "fitted.json", "training.jsonl"] {
        assert!(file(&first, name) == file(&second, name), "{name}");
    }
    let lines = String::from_utf8(file(&first, "training.jsonl")).expect("text");
    assert!(lines.starts_with(r#"{"network":"#), "{lines}");
    let model = Model::load(&first).expect("loads");
    let training = &model.description().training;
    assert!(training.n_turn_rows > 0 && training.n_stage_rows > 0);
    let calibration = &model.description().calibrations[&lifecycle::Frequency::Week];
    assert!(calibration.correlations.iter().all(|value| value.abs() <= 1.0));
}

#[test]
fn wrong_targets_teach_something_else_and_targets_shifted_by_nothing_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let features = directory.path().join("features");
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let right = directory.path().join("right");
    trained(&config(), &features, &right);
    let is_same = |name: &str, wrong: Wrong| {
        let output = directory.path().join(name);
        std::fs::create_dir_all(&output).expect("a folder");
        let inputs = Inputs { features: vec![&features], base: None, checkpoint: None };
        run_wrong(&config(), &inputs, &output, wrong).expect("trains");
        ["model.json", "model.safetensors", "trees.safetensors", "training.jsonl"]
            .iter()
            .all(|file_name| file(&right, file_name) == file(&output, file_name))
    };
    assert!(is_same("here", Wrong::Shifted { periods: 0 }));
    assert!(!is_same("later", Wrong::Shifted { periods: 1 }));
    assert!(!is_same("dealt", Wrong::Dealt { seed: 1 }));
}

#[test]
fn a_model_can_be_adapted_and_one_of_several_panels_answers_for_each() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, other) = (directory.path().join("one"), directory.path().join("two"));
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    shop::write(&other, &shop::panel(shop::N_PERIODS, 3));
    let (base, adapted) = (directory.path().join("base"), directory.path().join("adapted"));
    std::fs::create_dir_all(&base).expect("a folder");
    std::fs::create_dir_all(&adapted).expect("a folder");
    let both = Inputs { features: vec![&features, &other], base: None, checkpoint: None };
    let error = run(&config(), &both, &base, &Unwatched).expect_err("two panels, no foundation");
    assert_eq!(error.kind(), ErrorKind::Usage);
    let foundation = Config { foundation: true, ..config() };
    let of_both = run(&foundation, &both, &base, &Unwatched).expect("trains");
    let model = std::sync::Arc::new(Model::load(&base).expect("loads"));
    let opened = FeaturesDir::open(&other).expect("opens");
    let placed = model.on(opened.fitted(), opened.meta().settings).expect("answers");
    assert_eq!(placed.fitted().seasons, opened.fitted().seasons);
    assert_eq!(placed.fitted().standards, model.fitted().standards);

    let lora = Config { from: Start::Model, adapt: Adapt::Lora, rank: 1, ..config() };
    let inputs = Inputs { base: Some(&base), features: vec![&features], checkpoint: None };
    let summary = run(&lora, &inputs, &adapted, &Unwatched).expect("adapts");
    assert!(summary.n_training_rows < of_both.n_training_rows);
    assert!(10 * summary.n_trained < summary.n_parameters, "{summary:?}");
    let alone = Inputs { base: None, features: vec![&features], checkpoint: None };
    let error = run(&lora, &alone, &adapted, &Unwatched).expect_err("no base");
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = run(&config(), &inputs, &adapted, &Unwatched).expect_err("a base for nothing");
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn the_built_in_model_answers_beside_the_network_and_is_kept_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let features = directory.path().join("features");
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let (beside, alone) = (directory.path().join("beside"), directory.path().join("alone"));
    trained(&config(), &features, &beside);
    trained(&Config { builtin: Builtin::None, ..config() }, &features, &alone);
    assert!(!alone.join("builtin").exists());
    let model = Model::load(&beside).expect("loads");
    let builtin = Model::builtin().expect("compiled in");
    assert_eq!(model.builtin_beside().expect("beside").weights(), builtin.weights());
    assert_eq!(model.fitted().standards, builtin.fitted().standards);
    // Its network, trained on, is the last member of its own size; the beginning of all is random.
    let tiny = Member { kind: Kind::Lstm, size: Size::Tiny };
    assert_eq!(model.description().members, [tiny, builtin.description().members[0]]);
    let trained_on = model.weights_of_members().last().expect("two");
    let moved = trained_on.iter().zip(builtin.weights()).map(|(now, before)| (now - before).abs());
    let [furthest, mean] =
        [moved.clone().fold(0.0, f32::max), moved.sum::<f32>() / trained_on.len() as f32];
    assert!(furthest > 0.0 && mean < 0.05, "{furthest} {mean}");
    let calibration = model.description().calibrations.values().next().expect("one");
    let shares = calibration.turns.iter().chain(&calibration.stages);
    assert!(shares.clone().all(|blend| blend.builtin >= 0.0 && blend.network >= 0.0));
    assert!(shares.clone().any(|blend| blend.builtin > 0.0), "{calibration:?}");
    // A folder that lacks it, or holds another, is no whole model.
    std::fs::rename(beside.join("builtin"), directory.path().join("elsewhere")).expect("moves");
    let error = Model::load(&beside).expect_err("is missing");
    assert!(error.to_string().contains("builtin"), "{error}");
    std::fs::rename(&alone, beside.join("builtin")).expect("moves");
    let error = Model::load(&beside).expect_err("is another");
    assert!(error.to_string().contains("not the built-in model"), "{error}");
}

#[test]
fn products_without_labels_teach_nothing_but_their_own_past() {
    let directory = tempfile::tempdir().expect("a directory");
    let features = directory.path().join("features");
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let trained =
        |config: &Config, name: &str| trained(config, &features, &directory.path().join(name));
    let all = trained(&config(), "all");
    let few = trained(&Config { labelled: 0.3, ..config() }, "few");
    assert!(few.n_training_rows < all.n_training_rows && few.n_training_rows > 0);
    assert_eq!(few.n_validation_rows, all.n_validation_rows);
    let mut pretraining = Config { labelled: 0.3, ..config() };
    pretraining.losses.reconstruction = 1.0;
    assert_eq!(trained(&pretraining, "past").n_training_rows, all.n_training_rows);
}

#[test]
fn the_dense_baseline_writes_its_scatter_plot() {
    let directory = tempfile::tempdir().expect("a directory");
    let features = directory.path().join("features");
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let output = directory.path().join("model");
    trained(&Config { members: vec![Kind::Dense], ..config() }, &features, &output);
    let scatter: Scatter =
        serde_json::from_slice(&file(&output, "scatter.json")).expect("a scatter plot");
    assert!(scatter.points.len() > 50);
    assert!(scatter.points.iter().all(|point| point.predicted >= 0.0 && point.units.is_finite()));
}

/// Rows of a panel by the state of another.
fn rows(panel: &panel::Panel, features: &FeaturesDir) -> Rows {
    let labels = features.labels_train().expect("labels");
    let labels: BTreeMap<_, _> =
        labels.into_iter().map(|label| (label.product.clone(), label)).collect();
    let source = Source {
        meta: features.meta(),
        histories: &panel.histories,
        categories: &category_units(panel),
        fitted: features.fitted(),
        split: features.split(),
        unseen: features.unseen(),
        labels: &labels,
    };
    Rows::cut(source, &config(), &Unwatched)
}

#[test]
fn nothing_after_the_cut_and_no_unseen_product_is_in_any_row() {
    let directory = tempfile::tempdir().expect("a directory");
    let cut = shop::split().cut;
    let (true_panel, scrambled) = (shop::panel(shop::N_PERIODS, 0), shop::panel(cut, 5));
    assert_ne!(true_panel, scrambled);
    shop::write(directory.path(), &true_panel);
    let features = FeaturesDir::open(directory.path()).expect("opens");
    let rows_found = rows(&true_panel, &features);
    assert_eq!(rows_found.digest(), rows(&scrambled, &features).digest());
    for row in &rows_found.rows {
        assert!(!features.unseen().contains(&row.window.series.product));
        let Some(target) = &row.train else { continue };
        for (step, units) in target.units.iter().enumerate() {
            let part = features.split().part(row.window.origin, step + 1);
            assert!(units.is_nan() || part == Some(Part::Train));
        }
    }
    // A change before the cut does show.
    assert_ne!(rows_found.digest(), rows(&shop::panel(cut - 20, 5), &features).digest());
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let inputs = Inputs { features: vec![directory.path()], base: None, checkpoint: None };
    let error = run(&Config { batch: 0, ..config() }, &inputs, directory.path(), &Unwatched)
        .expect_err("no batch");
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = run(&config(), &inputs, directory.path(), &Unwatched).expect_err("no features");
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn products_to_label_are_those_that_are_not_learnt_from() {
    let directory = tempfile::tempdir().expect("a directory");
    let (features, model) = (directory.path().join("features"), directory.path().join("model"));
    shop::write(&features, &shop::panel(shop::N_PERIODS, 0));
    let config = Config { labelled: 0.4, ..config() };
    trained(&config, &features, &model);
    let all = suggestions(&model, &features, &config, 99).expect("suggestions");
    let unseen = FeaturesDir::open(&features).expect("opens").unseen().clone();
    assert!((3..18).contains(&all.len()), "{all:?}");
    assert!(all.iter().all(|suggestion| !unseen.contains(&suggestion.product)));
    let sums = all.iter().map(|suggestion| suggestion.stages.iter().sum::<f32>());
    assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-4));
    // One category: the order is that of the information.
    assert!(all.is_sorted_by(|a, b| a.information >= b.information), "{all:?}");
    let first = suggestions(&model, &features, &config, 2).expect("suggestions");
    assert_eq!(first, all[..2]);
    // Once its label is learnt from, a product is not asked about.
    let labelled_also = first.iter().map(|suggestion| suggestion.product.clone()).collect();
    let config = Config { labelled_also, ..config };
    let left = suggestions(&model, &features, &config, 99).expect("suggestions");
    assert_eq!(left, all[2..]);
}
