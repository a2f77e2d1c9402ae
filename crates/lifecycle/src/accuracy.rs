//! Measures of accuracy: pure functions of what was forecast and what came.
//!
//! Everything here is per row, or a sum over rows that its caller may weigh; resampling and tables
//! are `evaluator`'s matter. Smaller is better unless a function says otherwise.
//!
//! Sources: pinball loss and its weighted sum WQL as in Salinas et al. (2020); MASE of Hyndman &
//! Koehler (2006); RMSSE of the M5 competition (Makridakis et al. 2022); ranked probability score
//! of Epstein (1969); randomised PIT of Czado, Gneiting & Held (2009); kappa of Cohen (1960).

mod agreement;
mod calibration;

pub use agreement::agreement;
pub use calibration::{Calibration, CalibrationBin, calibration, error_if_calibrated};

use crate::{LEVELS, N_LEVELS, WQL_LEVELS};

/// Probabilities are clipped to this and its complement before a logarithm is taken.
pub const CLIP: f64 = 1e-4;

/// The pinball loss of one quantile: what being too high or too low costs at that level.
pub fn pinball(level: f64, units: f64, quantile: f64) -> f64 {
    let miss = units - quantile;
    if miss >= 0.0 { level * miss } else { (level - 1.0) * miss }
}

/// Mean over the levels .1 to .9 of twice the pinball loss of one row of quantiles (`[N_LEVELS]`).
/// Its sum over rows divided by the sum of `units` is the WQL, and an estimate of the CRPS.
pub fn quantile_loss(units: f64, quantiles: &[f32]) -> f64 {
    let losses = WQL_LEVELS.map(|at| pinball(LEVELS[at], units, f64::from(quantiles[at])));
    2.0 * losses.sum::<f64>() / WQL_LEVELS.len() as f64
}

/// Weighted quantile loss of rows of (units, quantiles); `None` where nothing was sold.
pub fn wql<'a>(rows: impl IntoIterator<Item = (f64, &'a [f32])>) -> Option<f64> {
    let (mut loss, mut total) = (0.0, 0.0);
    for (units, quantiles) in rows {
        loss += quantile_loss(units, quantiles);
        total += units.abs();
    }
    (total > 0.0).then(|| loss / total)
}

/// In-sample errors of the naive forecast at one lag, over the known history up to an origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NaiveErrors {
    /// Mean absolute error: the scale of MASE.
    pub absolute: f64,
    /// Mean squared error: the scale of RMSSE.
    pub squared: f64,
}

/// The errors of "as `lag` periods ago" over `history` (NaN: missing); `None` without one pair, or
/// where the history is constant at that lag, so that nothing can be scaled by it.
pub fn naive_errors(history: &[f32], lag: usize) -> Option<NaiveErrors> {
    let (mut absolute, mut squared, mut n_pairs) = (0.0, 0.0, 0_usize);
    for (earlier, later) in history.iter().zip(history.iter().skip(lag)) {
        let change = f64::from(*later) - f64::from(*earlier);
        if change.is_finite() {
            absolute += change.abs();
            squared += change * change;
            n_pairs += 1;
        }
    }
    let n = n_pairs as f64;
    (absolute > 0.0).then(|| NaiveErrors { absolute: absolute / n, squared: squared / n })
}

/// Mean absolute scaled error of one row: `medians` against `units` (NaN: not scored), by `scale`.
pub fn mase(units: &[f32], medians: &[f32], scale: NaiveErrors) -> Option<f64> {
    mean(units, medians, f64::abs).map(|error| error / scale.absolute)
}

/// Root mean squared scaled error of one row: `means` against `units` (NaN: not scored).
pub fn rmsse(units: &[f32], means: &[f32], scale: NaiveErrors) -> Option<f64> {
    mean(units, means, |miss| miss * miss).map(|error| (error / scale.squared).sqrt())
}

/// Forecast less units as a share of the units (NaN: not scored); `None` where nothing was sold.
/// Best at 0.
pub fn bias(units: &[f32], means: &[f32]) -> Option<f64> {
    let error = mean(units, means, |miss| -miss)?;
    let level = mean(units, &vec![0.0; units.len()], |units| units)?;
    (level > 0.0).then(|| error / level)
}

fn mean(units: &[f32], forecast: &[f32], of: impl Fn(f64) -> f64) -> Option<f64> {
    let scored = units.iter().zip(forecast).filter(|(units, _)| units.is_finite());
    let misses: Vec<f64> =
        scored.map(|(units, forecast)| of(f64::from(*units) - f64::from(*forecast))).collect();
    (!misses.is_empty()).then(|| misses.iter().sum::<f64>() / misses.len() as f64)
}

/// The span of the distribution function at `units`, for rows of quantiles `[N_LEVELS]`: from the
/// probability of selling less to that of selling at most so much. `grain` is the size of one unit
/// where sales are whole units (a quantile between two of them stands for the nearer), else 0.
pub fn distribution_span(units: f64, quantiles: &[f32], grain: f64) -> (f64, f64) {
    let (least, most) = (units - grain / 2.0, units + grain / 2.0);
    let below = quantiles.partition_point(|quantile| f64::from(*quantile) < least);
    let at_most = quantiles.partition_point(|quantile| f64::from(*quantile) <= most);
    (level_between(below, least, quantiles), level_between(at_most, most, quantiles))
}

/// The level at `units`, which lies between the quantiles `after - 1` and `after`.
fn level_between(after: usize, units: f64, quantiles: &[f32]) -> f64 {
    if after == 0 {
        return 0.0;
    }
    if after == N_LEVELS {
        return 1.0;
    }
    let (low, high) = (f64::from(quantiles[after - 1]), f64::from(quantiles[after]));
    let share = if high > low { ((units - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    LEVELS[after - 1] + share * (LEVELS[after] - LEVELS[after - 1])
}

/// Randomised probability integral transform: uniform where the forecast is right, whatever the
/// share of zeros. `uniform` is the random number, in 0..1.
pub fn randomised_pit(units: f64, quantiles: &[f32], grain: f64, uniform: f64) -> f64 {
    let (below, at_most) = distribution_span(units, quantiles, grain);
    below + uniform * (at_most - below)
}

/// How often one quantile lay above, and at or above, what was sold.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    /// Rows with fewer units than the quantile.
    pub n_below: f64,
    /// Rows with at most as many.
    pub n_at_most: f64,
    /// All rows.
    pub n: f64,
}

impl Coverage {
    /// Adds a row.
    pub fn add(&mut self, units: f32, quantile: f32) {
        self.n_below += f64::from(u8::from(units < quantile));
        self.n_at_most += f64::from(u8::from(units <= quantile));
        self.n += 1.0;
    }

    /// By how much `level` lies outside P(y < Q) ..= P(y <= Q); 0 inside. With many zeros no
    /// forecast can do better than to hold the level between the two.
    pub fn gap(&self, level: f64) -> f64 {
        if self.n <= 0.0 {
            return 0.0;
        }
        (self.n_below / self.n - level).max(level - self.n_at_most / self.n).max(0.0)
    }
}

/// Squared error of a probability.
pub fn brier(probability: f64, came: bool) -> f64 {
    (probability - f64::from(u8::from(came))).powi(2)
}

/// Negative logarithm of the probability given to what came, clipped at [`CLIP`].
pub fn log_loss(probability: f64, came: bool) -> f64 {
    let given = if came { probability } else { 1.0 - probability };
    -given.clamp(CLIP, 1.0 - CLIP).ln()
}

/// Cross-entropy of class probabilities to a label that is itself a distribution (one-hot where
/// the truth is known), clipped at [`CLIP`] and divided by their sum again.
pub fn cross_entropy<const N: usize>(forecast: &[f64; N], label: &[f64; N]) -> f64 {
    let clipped = forecast.map(|probability| probability.clamp(CLIP, 1.0 - CLIP));
    let total: f64 = clipped.iter().sum();
    label.iter().zip(clipped).filter(|(q, _)| **q > 0.0).map(|(q, p)| -q * (p / total).ln()).sum()
}

/// The label's own entropy: the least that [`cross_entropy`] can be.
pub fn entropy<const N: usize>(label: &[f64; N]) -> f64 {
    label.iter().filter(|q| **q > 0.0).map(|q| -q * q.ln()).sum()
}

/// Ranked probability score of ordered classes, expected under the label: squared differences of
/// the cumulative probabilities, so that a near miss costs less than a far one.
pub fn ranked_probability_score<const N: usize>(forecast: &[f64; N], label: &[f64; N]) -> f64 {
    let (mut given, mut came, mut score) = (0.0, 0.0, 0.0);
    for class in 0..N.saturating_sub(1) {
        given += forecast[class];
        came += label[class];
        score += came * (1.0 - given).powi(2) + (1.0 - came) * given.powi(2);
    }
    score
}

/// Mean F1 over the classes that occur in `counts[truth][answer]`; larger is better. `None` where
/// nothing was counted.
pub fn macro_f1<const N: usize>(counts: &[[f64; N]; N]) -> Option<f64> {
    let mut scores = Vec::new();
    for (class, row) in counts.iter().enumerate() {
        let n_true: f64 = row.iter().sum();
        let n_answered: f64 = counts.iter().map(|row| row[class]).sum();
        if n_true > 0.0 {
            scores.push(2.0 * row[class] / (n_true + n_answered));
        }
    }
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

#[cfg(test)]
mod tests;
