//! The stage: features in, a model out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::Folders;
use lifecycle::{ErrorKind, Invalid, Progress, Unwatched};
use model::{Calibration, Description, Dimensions, Kind, Member, Model};
use panel::{Fitted, Settings};
use serde::{Deserialize, Serialize};
use tables::FeaturesDir;

use crate::config::{Adapt, Config, Start};
use crate::data::Data;
use crate::fit::Setup;
use crate::pseudo_labels;
use crate::ranks::{Alone, Meeting, together};
use crate::rows::Row;
use crate::start::{dense_scaling, starts};
use crate::training::Stopped;
use crate::validation::{Validation, calibrate_placed};
use crate::wrong::Wrong;

/// Where the stage's inputs lie.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// Artifacts of `features`; several make a foundation model.
    pub features: Vec<&'a Path>,
    /// The model to start from.
    pub base: Option<&'a Path>,
    /// Where checkpoints are kept from run to run; `None` for none.
    pub checkpoint: Option<&'a Path>,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["features"];

    /// Names of those that it takes where they are: the model to start from, and more features.
    pub const OPTIONAL: &'static [&'static str] =
        &["base", "features-2", "features-3", "features-4", "features-5", "features-6"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`], with checkpoints at a place of
    /// their own.
    pub fn named(folders: &'a Folders, checkpoint: &'a Path) -> Self {
        let features = folders.iter().filter(|(name, _)| name.starts_with("features"));
        Self {
            features: features.map(|(_, folder)| folder.as_path()).collect(),
            base: folders.get("base").map(PathBuf::as_path),
            checkpoint: Some(checkpoint),
        }
    }
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its networks.
    pub members: Vec<Kind>,
    /// Weights.
    pub n_parameters: usize,
    /// Numbers that were trained, of one member.
    pub n_trained: usize,
    /// Ranks of low-rank updates whose size is trained and not nothing at the end.
    pub n_ranks: usize,
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

/// The validation losses of what a training published: of its best step, or of the mean of all
/// members where there are several. `None` where it never validated.
pub fn validation_of(model: &Path) -> Result<Option<Validation>, Error> {
    #[derive(Deserialize)]
    struct Line {
        step: Option<u64>,
        validation: Validation,
    }
    let path = model.join("training.jsonl");
    let text =
        fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    let description = Model::load(model).map_err(Error::Model)?.description().clone();
    let kept = (description.members.len() == 1).then_some(description.training.best_step);
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    Ok(lines.rfind(|line| line.step == kept).map(|line| line.validation))
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
    /// A worker failed, whom it would not help to start again.
    #[error("worker {order} {reason}")]
    Worker {
        /// Which one.
        order: usize,
        /// How it ended.
        reason: String,
        /// Who has to act.
        kind: ErrorKind,
    },
    /// The model cannot be written.
    #[error("the model cannot be written")]
    Model(#[source] model::Error),
    /// A file cannot be read or written.
    #[error("{path}: cannot be read or written")]
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
            Self::Worker { kind, .. } => *kind,
        }
    }
}

/// The model that training starts from, if any.
fn base_model(config: &Config, inputs: &Inputs<'_>) -> Result<Option<Arc<Model>>, Error> {
    match (config.from, inputs.base) {
        (Start::Scratch | Start::Builtin, Some(_)) => {
            let reason = "must be \"model\" where an input `base` is given";
            Err(Error::Config(Invalid::new("from", reason)))
        }
        (Start::Scratch, None) => Ok(None),
        (Start::Builtin, None) => {
            Model::builtin().map(|model| Some(Arc::new(model))).map_err(Error::Model)
        }
        (Start::Model, Some(folder)) => {
            let model = Model::load(folder).map_err(Error::Model)?;
            Ok(Some(Arc::new(model)))
        }
        (Start::Model, None) => {
            let reason = "names a model, but no input `base` is given";
            Err(Error::Config(Invalid::new("from", reason)))
        }
    }
}

/// What the trained model will be.
fn described(config: &Config, data: &Data, base: Option<&Model>) -> Result<Description, Error> {
    let member = |kind: &Kind| Member { kind: *kind, size: config.size };
    let frequencies = data.parts.iter().map(|(frequency, _)| (*frequency, Calibration::default()));
    let dimensions = Dimensions {
        context: data.settings.context,
        horizon: data.settings.horizon,
        n_context_inputs: panel::CONTEXT_INPUTS.len(),
        n_static_inputs: panel::STATIC_INPUTS.len(),
        n_horizon_inputs: panel::HORIZON_INPUTS.len(),
    };
    let mut description = Description::new(config.members.iter().map(member).collect(), dimensions);
    description.calibrations = frequencies.collect();
    description.is_foundation = config.foundation;
    if let Some(builtin) = data.builtin_member(config) {
        let of_builtin = builtin.description();
        description.dimensions = of_builtin.dimensions;
        description.members.extend(&of_builtin.members);
    }
    if let Some(base) = base {
        let of_base = base.description();
        if !of_base.has_heads() {
            let reason = "names a dense baseline, from which nothing is trained";
            return Err(Error::Config(Invalid::new("from", reason)));
        }
        let most = of_base.settings.horizon;
        if data.settings.horizon > most {
            let asked = data.settings.horizon;
            return Err(Error::Model(model::Error::HorizonTooLong { most, asked }));
        }
        let Settings { context, horizon } = data.settings;
        description.settings = Settings { context: context.min(of_base.settings.context), horizon };
        description.dimensions = of_base.dimensions;
        description.members.clone_from(&of_base.members);
        description.d_adapter = of_base.d_adapter;
        if config.adapt == Adapt::Adapter {
            description.d_adapter = config.rank;
        }
    }
    if !description.has_heads() {
        description.dense = Some(dense_scaling(&data.rows));
    }
    Ok(description)
}

fn run_on(
    config: &Config,
    inputs: &Inputs<'_>,
    (output, wrong): (&Path, Option<Wrong>),
    progress: &dyn Progress,
    meeting: &mut dyn Meeting,
) -> Result<Option<Summary>, Error> {
    let base = base_model(config, inputs)?;
    if let Some(base) = &base
        && config.steps_max == 0
    {
        return publish(base, (config, inputs, progress), output).map(Some);
    }
    let mut data = Data::cut(config, &inputs.features, base.as_deref(), progress, wrong)
        .map_err(Error::Features)?;
    let is_wanted = config.pseudo_labels.is_some();
    let unlabelled = if is_wanted { data.rows.take_unlabelled() } else { Vec::new() };
    let rows = &data.rows;
    let (n_training_rows, n_validation_rows) = (rows.training().len(), rows.validation().len());
    tracing::info!(n_training_rows, n_validation_rows, "cut rows");
    if n_training_rows == 0 {
        return Err(Error::NoRows);
    }
    let description = described(config, &data, base.as_deref())?;
    let networks = description.networks().expect("a dense network has its scaling");
    let mut starts = starts(&networks, (base.as_deref(), data.builtin_member(config)), config.seed);
    let mut checkpoint = inputs.checkpoint.map(Path::to_owned);
    let mut lines = Vec::new();
    if let Some(least) = config.pseudo_labels {
        let setup = Setup { config, checkpoint: checkpoint.as_deref(), data: &data, progress };
        let fit = setup.fit(&description, (&networks, &starts))?;
        let (model, frequency) = (fit.model(&networks, data.fitted.clone()), data.parts[0].0);
        pseudo_labels::label(&mut data.rows, unlabelled, (&model, frequency), least);
        checkpoint = checkpoint.map(|folder| folder.join("pseudo-labels"));
        starts = model.weights_of_members().map(|weights| Some(weights.to_vec())).collect();
        lines = fit.lines;
    }
    let setup = Setup { config, checkpoint: checkpoint.as_deref(), data: &data, progress };
    let mut states = Vec::new();
    let mut fit = None;
    together(meeting, |ranks| {
        let outcomes = setup.train_members((&networks, &starts), &mut states, ranks)?;
        // Made once, though a rank may be lost meanwhile.
        let fit = &mut fit;
        let make = || fit.get_or_insert_with(|| setup.finish(&description, &networks, outcomes));
        let Some(fit) = ranks.first_works(make).map_err(Error::Stopped)? else {
            ranks.wait_for_all().map_err(Error::Stopped)?;
            return Ok(None);
        };
        let lines = [&lines[..], &fit.lines].concat();
        let model = setup.write(fit, &networks, &lines, output)?;
        if let Err(error) = ranks.wait_for_all() {
            // The model is written; a rank that was lost meanwhile changes nothing of it.
            tracing::warn!(%error, "a rank was lost after the model was written");
        }
        Ok(Some(Summary {
            members: model.description().kinds(),
            n_parameters: model.weights().len(),
            n_trained: fit.best.n_trained,
            n_ranks: fit.best.ranks.0,
            n_training_rows,
            n_validation_rows,
            n_steps: fit.best.n_steps,
            best_step: fit.best.best_step,
            validation: model.description().training.validation,
        }))
    })
}

/// Rows on which a base model's probabilities are calibrated to other data: enough for a dozen
/// numbers, in seconds.
pub(crate) const PLACED_ROWS_MAX: usize = 8_000;

/// A foundation model as it answers for some data: its weights as they were, its probabilities
/// calibrated on rows of that data's past.
pub(crate) fn placed(
    base: &Arc<Model>,
    (fitted, asked): (&Fitted, Settings),
    rows: &[&Row],
) -> Result<Model, model::Error> {
    let settings = base.settings(asked);
    let placed = base.on(fitted, asked)?;
    let mut description =
        Description { settings, is_foundation: false, ..placed.description().clone() };
    if let Some(calibration) = description.calibrations.get_mut(&fitted.frequency()) {
        *calibration = calibrate_placed(&placed, calibration, rows);
    }
    let (weights, fitted) = (placed.weights().to_vec(), placed.fitted().clone());
    Ok(Model::new(description, placed.members(), weights, fitted))
}

/// Publishes a base model for some features: a zero-shot model. Its weights are as they were; its
/// probabilities are calibrated on the past of the features' data.
fn publish(
    base: &Arc<Model>,
    (config, inputs, progress): (&Config, &Inputs<'_>, &dyn Progress),
    output: &Path,
) -> Result<Summary, Error> {
    let features = FeaturesDir::open(inputs.features[0]).map_err(Error::Features)?;
    let asked = features.meta().settings;
    base.on(features.fitted(), asked).map_err(Error::Model)?;
    // A quarter is of the validation part, the latest past.
    let (rows_max, validation_rows_max) = (PLACED_ROWS_MAX * 3 / 4, PLACED_ROWS_MAX / 4);
    let few = Config { rows_max, validation_rows_max, ..config.clone() };
    let data =
        Data::cut(&few, &inputs.features, Some(base), progress, None).map_err(Error::Features)?;
    let rows: Vec<&Row> = data.rows.rows.iter().collect();
    let model = placed(base, (features.fitted(), asked), &rows).map_err(Error::Model)?;
    model.save(output).map_err(Error::Model)?;
    write(&output.join("training.jsonl"), "")?;
    Ok(Summary {
        members: model.description().kinds(),
        n_parameters: model.weights().len(),
        n_trained: 0,
        n_ranks: 0,
        n_training_rows: 0,
        n_validation_rows: 0,
        n_steps: 0,
        best_step: 0,
        validation: model.description().training.validation,
    })
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
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
    let alone = run_checked(config, inputs, (output, None), progress, &mut Alone)?;
    Ok(alone.expect("who is alone is the first"))
}

/// The same on targets that are wrong on purpose.
pub fn run_wrong(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    wrong: Wrong,
) -> Result<Summary, Error> {
    let alone = run_checked(config, inputs, (output, Some(wrong)), &Unwatched, &mut Alone)?;
    Ok(alone.expect("who is alone is the first"))
}

/// The same as one rank of several, on the same configuration and inputs on all of them. The first
/// rank writes into its `output`, and the others answer `None` once it has.
pub fn run_rank(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
    meeting: &mut dyn Meeting,
) -> Result<Option<Summary>, Error> {
    can_be_shared(config)?;
    run_checked(config, inputs, (output, None), progress, meeting)
}

/// Whether a training can be done by several ranks.
pub(crate) fn can_be_shared(config: &Config) -> Result<(), Error> {
    if config.pseudo_labels.is_some() {
        let reason = "is of trainings with one worker: leave it out, or `--workers`";
        return Err(Error::Config(Invalid::new("pseudo_labels", reason)));
    }
    Ok(())
}

fn run_checked(
    config: &Config,
    inputs: &Inputs<'_>,
    output: (&Path, Option<Wrong>),
    progress: &dyn Progress,
    meeting: &mut dyn Meeting,
) -> Result<Option<Summary>, Error> {
    config.validate().map_err(Error::Config)?;
    if inputs.features.len() > 1 && !config.foundation {
        let reason = "must be true where a model is trained on several data sets";
        return Err(Error::Config(Invalid::new("foundation", reason)));
    }
    run_on(config, inputs, output, progress, meeting)
}
