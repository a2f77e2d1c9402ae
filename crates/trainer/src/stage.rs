//! The stage: features in, a model out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use artifacts::Folders;
use lifecycle::{ErrorKind, Invalid, ProductId, Progress};
use model::{Architecture, Description, Dimensions, Kind, Model, Network, Training};
use panel::category_units;
use serde::{Deserialize, Serialize};
use tables::{FeaturesDir, Label};

use crate::config::Config;
use crate::rows::{Row, Rows, Source};
use crate::scatter::Scatter;
use crate::training::{Outcome, Stopped, dense_scaling, train};
use crate::validation::calibrate;

/// Where the stage's inputs lie.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The artifact of `features`.
    pub features: &'a Path,
    /// Where checkpoints are kept from run to run; `None` for none.
    pub checkpoint: Option<&'a Path>,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["features"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`], with checkpoints at a place of
    /// their own.
    pub fn named(folders: &'a Folders, checkpoint: &'a Path) -> Self {
        Self { features: &folders["features"], checkpoint: Some(checkpoint) }
    }
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which network.
    pub kind: Kind,
    /// Weights.
    pub n_parameters: usize,
    /// Rows trained on.
    pub n_training_rows: usize,
    /// Rows validated on.
    pub n_validation_rows: usize,
    /// Steps done.
    pub n_steps: u64,
    /// The step whose weights were kept.
    pub best_step: u64,
    /// Their combined validation loss.
    pub validation: f64,
}

/// A training failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("training configuration")]
    Config(#[source] Invalid),
    /// The features cannot be read.
    #[error("the features cannot be read")]
    Features(#[source] tables::Error),
    /// No row can be trained on.
    #[error("no series has a training row: the data is too short, or all products are unseen")]
    NoRows,
    /// The loop stopped.
    #[error("training stopped")]
    Stopped(#[source] Stopped),
    /// The model cannot be written.
    #[error("the model cannot be written")]
    Model(#[source] model::Error),
    /// A file cannot be written.
    #[error("{path}: cannot be written")]
    File {
        /// The file.
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
            Self::Features(_) | Self::NoRows => ErrorKind::Data,
            Self::Stopped(_) | Self::Model(_) | Self::File { .. } => ErrorKind::Internal,
        }
    }
}

fn run_on(
    config: &Config,
    source: Source<'_>,
    checkpoint: Option<&Path>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    let rows = Rows::cut(source, config, progress);
    let (n_training_rows, n_validation_rows) = (rows.training().len(), rows.validation().len());
    tracing::info!(n_training_rows, n_validation_rows, "cut rows");
    if n_training_rows == 0 {
        return Err(Error::NoRows);
    }
    let dimensions = Dimensions {
        context: source.meta.settings.context,
        horizon: source.meta.settings.horizon,
        n_context_inputs: panel::CONTEXT_INPUTS.len(),
        n_static_inputs: panel::STATIC_INPUTS.len(),
        n_horizon_inputs: panel::HORIZON_INPUTS.len(),
    };
    let mut description =
        Description::new(config.kind, config.size, source.meta.frequency, dimensions);
    let network = match config.kind {
        Kind::Transformer => Network::transformer(Architecture::new(config.size, dimensions)),
        Kind::Dense => {
            let scaling = dense_scaling(&rows);
            description.dense = Some(scaling);
            Network::dense(scaling, description.answer_horizon())
        }
    };
    let outcome = train(&network, &rows, config, checkpoint, progress).map_err(Error::Stopped)?;
    describe(&mut description, config, &rows, &outcome);
    let validation: Vec<&Row> = rows.validation().into_iter().map(|row| &rows.rows[row]).collect();
    if config.kind == Kind::Transformer {
        progress.report("calibrate", 0, 1);
        let is_whole = description.is_whole;
        let (calibration, dependence) =
            calibrate(&network, &outcome.weights, &validation, is_whole, &network.workers());
        tracing::info!(?calibration, "calibrated");
        description.calibration = calibration;
        description.correlations = if dependence.correlations().is_empty() {
            model::Dependence::independent(dimensions.horizon).correlations().to_vec()
        } else {
            dependence.correlations().to_vec()
        };
    }
    let Outcome { weights, lines, best_step, validation: combined, n_steps } = outcome;
    let model = Model::new(description, &network, weights, source.fitted.clone());
    model.save(output).map_err(Error::Model)?;
    write(&output.join("training.jsonl"), &(lines.join("\n") + "\n"))?;
    if config.kind == Kind::Dense {
        let scatter = Scatter::sample(&model, &validation);
        let text = serde_json::to_string(&scatter).expect("plain structs become JSON");
        write(&output.join("scatter.json"), &text)?;
    }
    Ok(Summary {
        kind: config.kind,
        n_parameters: model.weights().len(),
        n_training_rows,
        n_validation_rows,
        n_steps,
        best_step,
        validation: combined,
    })
}

fn describe(description: &mut Description, config: &Config, rows: &Rows, outcome: &Outcome) {
    let targets = || rows.rows.iter().filter_map(|row| row.train.as_ref());
    let count = |has: &dyn Fn(&crate::rows::Target) -> bool| targets().filter(|t| has(t)).count();
    description.is_whole =
        rows.rows.iter().filter_map(|row| row.train.as_ref().map(|target| (row, target))).all(
            |(row, target)| {
                let mut units = target.units.iter().filter(|units| !units.is_nan());
                units.all(|units| is_whole(units * row.window.scale))
            },
        );
    description.training = Training {
        seed: config.seed,
        n_rows: targets().count(),
        n_turn_rows: count(&|target| target.turns.iter().any(Option::is_some)),
        n_stage_rows: count(&|target| target.stages.iter().any(Option::is_some)),
        n_steps: outcome.n_steps,
        best_step: outcome.best_step,
        validation: outcome.validation,
    };
}

/// Whether a number that was divided by a scale and multiplied again was a whole one.
fn is_whole(units: f32) -> bool {
    (units - units.round()).abs() <= 1e-5 * units.abs().max(1.0)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Trains a model on an artifact of `features` and writes it, `training.jsonl` and, for the dense
/// network, `scatter.json` into `output`.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate().map_err(Error::Config)?;
    let features = FeaturesDir::open(inputs.features).map_err(Error::Features)?;
    let panel = features.panel().map_err(Error::Features)?;
    let labels = features.labels_train().map_err(Error::Features)?;
    let labels: BTreeMap<ProductId, Label> =
        labels.into_iter().map(|label| (label.product.clone(), label)).collect();
    let source = Source {
        meta: features.meta(),
        histories: &panel.histories,
        categories: &category_units(&panel),
        fitted: features.fitted(),
        split: features.split(),
        unseen: features.unseen(),
        labels: &labels,
    };
    run_on(config, source, inputs.checkpoint, output, progress)
}
