//! From the artifacts of a run to what the report shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifecycle::{Forecast, Frequency, OUTLOOK_WEEKS, Period, Score, Series};
use panel::{Channel, History, Panel};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tables::{AttributionRow, CounterfactualRow, Dataset, FeaturesDir, PlanRow};

use crate::heat::heat_view;
use crate::importance::importance_view;
use crate::numbers::count;
use crate::overview::{Outlook, plan_groups, sort_by_stake};
use crate::product::{Calendar, product_view};
use crate::quality::quality;
use crate::scores::{calibration, findings, label_line, score_groups};
use crate::surrogates::Surrogates;
use crate::view::{Charts, ProductView, View};
use crate::words::Words;
use crate::{Error, Inputs};

/// Weeks without a sale after which a series is asleep.
const ASLEEP_WEEKS: u32 = 13;

/// Periods of history shown before the origin.
const SHOWN: usize = 156;

/// `scatter.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Scatter {
    points: Vec<Point>,
}

#[derive(Debug, Deserialize)]
struct Point {
    series: String,
    units: f32,
    predicted: f32,
}

/// Collects the view of one run.
pub(crate) fn gather(inputs: &Inputs<'_>, n_products: usize) -> Result<View, Error> {
    let features = FeaturesDir::open(inputs.features)?;
    let panel = features.panel()?;
    let attributions: Vec<AttributionRow> =
        tables::read(&inputs.explanations.join("attributions.parquet"))?;
    let counterfactuals: Vec<CounterfactualRow> =
        tables::read(&inputs.explanations.join("counterfactuals.parquet"))?;
    let plans: Vec<PlanRow> = tables::read(&inputs.plans.join("plans.parquet"))?;
    let scores: Vec<Score> = tables::read(&inputs.scores.join("scores.parquet"))?;
    let dataset: Dataset = read_json(&inputs.dataset.join("dataset.json"))?;
    let report: Value = read_json(&inputs.dataset.join("quality.json"))?;

    let surrogates = Surrogates::open(inputs.explanations)?;
    let words = Words::open(inputs.explanations)?;
    let chosen = chosen(&attributions, &plans, n_products);
    let (mut forecasts, outlook) = read_forecasts(inputs.forecasts, &panel, &chosen)?;
    let calendar = Calendar { start: panel.start, n_shown: SHOWN };
    let view_of = |series: &Series| {
        let history = history_of(&panel, series)?;
        let plan = plans.binary_search_by(|plan| plan.series.cmp(series)).ok();
        let plan = plan.map(|place| &plans[place]);
        let own = forecasts.get_mut(series)?;
        let explained = (&attributions[..], &counterfactuals[..]);
        let limes = surrogates.as_ref().map(|surrogates| surrogates.limes(series));
        let mut view = product_view(calendar, history, own, explained, plan);
        words.tell(series, &mut view.waterfalls);
        Some(ProductView { limes: limes.unwrap_or_default(), ..view })
    };
    let products: Vec<_> = chosen.iter().filter_map(view_of).collect();
    let horizon = features.split().horizon;
    let n_ahead = horizon.max(products.iter().map(|product| product.mean.len()).max().unwrap_or(0));
    let (reliability, coverage) = calibration(&inputs.scores.join("calibration.json"))?;
    let (models, score_groups) = score_groups(&scores);
    let places = products
        .iter()
        .enumerate()
        .map(|(place, product)| (product.series.clone(), place))
        .collect();
    let title_of = |plan: &PlanRow| {
        let history = history_of(&panel, &plan.series);
        history.and_then(|history| history.statics.title.clone()).unwrap_or_default()
    };
    let ahead = format!("{horizon} {}", plural(panel.frequency));
    let last_day = panel.frequency.last_day(last_period(&panel)).to_string();
    let overview = outlook.told(things(&panel), last_day, &ahead, &plans);
    Ok(View {
        facts: facts(&dataset, &panel),
        overview,
        plans: plan_groups(&plans, title_of, &places),
        findings: findings(&scores),
        labels: label_line(&features, &inputs.scores.join("scores.json"))?,
        score_groups,
        models,
        surrogates: surrogates.and_then(|surrogates| surrogates.view()),
        quality: quality(&report),
        artifacts: inputs.artifacts.to_vec(),
        charts: Charts {
            period: singular(panel.frequency),
            days: (0..panel.n_periods + n_ahead)
                .map(|n| panel.frequency.first_day(panel.start.plus(n as i32)).to_string())
                .collect(),
            cut: calendar.position(features.split().last_training_period()),
            outlook_weeks: OUTLOOK_WEEKS,
            products,
            reliability,
            coverage,
            scatter: scatter(inputs.dense)?,
            importance: importance_view(inputs.explanations, &attributions, calendar)?,
            heat: heat_view(inputs.explanations, calendar)?,
        },
        dataset: dataset.name,
    })
}

/// The charted series: explained ones, then those to delist and to mark down (at most a quarter
/// each), then whatever sells most.
fn chosen(attributions: &[AttributionRow], plans: &[PlanRow], n_products: usize) -> Vec<Series> {
    let by_stake = |action: Option<&str>| {
        let is_wanted = |plan: &&PlanRow| action.is_none_or(|action| plan.action == action);
        let mut plans: Vec<&PlanRow> = plans.iter().filter(is_wanted).collect();
        sort_by_stake(&mut plans);
        plans.into_iter().map(|plan| &plan.series)
    };
    let explained = attributions.iter().map(|row| &row.series);
    let urgent = ["delist", "mark down"];
    let urgent = urgent.into_iter().flat_map(|action| by_stake(Some(action)).take(n_products / 4));
    let mut seen = BTreeSet::new();
    let all = explained.chain(urgent).chain(by_stake(None));
    all.filter(|series| seen.insert(*series)).take(n_products).cloned().collect()
}

/// All forecasts of the chosen series, and what the latest forecast of every series says.
fn read_forecasts(
    folder: &Path,
    panel: &Panel,
    chosen: &[Series],
) -> Result<(BTreeMap<Series, Vec<Forecast>>, Outlook), Error> {
    let wanted: BTreeSet<&Series> = chosen.iter().collect();
    let mut forecasts: BTreeMap<Series, Vec<Forecast>> = BTreeMap::new();
    let mut outlook = Outlook::default();
    for part in tables::parts(&folder.join("forecasts"))? {
        for forecast in tables::read::<Forecast>(&part)? {
            if forecast.origin == last_period(panel) {
                outlook.add(&forecast, is_asleep(panel, &forecast.series));
            }
            if wanted.contains(&forecast.series) {
                forecasts.entry(forecast.series.clone()).or_default().push(forecast);
            }
        }
    }
    Ok((forecasts, outlook))
}

fn last_period(panel: &Panel) -> Period {
    panel.start.plus(panel.n_periods as i32 - 1)
}

fn history_of<'a>(panel: &'a Panel, series: &Series) -> Option<&'a History> {
    let place = panel.histories.binary_search_by(|history| history.series.cmp(series)).ok()?;
    Some(&panel.histories[place])
}

/// Whether nothing was sold in the last weeks, as far as they are known.
fn is_asleep(panel: &Panel, series: &Series) -> bool {
    let n_recent = panel.frequency.periods_of_weeks(ASLEEP_WEEKS);
    let units = history_of(panel, series).map(|history| history.channel(Channel::Units));
    let recent = units.unwrap_or_default().iter().rev().take(n_recent);
    recent.filter(|units| units.is_finite()).all(|units| *units <= 0.0)
}

/// What is forecast, for people, and how many there are.
fn things(panel: &Panel) -> (&'static str, usize) {
    let has_places = panel.histories.iter().any(|history| history.series.location.is_some());
    (if has_places { "series" } else { "products" }, panel.histories.len())
}

fn facts(dataset: &Dataset, panel: &Panel) -> Vec<(String, String)> {
    let products: BTreeSet<_> =
        panel.histories.iter().map(|history| &history.series.product).collect();
    let mut facts = vec![
        ("products".into(), count(products.len())),
        (plural(panel.frequency).into(), panel.n_periods.to_string()),
        ("from".into(), dataset.first_day.to_string()),
        ("to".into(), dataset.last_day.to_string()),
    ];
    if panel.histories.len() != products.len() {
        let n_series = count(panel.histories.len());
        facts.insert(1, ("series (product and place)".into(), n_series));
    }
    facts
}

fn singular(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Day => "day",
        Frequency::Week => "week",
        Frequency::Month => "month",
    }
}

fn plural(frequency: Frequency) -> &'static str {
    match frequency {
        Frequency::Day => "days",
        Frequency::Week => "weeks",
        Frequency::Month => "months",
    }
}

fn scatter(dense: Option<&Path>) -> Result<Vec<(String, f32, f32)>, Error> {
    let path = dense.map(|dense| dense.join("scatter.json")).filter(|path| path.exists());
    let Some(path) = path else { return Ok(Vec::new()) };
    let Scatter { points } = read_json(&path)?;
    Ok(points.into_iter().map(|point| (point.series, point.units, point.predicted)).collect())
}

/// A JSON file of another stage.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(file_error)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}
