//! Forecasts by rule, and the scores of all forecasts.
//!
//! Whoever forecasts - ours, a baseline, somebody's Python - writes the same table; here each meets
//! the same rows. The protocol:
//!
//! - A row is a series at a test origin. A cell is a task, horizon and metric; every forecaster of
//!   a cell is scored on the rows that all of them forecast (one that forecasts less than half of
//!   the rows is left out).
//! - What a forecaster leaves out is derived from what it says, for ours and peers alike: points
//!   become distributions by their own validation residuals, quantiles become sample paths by a
//!   Gaussian copula fitted on validation ranks, and paths give cumulative quantiles and turns.
//! - 95 % intervals are by bootstrap over products, with the same resamples for all, so that
//!   differences are paired.
//! - Stages are scored against the settled label, which is evidence and not truth, beside the
//!   label's own entropy and what is known of its reliability; against the truth where a simulator
//!   gives it.

mod analogues;
mod bands;
mod base_rate;
mod bootstrap;
mod calibration;
mod cells;
mod cold_start;
mod complete;
mod decisions;
mod error;
mod fitting;
mod forecasters;
mod headline;
mod known;
mod losses;
mod results;
mod rows;
pub mod rules;
mod scoring;
mod server;
pub mod spread;
mod stages;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use artifacts::Folders;
use lifecycle::{Invalid, ProductId, Progress};
use panel::{Channel, Cutter, History, PanelMeta, category_units};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::{FeaturesDir, Truth};

pub use bands::Subset;
pub use bootstrap::share_interval;
pub use calibration::{
    BandCoverage, Calibrations, LevelCoverage, ProbabilityCalibration, UnitsCalibration,
};
pub use cells::{Cell, Metric, Task};
pub use cold_start::ColdStart;
pub use error::Error;
pub use fitting::{fit_origins, fit_series};
pub use headline::{Headline, MetricHeadline, PeerHeadline};
pub use results::{CellCounts, Comparison, LabelCheck, Results, SubsetScore};
pub use scoring::{Counts, Difference, Verdict};
pub use server::server;
pub use table::render_table;

use analogues::Analogues;
use base_rate::BaseRate;
use bootstrap::go_on;
use complete::Common;
use decisions::decide;
use forecasters::{Ground, Judged};
use rows::{Learnt, Place, Row, Source};
use rules::Rule;
use scoring::Scorer;
use stages::StageTargets;

/// The name of our model in tables.
pub const OURS: &str = "lifecast";

/// What an evaluation computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seed of sample paths, resamples and randomised ranks.
    pub seed: u64,
    /// Resamples of products behind each interval.
    pub resamples: usize,
    /// The same for subsets, of which there are ten.
    pub subset_resamples: usize,
    /// Most seen products whose validation rows residuals and dependence are fitted on.
    pub fit_products: usize,
    /// Bins of calibration curves.
    pub calibration_bins: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 20_091_201,
            resamples: 1000,
            subset_resamples: 200,
            fit_products: 2000,
            calibration_bins: 15,
        }
    }
}

impl Config {
    /// Checks that every limit is at least one and not absurd.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, value, most) in [
            ("resamples", self.resamples, 100_000),
            ("subset_resamples", self.subset_resamples, 100_000),
            ("fit_products", self.fit_products, 1_000_000),
            ("calibration_bins", self.calibration_bins, 1000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Invalid::new(field, format!("{value} must be 1 to {most}")));
            }
        }
        Ok(())
    }
}

/// Artifacts that an evaluation reads, as fetched directories.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// Panels, labels and splits.
    pub features: &'a Path,
    /// Tables of forecasts by name; ours is [`OURS`].
    pub forecasts: Vec<(&'a str, &'a Path)>,
    /// The simulator's artifact, where its truth is known.
    pub truth: Option<&'a Path>,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["features"];

    /// Names of the artifacts that a run reads where they are given; [`Inputs::FORECASTS`]
    /// stands before the name of any model.
    pub const OPTIONAL: &'static [&'static str] = &["truth", Self::FORECASTS];

    /// Before the name of a model, the name of its forecasts.
    pub const FORECASTS: &'static str = "forecasts/";

    /// The inputs among folders that hold all of [`Inputs::NEEDED`]: `truth` where it is known, and
    /// `forecasts/NAME` for each model, ours first.
    pub fn named(folders: &'a Folders) -> Self {
        let mut forecasts: Vec<(&str, &Path)> = folders
            .iter()
            .filter_map(|(name, folder)| {
                Some((name.strip_prefix(Self::FORECASTS)?, folder.as_path()))
            })
            .collect();
        forecasts.sort_by_key(|(name, _)| *name != OURS);
        Self {
            features: &folders["features"],
            forecasts,
            truth: folders.get("truth").map(std::path::PathBuf::as_path),
        }
    }
}

/// What an evaluation did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Test rows.
    pub rows: u64,
    /// Test origins.
    pub origins: u64,
    /// Forecasters in the table.
    pub models: Vec<String>,
    /// Scores written.
    pub scores: u64,
    /// How ours compares.
    pub headline: Headline,
}

/// Scores tables of forecasts and all rules; writes `scores.parquet`, `scores.json` and
/// `calibration.json` into `output`.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate().map_err(Error::Config)?;
    check_names(inputs)?;
    let features = FeaturesDir::open(inputs.features)?;
    let panel = features.panel()?;
    let categories = category_units(&panel);
    let cutter = Cutter::new(features.meta(), &categories, features.fitted());
    let stages = StageTargets::new(features.labels_test()?, read_truth(inputs.truth)?);
    let training = StageTargets::new(features.labels_train()?, None);
    let names: Vec<&String> = categories.keys().collect();
    let source =
        Source { meta: features.meta(), split: features.split(), cutter: &cutter, stages: &stages };
    let places = places(&panel.histories, &features, &names);
    let origins = source.test_origins();
    let ground = Ground {
        rows: test_rows(&source, &panel.histories, &places, &origins),
        learnt: Learnt {
            base_rate: base_rate(&source, &panel.histories, &places, &training),
            analogues: Analogues::new(
                features.meta(),
                features.split(),
                &panel.histories,
                features.unseen(),
            ),
        },
        fit_series: fit_series(&panel.histories, features.unseen(), config.fit_products),
        n_origins: origins.len(),
        n_categories: names.len(),
        common: common(config, features.meta(), &panel.histories),
        histories: &panel.histories,
        source,
    };
    if ground.rows.is_empty() {
        return Err(Error::NoRows);
    }
    let judged = judge(&ground, inputs, progress)?;
    progress.report("intervals", 0, 1);
    let n_products = places.iter().map(|place| place.product + 1).max().unwrap_or(0);
    let scorer = Scorer::new(&ground.rows, &judged, n_products, config, progress)?;
    let reliability = features.reliability()?;
    let results = Results { reliability, ..Results::new(&ground, &judged, &scorer)? };
    let calibrations = Calibrations::new(&ground.rows, &judged, &scorer, config, progress)?;
    results.write(output)?;
    calibrations.write(output)?;
    progress.report("intervals", 1, 1);
    Ok(Summary {
        rows: ground.rows.len() as u64,
        origins: origins.len() as u64,
        models: judged.into_iter().map(|judged| judged.name).collect(),
        scores: results.scores.len() as u64,
        headline: results.headline,
    })
}

/// No name may stand for two forecasters.
fn check_names(inputs: &Inputs<'_>) -> Result<(), Error> {
    let mut names: BTreeSet<&str> = Rule::ALL.map(Rule::name).into();
    for (name, _) in &inputs.forecasts {
        if !names.insert(name) {
            return Err(Error::Name { name: (*name).to_owned() });
        }
    }
    Ok(())
}

fn read_truth(directory: Option<&Path>) -> Result<Option<Vec<Truth>>, Error> {
    let read = |directory: &Path| tables::read(&directory.join("truth/truth.parquet"));
    Ok(directory.map(read).transpose()?)
}

/// Numbers products and categories in the order of series.
fn places(histories: &[History], features: &FeaturesDir, categories: &[&String]) -> Vec<Place> {
    let mut products: BTreeMap<&ProductId, usize> = BTreeMap::new();
    let place = |(series, history): (usize, &'_ History)| {
        let category = features.meta().share_category(history);
        (series, categories.binary_search(&&category).unwrap_or(0))
    };
    let mut places = Vec::with_capacity(histories.len());
    for (at, history) in histories.iter().enumerate() {
        let (series, category) = place((at, history));
        let next = products.len();
        let product = *products.entry(&history.series.product).or_insert(next);
        let is_unseen = features.unseen().contains(&history.series.product);
        places.push(Place { series, product, category, is_unseen });
    }
    places
}

fn test_rows(
    source: &Source<'_>,
    histories: &[History],
    places: &[Place],
    origins: &[lifecycle::Period],
) -> Vec<Row> {
    let rows = histories
        .par_iter()
        .zip(places)
        .map(|(history, place)| source.rows(history, *place, origins));
    let rows: Vec<Vec<Row>> = rows.collect();
    rows.into_iter().flatten().collect()
}

/// Counts training rows series by series, in order.
fn base_rate(
    source: &Source<'_>,
    histories: &[History],
    places: &[Place],
    labels: &StageTargets,
) -> BaseRate {
    let counted: Vec<BaseRate> = histories
        .par_chunks(64)
        .zip(places.par_chunks(64))
        .map(|(histories, places)| {
            let mut rates = BaseRate::default();
            for (history, _) in histories.iter().zip(places).filter(|(_, place)| !place.is_unseen) {
                source.count_base_rate(history, labels, &mut rates);
            }
            rates
        })
        .collect();
    let mut total = BaseRate::default();
    for rates in &counted {
        total.merge(rates);
    }
    total
}

fn common(config: &Config, meta: &PanelMeta, histories: &[History]) -> Common {
    let one = meta.units_per_one;
    let is_whole = |units: &f32| {
        let count = f64::from(*units) / one;
        units.is_nan() || (count - count.round()).abs() < 1e-3
    };
    let are_whole =
        histories.iter().all(|history| history.channel(Channel::Units).iter().all(is_whole));
    Common {
        normals: lifecycle::paths::Normals::new(config.seed, meta.n_outlook_periods()),
        grain: if are_whole { one as f32 } else { 0.0 },
        horizon: meta.settings.horizon,
        seed: config.seed,
    }
}

/// All forecasters' losses: the tables in their order, then the rules.
fn judge(
    ground: &Ground<'_>,
    inputs: &Inputs<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Judged>, Error> {
    let n_models = inputs.forecasts.len() + Rule::ALL.len();
    let mut judged = Vec::with_capacity(n_models);
    let step = |done: usize| {
        progress.report("forecasters", done as u64, n_models as u64);
        go_on(progress)
    };
    for (name, directory) in &inputs.forecasts {
        step(judged.len())?;
        judged.push(ground.judge_table(name, directory)?);
    }
    step(judged.len())?;
    let fit_rows = ground.fit_rows();
    for rule in Rule::ALL {
        step(judged.len())?;
        judged.push(ground.judge_rule(rule, &fit_rows));
    }
    for judged in &mut judged {
        decide(&mut judged.losses);
        let n_rows = judged.losses.iter().filter(|losses| losses.units.is_some()).count();
        tracing::info!(model = %judged.name, n_rows, rho = ?judged.rho, "forecaster judged");
    }
    step(n_models)?;
    Ok(judged)
}
