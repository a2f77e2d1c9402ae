//! A model as a directory: `model.json` says what it is, `model.safetensors` holds the weights
//! under their module paths, `trees.safetensors` the trees if it has any, `fitted.json` the state that
//! its inputs are computed from. Where the built-in model answers beside it, that one lies in the folder
//! `builtin`, as it was calibrated for this data.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifecycle::{Digest, ErrorKind, Frequency, LEVELS};
use panel::{Fitted, Settings};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, Dimensions, Kind, Member};
use crate::calibration::Calibration;
use crate::dense::DenseScaling;
use crate::forecast::Model;
use crate::network::Network;
use crate::trees::Trees;
use crate::weights::Layout;

/// The version of the files that this code reads and writes; raised with every change of meaning.
pub const FORMAT: u32 = 4;

/// Most networks of one model.
pub const MEMBERS_MAX: usize = 64;

/// Folder of the built-in model beside another.
const BUILTIN: &str = "builtin";

/// A model could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is an artifact of another kind.
    #[error("{path}: is no model: it has no model.json")]
    NoModel {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}; the model is damaged, fetch or train it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The model was made by another version of this program.
    #[error(
        "{path}: made by another version: field `{field}` is {found}, this version needs {expected}; train the model again"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// The field of `model.json`.
        field: &'static str,
        /// Its value.
        found: String,
        /// What this version writes there.
        expected: String,
    },
    /// The model was trained on periods of another length.
    #[error("the model was trained by {}, the data is by {}", names(model), names(&[*panel]))]
    OtherFrequency {
        /// The model's.
        model: Vec<Frequency>,
        /// The panel's.
        panel: Frequency,
    },
    /// The panel asks for more periods than the model answers.
    #[error(
        "the model forecasts at most {most} periods, the data asks for {asked}: set `horizon` to {most} or less, or train a model of your own"
    )]
    HorizonTooLong {
        /// The model's longest.
        most: usize,
        /// The panel's.
        asked: usize,
    },
}

/// Frequencies as words.
fn names(frequencies: &[Frequency]) -> String {
    let name = |frequency: &Frequency| match frequency {
        Frequency::Day => "day",
        Frequency::Week => "week",
        Frequency::Month => "month",
    };
    frequencies.iter().map(name).collect::<Vec<_>>().join(" and ")
}

impl Error {
    /// Who has to act: a model that cannot be used is bad data.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Data
    }
}

/// `model.json`: what the weights are, and all that is fitted beside them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Its networks, whose mean is the answer.
    pub members: Vec<Member>,
    /// Width of the adapters that it was adapted with; 0 for none.
    pub d_adapter: usize,
    /// It answers for any panel, with the seasons, launches and prices that were fitted there.
    pub is_foundation: bool,
    /// Shapes of its networks, which all take the same windows.
    pub dimensions: Dimensions,
    /// Windows that it takes; of a foundation model, the longest.
    pub settings: Settings,
    /// Names of the inputs of a period of context.
    pub context_inputs: Vec<String>,
    /// Names of the static inputs.
    pub static_inputs: Vec<String>,
    /// Names of the inputs of a period of the horizon.
    pub horizon_inputs: Vec<String>,
    /// Quantile levels.
    pub levels: Vec<f64>,
    /// What was fitted on validation rows, by the length of the periods that it was trained on.
    pub calibrations: BTreeMap<Frequency, Calibration>,
    /// Means and deviations of the dense network.
    pub dense: Option<DenseScaling>,
    /// Number of weights.
    pub n_parameters: usize,
    /// Digest of `model.safetensors`.
    pub weights: Digest,
    /// Digest of `trees.safetensors`, of a model with trees.
    pub trees: Option<Digest>,
    /// Digest of the weights of the built-in model beside it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<Digest>,
    /// How it was trained.
    pub training: Training,
}

/// What is worth knowing of a training afterwards.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Seed of weights, order and dropout.
    pub seed: u64,
    /// Rows trained on.
    pub n_rows: usize,
    /// Rows with a turn; without any, turns are not answered.
    pub n_turn_rows: usize,
    /// Rows with a stage label; without any, stages are not answered.
    pub n_stage_rows: usize,
    /// Steps of the optimiser.
    pub n_steps: u64,
    /// The step whose weights were kept.
    pub best_step: u64,
    /// Combined validation loss of those weights.
    pub validation: f64,
}

impl Description {
    /// What this version of the program would write for these shapes; the rest is to be filled in.
    pub fn new(members: Vec<Member>, dimensions: Dimensions) -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            format: FORMAT,
            members,
            d_adapter: 0,
            is_foundation: false,
            dimensions,
            settings: Settings { context: dimensions.context, horizon: dimensions.horizon },
            context_inputs: names(panel::CONTEXT_INPUTS),
            static_inputs: names(panel::STATIC_INPUTS),
            horizon_inputs: names(panel::HORIZON_INPUTS),
            levels: LEVELS.to_vec(),
            calibrations: BTreeMap::new(),
            dense: None,
            n_parameters: 0,
            weights: Digest::of([]),
            trees: None,
            builtin: None,
            training: Training::default(),
        }
    }

    /// Which networks it has.
    pub fn kinds(&self) -> Vec<Kind> {
        self.members.iter().map(|member| member.kind).collect()
    }

    /// Whether it answers quantiles, turns and stages; else means of units alone.
    pub fn has_heads(&self) -> bool {
        self.members.iter().all(|member| member.kind.has_heads())
    }

    /// Shapes of a network of patches that this describes.
    pub fn architecture(&self, Member { kind, size }: Member) -> Architecture {
        let Self { dimensions, d_adapter, .. } = *self;
        Architecture { d_adapter, ..Architecture::new(kind, size, dimensions) }
    }

    /// The networks that this describes, of zeros; `None` of a dense one whose scaling is missing.
    pub fn networks(&self) -> Option<Vec<Network>> {
        let network = |member: &Member| match member.kind {
            Kind::Transformer | Kind::Lstm => Some(Network::patches(self.architecture(*member))),
            Kind::Dense => self.dense.map(|scaling| Network::dense(scaling, self.answer_horizon())),
        };
        self.members.iter().map(network).collect()
    }

    /// Periods answered at most: the dense network's means reach at least 26 weeks.
    pub fn answer_horizon(&self) -> usize {
        let half_year = |frequency: &Frequency| frequency.periods_of_weeks(26);
        let horizon = self.settings.horizon;
        if self.has_heads() {
            return horizon;
        }
        self.calibrations.keys().map(half_year).fold(horizon, usize::max)
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let dense_beside = !self.has_heads() && self.members.len() > 1;
        if dense_beside || !(1..=MEMBERS_MAX).contains(&self.members.len()) {
            let reason =
                format!("`members` must be 1 to {MEMBERS_MAX} networks, the dense one alone");
            return Err(Error::Damaged { path: path.to_owned(), reason });
        }
        let current = Self::new(self.members.clone(), self.dimensions);
        let differs = |field, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            let path = path.to_owned();
            if found == expected {
                Ok(())
            } else {
                Err(Error::OtherVersion { path, field, found, expected })
            }
        };
        differs("context_inputs", &self.context_inputs, &current.context_inputs)?;
        differs("static_inputs", &self.static_inputs, &current.static_inputs)?;
        differs("horizon_inputs", &self.horizon_inputs, &current.horizon_inputs)?;
        differs("levels", &self.levels, &current.levels)?;
        let Dimensions { n_context_inputs, n_static_inputs, n_horizon_inputs, .. } =
            self.dimensions;
        differs(
            "dimensions",
            &[n_context_inputs, n_static_inputs, n_horizon_inputs],
            &[panel::CONTEXT_INPUTS.len(), panel::STATIC_INPUTS.len(), panel::HORIZON_INPUTS.len()],
        )
    }
}

/// The files of a model.
struct Files {
    directory: PathBuf,
    description: Vec<u8>,
    weights: Vec<u8>,
    trees: Option<Vec<u8>>,
    fitted: Vec<u8>,
}

impl Model {
    /// The model that is compiled in: a foundation model fitted to simulated lives, whose recipe is
    /// `builtin/README.md` of this crate.
    pub fn builtin() -> Result<Self, Error> {
        Self::read(&Files {
            directory: PathBuf::from("builtin"),
            description: include_bytes!("../builtin/model.json").to_vec(),
            weights: include_bytes!("../builtin/model.safetensors").to_vec(),
            trees: None,
            fitted: include_bytes!("../builtin/fitted.json").to_vec(),
        })
    }

    /// Reads a model's directory and checks that this version can answer by it.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("model.json");
        if !path.exists() {
            return Err(Error::NoModel { path: directory.to_owned() });
        }
        let trees = directory.join("trees.safetensors");
        let model = Self::read(&Files {
            trees: if trees.exists() { Some(bytes(&trees)?) } else { None },
            description: bytes(&path)?,
            weights: bytes(&directory.join("model.safetensors"))?,
            fitted: bytes(&directory.join("fitted.json"))?,
            directory: directory.to_owned(),
        })?;
        let Some(digest) = model.description().builtin else { return Ok(model) };
        let path = directory.join(BUILTIN);
        let builtin = Self::load(&path)?;
        if builtin.description().weights != digest || !builtin.takes_windows_of(&model) {
            let reason = "is not the built-in model that model.json names".to_owned();
            return Err(Error::Damaged { path, reason });
        }
        Ok(model.with_builtin(Some(Arc::new(builtin))))
    }

    /// Whether this model can answer turns and stages beside one of such windows.
    pub fn takes(&self, asked: Settings, frequency: Frequency) -> bool {
        let own = self.description();
        own.has_heads()
            && own.builtin.is_none()
            && own.dimensions.context >= asked.context
            && own.dimensions.horizon >= asked.horizon
            && own.calibrations.contains_key(&frequency)
    }

    /// Whether every window of the other model is one of this model too.
    fn takes_windows_of(&self, other: &Self) -> bool {
        self.takes(other.description().settings, other.fitted().frequency())
            && self.fitted().standards == other.fitted().standards
    }

    fn read(files: &Files) -> Result<Self, Error> {
        let path = files.directory.join("model.json");
        let damaged = |path: &Path, reason: String| Error::Damaged { path: path.into(), reason };
        let not_json = |path: &Path, error: serde_json::Error| damaged(path, error.to_string());
        let value: serde_json::Value =
            serde_json::from_slice(&files.description).map_err(|error| not_json(&path, error))?;
        let format = value.get("format").cloned().unwrap_or_default();
        if format != FORMAT {
            let (found, expected) = (format.to_string(), FORMAT.to_string());
            return Err(Error::OtherVersion { path, field: "format", found, expected });
        }
        let description: Description =
            serde_json::from_value(value).map_err(|error| not_json(&path, error))?;
        description.check(&path)?;
        let networks = description
            .networks()
            .ok_or_else(|| damaged(&path, "field `dense` is missing".to_owned()))?;
        let Settings { context, horizon } = description.settings;
        let most = description.dimensions;
        if !(1..=most.context).contains(&context) || !(1..=most.horizon).contains(&horizon) {
            return Err(damaged(&path, "`settings` must fit `dimensions`".to_owned()));
        }
        let n_cells = description.dimensions.horizon.pow(2);
        let mut calibrations = description.calibrations.values();
        if description.has_heads() && calibrations.any(|c| c.correlations.len() != n_cells) {
            return Err(damaged(&path, format!("`correlations` needs {n_cells} values")));
        }
        if description.calibrations.is_empty() {
            return Err(damaged(&path, "`calibrations` is empty".to_owned()));
        }

        let path = files.directory.join("model.safetensors");
        let stored = &files.weights;
        if Digest::of(stored) != description.weights {
            let reason = "its digest is not the one in model.json".to_owned();
            return Err(damaged(&path, reason));
        }
        let layout = Layout::of_members(&networks);
        let weights =
            weights_from_bytes(&layout, stored).map_err(|reason| damaged(&path, reason))?;

        let path = files.directory.join("trees.safetensors");
        if files.trees.as_ref().map(Digest::of) != description.trees {
            let reason = "is missing, or its digest is not the one in model.json".to_owned();
            return Err(damaged(&path, reason));
        }
        let trees = files.trees.as_ref().map(|stored| Trees::from_bytes(stored)).transpose();
        let trees = trees.map_err(|reason| damaged(&path, reason))?;

        let path = files.directory.join("fitted.json");
        let fitted: Fitted =
            serde_json::from_slice(&files.fitted).map_err(|error| not_json(&path, error))?;
        Ok(Self::new(description, &networks, weights, fitted).with_trees(trees))
    }

    /// Writes the model into a directory; the same model gives the same bytes.
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        let layout = Layout::of_members(self.members());
        let weights = weights_to_bytes(&layout, self.weights());
        let trees = self.trees().map(Trees::to_bytes);
        let description = Description {
            trees: trees.as_ref().map(Digest::of),
            builtin: self.builtin_beside().map(|builtin| builtin.description().weights),
            weights: Digest::of(&weights),
            n_parameters: self.weights().len(),
            ..self.description().clone()
        };
        write(&directory.join("model.safetensors"), &weights)?;
        if let Some(trees) = trees {
            write(&directory.join("trees.safetensors"), &trees)?;
        }
        if let Some(builtin) = self.builtin_beside() {
            let path = directory.join(BUILTIN);
            fs::create_dir_all(&path)
                .map_err(|source| Error::File { path: path.clone(), source })?;
            builtin.save(&path)?;
        }
        write(&directory.join("fitted.json"), &json(self.fitted()))?;
        write(&directory.join("model.json"), &json(&description))
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain structs become JSON");
    text.push(b'\n');
    text
}

/// Weights as safetensors without metadata (Burn's own store writes it in random order).
pub fn weights_to_bytes(layout: &Layout, weights: &[f32]) -> Vec<u8> {
    let little: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    let views: BTreeMap<&str, TensorView<'_>> = layout
        .places()
        .map(|(path, shape, range)| {
            let bytes = &little[range.start * 4..range.end * 4];
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes);
            (path, view.expect("the layout's shape has as many values"))
        })
        .collect();
    safetensors::serialize(views, None).expect("names are unique and shapes fit")
}

/// Weights from safetensors; every parameter must be there, with its shape and finite.
pub fn weights_from_bytes(layout: &Layout, stored: &[u8]) -> Result<Vec<f32>, String> {
    let tensors = SafeTensors::deserialize(stored).map_err(|error| error.to_string())?;
    if tensors.len() != layout.parameters.len() {
        return Err(format!("{} tensors, not {}", tensors.len(), layout.parameters.len()));
    }
    let mut weights = Vec::with_capacity(layout.n_values());
    for (path, shape, _) in layout.places() {
        let view = tensors.tensor(path).map_err(|_| format!("tensor `{path}` is missing"))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            let (found, dtype) = (view.shape(), view.dtype());
            return Err(format!("tensor `{path}` is {dtype:?} {found:?}, not F32 {shape:?}"));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        weights.extend(values);
        if weights.iter().rev().take(shape.iter().product()).any(|weight| !weight.is_finite()) {
            return Err(format!("tensor `{path}` is not finite"));
        }
    }
    Ok(weights)
}
