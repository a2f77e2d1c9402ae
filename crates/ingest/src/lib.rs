//! Turns raw event, product, transaction or panel files into one clean, versioned data set.
//!
//! A mapping (`MAPPING.md` beside these sources describes it) names files and says what their
//! columns mean. Two passes keep memory bounded: the first reads every file row by row, refuses
//! what cannot be right and writes the rest to buckets by a hash of the product; the second takes
//! one partition at a time, sorts it by a total key, removes duplicates, matches cancellations and
//! writes the tables. So the bytes published depend on the rows, not on the order of files or the
//! number of threads.
//!
//! Nothing is dropped in silence: each refused row is counted by its reason in `quality.json`, and
//! the first rows of each reason stand in `quarantine.parquet` with the cell that was wrong.

mod cells;
mod error;
mod files;
mod identity;
mod intake;
mod mapping;
mod moments;
mod nearest;
mod partition;
mod quality;
mod refusals;
mod rows;
mod scan;
mod server;
mod spill;
mod variables;

use std::fs;
use std::path::Path;

use artifacts::Order;
use lifecycle::{Day, Digest, Invalid, Progress};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::{Dataset, Product};

pub use error::Error;
pub use files::InputFile;
pub use identity::KEY_BYTES_MIN;
pub use mapping::Mapping;
pub use server::{OPTIONAL_INPUTS, RAW, server};
pub use variables::Variables;

use intake::Intake;
use partition::{Outcome, Task};
use quality::{PanelCells, Quality, Rows, Spikes, Totals};
use spill::{PARTITIONS_AT_ONCE, Spill, Tag};

/// What the stage computes with; the mapping says what the data is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Memory for sorting rows, which decides the number of partitions.
    pub memory_limit_bytes: u64,
    /// Rows that `quarantine.parquet` shows for each reason; counts are complete all the same.
    pub quarantine_rows_max: usize,
    /// Share of a column's filled cells that may be unreadable before the mapping must be wrong.
    pub unreadable_share_max: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { memory_limit_bytes: 512 << 20, quarantine_rows_max: 1000, unreadable_share_max: 0.5 }
    }
}

impl Config {
    /// Checks what the types cannot.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.memory_limit_bytes < 1 << 20 {
            return Err(Invalid::new("memory_limit_bytes", "must be at least 1048576 (1 MiB)"));
        }
        if !(0.0..=1.0).contains(&self.unreadable_share_max) {
            return Err(Invalid::new("unreadable_share_max", "must be between 0 and 1"));
        }
        Ok(())
    }
}

/// What the stage reads.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The mapping file; paths in it are relative to its folder.
    pub mapping: &'a Path,
    /// What `${NAME}` stands for in those paths.
    pub variables: &'a Variables,
    /// Key of the hashes of customer and order ids, at least [`KEY_BYTES_MIN`] bytes; may be empty
    /// where the mapping names neither. Nothing that is published contains it.
    pub key: &'a [u8],
}

/// What came of it, for logs and `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the data set.
    pub name: String,
    /// Rows read; of a wide panel, cells.
    pub rows_read: u64,
    /// Rows that reached the data set.
    pub rows_kept: u64,
    /// Rows refused.
    pub rows_refused: u64,
    /// Rows that the mapping's filters left out.
    pub rows_filtered: u64,
    /// Products known.
    pub n_products: u64,
    /// Series with sales.
    pub n_series: u64,
    /// Cancellations that removed a sale.
    pub cancellations_matched: u64,
    /// First day of the data.
    pub first_day: Day,
    /// Last day of the data.
    pub last_day: Day,
    /// Partitions of the dated tables.
    pub n_partitions: usize,
}

/// What a data set depends on: the configuration, the mapping and all files it names, and the key.
pub fn order(config: Config, mapping: &Mapping, key: &[u8]) -> Result<Order<Config>, Error> {
    let files = mapping.input_files()?.into_iter().map(|file| (file.name, file.digest));
    let key = ("customer key".to_owned(), Digest::of(key));
    Ok(Order { files: files.chain([key]).collect(), ..Order::new(config) })
}

/// Reads the files of the mapping and fills `output`, an existing empty folder.
///
/// What is in the folder means something only if this returned `Ok`.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    let mapping = Mapping::load(inputs.mapping, inputs.variables)?;
    run_mapping(config, &mapping, inputs.key, output, progress)
}

/// [`run`] for a mapping that was read already.
pub fn run_mapping(
    config: &Config,
    mapping: &Mapping,
    key: &[u8],
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate()?;
    let spill = Spill::create(output.join("spill"))?;
    let mut intake = Intake::read(mapping, (config, key), &spill, progress)?;
    let n_partitions = spill.n_partitions(config.memory_limit_bytes);
    create_folders(&spill, output)?;
    let task = Task {
        spill: &spill,
        n_partitions,
        files: intake.files.iter().map(|file| file.file.clone()).collect(),
        output,
        frequency: mapping.frequency,
        within_days: mapping.cancellations.within_days,
        match_by: Task::match_by(mapping),
        quarantine_rows_max: config.quarantine_rows_max,
    };
    let refusals = std::mem::replace(&mut intake.refusals, refusals::Refusals::new(0));
    let mut totals = Totals::new(refusals);
    let refused_before = totals.refusals.n_rows();
    let products = second_pass(&task, progress, &mut totals)?;
    drop(spill);
    let rows = Rows::of(&intake.files, totals.refusals.n_rows() - refused_before);
    let dataset = dataset_of(mapping, &intake, (&totals, rows), n_partitions)?;
    write_json(&output.join("dataset.json"), &dataset)?;
    write_products(output, products)?;
    tables::write(&output.join("quarantine.parquet"), &totals.refusals.quarantine())?;
    let quality = quality_of(&dataset, intake, totals, rows);
    write_json(&output.join("quality.json"), &quality)?;
    Ok(Summary {
        name: dataset.name,
        rows_read: rows.read,
        rows_kept: rows.kept,
        rows_refused: rows.refused,
        rows_filtered: rows.filtered,
        n_products: quality.products.known,
        n_series: quality.products.series,
        cancellations_matched: quality.cancellations.matched,
        first_day: dataset.first_day,
        last_day: dataset.last_day,
        n_partitions,
    })
}

/// The folders of the tables that have rows.
fn create_folders(spill: &Spill, output: &Path) -> Result<(), Error> {
    let folders = [
        (Tag::Line, "sales"),
        (Tag::Event, "events"),
        (Tag::Stock, "stock"),
        (Tag::Offer, "offers"),
        (Tag::Panel, "panel"),
    ];
    for (_, folder) in folders.into_iter().filter(|(tag, _)| spill.count(*tag) > 0) {
        let path = output.join(folder);
        fs::create_dir(&path).map_err(|source| Error::File { path, source })?;
    }
    Ok(())
}

/// All partitions, a few at a time so that memory stays bounded; the products of all.
fn second_pass(
    task: &Task<'_>,
    progress: &dyn Progress,
    totals: &mut Totals,
) -> Result<Vec<Product>, Error> {
    let partitions: Vec<usize> = (0..task.n_partitions).collect();
    let mut products = Vec::new();
    let mut contradictions = [(0, 0); Tag::ALL.len()];
    for some in partitions.chunks(PARTITIONS_AT_ONCE) {
        progress.report("sort", some[0] as u64, task.n_partitions as u64);
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let outcomes: Result<Vec<Outcome>, Error> =
            some.par_iter().map(|&partition| task.run(partition)).collect();
        for outcome in outcomes? {
            for (sum, part) in contradictions.iter_mut().zip(outcome.contradictions) {
                *sum = (sum.0 + part.0, sum.1 + part.1);
            }
            products.extend(totals.add(outcome));
        }
    }
    progress.report("sort", task.n_partitions as u64, task.n_partitions as u64);
    let tables = [(Tag::Panel, "panel"), (Tag::Stock, "stock"), (Tag::Offer, "offers")];
    for (tag, what) in tables {
        let (rows, of) = contradictions[tag as usize];
        if 2 * rows > of {
            return Err(Error::Contradictions { what, rows, of });
        }
    }
    Ok(products)
}

/// What holds for the whole data set; an error if nothing is left that was sold, or years apart.
fn dataset_of(
    mapping: &Mapping,
    intake: &Intake,
    (totals, rows): (&Totals, Rows),
    n_partitions: usize,
) -> Result<Dataset, Error> {
    let most = || {
        let tallies = totals.refusals.tallies().iter();
        let most = tallies.max_by_key(|(_, tally)| tally.refused);
        most.map_or("they are filtered out", |(reason, _)| reason.text()).to_owned()
    };
    let has_sales = totals.sales.rows + totals.panel.rows > 0;
    let range = intake.coverage.range().filter(|_| has_sales);
    let (first, last) =
        range.ok_or_else(|| Error::NothingLeft { rows: rows.read, reason: most() })?;
    let is_bounded = mapping.first_day.is_some() && mapping.last_day.is_some();
    let gap = quality::wrong_gap(&intake.coverage.periods, mapping.frequency);
    if let Some((first, last)) = gap.filter(|_| !is_bounded) {
        return Err(Error::Gap { first, last });
    }
    Ok(Dataset {
        name: mapping.name.clone(),
        frequency: mapping.frequency,
        first_day: mapping.first_day.unwrap_or(first),
        last_day: mapping.last_day.unwrap_or(last),
        units_per_one: mapping.units_per_one,
        share_depth: mapping.share_depth,
        all_lives_ended: mapping.all_lives_ended,
        horizon: mapping.horizon,
        thinned_by: mapping.thinned_by(),
        n_partitions,
    })
}

fn quality_of(dataset: &Dataset, intake: Intake, totals: Totals, rows: Rows) -> Quality {
    Quality {
        name: dataset.name.clone(),
        first_day: dataset.first_day.to_string(),
        last_day: dataset.last_day.to_string(),
        rows,
        units: totals.units(),
        products: totals.products,
        cancellations: totals.cancellations,
        negative_quantities: intake.n_negative,
        panel: (totals.panel.rows > 0)
            .then_some(PanelCells { rows: totals.panel.rows, missing: totals.panel.missing }),
        refused: quality::refused(&totals.refusals),
        periods_without_rows: quality::gaps(&intake.coverage.periods, dataset.frequency),
        spikes: Spikes::of(totals.n_spikes, &totals.spikes),
        files: intake.files,
    }
}

fn write_products(output: &Path, mut products: Vec<Product>) -> Result<(), Error> {
    products.sort_unstable_by(|a, b| a.product.cmp(&b.product));
    Ok(tables::write(&output.join("products.parquet"), &products)?)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    fs::write(path, text + "\n").map_err(|source| Error::File { path: path.to_owned(), source })
}
