//! Turns forecasts into decisions: how much to order now, and what to take off the shelf.
//!
//! `run` plans every series from the latest forecast of our model. Stock at hand is not in any data
//! set that `ingest` reads today, so a batch plan starts from none and says so; the service takes
//! the stock from its caller.

mod newsvendor;
mod replenishment;
mod server;
mod upstream;

use std::path::{Path, PathBuf};

use artifacts::Folders;
use lifecycle::{ErrorKind, Invalid, Period, Progress};
pub use newsvendor::{Units, critical_ratio, order_quantity};
pub use replenishment::{Config, replenish};
use serde::{Deserialize, Serialize};
pub use server::server;
use tables::PlanRow;

/// The artifacts that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The forecasts of one model.
    pub forecasts: &'a Path,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["forecasts"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`].
    pub fn named(folders: &'a Folders) -> Self {
        Self { forecasts: &folders["forecasts"] }
    }
}

/// What a plan holds, for people and `--json`; `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Origin of the forecasts that were planned from.
    pub origin: Option<Period>,
    /// Series planned.
    pub n_planned: usize,
    /// Series whose forecast does not reach over lead time and review.
    pub n_skipped: usize,
    /// Lines by action.
    pub actions: std::collections::BTreeMap<String, usize>,
    /// Units to order in all.
    pub units_to_order: f64,
    /// What the plan assumes about stock.
    pub assumption: String,
}

/// Why no plan was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("[plan] is not valid")]
    Config(#[from] Invalid),
    /// The forecasts cannot be read, or the plan cannot be written.
    #[error("a table failed")]
    Table(#[from] tables::Error),
    /// A file failed.
    #[error("{path}: cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Usage,
            Self::Table(_) => ErrorKind::Data,
            Self::File { .. } => ErrorKind::Internal,
        }
    }
}

/// Plans every series at the latest origin of the forecasts.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate()?;
    progress.report("plan", 0, 1);
    let forecasts = tables::latest_forecasts(inputs.forecasts)?;
    let mut rows: Vec<PlanRow> =
        forecasts.iter().filter_map(|forecast| replenish(config, forecast, None)).collect();
    rows.sort_by(|a, b| a.series.cmp(&b.series));
    tables::write(&output.join("plans.parquet"), &rows)?;

    let mut actions = std::collections::BTreeMap::new();
    for row in &rows {
        *actions.entry(row.action.clone()).or_default() += 1;
    }
    let summary = Summary {
        origin: rows.first().map(|row| row.origin),
        n_planned: rows.len(),
        n_skipped: forecasts.len() - rows.len(),
        actions,
        units_to_order: rows.iter().map(|row| row.order).sum(),
        assumption: "no stock at hand or on order is known: every order starts from zero".into(),
    };
    let path = output.join("plan.json");
    let text = serde_json::to_vec_pretty(&summary).expect("a summary is plain data");
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })?;
    progress.report("plan", 1, 1);
    Ok(summary)
}
