//! `lifecast.v1.Predictor`: queries in, forecasts out.

use lifecycle::{Day, Digest, Invalid, Series};

use crate::fields::{self, BATCH_MAX, at};
use crate::{InlineHistory, ServedForecast, series, v1};

/// Which series to forecast, from where, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastQuery {
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact.
    pub features: Digest,
    /// 1 to 256, without repeats.
    pub series: Vec<Series>,
    /// The last day whose data may be used; `None`: the last period of the features.
    pub origin: Option<Day>,
}

/// Histories to forecast, each from its last period.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryQuery {
    /// Content digest of the model artifact.
    pub model: Digest,
    /// 1 to 256, all of one frequency.
    pub histories: Vec<InlineHistory>,
}

/// Whose inputs to show, as of when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputsQuery {
    /// Content digest of the features artifact.
    pub features: Digest,
    /// Whose.
    pub series: Series,
    /// The last day whose data may be used; `None`: the last period of the features.
    pub origin: Option<Day>,
}

/// What one forecast is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedInputs {
    /// Up to the origin, as known at the origin.
    pub history: InlineHistory,
    /// Digest that the forecast made from it carries.
    pub digest: Digest,
}

impl TryFrom<v1::PredictRequest> for ForecastQuery {
    type Error = Invalid;

    fn try_from(message: v1::PredictRequest) -> Result<Self, Invalid> {
        let v1::PredictRequest { model, features, series, origin_day } = message;
        fields::length("series", &series, 1..=BATCH_MAX)?;
        let series = fields::each("series", series, Series::try_from)?;
        fields::distinct("series", &series, |series| series)?;
        Ok(Self {
            model: fields::digest("model", &model)?,
            features: fields::digest("features", &features)?,
            series,
            origin: fields::optional_day("origin_day", origin_day)?,
        })
    }
}

impl From<ForecastQuery> for v1::PredictRequest {
    fn from(ForecastQuery { model, features, series, origin }: ForecastQuery) -> Self {
        Self {
            model: model.to_string(),
            features: features.to_string(),
            series: series.into_iter().map(v1::Series::from).collect(),
            origin_day: origin.map(|Day(day)| day),
        }
    }
}

impl TryFrom<v1::ForecastHistoryRequest> for HistoryQuery {
    type Error = Invalid;

    fn try_from(message: v1::ForecastHistoryRequest) -> Result<Self, Invalid> {
        let v1::ForecastHistoryRequest { model, histories } = message;
        fields::length("histories", &histories, 1..=BATCH_MAX)?;
        let histories = fields::each("histories", histories, InlineHistory::try_from)?;
        let frequency = histories[0].frequency;
        if let Some(index) = histories.iter().position(|history| history.frequency != frequency) {
            let field = format!("histories[{index}].frequency");
            return Err(Invalid::new(field, "must be that of the first history"));
        }
        Ok(Self { model: fields::digest("model", &model)?, histories })
    }
}

impl From<HistoryQuery> for v1::ForecastHistoryRequest {
    fn from(HistoryQuery { model, histories }: HistoryQuery) -> Self {
        Self {
            model: model.to_string(),
            histories: histories.into_iter().map(v1::History::from).collect(),
        }
    }
}

impl TryFrom<v1::GetInputsRequest> for InputsQuery {
    type Error = Invalid;

    fn try_from(message: v1::GetInputsRequest) -> Result<Self, Invalid> {
        let v1::GetInputsRequest { features, series, origin_day } = message;
        Ok(Self {
            features: fields::digest("features", &features)?,
            series: series::series(series)?,
            origin: fields::optional_day("origin_day", origin_day)?,
        })
    }
}

impl From<InputsQuery> for v1::GetInputsRequest {
    fn from(InputsQuery { features, series, origin }: InputsQuery) -> Self {
        Self {
            features: features.to_string(),
            series: Some(series.into()),
            origin_day: origin.map(|Day(day)| day),
        }
    }
}

impl TryFrom<v1::GetInputsResponse> for ServedInputs {
    type Error = Invalid;

    fn try_from(message: v1::GetInputsResponse) -> Result<Self, Invalid> {
        let v1::GetInputsResponse { history, inputs_digest } = message;
        let history = fields::required("history", history)?;
        Ok(Self {
            history: InlineHistory::try_from(history).map_err(at("history"))?,
            digest: fields::digest("inputs_digest", &inputs_digest)?,
        })
    }
}

impl From<ServedInputs> for v1::GetInputsResponse {
    fn from(ServedInputs { history, digest }: ServedInputs) -> Self {
        Self { history: Some(history.into()), inputs_digest: digest.to_string() }
    }
}

impl From<Vec<ServedForecast>> for v1::PredictResponse {
    fn from(forecasts: Vec<ServedForecast>) -> Self {
        Self { forecasts: forecasts.into_iter().map(v1::Forecast::from).collect() }
    }
}

impl From<Vec<ServedForecast>> for v1::ForecastHistoryResponse {
    fn from(forecasts: Vec<ServedForecast>) -> Self {
        Self { forecasts: forecasts.into_iter().map(v1::Forecast::from).collect() }
    }
}

impl TryFrom<v1::PredictResponse> for Vec<ServedForecast> {
    type Error = Invalid;

    fn try_from(message: v1::PredictResponse) -> Result<Self, Invalid> {
        let v1::PredictResponse { forecasts } = message;
        fields::each("forecasts", forecasts, ServedForecast::try_from)
    }
}

impl TryFrom<v1::ForecastHistoryResponse> for Vec<ServedForecast> {
    type Error = Invalid;

    fn try_from(message: v1::ForecastHistoryResponse) -> Result<Self, Invalid> {
        let v1::ForecastHistoryResponse { forecasts } = message;
        fields::each("forecasts", forecasts, ServedForecast::try_from)
    }
}
