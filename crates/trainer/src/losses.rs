//! Losses of a network's raw outputs, and their gradients in closed form.
//!
//! Pinball losses of the quantiles, a Huber loss of the mean, cross-entropies of turns and stages;
//! mean squared error for the dense network. Every sum is divided by the rows of the whole batch,
//! so that gradients of micro-batches (and of ranks) add up to the batch's.

use lifecycle::{LEVELS, N_LEVELS};
use model::{
    DenseScaling, Masked, N_STAGE_LOGITS, N_TURN_CLASSES, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs,
    quantiles, softmax, softplus, stage_logits,
};

use crate::config::LossWeights;
use crate::rows::Target;

/// Distance, in scales, beyond which an error of the mean counts linearly.
const HUBER: f32 = 6.0;

/// The median's position in [`LEVELS`].
const MEDIAN: usize = N_LEVELS / 2;

/// Losses of a batch, unweighted, each a mean over its rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Losses {
    pub(crate) quantiles: f64,
    pub(crate) mean: f64,
    pub(crate) turns: f64,
    pub(crate) stages: f64,
    pub(crate) reconstruction: f64,
}

impl Losses {
    /// The loss that is minimised.
    pub(crate) fn total(&self, weights: &LossWeights) -> f64 {
        f64::from(weights.quantiles) * self.quantiles
            + f64::from(weights.mean) * self.mean
            + f64::from(weights.turns) * self.turns
            + f64::from(weights.stages) * self.stages
            + f64::from(weights.reconstruction) * self.reconstruction
    }

    /// How many parts there are.
    pub(crate) const N: usize = 5;

    /// All parts, to be summed over micro-batches and ranks like gradients.
    pub(crate) fn to_floats(self) -> [f32; Self::N] {
        let Self { quantiles, mean, turns, stages, reconstruction } = self;
        [quantiles, mean, turns, stages, reconstruction].map(|loss| loss as f32)
    }

    /// From all parts, in the order of [`Losses::to_floats`].
    pub(crate) fn from_floats(parts: &[f32]) -> Self {
        let part = |place: usize| f64::from(parts[place]);
        Self {
            quantiles: part(0),
            mean: part(1),
            turns: part(2),
            stages: part(3),
            reconstruction: part(4),
        }
    }
}

/// The pinball loss of a quantile at `level`: the mean of `level` and `1 - level` times the miss.
pub(crate) fn pinball(units: f32, quantile: f32, level: f32) -> f32 {
    let miss = units - quantile;
    (level * miss).max((level - 1.0) * miss)
}

/// The gradient of the loss of some rows of a batch of `n_batch`, and the loss.
pub(crate) fn gradients(
    outputs: &Outputs,
    targets: &[&Target],
    weights: &LossWeights,
    n_batch: usize,
) -> (Outputs, Losses) {
    let mut gradient = Outputs {
        horizon: outputs.horizon,
        units: vec![0.0; outputs.units.len()],
        turns: vec![0.0; outputs.turns.len()],
        stages: vec![0.0; outputs.stages.len()],
    };
    let mut losses = Losses::default();
    let share = 1.0 / n_batch as f32;
    let n_units = outputs.horizon * N_UNIT_OUTPUTS;
    for ((index, row), target) in outputs.rows().enumerate().zip(targets) {
        let of_units = &mut gradient.units[index * n_units..(index + 1) * n_units];
        let share_units = share * target.weight / target.units.len().max(1) as f32;
        for (step, units) in target.units.iter().enumerate().filter(|(_, units)| !units.is_nan()) {
            let place = step * N_UNIT_OUTPUTS..(step + 1) * N_UNIT_OUTPUTS;
            let raw = &row.units[place.clone()];
            let (loss_quantiles, loss_mean) =
                unit_gradient(raw, *units, weights, share_units, &mut of_units[place]);
            losses.quantiles += f64::from(share_units * loss_quantiles);
            losses.mean += f64::from(share_units * loss_mean);
        }
        let of_turns = &mut gradient.turns[index * N_TURN_LOGITS..(index + 1) * N_TURN_LOGITS];
        for (outlook, truth) in target.turns.iter().enumerate() {
            let Some(truth) = truth else { continue };
            let place = outlook * N_TURN_CLASSES..(outlook + 1) * N_TURN_CLASSES;
            let share = share / 3.0;
            let logits = &row.turns[place.clone()];
            let loss = cross_entropy::<N_TURN_CLASSES>(logits, truth, |class, slope| {
                of_turns[place.start + class] = share * weights.turns * slope;
            });
            losses.turns += f64::from(share * loss);
        }
        let of_stages = &mut gradient.stages[index * N_STAGE_LOGITS..(index + 1) * N_STAGE_LOGITS];
        for (head, label) in target.stages.iter().enumerate() {
            let Some((truth, weight)) = label else { continue };
            let logits = stage_logits(row.stages, head.checked_sub(1));
            let (begin, share) = (if head == 0 { 0 } else { 5 * head - 1 }, share * weight / 4.0);
            let slope_at = |class: usize, slope: f32| {
                of_stages[begin + class] = share * weights.stages * slope;
            };
            let loss = if head == 0 {
                cross_entropy::<4>(logits, &truth[..4], slope_at)
            } else {
                cross_entropy::<5>(logits, truth, slope_at)
            };
            losses.stages += f64::from(share * loss);
        }
    }
    (gradient, losses)
}

/// Adds the gradient of one step's losses and answers (twice the mean pinball loss, Huber loss).
fn unit_gradient(
    raw: &[f32],
    units: f32,
    weights: &LossWeights,
    share: f32,
    gradient: &mut [f32],
) -> (f32, f32) {
    let quantiles = quantiles(raw);
    let mut slopes = [0.0_f32; N_LEVELS];
    let mut loss = 0.0;
    let factor = 2.0 / N_LEVELS as f32;
    for (slope, (quantile, level)) in slopes.iter_mut().zip(quantiles.iter().zip(LEVELS)) {
        let level = level as f32;
        loss += factor * pinball(units, *quantile, level);
        *slope = factor * if units > *quantile { -level } else { 1.0 - level };
    }
    let share_quantiles = share * weights.quantiles;
    gradient[MEDIAN] = share_quantiles * slopes.iter().sum::<f32>();
    let mut above = 0.0;
    for level in (MEDIAN + 1..N_LEVELS).rev() {
        above += slopes[level];
        gradient[level] = share_quantiles * above * sigmoid(raw[level]);
    }
    let mut below = 0.0;
    for level in 0..MEDIAN {
        below += slopes[level];
        gradient[level] = -share_quantiles * below * sigmoid(raw[level]);
    }
    let miss = softplus(raw[N_LEVELS]) - units;
    let slope = miss.clamp(-HUBER, HUBER);
    gradient[N_LEVELS] = share * weights.mean * slope * sigmoid(raw[N_LEVELS]);
    let loss_mean =
        if miss.abs() <= HUBER { miss * miss / 2.0 } else { HUBER * (miss.abs() - HUBER / 2.0) };
    (loss, loss_mean)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The cross-entropy of `N` logits against probabilities; its slope by each logit goes to `slope`.
fn cross_entropy<const N: usize>(
    logits: &[f32],
    truth: &[f32],
    mut slope: impl FnMut(usize, f32),
) -> f32 {
    let probabilities = softmax::<N>(logits);
    let mut loss = 0.0;
    for class in 0..N {
        loss -= truth[class] * probabilities[class].max(1e-30).ln();
        slope(class, probabilities[class] - truth[class]);
    }
    loss
}

/// Squared error of the masked units, as a mean over a window's masked and observed periods, and its
/// gradient.
pub(crate) fn reconstruction_gradient(
    answer: &Masked,
    n_windows: usize,
    weight: f32,
    n_batch: usize,
) -> (Vec<f32>, Losses) {
    let mut gradient = vec![0.0; answer.units.len()];
    let mut losses = Losses::default();
    let n_periods = answer.units.len() / n_windows.max(1);
    for window in 0..n_windows {
        let place = window * n_periods..(window + 1) * n_periods;
        let truth = &answer.truth[place.clone()];
        let n_known = truth.iter().filter(|units| !units.is_nan()).count();
        let share = 1.0 / (n_batch * n_known.max(1)) as f32;
        let told = answer.units[place.clone()].iter().zip(truth).zip(&mut gradient[place]);
        for ((units, truth), slope) in told.filter(|((_, truth), _)| !truth.is_nan()) {
            let miss = units - truth;
            losses.reconstruction += f64::from(share * miss * miss);
            *slope = 2.0 * share * weight * miss;
        }
    }
    (gradient, losses)
}

/// Mean squared error of the dense network on standardised units; steps beyond a target's are not
/// trained. The loss is reported as that of the mean.
pub(crate) fn dense_gradients(
    outputs: &Outputs,
    targets: &[(&Target, f32)],
    scaling: &DenseScaling,
    n_batch: usize,
) -> (Outputs, Losses) {
    let mut gradient = vec![0.0; outputs.units.len()];
    let mut losses = Losses::default();
    let [mean, deviation] = scaling.units;
    let rows = outputs.units.chunks_exact(outputs.horizon);
    for ((index, raw), (target, scale)) in rows.enumerate().zip(targets) {
        let share = 1.0 / (n_batch * target.units.len().max(1)) as f32;
        for (step, units) in target.units.iter().enumerate().filter(|(_, units)| !units.is_nan()) {
            let miss = raw[step] - (units * scale - mean) / deviation;
            losses.mean += f64::from(share * miss * miss);
            gradient[index * outputs.horizon + step] = 2.0 * share * miss;
        }
    }
    let horizon = outputs.horizon;
    (Outputs { horizon, units: gradient, turns: Vec::new(), stages: Vec::new() }, losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(horizon: usize) -> Target {
        let mut units = vec![1.5; horizon];
        units[horizon - 1] = f32::NAN;
        Target {
            units,
            weight: 0.7,
            turns: [Some([0.0, 1.0, 0.0, 0.0]), None, Some([0.0, 0.0, 0.2, 0.8])],
            stages: [
                Some(([0.1, 0.2, 0.7, 0.0, 0.0], 0.5)),
                None,
                Some(([0.0, 0.1, 0.2, 0.3, 0.4], 1.0)),
                None,
            ],
        }
    }

    fn outputs(horizon: usize, shift: impl Fn(usize) -> f32) -> Outputs {
        let raw = |n: usize, salt: usize| -> Vec<f32> {
            (0..n).map(|at| ((at * 37 + salt) % 11) as f32 / 4.0 - 1.2 + shift(at + salt)).collect()
        };
        Outputs {
            horizon,
            units: raw(horizon * N_UNIT_OUTPUTS, 0),
            turns: raw(N_TURN_LOGITS, 1000),
            stages: raw(N_STAGE_LOGITS, 2000),
        }
    }

    #[test]
    fn pinball_has_its_closed_form() {
        assert_eq!(pinball(3.0, 1.0, 0.9), 1.8);
        assert!((pinball(1.0, 3.0, 0.9) - 0.2).abs() < 1e-6);
        assert_eq!(pinball(2.0, 2.0, 0.3), 0.0);
    }

    #[test]
    fn cross_entropy_has_its_closed_form() {
        let loss = cross_entropy::<2>(&[0.0, 3.0_f32.ln()], &[0.0, 1.0], |_, _| ());
        assert!((loss - (4.0_f32 / 3.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let (weights, target) = (LossWeights::default(), target(3));
        let total =
            |outputs: &Outputs| gradients(outputs, &[&target], &weights, 4).1.total(&weights);
        let (gradient, _) = gradients(&outputs(3, |_| 0.0), &[&target], &weights, 4);
        let flat: Vec<(usize, f32)> = gradient
            .units
            .iter()
            .enumerate()
            .map(|(at, slope)| (at, *slope))
            .chain(gradient.turns.iter().enumerate().map(|(at, slope)| (1000 + at, *slope)))
            .chain(gradient.stages.iter().enumerate().map(|(at, slope)| (2000 + at, *slope)))
            .collect();
        for (at, slope) in flat {
            let shifted = |by: f32| total(&outputs(3, |place| if place == at { by } else { 0.0 }));
            let measured = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            assert!((measured - f64::from(slope)).abs() < 2e-3, "{at}: {measured} and {slope}");
        }
    }

    #[test]
    fn the_error_of_masked_units_has_its_closed_form() {
        let (units, truth) = (vec![1.0, 5.0, 2.0, 0.0], vec![2.0, f32::NAN, 4.0, f32::NAN]);
        let (gradient, losses) = reconstruction_gradient(&Masked { units, truth }, 2, 3.0, 2);
        // Each window knows one masked period: errors -1 and -2.
        assert_eq!(gradient, [-3.0, 0.0, -6.0, 0.0]);
        assert_eq!(losses.reconstruction, 2.5);
    }

    #[test]
    fn mean_squared_error_has_its_closed_form() {
        let scaling = DenseScaling { price: [0.0, 1.0], time: [0.0, 1.0], units: [2.0, 4.0] };
        let outputs =
            Outputs { horizon: 3, units: vec![1.0, 0.0, 5.0], turns: vec![], stages: vec![] };
        // Units 1.5 x 4 = 6 are 1 standard deviation above the mean: errors 0 and -1.
        let target = Target { units: vec![1.5, 1.5], ..target(2) };
        let (gradient, losses) = dense_gradients(&outputs, &[(&target, 4.0)], &scaling, 1);
        assert_eq!(gradient.units, [0.0, -1.0, 0.0]);
        assert_eq!(losses.mean, 0.5);
    }
}
