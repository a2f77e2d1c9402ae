//! `AdamW` (Loshchilov & Hutter 2019) or stochastic gradient descent with momentum on flat vectors,
//! with warm-up and a cosine, clipping by the norm of the whole gradient, and averaged weights.
//!
//! Flat vectors have an order that never changes (that of module paths), so state can be saved,
//! compared and resumed exactly; Burn's optimiser records are keyed by random ids.

use crate::config::{Config, OptimiserKind};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.99;
const EPSILON: f64 = 1e-8;

/// Weights and all that the optimiser remembers of them; vectors of one length.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Optimiser {
    /// Steps done.
    pub(crate) step: u64,
    /// The weights that gradients are taken at.
    pub(crate) weights: Vec<f32>,
    /// Running mean of the gradient.
    pub(crate) mean: Vec<f32>,
    /// Running mean of its square.
    pub(crate) square: Vec<f32>,
    /// Running mean of the weights: these are validated and kept (Polyak & Juditsky 1992).
    pub(crate) average: Vec<f32>,
}

impl Optimiser {
    /// At the start.
    pub(crate) fn new(weights: Vec<f32>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self { step: 0, mean: zeros.clone(), square: zeros, average: weights.clone(), weights }
    }

    /// One step along `gradient`; weight decay where `decayed`.
    pub(crate) fn step(&mut self, gradient: &[f32], decayed: &[bool], config: &Config) {
        self.step += 1;
        let rate = learning_rate(self.step, config);
        let Some(clip) = clipping(gradient, config.gradient_norm_max) else { return };
        let (unbias_1, unbias_2) =
            (1.0 - BETA_1.powf(self.step as f64), 1.0 - BETA_2.powf(self.step as f64));
        let step_size = (rate / unbias_1) as f32;
        let root_unbias = unbias_2.sqrt().recip() as f32;
        let decay = (1.0 - rate * config.weight_decay) as f32;
        let memory = config.average.min(self.step as f64 / (self.step as f64 + 20.0)) as f32;
        let (beta_1, beta_2, epsilon) = (BETA_1 as f32, BETA_2 as f32, EPSILON as f32);
        let is_adam = config.optimiser == OptimiserKind::Adamw;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        let weights = self.weights.iter_mut().zip(&mut self.average);
        let inputs = gradient.iter().zip(decayed);
        for (((mean, square), (weight, average)), (slope, decayed)) in
            moments.zip(weights).zip(inputs)
        {
            let slope = slope * clip;
            *mean = beta_1 * *mean + (1.0 - beta_1) * slope;
            *square = beta_2 * *square + (1.0 - beta_2) * slope * slope;
            if *decayed {
                *weight *= decay;
            }
            *weight -= if is_adam {
                step_size * *mean / (square.sqrt() * root_unbias + epsilon)
            } else {
                step_size * *mean
            };
            *average = memory * *average + (1.0 - memory) * *weight;
        }
    }
}

/// The learning rate of a step (from 1): straight up, then a cosine down to a fiftieth.
pub(crate) fn learning_rate(step: u64, config: &Config) -> f64 {
    let (step, steps_max) = (step as f64, config.steps_max as f64);
    let warm = (config.warmup * steps_max).max(1.0);
    if step < warm {
        return config.learning_rate * step / warm;
    }
    let done = ((step - warm) / (steps_max - warm).max(1.0)).min(1.0);
    let cosine = f64::midpoint(1.0, (std::f64::consts::PI * done).cos());
    config.learning_rate * (0.02 + 0.98 * cosine)
}

/// What the gradient is multiplied by so that its norm is at most `norm_max`; `None` for a gradient
/// that is not finite: the step is skipped.
fn clipping(gradient: &[f32], norm_max: f64) -> Option<f32> {
    let norm = gradient.iter().map(|slope| f64::from(*slope).powi(2)).sum::<f64>().sqrt();
    norm.is_finite().then_some((norm_max / norm.max(norm_max)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_has_its_closed_form() {
        let config = Config {
            learning_rate: 0.1,
            warmup: 0.0,
            weight_decay: 0.5,
            gradient_norm_max: 100.0,
            average: 0.0,
            ..Config::default()
        };
        let mut optimiser = Optimiser::new(vec![1.0, 1.0, 1.0]);
        optimiser.step(&[0.3, -40.0, 0.0], &[true, false, true], &config);
        // The first step of Adam is the learning rate against the sign of the gradient; decay first.
        for (weight, expected) in optimiser.weights.iter().zip([0.95 - 0.1, 1.1, 0.95]) {
            assert!((weight - expected).abs() < 1e-5, "{weight} for {expected}");
        }
        assert_eq!(optimiser.average, optimiser.weights);
    }

    #[test]
    fn descent_goes_along_the_gradient() {
        let config = Config {
            optimiser: OptimiserKind::Sgd,
            learning_rate: 0.1,
            warmup: 0.0,
            weight_decay: 0.0,
            gradient_norm_max: 100.0,
            ..Config::default()
        };
        let mut optimiser = Optimiser::new(vec![1.0, 1.0]);
        optimiser.step(&[0.3, -4.0], &[true, true], &config);
        for (weight, expected) in optimiser.weights.iter().zip([0.97, 1.4]) {
            assert!((weight - expected).abs() < 1e-5, "{weight} for {expected}");
        }
    }

    #[test]
    fn long_gradients_are_cut_to_the_limit_and_broken_ones_to_nothing() {
        assert_eq!(clipping(&[3.0, 4.0], 1.0), Some(0.2));
        assert_eq!(clipping(&[0.3, 0.4], 1.0), Some(1.0));
        assert_eq!(clipping(&[f32::NAN, 0.4], 1.0), None);
    }

    #[test]
    fn the_rate_rises_then_falls() {
        let config = Config { steps_max: 100, warmup: 0.1, ..Config::default() };
        let rates: Vec<f64> = (1..=100).map(|step| learning_rate(step, &config)).collect();
        assert!(rates[..10].is_sorted() && rates[10..].is_sorted_by(|a, b| a >= b));
        assert!((rates[99] - 0.02 * config.learning_rate).abs() < 1e-9);
    }
}
