//! Pictures and the self-contained HTML report.
//!
//! [`run`] gathers a run's artifacts into a plain view and renders it as one page
//! that works offline: styles, charts and their library are inside.

mod gather;
mod heat;
mod importance;
mod numbers;
mod overview;
mod page;
mod product;
mod quality;
mod scores;
mod surrogates;
mod view;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::{ErrorKind, Invalid, Progress};
use serde::{Deserialize, Serialize};

/// What the report shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Products with charts: those explained, the most urgent, and those that sell most.
    pub n_products: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { n_products: 200 }
    }
}

/// The artifacts that the report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Clean data set, for its quality.
    pub dataset: &'a Path,
    /// Panel.
    pub features: &'a Path,
    /// Our model's forecasts.
    pub forecasts: &'a Path,
    /// Scores of all models.
    pub scores: &'a Path,
    /// Explanations.
    pub explanations: &'a Path,
    /// Plans.
    pub plans: &'a Path,
    /// The dense baseline's model, for its scatter plot.
    pub dense: Option<&'a Path>,
    /// Stage and content digest of every artifact of the run.
    pub artifacts: &'a [(String, String)],
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] =
        &["dataset", "features", "forecasts", "scores", "explanations", "plans"];

    /// Names of the artifacts that a run reads where they are given.
    pub const OPTIONAL: &'static [&'static str] = &["dense"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`], and `dense` where it was
    /// trained.
    pub fn named(
        folders: &'a BTreeMap<String, PathBuf>,
        artifacts: &'a [(String, String)],
    ) -> Self {
        Self {
            dataset: &folders["dataset"],
            features: &folders["features"],
            forecasts: &folders["forecasts"],
            scores: &folders["scores"],
            explanations: &folders["explanations"],
            plans: &folders["plans"],
            dense: folders.get("dense").map(PathBuf::as_path),
            artifacts,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Products shown.
    pub n_products: usize,
    /// Length of the page.
    pub n_bytes: usize,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("[report] is not valid")]
    Config(#[from] Invalid),
    /// A table cannot be read.
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
    /// A file is not the JSON it should be.
    #[error("{path}: is not the JSON that the stage writes")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The page cannot be rendered.
    #[error("the page cannot be rendered")]
    Template(#[from] minijinja::Error),
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Usage,
            Self::Table(_) | Self::Json { .. } => ErrorKind::Data,
            Self::File { .. } | Self::Template(_) => ErrorKind::Internal,
        }
    }
}

/// Writes `report.html`.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    if config.n_products == 0 || config.n_products > 1_000 {
        let reason = format!("{} must be between 1 and 1000", config.n_products);
        return Err(Invalid::new("n_products", reason).into());
    }
    progress.report("report", 0, 1);
    let view = gather::gather(inputs, config.n_products)?;
    let page = page::render(&view)?;
    let path = output.join("report.html");
    std::fs::write(&path, &page).map_err(|source| Error::File { path, source })?;
    progress.report("report", 1, 1);
    Ok(Summary { n_products: view.charts.products.len(), n_bytes: page.len() })
}
