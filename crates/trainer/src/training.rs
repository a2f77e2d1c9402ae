//! The loop: rows in seeded order, gradients of micro-batches on several workers, one step of the
//! optimiser, now and then a validation and a checkpoint.
//!
//! Everything random follows from (seed, epoch) or (seed, step, micro-batch), so where the data
//! stands and what is drawn next are known from the step alone.

use std::path::Path;

use lifecycle::{Digest, Progress};
use model::{Masked, Network, Noise, Workers};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::adaptation::{Adaptation, is_settled};
use crate::checkpoint;
use crate::config::{Adapt, Config};
use crate::losses::{Losses, dense_gradients, gradients, reconstruction_gradient};
use crate::optimiser::{Optimiser, learning_rate};
use crate::rows::{Row, Rows, Target};
use crate::start::random_start;
use crate::validation::{Validation, validate};

/// Later weights are kept unless they lose so much more than the best: validation rows are of few
/// periods, and which step they like best is mostly chance, while the average of a falling learning
/// rate is the better the later.
const TOLERANCE: f64 = 0.005;

/// What a training ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The last weights whose combined validation loss was the lowest or nearly so.
    pub weights: Vec<f32>,
    /// The step that they are of.
    pub best_step: u64,
    /// Their combined validation loss.
    pub validation: f64,
    /// Steps done.
    pub n_steps: u64,
    /// Numbers that were trained.
    pub n_trained: usize,
    /// Ranks of low-rank updates that are left, and all that there were.
    pub ranks: (usize, usize),
    /// `training.jsonl`, one line a validation.
    pub lines: Vec<String>,
}

/// Why a training did not end.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Somebody asked for it; a checkpoint was written if a place for one is known.
    #[error("training was cancelled at step {step}")]
    Cancelled {
        /// Steps done.
        step: u64,
    },
    /// The checkpoint cannot be read or written.
    #[error("the checkpoint cannot be used")]
    Checkpoint(#[source] checkpoint::Error),
}

/// All that changes from step to step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) optimiser: Optimiser,
    pub(crate) best: Best,
    /// Validations since the best.
    pub(crate) n_stale: u64,
    pub(crate) window: Window,
    pub(crate) lines: Vec<Line>,
    pub(crate) cursor: Cursor,
}

/// The weights to keep, so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    pub(crate) step: u64,
    pub(crate) combined: f64,
    pub(crate) weights: Vec<f32>,
}

/// Training losses since the last validation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    n_steps: u64,
    quantiles: f64,
    mean: f64,
    turns: f64,
    stages: f64,
    reconstruction: f64,
}

/// Where the data stands: the next batch begins at `position` of the epoch's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) position: usize,
}

/// The order of one epoch's rows, kept from step to step.
#[derive(Debug, Default)]
struct Order {
    epoch: Option<u64>,
    rows: Vec<u32>,
}

/// A line of `training.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    step: u64,
    epoch: u64,
    learning_rate: f64,
    quantiles: f64,
    mean: f64,
    turns: f64,
    stages: f64,
    reconstruction: f64,
    validation: Validation,
}

/// What does not change from step to step.
struct Loop<'a> {
    network: &'a Network,
    rows: &'a [Row],
    training: Vec<usize>,
    validation: Vec<&'a Row>,
    config: &'a Config,
    adaptation: Adaptation,
    decayed: Vec<bool>,
    workers: Workers,
}

/// Trains a network on rows, from the weights of `base` or, without, from random ones. With a
/// directory for checkpoints it goes on from the one it finds there, to the same bits as if it had
/// never stopped.
pub fn train(
    (network, base): (&Network, Option<&[f32]>),
    rows: &Rows,
    config: &Config,
    checkpoints: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Outcome, Stopped> {
    let layout = network.layout();
    let base = base.map_or_else(|| random_start(network, rows, config), <[f32]>::to_vec);
    let adaptation = Adaptation::new(&layout, base, config);
    let (training, validation) = (rows.training(), rows.validation());
    let training_loop = Loop {
        network,
        rows: &rows.rows,
        training,
        validation: validation.into_iter().map(|row| &rows.rows[row]).collect(),
        config,
        decayed: adaptation.trained.decayed(),
        adaptation,
        workers: network.workers(),
    };
    let trained = &training_loop.adaptation.trained;
    let key = training_key(rows, config, &training_loop.adaptation);
    let found = match checkpoints {
        Some(directory) => checkpoint::load(directory, key, trained),
        None => Ok(None),
    };
    let mut state = match found.map_err(Stopped::Checkpoint)? {
        Some(state) => state,
        None => training_loop.start(),
    };
    let save = |state: &State| match checkpoints {
        Some(directory) => {
            checkpoint::save(directory, key, trained, state).map_err(Stopped::Checkpoint)
        }
        None => Ok(()),
    };
    let mut saved_at = state.optimiser.step;
    let mut order = Order::default();
    while !training_loop.is_over(&state) {
        if progress.is_cancelled() {
            if saved_at != state.optimiser.step {
                save(&state)?;
            }
            return Err(Stopped::Cancelled { step: state.optimiser.step });
        }
        training_loop.step(&mut state, &mut order);
        let step = state.optimiser.step;
        progress.report("train", step, config.steps_max);
        if step.is_multiple_of(config.validate_every) || step == config.steps_max {
            training_loop.judge(&mut state);
        }
        if step.is_multiple_of(config.checkpoint_every) {
            save(&state)?;
            saved_at = step;
        }
    }
    let lines = state.lines.iter().filter_map(|line| serde_json::to_string(line).ok());
    Ok(Outcome {
        lines: lines.collect(),
        n_trained: state.best.weights.len(),
        ranks: training_loop.adaptation.n_ranks(&state.best.weights),
        weights: training_loop.adaptation.weights(&state.best.weights),
        best_step: state.best.step,
        // A training that only diverged keeps its starting weights: the base rates.
        validation: state.best.combined.min(f64::MAX),
        n_steps: state.optimiser.step,
    })
}

/// Names what a checkpoint belongs to.
fn training_key(rows: &Rows, config: &Config, adaptation: &Adaptation) -> Digest {
    let config = serde_json::to_string(config).unwrap_or_default();
    let bytes = adaptation.base().iter().flat_map(|weight| weight.to_le_bytes());
    let base = Digest::of(bytes.collect::<Vec<u8>>());
    Digest::of(format!("{config}\n{}\n{:?}\n{base}", rows.digest(), adaptation.trained))
}

impl Loop<'_> {
    fn start(&self) -> State {
        let weights = self.adaptation.start(self.config.seed);
        let best = Best { step: 0, combined: f64::INFINITY, weights: weights.clone() };
        State {
            optimiser: Optimiser::new(weights),
            best,
            n_stale: 0,
            window: Window::default(),
            lines: Vec::new(),
            cursor: Cursor { seed: self.config.seed, epoch: 0, position: 0 },
        }
    }

    fn is_over(&self, state: &State) -> bool {
        self.training.is_empty()
            || state.optimiser.step >= self.config.steps_max
            || state.n_stale >= self.config.patience
    }

    /// The rows of the next batch; moves the cursor on.
    fn next_batch(&self, cursor: &mut Cursor, order: &mut Order) -> Vec<usize> {
        let n_batch = self.config.batch.min(self.training.len());
        if cursor.position + n_batch > self.training.len() {
            *cursor = Cursor { epoch: cursor.epoch + 1, position: 0, ..*cursor };
        }
        if order.epoch != Some(cursor.epoch) || order.rows.len() != self.training.len() {
            let rows = epoch_order(self.training.len(), cursor.seed, cursor.epoch);
            *order = Order { epoch: Some(cursor.epoch), rows };
        }
        let batch = &order.rows[cursor.position..cursor.position + n_batch];
        cursor.position += n_batch;
        batch.iter().map(|place| self.training[*place as usize]).collect()
    }

    /// One step of the optimiser.
    fn step(&self, state: &mut State, order: &mut Order) {
        let batch = self.next_batch(&mut state.cursor, order);
        let step = state.optimiser.step;
        let micro_batches: Vec<&[usize]> = batch.chunks(self.config.micro_batch).collect();
        let weights = &self.adaptation.weights(&state.optimiser.weights);
        let parts = self.workers.map(&micro_batches, |index, rows| {
            self.gradient(weights, rows, batch.len(), mix(self.config.seed, step, index as u64))
        });
        let mut gradient = vec![0.0; weights.len()];
        let mut losses = Losses::default();
        for (part, loss) in parts {
            for (sum, slope) in gradient.iter_mut().zip(part) {
                *sum += slope;
            }
            losses.add(&loss);
        }
        let gradient = self.adaptation.gradient(&state.optimiser.weights, &gradient);
        state.optimiser.step(&gradient, &self.decayed, self.config);
        if self.config.adapt == Adapt::Adalora {
            let Optimiser { weights, average, step, .. } = &mut state.optimiser;
            self.adaptation.prune(weights, *step, self.config);
            self.adaptation.prune(average, *step, self.config);
        }
        let window = &mut state.window;
        window.n_steps += 1;
        window.quantiles += losses.quantiles;
        window.mean += losses.mean;
        window.turns += losses.turns;
        window.stages += losses.stages;
        window.reconstruction += losses.reconstruction;
        tracing::debug!(
            step = step + 1,
            loss = losses.total(&self.config.losses),
            "trained a step"
        );
    }

    /// The gradient of one micro-batch and its losses, as shares of the batch.
    fn gradient(
        &self,
        weights: &[f32],
        rows: &[usize],
        n_batch: usize,
        seed: u64,
    ) -> (Vec<f32>, Losses) {
        let (windows, targets): (Vec<_>, Vec<_>) = rows
            .iter()
            .filter_map(|row| Some((&self.rows[*row].window, self.rows[*row].train.as_ref()?)))
            .unzip();
        let weigh = &self.config.losses;
        let mut noise = Noise::new(seed, self.config.dropout as f32);
        let pretrains = weigh.reconstruction > 0.0;
        let reconstruction = || {
            let mut noise = Noise::new(mix(seed, 1, 0), 0.0);
            let masks = (&mut noise, self.config.masked as f32);
            let judge = |answer: &Masked| {
                reconstruction_gradient(answer, windows.len(), weigh.reconstruction, n_batch)
            };
            self.network.reconstruction_gradient(weights, &windows, masks, judge)
        };
        let reconstructed = if pretrains { reconstruction() } else { None };
        if let Some(reconstructed) = &reconstructed
            && weigh.is_reconstruction_alone()
        {
            return reconstructed.clone();
        }
        let dropped = (self.config.dropout > 0.0).then_some(&mut noise);
        let (mut gradient, mut losses) =
            self.network.gradient(weights, &windows, dropped, |outputs| {
                match self.network.dense_scaling() {
                    None => gradients(outputs, &targets, weigh, n_batch),
                    Some(scaling) => {
                        let scales = windows.iter().map(|window| window.scale);
                        let targets: Vec<(&Target, f32)> =
                            targets.iter().copied().zip(scales).collect();
                        dense_gradients(outputs, &targets, &scaling, n_batch)
                    }
                }
            });
        if let Some((more, loss)) = reconstructed {
            gradient.iter_mut().zip(more).for_each(|(sum, slope)| *sum += slope);
            losses.add(&loss);
        }
        (gradient, losses)
    }

    /// Validates the averaged weights, keeps them if they are the best, and writes a line.
    fn judge(&self, state: &mut State) {
        let average = &state.optimiser.average;
        let weights = self.adaptation.weights(average);
        let judged = (&self.validation[..], self.config);
        let validation = validate(self.network, &weights, judged, &self.workers);
        let step = state.optimiser.step;
        let combined = validation.combined;
        // Low-rank updates are judged once they have come down to their budget.
        let lines = state.lines.iter().filter(|line| is_settled(line.step, self.config));
        let of_lines = lines.map(|line| line.validation.combined);
        let lowest = of_lines.fold(combined, f64::min);
        // Without validation rows the last weights are the best.
        let is_settled = is_settled(step, self.config);
        if !is_settled || self.validation.is_empty() || combined <= lowest * (1.0 + TOLERANCE) {
            state.best = Best { step, combined, weights: average.clone() };
            state.n_stale = 0;
        } else {
            state.n_stale += 1;
        }
        let Window { n_steps, quantiles, mean, turns, stages, reconstruction } =
            std::mem::take(&mut state.window);
        let n_steps = n_steps.max(1) as f64;
        let line = Line {
            step,
            epoch: state.cursor.epoch,
            learning_rate: learning_rate(step, self.config),
            quantiles: quantiles / n_steps,
            mean: mean / n_steps,
            turns: turns / n_steps,
            stages: stages / n_steps,
            reconstruction: reconstruction / n_steps,
            validation,
        };
        tracing::info!(
            step,
            quantiles = line.quantiles,
            turns = line.turns,
            stages = line.stages,
            validation = validation.combined,
            wql = validation.wql,
            "validated"
        );
        state.lines.push(line);
    }
}

/// The order of `n` rows in one epoch.
fn epoch_order(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(mix(seed, epoch, 0xe90c)));
    order
}

/// One seed of three numbers.
fn mix(seed: u64, first: u64, second: u64) -> u64 {
    let mut mixed = seed;
    for part in [first, second] {
        mixed =
            (mixed ^ part.wrapping_add(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^= mixed >> 29;
    }
    mixed
}

#[cfg(test)]
mod tests;
