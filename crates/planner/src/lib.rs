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
use lifecycle::{ErrorKind, Forecast, Invalid, Period, Progress};
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
    /// No forecast reaches as far as an order has to last.
    #[error(
        "lead_time {lead_time} and review {review} together reach past the forecasts' horizon of \
        {horizon} periods: lower them, or raise `horizon` under [features]"
    )]
    BeyondHorizon {
        /// Periods from order to delivery.
        lead_time: usize,
        /// Periods between orders.
        review: usize,
        /// Periods of the longest forecast.
        horizon: usize,
    },
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
            Self::Config(_) | Self::BeyondHorizon { .. } => ErrorKind::Usage,
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
    if rows.is_empty()
        && let Some(horizon) = horizon(&forecasts)
    {
        let Config { lead_time, review, .. } = *config;
        return Err(Error::BeyondHorizon { lead_time, review, horizon });
    }
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
        // Not `sum`, which is -0 of no rows.
        units_to_order: rows.iter().fold(0.0, |sum, row| sum + row.order),
        assumption: "no stock at hand or on order is known: every order starts from zero".into(),
    };
    let path = output.join("plan.json");
    let text = serde_json::to_vec_pretty(&summary).expect("a summary is plain data");
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })?;
    progress.report("plan", 1, 1);
    Ok(summary)
}

/// Periods of the longest forecast that can be planned from; `None` without any.
fn horizon(forecasts: &[Forecast]) -> Option<usize> {
    let units = forecasts.iter().filter_map(|forecast| forecast.units.as_ref());
    let plannable = units.filter(|units| !units.cumulative_quantiles.is_empty());
    plannable.map(lifecycle::UnitsForecast::horizon).max()
}

#[cfg(test)]
mod tests {
    use lifecycle::Unwatched;

    use super::*;
    use crate::replenishment::tests::forecast;

    /// What is planned from some forecasts.
    fn planned(config: &Config, forecasts: &[Forecast]) -> Result<Summary, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let parts = folder.path().join("forecasts");
        std::fs::create_dir(&parts).expect("a folder");
        tables::write(&parts.join("part-000.parquet"), forecasts).expect("a table");
        let inputs = Inputs { forecasts: folder.path() };
        run(config, &inputs, folder.path(), &Unwatched)
    }

    #[test]
    fn a_plan_beyond_the_horizon_is_an_error() {
        let forecasts = [forecast([0.9, 0.0, 0.7])];
        let summary = planned(&Config::default(), &forecasts).expect("a plan");
        assert_eq!((summary.n_planned, summary.n_skipped), (1, 0));
        let config = Config { lead_time: 8, ..Config::default() };
        let error = planned(&config, &forecasts).expect_err("three periods are too few");
        assert_eq!(error.kind(), ErrorKind::Usage);
        let told = "lead_time 8 and review 1 together reach past the forecasts' horizon of 3";
        assert!(error.to_string().starts_with(told), "{error}");
    }

    #[test]
    fn nothing_to_order_is_zero() {
        for forecasts in [vec![], vec![forecast([0.9, 0.0, 0.7])]] {
            let summary = planned(&Config::default(), &forecasts).expect("a plan");
            assert_eq!(summary.units_to_order.to_bits(), 0.0_f64.to_bits());
        }
    }
}
