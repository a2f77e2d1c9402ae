//! Explanations, one row a player; `attributions.parquet`, sorted by (series, origin, output,
//! player's position).

use lifecycle::{Period, Series};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, doubles, ints, texts};
use crate::series;

/// What one player adds to one output of one forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributionRow {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// Name of the output, such as `mean units 1..13` or `halved 13`.
    pub output: String,
    /// Name of the player.
    pub player: String,
    /// Shapley value, in the output's unit.
    pub value: f64,
    /// Its standard error, 0 where exact.
    pub standard_error: f64,
    /// Output with every player absent.
    pub base_value: f64,
    /// The served answer.
    pub served: f64,
}

impl Table for AttributionRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("origin", rows, |row| Some(row.origin.0)),
            texts("output", rows, |row| Some(&row.output)),
            texts("player", rows, |row| Some(&row.player)),
            doubles("value", rows, |row| row.value),
            doubles("standard_error", rows, |row| row.standard_error),
            doubles("base_value", rows, |row| row.base_value),
            doubles("served", rows, |row| row.served),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let origins = frame.ints("origin")?;
        let mut outputs = frame.required_texts("output")?.into_iter();
        let mut players = frame.required_texts("player")?.into_iter();
        let (values, errors) = (frame.doubles("value")?, frame.doubles("standard_error")?);
        let (bases, served) = (frame.doubles("base_value")?, frame.doubles("served")?);
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            origin: Period(origins[row]),
            output: outputs.next().unwrap_or_default(),
            player: players.next().unwrap_or_default(),
            value: values[row],
            standard_error: errors[row],
            base_value: bases[row],
            served: served[row],
        });
        Ok(rows.collect())
    }
}
