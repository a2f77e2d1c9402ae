//! What one forecast of one row costs, by every measure.

use lifecycle::accuracy::{
    cross_entropy, mase, quantile_loss, randomised_pit, ranked_probability_score, rmsse,
};
use lifecycle::{Forecast, N_LEVELS, StageProbabilities, UnitsForecast};

use crate::rows::Row;
use crate::stages::StageTarget;

/// Bins of the PIT histogram.
pub(crate) const N_PIT_BINS: usize = 10;

/// The position of the median in `lifecycle::LEVELS`.
const MEDIAN: usize = N_LEVELS / 2;

/// The costs of one forecast. `None` or NaN: not forecast, or not scored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Losses {
    pub(crate) units: Option<UnitsLosses>,
    /// Probability of each turn at each horizon.
    pub(crate) turns: [Option<[f32; 3]>; 3],
    pub(crate) stages: [Option<StageLosses>; 4],
    /// The forecaster says that it is a cold start.
    pub(crate) is_flagged: bool,
}

/// Sums over the steps of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnitsLosses {
    pub(crate) quantile: f32,
    /// NaN where the first period is not observed, or no cumulative quantile is given.
    pub(crate) cumulative: f32,
    pub(crate) mase: f32,
    pub(crate) rmsse: f32,
    /// Forecast less units.
    pub(crate) excess: f32,
    pub(crate) below: [u16; N_LEVELS],
    pub(crate) at_most: [u16; N_LEVELS],
    pub(crate) pit: [u16; N_PIT_BINS],
}

/// The costs of one stage forecast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageLosses {
    pub(crate) log_loss: f32,
    pub(crate) rps: f32,
    /// What was said; *ended* is 0 now.
    pub(crate) probabilities: [f32; 5],
    /// Likeliest stage.
    pub(crate) answer: u8,
    /// The stage that makes most of macro-F1: the likeliest until [`crate::decisions::decide`].
    pub(crate) decision: u8,
}

impl Losses {
    /// Of a complete forecast. `row_number` seeds the randomised ranks.
    pub(crate) fn new(forecast: &Forecast, row: &Row, row_number: usize, grain: f32) -> Self {
        let units = forecast.units.as_ref().and_then(|units| {
            let is_scored = row.units.iter().any(|units| units.is_finite());
            (is_scored && units.horizon() >= row.units.len())
                .then(|| units_losses(units, row, row_number, grain))
        });
        let stage = |ahead: usize| {
            let said = if ahead == 0 {
                forecast.stage_now.as_ref()
            } else {
                forecast.outlooks[ahead - 1].stage.as_ref()
            };
            Some(stage_losses(said?, row.stages[ahead].as_ref()?, ahead == 0))
        };
        Self {
            units,
            turns: std::array::from_fn(|outlook| {
                forecast.outlooks[outlook].turns.filter(|_| row.turns[outlook].is_some())
            }),
            stages: std::array::from_fn(stage),
            is_flagged: forecast.cold_start,
        }
    }
}

fn units_losses(units: &UnitsForecast, row: &Row, row_number: usize, grain: f32) -> UnitsLosses {
    let medians: Vec<f32> =
        (0..row.units.len()).map(|step| units.quantiles_at(step)[MEDIAN]).collect();
    let scaled = |error: Option<f64>| error.map_or(f32::NAN, |error| error as f32);
    let mut losses = UnitsLosses {
        quantile: 0.0,
        cumulative: cumulative_loss(units, &row.units),
        mase: scaled(row.errors_mase.and_then(|scale| mase(&row.units, &medians, scale))),
        rmsse: scaled(row.errors_rmsse.and_then(|scale| rmsse(&row.units, &units.means, scale))),
        excess: 0.0,
        below: [0; N_LEVELS],
        at_most: [0; N_LEVELS],
        pit: [0; N_PIT_BINS],
    };
    for (step, &sold) in row.units.iter().enumerate().filter(|(_, sold)| sold.is_finite()) {
        let quantiles = units.quantiles_at(step);
        losses.quantile += quantile_loss(f64::from(sold), quantiles) as f32;
        losses.excess += units.means[step] - sold;
        for (level, quantile) in quantiles.iter().enumerate() {
            losses.below[level] += u16::from(sold < *quantile);
            losses.at_most[level] += u16::from(sold <= *quantile);
        }
        // Multiples of the golden ratio fill 0..1 evenly in any order of rows.
        let uniform =
            ((row_number * row.units.len() + step) as f64 * 0.618_033_988_749_894_9).fract();
        let pit = randomised_pit(f64::from(sold), quantiles, f64::from(grain), uniform);
        losses.pit[((pit * N_PIT_BINS as f64) as usize).min(N_PIT_BINS - 1)] += 1;
    }
    losses
}

/// Sum of the quantile losses of cumulative units, up to the first period that is not observed.
fn cumulative_loss(units: &UnitsForecast, sold: &[f32]) -> f32 {
    if units.cumulative_quantiles.len() < sold.len() * N_LEVELS {
        return f32::NAN;
    }
    let (mut total, mut loss, mut n_scored) = (0.0, 0.0, 0);
    for (step, sold) in sold.iter().take_while(|sold| sold.is_finite()).enumerate() {
        total += f64::from(*sold);
        loss += quantile_loss(total, units.cumulative_at(step));
        n_scored += 1;
    }
    if n_scored > 0 { loss as f32 } else { f32::NAN }
}

fn stage_losses(said: &StageProbabilities, target: &StageTarget, is_now: bool) -> StageLosses {
    let mut probabilities = said.as_array().map(f64::from);
    let (log_loss, rps) = if is_now {
        // Now there is no *ended*: four stages, whatever was said of the fifth.
        let total: f64 = probabilities[..4].iter().sum();
        for probability in &mut probabilities[..4] {
            *probability = if total > 0.0 { *probability / total } else { 0.25 };
        }
        probabilities[4] = 0.0;
        let four = |all: &[f64; 5]| -> [f64; 4] { std::array::from_fn(|stage| all[stage]) };
        let (said, label) = (four(&probabilities), four(&target.label));
        (cross_entropy(&said, &label), ranked_probability_score(&said, &label))
    } else {
        let label = &target.label;
        (cross_entropy(&probabilities, label), ranked_probability_score(&probabilities, label))
    };
    let likeliest = StageProbabilities::from_weights(probabilities).likeliest().index() as u8;
    StageLosses {
        log_loss: log_loss as f32,
        rps: rps as f32,
        probabilities: probabilities.map(|p| p as f32),
        answer: likeliest,
        decision: likeliest,
    }
}
