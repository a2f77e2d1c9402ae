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
        output_names(self.variants.cutter().meta().settings.horizon)
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

/// Names of [`outputs_of`], in its order.
pub fn output_names(horizon: usize) -> Vec<String> {
    let mut names = vec![units_name(horizon)];
    names.extend(Turn::ALL.map(|turn| turn_name(turn.name())));
    names.push(now_name(Stage::Decline.name()));
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

/// The explained outputs of one forecast; 0 where the forecaster does not give one.
pub fn outputs_of(forecast: &Forecast) -> Vec<f64> {
    let total = |means: &[f32]| means.iter().map(|mean| f64::from(*mean)).sum::<f64>();
    let mut outputs = vec![forecast.units.as_ref().map_or(0.0, |units| total(&units.means))];
    outputs.extend(forecast.outlooks[OUTLOOK].turns.unwrap_or_default().map(f64::from));
    let decline = forecast.stage_now.map_or(0.0, |stages| stages.of(Stage::Decline));
    outputs.push(f64::from(decline));
    outputs
}
