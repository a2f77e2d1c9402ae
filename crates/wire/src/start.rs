//! What every `Start...` request asks for.

use std::collections::BTreeMap;

use lifecycle::{Digest, Invalid};

use crate::{fields, v1};

/// Most bytes of a configuration or a mapping.
const TOML_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of a path or URI.
const URI_BYTES_MAX: usize = 4096;

/// Most input artifacts.
const INPUTS_MAX: usize = 64;

/// Most bytes of a model's name.
const MODEL_NAME_BYTES_MAX: usize = 64;

/// Most bytes of a `request_id` or of an input's name.
const ID_BYTES_MAX: usize = 128;

/// Long work that a client asks a stage for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// Chosen by the client: a repeat answers the first run.
    pub request_id: String,
    /// Configuration of the stage; empty: defaults.
    pub config_toml: String,
    /// Content digests of the artifacts to read, by name.
    pub inputs: BTreeMap<String, Digest>,
}

impl Start {
    /// The artifact that a stage cannot do without.
    pub fn input(&self, name: &str) -> Result<Digest, Invalid> {
        self.inputs
            .get(name)
            .copied()
            .ok_or_else(|| Invalid::new(format!("inputs[{name}]"), "is required"))
    }

    /// Checks that the inputs are what a stage reads: all that it needs, none that it does not know
    /// ([`check_input`]).
    pub fn check_inputs(&self, needed: &[&str], optional: &[&str]) -> Result<(), Invalid> {
        needed.iter().try_for_each(|name| self.input(name).map(drop))?;
        self.inputs.keys().try_for_each(|name| check_input(name, needed, optional))
    }
}

/// Checks that a stage knows an input of this name. An optional name that ends in `/` stands for
/// itself and the name of any model.
pub fn check_input(name: &str, needed: &[&str], optional: &[&str]) -> Result<(), Invalid> {
    if needed.contains(&name) {
        return Ok(());
    }
    for known in optional {
        match name.strip_prefix(known) {
            Some("") if !known.ends_with('/') => return Ok(()),
            Some(model) if known.ends_with('/') => {
                return check_model_name(model).map_err(fields::at(format!("inputs[{name}]")));
            }
            _ => {}
        }
    }
    let known = needed.iter().chain(optional).map(|known| {
        let model = if known.ends_with('/') { "NAME" } else { "" };
        format!("`{known}{model}`")
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    Err(Invalid::new(format!("inputs[{name}]"), format!("is unknown; known: {known}")))
}

/// Checks the name of a model: 1 to 64 letters, digits or `._-`.
fn check_model_name(name: &str) -> Result<(), Invalid> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MODEL_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    let reason = format!(
        "`{name}` is no name of a model; must be 1 to {MODEL_NAME_BYTES_MAX} letters, digits or \
         `._-`"
    );
    Err(Invalid::new("", reason))
}

/// Work for `ingest`: a mapping beside what all stages take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartIngest {
    /// What all stages take.
    pub start: Start,
    /// Path or URI of the mapping, as the server sees it.
    pub mapping_uri: String,
    /// The mapping itself; `None`: the server reads it.
    pub mapping_toml: Option<String>,
}

/// The digest by which a server tells a repeated request from another one of the same id.
///
/// Maps are sorted, so equal messages have equal bytes.
pub fn request_digest(message: &impl prost::Message) -> Digest {
    Digest::of(message.encode_to_vec())
}

/// A request for long work as domain types, and the digest that tells it from others.
pub fn read_start<M>(message: M) -> Result<(Start, Digest), Invalid>
where
    M: prost::Message,
    Start: TryFrom<M, Error = Invalid>,
{
    let digest = request_digest(&message);
    Ok((Start::try_from(message)?, digest))
}

/// Reads the fields that all requests share.
fn start(
    request_id: String,
    config_toml: String,
    inputs: BTreeMap<String, String>,
) -> Result<Start, Invalid> {
    let request_id = fields::required_text("request_id", request_id, ID_BYTES_MAX)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if !request_id.bytes().all(plain) {
        return Err(Invalid::new("request_id", "must be letters, digits or `._:-`"));
    }
    if inputs.len() > INPUTS_MAX {
        return Err(Invalid::new("inputs", format!("must have at most {INPUTS_MAX} entries")));
    }
    let inputs = inputs.into_iter().map(|(name, digest)| {
        let name = fields::required_text("inputs", name, ID_BYTES_MAX)?;
        let digest = fields::digest(&format!("inputs[{name}]"), &digest)?;
        Ok((name, digest))
    });
    Ok(Start {
        request_id,
        config_toml: fields::text("config_toml", config_toml, TOML_BYTES_MAX)?,
        inputs: inputs.collect::<Result<_, Invalid>>()?,
    })
}

/// Inputs as messages carry them.
fn texts(inputs: BTreeMap<String, Digest>) -> BTreeMap<String, String> {
    inputs.into_iter().map(|(name, digest)| (name, digest.to_string())).collect()
}

impl TryFrom<v1::StartIngestRequest> for StartIngest {
    type Error = Invalid;

    fn try_from(message: v1::StartIngestRequest) -> Result<Self, Invalid> {
        let v1::StartIngestRequest { request_id, config_toml, inputs, mapping_uri, mapping_toml } =
            message;
        Ok(Self {
            start: start(request_id, config_toml, inputs)?,
            mapping_uri: fields::required_text("mapping_uri", mapping_uri, URI_BYTES_MAX)?,
            mapping_toml: fields::optional_text("mapping_toml", mapping_toml, TOML_BYTES_MAX)?,
        })
    }
}

impl From<StartIngest> for v1::StartIngestRequest {
    fn from(StartIngest { start, mapping_uri, mapping_toml }: StartIngest) -> Self {
        let Start { request_id, config_toml, inputs } = start;
        let mapping_toml = mapping_toml.unwrap_or_default();
        Self { request_id, config_toml, inputs: texts(inputs), mapping_uri, mapping_toml }
    }
}

impl TryFrom<v1::StartFeaturesRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartFeaturesRequest) -> Result<Self, Invalid> {
        let v1::StartFeaturesRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartFeaturesRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}

impl TryFrom<v1::StartTrainingRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartTrainingRequest) -> Result<Self, Invalid> {
        let v1::StartTrainingRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartTrainingRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}

impl TryFrom<v1::StartPredictionRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartPredictionRequest) -> Result<Self, Invalid> {
        let v1::StartPredictionRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartPredictionRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}

impl TryFrom<v1::StartExplanationRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartExplanationRequest) -> Result<Self, Invalid> {
        let v1::StartExplanationRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartExplanationRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}

impl TryFrom<v1::StartEvaluationRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartEvaluationRequest) -> Result<Self, Invalid> {
        let v1::StartEvaluationRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartEvaluationRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}

impl TryFrom<v1::StartPlanningRequest> for Start {
    type Error = Invalid;

    fn try_from(message: v1::StartPlanningRequest) -> Result<Self, Invalid> {
        let v1::StartPlanningRequest { request_id, config_toml, inputs } = message;
        start(request_id, config_toml, inputs)
    }
}

impl From<Start> for v1::StartPlanningRequest {
    fn from(Start { request_id, config_toml, inputs }: Start) -> Self {
        Self { request_id, config_toml, inputs: texts(inputs) }
    }
}
