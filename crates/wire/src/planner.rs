//! `lifecast.v1.Planner`: what to plan at what cost, and the plans.

use std::ops::RangeInclusive;

use lifecycle::{Day, Digest, Frequency, Invalid, Period, Series};

use crate::fields::{self, AMOUNT_MAX, BATCH_MAX, NAME_BYTES_MAX};
use crate::{series, v1};

/// Most periods of lead time or review.
const PERIODS_MAX: u32 = 4096;

/// What a lot may hold.
const LOT_SIZES: RangeInclusive<f64> = 1e-6..=AMOUNT_MAX;

/// Most bytes of a plan's reason.
const REASON_BYTES_MAX: usize = 4096;

/// What to plan, from which forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanQuery {
    /// Content digest of the model artifact.
    pub model: Digest,
    /// Content digest of the features artifact.
    pub features: Digest,
    /// The last day whose data may be used; `None`: the last period of the features.
    pub origin: Option<Day>,
    /// 1 to 256, each of another series.
    pub items: Vec<PlanItem>,
}

/// One series to plan, and what its units cost.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanItem {
    /// What to order.
    pub series: Series,
    /// Periods from order to delivery.
    pub lead_time: u32,
    /// Periods between orders, at least 1.
    pub review: u32,
    /// Cost of one unit short.
    pub shortage_cost: f64,
    /// Cost of one unit left over; not both costs are 0.
    pub leftover_cost: f64,
    /// Units at hand and on order.
    pub stock: f64,
    /// Units are ordered in multiples of it.
    pub lot_size: f64,
}

/// How much of one series to order now.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to order.
    pub series: Series,
    /// Length of a period.
    pub frequency: Frequency,
    /// Origin of the forecast behind the plan.
    pub origin: Period,
    /// Lead time and review together, in periods.
    pub covered_periods: u32,
    /// Probability of no stock-out aimed at.
    pub service_level: f64,
    /// Expected units over the covered periods.
    pub expected_units: f64,
    /// Stock position to order up to.
    pub order_up_to: f64,
    /// Units at hand and on order before ordering.
    pub stock: f64,
    /// Units to order.
    pub order: f64,
    /// Expected units short over the covered periods after ordering.
    pub expected_shortage: f64,
    /// Expected units left over.
    pub expected_leftover: f64,
    /// What to do, in a few words.
    pub action: String,
    /// Why, as a sentence.
    pub reason: String,
}

impl TryFrom<v1::PlanRequest> for PlanQuery {
    type Error = Invalid;

    fn try_from(message: v1::PlanRequest) -> Result<Self, Invalid> {
        let v1::PlanRequest { model, features, origin_day, items } = message;
        fields::length("items", &items, 1..=BATCH_MAX)?;
        let items = fields::each("items", items, PlanItem::try_from)?;
        fields::distinct("items", &items, |item| &item.series)?;
        Ok(Self {
            model: fields::digest("model", &model)?,
            features: fields::digest("features", &features)?,
            origin: fields::optional_day("origin_day", origin_day)?,
            items,
        })
    }
}

impl From<PlanQuery> for v1::PlanRequest {
    fn from(PlanQuery { model, features, origin, items }: PlanQuery) -> Self {
        Self {
            model: model.to_string(),
            features: features.to_string(),
            origin_day: origin.map(|Day(day)| day),
            items: items.into_iter().map(v1::PlanItem::from).collect(),
        }
    }
}

impl TryFrom<v1::PlanItem> for PlanItem {
    type Error = Invalid;

    fn try_from(message: v1::PlanItem) -> Result<Self, Invalid> {
        let v1::PlanItem {
            series,
            lead_time,
            review,
            shortage_cost,
            leftover_cost,
            stock,
            lot_size,
        } = message;
        let amount = |field, value| fields::within(field, value, 0.0..=AMOUNT_MAX);
        let item = Self {
            series: series::series(series)?,
            lead_time,
            review,
            shortage_cost: amount("shortage_cost", shortage_cost)?,
            leftover_cost: amount("leftover_cost", leftover_cost)?,
            stock: amount("stock", stock)?,
            lot_size: if lot_size == 0.0 {
                1.0
            } else {
                fields::within("lot_size", lot_size, LOT_SIZES)?
            },
        };
        if lead_time > PERIODS_MAX {
            return Err(Invalid::new("lead_time", format!("must be at most {PERIODS_MAX}")));
        }
        if !(1..=PERIODS_MAX).contains(&review) {
            return Err(Invalid::new("review", format!("must be 1 to {PERIODS_MAX}")));
        }
        if item.shortage_cost + item.leftover_cost <= 0.0 {
            return Err(Invalid::new(
                "shortage_cost",
                "must be positive where `leftover_cost` is 0",
            ));
        }
        Ok(item)
    }
}

impl From<PlanItem> for v1::PlanItem {
    fn from(item: PlanItem) -> Self {
        let PlanItem { series, lead_time, review, shortage_cost, leftover_cost, stock, lot_size } =
            item;
        Self {
            series: Some(series.into()),
            lead_time,
            review,
            shortage_cost,
            leftover_cost,
            stock,
            lot_size,
        }
    }
}

impl TryFrom<v1::Plan> for Plan {
    type Error = Invalid;

    fn try_from(message: v1::Plan) -> Result<Self, Invalid> {
        let v1::Plan {
            series,
            frequency,
            origin_day,
            covered_periods,
            service_level,
            expected_units,
            order_up_to,
            stock,
            order,
            expected_shortage,
            expected_leftover,
            action,
            reason,
        } = message;
        let frequency = series::frequency(frequency)?;
        Ok(Self {
            series: series::series(series)?,
            frequency,
            origin: series::period("origin_day", frequency, origin_day)?,
            covered_periods,
            service_level: fields::amount("service_level", service_level)?,
            expected_units: fields::amount("expected_units", expected_units)?,
            order_up_to: fields::amount("order_up_to", order_up_to)?,
            stock: fields::amount("stock", stock)?,
            order: fields::amount("order", order)?,
            expected_shortage: fields::amount("expected_shortage", expected_shortage)?,
            expected_leftover: fields::amount("expected_leftover", expected_leftover)?,
            action: fields::required_text("action", action, NAME_BYTES_MAX)?,
            reason: fields::text("reason", reason, REASON_BYTES_MAX)?,
        })
    }
}

impl From<Plan> for v1::Plan {
    fn from(plan: Plan) -> Self {
        let Plan {
            series,
            frequency,
            origin,
            covered_periods,
            service_level,
            expected_units,
            order_up_to,
            stock,
            order,
            expected_shortage,
            expected_leftover,
            action,
            reason,
        } = plan;
        Self {
            series: Some(series.into()),
            frequency: series::frequency_number(frequency),
            origin_day: frequency.last_day(origin).0,
            covered_periods,
            service_level,
            expected_units,
            order_up_to,
            stock,
            order,
            expected_shortage,
            expected_leftover,
            action,
            reason,
        }
    }
}
