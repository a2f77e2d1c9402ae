//! What is trained, and how: the `[[model]]` entry of a pipeline.

use std::collections::BTreeSet;

use lifecycle::{Invalid, ProductId};
use model::{Kind, MEMBERS_MAX, Size};
use serde::{Deserialize, Serialize};

/// How a model is trained. Time limits are none of it: the same configuration gives the same model
/// on a slow machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Networks that are trained, each from a seed of its own; the model answers their mean. A base
    /// model brings its own, and `builtin` may add one.
    pub members: Vec<Kind>,
    /// How large they are, of networks of patches; a base model brings its own.
    pub size: Size,
    /// Boosted trees are grown beside the network for turns and stages; not of a foundation model.
    pub trees: bool,
    /// What the built-in model does for this one, where it takes the data's windows.
    pub builtin: Builtin,
    /// Where training starts.
    pub from: Start,
    /// The model answers for any panel of the frequencies that it was trained on, with the seasons,
    /// launches and prices that are fitted there.
    pub foundation: bool,
    /// What of a base model is trained.
    pub adapt: Adapt,
    /// Rank of low-rank updates, width of adapters.
    pub rank: usize,
    /// Seed of starting weights, order of rows and dropout.
    pub seed: u64,
    /// Most steps of the optimiser; with a base model 0 are allowed: it is published as it is.
    pub steps_max: u64,
    /// Rows of one step.
    pub batch: usize,
    /// Rows of one forward pass; part of the meaning, since gradients add up in its order.
    pub micro_batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Share of the steps in which the learning rate rises.
    pub warmup: f64,
    /// Pull of matrices towards zero, in multiples of the learning rate (decoupled).
    pub weight_decay: f64,
    /// Which optimiser.
    pub optimiser: OptimiserKind,
    /// Share of hidden units dropped; of inputs half as many.
    pub dropout: f64,
    /// Memory of the averaged weights, which are the ones validated and kept.
    pub average: f64,
    /// Longest gradient; longer ones are scaled down.
    pub gradient_norm_max: f64,
    /// Steps between validations.
    pub validate_every: u64,
    /// Validations without an improvement before training stops.
    pub patience: u64,
    /// Most training rows; more are thinned evenly over origins, from a seeded start by series.
    pub rows_max: usize,
    /// Most validation rows, and most of those that turns are judged by.
    pub validation_rows_max: usize,
    /// Share of seen products whose stage labels are validated on instead of trained on.
    pub stage_holdout: f64,
    /// A row's units weigh as its scale to this power: 1 is WQL itself, where a few large series
    /// count alone; 0 counts series.
    pub scale_power: f64,
    /// Share of seen products whose targets are learnt from; the others serve the reconstruction of
    /// masked patches alone.
    pub labelled: f64,
    /// Products that are learnt from beside that share.
    pub labelled_also: BTreeSet<ProductId>,
    /// Where few products are learnt from, train on from the model's own answers for the others,
    /// wherever the likeliest class has at least this probability; none: do not.
    pub pseudo_labels: Option<f64>,
    /// Share of patches that are masked for the reconstruction.
    pub masked: f64,
    /// Weights of the parts of the loss.
    pub losses: LossWeights,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// What the built-in model does for a model that is trained; nothing for a foundation model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builtin {
    /// Nothing.
    None,
    /// It answers turns and stages beside the networks, weighed on validation rows.
    Beside,
    /// It does, and its network, trained on, is one more member, but for a training that starts from a
    /// base model.
    #[default]
    Member,
}

/// Where training starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Random weights.
    #[default]
    Scratch,
    /// The built-in model.
    Builtin,
    /// The model given as input `base`.
    Model,
}

/// What of a base model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adapt {
    /// All weights.
    #[default]
    Full,
    /// The last layers of the heads: a linear probe.
    Probe,
    /// Bottlenecks after each layer of attention (Houlsby et al. 2019), and the heads' biases.
    Adapter,
    /// An update of low rank to each matrix (Hu et al. 2021), and all biases.
    Lora,
    /// The same with ranks moved to where they count (Zhang et al. 2023, `AdaLoRA`).
    Adalora,
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    #[default]
    Adamw,
    /// Stochastic gradient descent with a momentum of 0.9.
    Sgd,
}

/// Weights of the parts of the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Pinball losses of the quantiles.
    pub quantiles: f32,
    /// Huber loss of the mean.
    pub mean: f32,
    /// Cross-entropy of turns, by horizon.
    pub turns: f32,
    /// Cross-entropy of stages, now and by horizon.
    pub stages: f32,
    /// Squared error of the units of masked patches: pretraining, where the others are 0.
    pub reconstruction: f32,
}

impl LossWeights {
    /// Whether nothing but masked patches is learnt: pretraining.
    pub fn is_reconstruction_alone(&self) -> bool {
        let Self { quantiles, mean, turns, stages, reconstruction } = *self;
        reconstruction > 0.0 && [quantiles, mean, turns, stages].iter().all(|weight| *weight == 0.0)
    }
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { quantiles: 4.0, mean: 0.2, turns: 1.0, stages: 0.5, reconstruction: 0.0 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            size: Size::Small,
            members: vec![Kind::Lstm],
            trees: true,
            builtin: Builtin::Member,
            from: Start::Scratch,
            foundation: false,
            adapt: Adapt::Full,
            rank: 2,
            seed: 1,
            steps_max: 2000,
            batch: 128,
            micro_batch: 64,
            learning_rate: 4e-3,
            warmup: 0.05,
            weight_decay: 0.02,
            optimiser: OptimiserKind::Adamw,
            dropout: 0.1,
            average: 0.998,
            gradient_norm_max: 1.0,
            validate_every: 100,
            patience: 5,
            rows_max: 60_000,
            validation_rows_max: 6_000,
            stage_holdout: 0.1,
            scale_power: 0.5,
            labelled: 1.0,
            labelled_also: BTreeSet::new(),
            pseudo_labels: None,
            masked: 0.3,
            losses: LossWeights::default(),
            checkpoint_every: 200,
        }
    }
}

impl Config {
    /// Whether quantiles, turns and stages are learnt; else means of units alone.
    pub fn has_heads(&self) -> bool {
        self.members.iter().all(|kind| kind.has_heads())
    }

    /// Whether the built-in model's network may be one more member.
    pub(crate) fn adds_builtin(&self) -> bool {
        self.builtin == Builtin::Member
            && self.from == Start::Scratch
            && !self.losses.is_reconstruction_alone()
    }

    /// Checks every number.
    pub fn validate(&self) -> Result<(), Invalid> {
        let counts = [
            (
                "members",
                self.members.len() as u64,
                MEMBERS_MAX as u64 - u64::from(self.adds_builtin()),
            ),
            ("rank", self.rank as u64, 256),
            ("steps_max", self.steps_max.max(u64::from(self.from != Start::Scratch)), 10_000_000),
            ("batch", self.batch as u64, 1 << 16),
            ("micro_batch", self.micro_batch as u64, 4096),
            ("validate_every", self.validate_every, 10_000_000),
            ("patience", self.patience, 1_000_000),
            ("rows_max", self.rows_max as u64, 100_000_000),
            ("validation_rows_max", self.validation_rows_max as u64, 100_000_000),
            ("checkpoint_every", self.checkpoint_every, 10_000_000),
        ];
        for (field, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(Invalid::new(field, format!("{value} must be 1 to {most}")));
            }
        }
        let losses = self.losses;
        let numbers = [
            ("learning_rate", self.learning_rate, 1e-7, 1.0),
            ("warmup", self.warmup, 0.0, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 10.0),
            ("dropout", self.dropout, 0.0, 0.9),
            ("average", self.average, 0.0, 0.999_999),
            ("gradient_norm_max", self.gradient_norm_max, 1e-6, 1e6),
            ("stage_holdout", self.stage_holdout, 0.0, 0.9),
            ("scale_power", self.scale_power, 0.0, 1.0),
            ("labelled", self.labelled, 0.0, 1.0),
            ("pseudo_labels", self.pseudo_labels.unwrap_or(1.0), 0.0, 1.0),
            ("masked", self.masked, 0.0, 0.95),
            ("losses.reconstruction", f64::from(losses.reconstruction), 0.0, 1e3),
            ("losses.quantiles", f64::from(losses.quantiles), 0.0, 1e3),
            ("losses.mean", f64::from(losses.mean), 0.0, 1e3),
            ("losses.turns", f64::from(losses.turns), 0.0, 1e3),
            ("losses.stages", f64::from(losses.stages), 0.0, 1e3),
        ];
        for (field, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return Err(Invalid::new(field, format!("{value} must be {least} to {most}")));
            }
        }
        if self.labelled == 0.0 && self.labelled_also.is_empty() && losses.reconstruction == 0.0 {
            return Err(Invalid::new("labelled", "0 leaves nothing to learn from"));
        }
        if self.from == Start::Scratch && self.adapt != Adapt::Full {
            return Err(Invalid::new("adapt", "needs a base model: set `from`"));
        }
        if self.pseudo_labels.is_some()
            && (!self.has_heads() || self.foundation || self.losses.reconstruction > 0.0)
        {
            let reason = "is of networks with turns and stages, of one data set, and without \
                          `losses.reconstruction`";
            return Err(Invalid::new("pseudo_labels", reason));
        }
        if !self.has_heads() && (self.members.len() > 1 || self.from != Start::Scratch) {
            let reason = "the dense baseline stands alone, without a base model";
            return Err(Invalid::new("members", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_wild_numbers_are_refused_by_name() {
        let unknown = toml::from_str::<Config>("learing_rate = 0.1").expect_err("no such key");
        assert!(unknown.to_string().contains("learing_rate"));
        for (text, field) in [
            ("batch = 0", "batch"),
            ("dropout = 0.95", "dropout"),
            ("learning_rate = nan", "learning_rate"),
            ("[losses]\nturns = -1.0", "losses.turns"),
            ("adapt = \"lora\"", "adapt"),
            ("labelled = 0.0", "labelled"),
        ] {
            let config: Config = toml::from_str(text).expect("reads");
            assert_eq!(config.validate().expect_err(text).field, field);
        }
        Config::default().validate().expect("the default is valid");
    }
}
