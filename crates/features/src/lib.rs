//! Turns a data set into panels, labels, fitted encoders and splits without look-ahead.
//!
//! Rows are read one partition at a time and binned by [`panel::bin`]; the panel itself, a few
//! numbers a period, is held whole, since fitting and labelling look at all of it. State for
//! training and labels for training come from a copy of the panel as it was known at the cut.

use std::collections::BTreeSet;
use std::path::Path;

use artifacts::Folders;
use lifecycle::{Invalid, ProductId, Progress, Split, unseen_products};
use panel::{Coverage, Fitted, Panel, Settings};
use serde::{Deserialize, Serialize};
use tables::LabelReliability;
use tables::features::SplitFile;

use crate::binned::{Binned, Halves};

pub use crate::config::Config;
pub use crate::error::Error;
use crate::labelling::Labelling;
use crate::partitions::Partitions;
pub use crate::server::server;

mod binned;
mod config;
mod coverage;
mod error;
mod known;
mod labelling;
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// How far the labels can be relied on; none where the data brings them.
    pub reliability: Option<LabelReliability>,
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
    let wanted = config.halves(&partitions.dataset).map_err(Error::Dataset)?;
    let binned = Binned::of(&partitions, &coverage, wanted, progress)?;
    let panel_of = |histories| Panel {
        frequency: coverage.frequency,
        start: coverage.start,
        n_periods: coverage.n_periods,
        units_per_one: partitions.dataset.units_per_one,
        share_depth: config.share_depth.unwrap_or(partitions.dataset.share_depth),
        all_lives_ended: partitions.dataset.all_lives_ended,
        histories,
    };
    let panel = panel_of(binned.histories);
    let halves = (wanted != Halves::None).then(|| binned.halves.map(panel_of));
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
    report(progress, "fit", 0, 3)?;
    let known = known::panel_at(&panel, split.last_training_period());
    let fitted = Fitted::fit(&known, &split, &unseen_set, settings);
    output::write_json(output, tables::features::FITTED_FILE, &fitted)?;
    let labelling = Labelling {
        config,
        thinned_by: partitions.dataset.thinned_by,
        // The second half's, where models see the first.
        panel: halves.as_ref().filter(|_| config.cross_half).map_or(&panel, |halves| &halves[1]),
        halves: halves.as_ref(),
        unseen: &unseen_set,
        cut: split.last_training_period(),
    };
    drop(known);
    let labels = labelling.run(output, progress)?;
    let summary = Summary {
        n_series: panel.histories.len(),
        n_products,
        n_unseen,
        n_periods: panel.n_periods,
        n_closed: coverage.closed.len(),
        cut: split.cut,
        horizon: split.horizon,
        n_labels_train: labels.n_train,
        n_labels_test: labels.n_test,
        reliability: labels.reliability,
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

fn report(progress: &dyn Progress, part: &str, done: usize, total: usize) -> Result<(), Error> {
    progress.report(part, done as u64, total as u64);
    if progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
