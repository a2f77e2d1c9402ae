//! What a run writes beside its explanations: what moves forecasts in general, surrogates, and maps of
//! gradients.

use std::path::Path;

use lifecycle::{Forecast, Progress};
use model::Model;
use panel::{History, Panel, Window};
use rayon::prelude::*;
use serde::Serialize;

use crate::background::Background;
use crate::config::Config;
use crate::error::Error;
use crate::explained::{Explained, InProcess};
use crate::explanation::{Explanation, Question};
use crate::gradients::{EXPLAINS, HeatMap, Maps, heat_maps};
use crate::importance::{Traits, importance};
use crate::players::Cut;
use crate::surrogate::{FIDELITY_MIN, Lime, Surrogates, global};

/// Products with maps of gradients: those that sell most. A map has a number for each period and
/// channel.
const MAPPED_MAX: usize = 4;

/// Series whose surrogates are made between two looks at whether to stop.
const AT_ONCE: usize = 8;

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
}

impl Beside<'_> {
    /// Writes `importance.json`, `surrogates.json` and `gradients.json`; the series that were
    /// explained are among the first that are served.
    pub(crate) fn write(
        &self,
        explanations: &[Explanation],
        output: &Path,
        progress: &dyn Progress,
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
        let traits = chosen.iter().map(traits).collect();
        let in_general = importance(explanations, &traits, config.seed);
        write_json(&output.join("importance.json"), &in_general)?;
        let surrogates = Surrogates {
            fidelity_min: FIDELITY_MIN,
            global: global(served, &explained.names(), panel.frequency, config.seed),
            local: self.limes(&chosen, progress)?,
        };
        write_json(&output.join("surrogates.json"), &surrogates)?;
        let mapped = &chosen[..chosen.len().min(MAPPED_MAX)];
        let maps: Vec<Vec<HeatMap>> = mapped.par_iter().map(|of| self.maps(*of)).collect();
        let maps = Maps { explains: EXPLAINS.to_owned(), maps: maps.concat() };
        write_json(&output.join("gradients.json"), &maps)
    }

    fn background(&self, (history, forecast): (&History, &Forecast)) -> Option<Background<'_>> {
        Background::of(self.config, &self.panel.histories, history, forecast.origin)
    }

    /// LIME weights of series, sorted by them.
    fn limes(
        &self,
        chosen: &[(&History, &Forecast)],
        progress: &dyn Progress,
    ) -> Result<Vec<Lime>, Error> {
        let one = |of: &(&History, &Forecast)| {
            let Self { config, explained, panel, .. } = *self;
            let (history, forecast) = *of;
            let Some(background) = self.background(*of) else { return Ok(None) };
            let cut = Cut::new(panel.frequency, forecast.origin);
            Question { config, explained, history, background, cut }.lime().map(Some)
        };
        let mut limes = Vec::new();
        for some in chosen.chunks(AT_ONCE) {
            progress.report("surrogates", limes.len() as u64, chosen.len() as u64);
            if progress.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let some: Vec<Option<Lime>> = some.par_iter().map(one).collect::<Result<_, Error>>()?;
            limes.extend(some.into_iter().flatten());
        }
        limes.sort_by(|a, b| a.series.cmp(&b.series));
        Ok(limes)
    }

    /// Maps of the gradients of one forecast.
    fn maps(&self, of: (&History, &Forecast)) -> Vec<HeatMap> {
        let (history, forecast) = of;
        let Some(Background { histories, weights }) = self.background(of) else {
            return Vec::new();
        };
        let window = |history: &History| self.explained.window(history, forecast.origin);
        let others = histories.into_iter().map(window);
        let background: Vec<(Window, f64)> = others.zip(weights).collect();
        heat_maps(self.model, &window(history), &background)
    }
}

/// Writes plain data as one line: people read the report.
fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(content).expect("what is written is plain data");
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}
