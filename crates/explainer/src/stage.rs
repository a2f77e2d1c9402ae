//! The batch stage: explains the latest forecasts of a sample of series.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use artifacts::Folders;
use lifecycle::{Attribution, Digest, Forecast, Period, Progress, Series};
use panel::History;
use serde::{Deserialize, Serialize};
use tables::{AttributionRow, FeaturesDir};

use crate::background::Background;
use crate::coalition::Coalition;
use crate::config::Config;
use crate::error::Error;
use crate::estimator::{Limits, Method, estimate};
use crate::explained::{Explained, InProcess, outputs_of};
use crate::game::Game;
use crate::method::Effort;
use crate::owen;
use crate::players::{Cut, Player, players_of};
use crate::words::{Words, words};

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

/// What the values of an explanation are. All add up to the served answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Shapley values of the players.
    Shapley,
    /// Owen values: Shapley values of families, one of them split over its pieces.
    Owen,
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
    /// Series that stood in for absent players.
    pub background: Vec<String>,
    /// How much each of them counts; they sum to 1.
    pub background_weights: Vec<f64>,
    /// Digest of those series, their inputs and weights.
    pub background_digest: Digest,
    /// Digest of the weights file.
    pub weights: Digest,
    /// What the values are; never put two in one picture.
    pub quantity: Quantity,
    /// How the values were estimated.
    pub method: Method,
    /// Half the width of a 95 % interval, in standard errors.
    pub quantile: f64,
    /// Model evaluations spent.
    pub n_evaluations: usize,
    /// Sentences for each output; empty where nothing was published.
    pub words: Vec<Words>,
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
        let background = Background::of(config, &panel.histories, history, forecast.origin);
        let Some(background) = background else { continue };
        let cut = Cut::new(panel.frequency, forecast.origin);
        let explanation = explain(config, &explained, history, &background, cut)?;
        let explanation = explanation.published_as(outputs_of(forecast))?;
        let words = words(&explanation);
        explanations.push(Explanation { weights, words, ..explanation });
    }
    progress.report("explain", chosen.len() as u64, chosen.len() as u64);
    explanations.sort_by(|a, b| a.series.cmp(&b.series));
    if explanations.is_empty() {
        return Err(Error::NothingToExplain);
    }
    write(output, explanations)
}

/// Splits every output for one history over its players: by Shapley values, or by Owen values where
/// the configuration drills down into a family.
///
/// `served` holds this function's own answer of the full coalition; a caller that knows the served
/// answer replaces it.
pub fn explain(
    config: &Config,
    explained: &dyn Explained,
    history: &History,
    background: &Background<'_>,
    cut: Cut,
) -> Result<Explanation, Error> {
    let quantity = config.drill_down.map_or(Quantity::Shapley, |_| Quantity::Owen);
    let split = config.drill_down.as_ref().map_or(&config.split[..], std::slice::from_ref);
    let players = players_of(history, split, cut);
    let game = Game { explained, history, background, players, cut };
    let (n_players, n_background) = (game.players.len(), background.histories.len());
    let outputs = |coalitions: &[Coalition]| game.outputs(coalitions);
    let (method, found) = match quantity {
        Quantity::Shapley => {
            let effort = Effort::within(config, n_players, n_background)?;
            let limits = Limits {
                tolerance: config.tolerance,
                ..Limits::evaluations(effort.n_coalitions, config.seed)
            };
            (effort.method, estimate(effort.method, n_players, &limits, outputs, |_| {})?)
        }
        Quantity::Owen => {
            let sizes = game.sizes();
            affordable(config, n_players, owen::n_coalitions(&sizes) * n_background + 1)?;
            (Method::Exact, owen::estimate(&sizes, outputs)?)
        }
    };
    let served = explained.outputs(std::slice::from_ref(history), cut.origin)?;
    Ok(Explanation {
        series: history.series.clone(),
        origin: cut.origin,
        players: game.players.iter().map(|player| name(player, quantity)).collect(),
        outputs: explained.names(),
        attributions: found.attributions,
        served: served.into_iter().next().unwrap_or_default(),
        background: background.histories.iter().map(|other| other.series.to_string()).collect(),
        background_weights: background.weights.clone(),
        background_digest: background.digest(),
        weights: Digest::of([]),
        quantity,
        method,
        quantile: found.quantile,
        n_evaluations: found.n_evaluations * n_background + 1,
        words: Vec::new(),
    })
}

/// A player's name; a piece's tells that its value is an Owen value, all others' being the Shapley
/// values of families.
fn name(player: &Player, quantity: Quantity) -> String {
    let is_owen = quantity == Quantity::Owen && player.is_part();
    player.name() + if is_owen { " (Owen)" } else { "" }
}

/// An error where the budget is below what an enumeration takes.
fn affordable(config: &Config, n_players: usize, least: usize) -> Result<(), Error> {
    match config.evaluations_max {
        Some(given) if given < least => Err(Error::Budget { given, n_players, least }),
        _ => Ok(()),
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
            background_weights: Vec::new(),
            background_digest: Digest::of([]),
            quantity: Quantity::Shapley,
            weights: Digest::of([]),
            method: Method::Exact,
            quantile: 1.96,
            n_evaluations: 1,
            words: Vec::new(),
        };
        let published = explanation.clone().published_as(vec![200.01]).expect("rounding");
        assert_eq!(published.served, [200.01]);
        let error = explanation.published_as(vec![201.0]).expect_err("another model");
        assert_eq!(error.kind(), lifecycle::ErrorKind::Data);
        let told = "series `mug`, output `units`: published is 201, the model answers 200";
        assert!(error.to_string().ends_with(told), "{error}");
    }
}
