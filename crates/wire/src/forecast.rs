//! Forecasts on the wire.

use lifecycle::{
    Digest, Forecast, Frequency, Invalid, LEVELS, OUTLOOK_WEEKS, Outlook, StageProbabilities,
    UnitsForecast,
};

use crate::fields::{self, at};
use crate::{series, v1};

/// A forecast with all that its reader needs to place it: the calendar, and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedForecast {
    /// What is expected.
    pub forecast: Forecast,
    /// Length of its periods.
    pub frequency: Frequency,
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact; `None` for a history that came with the request.
    pub features: Option<Digest>,
    /// Digest of the inputs of this one forecast.
    pub inputs: Digest,
}

impl TryFrom<v1::Forecast> for ServedForecast {
    type Error = Invalid;

    fn try_from(message: v1::Forecast) -> Result<Self, Invalid> {
        let v1::Forecast {
            series,
            frequency,
            origin_day,
            units,
            stage_now,
            outlooks,
            cold_start,
            far_from_training,
            model_digest,
            features_digest,
            inputs_digest,
        } = message;
        let frequency = series::frequency(frequency)?;
        let forecast = Forecast {
            series: series::series(series)?,
            origin: series::period("origin_day", frequency, origin_day)?,
            units: units.map(UnitsForecast::try_from).transpose().map_err(at("units"))?,
            stage_now: stages("stage_now", stage_now)?,
            outlooks: three_outlooks(outlooks)?,
            cold_start,
            far_from_training,
        };
        Ok(Self {
            forecast,
            frequency,
            model: fields::digest("model_digest", &model_digest)?,
            features: fields::optional_digest("features_digest", &features_digest)?,
            inputs: fields::digest("inputs_digest", &inputs_digest)?,
        })
    }
}

impl From<ServedForecast> for v1::Forecast {
    fn from(served: ServedForecast) -> Self {
        let ServedForecast { forecast, frequency, model, features, inputs } = served;
        let Forecast { series, origin, units, stage_now, outlooks, cold_start, far_from_training } =
            forecast;
        Self {
            series: Some(series.into()),
            frequency: series::frequency_number(frequency),
            origin_day: frequency.last_day(origin).0,
            units: units.map(v1::UnitsForecast::from),
            stage_now: stage_now.map(v1::StageProbabilities::from),
            outlooks: OUTLOOK_WEEKS.into_iter().zip(outlooks).map(outlook_message).collect(),
            cold_start,
            far_from_training,
            model_digest: model.to_string(),
            features_digest: fields::digest_text(features),
            inputs_digest: inputs.to_string(),
        }
    }
}

impl TryFrom<v1::UnitsForecast> for UnitsForecast {
    type Error = Invalid;

    fn try_from(message: v1::UnitsForecast) -> Result<Self, Invalid> {
        let v1::UnitsForecast { means, levels, quantiles, cumulative_quantiles } = message;
        let has_quantiles = !quantiles.is_empty() || !cumulative_quantiles.is_empty();
        if has_quantiles && levels != LEVELS {
            return Err(Invalid::new("levels", format!("must be {LEVELS:?}")));
        }
        let units = Self { means, quantiles, cumulative_quantiles };
        units.validate()?;
        Ok(units)
    }
}

impl From<UnitsForecast> for v1::UnitsForecast {
    fn from(units: UnitsForecast) -> Self {
        let UnitsForecast { means, quantiles, cumulative_quantiles } = units;
        let has_quantiles = !quantiles.is_empty() || !cumulative_quantiles.is_empty();
        let levels = if has_quantiles { LEVELS.to_vec() } else { Vec::new() };
        Self { means, levels, quantiles, cumulative_quantiles }
    }
}

impl TryFrom<v1::StageProbabilities> for StageProbabilities {
    type Error = Invalid;

    fn try_from(message: v1::StageProbabilities) -> Result<Self, Invalid> {
        let v1::StageProbabilities { introduction, growth, maturity, decline, ended } = message;
        Self::try_from([introduction, growth, maturity, decline, ended])
            .map_err(|Invalid { field: _, reason }| Invalid::new("", reason))
    }
}

impl From<StageProbabilities> for v1::StageProbabilities {
    fn from(stages: StageProbabilities) -> Self {
        let [introduction, growth, maturity, decline, ended] = stages.into();
        Self { introduction, growth, maturity, decline, ended }
    }
}

fn stages(
    field: &str,
    message: Option<v1::StageProbabilities>,
) -> Result<Option<StageProbabilities>, Invalid> {
    message.map(StageProbabilities::try_from).transpose().map_err(at(field))
}

fn three_outlooks(messages: Vec<v1::Outlook>) -> Result<[Outlook; 3], Invalid> {
    let weeks: Vec<u32> = messages.iter().map(|outlook| outlook.weeks).collect();
    if weeks != OUTLOOK_WEEKS {
        return Err(Invalid::new("outlooks", format!("must be at weeks {OUTLOOK_WEEKS:?}")));
    }
    let outlooks = fields::each("outlooks", messages, |message| {
        let v1::Outlook { weeks: _, turns, stage } = message;
        Ok(Outlook {
            turns: turns.map(probabilities_of_turns).transpose().map_err(at("turns"))?,
            stage: stages("stage", stage)?,
        })
    })?;
    <[Outlook; 3]>::try_from(outlooks).map_err(|_| Invalid::new("outlooks", "must be three"))
}

fn outlook_message((weeks, outlook): (u32, Outlook)) -> v1::Outlook {
    let Outlook { turns, stage } = outlook;
    let turns = turns.map(|[halved, doubled, silent]| v1::Turns { halved, doubled, silent });
    v1::Outlook { weeks, turns, stage: stage.map(v1::StageProbabilities::from) }
}

fn probabilities_of_turns(message: v1::Turns) -> Result<[f32; 3], Invalid> {
    let v1::Turns { halved, doubled, silent } = message;
    for (field, probability) in [("halved", halved), ("doubled", doubled), ("silent", silent)] {
        if !(0.0..=1.0).contains(&probability) {
            return Err(Invalid::new(field, "must lie between 0 and 1"));
        }
    }
    Ok([halved, doubled, silent])
}
