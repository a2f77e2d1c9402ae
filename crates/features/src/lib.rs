//! Turns a data set into panels, labels, fitted encoders and splits without look-ahead.
//!
//! Rows are read one partition at a time and binned by [`panel::bin`]; the panel itself, a few
//! numbers a period, is held whole, since fitting and labelling look at all of it. State for
//! training and labels for training come from a copy of the panel as it was known at the cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use artifacts::Folders;
use lifecycle::{Invalid, ProductId, Progress, Split, unseen_products};
use panel::{Coverage, Fitted, History, Panel, Settings, Statics};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::Product;
use tables::features::{LABELS_TEST_FILE, LABELS_TRAIN_FILE, SplitFile};

pub use crate::config::Config;
pub use crate::error::Error;
use crate::labels::{Purpose, labels};
use crate::partitions::Partitions;
pub use crate::server::server;

mod config;
mod coverage;
mod error;
mod known;
mod labels;
mod output;
mod partitions;
mod server;

/// What `features` reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Directory of the data set that `ingest` made.
    pub dataset: &'a Path,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["dataset"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`].
    pub fn named(folders: &'a Folders) -> Self {
        Self { dataset: &folders["dataset"] }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Series of the panel.
    pub n_series: usize,
    /// Their products.
    pub n_products: usize,
    /// Products of which no row trains.
    pub n_unseen: usize,
    /// Whole periods of the panel.
    pub n_periods: usize,
    /// Periods in which the shop was closed.
    pub n_closed: usize,
    /// Periods before the first test origin, that origin included.
    pub cut: usize,
    /// Horizon of the sales forecasts.
    pub horizon: usize,
    /// Products with a label from data up to the cut.
    pub n_labels_train: usize,
    /// Products with a label from the whole calendar.
    pub n_labels_test: usize,
    /// Shards of the panel.
    pub n_shards: usize,
}

/// Makes features of a data set into `output`, an existing empty directory.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate().map_err(Error::Config)?;
    let partitions = Partitions::open(inputs.dataset)?;
    let settings = config.settings(&partitions.dataset);
    settings.validate().map_err(Error::Config)?;
    let coverage = coverage::coverage(&partitions)?;
    let split = split(config, &coverage, settings)?;
    let panel = Panel {
        frequency: coverage.frequency,
        start: coverage.start,
        n_periods: coverage.n_periods,
        units_per_one: partitions.dataset.units_per_one,
        share_depth: config.share_depth.unwrap_or(partitions.dataset.share_depth),
        all_lives_ended: partitions.dataset.all_lives_ended,
        histories: histories(&partitions, &coverage, progress)?,
    };
    if panel.histories.is_empty() {
        return Err(Error::Dataset(Invalid::new(
            "dataset",
            "no series has a whole period of data",
        )));
    }
    let products: BTreeSet<&ProductId> =
        panel.histories.iter().map(|history| &history.series.product).collect();
    let unseen = if config.whole { Vec::new() } else { unseen_products(products.iter().copied()) };
    let unseen_set: BTreeSet<ProductId> = unseen.iter().cloned().collect();
    let (n_products, n_unseen) = (products.len(), unseen.len());

    let n_shards = output::write_panel(output, &panel, config.shard_series, &unseen_set)?;
    output::write_json(output, tables::features::PANEL_FILE, &panel.meta(settings))?;
    output::write_json(output, tables::features::SPLIT_FILE, &SplitFile { split, unseen })?;
    let written = |part, done| report(progress, part, done, 3);
    written("fit", 0)?;
    let known = known::panel_at(&panel, split.last_training_period());
    let fitted = Fitted::fit(&known, &split, &unseen_set, settings);
    output::write_json(output, tables::features::FITTED_FILE, &fitted)?;
    written("labels", 1)?;
    // What is known to the end trains nothing and is scored by nothing.
    let labelled = |panel: &Panel, purpose| {
        if config.whole {
            return Vec::new();
        }
        labels(panel, &unseen_set, config.label_lambda, purpose)
    };
    let train = labelled(&known, Purpose::Training);
    tables::write(&output.join(LABELS_TRAIN_FILE), &train)?;
    written("labels", 2)?;
    let test = labelled(&panel, Purpose::Test);
    tables::write(&output.join(LABELS_TEST_FILE), &test)?;
    written("labels", 3)?;
    let summary = Summary {
        n_series: panel.histories.len(),
        n_products,
        n_unseen,
        n_periods: panel.n_periods,
        n_closed: coverage.closed.len(),
        cut: split.cut,
        horizon: split.horizon,
        n_labels_train: train.len(),
        n_labels_test: test.len(),
        n_shards,
    };
    tracing::info!(?summary, "features made");
    Ok(summary)
}

/// The split; a data set that is too short is the data's fault, a wrong setting the caller's.
fn split(config: &Config, coverage: &Coverage, settings: Settings) -> Result<Split, Error> {
    let periods = (coverage.start, coverage.n_periods);
    config.split(coverage.frequency, periods, settings.horizon).map_err(|invalid| {
        if config.cut.is_some() {
            return Error::Config(invalid);
        }
        let reason = format!("{}, or set `cut` under [features]", invalid.reason);
        Error::Dataset(Invalid::new(invalid.field, reason))
    })
}

/// All series, sorted, binned one partition after the other.
fn histories(
    partitions: &Partitions<'_>,
    coverage: &Coverage,
    progress: &dyn Progress,
) -> Result<Vec<History>, Error> {
    let products: BTreeMap<ProductId, Statics> = partitions
        .products()?
        .into_iter()
        .map(|product| (product.product.clone(), statics(coverage, product)))
        .collect();
    let n_partitions = partitions.dataset.n_partitions;
    let mut histories = Vec::new();
    for number in 0..n_partitions {
        report(progress, "bin", number, n_partitions)?;
        let rows: Vec<_> = partitions.rows(number)?.into_iter().collect();
        let binned: Vec<Option<History>> = rows
            .into_par_iter()
            .map(|(series, rows)| {
                let statics = products.get(&series.product).cloned().unwrap_or_default();
                panel::bin(coverage, series, statics, &rows)
            })
            .collect();
        histories.extend(binned.into_iter().flatten());
    }
    report(progress, "bin", n_partitions, n_partitions)?;
    histories.sort_by(|one, other| one.series.cmp(&other.series));
    Ok(histories)
}

fn statics(coverage: &Coverage, product: Product) -> Statics {
    let Product { product: _, category, brand, title, launch, end } = product;
    let period = |day| coverage.frequency.period_of(day);
    Statics { category, brand, title, launch: launch.map(period), end: end.map(period) }
}

fn report(progress: &dyn Progress, part: &str, done: usize, total: usize) -> Result<(), Error> {
    progress.report(part, done as u64, total as u64);
    if progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
