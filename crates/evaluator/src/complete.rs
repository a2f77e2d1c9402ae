//! Fills in what a forecaster does not say but its forecasts imply: distributions around points,
//! quantiles of cumulative units, and turns.
//!
//! Ours and its peers go through the same door. What a forecaster says itself is left alone.

use lifecycle::paths::{Copula, N_PATHS, Normals, Turning};
use lifecycle::{Forecast, N_LEVELS, TurnLimits};

use crate::rows::{Basis, FitRow, Row};
use crate::spread::{Residual, Spread, fit_copula, normal_scores};

/// What is added to one forecaster's answers; fitted on its validation rows.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    spread: Option<Spread>,
    copula: Copula,
    /// Correlation of neighbouring steps.
    pub(crate) rho: f64,
}

/// What holds for all forecasters.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) normals: Normals,
    /// Size of one unit where all sales are whole units, else 0.
    pub(crate) grain: f32,
    /// Horizon of the scores of units.
    pub(crate) horizon: usize,
    pub(crate) seed: u64,
}

/// The half path that each side of a share of paths is granted: 500 paths cannot tell 0 from 1 in
/// 1,000, and no peer should pay the full logarithm for that.
const HALF_PATH: f32 = 0.5;

impl Completion {
    /// Fits on validation rows and what the forecaster said of them.
    pub(crate) fn fit(rows: &[(&FitRow, Forecast)], common: &Common) -> Self {
        let points = rows.iter().filter_map(|(row, forecast)| {
            let units = forecast.units.as_ref().filter(|units| units.quantiles.is_empty())?;
            Some(Residual { units: &row.units, means: &units.means, scale: row.basis.scale })
        });
        let n_steps = rows.iter().map(|(row, _)| row.units.len()).max().unwrap_or(0);
        let spread = Spread::fit(points, n_steps);
        let scores: Vec<Vec<f64>> = rows
            .iter()
            .filter_map(|(row, forecast)| {
                let units = forecast.units.as_ref()?;
                let quantiles = if units.quantiles.is_empty() {
                    &spread.as_ref()?.quantiles(&units.means, row.basis.scale)
                } else {
                    &units.quantiles
                };
                let seed = common.seed ^ row_seed(&row.basis);
                Some(normal_scores(&row.units, quantiles, common.grain, seed))
            })
            .collect();
        let (rho, copula) = fit_copula(&scores, &common.normals);
        Self { spread, copula, rho }
    }

    /// Fills in a forecast. `category_units`: units of the row's category by step, the sum of this
    /// forecaster's own means.
    pub(crate) fn complete(
        &self,
        mut forecast: Forecast,
        row: &Row,
        category_units: &[f64],
        common: &Common,
    ) -> Forecast {
        let Some(units) = &mut forecast.units else { return forecast };
        if units.quantiles.is_empty() {
            units.quantiles = match &self.spread {
                Some(spread) => spread.quantiles(&units.means, row.basis.scale),
                // No validation row: a point is all there is.
                None => units.means.iter().flat_map(|mean| [*mean; N_LEVELS]).collect(),
            };
        }
        let lacks_sums = units.cumulative_quantiles.is_empty() && !row.units.is_empty();
        let lacks_turns = forecast
            .outlooks
            .iter()
            .zip(&row.turn_rows)
            .any(|(outlook, row)| outlook.turns.is_none() && row.is_some());
        if !lacks_sums && !lacks_turns {
            return forecast;
        }
        let paths = self.copula.paths(&units.quantiles, common.grain);
        if lacks_sums {
            units.cumulative_quantiles = paths.cumulative_quantiles(common.horizon);
        }
        for (outlook, turn_row) in forecast.outlooks.iter_mut().zip(&row.turn_rows) {
            let Some(turn_row) = turn_row.as_ref().filter(|_| outlook.turns.is_none()) else {
                continue;
            };
            let last = turn_row.first_step + turn_row.observed.len();
            if last > units.means.len() {
                continue;
            }
            let turning = Turning {
                before: turn_row.before,
                steps: turn_row.first_step..last,
                observed: &turn_row.observed,
                category_units,
                // The row is already known to be judged.
                limits: TurnLimits { units_min: 0.0, before_min: 0, after_min: 0 },
            };
            // Who expects nothing of a whole category expects silence.
            let shares = paths.turn_probabilities(&turning).unwrap_or([1.0, 0.0, 1.0]);
            let n_paths = N_PATHS as f32;
            outlook.turns =
                Some(shares.map(|share| (share * n_paths + HALF_PATH) / (n_paths + 1.0)));
        }
        forecast
    }
}

/// A number of the row's own, for its random stream.
fn row_seed(basis: &Basis) -> u64 {
    // Spread over 64 bits by the golden ratio (Knuth's multiplicative hash).
    let row = ((basis.series as u64) << 16) ^ u64::from(basis.origin.0.unsigned_abs());
    row.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
