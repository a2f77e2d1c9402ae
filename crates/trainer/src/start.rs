//! Weights before the first step: random ones, or those of a base model; and the scaling of the
//! dense network.

use lifecycle::N_LEVELS;
use model::{
    DenseScaling, Layout, Model, N_STAGE_LOGITS, N_TURN_CLASSES, N_TURN_LOGITS, N_UNIT_OUTPUTS,
    Network, initial_weights,
};

use crate::config::Config;
use crate::rows::{Rows, Target};
use crate::unseen_inputs::silence;

/// What each network starts from: the weights of a base model's networks, of which these may have
/// adapters that the base has not and that begin as nothing; of the built-in model's, which come last;
/// or `None`, random ones.
pub(crate) fn starts(
    networks: &[Network],
    (base, builtin): (Option<&Model>, Option<&Model>),
    seed: u64,
) -> Vec<Option<Vec<f32>>> {
    let mut starts = vec![None; networks.len()];
    let Some(known) = base.or(builtin) else { return starts };
    let first = networks.len() - known.members().len();
    let of_known = known.members().iter().zip(known.weights_of_members());
    let places = starts.iter_mut().zip(networks).skip(first);
    for ((start, network), (of_known, weights)) in places.zip(of_known) {
        *start = Some(start_of((&of_known.layout(), weights), &network.layout(), seed));
    }
    starts
}

/// The weights of one layout for another, by name.
fn start_of((of_base, base): (&Layout, &[f32]), layout: &Layout, seed: u64) -> Vec<f32> {
    let mut weights = initial_weights(layout, seed);
    for (path, _, range) in layout.places() {
        if let Some((_, _, from)) = of_base.places().find(|(of_base, _, _)| *of_base == path) {
            weights[range].copy_from_slice(&base[from]);
        } else if path.ends_with("adapter_out.weight") {
            weights[range].fill(0.0);
        }
    }
    weights
}

/// Random weights, but for the heads' biases (before any training every answer is the base rate) and
/// for what no training row says.
pub(crate) fn random_start(network: &Network, rows: &Rows, config: &Config) -> Vec<f32> {
    let layout = network.layout();
    let mut weights = initial_weights(&layout, config.seed);
    if network.kind().has_heads() {
        silence(&layout, &mut weights, rows);
        let targets = rows.rows.iter().filter_map(|row| row.train.as_ref());
        start_at_base_rates(&layout, &mut weights, targets);
    }
    weights
}

/// Sets the heads' biases so that, before any training, every answer is the base rate: empirical
/// quantiles and mean of scaled units, and logarithms of class frequencies.
fn start_at_base_rates<'a>(
    layout: &Layout,
    weights: &mut [f32],
    targets: impl Iterator<Item = &'a Target>,
) {
    let mut units: Vec<f32> = Vec::new();
    let mut turns = [1.0_f32; N_TURN_LOGITS];
    let mut stages = [1.0_f32; N_STAGE_LOGITS];
    for target in targets {
        units.extend(target.units.iter().filter(|units| !units.is_nan()));
        for (outlook, probabilities) in target.turns.iter().enumerate() {
            let classes = &mut turns[outlook * N_TURN_CLASSES..];
            for (class, p) in classes.iter_mut().zip(probabilities.iter().flatten()) {
                *class += p;
            }
        }
        for (head, label) in target.stages.iter().enumerate() {
            let Some((probabilities, weight)) = label else { continue };
            let begin = if head == 0 { 0 } else { 5 * head - 1 };
            for (class, probability) in probabilities.iter().enumerate().take(4 + head.min(1)) {
                stages[begin + class] += weight * probability;
            }
        }
    }
    for (path, _, range) in layout.places() {
        match path {
            "units_head.bias" => weights[range].copy_from_slice(&unit_biases(&mut units)),
            "turns_head.bias" => weights[range].copy_from_slice(&turns.map(f32::ln)),
            "stages_head.bias" => weights[range].copy_from_slice(&stages.map(f32::ln)),
            _ => {}
        }
    }
    centre(layout, weights);
}

/// Logits are free up to a constant: large counts must not make large biases.
fn centre(layout: &Layout, weights: &mut [f32]) {
    for (path, _, range) in layout.places() {
        let sizes: &[usize] = match path {
            "turns_head.bias" => &[N_TURN_CLASSES; 3],
            "stages_head.bias" => &[4, 5, 5, 5],
            _ => continue,
        };
        let mut begin = range.start;
        for size in sizes {
            let logits = &mut weights[begin..begin + size];
            let mean = logits.iter().sum::<f32>() / *size as f32;
            for logit in logits {
                *logit -= mean;
            }
            begin += size;
        }
    }
}

fn unit_biases(units: &mut [f32]) -> [f32; N_UNIT_OUTPUTS] {
    let mut biases = [0.0; N_UNIT_OUTPUTS];
    if units.is_empty() {
        return biases;
    }
    units.sort_unstable_by(f32::total_cmp);
    let quantiles =
        lifecycle::LEVELS.map(|level| units[(level * (units.len() - 1) as f64) as usize]);
    let before_softplus = |value: f32| value.max(0.02).exp_m1().ln().min(value.max(0.02));
    let median = N_LEVELS / 2;
    biases[median] = quantiles[median];
    for level in 0..median {
        biases[level] = before_softplus(quantiles[level + 1] - quantiles[level]);
        let above = level + median + 1;
        biases[above] = before_softplus(quantiles[above] - quantiles[above - 1]);
    }
    let mean = units.iter().map(|units| f64::from(*units)).sum::<f64>() / units.len() as f64;
    biases[N_LEVELS] = before_softplus(mean as f32);
    biases
}

/// Means and deviations of what the dense network sees and answers, over training rows.
pub(crate) fn dense_scaling(rows: &Rows) -> DenseScaling {
    let plain = DenseScaling { price: [0.0, 1.0], time: [0.0, 1.0], units: [0.0, 1.0] };
    let (mut prices, mut times, mut all_units) =
        (Moments::default(), Moments::default(), Moments::default());
    for row in &rows.rows {
        let Some(target) = &row.train else { continue };
        let inputs = plain.inputs(&row.window, target.units.len());
        for (input, units) in inputs.chunks_exact(2).zip(&target.units) {
            if !units.is_nan() {
                prices.add(input[0]);
                times.add(input[1]);
                all_units.add(units * row.window.scale);
            }
        }
    }
    DenseScaling { price: prices.pair(), time: times.pair(), units: all_units.pair() }
}

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f32) {
        self.n += 1.0;
        self.sum += f64::from(value);
        self.squares += f64::from(value).powi(2);
    }

    /// Mean and standard deviation; 1 where nothing varies.
    fn pair(self) -> [f32; 2] {
        let mean = self.sum / self.n.max(1.0);
        let variance = self.squares / self.n.max(1.0) - mean * mean;
        let deviation = if variance > 1e-9 { variance.sqrt() } else { 1.0 };
        [mean as f32, deviation as f32]
    }
}
