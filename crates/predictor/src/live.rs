//! A model and a panel in memory: one forecast at a time, for servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lifecycle::{Forecast, Period, Series};
use model::Model;
use panel::{CategoryUnits, Cutter, History, PanelMeta, Settings, Window, category_units};
use tables::FeaturesDir;

use crate::error::Error;

/// A model with the panel that it forecasts. Cheap to clone; answers are those of the batch stage.
#[derive(Debug, Clone)]
pub struct Predictor {
    model: Arc<Model>,
    panel: Arc<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    meta: PanelMeta,
    /// Sorted by series.
    histories: Vec<History>,
    categories: BTreeMap<String, CategoryUnits>,
}

impl Predictor {
    /// Opens a features artifact and a model.
    pub fn open(features: &Path, model: &Path) -> Result<Self, Error> {
        let model = Model::load(model).map_err(Error::Model)?;
        let features = FeaturesDir::open(features).map_err(Error::Features)?;
        let panel = features.panel().map_err(Error::Features)?;
        Self::new(model, panel)
    }

    /// Joins a model and a panel.
    pub fn new(model: Model, panel: panel::Panel) -> Result<Self, Error> {
        let description = model.description();
        if description.frequency != panel.frequency {
            let (model, panel) = (description.frequency, panel.frequency);
            return Err(Error::OtherFrequency { model, panel });
        }
        // Windows are cut as the model needs them, whatever the panel was written for.
        let shape = description.dimensions;
        let settings = Settings { context: shape.context, horizon: shape.horizon };
        let categories = category_units(&panel);
        let loaded = Loaded { meta: panel.meta(settings), histories: panel.histories, categories };
        Ok(Self { model: Arc::new(model), panel: Arc::new(loaded) })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The panel without its histories.
    pub fn meta(&self) -> &PanelMeta {
        &self.panel.meta
    }

    /// All histories, sorted by series.
    pub fn histories(&self) -> &[History] {
        &self.panel.histories
    }

    /// The history of a series.
    pub fn history(&self, series: &Series) -> Result<&History, Error> {
        let histories = &self.panel.histories;
        let place = histories.binary_search_by(|history| history.series.cmp(series));
        place.map(|place| &histories[place]).map_err(|_| Error::UnknownSeries(series.clone()))
    }

    /// The windows of a history at ascending origins.
    pub fn windows(&self, history: &History, origins: &[Period]) -> Vec<Window> {
        let Loaded { meta, categories, .. } = self.panel.as_ref();
        Cutter::new(meta, categories, self.model.fitted()).windows(history, origins)
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
