//! What is expected of one series: units, turns and stages. Whoever forecasts answers this type.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Period, Series, StageProbabilities};

/// Quantile levels of every forecast of units, ascending.
pub const LEVELS: [f64; 13] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99];

/// Number of [`LEVELS`].
pub const N_LEVELS: usize = LEVELS.len();

/// The levels whose pinball losses make the WQL: .1 to .9, as a range of [`LEVELS`].
pub const WQL_LEVELS: std::ops::Range<usize> = 2..11;

/// Units expected in periods 1 to H after the origin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UnitsForecast {
    /// Expected units. Shape `[horizon]`.
    pub means: Vec<f32>,
    /// Quantiles at [`LEVELS`], row-major, shape `[horizon, N_LEVELS]`; empty from a forecaster of
    /// points only.
    pub quantiles: Vec<f32>,
    /// Quantiles of the units of periods 1..h together, shape as `quantiles`.
    pub cumulative_quantiles: Vec<f32>,
}

impl UnitsForecast {
    /// Number of periods forecast.
    pub fn horizon(&self) -> usize {
        self.means.len()
    }

    /// The quantiles of one step (0 is the first period after the origin).
    pub fn quantiles_at(&self, step: usize) -> &[f32] {
        &self.quantiles[step * N_LEVELS..(step + 1) * N_LEVELS]
    }

    /// The quantiles of the units of all periods up to one step.
    pub fn cumulative_at(&self, step: usize) -> &[f32] {
        &self.cumulative_quantiles[step * N_LEVELS..(step + 1) * N_LEVELS]
    }

    /// Checks shapes, order of quantiles, and that nothing is negative or not a number.
    pub fn validate(&self) -> Result<(), Invalid> {
        let n_values = self.means.len() * N_LEVELS;
        for (field, quantiles) in
            [("quantiles", &self.quantiles), ("cumulative_quantiles", &self.cumulative_quantiles)]
        {
            if !quantiles.is_empty() && quantiles.len() != n_values {
                return Err(Invalid::new(field, format!("length must be {n_values}")));
            }
            if quantiles.iter().any(|units| !(units.is_finite() && *units >= 0.0)) {
                return Err(Invalid::new(field, "must be finite and not negative"));
            }
            if quantiles.chunks(N_LEVELS).any(|row| !row.is_sorted()) {
                return Err(Invalid::new(field, "must not cross"));
            }
        }
        if self.means.iter().any(|units| !(units.is_finite() && *units >= 0.0)) {
            return Err(Invalid::new("means", "must be finite and not negative"));
        }
        Ok(())
    }
}

/// What becomes of a series until one of [`crate::OUTLOOK_WEEKS`]. `None`: not forecast.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Outlook {
    /// Probability of each of [`crate::Turn::ALL`].
    pub turns: Option<[f32; 3]>,
    /// Probability of each stage, *ended* included.
    pub stage: Option<StageProbabilities>,
}

/// All that one forecaster says of one series from one origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Whose.
    pub series: Series,
    /// The last period whose data was used.
    pub origin: Period,
    /// Units; `None` from a forecaster of turns or stages only.
    pub units: Option<UnitsForecast>,
    /// Stage at the origin; *ended* is 0.
    pub stage_now: Option<StageProbabilities>,
    /// One for each of [`crate::OUTLOOK_WEEKS`].
    pub outlooks: [Outlook; 3],
    /// Hardly anything is known: at most 4 observed weeks, or 4 periods where these are longer.
    pub cold_start: bool,
    /// The inputs lie outside what the model was trained on.
    pub far_from_training: bool,
}
