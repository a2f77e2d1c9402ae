//! The batch stage: explains the latest forecasts of a sample of series.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use artifacts::Folders;
use lifecycle::{Attribution, Digest, Forecast, Period, Progress, Series};
use panel::History;
use serde::{Deserialize, Serialize};
use tables::{AttributionRow, FeaturesDir};

use crate::coalition::Coalition;
use crate::config::Config;
use crate::error::Error;
use crate::estimator::{Limits, Method, estimate};
use crate::explained::{Explained, InProcess, outputs_of};
use crate::method::Effort;
use crate::players::{Cut, Player, altered, players_of};

/// Greatest gap between an explanation and the published answer: rounding is far below it.
const PUBLISHED_GAP_MAX: f64 = 1e-4;

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

/// One forecast explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// Names of the players. Length `n_players`.
    pub players: Vec<String>,
    /// Names of the outputs. Length `n_outputs`.
    pub outputs: Vec<String>,
    /// One an output.
    pub attributions: Vec<Attribution>,
    /// The served answer. Length `n_outputs`.
    pub served: Vec<f64>,
    /// Products whose series stood in for absent players.
    pub background: Vec<String>,
    /// Digest of the weights file.
    pub weights: Digest,
    /// How the values were estimated.
    pub method: Method,
    /// Half the width of a 95 % interval, in standard errors.
    pub quantile: f64,
    /// Model evaluations spent.
    pub n_evaluations: usize,
}

impl Explanation {
    /// Replaces the served answer by the published one, which must be what the explained model
    /// answers.
    fn published_as(self, published: Vec<f64>) -> Result<Self, Error> {
        for (at, attribution) in self.attributions.iter().enumerate() {
            if attribution.gap(published[at]) > PUBLISHED_GAP_MAX {
                return Err(Error::OtherForecasts {
                    series: self.series,
                    output: self.outputs[at].clone(),
                    published: published[at],
                    answered: self.served[at],
                });
            }
        }
        Ok(Self { served: published, ..self })
    }

    /// The greatest gap between base plus values and the served answer, over all outputs.
    pub fn gap_max(&self) -> f64 {
        let gaps = self.attributions.iter().zip(&self.served);
        gaps.map(|(attribution, served)| attribution.gap(*served)).fold(0.0, f64::max)
    }
}

/// All explanations of a run; `explanations.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Series explained.
    pub n_series: usize,
    /// Greatest gap to the served answer over all explanations and outputs.
    pub attribution_gap_max: f64,
    /// The explanations, sorted by series.
    pub explanations: Vec<Explanation>,
}

/// Explains the latest forecasts of the best-selling series.
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
    let explained =
        InProcess { model: &model, meta: &meta, categories: &categories, fitted: model.fitted() };

    let chosen = best_selling(&panel.histories, &served, config.n_series);
    if chosen.is_empty() {
        return Err(Error::NothingToExplain);
    }
    let mut explanations = Vec::new();
    for (done, (history, forecast)) in chosen.iter().enumerate() {
        progress.report("explain", done as u64, chosen.len() as u64);
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let backgrounds = backgrounds(config, &panel.histories, history, forecast.origin);
        if backgrounds.is_empty() {
            continue;
        }
        let cut = Cut::new(panel.frequency, forecast.origin);
        let explanation = explain(config, &explained, history, &backgrounds, cut)?;
        let explanation = explanation.published_as(outputs_of(forecast))?;
        explanations.push(Explanation { weights, ..explanation });
    }
    progress.report("explain", chosen.len() as u64, chosen.len() as u64);
    explanations.sort_by(|a, b| a.series.cmp(&b.series));
    if explanations.is_empty() {
        return Err(Error::NothingToExplain);
    }
    write(output, explanations)
}

/// Splits every output for one history over its players.
///
/// `served` holds this function's own answer of the full coalition; a caller that knows the served
/// answer replaces it.
pub fn explain(
    config: &Config,
    explained: &dyn Explained,
    history: &History,
    backgrounds: &[&History],
    cut: Cut,
) -> Result<Explanation, Error> {
    let game = Game { explained, history, backgrounds, players: players_of(history), cut };
    let n_players = game.players.len();
    let effort = Effort::within(config, n_players, backgrounds.len())?;
    let limits = Limits {
        tolerance: config.tolerance,
        ..Limits::evaluations(effort.n_coalitions, config.seed)
    };
    let outputs = |coalitions: &[Coalition]| game.outputs(coalitions);
    let found = estimate(effort.method, n_players, &limits, outputs, |_| {})?;
    let served = explained.outputs(std::slice::from_ref(history), cut.origin)?;
    Ok(Explanation {
        series: history.series.clone(),
        origin: cut.origin,
        players: game.players.iter().map(|player| player.name().to_owned()).collect(),
        outputs: explained.names(),
        attributions: found.attributions,
        served: served.into_iter().next().unwrap_or_default(),
        background: backgrounds.iter().map(|history| history.series.to_string()).collect(),
        weights: Digest::of([]),
        method: effort.method,
        quantile: found.quantile,
        n_evaluations: found.n_evaluations * backgrounds.len() + 1,
    })
}

/// The cooperative game of one history: coalitions of players in, outputs of the model out.
struct Game<'a> {
    explained: &'a dyn Explained,
    history: &'a History,
    backgrounds: &'a [&'a History],
    players: Vec<Player>,
    cut: Cut,
}

impl Game<'_> {
    /// Outputs of each coalition, averaged over the backgrounds. Shape
    /// `[n_coalitions, n_outputs]`.
    fn outputs(&self, coalitions: &[Coalition]) -> Result<Vec<Vec<f64>>, Error> {
        let mut histories = Vec::new();
        for coalition in coalitions {
            for background in self.backgrounds {
                histories.push(altered(
                    self.history,
                    background,
                    &self.players,
                    coalition,
                    self.cut,
                ));
            }
        }
        let outputs = self.explained.outputs(&histories, self.cut.origin)?;
        let n_background = self.backgrounds.len() as f64;
        let mean = |rows: &[Vec<f64>]| {
            (0..rows[0].len())
                .map(|output| rows.iter().map(|row| row[output]).sum::<f64>() / n_background)
                .collect()
        };
        Ok(outputs.chunks(self.backgrounds.len()).map(mean).collect())
    }
}

/// Series with the most units in the 13 weeks up to the origin, with their forecasts.
fn best_selling<'a>(
    histories: &'a [History],
    forecasts: &'a BTreeMap<Series, Forecast>,
    n_series: usize,
) -> Vec<(&'a History, &'a Forecast)> {
    let units = |history: &History, origin: Period| {
        let values = (0..13).map(|back| history.value(panel::Channel::Units, origin.plus(-back)));
        values.filter(|units| units.is_finite()).map(f64::from).sum::<f64>()
    };
    let mut known: Vec<(f64, &History, &Forecast)> = histories
        .iter()
        .filter_map(|history| {
            let forecast = forecasts.get(&history.series)?;
            Some((units(history, forecast.origin), history, forecast))
        })
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.series.cmp(&b.1.series)));
    known.into_iter().take(n_series).map(|(_, history, forecast)| (history, forecast)).collect()
}

/// Series that cover as many of the product's periods as any, chosen by seed and product.
pub(crate) fn backgrounds<'a>(
    config: &Config,
    histories: &'a [History],
    explained: &History,
    origin: Period,
) -> Vec<&'a History> {
    let is_usable = |other: &&History| {
        let sold = other.channel(panel::Channel::Units).iter().any(|units| *units > 0.0);
        other.series.product != explained.series.product && other.start <= origin && sold
    };
    let mut candidates: Vec<(bool, Digest, &History)> = histories
        .iter()
        .filter(is_usable)
        .map(|other| {
            let key = format!("{}/{}/{}", config.seed, explained.series, other.series);
            (other.start > explained.start, Digest::of(key), other)
        })
        .collect();
    candidates.sort_by_key(|(is_younger, digest, _)| (*is_younger, *digest));
    candidates.into_iter().take(config.n_background).map(|(_, _, other)| other).collect()
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
    let gaps = explanations.iter().map(Explanation::gap_max);
    let summary = Summary {
        n_series: explanations.len(),
        attribution_gap_max: gaps.fold(0.0, f64::max),
        explanations,
    };
    let path = output.join("explanations.json");
    let text = serde_json::to_vec_pretty(&summary).expect("a summary is plain data");
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forecasts_of_another_model_are_refused() {
        let explanation = Explanation {
            series: Series::of("mug"),
            origin: Period(0),
            players: vec!["price".to_owned()],
            outputs: vec!["units".to_owned()],
            attributions: vec![Attribution {
                base_value: 150.0,
                values: vec![50.0],
                standard_errors: vec![0.0],
            }],
            served: vec![200.0],
            background: Vec::new(),
            weights: Digest::of([]),
            method: Method::Exact,
            quantile: 1.96,
            n_evaluations: 1,
        };
        let published = explanation.clone().published_as(vec![200.01]).expect("rounding");
        assert_eq!(published.served, [200.01]);
        let error = explanation.published_as(vec![201.0]).expect_err("another model");
        assert_eq!(error.kind(), lifecycle::ErrorKind::Data);
        let told = "series `mug`, output `units`: published is 201, the model answers 200";
        assert!(error.to_string().ends_with(told), "{error}");
    }
}
