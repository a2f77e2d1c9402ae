//! Whole evaluations of small worlds, from a features directory to score files.

use std::collections::BTreeSet;
use std::path::Path;

use evaluator::{Comparison, Config, Error, Inputs, OURS, Results, Summary, Verdict, run};
use lifecycle::{
    Forecast, Frequency, LEVELS, N_LEVELS, OUTLOOK_WEEKS, Outlook, Period, Series, Split,
    StageProbabilities, UnitsForecast, Unwatched, unseen_products,
};
use panel::{Channel, Cutter, Fitted, History, Panel, Settings, Statics, category_units};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tables::{FeaturesDir, Label, features};

/// Enough for scores to be identifiable.
const N_PRODUCTS: usize = 120;
const N_PERIODS: usize = 110;
const HORIZON: usize = 6;
const START: Period = Period(2000);
/// The first test origin.
const CUT: Period = Period(2077);

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / 4_294_967_296.0
}

/// Weekly units that flip between two levels at random: turns happen, and nobody can foresee them.
fn history(number: usize) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
    let mut level = 6.0;
    let units = (0..N_PERIODS).map(|_| {
        if uniform(&mut rng) < 0.04 {
            level = [0.0, 2.0, 6.0, 15.0][(uniform(&mut rng) * 4.0) as usize];
        }
        (uniform(&mut rng) * 2.0 * level).round() as f32
    });
    let mut channels: [Vec<f32>; Channel::ALL.len()] = Default::default();
    channels[Channel::Units as usize] = units.collect();
    // Everything has sold from the start, so that age does not depend on luck.
    channels[Channel::Units as usize][0] = 1.0;
    History {
        series: Series::of(format!("product-{number:03}")),
        statics: Statics { category: vec![format!("c{}", number % 3)], ..Statics::default() },
        start: START,
        channels,
        corrections: Vec::new(),
        given_stage: Vec::new(),
    }
}

/// Labels drawn at random for every product and period: no forecaster can know them.
fn random_labels(histories: &[History]) -> Vec<Label> {
    let label = |(number, history): (usize, &History)| {
        let mut rng = ChaCha8Rng::seed_from_u64(1000 + number as u64);
        let stages = (0..N_PERIODS).flat_map(|_| {
            let mut row = [0.0; 5];
            let drawn = uniform(&mut rng);
            row[[0.2, 0.4, 0.8].partition_point(|end| *end < drawn)] = 1.0;
            row
        });
        Label {
            product: history.series.product.clone(),
            start: START,
            stages: stages.collect(),
            weights: vec![1.0; N_PERIODS],
            is_left_censored: false,
        }
    };
    histories.iter().enumerate().map(label).collect()
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) {
    std::fs::write(path, serde_json::to_vec(value).expect("JSON")).expect("written");
}

/// The same launched later: arrays begin at the launch.
fn launched(number: usize, after: usize) -> History {
    let mut history = history(number);
    history.channels[Channel::Units as usize].drain(..after);
    history.channels[Channel::Units as usize][0] = 1.0;
    history.start = START.plus(after as i32);
    history
}

fn write_features(directory: &Path, histories: Vec<History>) -> FeaturesDir {
    let settings = Settings { context: 52, horizon: HORIZON };
    let panel = Panel {
        frequency: Frequency::Week,
        start: START,
        n_periods: N_PERIODS,
        units_per_one: 1.0,
        share_depth: 1,
        all_lives_ended: false,
        histories,
    };
    let split = Split::new(Frequency::Week, START, N_PERIODS, HORIZON).expect("long enough");
    let unseen = unseen_products(panel.histories.iter().map(|history| &history.series.product));
    let hidden: BTreeSet<_> = unseen.iter().cloned().collect();
    write_json(&directory.join(features::PANEL_FILE), &panel.meta(settings));
    let fitted = Fitted::fit(&panel, &split, &hidden, settings);
    write_json(&directory.join(features::FITTED_FILE), &fitted);
    write_json(&directory.join(features::SPLIT_FILE), &features::SplitFile { split, unseen });
    std::fs::create_dir(directory.join("panel")).expect("created");
    for (number, shard) in panel.histories.chunks(100).enumerate() {
        tables::write(&directory.join(features::shard_file(number)), shard).expect("written");
    }
    let labels = random_labels(&panel.histories);
    tables::write(&directory.join(features::LABELS_TRAIN_FILE), &labels).expect("written");
    tables::write(&directory.join(features::LABELS_TEST_FILE), &labels).expect("written");
    FeaturesDir::open(directory).expect("readable")
}

/// Writes forecasts for all origins from the first validation row on.
fn write_forecasts(
    directory: &Path,
    features: &FeaturesDir,
    forecast: impl Fn(&Cutter<'_>, &History, Period) -> Forecast,
) {
    let panel = features.panel().expect("readable");
    let categories = category_units(&panel);
    let cutter = Cutter::new(features.meta(), &categories, features.fitted());
    let mut forecasts = Vec::new();
    for n_before in (features.split().cut - 33..=N_PERIODS).step_by(3) {
        let origin = features.split().origin_after(n_before);
        for history in &panel.histories {
            forecasts.push(forecast(&cutter, history, origin));
        }
    }
    let folder = directory.join("forecasts");
    std::fs::create_dir_all(&folder).expect("created");
    for (number, part) in forecasts.chunks(1500).enumerate() {
        tables::write(&folder.join(format!("part-{number:03}.parquet")), part).expect("written");
    }
}

fn bare(history: &History, origin: Period) -> Forecast {
    Forecast {
        series: history.series.clone(),
        origin,
        units: None,
        stage_now: None,
        outlooks: [Outlook::default(); 3],
        cold_start: false,
        far_from_training: false,
    }
}

/// Knows all that will come.
fn prophet(cutter: &Cutter<'_>, history: &History, origin: Period) -> Forecast {
    let mut forecast = bare(history, origin);
    let targets = cutter.targets(history, origin);
    let means: Vec<f32> =
        targets.units.iter().map(|units| if units.is_finite() { *units } else { 0.0 }).collect();
    let mut total = 0.0;
    let sums: Vec<f32> = means
        .iter()
        .map(|units| {
            total += units;
            total
        })
        .collect();
    let points = |values: &[f32]| values.iter().flat_map(|value| [*value; N_LEVELS]).collect();
    forecast.units = Some(UnitsForecast {
        quantiles: points(&means),
        cumulative_quantiles: points(&sums),
        means,
    });
    for (outlook, came) in forecast.outlooks.iter_mut().zip(targets.turns) {
        let came = came.unwrap_or_default();
        outlook.turns = Some(came.map(|came| f32::from(u8::from(came))));
    }
    forecast
}

/// Says with confidence what it cannot know.
fn guesser(_: &Cutter<'_>, history: &History, origin: Period) -> Forecast {
    let mut forecast = bare(history, origin);
    let sure = |stage: usize| {
        let mut weights = [0.05; 5];
        weights[stage] = 0.8;
        StageProbabilities::from_weights(weights)
    };
    let seed = origin.0.unsigned_abs() as usize + history.series.product.as_str().len();
    forecast.stage_now = Some(sure(seed % 4));
    for outlook in &mut forecast.outlooks {
        *outlook = Outlook { turns: Some([0.5, 0.1, 0.1]), stage: Some(sure(seed % 4)) };
    }
    forecast
}

/// Points only, over 26 weeks: the mean of all that was sold.
fn averager(_: &Cutter<'_>, history: &History, origin: Period) -> Forecast {
    let mut forecast = bare(history, origin);
    let n_known = origin.since(START) as usize + 1;
    let known = &history.channel(Channel::Units)[..n_known];
    let mean = known.iter().sum::<f32>() / n_known as f32;
    forecast.units = Some(UnitsForecast { means: vec![mean; 26], ..UnitsForecast::default() });
    forecast
}

fn evaluate(
    features: &Path,
    forecasts: &[(&str, &Path)],
    output: &Path,
) -> Result<(Summary, Results), Error> {
    let config = Config { resamples: 120, subset_resamples: 20, ..Config::default() };
    let inputs = Inputs { features, forecasts: forecasts.to_vec(), truth: None };
    let summary = run(&config, &inputs, output, &Unwatched)?;
    let text = std::fs::read(output.join("scores.json")).expect("written");
    Ok((summary, serde_json::from_slice(&text).expect("scores")))
}

fn value(results: &Results, model: &str, task: &str, horizon: u32, metric: &str) -> f64 {
    let found = results.scores.iter().find(|score| {
        (score.model.as_str(), score.task.as_str(), score.horizon, score.metric.as_str())
            == (model, task, horizon, metric)
    });
    found.unwrap_or_else(|| panic!("no {metric} of {model} for {task} at {horizon}")).value
}

struct World {
    directory: tempfile::TempDir,
    features: FeaturesDir,
}

impl World {
    fn new(n_products: usize) -> Self {
        Self::of((0..n_products).map(history).collect())
    }

    fn of(histories: Vec<History>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("features");
        std::fs::create_dir(&path).expect("created");
        let features = write_features(&path, histories);
        Self { directory, features }
    }

    fn forecasts(
        &self,
        name: &str,
        forecast: impl Fn(&Cutter<'_>, &History, Period) -> Forecast,
    ) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        write_forecasts(&path, &self.features, forecast);
        path
    }

    fn evaluate(&self, forecasts: &[(&str, &Path)]) -> Result<(Summary, Results), Error> {
        let output = tempfile::tempdir_in(self.directory.path()).expect("a directory");
        evaluate(&self.directory.path().join("features"), forecasts, output.path())
    }
}

#[test]
fn who_knows_the_future_scores_zero_and_is_ahead_of_all() {
    let world = World::new(N_PRODUCTS);
    let ours = world.forecasts(OURS, prophet);
    let (summary, results) = world.evaluate(&[(OURS, &ours)]).expect("evaluated");
    let ours = |task, horizon, metric| value(&results, OURS, task, horizon, metric);
    for metric in ["wql", "wql_cumulative", "mase", "rmsse", "bias", "coverage"] {
        assert!(ours("units", HORIZON as u32, metric).abs() < 1e-9, "{metric}");
    }
    for turn in ["halved", "doubled", "silent"] {
        for weeks in OUTLOOK_WEEKS {
            assert_eq!(ours(turn, weeks, "brier"), 0.0);
            assert!(ours(turn, weeks, "log_loss") < 2e-4);
        }
    }
    let brier = results.headline.metrics.iter().find(|metric| metric.metric == "brier");
    let brier = brier.expect("turns are scored");
    assert_eq!(brier.best, brier.cells);
    assert!(brier.clearly_behind_none);
    assert!(brier.peers.iter().all(|peer| peer.ahead == brier.cells));
    assert_eq!(summary.headline, results.headline);
    let halved = results.differences.iter().filter(|found| found.task == "halved");
    let means = &results.turn_means.differences;
    assert_eq!(means.len(), 6 * 6);
    assert!(halved.chain(means).all(|found| found.verdict == Verdict::Ahead));
}

/// The headline is the mean of its three cells, on their rows.
fn means_are_of_three_turns(results: &Results) {
    for mean in &results.turn_means.scores {
        let of_turn =
            |turn: &str| value(results, &mean.model, turn, mean.horizon, &mean.metric) / 3.0;
        let expected: f64 = ["halved", "doubled", "silent"].map(of_turn).iter().sum();
        assert!((mean.value - expected).abs() < 1e-9, "{mean:?} {expected}");
        assert_eq!(mean.task, "turns");
    }
    let n_scores = |comparison: &Comparison| {
        comparison.scores.iter().filter(|score| score.task == "turns").count()
    };
    assert_eq!(n_scores(&results.turn_means), 6 * 6);
    assert_eq!(n_scores(&results.unseen), 6 * 6);
    let pairs =
        results.turn_means.counts.iter().zip(results.unseen.counts.iter().rev().take(6).rev());
    for (all, unseen) in pairs {
        let (all, unseen) = (all.counts.rows, unseen.counts.rows);
        assert!(0 < unseen && unseen < all / 3, "{unseen} of {all}");
    }
}

#[test]
fn rules_score_as_they_must() {
    let world = World::new(N_PRODUCTS);
    let (summary, results) = world.evaluate(&[]).expect("evaluated");
    let horizon = HORIZON as u32;
    assert!((value(&results, "all zeros", "units", horizon, "wql") - 1.0).abs() < 1e-6);
    assert!((value(&results, "all zeros", "units", horizon, "bias") + 1.0).abs() < 1e-6);
    for peer in ["seasonal naive", "trailing quantiles", "trailing growth", "trapezoid filter"] {
        let wql = value(&results, peer, "units", horizon, "wql");
        assert!(0.05 < wql && wql < 1.0, "{peer}: {wql}");
        let brier = value(&results, peer, "halved", 13, "brier");
        assert!(brier < value(&results, "all zeros", "halved", 13, "brier"), "{peer}: {brier}");
    }
    // Every product is older than a year at every test origin, so the base rate is one number.
    let brier = value(&results, "base rate", "halved", 4, "brier");
    let cell = results.counts.iter().find(|counts| {
        (counts.task.as_str(), counts.horizon, counts.metric.as_str()) == ("halved", 4, "brier")
    });
    let classes = &cell.expect("counted").counts.classes;
    let rate = classes[1] as f64 / (classes[0] + classes[1]) as f64;
    assert!((brier - rate * (1.0 - rate)).abs() < 0.01, "{brier} {rate}");
    assert_eq!(summary.models.len(), 8);
    means_are_of_three_turns(&results);
    for score in &results.scores {
        assert!(score.low <= score.value && score.value <= score.high);
        assert!(score.value.is_finite() && score.low.is_finite() && score.high.is_finite());
    }
}

#[test]
fn cold_starts_are_scored_beside_launches_of_like_products() {
    // Launched one after the other from week 10 to week 100; test origins begin at 77.
    let launches = (0..180).map(|number| launched(number, 10 + number / 2));
    let world = World::of(launches.collect());
    let forecasts = world.forecasts(OURS, |cutter, history, origin| Forecast {
        cold_start: true,
        ..prophet(cutter, history, origin)
    });
    let (_, results) = world.evaluate(&[(OURS, &forecasts)]).expect("evaluated");
    let cold = &results.cold_start;
    assert!(cold.rows > 20 && cold.products <= cold.rows && cold.launches > 50, "{cold:?}");
    assert_eq!(cold.flagged, cold.rows);
    for peer in ["nearest attributes", "category shape"] {
        let scored = |scores: &[lifecycle::Score]| {
            scores.iter().filter(|score| score.model == peer && score.metric == "wql").count()
        };
        assert_eq!((scored(&cold.comparison.scores), scored(&results.scores)), (1, 0), "{peer}");
        let difference = cold.comparison.differences.iter().find(|found| found.peer == peer);
        assert_eq!(difference.expect("compared").verdict, Verdict::Ahead);
        assert!(cold.coverage.iter().any(|coverage| coverage.model == peer));
    }
    // So few products carry no score.
    assert!(cold.comparison.counts.iter().all(|counts| !counts.identifiable));
}

#[test]
fn random_labels_score_like_the_base_rate_at_best() {
    let world = World::new(N_PRODUCTS);
    let guesses = world.forecasts("guesser", guesser);
    let (_, results) = world.evaluate(&[("guesser", &guesses)]).expect("evaluated");
    let entropy = -(2.0 * 0.2 * 0.2_f64.ln() + 0.4 * 0.4_f64.ln() + 0.2 * 0.2_f64.ln());
    let base = value(&results, "base rate", "stage", 0, "log_loss");
    assert!((base - entropy).abs() < 0.02, "{base} {entropy}");
    for ahead in [0, 4, 13, 26] {
        let base = value(&results, "base rate", "stage", ahead, "log_loss");
        assert!(value(&results, "guesser", "stage", ahead, "log_loss") > base + 0.1);
    }
}

#[test]
fn points_become_distributions_and_turns() {
    let world = World::new(N_PRODUCTS);
    let points = world.forecasts("averager", averager);
    let (_, results) = world.evaluate(&[("averager", &points)]).expect("evaluated");
    let horizon = HORIZON as u32;
    let wql = value(&results, "averager", "units", horizon, "wql");
    // The quantiles of its residuals cost less than twice its points would at each level.
    assert!(wql < 0.8, "{wql}");
    assert!(value(&results, "averager", "units", horizon, "coverage") < 0.1);
    for turn in ["halved", "doubled", "silent"] {
        let brier = value(&results, "averager", turn, 26, "brier");
        assert!(brier < 0.3, "{turn}: {brier}");
    }
    let model = results.models.iter().find(|model| model.name == "averager").expect("listed");
    assert!(model.path_correlation.is_some_and(|rho| rho > 0.1));
}

#[test]
fn the_same_bytes_with_one_thread_and_two() {
    let world = World::new(40);
    let points = world.forecasts("averager", averager);
    let with_threads = |n_threads| {
        let output = tempfile::tempdir_in(world.directory.path()).expect("a directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        let features = world.directory.path().join("features");
        pool.install(|| evaluate(&features, &[("averager", &points)], output.path()))
            .expect("evaluated");
        ["scores.parquet", "scores.json", "calibration.json"]
            .map(|file| std::fs::read(output.path().join(file)).expect("written"))
    };
    assert!(with_threads(1) == with_threads(2));
}

#[test]
fn what_does_not_fit_is_refused() {
    let world = World::new(12);
    let refused = |forecasts: &[(&str, &Path)]| {
        world.evaluate(forecasts).map(|(summary, _)| summary).expect_err("refused")
    };
    let unknown = world.forecasts("unknown", |_, history, origin| Forecast {
        series: Series::of("nobody"),
        ..bare(history, origin)
    });
    let error = refused(&[("unknown", &unknown)]);
    assert!(error.to_string().contains("nobody"), "{error}");
    assert_eq!(error.kind(), lifecycle::ErrorKind::Data);
    let twice = world.forecasts("twice", |cutter, history, origin| {
        guesser(cutter, history, Period(origin.0.min(CUT.0)))
    });
    let error = refused(&[("twice", &twice)]);
    assert!(error.to_string().contains("two forecasts"), "{error}");
    let error = refused(&[("base rate", &unknown)]);
    assert_eq!(error.kind(), lifecycle::ErrorKind::Usage);
    let nowhere = world.directory.path().join("nowhere");
    let error = refused(&[("nobody", &nowhere)]);
    assert!(error.to_string().contains("holds no forecasts"), "{error}");
    assert_eq!(LEVELS.len(), N_LEVELS);
}
