//! The training loop: it learns, resumes bit-equal and does not depend on threads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lifecycle::{Forecast, Frequency, Period, Series, StageProbabilities, Unwatched};
use model::{
    Architecture, Calibration, Description, Dimensions, Kind, Member, Model, Noise, Size,
    initial_weights,
};
use panel::{CONTEXT_INPUTS, FilterOutlook, HORIZON_INPUTS, STATIC_INPUTS};

use super::*;
use crate::config::{LossWeights, Start};
use crate::start::{dense_scaling, starts};
use crate::state::Line;

pub(crate) const DIMENSIONS: Dimensions = Dimensions {
    context: 8,
    horizon: 3,
    n_context_inputs: CONTEXT_INPUTS.len(),
    n_static_inputs: STATIC_INPUTS.len(),
    n_horizon_inputs: HORIZON_INPUTS.len(),
};

/// A class of turns as probabilities.
fn of_class(class: usize) -> [f32; 4] {
    std::array::from_fn(|other| f32::from(u8::from(other == class)))
}

/// Windows of noise; what comes after is told by the first two statics alone.
pub(crate) fn rows(n_rows: usize) -> Rows {
    let mut noise = Noise::new(3);
    let mut draw = |n: usize| (0..n).map(|_| 2.0 * noise.uniform() - 1.0).collect::<Vec<f32>>();
    let rows = (0..n_rows).map(|number| {
        let statics = draw(DIMENSIONS.n_static_inputs);
        let stage = StageProbabilities::from_weights([0.0, 0.0, 1.0, 0.0, 0.0]);
        let filter =
            FilterOutlook { stage_now: stage, stages: [stage; 3], expected: vec![1.0; 26] };
        let (rises, is_old) = (statics[0] > 0.0, statics[1] > 0.0);
        let window = panel::Window {
            series: Series::of(format!("p{number}")),
            origin: Period(2000 + number as i32 % 7),
            scale: 1.0 + number as f32 % 5.0,
            context: draw(DIMENSIONS.context * DIMENSIONS.n_context_inputs),
            statics,
            horizon: draw(DIMENSIONS.horizon * DIMENSIONS.n_horizon_inputs),
            filter,
            age: 20,
            n_observed: 20,
            cold_start: number % 10 == 0,
            far_from_training: false,
        };
        let mut stages = [0.0; 5];
        stages[if is_old { 3 } else { 1 }] = 1.0;
        let target = Target {
            units: vec![if rises { 3.0 } else { 0.0 }, 1.0, f32::NAN],
            weight: 1.0,
            turns: [Some(of_class(if rises { 3 } else { 0 })), None, Some(of_class(2))],
            stages: [Some((stages, 1.0)), None, Some((stages, 0.5)), None],
        };
        let is_validation = number % 4 == 0;
        Row {
            train: (!is_validation).then(|| target.clone()),
            known: target.units.iter().map(|units| units * window.scale).collect(),
            validation: is_validation.then_some(target),
            window,
        }
    });
    Rows { rows: rows.collect() }
}

/// Fitted state of one short series: these tests cut no windows.
fn fitted() -> panel::Fitted {
    let mut channels: [Vec<f32>; 8] = Default::default();
    channels[0] = (0..60).map(|week| (week % 5) as f32).collect();
    let history = panel::History {
        series: Series::of("mug"),
        statics: panel::Statics::default(),
        start: Period(2000),
        channels,
        corrections: Vec::new(),
        given_stage: Vec::new(),
    };
    let panel = panel::Panel {
        frequency: Frequency::Week,
        start: Period(2000),
        n_periods: 60,
        units_per_one: 1.0,
        share_depth: 0,
        all_lives_ended: false,
        histories: vec![history],
    };
    let split = lifecycle::Split {
        frequency: Frequency::Week,
        start: Period(2000),
        n_periods: 60,
        horizon: 3,
        cut: 40,
        step: 3,
    };
    let settings = panel::Settings { context: 8, horizon: 3 };
    panel::Fitted::fit(&panel, &split, &std::collections::BTreeSet::new(), settings)
}

pub(crate) fn config() -> Config {
    Config {
        size: Size::Tiny,
        steps_max: 24,
        batch: 16,
        micro_batch: 8,
        validate_every: 6,
        checkpoint_every: 5,
        patience: 100,
        ..Config::default()
    }
}

pub(crate) fn network() -> Network {
    Network::patches(Architecture::new(Kind::Transformer, Size::Tiny, DIMENSIONS))
}

/// Trains from the beginning, without checkpoints.
fn train_on_rows(network: &Network, rows: &Rows, config: &Config) -> Outcome {
    let task = Task { network, base: None, rows, config, checkpoints: None };
    train(task, &Unwatched).expect("trains")
}

pub(crate) fn try_train(
    config: &Config,
    checkpoints: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Outcome, Stopped> {
    let (network, rows) = (&network(), &rows(48));
    train(Task { network, base: None, rows, config, checkpoints }, progress)
}

pub(crate) fn trained(
    config: &Config,
    checkpoints: Option<&Path>,
    progress: &dyn Progress,
) -> Outcome {
    try_train(config, checkpoints, progress).expect("trains")
}

/// Cancels once this many steps are done.
struct CancelAt(u64, AtomicU64);

impl Progress for CancelAt {
    fn report(&self, _part: &str, done: u64, _total: u64) {
        self.1.store(done, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.1.load(Ordering::Relaxed) >= self.0
    }
}

fn member(kind: Kind) -> Member {
    Member { kind, size: Size::Tiny }
}

#[test]
fn a_tiny_set_is_learnt_by_heart() {
    let config = Config { steps_max: 150, dropout: 0.0, learning_rate: 1e-2, ..config() };
    let rows = rows(24);
    let outcome = train_on_rows(&network(), &rows, &config);
    let line: Line = serde_json::from_str(outcome.lines.last().expect("lines")).expect("a line");
    // Entropy of the turns before training is about .9 at the horizon that varies.
    assert!(line.turns < 0.05 && line.stages < 0.05, "{line:?}");
    assert!(line.quantiles < 0.3, "{line:?}");
}

#[test]
fn a_recurrent_network_learns_too() {
    let config = Config { steps_max: 100, dropout: 0.0, learning_rate: 1e-2, ..config() };
    let network = Network::patches(Architecture::new(Kind::Lstm, Size::Tiny, DIMENSIONS));
    let outcome = train_on_rows(&network, &rows(24), &config);
    let line: Line = serde_json::from_str(outcome.lines.last().expect("lines")).expect("a line");
    assert!(line.turns < 0.1 && line.quantiles < 0.4, "{line:?}");
}

/// A window's inputs with `returns`, `age_13` and the planned price at some value.
fn with_rare_inputs(window: &panel::Window, value: f32) -> panel::Window {
    let mut window = window.clone();
    let place = |names: &[&str], name| names.iter().position(|known| *known == name).expect(name);
    for period in window.context.chunks_exact_mut(CONTEXT_INPUTS.len()) {
        period[place(CONTEXT_INPUTS, "returns")] = value;
    }
    for step in window.horizon.chunks_exact_mut(HORIZON_INPUTS.len()) {
        step[place(HORIZON_INPUTS, "price")] = value;
    }
    window.statics[place(STATIC_INPUTS, "age_13")] = value;
    window
}

#[test]
fn inputs_that_no_training_row_has_change_no_answer() {
    let mut rows = rows(24);
    for row in &mut rows.rows {
        row.window = with_rare_inputs(&row.window, 0.0);
    }
    let config = Config { steps_max: 10, ..config() };
    let outcome = train_on_rows(&network(), &rows, &config);
    let answer = |weights: &[f32], value| {
        let window = with_rare_inputs(&rows.rows[0].window, value);
        let raw = network().with_weights(weights).outputs(&[&window]);
        let row = raw.rows().next().expect("a row");
        [row.units, row.turns, row.stages].concat()
    };
    assert_eq!(answer(&outcome.weights, 0.0), answer(&outcome.weights, 3.0));
    let random = initial_weights(&network().layout(), 1);
    assert_ne!(answer(&random, 0.0), answer(&random, 3.0));
}

#[test]
fn every_adaptation_learns_from_a_base_and_trains_no_more_than_it_says() {
    let base = trained(&Config { steps_max: 6, ..config() }, None, &Unwatched).weights;
    let rows = rows(24);
    for (adapt, most, left_of_loss) in [
        (Adapt::Full, 1.0, 0.8),
        (Adapt::Probe, 0.5, 0.8),
        (Adapt::Lora, 0.3, 0.8),
        (Adapt::Adalora, 0.5, 0.8),
        (Adapt::Adapter, 0.1, 0.97),
    ] {
        let config = Config {
            adapt,
            from: Start::Model,
            steps_max: 60,
            dropout: 0.0,
            learning_rate: 1e-2,
            ..config()
        };
        let d_adapter = if adapt == Adapt::Adapter { 4 } else { 0 };
        let architecture = Architecture::new(Kind::Transformer, Size::Tiny, DIMENSIONS);
        let network = Network::patches(Architecture { d_adapter, ..architecture });
        let base_model = model_of(base.clone());
        let from = starts(std::slice::from_ref(&network), (Some(&base_model), None), 1);
        let (network, base, rows, config) = (&network, from[0].as_deref(), &rows, &config);
        let task = Task { network, base, rows, config, checkpoints: None };
        let outcome = train(task, &Unwatched).expect("trains");
        let lines: Vec<Line> =
            outcome.lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let (first, last) = (&lines[0], &lines[lines.len() - 1]);
        assert!(last.turns < left_of_loss * first.turns, "{adapt:?}: {first:?} {last:?}");
        let share = outcome.n_trained as f64 / network.layout().n_values() as f64;
        assert!(share <= most, "{adapt:?} trains {share}");
        let (left, all) = outcome.ranks;
        assert_eq!(left, if adapt == Adapt::Adalora { all.div_ceil(2) } else { 0 });
    }
}

#[test]
fn masked_patches_are_learnt_without_any_label() {
    let reconstruction =
        LossWeights { quantiles: 0.0, mean: 0.0, turns: 0.0, stages: 0.0, reconstruction: 1.0 };
    let config = Config {
        losses: reconstruction,
        steps_max: 300,
        dropout: 0.0,
        learning_rate: 1e-2,
        ..config()
    };
    // Units of a context that repeat what another channel of the same patch does not tell.
    let mut rows = rows(48);
    for row in &mut rows.rows {
        let level = row.window.scale / 5.0;
        let n_inputs = CONTEXT_INPUTS.len();
        row.window.context.chunks_exact_mut(n_inputs).for_each(|inputs| {
            inputs[0] = level;
            inputs[1] = 1.0;
        });
    }
    let outcome = train_on_rows(&network(), &rows, &config);
    let lines: Vec<Line> =
        outcome.lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let (first, last) = (&lines[0].validation, &lines[lines.len() - 1].validation);
    assert!(last.combined < 0.5 * first.combined, "{first:?} {last:?}");
    assert_eq!(last.combined, last.reconstruction);
}

#[test]
fn an_interrupted_training_ends_in_the_same_bits() {
    let whole = trained(&config(), None, &Unwatched);
    let directory = tempfile::tempdir().expect("a directory");
    for stop in [5, 7, 10, 17] {
        let cancel = CancelAt(stop, AtomicU64::new(0));
        let stopped = try_train(&config(), Some(directory.path()), &cancel);
        assert!(matches!(stopped, Err(Stopped::Cancelled { step }) if step == stop));
    }
    assert_eq!(trained(&config(), Some(directory.path()), &Unwatched), whole);
    // A finished training is answered from its checkpoint or done again, to the same bits.
    assert_eq!(trained(&config(), Some(directory.path()), &Unwatched), whole);
}

#[test]
fn one_thread_and_two_give_the_same_weights() {
    let on = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| trained(&config(), None, &Unwatched))
    };
    let (one, two) = (on(1), on(2));
    assert!(one.weights == two.weights && one.lines == two.lines);
}

fn model() -> (Model, Vec<panel::Window>) {
    let model = model_of(initial_weights(&network().layout(), 5));
    (model, rows(40).rows.into_iter().map(|row| row.window).collect())
}

#[test]
fn a_model_of_several_networks_answers_their_mean_and_is_saved_whole() {
    let of_one = model_of(initial_weights(&network().layout(), 5));
    let members = vec![member(Kind::Transformer), member(Kind::Lstm)];
    let description = Description { members, ..of_one.description().clone() };
    let networks = description.networks().expect("networks");
    let weights: Vec<_> = networks.iter().map(|n| initial_weights(&n.layout(), 5)).collect();
    let model = Model::new(description, &networks, weights.concat(), fitted());
    let rows = rows(40);
    let windows: Vec<&panel::Window> = rows.rows.iter().map(|row| &row.window).collect();
    let one = networks[0].with_weights(&weights[0]).outputs(&windows);
    let other = networks[1].with_weights(&weights[1]).outputs(&windows);
    for (mean, (one, other)) in
        model.outputs(&windows).turns.iter().zip(one.turns.iter().zip(&other.turns))
    {
        assert!((mean - f32::midpoint(*one, *other)).abs() < 1e-6);
    }
    let directory = tempfile::tempdir().expect("a directory");
    model.save(directory.path()).expect("saved");
    let loaded = Model::load(directory.path()).expect("loaded");
    assert_eq!(loaded.outputs(&windows), model.outputs(&windows));
}

fn model_of(weights: Vec<f32>) -> Model {
    let mut description = Description::new(vec![member(Kind::Transformer)], DIMENSIONS);
    description.training.n_turn_rows = 1;
    description.training.n_stage_rows = 1;
    let correlations = vec![1.0, 0.5, 0.2, 0.5, 1.0, 0.5, 0.2, 0.5, 1.0];
    let calibration = Calibration { cold_start_width: 1.5, correlations, ..Calibration::default() };
    description.calibrations.insert(Frequency::Week, calibration);
    let fractional = panel::Fitted { is_whole: false, ..fitted() };
    Model::new(description, &[network()], weights, fractional)
}

fn distance(one: &Forecast, other: &Forecast) -> f32 {
    let numbers = |forecast: &Forecast| {
        let units = forecast.units.clone().expect("units");
        let turns = forecast.outlooks.iter().flat_map(|outlook| outlook.turns.expect("turns"));
        let stages = forecast.stage_now.map(<[f32; 5]>::from).expect("stages");
        let all = units.means.into_iter().chain(units.quantiles).chain(units.cumulative_quantiles);
        all.chain(turns).chain(stages).collect::<Vec<f32>>()
    };
    let pairs = numbers(one).into_iter().zip(numbers(other));
    pairs.map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max)
}

#[test]
fn answers_are_well_formed_and_do_not_depend_on_their_company() {
    let (model, windows) = model();
    let together = model::forecast(&model, &windows);
    assert_eq!(together, model::forecast(&model, &windows));
    for (window, answer) in windows.iter().zip(&together) {
        answer.units.as_ref().expect("units").validate().expect("well formed");
        let [halved, doubled, silent] = answer.outlooks[1].turns.expect("turns");
        assert!(silent <= halved && halved + doubled <= 1.0 + 1e-6);
        let alone = model::forecast(&model, std::slice::from_ref(window));
        assert!(distance(answer, &alone[0]) < 1e-6);
    }
    let paths = model::paths(&model, &windows[0]);
    assert_eq!(paths.len(), 3 * model::N_PATHS);
}

#[test]
fn quantiles_and_paths_of_counts_are_counts() {
    let (model, windows) = model();
    let of_counts = panel::Fitted { is_whole: true, ..fitted() };
    let description = model.description().clone();
    let whole = Model::new(description, model.members(), model.weights().to_vec(), of_counts);
    for (one, other) in
        model::forecast(&whole, &windows).iter().zip(model::forecast(&model, &windows))
    {
        let (one, other) = (one.units.clone().expect("units"), other.units.expect("units"));
        one.validate().expect("well formed");
        for (count, units) in one.quantiles.iter().zip(other.quantiles) {
            assert_eq!(*count, units.round());
        }
        assert!(one.cumulative_quantiles.iter().all(|units| units.fract() == 0.0));
        assert_eq!(one.means, other.means);
    }
    assert!(model::paths(&whole, &windows[0]).iter().all(|units| units.fract() == 0.0));
}

#[test]
fn units_times_c_are_answered_times_c() {
    let (model, windows) = model();
    let larger: Vec<panel::Window> = windows
        .iter()
        .map(|window| panel::Window { scale: 4.0 * window.scale, ..window.clone() })
        .collect();
    for (one, four) in
        model::forecast(&model, &windows).iter().zip(model::forecast(&model, &larger))
    {
        let (one, four) = (one.units.clone().expect("units"), four.units.expect("units"));
        for (a, b) in one.cumulative_quantiles.iter().zip(four.cumulative_quantiles) {
            assert!((4.0 * a - b).abs() <= 1e-5 * b.abs());
        }
        assert!(one.means.iter().zip(four.means).all(|(a, b)| 4.0 * a == b));
    }
}

#[test]
fn a_saved_model_answers_the_same_and_the_same_bytes_are_written() {
    let (model, windows) = model();
    let (first, second) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    model.save(first.path()).expect("saved");
    let loaded = Model::load(first.path()).expect("loaded");
    loaded.save(second.path()).expect("saved");
    for name in ["model.json", "model.safetensors", "fitted.json"] {
        let bytes = |directory: &Path| std::fs::read(directory.join(name)).expect("written");
        assert_eq!(bytes(first.path()), bytes(second.path()), "{name}");
    }
    assert_eq!(model::forecast(&model, &windows), model::forecast(&loaded, &windows));
}

#[test]
fn a_model_of_another_version_or_a_damaged_one_is_refused_by_name() {
    let (model, _) = model();
    let directory = tempfile::tempdir().expect("a directory");
    let damage = |name: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        model.save(directory.path()).expect("saved");
        let path = directory.path().join(name);
        let bytes = std::fs::read(&path).expect("written");
        std::fs::write(&path, change(bytes)).expect("written");
        Model::load(directory.path()).expect_err("refused").to_string()
    };
    let edit = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            String::from_utf8(bytes).expect("text").replacen(from, to, 1).into_bytes()
        }
    };
    let error = damage("model.json", &edit("\"format\": 4", "\"format\": 99"));
    assert!(error.contains("another version") && error.contains("`format` is 99"), "{error}");
    let error = damage("model.json", &edit("\"log_scale\"", "\"scale\""));
    assert!(error.contains("`static_inputs`"), "{error}");
    let error = damage("model.json", &|bytes| bytes[..bytes.len() / 2].to_vec());
    assert!(error.contains("model.json") && error.contains("damaged"), "{error}");
    let flip = |mut bytes: Vec<u8>| {
        *bytes.last_mut().expect("not empty") ^= 64;
        bytes
    };
    let error = damage("model.safetensors", &flip);
    assert!(error.contains("model.safetensors") && error.contains("digest"), "{error}");
    let error = damage("fitted.json", &|_| Vec::new());
    assert!(error.contains("fitted.json"), "{error}");
}

#[test]
fn the_dense_baseline_learns_a_level_and_answers_means_for_26_weeks() {
    let rows = rows(48);
    let scaling = dense_scaling(&rows);
    let config = Config { steps_max: 60, ..config() };
    let network = Network::dense(scaling, 26);
    let outcome = train_on_rows(&network, &rows, &config);
    let mut description = Description::new(vec![member(Kind::Dense)], DIMENSIONS);
    description.dense = Some(scaling);
    let model = Model::new(description, &[network], outcome.weights, fitted());
    let windows: Vec<_> = rows.rows.iter().map(|row| row.window.clone()).collect();
    for forecast in model::forecast(&model, &windows) {
        let units = forecast.units.expect("units");
        assert_eq!((units.means.len(), units.quantiles.len()), (26, 0));
        units.validate().expect("well formed");
        assert_eq!(forecast.outlooks[0].turns, None);
    }
}
