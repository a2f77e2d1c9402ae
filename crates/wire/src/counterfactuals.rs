//! `lifecast.v1.Explainer`: within which bounds a forecast is to be turned, and what turns it.

use lifecycle::{Day, Digest, Frequency, Invalid, Period, Series};

use crate::fields::{self, NAME_BYTES_MAX};
use crate::{series, v1};

/// Most outputs of one forecast.
const OUTPUTS_MAX: usize = 64;

/// Most inputs that may be changed, and targets.
const INPUTS_MAX: usize = 16;

/// Most bytes of a sentence.
const SENTENCE_BYTES_MAX: usize = 4096;

/// Which forecast is to be turned, within which bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterfactualsQuery {
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact.
    pub features: Digest,
    /// Whose forecast.
    pub series: Series,
    /// The last day whose data may be used; `None`: the last period of the features.
    pub origin: Option<Day>,
    /// Least and greatest multiple of the recent price; `None`: the explainer's choice.
    pub price: Option<[f64; 2]>,
    /// Least and greatest share under promotion; `None`: the explainer's choice.
    pub promotion: Option<[f64; 2]>,
    /// Least and greatest share in stock; `None`: the explainer's choice.
    pub in_stock: Option<[f64; 2]>,
    /// Share by which sales are to rise and to fall; `None`: the explainer's choice.
    pub sales_change: Option<f64>,
}

/// An input that may be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeableInput {
    /// Its name.
    pub name: String,
    /// Whether it lies ahead; else the change is retrospective.
    pub is_planned: bool,
    /// What is usual.
    pub usual: f64,
    /// Least and greatest value.
    pub bounds: [f64; 2],
    /// Whether any value of it alone moves any answer.
    pub is_read: bool,
}

/// What meets one target, or comes nearest to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterfactual {
    /// Name of the target.
    pub target: String,
    /// Whether it is met within the bounds.
    pub is_reached: bool,
    /// Names of inputs with their values; empty where no change comes nearer.
    pub changes: Vec<(String, f64)>,
    /// Size of the change, in widths of the bounds.
    pub distance: f64,
    /// The likeliest class before.
    pub was: String,
    /// The class that leads, or comes nearest to it.
    pub becomes: String,
    /// Name of the output that `becomes` is about.
    pub output: String,
    /// That output before.
    pub output_before: f64,
    /// That output after.
    pub output_after: f64,
    /// The whole forecast after. Length `n_outputs`.
    pub after: Vec<f64>,
    /// A sentence in English.
    pub en: String,
    /// A sentence in Chinese.
    pub zh: String,
}

/// What would turn one forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Counterfactuals {
    /// Whose forecast.
    pub series: Series,
    /// Length of its periods.
    pub frequency: Frequency,
    /// The last period whose data was used.
    pub origin: Period,
    /// What was changed.
    pub inputs: Vec<ChangeableInput>,
    /// Names of outputs. Length `n_outputs`.
    pub outputs: Vec<String>,
    /// The forecast as it is. Length `n_outputs`.
    pub before: Vec<f64>,
    /// One for each target.
    pub counterfactuals: Vec<Counterfactual>,
    /// Model evaluations spent.
    pub n_evaluations: u32,
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact.
    pub features: Digest,
    /// Digest of the inputs, equal to that of the forecast.
    pub inputs_digest: Digest,
}

impl TryFrom<v1::ExplainCounterfactualsRequest> for CounterfactualsQuery {
    type Error = Invalid;

    fn try_from(message: v1::ExplainCounterfactualsRequest) -> Result<Self, Invalid> {
        let v1::ExplainCounterfactualsRequest {
            model,
            features,
            series,
            origin_day,
            price,
            promotion,
            in_stock,
            sales_change,
        } = message;
        let sales_change = fields::within("sales_change", sales_change, 0.0..=1.0)?;
        Ok(Self {
            model: fields::digest("model", &model)?,
            features: fields::digest("features", &features)?,
            series: series::series(series)?,
            origin: fields::optional_day("origin_day", origin_day)?,
            price: price.map(|of| bounds("price", of)).transpose()?,
            promotion: promotion.map(|of| bounds("promotion", of)).transpose()?,
            in_stock: in_stock.map(|of| bounds("in_stock", of)).transpose()?,
            sales_change: Some(sales_change).filter(|change| *change > 0.0),
        })
    }
}

impl From<CounterfactualsQuery> for v1::ExplainCounterfactualsRequest {
    fn from(query: CounterfactualsQuery) -> Self {
        let CounterfactualsQuery {
            model,
            features,
            series,
            origin,
            price,
            promotion,
            in_stock,
            sales_change,
        } = query;
        Self {
            model: model.to_string(),
            features: features.to_string(),
            series: Some(series.into()),
            origin_day: origin.map(|Day(day)| day),
            price: price.map(bounds_message),
            promotion: promotion.map(bounds_message),
            in_stock: in_stock.map(bounds_message),
            sales_change: sales_change.unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Counterfactuals> for Counterfactuals {
    type Error = Invalid;

    fn try_from(message: v1::Counterfactuals) -> Result<Self, Invalid> {
        let v1::Counterfactuals {
            series,
            frequency,
            origin_day,
            inputs,
            outputs,
            before,
            counterfactuals,
            n_evaluations,
            model_digest,
            features_digest,
            inputs_digest,
        } = message;
        fields::length("inputs", &inputs, 0..=INPUTS_MAX)?;
        fields::length("outputs", &outputs, 0..=OUTPUTS_MAX)?;
        fields::length("counterfactuals", &counterfactuals, 0..=INPUTS_MAX)?;
        let frequency = series::frequency(frequency)?;
        let n_outputs = outputs.len();
        fields::length("before", &before, n_outputs..=n_outputs)?;
        Ok(Self {
            series: series::series(series)?,
            frequency,
            origin: series::period("origin_day", frequency, origin_day)?,
            inputs: fields::each("inputs", inputs, input)?,
            outputs: fields::each("outputs", outputs, |name| {
                fields::required_text("", name, NAME_BYTES_MAX)
            })?,
            before: fields::each("before", before, |value| fields::finite("", value))?,
            counterfactuals: fields::each("counterfactuals", counterfactuals, |message| {
                counterfactual(message, n_outputs)
            })?,
            n_evaluations,
            model: fields::digest("model_digest", &model_digest)?,
            features: fields::digest("features_digest", &features_digest)?,
            inputs_digest: fields::digest("inputs_digest", &inputs_digest)?,
        })
    }
}

impl From<Counterfactuals> for v1::Counterfactuals {
    fn from(found: Counterfactuals) -> Self {
        let Counterfactuals {
            series,
            frequency,
            origin,
            inputs,
            outputs,
            before,
            counterfactuals,
            n_evaluations,
            model,
            features,
            inputs_digest,
        } = found;
        Self {
            series: Some(series.into()),
            frequency: series::frequency_number(frequency),
            origin_day: frequency.last_day(origin).0,
            inputs: inputs.into_iter().map(v1::ChangeableInput::from).collect(),
            outputs,
            before,
            counterfactuals: counterfactuals.into_iter().map(v1::Counterfactual::from).collect(),
            n_evaluations,
            model_digest: model.to_string(),
            features_digest: features.to_string(),
            inputs_digest: inputs_digest.to_string(),
        }
    }
}

impl From<ChangeableInput> for v1::ChangeableInput {
    fn from(input: ChangeableInput) -> Self {
        let ChangeableInput { name, is_planned, usual, bounds, is_read } = input;
        Self { name, is_planned, usual, bounds: Some(bounds_message(bounds)), is_read }
    }
}

impl From<Counterfactual> for v1::Counterfactual {
    fn from(told: Counterfactual) -> Self {
        let Counterfactual {
            target,
            is_reached,
            changes,
            distance,
            was,
            becomes,
            output,
            output_before,
            output_after,
            after,
            en,
            zh,
        } = told;
        let change = |(input, value)| v1::InputChange { input, value };
        Self {
            target,
            is_reached,
            changes: changes.into_iter().map(change).collect(),
            distance,
            was,
            becomes,
            output,
            output_before,
            output_after,
            after,
            sentence: en,
            sentence_zh: zh,
        }
    }
}

fn counterfactual(
    message: v1::Counterfactual,
    n_outputs: usize,
) -> Result<Counterfactual, Invalid> {
    let v1::Counterfactual {
        target,
        is_reached,
        changes,
        distance,
        was,
        becomes,
        output,
        output_before,
        output_after,
        after,
        sentence,
        sentence_zh,
    } = message;
    fields::length("changes", &changes, 0..=INPUTS_MAX)?;
    fields::length("after", &after, n_outputs..=n_outputs)?;
    let name = |field: &str, text| fields::required_text(field, text, NAME_BYTES_MAX);
    Ok(Counterfactual {
        target: name("target", target)?,
        is_reached,
        changes: fields::each("changes", changes, |v1::InputChange { input, value }| {
            Ok((name("input", input)?, fields::finite("value", value)?))
        })?,
        distance: fields::amount("distance", distance)?,
        was: name("was", was)?,
        becomes: name("becomes", becomes)?,
        output: name("output", output)?,
        output_before: fields::finite("output_before", output_before)?,
        output_after: fields::finite("output_after", output_after)?,
        after: fields::each("after", after, |value| fields::finite("", value))?,
        en: fields::required_text("sentence", sentence, SENTENCE_BYTES_MAX)?,
        zh: fields::required_text("sentence_zh", sentence_zh, SENTENCE_BYTES_MAX)?,
    })
}

fn input(message: v1::ChangeableInput) -> Result<ChangeableInput, Invalid> {
    let v1::ChangeableInput { name, is_planned, usual, bounds: of, is_read } = message;
    Ok(ChangeableInput {
        name: fields::required_text("name", name, NAME_BYTES_MAX)?,
        is_planned,
        usual: fields::amount("usual", usual)?,
        bounds: bounds("bounds", fields::required("bounds", of)?)?,
        is_read,
    })
}

/// Bounds that ascend.
fn bounds(field: &str, v1::Bounds { low, high }: v1::Bounds) -> Result<[f64; 2], Invalid> {
    let low = fields::amount("low", low).map_err(fields::at(field))?;
    let high = fields::amount("high", high).map_err(fields::at(field))?;
    if low < high {
        return Ok([low, high]);
    }
    Err(Invalid::new(format!("{field}.high"), format!("is {high:?}; must be above {low:?}")))
}

fn bounds_message([low, high]: [f64; 2]) -> v1::Bounds {
    v1::Bounds { low, high }
}
