//! The function that is explained: from raw histories to the outputs that a planner asks about.

use std::collections::BTreeMap;

use lifecycle::{Forecast, OUTLOOK_WEEKS, Period, Stage, Turn};
use panel::{CategoryUnits, Cutter, Fitted, History, PanelMeta};

use crate::Error;

/// Answers outputs for histories; the explainer knows nothing else of a model.
pub trait Explained {
    /// Names of the outputs. Length `n_outputs`.
    fn names(&self) -> Vec<String>;

    /// The outputs of each history as of the origin. Shape `[n_histories, n_outputs]`.
    fn outputs(&self, histories: &[History], origin: Period) -> Result<Vec<Vec<f64>>, Error>;
}

/// A model in this process: histories go through `panel`'s windows and `model::forecast`, as the
/// served answer does.
#[derive(Debug)]
pub struct InProcess<'a> {
    /// The model.
    pub model: &'a model::Model,
    /// Calendar and settings of its features.
    pub meta: &'a PanelMeta,
    /// Category totals.
    pub categories: &'a BTreeMap<String, CategoryUnits>,
    /// Fitted state.
    pub fitted: &'a Fitted,
}

impl Explained for InProcess<'_> {
    fn names(&self) -> Vec<String> {
        output_names(self.meta.settings.horizon)
    }

    fn outputs(&self, histories: &[History], origin: Period) -> Result<Vec<Vec<f64>>, Error> {
        let cutter = Cutter::new(self.meta, self.categories, self.fitted);
        let windows: Vec<panel::Window> =
            histories.iter().flat_map(|history| cutter.windows(history, &[origin])).collect();
        let forecasts = model::forecast(self.model, &windows);
        Ok(forecasts.iter().map(outputs_of).collect())
    }
}

/// The outlook whose turns are explained: 13 weeks.
const OUTLOOK: usize = 1;

/// Names of [`outputs_of`], in its order.
pub fn output_names(horizon: usize) -> Vec<String> {
    let mut names = vec![format!("units, periods 1 to {horizon}")];
    let weeks = OUTLOOK_WEEKS[OUTLOOK];
    names.extend(Turn::ALL.map(|turn| format!("P({} by {weeks} weeks)", turn.name())));
    names.push(format!("P({} now)", Stage::Decline.name()));
    names
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
