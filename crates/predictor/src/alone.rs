//! Forecasts of a history that comes without a panel.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{Forecast, Frequency};
use model::Model;
use panel::{CategoryUnits, Channel, Cutter, Fitted, History, PanelMeta, Plan, Settings};

use crate::error::Error;

/// A history on a calendar of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Alone {
    /// Length of its periods.
    pub frequency: Frequency,
    /// The history; the forecast's origin is its last period.
    pub history: History,
    /// Prices and promotions planned for the periods after it.
    pub plan: Plan,
    /// Units that make one where they are fractional or normalised, else 1.
    pub units_per_one: f64,
}

impl Alone {
    /// The forecast of a model.
    ///
    /// No category is known beside it. It is taken to sell the same in every period, so that the
    /// series' share of it is its own course, and a halved share is halved units.
    pub fn forecast(&self, model: &Arc<Model>) -> Result<Forecast, Error> {
        let Self { frequency, history, plan, units_per_one } = self;
        history.validate().map_err(Error::History)?;
        let usual = Settings::default_for(*frequency);
        let fitted = if model.description().is_foundation {
            &Fitted::unfitted(*frequency)
        } else {
            model.fitted()
        };
        if fitted.frequency() != *frequency {
            let (model, panel) = (vec![fitted.frequency()], *frequency);
            return Err(Error::Model(model::Error::OtherFrequency { model, panel }));
        }
        let model = model.on(fitted, usual).map_err(Error::Model)?;
        let meta = PanelMeta {
            frequency: *frequency,
            start: history.start,
            n_periods: history.n_periods(),
            units_per_one: *units_per_one,
            share_depth: 0,
            all_lives_ended: false,
            settings: model.settings(usual),
        };
        let categories = BTreeMap::from([(String::new(), even_category(&meta, history))]);
        let cutter = Cutter::new(&meta, &categories, model.fitted());
        let window = cutter.window_with_plan(history, meta.last(), plan);
        let forecast = model::forecast(&model, &[window]).pop();
        forecast.ok_or_else(|| Error::UnknownSeries(history.series.clone()))
    }
}

/// A category of a hundred times the series' mean units in each period.
fn even_category(meta: &PanelMeta, history: &History) -> CategoryUnits {
    let known = history.channel(Channel::Units).iter().filter(|units| units.is_finite());
    let (sum, n) = known.fold((0.0, 0_u32), |(sum, n), units| (sum + f64::from(*units), n + 1));
    let mean = sum / f64::from(n.max(1));
    let mut channels: [Vec<f32>; Channel::ALL.len()] = Default::default();
    channels[Channel::Units as usize] = vec![(100.0 * mean) as f32; history.n_periods()];
    let even = History { channels, corrections: Vec::new(), ..history.clone() };
    let mut category = CategoryUnits::new(meta.start, meta.n_periods);
    category.add(&even);
    category
}
