//! What a training fits: the networks of all members, trees beside them, and what is calibrated on
//! validation rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifecycle::{Frequency, Progress};
use model::{Calibration, Description, Model, Network, Training, Trees, Workers};
use panel::Fitted;

use crate::boosting::grow_all;
use crate::config::Config;
use crate::data::Data;
use crate::ranks::{Alone, Ranks, together};
use crate::rows::{Row, Rows};
use crate::scatter::Scatter;
use crate::stage::{Error, PLACED_ROWS_MAX, placed, write};
use crate::state::State;
use crate::training::{Outcome, Task, train_on};
use crate::validation::{calibrate, validate_model};

/// What members are trained on, and how.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) config: &'a Config,
    pub(crate) checkpoint: Option<&'a Path>,
    pub(crate) data: &'a Data,
    pub(crate) progress: &'a dyn Progress,
}

/// All members and trees, trained and calibrated.
pub(crate) struct Fit {
    description: Description,
    pub(crate) weights: Vec<f32>,
    trees: Option<Trees>,
    builtin: Option<Arc<Model>>,
    /// `training.jsonl`.
    pub(crate) lines: Vec<String>,
    /// Of the first member.
    pub(crate) best: Outcome,
}

impl Setup<'_> {
    /// Trains in this process alone, from these weights of the networks, or from random ones.
    pub(crate) fn fit(
        &self,
        description: &Description,
        (networks, starts): (&[Network], &[Option<Vec<f32>>]),
    ) -> Result<Fit, Error> {
        let mut states = Vec::new();
        let train =
            |ranks: &mut Ranks<'_>| self.train_members((networks, starts), &mut states, ranks);
        let outcomes = together(&mut Alone, train)?;
        Ok(self.finish(description, networks, outcomes))
    }

    /// Trains each network from a seed of its own. What was done when a rank is lost stands in
    /// `states`.
    pub(crate) fn train_members(
        &self,
        (networks, starts): (&[Network], &[Option<Vec<f32>>]),
        states: &mut Vec<Option<State>>,
        ranks: &mut Ranks<'_>,
    ) -> Result<Vec<Outcome>, Error> {
        let Self { config, checkpoint, data, progress } = *self;
        states.resize(networks.len(), None);
        let mut outcomes = Vec::with_capacity(networks.len());
        let members = networks.iter().zip(starts).zip(states);
        for (member, ((network, start), state)) in members.enumerate() {
            let config = Config { seed: config.seed + member as u64, ..config.clone() };
            let checkpoints = checkpoint.map(|folder| folder.join(format!("member-{member}")));
            let progress = Member { progress, done: member, total: networks.len() };
            let base = start.as_deref();
            let (config, checkpoints) = (&config, checkpoints.as_deref());
            let task = Task { network, base, rows: &data.rows, config, checkpoints };
            let outcome = train_on(ranks, task, state, &progress);
            outcomes.push(outcome.map_err(Error::Stopped)?);
        }
        Ok(outcomes)
    }

    /// Grows trees beside the networks, asks the built-in model, and fits on validation rows what is
    /// fitted there.
    pub(crate) fn finish(
        &self,
        description: &Description,
        networks: &[Network],
        mut outcomes: Vec<Outcome>,
    ) -> Fit {
        let Self { config, data, progress, .. } = *self;
        let rows = &data.rows;
        let mut description = description.clone();
        describe(&mut description, config, rows, &outcomes[0]);
        let weights: Vec<f32> = outcomes.iter().flat_map(|o| o.weights.iter().copied()).collect();
        let mut lines: Vec<String> = outcomes.iter().flat_map(|o| o.lines.clone()).collect();
        let raw = Model::new(description.clone(), networks, weights.clone(), data.fitted.clone());
        if networks.len() > 1 {
            let all = rows.rows.iter().filter(|row| row.validation.is_some()).collect::<Vec<_>>();
            let of_all = validate_model(&raw, &all, raw.workers());
            description.training.validation = of_all.combined;
            let line = serde_json::json!({"members": networks.len(), "validation": of_all});
            lines.push(line.to_string());
        }
        let has_heads = description.has_heads();
        let trees = (config.trees && has_heads && !config.foundation).then(|| {
            progress.report("grow trees", 0, 1);
            grow_all(&rows.rows, config.seed, &Workers::default())
        });
        let mut builtin = None;
        if has_heads {
            progress.report("calibrate", 0, 1);
            builtin = data.builtin.as_ref().and_then(|builtin| placed_on(builtin, data));
            let whole = raw.with_trees(trees.clone()).with_builtin(builtin.clone());
            description.calibrations = calibrations(&whole, data);
        }
        Fit { description, weights, trees, builtin, lines, best: outcomes.swap_remove(0) }
    }

    /// Writes the model and what is told of its training.
    pub(crate) fn write(
        &self,
        fit: &Fit,
        networks: &[Network],
        lines: &[String],
        output: &Path,
    ) -> Result<Model, Error> {
        let data = self.data;
        // What was fitted on the data of a foundation model is of no use elsewhere.
        let fitted = if self.config.foundation {
            Fitted::unfitted(data.fitted.frequency()).with_standards_of(&data.fitted)
        } else {
            data.fitted.clone()
        };
        let model = fit.model(networks, fitted);
        model.save(output).map_err(Error::Model)?;
        write(&output.join("training.jsonl"), &(lines.join("\n") + "\n"))?;
        if !self.config.has_heads() {
            let scatter = Scatter::sample(&model, &data.validation(data.parts[0].0));
            let text = serde_json::to_string(&scatter).expect("plain structs become JSON");
            write(&output.join("scatter.json"), &text)?;
        }
        Ok(model)
    }
}

impl Fit {
    /// The model, with state that is fitted to some panel.
    pub(crate) fn model(&self, networks: &[Network], fitted: Fitted) -> Model {
        let model = Model::new(self.description.clone(), networks, self.weights.clone(), fitted);
        model.with_trees(self.trees.clone()).with_builtin(self.builtin.clone())
    }
}

/// The built-in model as it answers for this data, calibrated on some of its rows.
fn placed_on(builtin: &Arc<Model>, data: &Data) -> Option<Arc<Model>> {
    let rows = &data.rows.rows;
    let some: Vec<&Row> =
        rows.iter().step_by(rows.len().div_ceil(PLACED_ROWS_MAX).max(1)).collect();
    let placed = placed(builtin, (&data.fitted, data.settings), &some);
    placed.inspect_err(|error| tracing::error!(%error, "built-in")).ok().map(Arc::new)
}

/// Progress of one member among all.
struct Member<'a> {
    progress: &'a dyn Progress,
    done: usize,
    total: usize,
}

impl Progress for Member<'_> {
    fn report(&self, part: &str, done: u64, total: u64) {
        let (done_before, members) = (self.done as u64, self.total as u64);
        self.progress.report(part, done_before * total + done, members * total);
    }

    fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }
}

/// What is fitted on the validation rows of each frequency.
fn calibrations(raw: &Model, data: &Data) -> BTreeMap<Frequency, Calibration> {
    let of_frequency = |frequency: &Frequency| {
        let rows = data.validation(*frequency);
        let calibration = calibrate(raw, &rows, data.fitted.is_whole, raw.workers());
        tracing::info!(?frequency, ?calibration, "calibrated");
        (*frequency, calibration)
    };
    raw.description().calibrations.keys().map(of_frequency).collect()
}

fn describe(description: &mut Description, config: &Config, rows: &Rows, outcome: &Outcome) {
    let targets = || rows.rows.iter().filter_map(|row| row.train.as_ref());
    let count = |has: &dyn Fn(&crate::rows::Target) -> bool| targets().filter(|t| has(t)).count();
    description.training = Training {
        seed: config.seed,
        n_rows: targets().count(),
        n_turn_rows: count(&|target| target.turns.iter().any(Option::is_some)),
        n_stage_rows: count(&|target| target.stages.iter().any(Option::is_some)),
        n_steps: outcome.n_steps,
        best_step: outcome.best_step,
        validation: outcome.validation,
    };
}
