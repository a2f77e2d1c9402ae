//! What is fitted on validation rows after training: for each head of probabilities how much the
//! logits of the network, the trees and the built-in model count in it, how much wider quantiles are
//! where a series has hardly any history, and how steps hang together. A model of several frequencies
//! has one for each.
//!
//! A single temperature (Guo et al. 2017) is all that a few weeks of correlated rows carry: biases
//! by class would fit the season of the validation rows. A model that was trained elsewhere has all
//! the past of the data before it to be calibrated on, and gets biases too ([`placed`]).

use serde::{Deserialize, Serialize};

use crate::heads::{ClassLogits, N_TURN_CLASSES, Row, softmax_of, stage_logits};

/// How much the logits of each opinion count in a head: a weighted geometric mean of their
/// probabilities, sharper or flatter as the weights add up (a logarithmic opinion pool, Heskes 1998).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blend {
    /// What the network's logits are multiplied by.
    pub network: f32,
    /// What those of the trees are multiplied by; 0 where there are none.
    pub trees: f32,
    /// What those of the built-in model are multiplied by; 0 where it is not asked.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub builtin: f32,
    /// What is added to the logit of each class.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bias: [f32; N_CLASSES_MAX],
}

/// Classes of the largest head: the stages with `ended`.
const N_CLASSES_MAX: usize = 5;

fn is_zero(bias: &[f32; N_CLASSES_MAX]) -> bool {
    bias.iter().all(|bias| *bias == 0.0)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nothing(weight: &f32) -> bool {
    *weight == 0.0
}

impl Default for Blend {
    fn default() -> Self {
        Self { network: 1.0, trees: 0.0, builtin: 0.0, bias: [0.0; N_CLASSES_MAX] }
    }
}

impl Blend {
    /// Logits of all together; those of trees and of the built-in model may be empty.
    pub fn of(self, network: &[f32], [trees, builtin]: [&[f32]; 2]) -> Vec<f32> {
        let at = |logits: &[f32], class: usize| logits.get(class).copied().unwrap_or(0.0);
        let of_class = |(class, logit): (usize, &f32)| {
            self.network * logit
                + self.trees * at(trees, class)
                + self.builtin * at(builtin, class)
                + self.bias[class]
        };
        network.iter().enumerate().map(of_class).collect()
    }
}

/// Other opinions on a window's classes than the network's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// Of the trees.
    pub trees: ClassLogits,
    /// Of the built-in model, calibrated.
    pub builtin: ClassLogits,
}

/// Blends, widths and correlations; the default is uncalibrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Of the turns at each horizon.
    pub turns: [Blend; 3],
    /// Of the stage now.
    pub stage_now: Blend,
    /// Of the stages at each horizon.
    pub stages: [Blend; 3],
    /// Distance of each quantile from the median is multiplied by this at cold start.
    pub cold_start_width: f32,
    /// Correlations of normal scores over steps, row-major, shape `[horizon, horizon]` of the
    /// network; empty of the dense network.
    pub correlations: Vec<f32>,
}

impl Default for Calibration {
    fn default() -> Self {
        let blend = Blend::default();
        let (turns, stages, correlations) = ([blend; 3], [blend; 3], Vec::new());
        Self { turns, stage_now: blend, stages, cold_start_width: 1.0, correlations }
    }
}

/// Calibrated probabilities for one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classes {
    /// Of the classes of turns at each horizon.
    pub turns: [[f32; N_TURN_CLASSES]; 3],
    /// Of the stages now, of which *ended* is 0, and at each horizon.
    pub stages: [[f32; N_CLASSES_MAX]; 4],
}

impl Calibration {
    /// What all opinions say together of one window.
    pub fn classes(&self, row: Row<'_>, beside: &Beside) -> Classes {
        let logits = self.logits(row, beside);
        let turns = |horizon| probabilities(logits.turns_at(horizon));
        let stages = |head: usize| probabilities(logits.stages_at(head.checked_sub(1)));
        Classes { turns: std::array::from_fn(turns), stages: std::array::from_fn(stages) }
    }

    /// The same as logits.
    pub fn logits(&self, row: Row<'_>, Beside { trees, builtin }: &Beside) -> ClassLogits {
        let mut all = ClassLogits::default();
        for (horizon, blend) in self.turns.iter().enumerate() {
            let place = horizon * N_TURN_CLASSES..(horizon + 1) * N_TURN_CLASSES;
            let beside = [trees.turns_at(horizon), builtin.turns_at(horizon)];
            all.turns.extend(blend.of(&row.turns[place], beside));
        }
        let horizons = [None, Some(0), Some(1), Some(2)];
        for (horizon, blend) in
            horizons.into_iter().zip([&[self.stage_now], &self.stages[..]].concat())
        {
            let beside = [trees.stages_at(horizon), builtin.stages_at(horizon)];
            all.stages.extend(blend.of(stage_logits(row.stages, horizon), beside));
        }
        all
    }
}

/// Probabilities of `N` classes; those that a head has not are 0.
fn probabilities<const N: usize>(logits: &[f32]) -> [f32; N] {
    let mut probabilities = [0.0; N];
    for (place, p) in probabilities.iter_mut().zip(softmax_of(logits)) {
        *place = p;
    }
    probabilities
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

/// What it costs, in nats over all rows, that weights of two opinions differ by 1.
const PULL_TO_EVEN: f64 = 20.0;

/// Rounds over the weights of a blend at most, and the change of a weight that ends them.
const N_BLEND_ROUNDS: usize = 50;
const STILL: f64 = 1e-5;

/// The weights that minimise the cross-entropy of these rows: logits of the network, and for each
/// row those of the trees and of the built-in model, of which either may be missing in all rows. No
/// weight is below 0; they are pulled a little towards each other and to a sum of 1.
///
/// The loss is convex in the weights, and each is moved in turn by a step of Newton's.
pub fn blend(rows: &[Judged], beside: [&[Vec<f32>]; 2]) -> Blend {
    let is_there = [true, !beside[0].is_empty(), !beside[1].is_empty()];
    let n = is_there.iter().filter(|is_there| **is_there).count() as f64;
    let mut weights = is_there.map(|is_there| if is_there { n.recip() } else { 0.0 });
    for _ in 0..N_BLEND_ROUNDS {
        let before = weights;
        for opinion in (0..3).filter(|opinion| is_there[*opinion]) {
            let [slope, curvature] = along(rows, beside, weights, opinion);
            let sum: f64 = weights.iter().sum();
            let uneven = 4.0 * PULL_TO_EVEN * (weights[opinion] - sum / n);
            let slope = slope + 2.0 * PULL * (sum - 1.0) + uneven;
            let curvature = curvature + 2.0 * PULL + 4.0 * PULL_TO_EVEN * (1.0 - n.recip());
            let step = (slope / curvature).clamp(-STEP_MAX, STEP_MAX);
            weights[opinion] = (weights[opinion] - step).max(0.0);
        }
        let moved = weights.iter().zip(before).map(|(now, before)| (now - before).abs());
        if moved.fold(0.0, f64::max) < STILL {
            break;
        }
    }
    let [network, trees, builtin] = weights.map(|weight| weight as f32);
    Blend { network, trees, builtin, ..Blend::default() }
}

/// The longest step of a weight: far from the least loss, Newton's may go too far.
const STEP_MAX: f64 = 0.25;

/// Slope and curvature of the cross-entropy along the weight of one opinion.
fn along(
    rows: &[Judged],
    [trees, builtin]: [&[Vec<f32>]; 2],
    weights: [f64; 3],
    opinion: usize,
) -> [f64; 2] {
    let [network, of_trees, of_builtin] = weights.map(|weight| weight as f32);
    let blend = Blend { network, trees: of_trees, builtin: of_builtin, ..Blend::default() };
    let logits_of = |all: &'_ [Vec<f32>], row: usize| all.get(row).cloned().unwrap_or_default();
    let mut sums = [0.0; 2];
    for (row, (network, truth, weight)) in rows.iter().enumerate() {
        let beside = [logits_of(trees, row), logits_of(builtin, row)];
        let along = [network, &beside[0], &beside[1]][opinion];
        let (mut slope, mut mean, mut square) = (0.0, 0.0, 0.0);
        let total: f32 = truth.iter().sum();
        for ((p, truth), logit) in softmax_of(&blend.of(network, [&beside[0], &beside[1]]))
            .into_iter()
            .zip(truth)
            .zip(along)
        {
            let (p, logit) = (f64::from(p), f64::from(*logit));
            slope += (p * f64::from(total) - f64::from(*truth)) * logit;
            mean += p * logit;
            square += p * logit * logit;
        }
        sums[0] += f64::from(*weight) * slope;
        sums[1] += f64::from(*weight * total) * (square - mean * mean);
    }
    sums
}

/// Rounds of biases and temperature in turn, and steps of the biases in each.
const N_ROUNDS: usize = 8;
const N_STEPS: usize = 20;

/// The temperature and the biases by class that together minimise the cross-entropy of these rows of
/// a model trained elsewhere (vector scaling, Guo et al. 2017), each pulled a little towards none.
pub fn placed(rows: &[Judged]) -> Blend {
    let mut bias = [0.0_f32; N_CLASSES_MAX];
    let mut inverse = temperature(rows).recip();
    for _ in 0..N_ROUNDS {
        for _ in 0..N_STEPS {
            let steps = bias_steps(rows, inverse, &bias);
            for (bias, step) in bias.iter_mut().zip(steps) {
                *bias += step;
            }
        }
        let biased = |(logits, truth, weight): &Judged| {
            let logits = logits.iter().zip(bias).map(|(logit, bias)| logit + bias / inverse);
            (logits.collect(), truth.clone(), *weight)
        };
        let biased: Vec<Judged> = rows.iter().map(biased).collect();
        let next = temperature(&biased).recip();
        for bias in &mut bias {
            *bias *= next / inverse;
        }
        inverse = next;
    }
    Blend { network: inverse, bias, ..Blend::default() }
}

/// One step of each bias down the cross-entropy: its slope over an upper bound of the curvature
/// (Böhning 1992), so that no step goes too far.
fn bias_steps(rows: &[Judged], inverse: f32, bias: &[f32; N_CLASSES_MAX]) -> [f32; N_CLASSES_MAX] {
    let (mut slopes, mut weights) = ([0.0; N_CLASSES_MAX], 0.0);
    let blend = Blend { network: inverse, bias: *bias, ..Blend::default() };
    for (logits, truth, weight) in rows {
        let probabilities = softmax_of(&blend.of(logits, [&[], &[]]));
        let weight = f64::from(*weight);
        for ((slope, p), truth) in slopes.iter_mut().zip(probabilities).zip(truth) {
            *slope += weight * f64::from(truth - p);
        }
        weights += weight;
    }
    let step = |class: usize| {
        let slope = slopes[class] - 2.0 * PULL * f64::from(bias[class]);
        (slope / (0.5 * weights + 2.0 * PULL)) as f32
    };
    std::array::from_fn(step)
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
    fn who_is_right_more_often_counts_more() {
        // Two votes for one of two classes, right in 9 and in 7 of 10, independently.
        let votes = |right: bool, truth: usize| {
            let class = if right { truth } else { 1 - truth };
            let mut logits = vec![0.0; 2];
            logits[class] = 1.0;
            logits
        };
        let (mut rows, mut trees) = (Vec::new(), Vec::new());
        for row in 0..60_000_usize {
            let truth = row % 2;
            let mut target = vec![0.0; 2];
            target[truth] = 1.0;
            rows.push((votes(row / 2 % 10 < 7, truth), target, 1.0));
            trees.push(votes(row / 20 % 10 < 9, truth));
        }
        let found = blend(&rows, [&trees, &[]]);
        assert!(found.trees > 1.5 * found.network && found.network > 0.2, "{found:?}");
        assert_eq!(found.builtin, 0.0);
        assert_eq!(found.of(&[1.0, 2.0], [&[], &[]]), [found.network, 2.0 * found.network]);
        // Logarithms of the odds of who is right in 7 and in 9 of 10, since the votes are of 1, pulled
        // a little towards a sum of 1.
        let odds = |p: f32| (p / (1.0 - p)).ln();
        assert!((found.network - odds(0.7)).abs() < 0.15, "{found:?}");
        assert!((found.trees - odds(0.9)).abs() < 0.15, "{found:?}");
        // Who errs more often than not is not heard, and a third who knows all is.
        let wrong: Vec<Vec<f32>> =
            trees.iter().map(|logits| logits.iter().map(|logit| -logit).collect()).collect();
        let truths: Vec<Vec<f32>> = rows.iter().map(|(_, truth, _)| truth.clone()).collect();
        let found = blend(&rows, [&wrong, &truths]);
        assert!(found.trees == 0.0 && found.builtin > 2.5, "{found:?}");
    }

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

    #[test]
    fn a_class_that_comes_more_often_here_gets_a_bias() {
        // The model thinks two classes alike and knows a third; here the first comes 9 times in 10.
        let rows: Vec<Judged> = (0..20_000)
            .map(|row| {
                let class = usize::from(row % 10 == 0);
                let truth = (0..3).map(|k| f32::from(u8::from(k == class))).collect();
                (vec![1.0, 1.0, -3.0], truth, 1.0)
            })
            .collect();
        let found = placed(&rows);
        let logits = found.of(&rows[0].0, [&[], &[]]);
        assert!((logits[0] - logits[1] - 9.0_f32.ln()).abs() < 0.15, "{found:?}");
        assert!(logits[2] < logits[1], "{found:?}");
        assert_eq!(placed(&[]), Blend::default());
        let few = placed(&rows[..30]);
        assert!(few.bias[0] > 0.0 && few.bias[0] < 0.2, "{few:?}");
    }
}
