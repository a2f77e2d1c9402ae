//! The one way from a window to an answer: the predictor, the explainer, the trainer's validation
//! and the servers all come here.

use std::sync::Arc;

use lifecycle::{Forecast, N_LEVELS, Outlook, StageProbabilities, UnitsForecast};
use panel::{Fitted, Settings, Window};

use crate::calibration::{Beside, Calibration};
use crate::dependence::Dependence;
use crate::files::{Description, Error};
use crate::heads::{
    ClassLogits, MEDIAN, N_UNIT_OUTPUTS, Outputs, Row, mean, mean_outputs, quantiles,
    turn_probabilities,
};
use crate::network::Network;
use crate::rollout::Rollout;
use crate::trees::Trees;
use crate::workers::Workers;

/// A trained model, ready to answer.
#[derive(Debug)]
pub struct Model {
    description: Description,
    members: Vec<Network>,
    weights: Vec<f32>,
    trees: Option<Trees>,
    builtin: Option<Arc<Model>>,
    fitted: Fitted,
    calibration: Calibration,
    dependence: Dependence,
    workers: Workers,
}

impl Model {
    /// A model of its parts. `weights` are those of its networks, of which it has at least one, one
    /// after the other; it answers their mean.
    pub fn new(
        description: Description,
        networks: &[Network],
        weights: Vec<f32>,
        fitted: Fitted,
    ) -> Self {
        let members = networks.iter().zip(parts(networks, &weights));
        let members = members.map(|(network, weights)| network.with_weights(weights)).collect();
        let calibration = description.calibrations.get(&fitted.frequency());
        let calibration = calibration.cloned().unwrap_or_default();
        let horizon = description.dimensions.horizon;
        let dependence = if calibration.correlations.len() == horizon * horizon {
            Dependence::new(horizon, calibration.correlations.clone())
        } else {
            Dependence::independent(horizon)
        };
        let workers = networks[0].workers();
        Self {
            description,
            members,
            weights,
            trees: None,
            builtin: None,
            fitted,
            calibration,
            dependence,
            workers,
        }
    }

    /// The model with trees beside its networks.
    #[must_use]
    pub fn with_trees(self, trees: Option<Trees>) -> Self {
        Self { trees, ..self }
    }

    /// The model with the built-in one beside its networks, which takes the same windows: placed on
    /// the same data, with the same standards.
    #[must_use]
    pub fn with_builtin(self, builtin: Option<Arc<Self>>) -> Self {
        Self { builtin, ..self }
    }

    /// The built-in model as it stands beside this one, if it does.
    pub fn builtin_beside(&self) -> Option<&Arc<Self>> {
        self.builtin.as_ref()
    }

    /// The trees, if it has any.
    pub fn trees(&self) -> Option<&Trees> {
        self.trees.as_ref()
    }

    /// The model as it answers for a panel: a foundation model takes the state that was fitted
    /// there. Refused where the panel's periods are of a length that the model never saw, or more
    /// of them are asked for than it can answer.
    pub fn on(self: &Arc<Self>, panel: &Fitted, settings: Settings) -> Result<Arc<Self>, Error> {
        let frequency = panel.frequency();
        if !self.description.calibrations.contains_key(&frequency) {
            let model = self.description.calibrations.keys().copied().collect();
            return Err(Error::OtherFrequency { model, panel: frequency });
        }
        if !self.description.is_foundation {
            return Ok(Arc::clone(self));
        }
        let most = self.description.settings.horizon;
        if settings.horizon > most {
            return Err(Error::HorizonTooLong { most, asked: settings.horizon });
        }
        let fitted = panel.with_standards_of(&self.fitted);
        let (description, weights) = (self.description.clone(), self.weights.clone());
        let placed = Self::new(description, &self.members, weights, fitted);
        Ok(Arc::new(placed.with_trees(self.trees.clone())))
    }

    /// The windows that this model takes, for a panel that asks for these.
    pub fn settings(&self, panel: Settings) -> Settings {
        let Settings { context, horizon } = self.description.settings;
        if self.description.is_foundation {
            return Settings { context: panel.context.min(context), horizon: panel.horizon };
        }
        Settings { context, horizon }
    }

    /// What `model.json` says.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The state that a [`panel::Cutter`] for this model's windows needs.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// All weights, in the order of each network's layout, one network after the other.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Its networks, with their weights.
    pub fn members(&self) -> &[Network] {
        &self.members
    }

    /// The weights of each network.
    pub fn weights_of_members(&self) -> impl Iterator<Item = &[f32]> {
        parts(&self.members, &self.weights)
    }

    /// Threads for what is asked of it.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Raw outputs for some windows, before any calibration.
    pub fn outputs(&self, windows: &[&Window]) -> Outputs {
        let members = self.members.iter().map(|network| network.outputs(windows));
        mean_outputs(members).expect("a model has a network")
    }

    /// Raw outputs of the networks, and below their gradient: [`Network::outputs_as`].
    pub fn outputs_as(&self, windows: &[&Window], seen_as: &Window) -> Outputs {
        let members = self.members.iter().map(|network| network.outputs_as(windows, seen_as));
        mean_outputs(members).expect("a model has a network")
    }

    /// The gradient of a loss with respect to each window's context, from that with respect to the
    /// mean raw outputs: [`Network::context_gradient`].
    pub fn context_gradient(
        &self,
        windows: &[&Window],
        seen_as: &Window,
        of_outputs: &Outputs,
    ) -> Option<Vec<Vec<f32>>> {
        let share = (self.members.len() as f32).recip();
        let mut sum: Option<Vec<Vec<f32>>> = None;
        for (network, weights) in self.members.iter().zip(self.weights_of_members()) {
            let mut shared = network.context_gradient(weights, windows, seen_as, of_outputs)?;
            shared.iter_mut().flatten().for_each(|slope| *slope *= share);
            if let Some(sum) = &mut sum {
                let terms = sum.iter_mut().flatten().zip(shared.iter().flatten());
                terms.for_each(|(sum, term)| *sum += term);
            } else {
                sum = Some(shared);
            }
        }
        sum
    }

    /// Where the attention of a Transformer goes in one window: of this model, as the mean of its
    /// members that attend, or of the built-in one beside it, and which of the two it is.
    pub fn rollout(&self, window: &Window) -> Option<(Rollout, &'static str)> {
        let of_members: Vec<Rollout> =
            self.members.iter().filter_map(|network| network.rollout(window)).collect();
        if let Some(rollout) = Rollout::mean(&of_members) {
            let is_of_all = of_members.len() == self.members.len();
            let of = if is_of_all { "the network" } else { "the networks with attention" };
            return Some((rollout, of));
        }
        let (rollout, _) = self.builtin.as_ref()?.rollout(window)?;
        Some((rollout, "the built-in model beside the network"))
    }

    /// Other opinions than the networks' on the classes of some windows.
    pub fn beside(&self, windows: &[&Window]) -> Vec<Beside> {
        let none = || vec![ClassLogits::default(); windows.len()];
        let trees = self.trees.as_ref().map_or_else(none, |trees| trees.logits(windows));
        let builtin = self.builtin.as_ref().map_or_else(none, |model| model.class_logits(windows));
        trees.into_iter().zip(builtin).map(|(trees, builtin)| Beside { trees, builtin }).collect()
    }

    /// Calibrated logits of the classes of some windows, of all opinions together.
    pub fn class_logits(&self, windows: &[&Window]) -> Vec<ClassLogits> {
        let (outputs, beside) = (self.outputs(windows), self.beside(windows));
        let rows = outputs.rows().zip(&beside);
        rows.map(|(row, beside)| self.calibration.logits(row, beside)).collect()
    }

    /// The answer for one window from the raw outputs and other opinions for it.
    fn answer(&self, window: &Window, row: Row<'_>, beside: &Beside) -> Forecast {
        let is_whole = self.fitted.is_whole;
        let mut quantiles = self.quantiles(window, &row.units[..n_steps(window) * N_UNIT_OUTPUTS]);
        let cumulative_quantiles = self.dependence.cumulative_quantiles(&quantiles, is_whole);
        if is_whole {
            // A quantile of counts is a count. Left between two, it is wrong by its own definition:
            // a series that sells nothing in 6 of 10 weeks has the quantile 0 at .5, not .1.
            for units in &mut quantiles {
                *units = units.round();
            }
        }
        let forecast = self.expected(window, row, beside);
        let units =
            forecast.units.map(|units| UnitsForecast { quantiles, cumulative_quantiles, ..units });
        Forecast { units, ..forecast }
    }

    /// The same without quantiles.
    fn expected(&self, window: &Window, row: Row<'_>, beside: &Beside) -> Forecast {
        let training = &self.description.training;
        let steps = row.units[..n_steps(window) * N_UNIT_OUTPUTS].chunks_exact(N_UNIT_OUTPUTS);
        let means = steps.map(|step| mean(step) * window.scale).collect();
        let classes = self.calibration.classes(row, beside);
        let stage = |head: usize| {
            let weights = classes.stages[head].map(f64::from);
            (training.n_stage_rows > 0).then(|| StageProbabilities::from_weights(weights))
        };
        let outlooks = std::array::from_fn(|horizon| Outlook {
            turns: (training.n_turn_rows > 0).then(|| turn_probabilities(classes.turns[horizon])),
            stage: stage(1 + horizon),
        });
        Forecast {
            series: window.series.clone(),
            origin: window.origin,
            units: Some(UnitsForecast { means, ..UnitsForecast::default() }),
            stage_now: stage(0),
            outlooks,
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
        }
    }

    /// Quantiles of units by step, wider at cold start, not yet whole. Shape `[horizon, N_LEVELS]`.
    fn quantiles(&self, window: &Window, units: &[f32]) -> Vec<f32> {
        let width = if window.cold_start { self.calibration.cold_start_width } else { 1.0 };
        let mut all = Vec::with_capacity(units.len() / N_UNIT_OUTPUTS * N_LEVELS);
        for step in units.chunks_exact(N_UNIT_OUTPUTS) {
            let scaled = quantiles(step);
            let median = scaled[MEDIAN];
            all.extend(scaled.map(|q| (median + width * (q - median)).max(0.0) * window.scale));
        }
        all
    }

    /// The dense network's answer: means alone.
    fn means(&self, window: &Window, standardised: &[f32]) -> Forecast {
        let scaling = self.description.dense;
        let units = |value: &f32| scaling.map_or(0.0, |scaling| scaling.units(*value));
        let means = standardised.iter().map(units).collect();
        Forecast {
            series: window.series.clone(),
            origin: window.origin,
            units: Some(UnitsForecast { means, ..UnitsForecast::default() }),
            stage_now: None,
            outlooks: [Outlook::default(); 3],
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
        }
    }
}

/// The weights of each of some networks that stand one after the other.
fn parts<'a>(networks: &'a [Network], mut weights: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
    networks.iter().map(move |network| {
        let (of_network, rest) = weights.split_at(network.layout().n_values());
        weights = rest;
        of_network
    })
}

/// Forecasts for windows, in their order. What else is in the call changes no answer beyond
/// rounding of the last digit.
pub fn forecast(model: &Model, windows: &[Window]) -> Vec<Forecast> {
    answers(model, windows, Model::answer)
}

/// The same without quantiles of units, for those who do not look at them: sums over sample paths
/// cost more than the network.
pub fn expectations(model: &Model, windows: &[Window]) -> Vec<Forecast> {
    answers(model, windows, Model::expected)
}

/// Forecasts for windows, by `answer` from a model with heads.
fn answers(
    model: &Model,
    windows: &[Window],
    answer: fn(&Model, &Window, Row<'_>, &Beside) -> Forecast,
) -> Vec<Forecast> {
    let chunks: Vec<&[Window]> = windows.chunks(model.members[0].answer_batch()).collect();
    let answers = model.workers.map(&chunks, |_, chunk| {
        let windows: Vec<&Window> = chunk.iter().collect();
        let outputs = model.outputs(&windows);
        if model.description.has_heads() {
            let beside = model.beside(&windows);
            let rows = chunk.iter().zip(outputs.rows()).zip(&beside);
            rows.map(|((window, row), beside)| answer(model, window, row, beside))
                .collect::<Vec<_>>()
        } else {
            let rows = chunk.iter().zip(outputs.units.chunks_exact(outputs.horizon));
            rows.map(|(window, units)| model.means(window, units)).collect()
        }
    });
    answers.into_iter().flatten().collect()
}

/// Sample paths of units, shape `[horizon, N_PATHS]`; empty from a model of means only. Their
/// quantiles are those of [`forecast`].
pub fn paths(model: &Model, window: &Window) -> Vec<f32> {
    let of_window = |window: &Window| {
        let outputs = model.outputs(&[window]);
        let mut rows = outputs.rows();
        rows.next().map_or_else(Vec::new, |row| {
            let units = &row.units[..n_steps(window) * N_UNIT_OUTPUTS];
            let quantiles = model.quantiles(window, units);
            model.dependence.paths(&quantiles, model.fitted.is_whole)
        })
    };
    model.workers.map(&[window], |_, window| of_window(window)).into_iter().flatten().collect()
}

/// Steps that a window asks for: a network's longest horizon may be longer.
fn n_steps(window: &Window) -> usize {
    window.horizon.len() / panel::HORIZON_INPUTS.len()
}
