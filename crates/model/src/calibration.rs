//! What is fitted on validation rows after training: one temperature for each head of
//! probabilities, how much wider quantiles are where a series has hardly any history, and how steps
//! hang together. A model of several frequencies has one of these for each.
//!
//! A single temperature (Guo et al. 2017) is all that a few weeks of correlated rows carry: biases
//! by class would fit the season of the validation rows.

use serde::{Deserialize, Serialize};

/// Temperatures and widths, all 1 if uncalibrated, and correlations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Of the turns at each horizon.
    pub turns: [f32; 3],
    /// Of the stage now.
    pub stage_now: f32,
    /// Of the stages at each horizon.
    pub stages: [f32; 3],
    /// Distance of each quantile from the median is multiplied by this at cold start.
    pub cold_start_width: f32,
    /// Correlations of normal scores over steps, row-major, shape `[horizon, horizon]` of the
    /// network; empty of the dense network.
    pub correlations: Vec<f32>,
}

impl Default for Calibration {
    fn default() -> Self {
        let (turns, stages) = ([1.0; 3], [1.0; 3]);
        let correlations = Vec::new();
        Self { turns, stage_now: 1.0, stages, cold_start_width: 1.0, correlations }
    }
}

/// What a temperature of e or 1/e must gain over 1, in nats over all rows: rows of the same few
/// periods share what moves them all, and say less than as many others would.
const PULL: f64 = 100.0;

/// A row of one head: its logits, the probabilities it should have said, and its weight.
pub type Judged = (Vec<f32>, Vec<f32>, f32);

/// The temperature that minimises the cross-entropy of these rows; 1 without rows. Pulled a little
/// towards 1.
pub fn temperature(rows: &[Judged]) -> f32 {
    let weight: f64 = rows.iter().map(|row| f64::from(row.2)).sum();
    if weight <= 0.0 {
        return 1.0;
    }
    let loss = |log_temperature: f64| {
        let inverse = (-log_temperature).exp();
        let losses = rows.iter().map(|(logits, target, weight)| {
            f64::from(*weight) * cross_entropy(logits, target, inverse)
        });
        losses.sum::<f64>() + PULL * log_temperature.powi(2)
    };
    smallest_of(loss, 0.5_f64.ln(), 4.0_f64.ln()).exp() as f32
}

/// The sum of the weighted cross-entropies of these rows at a temperature, and that of the weights.
pub fn loss_at(temperature: f32, rows: &[Judged]) -> [f64; 2] {
    let inverse = f64::from(temperature).recip();
    rows.iter().fold([0.0; 2], |[loss, total], (logits, target, weight)| {
        let weight = f64::from(*weight);
        [loss + weight * cross_entropy(logits, target, inverse), total + weight]
    })
}

fn cross_entropy(logits: &[f32], target: &[f32], inverse_temperature: f64) -> f64 {
    let scaled = |logit: &f32| f64::from(*logit) * inverse_temperature;
    let largest = logits.iter().map(scaled).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| (scaled(logit) - largest).exp()).sum();
    let log_total = largest + total.ln();
    let terms = logits.iter().zip(target).map(|(logit, p)| f64::from(*p) * scaled(logit));
    log_total * target.iter().map(|p| f64::from(*p)).sum::<f64>() - terms.sum::<f64>()
}

/// Where a function with one valley between `low` and `high` is smallest: golden-section search.
pub(crate) fn smallest_of(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut a, mut b) = (high - golden * (high - low), low + golden * (high - low));
    let (mut value_a, mut value_b) = (f(a), f(b));
    for _ in 0..32 {
        if value_a < value_b {
            (high, b, value_b) = (b, a, value_a);
            a = high - golden * (high - low);
            value_a = f(a);
        } else {
            (low, a, value_a) = (a, b, value_b);
            b = low + golden * (high - low);
            value_b = f(b);
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overconfident_logits_get_the_temperature_that_mends_them() {
        // Right in 3 of 4 rows: the logit difference should be ln 3, and is twice that.
        let logits = vec![2.0 * 3.0_f32.ln(), 0.0];
        let rows: Vec<Judged> = (0..40_000)
            .map(|row| {
                let right = if row % 4 == 0 { vec![0.0, 1.0] } else { vec![1.0, 0.0] };
                (logits.clone(), right, 1.0)
            })
            .collect();
        let found = temperature(&rows);
        assert!((found - 2.0).abs() < 0.1);
        assert!(loss_at(found, &rows)[0] < loss_at(1.0, &rows)[0]);
        assert_eq!(loss_at(found, &rows)[1], 40_000.0);
        // A few rows say little, whatever they say.
        assert!((1.0..1.1).contains(&temperature(&rows[..40])));
        assert_eq!(temperature(&[]), 1.0);
    }
}
