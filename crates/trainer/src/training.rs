//! The loop: rows in seeded order, gradients of micro-batches on several ranks and workers, one step
//! of the optimiser, now and then a validation and a checkpoint.
//!
//! Everything random follows from (seed, epoch) or (seed, step, place in the batch), so where the data
//! stands and what is drawn next are known from the step alone, whoever takes it.

use std::path::Path;

use crate::adaptation::{Adaptation, is_settled};
use crate::checkpoint;
use crate::config::{Adapt, Config};
use crate::losses::{Losses, dense_gradients, gradients, reconstruction_gradient};
use crate::optimiser::{Optimiser, learning_rate};
use crate::ranks::{Alone, Meeting, NoMeeting, Ranks, together};
use crate::rows::{Row, Rows, Target};
use crate::stage::Error;
use crate::start::random_start;
use crate::state::{Best, Cursor, OfNetwork, State};
use crate::validation::validate;
use lifecycle::{Digest, Progress};
use model::{Dropout, Masked, Network, Workers, weights_to_bytes};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

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
    /// A rank was lost; the others may meet again.
    #[error("a rank was lost")]
    Lost(#[source] collective::Error),
    /// What ranks were to do together cannot be done.
    #[error("ranks cannot do this together")]
    Impossible(#[source] collective::Error),
    /// Workers wait to take part; the ranks may meet again.
    #[error("workers wait to take part")]
    Awaited,
    /// There are no others to meet.
    #[error("training with others is over for this rank")]
    Alone(#[source] NoMeeting),
    /// Ranks were started with different settings or data.
    #[error("rank {rank} trains something else: start all ranks with the same settings and data")]
    OtherTraining {
        /// The first that differs from this one.
        rank: usize,
    },
    /// Ranks that must have equal weights have not.
    #[error("rank {rank} has other weights than this one: their processors compute differently")]
    Diverged {
        /// The first that differs from this one.
        rank: usize,
    },
    /// A rank's state cannot be read.
    #[error("the state of rank {rank} cannot be read: {reason}")]
    Unreadable {
        /// Whose.
        rank: usize,
        /// Why.
        reason: String,
    },
}

/// The order of one epoch's rows, kept from step to step.
#[derive(Debug, Default)]
struct Order {
    epoch: Option<u64>,
    rows: Vec<u32>,
}

/// What does not change from step to step.
struct Loop<'a> {
    network: &'a Network,
    rows: &'a [Row],
    training: Vec<usize>,
    validation: Vec<&'a Row>,
    config: &'a Config,
    checkpoints: Option<&'a Path>,
    key: Digest,
    adaptation: Adaptation,
    decayed: Vec<bool>,
    workers: Workers,
}

/// A network to train on rows, from the weights of `base` or, without, from random ones. With a
/// directory for checkpoints it goes on from the one that it finds there, to the same bits as if it
/// had never stopped.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// What is trained.
    pub network: &'a Network,
    /// Where it starts.
    pub base: Option<&'a [f32]>,
    /// What it learns from and is judged by.
    pub rows: &'a Rows,
    /// How.
    pub config: &'a Config,
    /// Folder of its checkpoints; `None` for none.
    pub checkpoints: Option<&'a Path>,
}

/// Trains a network on one rank, this process.
pub fn train(task: Task<'_>, progress: &dyn Progress) -> Result<Outcome, Stopped> {
    train_with(&mut Alone, task, progress)
}

/// Trains a network as one of the ranks of a meeting.
pub fn train_with(
    meeting: &mut dyn Meeting,
    task: Task<'_>,
    progress: &dyn Progress,
) -> Result<Outcome, Stopped> {
    let mut state = None;
    let outcome = together(meeting, |ranks| {
        train_on(ranks, task, &mut state, progress).map_err(Error::Stopped)
    });
    outcome.map_err(|error| match error {
        Error::Stopped(stopped) => stopped,
        _ => unreachable!("the loop has no other errors"),
    })
}

/// Trains a network with the ranks of a generation. What was done when a rank is lost stands in
/// `state`, for the next generation.
pub(crate) fn train_on(
    ranks: &mut Ranks<'_>,
    task: Task<'_>,
    state: &mut Option<State>,
    progress: &dyn Progress,
) -> Result<Outcome, Stopped> {
    let (network, seed) = (task.network.kind(), task.config.seed);
    let training_loop = Loop::new(task, ranks.n_threads());
    let state = match state {
        Some(state) => state,
        None => state.insert(training_loop.start()?),
    };
    ranks.agree(training_loop.key, state)?;
    training_loop.run(state, ranks, progress)?;
    let of_network = |line| OfNetwork { network, seed, line };
    let lines = state.lines.iter().map(of_network);
    Ok(Outcome {
        lines: lines.filter_map(|line| serde_json::to_string(&line).ok()).collect(),
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

impl<'a> Loop<'a> {
    fn new(task: Task<'a>, n_threads: usize) -> Self {
        let Task { network, base, rows, config, checkpoints } = task;
        let base = base.map_or_else(|| random_start(network, rows, config), <[f32]>::to_vec);
        let adaptation = Adaptation::new(&network.layout(), base, config);
        let validation = rows.validation();
        Self {
            network,
            rows: &rows.rows,
            training: rows.training(),
            validation: validation.into_iter().map(|row| &rows.rows[row]).collect(),
            config,
            checkpoints,
            key: training_key(rows, config, &adaptation),
            decayed: adaptation.trained.decayed(),
            adaptation,
            workers: network.workers_of(n_threads),
        }
    }

    /// From the last checkpoint, or from the beginning.
    fn start(&self) -> Result<State, Stopped> {
        if let Some(directory) = self.checkpoints {
            let found = checkpoint::load(directory, self.key, &self.adaptation.trained);
            if let Some(state) = found.map_err(Stopped::Checkpoint)? {
                return Ok(state);
            }
        }
        let weights = self.adaptation.start(self.config.seed);
        let best = Best { step: 0, combined: f64::INFINITY, weights: weights.clone() };
        let cursor = Cursor { seed: self.config.seed, epoch: 0, position: 0 };
        Ok(State { optimiser: Optimiser::new(weights), best, cursor, ..State::default() })
    }

    /// Goes on to the end. What comes next follows from the state alone: it may be another rank's.
    fn run(
        &self,
        state: &mut State,
        ranks: &mut Ranks<'_>,
        progress: &dyn Progress,
    ) -> Result<(), Stopped> {
        let mut saved_at = state.optimiser.step;
        let mut order = Order::default();
        let mut is_cancelled = false;
        loop {
            let step = state.optimiser.step;
            if self.is_judgement_due(state) {
                self.judge(state, ranks)?;
            }
            let is_over = self.is_over(state);
            if saved_at != step && (is_over || step.is_multiple_of(self.config.checkpoint_every)) {
                self.save(state, ranks)?;
                saved_at = step;
                if !is_over {
                    ranks.part_if_awaited()?;
                }
            }
            if is_over {
                return Ok(());
            }
            if is_cancelled || (ranks.is_alone() && progress.is_cancelled()) {
                if saved_at != step && ranks.is_first() {
                    self.write_checkpoint(state)?;
                }
                return Err(Stopped::Cancelled { step });
            }
            // All ranks hear of it with the same step, and stop after it.
            is_cancelled = self.step(state, &mut order, (ranks, progress.is_cancelled()))?;
            progress.report("train", state.optimiser.step, self.config.steps_max);
        }
    }

    /// Writes a checkpoint, once all ranks are known to have the same weights.
    fn save(&self, state: &mut State, ranks: &mut Ranks<'_>) -> Result<(), Stopped> {
        let weights = weights_to_bytes(&self.adaptation.trained, &state.optimiser.weights);
        ranks.compare(Digest::of(weights))?;
        if ranks.is_first() { self.write_checkpoint(state) } else { Ok(()) }
    }

    fn write_checkpoint(&self, state: &mut State) -> Result<(), Stopped> {
        let Some(directory) = self.checkpoints else { return Ok(()) };
        checkpoint::save(directory, self.key, &self.adaptation.trained, state)
            .map_err(Stopped::Checkpoint)
    }

    fn is_over(&self, state: &State) -> bool {
        self.training.is_empty()
            || state.optimiser.step >= self.config.steps_max
            || state.n_stale >= self.config.patience
    }

    fn is_judgement_due(&self, state: &State) -> bool {
        let step = state.optimiser.step;
        let is_judged = state.lines.last().map_or(0, |line| line.step) == step;
        !is_judged
            && (step.is_multiple_of(self.config.validate_every) || step == self.config.steps_max)
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

    /// One step of the optimiser, along the gradient of the whole batch. Nothing of it is done if a
    /// rank is lost meanwhile. Answers whether any rank is to stop.
    fn step(
        &self,
        state: &mut State,
        order: &mut Order,
        (ranks, is_to_stop): (&mut Ranks<'_>, bool),
    ) -> Result<bool, Stopped> {
        let mut cursor = state.cursor;
        let batch = self.next_batch(&mut cursor, order);
        let (gradient, told) =
            self.batch_gradient(&state.optimiser, &batch, (ranks, is_to_stop))?;
        let (losses, is_to_stop) = (Losses::from_floats(&told), told[Losses::N] > 0.0);
        state.cursor = cursor;
        state.optimiser.step(&gradient, &self.decayed, self.config);
        if self.config.adapt == Adapt::Adalora {
            let Optimiser { weights, average, step, .. } = &mut state.optimiser;
            self.adaptation.prune(weights, *step, self.config);
            self.adaptation.prune(average, *step, self.config);
        }
        state.window.add(&losses);
        tracing::debug!(
            step = state.optimiser.step,
            loss = losses.total(&self.config.losses),
            "trained a step"
        );
        Ok(is_to_stop)
    }

    /// The gradient of a batch with respect to what is trained, and behind it the batch's losses and
    /// how many ranks are to stop: of this rank's rows in micro-batches, summed over ranks.
    fn batch_gradient(
        &self,
        optimiser: &Optimiser,
        batch: &[usize],
        (ranks, is_to_stop): (&mut Ranks<'_>, bool),
    ) -> Result<(Vec<f32>, Vec<f32>), Stopped> {
        let own = ranks.share(batch.len());
        let places: Vec<usize> = own.collect();
        let micro_batches: Vec<&[usize]> = places.chunks(self.config.micro_batch).collect();
        let weights = &self.adaptation.weights(&optimiser.weights);
        let parts = self
            .workers
            .map(&micro_batches, |_, places| self.gradient(weights, places, batch, optimiser.step));
        let parts = parts.into_iter().map(|(gradient, of_part)| (gradient, of_part.to_floats()));
        let none = || (vec![0.0; weights.len()], [0.0; Losses::N]);
        let (gradient, losses) = in_pairs(parts.collect()).unwrap_or_else(none);
        let mut gradient = self.adaptation.gradient(&optimiser.weights, &gradient);
        let n_trained = gradient.len();
        // One message: the others travel behind the gradient.
        gradient.extend(losses);
        gradient.push(f32::from(u8::from(is_to_stop)));
        ranks.sum(&mut gradient)?;
        let told = gradient.split_off(n_trained);
        Ok((gradient, told))
    }

    /// The gradient of one micro-batch, the rows at these places of a batch, and its losses, as shares
    /// of the batch.
    fn gradient(
        &self,
        weights: &[f32],
        places: &[usize],
        batch: &[usize],
        step: u64,
    ) -> (Vec<f32>, Losses) {
        let n_batch = batch.len();
        let of_place = |place: &usize| {
            let row = &self.rows[batch[*place]];
            Some((&row.window, row.train.as_ref()?))
        };
        let (windows, targets): (Vec<_>, Vec<_>) = places.iter().filter_map(of_place).unzip();
        let weigh = &self.config.losses;
        let seed = |place: &usize| mix(self.config.seed, step, *place as u64);
        let mut noise = Dropout::new(places.iter().map(seed), self.config.dropout as f32);
        let pretrains = weigh.reconstruction > 0.0;
        let reconstruction = || {
            let seeds = places.iter().map(|place| mix(seed(place), 1, 0));
            let mut masks = Dropout::new(seeds, 0.0);
            let masks = (&mut masks, self.config.masked as f32);
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
            add(&mut gradient, &more);
            losses.reconstruction += loss.reconstruction;
        }
        (gradient, losses)
    }

    /// Validates the averaged weights, keeps them if they are the best, and writes a line.
    fn judge(&self, state: &mut State, ranks: &mut Ranks<'_>) -> Result<(), Stopped> {
        let average = &state.optimiser.average;
        let weights = self.adaptation.weights(average);
        let judged = (&self.validation[..], self.config);
        let validation = validate((self.network, &weights), judged, &self.workers, ranks)?;
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
        let rate = learning_rate(step, self.config);
        let window = std::mem::take(&mut state.window);
        let line = window.line((step, state.cursor.epoch), rate, validation.finite());
        tracing::info!(
            step,
            quantiles = line.quantiles,
            turns = line.turns,
            stages = line.stages,
            validation = validation.combined,
            wql = validation.wql,
            communication = ranks.communication(),
            "validated"
        );
        state.lines.push(line);
        Ok(())
    }
}

/// The sums of the parts of a batch, neighbours first: half of them on each of two ranks add up to the
/// same bits, where their number is a power of two.
fn in_pairs<const N: usize>(mut parts: Vec<(Vec<f32>, [f32; N])>) -> Option<(Vec<f32>, [f32; N])> {
    while parts.len() > 1 {
        let mut sums = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some((mut gradient, mut losses)) = rest.next() {
            if let Some((more, more_losses)) = rest.next() {
                add(&mut gradient, &more);
                add(&mut losses, &more_losses);
            }
            sums.push((gradient, losses));
        }
        parts = sums;
    }
    parts.pop()
}

fn add(sum: &mut [f32], terms: &[f32]) {
    sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
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
pub(crate) mod tests;
