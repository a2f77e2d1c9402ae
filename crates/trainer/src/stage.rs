//! The stage: features in, a model out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::Folders;
use lifecycle::{ErrorKind, Frequency, Invalid, ProductId, Progress, Unwatched};
use model::{Calibration, Description, Dimensions, Kind, Model, Network, Training, Workers};
use panel::{CategoryUnits, Fitted, Panel, Settings, category_units};
use serde::{Deserialize, Serialize};
use tables::{FeaturesDir, Label};

use crate::boosting::grow_all;
use crate::config::{Adapt, Config, Start};
use crate::rows::{Row, Rows, Source};
use crate::scatter::Scatter;
use crate::start::{dense_scaling, start_of_base};
use crate::training::{Outcome, Stopped, train};
use crate::validation::{calibrate, calibrate_placed, validate_model};
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
    /// Which network.
    pub kind: Kind,
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

/// Data that rows are cut from, in memory.
struct Loaded {
    features: FeaturesDir,
    panel: Panel,
    categories: BTreeMap<String, CategoryUnits>,
    labels: BTreeMap<ProductId, Label>,
    /// With the standards that all data of this training share.
    fitted: Fitted,
}

impl Loaded {
    fn open(folder: &Path) -> Result<Self, tables::Error> {
        let features = FeaturesDir::open(folder)?;
        let panel = features.panel()?;
        let labels = features.labels_train()?;
        Ok(Self {
            categories: category_units(&panel),
            labels: labels.into_iter().map(|label| (label.product.clone(), label)).collect(),
            fitted: features.fitted().clone(),
            panel,
            features,
        })
    }

    fn source(&self) -> Source<'_> {
        Source {
            meta: self.features.meta(),
            histories: &self.panel.histories,
            categories: &self.categories,
            fitted: &self.fitted,
            split: self.features.split(),
            unseen: self.features.unseen(),
            labels: &self.labels,
        }
    }
}

/// What is trained on: rows of all data, and where those of each begin.
struct Data {
    rows: Rows,
    /// Frequency and first row of each part, in order.
    parts: Vec<(Frequency, usize)>,
    /// Of the first data, with the shared standards.
    fitted: Fitted,
    settings: Settings,
}

impl Data {
    fn cut(
        config: &Config,
        inputs: &Inputs<'_>,
        base: Option<&Model>,
        progress: &dyn Progress,
        wrong: Option<Wrong>,
    ) -> Result<Self, Error> {
        let opened = inputs.features.iter().map(|folder| Loaded::open(folder));
        let mut all = opened.collect::<Result<Vec<_>, _>>().map_err(Error::Features)?;
        let pooled = match base {
            Some(base) => base.fitted().clone(),
            None => all[0].fitted.with_pooled_standards(all.iter().map(|loaded| &loaded.fitted)),
        };
        let mut settings = Settings { context: 1, horizon: 1 };
        let (mut rows, mut parts) = (Vec::new(), Vec::new());
        for loaded in &mut all {
            if base.is_some() || inputs.features.len() > 1 {
                loaded.fitted = loaded.fitted.with_standards_of(&pooled);
            }
            let of_panel = loaded.features.meta().settings;
            settings.context = settings.context.max(of_panel.context);
            settings.horizon = settings.horizon.max(of_panel.horizon);
            parts.push((loaded.features.meta().frequency, rows.len()));
            let mut of_panel = Rows::cut(loaded.source(), config, progress);
            if let Some(wrong) = wrong {
                wrong.spoil(&mut of_panel, loaded.source(), config);
            }
            rows.extend(of_panel.rows);
        }
        let fitted = all.swap_remove(0).fitted;
        Ok(Self { rows: Rows { rows }, parts, fitted, settings })
    }

    /// Validation rows of one frequency.
    fn validation(&self, frequency: Frequency) -> Vec<&Row> {
        let ends = self.parts.iter().skip(1).map(|(_, begin)| *begin).chain([self.rows.rows.len()]);
        let parts = self.parts.iter().zip(ends).filter(|((of, _), _)| *of == frequency);
        let rows = parts.flat_map(|((_, begin), end)| &self.rows.rows[*begin..end]);
        rows.filter(|row| row.validation.is_some()).collect()
    }
}

/// The model that training starts from, if any.
fn base_model(config: &Config, inputs: &Inputs<'_>) -> Result<Option<Arc<Model>>, Error> {
    match (config.from, inputs.base) {
        (Start::Scratch, _) => Ok(None),
        (Start::Builtin, _) => {
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

/// What the trained model will be, and its network with the weights that training starts from.
fn prepared(
    config: &Config,
    data: &Data,
    base: Option<&Model>,
) -> Result<(Description, Network, Option<Vec<f32>>), Error> {
    let frequencies = data.parts.iter().map(|(frequency, _)| (*frequency, Calibration::default()));
    let dimensions = Dimensions {
        context: data.settings.context,
        horizon: data.settings.horizon,
        n_context_inputs: panel::CONTEXT_INPUTS.len(),
        n_static_inputs: panel::STATIC_INPUTS.len(),
        n_horizon_inputs: panel::HORIZON_INPUTS.len(),
    };
    let mut description = Description::new(config.kind, config.size, dimensions);
    description.calibrations = frequencies.collect();
    description.n_members = config.members;
    description.is_foundation = config.foundation;
    if let Some(base) = base {
        let of_base = base.description();
        let most = of_base.settings.horizon;
        if data.settings.horizon > most {
            let asked = data.settings.horizon;
            return Err(Error::Model(model::Error::HorizonTooLong { most, asked }));
        }
        let Settings { context, horizon } = data.settings;
        description.settings = Settings { context: context.min(of_base.settings.context), horizon };
        description.dimensions = of_base.dimensions;
        (description.kind, description.size) = (of_base.kind, of_base.size);
        description.d_adapter = of_base.d_adapter;
        if config.adapt == Adapt::Adapter {
            description.d_adapter = config.rank;
        }
    }
    if config.kind == Kind::Dense {
        description.dense = Some(dense_scaling(&data.rows));
    }
    let network = description.network().expect("a dense network has its scaling");
    let start = base.map(|base| start_of_base(base, &network.layout(), config.seed));
    Ok((description, network, start))
}

fn run_on(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
    wrong: Option<Wrong>,
) -> Result<Summary, Error> {
    let base = base_model(config, inputs)?;
    if let Some(base) = &base
        && config.steps_max == 0
    {
        return publish(base, (config, inputs, progress), output);
    }
    let data = Data::cut(config, inputs, base.as_deref(), progress, wrong)?;
    let rows = &data.rows;
    let (n_training_rows, n_validation_rows) = (rows.training().len(), rows.validation().len());
    tracing::info!(n_training_rows, n_validation_rows, "cut rows");
    if n_training_rows == 0 {
        return Err(Error::NoRows);
    }
    let (mut description, network, start) = prepared(config, &data, base.as_deref())?;
    let outcomes = train_members(config, inputs, (&network, start.as_deref()), (rows, progress))?;
    let best = &outcomes[0];
    let (n_trained, ranks) = (best.n_trained, best.ranks);
    let (n_steps, best_step) = (best.n_steps, best.best_step);
    describe(&mut description, config, rows, best);
    let weights: Vec<f32> = outcomes.iter().flat_map(|o| o.weights.iter().copied()).collect();
    let mut lines: Vec<String> = outcomes.into_iter().flat_map(|outcome| outcome.lines).collect();
    let raw = Model::new(description.clone(), &network, weights.clone(), data.fitted.clone());
    if config.members > 1 {
        let all = rows.rows.iter().filter(|row| row.validation.is_some()).collect::<Vec<_>>();
        let of_all = validate_model(&raw, &all, &raw.network().workers());
        description.training.validation = of_all.combined;
        lines
            .push(serde_json::json!({"members": config.members, "validation": of_all}).to_string());
    }
    let trees = (config.trees && description.kind.has_heads() && !config.foundation).then(|| {
        progress.report("grow trees", 0, 1);
        grow_all(&rows.rows, config.seed, &Workers::default())
    });
    let raw = raw.with_trees(trees.clone());
    if description.kind.has_heads() {
        progress.report("calibrate", 0, 1);
        description.calibrations = calibrations(&raw, &data);
    }
    let validation = description.training.validation;
    // What was fitted on the data of a foundation model is of no use elsewhere.
    let fitted = if config.foundation {
        Fitted::unfitted(data.fitted.frequency()).with_standards_of(&data.fitted)
    } else {
        data.fitted.clone()
    };
    let model = Model::new(description, &network, weights, fitted).with_trees(trees);
    model.save(output).map_err(Error::Model)?;
    write(&output.join("training.jsonl"), &(lines.join("\n") + "\n"))?;
    if config.kind == Kind::Dense {
        let scatter = Scatter::sample(&model, &data.validation(data.parts[0].0));
        let text = serde_json::to_string(&scatter).expect("plain structs become JSON");
        write(&output.join("scatter.json"), &text)?;
    }
    Ok(Summary {
        kind: model.description().kind,
        n_parameters: model.weights().len(),
        n_trained,
        n_ranks: ranks.0,
        n_training_rows,
        n_validation_rows,
        n_steps,
        best_step,
        validation,
    })
}

/// Rows on which a base model's probabilities are calibrated to other data, of the training and of
/// the validation part: enough for a dozen numbers, in seconds.
const PLACED_ROWS_MAX: [usize; 2] = [6_000, 2_000];

/// Publishes a base model for some features: a zero-shot model. Its weights are as they were; its
/// probabilities are calibrated on the past of the features' data.
fn publish(
    base: &Arc<Model>,
    (config, inputs, progress): (&Config, &Inputs<'_>, &dyn Progress),
    output: &Path,
) -> Result<Summary, Error> {
    let features = FeaturesDir::open(inputs.features[0]).map_err(Error::Features)?;
    let frequency = features.meta().frequency;
    let asked = features.meta().settings;
    let settings = base.settings(asked);
    let placed = base.on(features.fitted(), asked).map_err(Error::Model)?;
    let mut description =
        Description { settings, is_foundation: false, ..placed.description().clone() };
    let [rows_max, validation_rows_max] = PLACED_ROWS_MAX;
    let few = Config { rows_max, validation_rows_max, ..config.clone() };
    let data = Data::cut(&few, inputs, Some(base), progress)?;
    if let Some(calibration) = description.calibrations.get_mut(&frequency) {
        let rows: Vec<&Row> = data.rows.rows.iter().collect();
        *calibration = calibrate_placed(&placed, calibration, &rows);
    }
    let (weights, fitted) = (placed.weights().to_vec(), placed.fitted().clone());
    let model = Model::new(description, placed.network(), weights, fitted);
    model.save(output).map_err(Error::Model)?;
    write(&output.join("training.jsonl"), "")?;
    Ok(Summary {
        kind: model.description().kind,
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

/// Trains each member from a seed of its own.
fn train_members(
    config: &Config,
    inputs: &Inputs<'_>,
    from: (&Network, Option<&[f32]>),
    (rows, progress): (&Rows, &dyn Progress),
) -> Result<Vec<Outcome>, Error> {
    let of_member = |member: usize| {
        let config = Config { seed: config.seed + member as u64, ..config.clone() };
        let checkpoint = inputs.checkpoint.map(|folder| folder.join(format!("member-{member}")));
        let progress = Member { progress, done: member, total: config.members };
        train(from, rows, &config, checkpoint.as_deref(), &progress).map_err(Error::Stopped)
    };
    (0..config.members).map(of_member).collect()
}

/// Progress of one member among all.
struct Member<'a> {
    progress: &'a dyn Progress,
    done: usize,
    total: usize,
}

impl Progress for Member<'_> {
    fn report(&self, part: &str, done: u64, total: u64) {
        let (done_before, members) = (self.done as u64, self.total as u64);
        self.progress.report(part, done_before * total + done, members * total);
    }

    fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }
}

/// What is fitted on the validation rows of each frequency.
fn calibrations(raw: &Model, data: &Data) -> BTreeMap<Frequency, Calibration> {
    let workers = raw.network().workers();
    let of_frequency = |frequency: &Frequency| {
        let rows = data.validation(*frequency);
        let calibration = calibrate(raw, &rows, data.fitted.is_whole, &workers);
        tracing::info!(?frequency, ?calibration, "calibrated");
        (*frequency, calibration)
    };
    raw.description().calibrations.keys().map(of_frequency).collect()
}

fn describe(description: &mut Description, config: &Config, rows: &Rows, outcome: &Outcome) {
    let targets = || rows.rows.iter().filter_map(|row| row.train.as_ref());
    let count = |has: &dyn Fn(&crate::rows::Target) -> bool| targets().filter(|t| has(t)).count();
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
    run_checked(config, inputs, output, progress, None)
}

/// The same on targets that are wrong on purpose.
pub fn run_wrong(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    wrong: Wrong,
) -> Result<Summary, Error> {
    run_checked(config, inputs, output, &Unwatched, Some(wrong))
}

fn run_checked(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
    wrong: Option<Wrong>,
) -> Result<Summary, Error> {
    config.validate().map_err(Error::Config)?;
    if inputs.features.len() > 1 && !config.foundation {
        let reason = "must be true where a model is trained on several data sets";
        return Err(Error::Config(Invalid::new("foundation", reason)));
    }
    run_on(config, inputs, output, progress, wrong)
}
