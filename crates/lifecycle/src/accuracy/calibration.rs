//! Whether events forecast at 30 % come in 30 % of the cases, beyond what chance explains.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A group of rows of like probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Mean probability given.
    pub probability: f64,
    /// Share of rows in which the event came.
    pub frequency: f64,
    /// Rows.
    pub n: u64,
}

/// A calibration curve and its error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The curve, by rising probability.
    pub bins: Vec<CalibrationBin>,
    /// Mean absolute difference of probability and frequency, bins weighted by rows.
    pub error: f64,
}

/// Calibration in `n_bins` groups of equal size by rank of the probability (ties in row order).
pub fn calibration(probabilities: &[f64], came: &[bool], n_bins: usize) -> Calibration {
    curve(&by_probability(probabilities), probabilities, |row| came[row], n_bins)
}

/// The error that a perfectly calibrated forecaster of these probabilities would show on as many
/// rows: the mean over `n_draws` seeded draws of the events. What exceeds it is miscalibration.
pub fn error_if_calibrated(probabilities: &[f64], n_bins: usize, n_draws: usize, seed: u64) -> f64 {
    let order = by_probability(probabilities);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || f64::from(rng.next_u32()) / 4_294_967_296.0;
    let mut total = 0.0;
    for _ in 0..n_draws {
        total += curve(&order, probabilities, |row| uniform() < probabilities[row], n_bins).error;
    }
    total / n_draws.max(1) as f64
}

/// Rows by rising probability.
fn by_probability(probabilities: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    order
}

fn curve(
    order: &[usize],
    probabilities: &[f64],
    mut came: impl FnMut(usize) -> bool,
    n_bins: usize,
) -> Calibration {
    let mut bins = Vec::with_capacity(n_bins);
    let mut error = 0.0;
    for bin in 0..n_bins {
        let rows = &order[bin * order.len() / n_bins..(bin + 1) * order.len() / n_bins];
        if rows.is_empty() {
            continue;
        }
        let (mut given, mut n_came) = (0.0, 0_u64);
        for &row in rows {
            given += probabilities[row];
            n_came += u64::from(came(row));
        }
        let n = rows.len() as f64;
        error += (given - n_came as f64).abs();
        bins.push(CalibrationBin {
            probability: given / n,
            frequency: n_came as f64 / n,
            n: rows.len() as u64,
        });
    }
    Calibration { bins, error: error / order.len().max(1) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evenly(n: usize) -> Vec<f64> {
        (0..n).map(|row| (row as f64 + 0.5) / n as f64).collect()
    }

    #[test]
    fn a_calibrated_forecaster_shows_the_error_that_chance_explains() {
        // The expectations that the protocol quotes for 15 bins.
        assert!((error_if_calibrated(&evenly(600), 15, 400, 1) - 0.045).abs() < 0.006);
        assert!((error_if_calibrated(&evenly(2400), 15, 200, 1) - 0.022).abs() < 0.004);
    }

    #[test]
    fn a_forecaster_who_always_says_a_quarter_is_off_by_the_rest() {
        let came: Vec<bool> = (0..1000).map(|row| row % 2 == 0).collect();
        let curve = calibration(&[0.25; 1000], &came, 10);
        assert!((curve.error - 0.25).abs() < 1e-12);
        assert_eq!(curve.bins.len(), 10);
        assert_eq!(curve.bins.iter().map(|bin| bin.n).sum::<u64>(), 1000);
    }

    #[test]
    fn no_rows_have_no_error() {
        assert_eq!(calibration(&[], &[], 15).error, 0.0);
        assert_eq!(error_if_calibrated(&[], 15, 3, 1), 0.0);
    }
}
