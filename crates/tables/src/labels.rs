//! Stage labels by product and period: evidence from the whole known history, not truth.

use lifecycle::{Period, ProductId, StageProbabilities};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, float_lists, ints, texts};

/// The label of one product; `labels-train.parquet` (data up to the cut only) and
/// `labels-test.parquet` (the whole calendar).
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Whose.
    pub product: ProductId,
    /// First period of the arrays.
    pub start: Period,
    /// Probabilities by period, row-major, shape `[n_periods, 5]`, in the order of
    /// [`lifecycle::Stage::ALL`].
    pub stages: Vec<f32>,
    /// How settled each period's label is, 0 (not to be used) to 1. Shape `[n_periods]`.
    pub weights: Vec<f32>,
    /// Already running when the data begins: never scored on introduction or growth.
    pub is_left_censored: bool,
}

impl Label {
    /// The label of a period with its weight; `None` where there is none or the weight is 0.
    pub fn at(&self, period: Period) -> Option<(StageProbabilities, f32)> {
        let index = usize::try_from(period.since(self.start)).ok()?;
        let weight = *self.weights.get(index)?;
        let row = self.stages.get(index * 5..index * 5 + 5)?;
        let weights: [f64; 5] = std::array::from_fn(|stage| f64::from(row[stage]));
        (weight > 0.0).then(|| (StageProbabilities::from_weights(weights), weight))
    }
}

impl Table for Label {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            texts("product", rows, |row| Some(row.product.as_str())),
            ints("start", rows, |row| Some(row.start.0)),
            float_lists("stages", rows, |row| Some(&row.stages)),
            float_lists("weights", rows, |row| Some(&row.weights)),
            crate::frame::flags("is_left_censored", rows, |row| row.is_left_censored),
        ]
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let products = frame.required_texts("product")?;
        let starts = frame.ints("start")?;
        let mut stages = frame.float_lists("stages")?.into_iter();
        let mut weights = frame.float_lists("weights")?.into_iter();
        let censored = frame.flags("is_left_censored")?;
        let rows = products.into_iter().enumerate().map(|(row, product)| Self {
            product: product.into(),
            start: Period(starts[row]),
            stages: stages.next().flatten().unwrap_or_default(),
            weights: weights.next().flatten().unwrap_or_default(),
            is_left_censored: censored[row],
        });
        Ok(rows.collect())
    }
}
