//! All that changes from step to step of a training.

use model::Kind;
use serde::{Deserialize, Serialize};

use crate::losses::Losses;
use crate::optimiser::Optimiser;
use crate::validation::Validation;

/// All that changes from step to step.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct State {
    pub(crate) optimiser: Optimiser,
    pub(crate) best: Best,
    /// Validations since the best.
    pub(crate) n_stale: u64,
    pub(crate) window: Window,
    pub(crate) lines: Vec<Line>,
    pub(crate) cursor: Cursor,
}

impl State {
    /// All vectors, each with one value for each number that is trained.
    pub(crate) fn vectors_mut(&mut self) -> [&mut Vec<f32>; 5] {
        let Optimiser { step: _, weights, mean, square, average } = &mut self.optimiser;
        [weights, mean, square, average, &mut self.best.weights]
    }
}

/// The weights to keep, so far.
#[derive(Debug, Clone, PartialEq, Default)]
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

impl Window {
    /// Takes the losses of one more step; of one that diverged, which moved no weight, nothing.
    pub(crate) fn add(&mut self, losses: &Losses) {
        if !losses.to_floats().iter().all(|loss| loss.is_finite()) {
            return;
        }
        self.n_steps += 1;
        self.quantiles += losses.quantiles;
        self.mean += losses.mean;
        self.turns += losses.turns;
        self.stages += losses.stages;
        self.reconstruction += losses.reconstruction;
    }

    /// The line of a validation: mean losses of the steps before it.
    pub(crate) fn line(
        self,
        (step, epoch): (u64, u64),
        learning_rate: f64,
        validation: Validation,
    ) -> Line {
        let n_steps = self.n_steps.max(1) as f64;
        Line {
            step,
            epoch,
            learning_rate,
            quantiles: self.quantiles / n_steps,
            mean: self.mean / n_steps,
            turns: self.turns / n_steps,
            stages: self.stages / n_steps,
            reconstruction: self.reconstruction / n_steps,
            validation,
        }
    }
}

/// Where the data stands: the next batch begins at `position` of the epoch's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) position: usize,
}

/// A line of `training.jsonl`. Networks of one model have seeds of their own.
#[derive(Debug, Serialize)]
pub(crate) struct OfNetwork<'a> {
    pub(crate) network: Kind,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) line: &'a Line,
}

/// Losses of a network up to a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) learning_rate: f64,
    pub(crate) quantiles: f64,
    pub(crate) mean: f64,
    pub(crate) turns: f64,
    pub(crate) stages: f64,
    pub(crate) reconstruction: f64,
    pub(crate) validation: Validation,
}
