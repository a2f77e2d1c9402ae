//! What a model sees of one series at one origin.

use lifecycle::{Period, Series, StageProbabilities};

/// One series at one origin, cut and scaled. Every number was known at the origin.
///
/// Values that are not known are 0, and a mask input beside them (`*_known`, `observed`) says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Whose.
    pub series: Series,
    /// The last period whose data was used.
    pub origin: Period,
    /// Mean units by period over the recent observed past, in the data's own units, floored; from
    /// analogues with fewer than 5 observed periods. Forecasts of models are in multiples of it.
    pub scale: f32,
    /// Shape `[context, CONTEXT_INPUTS.len()]`, oldest period first, zero before the first period.
    pub context: Vec<f32>,
    /// Shape `[STATIC_INPUTS.len()]`, standardised by [`crate::Fitted`] and clipped to +-5.
    pub statics: Vec<f32>,
    /// Shape `[horizon, HORIZON_INPUTS.len()]`, what is known in advance of each period to come.
    pub horizon: Vec<f32>,
    /// What the trapezoid filter says: an input, and a baseline.
    pub filter: FilterOutlook,
    /// Periods since launch, the origin's included.
    pub age: u32,
    /// Observed periods up to the origin.
    pub n_observed: u32,
    /// Hardly anything is known: at most 4 observed weeks, or 4 periods where these are longer.
    pub cold_start: bool,
    /// Many inputs lie beyond what training held.
    pub far_from_training: bool,
}

/// Stages and units by the trapezoid filter ([`lifecycle::trapezoid`]) at one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterOutlook {
    /// Stage at the origin; *ended* is 0.
    pub stage_now: StageProbabilities,
    /// Stage at each of [`lifecycle::OUTLOOK_WEEKS`], *ended* included.
    pub stages: [StageProbabilities; 3],
    /// Expected units of each period after the origin, in multiples of [`Window::scale`]. Shape
    /// `[max(horizon, 26 weeks)]`.
    pub expected: Vec<f32>,
}

/// Inputs by period of the context, in order.
pub const CONTEXT_INPUTS: &[&str] = &[
    "units",           // asinh(units / scale)
    "observed",        // units are known and not censored by a stock-out
    "present",         // the series has begun
    "in_stock",        // share of the period in stock
    "in_stock_known",  //
    "price",           // ln(price / own mean)
    "price_known",     //
    "promotion",       // share of the period under promotion
    "promotion_known", //
    "share",           // asinh(share of the category / own mean share)
    "category",        // ln(units of the category / their mean)
    "orders",          // asinh(orders / own mean)
    "orders_known",    //
    "returns",         // asinh(returns / scale)
    "views",           // asinh(views / own mean)
    "views_known",     //
    "carts",           // asinh(carts / own mean)
    "carts_known",     //
    "season_sin",      // one cycle a year
    "season_cos",      //
    "season_index",    // ln of the category's seasonal index
    "weekday_sin",     // one cycle a week; 0 unless periods are days
    "weekday_cos",     //
    "age",             // ln(1 + weeks since launch) / 5
];

/// Inputs by period of the horizon, in order.
pub const HORIZON_INPUTS: &[&str] = &[
    "season_sin",
    "season_cos",
    "season_index",
    "weekday_sin",
    "weekday_cos",
    "price",           // ln(planned price / own mean)
    "price_known",     //
    "promotion",       // planned share under promotion
    "promotion_known", //
    "continuation",    // asinh(expected units of the filter / scale)
    "year_ago",        // asinh(units 52 weeks before / scale)
    "year_ago_known",  //
];
