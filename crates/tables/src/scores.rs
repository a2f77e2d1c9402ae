//! The score table; `scores.parquet`.

use lifecycle::Score;
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, doubles, flags, ints, texts, wides};

impl Table for Score {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            texts("model", rows, |row| Some(&row.model)),
            texts("task", rows, |row| Some(&row.task)),
            ints("horizon", rows, |row| i32::try_from(row.horizon).ok()),
            texts("metric", rows, |row| Some(&row.metric)),
            doubles("value", rows, |row| row.value),
            doubles("low", rows, |row| row.low),
            doubles("high", rows, |row| row.high),
            wides("n", rows, |row| Some(row.n)),
            flags("identifiable", rows, |row| row.identifiable),
        ]
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let mut models = frame.required_texts("model")?.into_iter();
        let mut tasks = frame.required_texts("task")?.into_iter();
        let mut metrics = frame.required_texts("metric")?.into_iter();
        let horizons = frame.ints("horizon")?;
        let (values, lows) = (frame.doubles("value")?, frame.doubles("low")?);
        let (highs, ns) = (frame.doubles("high")?, frame.optional_wides("n")?);
        let identifiable = frame.flags("identifiable")?;
        let rows = (0..frame.n_rows()).map(|row| Self {
            model: models.next().unwrap_or_default(),
            task: tasks.next().unwrap_or_default(),
            horizon: u32::try_from(horizons[row]).unwrap_or_default(),
            metric: metrics.next().unwrap_or_default(),
            value: values[row],
            low: lows[row],
            high: highs[row],
            n: ns[row].unwrap_or_default(),
            identifiable: identifiable[row],
        });
        Ok(rows.collect())
    }
}
