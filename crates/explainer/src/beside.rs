//! What a run writes beside its explanations: what moves forecasts in general, surrogates, and maps of
//! gradients.

use std::path::Path;

use lifecycle::Forecast;
use model::Model;
use panel::{History, Panel, Window};
use rayon::prelude::*;
use serde::Serialize;

use crate::background::Background;
use crate::config::Config;
use crate::error::Error;
use crate::explained::{Explained, InProcess};
use crate::explanation::Explanation;
use crate::gradients::{EXPLAINS, HeatMap, Maps, heat_maps};
use crate::importance::{Importance, Moment, Traits, importance};
use crate::players::Cut;
use crate::rollout::rollout_map;
use crate::surrogate::{FIDELITY_MIN, Lime, Surrogates, global};

/// Products with maps of gradients: those that sell most. A map has a number for each period and
/// channel.
const MAPPED_MAX: usize = 4;

/// A run that has explained its series.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    /// As of the explanations.
    pub(crate) config: &'a Config,
    /// The model that is explained.
    pub(crate) model: &'a Model,
    /// The same with its panel.
    pub(crate) explained: &'a InProcess<'a>,
    /// Where background series come from.
    pub(crate) panel: &'a Panel,
    /// All series with their served forecasts, those that sell most first.
    pub(crate) served: &'a [(&'a History, &'a Forecast)],
    /// What moves them in general, by origin.
    pub(crate) over_time: Vec<Moment>,
}

impl Beside<'_> {
    /// Writes `importance.json`, `surrogates.json` and `gradients.json` of explanations and LIME weights,
    /// both sorted by series; the series that were explained are among the first that are served. Of no
    /// explanation there is no importance.
    pub(crate) fn write(
        &self,
        explanations: &[Explanation],
        limes: Vec<Lime>,
        output: &Path,
    ) -> Result<(), Error> {
        let Self { config, panel, served, explained, .. } = *self;
        let is_explained = |history: &History| {
            explanations.binary_search_by(|of| of.series.cmp(&history.series)).is_ok()
        };
        let chosen: Vec<(&History, &Forecast)> =
            served.iter().copied().filter(|(history, _)| is_explained(history)).collect();
        let traits = |(history, forecast): &(&History, &Forecast)| {
            (history.series.clone(), Traits::of(history, forecast))
        };
        if !explanations.is_empty() {
            let traits = chosen.iter().map(traits).collect();
            let in_general = Importance {
                over_time: self.over_time.clone(),
                ..importance(explanations, &traits, config.seed)
            };
            write_json(&output.join("importance.json"), &in_general)?;
        }
        let surrogates = Surrogates {
            fidelity_min: FIDELITY_MIN,
            global: global(served, &explained.names(), panel.frequency, config.seed),
            local: limes,
        };
        write_json(&output.join("surrogates.json"), &surrogates)?;
        let mapped = &chosen[..chosen.len().min(MAPPED_MAX)];
        let maps = mapped.par_iter().map(|of| self.maps(*of));
        let maps: Vec<Vec<HeatMap>> = maps.collect::<Result<_, Error>>()?;
        let rollout = |(history, forecast): &(&History, &Forecast)| {
            rollout_map(self.model, &self.explained.window(history, forecast.origin))
        };
        let rollouts = mapped.iter().filter_map(rollout).collect();
        let maps = Maps { explains: EXPLAINS.to_owned(), maps: maps.concat(), rollouts };
        write_json(&output.join("gradients.json"), &maps)
    }

    /// Maps of the gradients of one forecast.
    fn maps(&self, (history, forecast): (&History, &Forecast)) -> Result<Vec<HeatMap>, Error> {
        let others = &self.panel.histories;
        let cut = Cut::new(self.panel.frequency, forecast.origin);
        let known = history.known_at(cut.origin);
        let Some(known) = known else { return Ok(Vec::new()) };
        let background = Background::of(self.config, self.explained, others, &known, cut)?;
        let Some(Background { histories, weights, .. }) = background else {
            return Ok(Vec::new());
        };
        let window = |history: &History| self.explained.window(history, forecast.origin);
        let others = histories.iter().map(window);
        let background: Vec<(Window, f64)> = others.zip(weights).collect();
        let names = self.explained.names();
        Ok(heat_maps(self.model, (&window(history), &names), &background))
    }
}

/// Writes plain data as one line: people read the report.
fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(content).expect("what is written is plain data");
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}
