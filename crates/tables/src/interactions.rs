//! What two players add together, one row for each two of them; `interactions.parquet`, sorted by
//! (series, origin, output, players' positions).

use lifecycle::{Period, Series};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, doubles, ints, texts};
use crate::series;

/// What two players of one output of one forecast add together beyond what each adds alone.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionRow {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// Name of the output.
    pub output: String,
    /// Name of a player.
    pub one: String,
    /// Name of another.
    pub other: String,
    /// Shapley interaction index, in the output's unit.
    pub value: f64,
    /// Its standard error, 0 where exact.
    pub standard_error: f64,
}

impl Table for InteractionRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("origin", rows, |row| Some(row.origin.0)),
            texts("output", rows, |row| Some(&row.output)),
            texts("one", rows, |row| Some(&row.one)),
            texts("other", rows, |row| Some(&row.other)),
            doubles("value", rows, |row| row.value),
            doubles("standard_error", rows, |row| row.standard_error),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let origins = frame.ints("origin")?;
        let mut outputs = frame.required_texts("output")?.into_iter();
        let mut ones = frame.required_texts("one")?.into_iter();
        let mut others = frame.required_texts("other")?.into_iter();
        let (values, errors) = (frame.doubles("value")?, frame.doubles("standard_error")?);
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            origin: Period(origins[row]),
            output: outputs.next().unwrap_or_default(),
            one: ones.next().unwrap_or_default(),
            other: others.next().unwrap_or_default(),
            value: values[row],
            standard_error: errors[row],
        });
        Ok(rows.collect())
    }
}
