//! The directory that `features` publishes: names of its files, and readers for all of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use lifecycle::{ProductId, Series, Split};
use panel::{Fitted, History, Panel, PanelMeta};
use polars::prelude::Column;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{Error, Frame, Table, flags, ints, read};
use crate::{Label, LabelReliability, series};

/// Name of the panel's description.
pub const PANEL_FILE: &str = "panel.json";
/// Name of the file of fitted state.
pub const FITTED_FILE: &str = "fitted.json";
/// Name of the split's file.
pub const SPLIT_FILE: &str = "split.json";
/// Name of the index of series.
pub const INDEX_FILE: &str = "index.parquet";
/// Labels from data up to the cut.
pub const LABELS_TRAIN_FILE: &str = "labels-train.parquet";
/// Labels from the whole calendar.
pub const LABELS_TEST_FILE: &str = "labels-test.parquet";

/// How far the labels can be relied on.
pub const RELIABILITY_FILE: &str = "reliability.json";

/// Shards that a panel can have.
const SHARDS_MAX: usize = 100_000;

/// Name of a shard of histories.
pub fn shard_file(number: usize) -> String {
    format!("panel/shard-{number:03}.parquet")
}

/// Where the data is cut in time and in product; `split.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// In time.
    pub split: Split,
    /// Products of which no row trains, sorted.
    pub unseen: Vec<ProductId>,
}

/// Where a series lies and which origins it has; `index.parquet`, sorted by series.
///
/// Origins are its periods from the first on; [`Split::part`] says which of them train.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Whose.
    pub series: Series,
    /// Number of the shard.
    pub shard: i32,
    /// Row in the shard.
    pub row: i32,
    /// First period: the first origin.
    pub start: i32,
    /// Number of periods: the last origin is the panel's last period.
    pub n_periods: i32,
    /// No row of its product trains.
    pub is_unseen: bool,
}

impl Table for IndexRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("shard", rows, |row| Some(row.shard)),
            ints("row", rows, |row| Some(row.row)),
            ints("start", rows, |row| Some(row.start)),
            ints("n_periods", rows, |row| Some(row.n_periods)),
            flags("is_unseen", rows, |row| row.is_unseen),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (shards, numbers) = (frame.ints("shard")?, frame.ints("row")?);
        let (starts, n_periods) = (frame.ints("start")?, frame.ints("n_periods")?);
        let unseen = frame.flags("is_unseen")?;
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            shard: shards[row],
            row: numbers[row],
            start: starts[row],
            n_periods: n_periods[row],
            is_unseen: unseen[row],
        });
        Ok(rows.collect())
    }
}

/// A features artifact on disk. Small files are read when it is opened, the others when asked for.
#[derive(Debug, Clone)]
pub struct FeaturesDir {
    path: PathBuf,
    meta: PanelMeta,
    split: Split,
    unseen: BTreeSet<ProductId>,
    fitted: Fitted,
}

impl FeaturesDir {
    /// Opens a directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if !path.join(SPLIT_FILE).exists() {
            return Err(Error::OtherKind { path, kind: "features", file: SPLIT_FILE });
        }
        let SplitFile { split, unseen } = read_json(&path.join(SPLIT_FILE))?;
        Ok(Self {
            meta: read_json(&path.join(PANEL_FILE))?,
            fitted: read_json(&path.join(FITTED_FILE))?,
            unseen: unseen.into_iter().collect(),
            split,
            path,
        })
    }

    /// The panel without its histories.
    pub fn meta(&self) -> &PanelMeta {
        &self.meta
    }

    /// Where the data is cut in time.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Products of which no row trains.
    pub fn unseen(&self) -> &BTreeSet<ProductId> {
        &self.unseen
    }

    /// State fitted on the training part.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// Number of shards.
    pub fn n_shards(&self) -> usize {
        (0..SHARDS_MAX).take_while(|number| self.path.join(shard_file(*number)).exists()).count()
    }

    /// The histories of one shard, sorted by series.
    pub fn shard(&self, number: usize) -> Result<Vec<History>, Error> {
        read(&self.path.join(shard_file(number)))
    }

    /// The shards one after the other: series are sorted over all of them.
    pub fn shards(&self) -> impl Iterator<Item = Result<Vec<History>, Error>> + '_ {
        (0..self.n_shards()).map(|number| self.shard(number))
    }

    /// All histories, sorted by series.
    pub fn histories(&self) -> Result<Vec<History>, Error> {
        let mut histories = Vec::new();
        for shard in self.shards() {
            histories.extend(shard?);
        }
        Ok(histories)
    }

    /// The whole panel.
    pub fn panel(&self) -> Result<Panel, Error> {
        Ok(self.meta.with_histories(self.histories()?))
    }

    /// Where each series lies, sorted.
    pub fn index(&self) -> Result<Vec<IndexRow>, Error> {
        read(&self.path.join(INDEX_FILE))
    }

    /// Labels of seen products from data up to the cut, sorted by product.
    pub fn labels_train(&self) -> Result<Vec<Label>, Error> {
        read(&self.path.join(LABELS_TRAIN_FILE))
    }

    /// Labels of all products from the whole calendar, sorted by product.
    pub fn labels_test(&self) -> Result<Vec<Label>, Error> {
        read(&self.path.join(LABELS_TEST_FILE))
    }

    /// How far the labels can be relied on; `None` where nothing was labelled here: the data brings
    /// its own stages, or all of it is context.
    pub fn reliability(&self) -> Result<Option<LabelReliability>, Error> {
        let path = self.path.join(RELIABILITY_FILE);
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(file_error)?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| file_error(error.into()))
}
