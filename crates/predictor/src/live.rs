//! A model and a panel in memory: one forecast at a time, for servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifecycle::{Forecast, Period, Series};
use model::Model;
use panel::{
    CategoryUnits, Cutter, Fitted, History, Panel, PanelMeta, Settings, Window, category_units,
};
use tables::FeaturesDir;

use crate::error::Error;

/// A model with the panel that it forecasts. Cheap to clone; answers are those of the batch stage.
#[derive(Debug, Clone)]
pub struct Predictor {
    model: Arc<Model>,
    meta: PanelMeta,
    panel: Arc<LoadedPanel>,
}

/// A panel in memory, with the totals of its categories.
#[derive(Debug)]
pub struct LoadedPanel {
    /// Its histories are sorted by series.
    panel: Panel,
    settings: Settings,
    fitted: Fitted,
    categories: BTreeMap<String, CategoryUnits>,
}

impl LoadedPanel {
    /// Reads the panel of a features artifact.
    pub fn open(features: &Path) -> Result<Self, Error> {
        let features = FeaturesDir::open(features).map_err(Error::Features)?;
        let panel = features.panel().map_err(Error::Features)?;
        Ok(Self::new(panel, features.meta().settings, features.fitted().clone()))
    }

    /// Adds up the categories of a panel, beside the state that was fitted on it.
    pub fn new(panel: Panel, settings: Settings, fitted: Fitted) -> Self {
        let categories = category_units(&panel);
        Self { panel, settings, fitted, categories }
    }

    /// The panel.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// The history of a series.
    pub fn history(&self, series: &Series) -> Result<&History, Error> {
        self.panel.history(series).ok_or_else(|| Error::UnknownSeries(series.clone()))
    }
}

impl Predictor {
    /// Opens a features artifact and a model.
    pub fn open(features: &Path, model: &Path) -> Result<Self, Error> {
        let model = Model::load(model).map_err(Error::Model)?;
        Self::new(&Arc::new(model), Arc::new(LoadedPanel::open(features)?))
    }

    /// Joins a model and a panel.
    pub fn new(model: &Arc<Model>, panel: Arc<LoadedPanel>) -> Result<Self, Error> {
        let model = model.on(&panel.fitted, panel.settings).map_err(Error::Model)?;
        // Windows are cut as the model needs them, whatever the panel was written for.
        let meta = panel.panel.meta(model.settings(panel.settings));
        Ok(Self { model, meta, panel })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The panel with its histories.
    pub fn panel(&self) -> &LoadedPanel {
        &self.panel
    }

    /// The panel without its histories.
    pub fn meta(&self) -> &PanelMeta {
        &self.meta
    }

    /// All histories, sorted by series.
    pub fn histories(&self) -> &[History] {
        &self.panel.panel.histories
    }

    /// The history of a series.
    pub fn history(&self, series: &Series) -> Result<&History, Error> {
        self.panel.history(series)
    }

    /// The windows of a history at ascending origins.
    pub fn windows(&self, history: &History, origins: &[Period]) -> Vec<Window> {
        Cutter::new(&self.meta, &self.panel.categories, self.model.fitted())
            .windows(history, origins)
    }

    /// The forecast for a series of the panel from an origin.
    pub fn forecast(&self, series: &Series, origin: Period) -> Result<Forecast, Error> {
        self.forecast_history(self.history(series)?, origin)
    }

    /// The forecast for a history given with the question.
    pub fn forecast_history(&self, history: &History, origin: Period) -> Result<Forecast, Error> {
        history.validate().map_err(Error::History)?;
        let windows = self.windows(history, &[origin]);
        let forecast = model::forecast(&self.model, &windows).pop();
        forecast.ok_or_else(|| Error::UnknownSeries(history.series.clone()))
    }
}
