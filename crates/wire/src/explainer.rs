//! `lifecast.v1.Explainer`: which forecast to explain, and the explanation.

use lifecycle::{Attribution, Day, Digest, Frequency, Invalid, Period, Series};

use crate::fields::{self, NAME_BYTES_MAX};
use crate::{series, v1};

/// Most outputs of one explanation.
const OUTPUTS_MAX: usize = 16;

/// Most players of one explanation.
const PLAYERS_MAX: usize = 4096;

/// Most model evaluations of one explanation.
const EVALUATIONS_MAX: u32 = 65_536;

/// Which forecast to explain, and at what effort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainQuery {
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact.
    pub features: Digest,
    /// Whose forecast.
    pub series: Series,
    /// The last day whose data may be used; `None`: the last period of the features.
    pub origin: Option<Day>,
    /// Names of outputs, without repeats; empty: the explainer's choice.
    pub outputs: Vec<String>,
    /// Model evaluations to spend at most; `None`: the explainer's choice.
    pub evaluations_max: Option<u32>,
    /// Seed of the sampled coalitions.
    pub seed: u64,
}

/// One output of a forecast, split over the players.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedOutput {
    /// Name of the output.
    pub output: String,
    /// One value and standard error for each player.
    pub attribution: Attribution,
    /// The answer that the predictor serves.
    pub served: f64,
}

/// One forecast, split over its players.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Whose forecast.
    pub series: Series,
    /// Length of its periods.
    pub frequency: Frequency,
    /// The last period whose data was used.
    pub origin: Period,
    /// Names of the groups of inputs. Length `n_players`.
    pub players: Vec<String>,
    /// One for each output asked for.
    pub outputs: Vec<ExplainedOutput>,
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact; `None` for live inputs alone.
    pub features: Option<Digest>,
    /// Digest of the inputs, equal to that of the forecast that is explained.
    pub inputs: Digest,
    /// Model evaluations spent.
    pub n_evaluations: u32,
}

impl TryFrom<v1::ExplainRequest> for ExplainQuery {
    type Error = Invalid;

    fn try_from(message: v1::ExplainRequest) -> Result<Self, Invalid> {
        let v1::ExplainRequest {
            model,
            features,
            series,
            origin_day,
            outputs,
            evaluations_max,
            seed,
        } = message;
        fields::length("outputs", &outputs, 0..=OUTPUTS_MAX)?;
        fields::distinct("outputs", &outputs, |output| output)?;
        if evaluations_max > EVALUATIONS_MAX {
            let reason = format!("must be at most {EVALUATIONS_MAX}");
            return Err(Invalid::new("evaluations_max", reason));
        }
        let name = |name| fields::required_text("", name, NAME_BYTES_MAX);
        Ok(Self {
            model: fields::digest("model", &model)?,
            features: fields::digest("features", &features)?,
            series: series::series(series)?,
            origin: fields::optional_day("origin_day", origin_day)?,
            outputs: fields::each("outputs", outputs, name)?,
            evaluations_max: Some(evaluations_max).filter(|most| *most > 0),
            seed,
        })
    }
}

impl From<ExplainQuery> for v1::ExplainRequest {
    fn from(query: ExplainQuery) -> Self {
        let ExplainQuery { model, features, series, origin, outputs, evaluations_max, seed } =
            query;
        Self {
            model: model.to_string(),
            features: features.to_string(),
            series: Some(series.into()),
            origin_day: origin.map(|Day(day)| day),
            outputs,
            evaluations_max: evaluations_max.unwrap_or_default(),
            seed,
        }
    }
}

impl TryFrom<v1::Explanation> for Explanation {
    type Error = Invalid;

    fn try_from(message: v1::Explanation) -> Result<Self, Invalid> {
        let v1::Explanation {
            series,
            frequency,
            origin_day,
            players,
            attributions,
            model_digest,
            features_digest,
            inputs_digest,
            n_evaluations,
        } = message;
        fields::length("players", &players, 0..=PLAYERS_MAX)?;
        fields::length("attributions", &attributions, 0..=OUTPUTS_MAX)?;
        let frequency = series::frequency(frequency)?;
        let n_players = players.len();
        Ok(Self {
            series: series::series(series)?,
            frequency,
            origin: series::period("origin_day", frequency, origin_day)?,
            players,
            outputs: fields::each("attributions", attributions, |message| {
                explained(message, n_players)
            })?,
            model: fields::digest("model_digest", &model_digest)?,
            features: fields::optional_digest("features_digest", &features_digest)?,
            inputs: fields::digest("inputs_digest", &inputs_digest)?,
            n_evaluations,
        })
    }
}

impl From<Explanation> for v1::Explanation {
    fn from(explanation: Explanation) -> Self {
        let Explanation {
            series,
            frequency,
            origin,
            players,
            outputs,
            model,
            features,
            inputs,
            n_evaluations,
        } = explanation;
        Self {
            series: Some(series.into()),
            frequency: series::frequency_number(frequency),
            origin_day: frequency.last_day(origin).0,
            players,
            attributions: outputs.into_iter().map(v1::Attribution::from).collect(),
            model_digest: model.to_string(),
            features_digest: fields::digest_text(features),
            inputs_digest: inputs.to_string(),
            n_evaluations,
        }
    }
}

impl From<ExplainedOutput> for v1::Attribution {
    fn from(ExplainedOutput { output, attribution, served }: ExplainedOutput) -> Self {
        let Attribution { base_value, values, standard_errors } = attribution;
        Self { output, base_value, values, standard_errors, served }
    }
}

fn explained(message: v1::Attribution, n_players: usize) -> Result<ExplainedOutput, Invalid> {
    let v1::Attribution { output, base_value, values, standard_errors, served } = message;
    fields::length("values", &values, n_players..=n_players)?;
    fields::length("standard_errors", &standard_errors, n_players..=n_players)?;
    let attribution = Attribution {
        base_value: fields::finite("base_value", base_value)?,
        values: fields::each("values", values, |value| fields::finite("", value))?,
        standard_errors: fields::each("standard_errors", standard_errors, |error| {
            fields::amount("", error)
        })?,
    };
    Ok(ExplainedOutput {
        output: fields::required_text("output", output, NAME_BYTES_MAX)?,
        attribution,
        served: fields::finite("served", served)?,
    })
}
