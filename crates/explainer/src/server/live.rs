//! A model and a panel in memory: one explanation at a time, for servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{Day, EstimateEnd, Invalid, Series};
use model::Model;
use panel::{CategoryUnits, History, Panel, PanelMeta, Plan, category_units};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::{error_chain, status, status_of};
use tables::FeaturesDir;
use tonic::{Code, Status};
use wire::{CounterfactualsQuery, ExplainQuery, ExplainedOutput, invalid_argument};

use crate::background::Background;
use crate::config::Config;
use crate::counterfactual::{Axis, Bounds, Counterfactual, Range, WhatIf};
use crate::error::Error;
use crate::estimator::Interactions;
use crate::explained::InProcess;
use crate::explanation::{Explanation, Question, Watch};
use crate::players::{Cut, players_of};

/// Stands for no family in a query's `split`.
const NONE: &str = "none";

/// A model with the panel that it forecasts.
pub(super) struct Known {
    model: Arc<Model>,
    panel: Panel,
    meta: PanelMeta,
    categories: BTreeMap<String, CategoryUnits>,
}

impl Known {
    pub(super) fn new(model: Model, features: &FeaturesDir) -> Result<Self, Error> {
        let settings = features.meta().settings;
        let model = Arc::new(model).on(features.fitted(), settings)?;
        let panel = features.panel()?;
        let meta = panel.meta(model.settings(settings));
        let categories = category_units(&panel);
        Ok(Self { model, panel, meta, categories })
    }

    /// The query with nothing left to be chosen but budget and method: queries that are settled
    /// alike have one answer.
    pub(super) fn settled(&self, query: ExplainQuery) -> Result<ExplainQuery, Status> {
        let config = config_of(&query)?;
        let origin = self.panel.frequency.last_day(self.panel.origin(query.origin));
        let mut split: Vec<String> = config.split.iter().copied().map(word).collect();
        if split.is_empty() {
            split.push(NONE.to_owned());
        }
        Ok(ExplainQuery {
            origin: Some(origin),
            seed: config.seed,
            tolerance: Some(config.tolerance),
            n_background: Some(config.n_background as u32),
            background: Some(word(config.background)),
            split,
            ..query
        })
    }

    /// Answers a settled query; `each` sees what is known on the way.
    pub(super) fn explanation(
        &self,
        query: &ExplainQuery,
        is_over: &dyn Fn() -> bool,
        each: &mut dyn FnMut(wire::Explanation),
    ) -> Result<wire::Explanation, Status> {
        let (history, cut) = self.asked(&query.series, query.origin)?;
        let (history, config) = (&history, config_of(query)?);
        let explained = InProcess::new(&self.model, &self.meta, &self.categories);
        let background = Background::of(&config, &explained, &self.panel.histories, history, cut);
        let nobody = || {
            let series = history.series.clone();
            if players_of(history, &[], cut).is_empty() {
                Error::NothingKnown { series }
            } else {
                Error::NothingStandsIn { series }
            }
        };
        let background = background.and_then(|found| found.ok_or_else(nobody));
        let background = background.map_err(|error| status_of_live(&error))?;
        let question =
            Question { config: &config, explained: &explained, history, background, cut };
        let answer = |found: Explanation| self.answer(query, history, found);
        let mut each = |found: Explanation| {
            if found.end == EstimateEnd::Open
                && let Ok(answer) = answer(found)
            {
                each(answer);
            }
        };
        let found = question.answer_watched(Watch { is_over, each: &mut each });
        answer(found.map_err(|error| status_of_live(&error))?)
    }

    /// What would turn a forecast.
    pub(super) fn counterfactuals(
        &self,
        query: &CounterfactualsQuery,
    ) -> Result<wire::Counterfactuals, Status> {
        let (history, cut) = self.asked(&query.series, query.origin)?;
        let (history, bounds) = (&history, bounds_of(query)?);
        let explained = InProcess::new(&self.model, &self.meta, &self.categories);
        let horizon = self.meta.settings.horizon;
        let what_if = WhatIf { bounds: &bounds, explained: &explained, history, cut, horizon };
        let found = what_if.counterfactuals().map_err(|error| status_of_live(&error))?;
        Ok(wire::Counterfactuals {
            series: found.series,
            frequency: self.panel.frequency,
            origin: found.origin,
            inputs: found.ranges.iter().map(changeable).collect(),
            outputs: found.outputs,
            before: found.before,
            counterfactuals: found.counterfactuals.into_iter().map(told).collect(),
            n_evaluations: found.n_evaluations as u32,
            model: query.model,
            features: query.features,
            inputs_digest: history.inputs_digest(&Plan::default()),
        })
    }

    /// A series' history as it was known at the origin, and the cut of that.
    fn asked(&self, series: &Series, origin: Option<Day>) -> Result<(History, Cut), Status> {
        let history = self.panel.history(series).ok_or_else(|| {
            let message = format!("series `{series}` is not in the panel");
            status(Code::NotFound, &message, "SERIES_NOT_FOUND")
        })?;
        let origin = self.panel.origin(origin);
        let history = history.known_at(origin).ok_or_else(|| {
            let message = format!("series `{series}` has no history at the origin");
            status(Code::FailedPrecondition, &message, "NO_HISTORY")
        })?;
        Ok((history, Cut::new(self.panel.frequency, origin)))
    }

    fn answer(
        &self,
        query: &ExplainQuery,
        inputs: &History,
        found: Explanation,
    ) -> Result<wire::Explanation, Status> {
        let n_evaluations = found.n_evaluations as u32;
        let is_cut = found.end == EstimateEnd::Deadline;
        Ok(wire::Explanation {
            series: query.series.clone(),
            frequency: self.panel.frequency,
            origin: found.origin,
            outputs: chosen(&found, &query.outputs)?,
            model: query.model,
            features: Some(query.features),
            inputs: inputs.inputs_digest(&Plan::default()),
            n_evaluations,
            relative_error: found.relative_error,
            end: found.end,
            quantile: found.quantile.min(f64::MAX),
            interaction_source: found.interactions.source,
            background: found.background_digest,
            replay: ExplainQuery {
                method: Some(found.method.name().to_owned()),
                // What was cut short ended where its budget now is, whatever its error.
                evaluations_max: if is_cut { Some(n_evaluations) } else { query.evaluations_max },
                tolerance: if is_cut { Some(f64::MIN_POSITIVE) } else { query.tolerance },
                ..query.clone()
            },
            players: found.players,
        })
    }
}

/// What a query asks for, by the defaults of the batch stage.
fn config_of(query: &ExplainQuery) -> Result<Config, Status> {
    let defaults = Config::default();
    let split = match &query.split[..] {
        [] => defaults.split.clone(),
        [only] if only == NONE => Vec::new(),
        names => {
            let named = |(at, name): (usize, &String)| named(&format!("split[{at}]"), name);
            names.iter().enumerate().map(named).collect::<Result<_, _>>()?
        }
    };
    let config = Config {
        seed: if query.seed == 0 { defaults.seed } else { query.seed },
        evaluations_max: query.evaluations_max.map(|most| most as usize),
        tolerance: query.tolerance.unwrap_or(defaults.tolerance),
        n_background: query.n_background.map_or(defaults.n_background, |n| n as usize),
        background: match &query.background {
            Some(name) => named("background", name)?,
            None => defaults.background,
        },
        conditional: query.conditional,
        split,
        drill_down: query.drill_down.as_ref().map(|name| named("drill_down", name)).transpose()?,
        method: query.method.as_ref().map(|name| named("method", name)).transpose()?,
        ..defaults
    };
    config.validate().map_err(invalid_argument)?;
    Ok(config)
}

/// The bounds that a query asks for, by the defaults of the batch stage.
fn bounds_of(query: &CounterfactualsQuery) -> Result<Bounds, Status> {
    let defaults = Bounds::default();
    let bounds = Bounds {
        price: query.price.unwrap_or(defaults.price),
        promotion: query.promotion.unwrap_or(defaults.promotion),
        in_stock: query.in_stock.unwrap_or(defaults.in_stock),
        sales_change: query.sales_change.unwrap_or(defaults.sales_change),
        ..defaults
    };
    bounds.validate().map_err(invalid_argument)?;
    Ok(bounds)
}

fn changeable(range: &Range) -> wire::ChangeableInput {
    wire::ChangeableInput {
        name: range.axis.name().to_owned(),
        is_planned: range.axis.is_planned(),
        usual: range.usual,
        bounds: [range.low, range.high],
        is_read: range.is_read,
    }
}

fn told(told: Counterfactual) -> wire::Counterfactual {
    let Counterfactual {
        target,
        is_reached,
        change,
        distance,
        was,
        becomes,
        output,
        output_before,
        output_after,
        after,
        en,
        zh,
    } = told;
    let named = |(axis, value): (Axis, f64)| (axis.name().to_owned(), value);
    wire::Counterfactual {
        target: target.name().to_owned(),
        is_reached,
        changes: change.values.into_iter().map(named).collect(),
        distance,
        was,
        becomes,
        output,
        output_before,
        output_after,
        after,
        en,
        zh,
    }
}

/// A family or method by its name in configurations.
fn named<T: DeserializeOwned>(field: &str, name: &str) -> Result<T, Status> {
    let found = serde_json::from_value(serde_json::Value::from(name));
    found.map_err(|error| invalid_argument(Invalid::new(field, error.to_string())))
}

/// The name of a choice in configurations.
fn word(choice: impl Serialize) -> String {
    let word = serde_json::to_value(choice).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// The outputs that were asked for, in the order of the request; all where none was.
fn chosen(explanation: &Explanation, wanted: &[String]) -> Result<Vec<ExplainedOutput>, Status> {
    let names = &explanation.outputs;
    let wanted = if wanted.is_empty() { names } else { wanted };
    let explained = wanted.iter().enumerate().map(|(index, output)| {
        let place = names.iter().position(|name| name == output).ok_or_else(|| {
            let reason = format!("is not one of `{}`", names.join("`, `"));
            invalid_argument(Invalid::new(format!("outputs[{index}]"), reason))
        })?;
        let attribution = explanation.attributions[place].clone();
        let served = explanation.served[place];
        let Interactions { values, standard_errors, untold, .. } = &explanation.interactions;
        Ok(ExplainedOutput {
            output: output.clone(),
            attribution,
            served,
            interactions: values.get(place).cloned().unwrap_or_default(),
            interaction_standard_errors: standard_errors.get(place).cloned().unwrap_or_default(),
            interactions_untold: untold.get(place).copied().unwrap_or_default(),
        })
    });
    explained.collect()
}

/// The status of an error that a live call met.
pub(super) fn status_of_live(error: &Error) -> Status {
    let message = error_chain(error);
    match error {
        Error::Time => status(Code::DeadlineExceeded, &message, "EXPLANATION_TIME"),
        _ => status_of(error.kind(), &message, "EXPLANATION"),
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Digest;
    use panel::Settings;

    use super::*;
    use crate::background::Likeness;
    use crate::estimator::Method;
    use crate::explained::tests::{model, panel};
    use crate::players::Family;

    fn query() -> ExplainQuery {
        ExplainQuery::new(Digest::of("model"), Digest::of("features"), Series::of("mug"))
    }

    #[test]
    fn what_a_query_leaves_open_is_as_in_the_stage() {
        assert_eq!(config_of(&query()).expect("defaults"), Config::default());
        let asked = ExplainQuery {
            split: vec!["traffic".to_owned(), "price".to_owned()],
            method: Some("odd".to_owned()),
            tolerance: Some(0.2),
            n_background: Some(1),
            background: Some("stage".to_owned()),
            conditional: true,
            evaluations_max: Some(99),
            seed: 4,
            ..query()
        };
        let expected = Config {
            split: vec![Family::Traffic, Family::Price],
            method: Some(Method::Odd),
            tolerance: 0.2,
            n_background: 1,
            background: Likeness::Stage,
            conditional: true,
            evaluations_max: Some(99),
            seed: 4,
            ..Config::default()
        };
        assert_eq!(config_of(&asked).expect("good words"), expected);
        let whole = ExplainQuery { split: vec![NONE.to_owned()], ..query() };
        assert!(config_of(&whole).expect("good words").split.is_empty());
        for family in Family::ALL {
            assert_eq!(named::<Family>("split", &word(family)).expect("a family"), family);
        }
    }

    #[test]
    fn bounds_that_a_query_leaves_open_are_as_in_the_stage() {
        let query = CounterfactualsQuery {
            model: Digest::of("model"),
            features: Digest::of("features"),
            series: Series::of("mug"),
            origin: None,
            price: None,
            promotion: None,
            in_stock: Some([0.2, 0.9]),
            sales_change: None,
        };
        let expected = Bounds { in_stock: [0.2, 0.9], ..Bounds::default() };
        assert_eq!(bounds_of(&query).expect("good bounds"), expected);
        let refused = CounterfactualsQuery { price: Some([1.1, 1.2]), ..query };
        let refused = bounds_of(&refused).expect_err("1 lies outside");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    #[test]
    fn a_product_alone_is_told_what_it_lacks() {
        let panel = panel();
        let model = model(&panel, (1, 1));
        let meta = panel.meta(model.settings(Settings::default_for(panel.frequency)));
        let mut known = Known { model, categories: category_units(&panel), panel, meta };
        let explain = |known: &Known| {
            let settled = known.settled(query()).expect("good words");
            known.explanation(&settled, &|| false, &mut |_| {})
        };
        let refused = explain(&known).expect_err("nothing stands in");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("at least two products that have sold"), "{refused}");
        let lamp = History { series: Series::of("lamp"), ..known.panel.histories[0].clone() };
        known.panel.histories.insert(0, lamp);
        assert_eq!(explain(&known).expect("now there are two").series, Series::of("mug"));
    }

    #[test]
    fn an_unknown_word_is_refused_by_its_field() {
        let asked = ExplainQuery { drill_down: Some("weather".to_owned()), ..query() };
        let refused = config_of(&asked).expect_err("no such family");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("drill_down"), "{refused}");
    }
}
