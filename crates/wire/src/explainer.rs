//! `lifecast.v1.Explainer`: which forecast to explain, and the explanation.

use lifecycle::{
    Attribution, Day, Digest, EstimateEnd, Frequency, InteractionSource, Invalid, Period, Series,
};

use crate::fields::{self, NAME_BYTES_MAX};
use crate::{series, v1};

/// Most outputs of one explanation.
const OUTPUTS_MAX: usize = 16;

/// Most players of one explanation.
const PLAYERS_MAX: usize = 4096;

/// Most model evaluations of one explanation.
const EVALUATIONS_MAX: u32 = 65_536;

/// Most background series of one explanation.
const BACKGROUND_MAX: u32 = 32;

/// Most families that are split.
const FAMILIES_MAX: usize = 16;

/// Which forecast to explain, and at what effort.
#[derive(Debug, Clone, PartialEq)]
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
    /// Relative error that is good enough; `None`: the explainer's choice.
    pub tolerance: Option<f64>,
    /// Background series; `None`: the explainer's choice.
    pub n_background: Option<u32>,
    /// What those are like the product in; `None`: the explainer's choice.
    pub background: Option<String>,
    /// Whether they count by how alike they are to what is kept.
    pub conditional: bool,
    /// Families in pieces; empty: the explainer's choice.
    pub split: Vec<String>,
    /// A family to look into.
    pub drill_down: Option<String>,
    /// Name of the estimator; `None`: the explainer's choice.
    pub method: Option<String>,
}

impl ExplainQuery {
    /// A query that leaves all choices to the explainer, from the last period of the features.
    pub fn new(model: Digest, features: Digest, series: Series) -> Self {
        Self {
            model,
            features,
            series,
            origin: None,
            outputs: Vec::new(),
            evaluations_max: None,
            seed: 0,
            tolerance: None,
            n_background: None,
            background: None,
            conditional: false,
            split: Vec::new(),
            drill_down: None,
            method: None,
        }
    }
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
    /// Interaction index of each two players; empty where they are not known.
    pub interactions: Vec<f64>,
    /// Standard error of each, 0 where it is exact. As many.
    pub interaction_standard_errors: Vec<f64>,
    /// Share of the variance beyond values that they leave untold.
    pub interactions_untold: f64,
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
    /// What the relative error of the values is likely to be within.
    pub relative_error: f64,
    /// Why there are no more evaluations.
    pub end: EstimateEnd,
    /// Half the width of a 95 % interval, in standard errors.
    pub quantile: f64,
    /// Digest of the background.
    pub background: Digest,
    /// The query that has this answer again.
    pub replay: ExplainQuery,
    /// How interactions are known, or why they are not.
    pub interaction_source: InteractionSource,
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
            tolerance,
            n_background,
            split,
            drill_down,
            method,
            background,
            conditional,
        } = message;
        fields::length("outputs", &outputs, 0..=OUTPUTS_MAX)?;
        fields::distinct("outputs", &outputs, |output| output)?;
        fields::length("split", &split, 0..=FAMILIES_MAX)?;
        fields::distinct("split", &split, |family| family)?;
        let limited = |field: &str, value: u32, most: u32| {
            let reason = format!("must be at most {most}");
            if value > most { Err(Invalid::new(field, reason)) } else { Ok(value) }
        };
        let evaluations_max = limited("evaluations_max", evaluations_max, EVALUATIONS_MAX)?;
        let n_background = limited("n_background", n_background, BACKGROUND_MAX)?;
        let name = |name| fields::required_text("", name, NAME_BYTES_MAX);
        let choice = |field: &str, text| fields::optional_text(field, text, NAME_BYTES_MAX);
        Ok(Self {
            model: fields::digest("model", &model)?,
            features: fields::digest("features", &features)?,
            series: series::series(series)?,
            origin: fields::optional_day("origin_day", origin_day)?,
            outputs: fields::each("outputs", outputs, name)?,
            evaluations_max: Some(evaluations_max).filter(|most| *most > 0),
            seed,
            tolerance: Some(fields::within("tolerance", tolerance, 0.0..=1.0)?)
                .filter(|tolerance| *tolerance > 0.0),
            n_background: Some(n_background).filter(|n| *n > 0),
            background: choice("background", background)?,
            conditional,
            split: fields::each("split", split, name)?,
            drill_down: choice("drill_down", drill_down)?,
            method: choice("method", method)?,
        })
    }
}

impl From<ExplainQuery> for v1::ExplainRequest {
    fn from(query: ExplainQuery) -> Self {
        let ExplainQuery {
            model,
            features,
            series,
            origin,
            outputs,
            evaluations_max,
            seed,
            tolerance,
            n_background,
            split,
            drill_down,
            method,
            background,
            conditional,
        } = query;
        Self {
            model: model.to_string(),
            features: features.to_string(),
            series: Some(series.into()),
            origin_day: origin.map(|Day(day)| day),
            outputs,
            evaluations_max: evaluations_max.unwrap_or_default(),
            seed,
            tolerance: tolerance.unwrap_or_default(),
            n_background: n_background.unwrap_or_default(),
            split,
            drill_down: drill_down.unwrap_or_default(),
            method: method.unwrap_or_default(),
            background: background.unwrap_or_default(),
            conditional,
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
            relative_error,
            end,
            quantile,
            background_digest,
            replay,
            interaction_source,
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
            relative_error: fields::amount("relative_error", relative_error)?,
            end: estimate_end(end)?,
            quantile: fields::amount("quantile", quantile)?,
            background: fields::digest("background_digest", &background_digest)?,
            replay: ExplainQuery::try_from(fields::required("replay", replay)?)
                .map_err(fields::at("replay"))?,
            interaction_source: source(interaction_source)?,
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
            relative_error,
            end,
            quantile,
            background,
            replay,
            interaction_source,
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
            relative_error,
            end: end_number(end),
            quantile,
            background_digest: background.to_string(),
            replay: Some(replay.into()),
            interaction_source: source_number(interaction_source),
        }
    }
}

impl From<ExplainedOutput> for v1::Attribution {
    fn from(explained: ExplainedOutput) -> Self {
        let ExplainedOutput {
            output,
            attribution,
            served,
            interactions,
            interaction_standard_errors,
            interactions_untold,
        } = explained;
        let Attribution { base_value, values, standard_errors } = attribution;
        Self {
            output,
            base_value,
            values,
            standard_errors,
            served,
            interactions,
            interaction_standard_errors,
            interactions_untold,
        }
    }
}

/// In the order of [`v1::EstimateEnd`].
const ENDS: [(EstimateEnd, v1::EstimateEnd); 5] = [
    (EstimateEnd::Open, v1::EstimateEnd::Open),
    (EstimateEnd::Complete, v1::EstimateEnd::Complete),
    (EstimateEnd::Tolerance, v1::EstimateEnd::Tolerance),
    (EstimateEnd::Budget, v1::EstimateEnd::Budget),
    (EstimateEnd::Deadline, v1::EstimateEnd::Deadline),
];

fn estimate_end(number: i32) -> Result<EstimateEnd, Invalid> {
    let found = ENDS.iter().find(|(_, message)| *message as i32 == number);
    let unknown = || Invalid::new("end", format!("{number} is no end of an estimate"));
    found.map(|(end, _)| *end).ok_or_else(unknown)
}

fn end_number(end: EstimateEnd) -> i32 {
    let found = ENDS.iter().find(|(known, _)| *known == end);
    found.map_or(0, |(_, message)| *message as i32)
}

/// In the order of [`v1::InteractionSource`].
const SOURCES: [(InteractionSource, v1::InteractionSource); 4] = [
    (InteractionSource::Exact, v1::InteractionSource::Exact),
    (InteractionSource::Regression, v1::InteractionSource::Regression),
    (InteractionSource::TooFew, v1::InteractionSource::TooFew),
    (InteractionSource::Owen, v1::InteractionSource::Owen),
];

fn source(number: i32) -> Result<InteractionSource, Invalid> {
    let found = SOURCES.iter().find(|(_, message)| *message as i32 == number);
    let unknown = || Invalid::new("interaction_source", format!("{number} is no source"));
    found.map(|(source, _)| *source).ok_or_else(unknown)
}

fn source_number(source: InteractionSource) -> i32 {
    let found = SOURCES.iter().find(|(known, _)| *known == source);
    found.map_or(0, |(_, message)| *message as i32)
}

fn explained(message: v1::Attribution, n_players: usize) -> Result<ExplainedOutput, Invalid> {
    let v1::Attribution {
        output,
        base_value,
        values,
        standard_errors,
        served,
        interactions,
        interaction_standard_errors,
        interactions_untold,
    } = message;
    fields::length("values", &values, n_players..=n_players)?;
    fields::length("standard_errors", &standard_errors, n_players..=n_players)?;
    if !interactions.is_empty() {
        let n_twos = n_players * n_players.saturating_sub(1) / 2;
        fields::length("interactions", &interactions, n_twos..=n_twos)?;
    }
    let n_errors = interactions.len()..=interactions.len();
    fields::length("interaction_standard_errors", &interaction_standard_errors, n_errors)?;
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
        interactions: fields::each("interactions", interactions, |index| {
            fields::finite("", index)
        })?,
        interaction_standard_errors: fields::each(
            "interaction_standard_errors",
            interaction_standard_errors,
            |error| fields::amount("", error),
        )?,
        interactions_untold: fields::within("interactions_untold", interactions_untold, 0.0..=1.0)?,
    })
}
