//! The function that is explained: from raw histories to the outputs that a planner asks about.

use std::collections::BTreeMap;

use lifecycle::{Forecast, OUTLOOK_WEEKS, Period, Stage, Turn};
use panel::{CategoryUnits, Cutter, History, PanelMeta, Plan, Variants, Window};
use rayon::prelude::*;

use crate::Error;

/// A history as it might have been, and what might be planned for the periods after the origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Altered {
    /// Up to the origin.
    pub history: History,
    /// After it.
    pub plan: Plan,
}

/// Answers outputs for histories; the explainer knows nothing else of a model.
pub trait Explained: std::fmt::Debug + Sync {
    /// Names of the outputs. Length `n_outputs`.
    fn names(&self) -> Vec<String>;

    /// The outputs of each history as of the origin. Shape `[n_histories, n_outputs]`.
    fn outputs(&self, histories: &[History], origin: Period) -> Result<Vec<Vec<f64>>, Error>;

    /// The whole forecast of each as of the origin, but for quantiles of units.
    fn forecasts(&self, altered: &[Altered], origin: Period) -> Result<Vec<Forecast>, Error>;
}

/// A model in this process: histories go through `panel`'s windows and the model's answers, as the
/// served answer does.
#[derive(Debug)]
pub struct InProcess<'a> {
    model: &'a model::Model,
    variants: Variants<'a>,
}

impl<'a> InProcess<'a> {
    /// A model on a panel, of which are given the calendar with settings and the category totals.
    pub fn new(
        model: &'a model::Model,
        meta: &'a PanelMeta,
        categories: &'a BTreeMap<String, CategoryUnits>,
    ) -> Self {
        let cutter = Cutter::new(meta, categories, model.fitted());
        Self { model, variants: Variants::new(cutter) }
    }

    /// What the model sees of a history at an origin.
    pub fn window(&self, history: &History, origin: Period) -> Window {
        self.variants.window(history, origin)
    }
}

impl Explained for InProcess<'_> {
    fn names(&self) -> Vec<String> {
        let description = self.model.description();
        let (has_heads, training) = (description.has_heads(), &description.training);
        let given = Given {
            turns: has_heads && training.n_turn_rows > 0,
            stages: has_heads && training.n_stage_rows > 0,
        };
        output_names(self.variants.cutter().meta().settings.horizon, given)
    }

    fn outputs(&self, histories: &[History], origin: Period) -> Result<Vec<Vec<f64>>, Error> {
        let windows = histories.par_iter().map(|history| self.variants.window(history, origin));
        let forecasts = model::expectations(self.model, &windows.collect::<Vec<_>>());
        Ok(forecasts.iter().map(outputs_of).collect())
    }

    fn forecasts(&self, altered: &[Altered], origin: Period) -> Result<Vec<Forecast>, Error> {
        let window = |of: &Altered| self.variants.window_with_plan(&of.history, origin, &of.plan);
        let windows: Vec<_> = altered.par_iter().map(window).collect();
        Ok(model::expectations(self.model, &windows))
    }
}

/// The outlook whose turns are explained: 13 weeks.
pub(crate) const OUTLOOK: usize = 1;

/// What a forecaster gives beside units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Probabilities of turns.
    pub turns: bool,
    /// Probabilities of stages.
    pub stages: bool,
}

impl Given {
    /// All there is.
    pub const ALL: Self = Self { turns: true, stages: true };
}

/// Names of [`outputs_of`] a forecaster that gives so much, in its order.
pub fn output_names(horizon: usize, given: Given) -> Vec<String> {
    let mut names = vec![units_name(horizon)];
    if given.turns {
        names.extend(Turn::ALL.map(|turn| turn_name(turn.name())));
    }
    if given.stages {
        names.push(now_name(Stage::Decline.name()));
    }
    names
}

/// Name of the units over the horizon.
pub(crate) fn units_name(horizon: usize) -> String {
    format!("units, periods 1 to {horizon}")
}

/// Name of the probability of a turn.
pub(crate) fn turn_name(class: &str) -> String {
    format!("P({class} by {} weeks)", OUTLOOK_WEEKS[OUTLOOK])
}

/// Name of the probability of a stage at the origin.
pub(crate) fn now_name(class: &str) -> String {
    format!("P({class} now)")
}

/// The explained outputs of one forecast, without those that the forecaster does not give: those are
/// not 0.
pub fn outputs_of(forecast: &Forecast) -> Vec<f64> {
    let total = |means: &[f32]| means.iter().map(|mean| f64::from(*mean)).sum::<f64>();
    let mut outputs: Vec<f64> = forecast.units.iter().map(|units| total(&units.means)).collect();
    outputs.extend(forecast.outlooks[OUTLOOK].turns.iter().flatten().copied().map(f64::from));
    outputs.extend(forecast.stage_now.map(|stages| f64::from(stages.of(Stage::Decline))));
    outputs
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use lifecycle::{Frequency, Series};
    use model::{Description, Dimensions, Kind, Member, Model, Size, initial_weights};
    use panel::{
        CONTEXT_INPUTS, Channel, Fitted, HORIZON_INPUTS, Panel, STATIC_INPUTS, Settings, Statics,
        category_units,
    };

    use super::*;

    /// One mug that sells the same each week.
    pub(crate) fn panel() -> Panel {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![4.0; 60];
        let mug = History {
            series: Series::of("mug"),
            statics: Statics::default(),
            start: Period(0),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        };
        Panel {
            frequency: Frequency::Week,
            start: Period(0),
            n_periods: 60,
            units_per_one: 1.0,
            share_depth: 0,
            all_lives_ended: false,
            histories: vec![mug],
        }
    }

    /// A model of random weights that says to have seen so many rows with turns and with stages.
    pub(crate) fn model(panel: &Panel, (n_turn_rows, n_stage_rows): (usize, usize)) -> Arc<Model> {
        let settings = Settings::default_for(panel.frequency);
        let dimensions = Dimensions {
            context: settings.context,
            horizon: settings.horizon,
            n_context_inputs: CONTEXT_INPUTS.len(),
            n_static_inputs: STATIC_INPUTS.len(),
            n_horizon_inputs: HORIZON_INPUTS.len(),
        };
        let member = Member { kind: Kind::Lstm, size: Size::Tiny };
        let mut description = Description::new(vec![member], dimensions);
        description.training.n_turn_rows = n_turn_rows;
        description.training.n_stage_rows = n_stage_rows;
        let networks = description.networks().expect("networks");
        let weights = initial_weights(&networks[0].layout(), 1);
        let fitted = Fitted::unfitted(panel.frequency);
        Arc::new(Model::new(description, &networks, weights, fitted))
    }

    #[test]
    fn what_a_model_has_not_learnt_is_no_output() {
        let panel = panel();
        let categories = category_units(&panel);
        for (n_turn_rows, n_stage_rows, n_outputs) in [(1, 1, 5), (1, 0, 4), (0, 1, 2), (0, 0, 1)] {
            let model = model(&panel, (n_turn_rows, n_stage_rows));
            let settings = model.settings(Settings::default_for(panel.frequency));
            let meta = panel.meta(settings);
            let explained = InProcess::new(&model, &meta, &categories);
            let outputs = explained.outputs(&panel.histories, Period(55)).expect("a model");
            assert_eq!((explained.names().len(), outputs[0].len()), (n_outputs, n_outputs));
            assert!(outputs[0][1..].iter().all(|probability| *probability > 0.0), "{outputs:?}");
        }
    }
}
