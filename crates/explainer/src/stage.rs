//! The batch stage: explains the latest forecasts of a sample of series, and says what would turn
//! them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::Folders;
use lifecycle::{Digest, Forecast, Period, Progress, Series};
use panel::{Channel, History, Panel};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::{AttributionRow, CounterfactualRow, FeaturesDir, InteractionRow};

use crate::background::Background;
use crate::beside::Beside;
use crate::config::Config;
use crate::counterfactual::{Axis, Counterfactuals, WhatIf};
use crate::error::Error;
use crate::estimator::{Interactions, twos};
use crate::explained::{InProcess, outputs_of};
use crate::explanation::{Explanation, Question};
use crate::over_time::OverTime;
use crate::players::Cut;
use crate::words::words;

/// Series that are explained at once, so that one's linear algebra fills the time of another's
/// model.
pub(crate) const AT_ONCE: usize = 8;

/// The artifacts that explanations are made from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Panel and fitted state.
    pub features: &'a Path,
    /// The model that is explained.
    pub model: &'a Path,
    /// Its published forecasts: the served answers.
    pub forecasts: &'a Path,
}

impl<'a> Inputs<'a> {
    /// Names of the artifacts that a run needs.
    pub const NEEDED: &'static [&'static str] = &["features", "model", "forecasts"];

    /// The inputs among folders that hold all of [`Inputs::NEEDED`].
    pub fn named(folders: &'a Folders) -> Self {
        let [features, model, forecasts] =
            ["features", "model", "forecasts"].map(|name| folders[name].as_path());
        Self { features, model, forecasts }
    }
}

/// What is said where nothing could be explained.
const NO_BACKGROUND: &str = "nothing stands in for what is absent: at least two products that have \
    sold and one forecast of them are needed";

/// All explanations of a run; `explanations.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Series explained.
    pub n_series: usize,
    /// Greatest gap to the served answer over all explanations and outputs.
    pub attribution_gap_max: f64,
    /// The explanations, sorted by series.
    pub explanations: Vec<Explanation>,
    /// Why there are none; left out where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none_because: Option<String>,
}

/// Explains the latest forecasts of the best-selling series; none is no error, for plans and reports
/// do without.
pub fn run(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Summary, Error> {
    config.validate()?;
    let features = FeaturesDir::open(inputs.features)?;
    let panel = features.panel()?;
    let categories = panel::category_units(&panel);
    let model = Arc::new(model::Model::load(inputs.model)?);
    let model = model.on(features.fitted(), features.meta().settings)?;
    let meta = panel.meta(model.settings(features.meta().settings));
    let weights = digest_of(&inputs.model.join("model.safetensors"))?;
    let served = latest_forecasts(inputs.forecasts)?;
    let explained = InProcess::new(&model, &meta, &categories);

    let all = best_selling(&panel, &served);
    let chosen = &all[..all.len().min(config.n_series)];
    let one = |(history, forecast): &(&History, &Forecast)| {
        let cut = Cut::new(panel.frequency, forecast.origin);
        let Some(history) = &history.known_at(cut.origin) else { return Ok(None) };
        let background = Background::of(config, &explained, &panel.histories, history, cut)?;
        let Some(background) = background else { return Ok(None) };
        let question = Question { config, explained: &explained, history, background, cut };
        let explanation = question.answer()?.published_as(outputs_of(forecast))?;
        let words = words(&explanation);
        let lime = question.lime()?;
        let (bounds, horizon) = (&config.counterfactuals, meta.settings.horizon);
        let what_if = WhatIf { bounds, explained: &explained, history, cut, horizon };
        let counterfactuals = bounds.enabled.then(|| what_if.counterfactuals()).transpose()?;
        Ok(Some((Explanation { weights, words, ..explanation }, (lime, counterfactuals))))
    };
    let mut explanations = Vec::new();
    for (done, some) in chosen.chunks(AT_ONCE).enumerate() {
        progress.report("explain", (done * AT_ONCE) as u64, chosen.len() as u64);
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let some: Vec<Option<_>> = some.par_iter().map(&one).collect::<Result<_, Error>>()?;
        explanations.extend(some.into_iter().flatten());
    }
    progress.report("explain", chosen.len() as u64, chosen.len() as u64);
    let over_time = OverTime { config, explained: &explained, panel: &panel };
    let over_time = over_time.of(chosen, progress)?;
    explanations.sort_by(|a, b| a.0.series.cmp(&b.0.series));
    let (explanations, others): (Vec<_>, Vec<_>) = explanations.into_iter().unzip();
    let (limes, counterfactuals): (Vec<_>, Vec<_>) = others.into_iter().unzip();
    write_counterfactuals(output, &counterfactuals.into_iter().flatten().collect::<Vec<_>>())?;
    let (model, explained) = (&model, &explained);
    let beside = Beside { config, model, explained, panel: &panel, served: &all, over_time };
    beside.write(&explanations, limes, output)?;
    write(output, explanations)
}

/// All series with their forecasts, those first that had sold the most units in the last 13 weeks, as
/// known at the origin.
fn best_selling<'a>(
    panel: &'a Panel,
    forecasts: &'a BTreeMap<Series, Forecast>,
) -> Vec<(&'a History, &'a Forecast)> {
    let n_recent = panel.frequency.periods_of_weeks(13) as i32;
    let units = |history: &History, origin: Period| {
        let Some(known) = history.known_at(origin) else { return 0.0 };
        let values = (0..n_recent).map(|back| known.value(Channel::Units, origin.plus(-back)));
        values.filter(|units| units.is_finite()).map(f64::from).sum::<f64>()
    };
    let mut known: Vec<(f64, &History, &Forecast)> = panel
        .histories
        .iter()
        .filter_map(|history| {
            let forecast = forecasts.get(&history.series)?;
            Some((units(history, forecast.origin), history, forecast))
        })
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.series.cmp(&b.1.series)));
    known.into_iter().map(|(_, history, forecast)| (history, forecast)).collect()
}

fn latest_forecasts(directory: &Path) -> Result<BTreeMap<Series, Forecast>, Error> {
    let forecasts = tables::latest_forecasts(directory)?;
    Ok(forecasts.into_iter().map(|forecast| (forecast.series.clone(), forecast)).collect())
}

fn digest_of(path: &Path) -> Result<Digest, Error> {
    let bytes = std::fs::read(path);
    bytes.map(Digest::of).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(output: &Path, explanations: Vec<Explanation>) -> Result<Summary, Error> {
    let mut rows = Vec::new();
    for explanation in &explanations {
        let outputs = explanation.outputs.iter().zip(&explanation.attributions);
        for ((output, attribution), served) in outputs.zip(&explanation.served) {
            for (player, name) in explanation.players.iter().enumerate() {
                rows.push(AttributionRow {
                    series: explanation.series.clone(),
                    origin: explanation.origin,
                    output: output.clone(),
                    player: name.clone(),
                    value: attribution.values[player],
                    standard_error: attribution.standard_errors[player],
                    base_value: attribution.base_value,
                    served: *served,
                });
            }
        }
    }
    tables::write(&output.join("attributions.parquet"), &rows)?;
    let together: Vec<InteractionRow> = explanations.iter().flat_map(interaction_rows).collect();
    tables::write(&output.join("interactions.parquet"), &together)?;
    let gaps = explanations.iter().map(Explanation::gap_max);
    let summary = Summary {
        n_series: explanations.len(),
        attribution_gap_max: gaps.fold(0.0, f64::max),
        none_because: explanations.is_empty().then(|| NO_BACKGROUND.to_owned()),
        explanations,
    };
    write_json(output.join("explanations.json"), &summary)?;
    Ok(summary)
}

fn interaction_rows(explanation: &Explanation) -> impl Iterator<Item = InteractionRow> {
    let Interactions { values, standard_errors, .. } = &explanation.interactions;
    let outputs = explanation.outputs.iter().zip(values.iter().zip(standard_errors));
    outputs.flat_map(move |(output, (values, errors))| {
        let twos = twos(explanation.players.len()).zip(values.iter().zip(errors));
        twos.map(move |((one, other), (value, error))| InteractionRow {
            series: explanation.series.clone(),
            origin: explanation.origin,
            output: output.clone(),
            one: explanation.players[one].clone(),
            other: explanation.players[other].clone(),
            value: *value,
            standard_error: *error,
        })
    })
}

fn write_counterfactuals(output: &Path, all: &[Counterfactuals]) -> Result<(), Error> {
    let mut rows = Vec::new();
    for of in all {
        for told in &of.counterfactuals {
            let value = |axis: Axis| {
                let values = told.change.values.iter();
                let mut values = values.filter(|(changed, _)| *changed == axis);
                values.next().map_or(f64::NAN, |(_, value)| *value)
            };
            rows.push(CounterfactualRow {
                series: of.series.clone(),
                origin: of.origin,
                target: told.target.name().to_owned(),
                is_reached: told.is_reached,
                planned_price: value(Axis::PlannedPrice),
                planned_promotion: value(Axis::PlannedPromotion),
                recent_price: value(Axis::RecentPrice),
                recent_promotion: value(Axis::RecentPromotion),
                recent_stock: value(Axis::RecentStock),
                distance: told.distance,
                output: told.output.clone(),
                before: told.output_before,
                after: told.output_after,
                en: told.en.clone(),
                zh: told.zh.clone(),
            });
        }
    }
    tables::write(&output.join("counterfactuals.parquet"), &rows)?;
    write_json(output.join("counterfactuals.json"), &all)
}

fn write_json(path: PathBuf, of: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(of).expect("plain data");
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })
}
