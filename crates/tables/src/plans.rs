//! Replenishment plans; `plans.parquet`, sorted by series.

use lifecycle::{Period, Series};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, doubles, ints, texts};
use crate::series;

/// How much of one series to order now.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    /// What to order.
    pub series: Series,
    /// Origin of the forecast behind the plan.
    pub origin: Period,
    /// Periods from order to delivery, plus the periods until the next order.
    pub covered_periods: i32,
    /// Probability of no stock-out aimed at: the newsvendor's critical ratio.
    pub service_level: f64,
    /// Expected units over the covered periods.
    pub expected_units: f64,
    /// Stock position to order up to.
    pub order_up_to: f64,
    /// Stock at hand and on order.
    pub stock: f64,
    /// Units to order, a multiple of the lot size.
    pub order: f64,
    /// Expected units short over the covered periods after ordering.
    pub expected_shortage: f64,
    /// Expected units left over.
    pub expected_leftover: f64,
    /// What to do, in a few words: `order`, `hold`, `mark down`, `delist`.
    pub action: String,
    /// Why, as a sentence with the numbers behind it.
    pub reason: String,
}

impl Table for PlanRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("origin", rows, |row| Some(row.origin.0)),
            ints("covered_periods", rows, |row| Some(row.covered_periods)),
            doubles("service_level", rows, |row| row.service_level),
            doubles("expected_units", rows, |row| row.expected_units),
            doubles("order_up_to", rows, |row| row.order_up_to),
            doubles("stock", rows, |row| row.stock),
            doubles("order", rows, |row| row.order),
            doubles("expected_shortage", rows, |row| row.expected_shortage),
            doubles("expected_leftover", rows, |row| row.expected_leftover),
            texts("action", rows, |row| Some(&row.action)),
            texts("reason", rows, |row| Some(&row.reason)),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (origins, covered) = (frame.ints("origin")?, frame.ints("covered_periods")?);
        let (levels, expected) =
            (frame.doubles("service_level")?, frame.doubles("expected_units")?);
        let (up_to, stock) = (frame.doubles("order_up_to")?, frame.doubles("stock")?);
        let (orders, shortages) = (frame.doubles("order")?, frame.doubles("expected_shortage")?);
        let leftovers = frame.doubles("expected_leftover")?;
        let mut actions = frame.required_texts("action")?.into_iter();
        let mut reasons = frame.required_texts("reason")?.into_iter();
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            origin: Period(origins[row]),
            covered_periods: covered[row],
            service_level: levels[row],
            expected_units: expected[row],
            order_up_to: up_to[row],
            stock: stock[row],
            order: orders[row],
            expected_shortage: shortages[row],
            expected_leftover: leftovers[row],
            action: actions.next().unwrap_or_default(),
            reason: reasons.next().unwrap_or_default(),
        });
        Ok(rows.collect())
    }
}
