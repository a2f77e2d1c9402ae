//! One forecast, and why it is as it is.

use std::fmt;

use lifecycle::{Attribution, Digest, EstimateEnd, Period, Series};
use panel::History;
use serde::{Deserialize, Serialize};

use crate::background::Background;
use crate::coalition::Coalition;
use crate::config::Config;
use crate::error::Error;
use crate::estimator::{Estimate, Interactions, Limits, Method, estimate};
use crate::explained::Explained;
use crate::game::Game;
use crate::method::Effort;
use crate::owen;
use crate::players::{Cut, Player, players_of};
use crate::words::Words;

/// Greatest gap between an explanation and the published answer: rounding is far below it.
const PUBLISHED_GAP_MAX: f64 = 1e-4;

/// A forecast to explain, against which background, at what effort.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Players, method, limits and seed.
    pub config: &'a Config,
    /// The function that is explained.
    pub explained: &'a dyn Explained,
    /// Whose forecast, as was known at the origin.
    pub history: &'a History,
    /// What stands in for what is absent.
    pub background: Background,
    /// From which origin.
    pub cut: Cut,
}

/// Who watches an explanation being made.
pub struct Watch<'a> {
    /// Whether the time is over; asked after each batch of coalitions.
    pub is_over: &'a dyn Fn() -> bool,
    /// Sees each explanation on the way, the last one too.
    pub each: &'a mut dyn FnMut(Explanation),
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
    /// Of each two players, from the same evaluations.
    pub interactions: Interactions,
    /// The served answer. Length `n_outputs`.
    pub served: Vec<f64>,
    /// Series that stood in for absent players.
    pub background: Vec<String>,
    /// How much each of them counts; they sum to 1. Where `is_conditional`, how much where nothing is kept.
    pub background_weights: Vec<f64>,
    /// Whether those count more that are like the series in what is kept: the values are then of
    /// conditional expectations, and never in one picture with others.
    pub is_conditional: bool,
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
    /// What the relative error of the values is likely to be within: that of the output which is
    /// known least.
    pub relative_error: f64,
    /// Why there are no more evaluations.
    pub end: EstimateEnd,
    /// Sentences for each output; empty where nothing was published.
    pub words: Vec<Words>,
}

impl Explanation {
    /// Replaces the served answer by the published one, which must be what the explained model
    /// answers.
    pub(crate) fn published_as(self, published: Vec<f64>) -> Result<Self, Error> {
        for (at, attribution) in self.attributions.iter().enumerate() {
            // Another model may not have given this output.
            let of_output = published.get(at).copied().unwrap_or(f64::NAN);
            // Written so that what is no number is refused, too.
            let is_same = attribution.gap(of_output) <= PUBLISHED_GAP_MAX;
            if !is_same {
                return Err(Error::OtherForecasts {
                    series: self.series,
                    output: self.outputs[at].clone(),
                    published: of_output,
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

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Question<'_> {
    /// Splits every output over the players: by Shapley values, or by Owen values where the
    /// configuration drills down into a family.
    ///
    /// `served` holds the explained function's own answer of the full coalition; a caller that
    /// knows the served answer replaces it.
    pub fn answer(&self) -> Result<Explanation, Error> {
        self.answer_watched(Watch { is_over: &|| false, each: &mut |_| {} })
    }

    /// The same with what is known when the time is over; [`Error::Time`] where that is nothing.
    ///
    /// Owen values are known all at once: there nothing is known before the last coalition.
    pub fn answer_watched(&self, Watch { is_over, each }: Watch<'_>) -> Result<Explanation, Error> {
        let Self { config, explained, history, ref background, cut } = *self;
        let split = config.drill_down.as_ref().map_or(&config.split[..], std::slice::from_ref);
        let players = players_of(history, split, cut);
        let game = Game::new(explained, history, background, (players, cut));
        let served = explained.outputs(std::slice::from_ref(history), cut.origin)?;
        let served = served.into_iter().next().unwrap_or_default();
        if config.drill_down.is_some() {
            return self.by_owen(&game, served, is_over);
        }
        let (n_players, n_background) = (game.players().len(), background.histories.len());
        let effort = Effort::within(config, n_players, n_background)?;
        // Who asks for exact values does not mean any other.
        let tolerance = if effort.method == Method::Exact { 0.0 } else { config.tolerance };
        let limits =
            Limits { tolerance, is_over, ..Limits::evaluations(effort.n_coalitions, config.seed) };
        let made = |found: &Estimate| {
            let is_part = effort.method == Method::Exact && found.end != EstimateEnd::Complete;
            // What an enumeration knows before its end.
            let method = if is_part { Method::Leverage } else { effort.method };
            self.explanation(&game, (Quantity::Shapley, method), (found, served.clone()))
        };
        let outputs = |coalitions: &[Coalition]| game.outputs(coalitions);
        let each = |found: &Estimate| each(made(found));
        let found = estimate(effort.method, n_players, &limits, outputs, each)?;
        let is_cut = found.end == EstimateEnd::Deadline;
        if is_cut && found.n_evaluations < Effort::coalitions_least(n_players) {
            return Err(Error::Time);
        }
        Ok(made(&found))
    }

    fn by_owen(
        &self,
        game: &Game<'_>,
        served: Vec<f64>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Explanation, Error> {
        let (sizes, n_background) = (game.sizes(), self.background.histories.len());
        let least = owen::n_coalitions(&sizes) * n_background + 1;
        if let Some(given) = self.config.evaluations_max.filter(|given| *given < least) {
            return Err(Error::Budget { given, n_players: game.players().len(), least });
        }
        let found = owen::estimate(&sizes, |coalitions: &[Coalition]| {
            let mut rows = Vec::with_capacity(coalitions.len());
            for some in coalitions.chunks(game.n_at_once()) {
                if !rows.is_empty() && is_over() {
                    return Err(Error::Time);
                }
                rows.extend(game.outputs(some)?);
            }
            Ok(rows)
        })?;
        Ok(self.explanation(game, (Quantity::Owen, Method::Exact), (&found, served)))
    }

    fn explanation(
        &self,
        game: &Game<'_>,
        (quantity, method): (Quantity, Method),
        (found, served): (&Estimate, Vec<f64>),
    ) -> Explanation {
        let Background { histories, weights, is_conditional } = &self.background;
        Explanation {
            series: self.history.series.clone(),
            origin: self.cut.origin,
            players: game.players().iter().map(|player| name(player, quantity)).collect(),
            outputs: self.explained.names(),
            attributions: found.attributions.clone(),
            interactions: found.interactions.clone(),
            served,
            background: histories.iter().map(|other| other.series.to_string()).collect(),
            background_weights: weights.clone(),
            is_conditional: *is_conditional,
            background_digest: self.background.digest(),
            weights: Digest::of([]),
            quantity,
            method,
            quantile: found.quantile,
            n_evaluations: found.n_evaluations * histories.len() + 1,
            // JSON has no word for infinity.
            relative_error: found.relative_error().min(f64::MAX),
            end: found.end,
            words: Vec::new(),
        }
    }
}

/// A player's name; a piece's tells that its value is an Owen value, all others' being the Shapley
/// values of families.
fn name(player: &Player, quantity: Quantity) -> String {
    let is_owen = quantity == Quantity::Owen && player.is_part();
    player.name() + if is_owen { " (Owen)" } else { "" }
}

#[cfg(test)]
mod tests {
    use lifecycle::InteractionSource;

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
            interactions: Interactions::absent(InteractionSource::TooFew),
            served: vec![200.0],
            background: Vec::new(),
            background_weights: Vec::new(),
            is_conditional: false,
            background_digest: Digest::of([]),
            quantity: Quantity::Shapley,
            weights: Digest::of([]),
            method: Method::Exact,
            quantile: 1.96,
            n_evaluations: 1,
            relative_error: 0.0,
            end: EstimateEnd::Complete,
            words: Vec::new(),
        };
        let published = explanation.clone().published_as(vec![200.01]).expect("rounding");
        assert_eq!(published.served, [200.01]);
        for no_number in [f64::NAN, f64::INFINITY] {
            explanation.clone().published_as(vec![no_number]).expect_err("no number");
        }
        explanation.clone().published_as(Vec::new()).expect_err("not published");
        let error = explanation.published_as(vec![201.0]).expect_err("another model");
        assert_eq!(error.kind(), lifecycle::ErrorKind::Data);
        let told = "series `mug`, output `units`: published is 201, the model answers 200";
        assert!(error.to_string().ends_with(told), "{error}");
    }
}
