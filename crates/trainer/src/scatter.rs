//! True against predicted units on validation rows: the picture that the source article draws of
//! its dense network.

use model::Model;
use serde::{Deserialize, Serialize};

use crate::rows::Row;

/// Most points of the picture.
const POINTS_MAX: usize = 2000;

/// `scatter.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scatter {
    /// A sample of (series, origin, step), evenly over validation rows.
    pub points: Vec<ScatterPoint>,
}

/// One period of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScatterPoint {
    /// Whose.
    pub series: String,
    /// Steps after the origin, from 1.
    pub step: usize,
    /// Units sold.
    pub units: f32,
    /// Mean forecast.
    pub predicted: f32,
}

impl Scatter {
    /// Forecasts a sample of validation rows by the model.
    pub(crate) fn sample(model: &Model, rows: &[&Row]) -> Self {
        let stride = rows.len().div_ceil(POINTS_MAX).max(1);
        let rows: Vec<&&Row> = rows.iter().step_by(stride).collect();
        let windows: Vec<_> = rows.iter().map(|row| row.window.clone()).collect();
        let forecasts = model::forecast(model, &windows);
        let points =
            rows.iter().zip(forecasts).enumerate().filter_map(|(index, (row, forecast))| {
                let means = forecast.units?.means;
                let target = row.validation.as_ref()?;
                // A step that has a truth, another one from row to row.
                let steps: Vec<usize> =
                    (0..target.units.len()).filter(|step| !target.units[*step].is_nan()).collect();
                let step = *steps.get(index % steps.len().max(1))?;
                Some(ScatterPoint {
                    series: row.window.series.to_string(),
                    step: step + 1,
                    units: target.units[step] * row.window.scale,
                    predicted: *means.get(step)?,
                })
            });
        Self { points: points.collect() }
    }
}
