//! What a run writes beside its explanations: what moves forecasts in general.

use std::path::Path;

use lifecycle::Forecast;
use panel::History;
use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::explanation::Explanation;
use crate::importance::{Traits, importance};

/// A run that has explained its series.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    /// As of the explanations.
    pub(crate) config: &'a Config,
    /// All series with their served forecasts, those that sell most first.
    pub(crate) served: &'a [(&'a History, &'a Forecast)],
}

impl Beside<'_> {
    /// Writes `importance.json`; the series that were
    /// explained are among the first that are served.
    pub(crate) fn write(&self, explanations: &[Explanation], output: &Path) -> Result<(), Error> {
        let Self { config, served } = *self;
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
        write_json(&output.join("importance.json"), &in_general)
    }
}

/// Writes plain data as one line: people read the report.
fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(content).expect("what is written is plain data");
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}
