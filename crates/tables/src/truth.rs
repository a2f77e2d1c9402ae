//! What only the simulator knows; `truth/truth.parquet`. Read by `evaluator` alone.

use lifecycle::{Day, ProductId};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, float_lists, floats, int_lists, ints, texts};

/// The mechanisms that [`Truth::contributions`] splits demand over, in its order.
pub const MECHANISMS: [&str; 6] = ["life cycle", "season", "market", "price", "promotion", "noise"];

/// The truth about one product by week.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Which.
    pub product: ProductId,
    /// First day of the first week of the arrays.
    pub day: Day,
    /// Noise-free demand by week. Shape `[n_weeks]`.
    pub demand: Vec<f32>,
    /// True stage by week, index in [`lifecycle::Stage::ALL`]. Shape `[n_weeks]`.
    pub stages: Vec<i32>,
    /// Own-price elasticity, negative.
    pub elasticity: f32,
    /// Which family the demand curve is of.
    pub family: String,
    /// Change of expected units by each of [`MECHANISMS`], row-major `[n_weeks, 6]`: the level of
    /// the life cycle, then Shapley values of the factors on it. All but noise sum to `demand`;
    /// noise is what customers wanted beyond it, so that all sum to the units that they would have
    /// bought had there been stock.
    pub contributions: Vec<f32>,
}

impl Table for Truth {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            texts("product", rows, |row| Some(row.product.as_str())),
            ints("day", rows, |row| Some(row.day.0)),
            float_lists("demand", rows, |row| Some(&row.demand)),
            int_lists("stages", rows, |row| row.stages.clone()),
            floats("elasticity", rows, |row| row.elasticity),
            texts("family", rows, |row| Some(&row.family)),
            float_lists("contributions", rows, |row| Some(&row.contributions)),
        ]
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let products = frame.required_texts("product")?;
        let days = frame.ints("day")?;
        let mut demand = frame.float_lists("demand")?.into_iter();
        let mut stages = frame.int_lists("stages")?.into_iter();
        let elasticities = frame.floats("elasticity")?;
        let mut families = frame.required_texts("family")?.into_iter();
        let mut contributions = frame.float_lists("contributions")?.into_iter();
        let rows = products.into_iter().enumerate().map(|(row, product)| Self {
            product: product.into(),
            day: Day(days[row]),
            demand: demand.next().flatten().unwrap_or_default(),
            stages: stages.next().unwrap_or_default(),
            elasticity: elasticities[row],
            family: families.next().unwrap_or_default(),
            contributions: contributions.next().flatten().unwrap_or_default(),
        });
        Ok(rows.collect())
    }
}
