//! From the artifacts of a run to what the report shows.

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::{Forecast, Frequency, LEVELS, Period, Score, Series, Stage, Turn};
use panel::{Channel, History};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tables::{AttributionRow, FeaturesDir, PlanRow};

use crate::view::{ProductView, Reliability, Scatter, View, Waterfall, score_groups};
use crate::{Error, Inputs};

/// Levels of the fan chart.
const FAN: [f64; 5] = [0.05, 0.2, 0.5, 0.8, 0.95];

/// Periods of history shown before the origin.
const SHOWN: usize = 156;

/// Collects the view of one run.
pub(crate) fn gather(inputs: &Inputs<'_>, n_products: usize) -> Result<View, Error> {
    let features = FeaturesDir::open(inputs.features)?;
    let attributions: Vec<AttributionRow> =
        tables::read(&inputs.explanations.join("attributions.parquet"))?;
    let plans: Vec<PlanRow> = tables::read(&inputs.plans.join("plans.parquet"))?;
    let scores: Vec<Score> = tables::read(&inputs.scores.join("scores.parquet"))?;
    let quality: Value = read_json(&inputs.dataset.join("quality.json"))?;
    let dataset: tables::Dataset = read_json(&inputs.dataset.join("dataset.json"))?;

    let mut chosen: Vec<Series> = attributions.iter().map(|row| row.series.clone()).collect();
    chosen.extend(plans.iter().map(|row| row.series.clone()));
    let mut seen = std::collections::BTreeSet::new();
    chosen.retain(|series| seen.insert(series.clone()) && seen.len() <= n_products);

    let mut forecasts: BTreeMap<Series, Vec<Forecast>> = BTreeMap::new();
    for part in tables::parts(&inputs.forecasts.join("forecasts"))? {
        for forecast in tables::read::<Forecast>(&part)? {
            if seen.contains(&forecast.series) {
                forecasts.entry(forecast.series.clone()).or_default().push(forecast);
            }
        }
    }
    let panel = features.panel()?;
    let products = chosen
        .iter()
        .filter_map(|series| {
            let place = panel.histories.binary_search_by(|h| h.series.cmp(series)).ok()?;
            let history = &panel.histories[place];
            let own = forecasts.get(series)?;
            let mut product = product_view(panel.frequency, history, own);
            product.waterfalls = waterfalls(&attributions, series);
            if let Some(plan) = plans.iter().find(|plan| plan.series == *series) {
                product.action.clone_from(&plan.action);
                product.reason.clone_from(&plan.reason);
            }
            Some(product)
        })
        .collect();
    let (models, score_groups) = score_groups(&scores);
    Ok(View {
        facts: facts(&dataset, &panel),
        dataset: dataset.name,
        findings: findings(&scores),
        products,
        score_groups,
        models,
        quality: quality_facts(&quality),
        refused: refused(&quality),
        artifacts: inputs.artifacts.to_vec(),
        scatter: inputs.dense.and_then(|dense| scatter(&dense.join("scatter.json"))),
        reliability: reliability(&inputs.scores.join("calibration.json")),
    })
}

fn product_view(frequency: Frequency, history: &History, forecasts: &[Forecast]) -> ProductView {
    let day = |period: Period| frequency.first_day(period).to_string();
    let n_periods = history.n_periods();
    let first = n_periods.saturating_sub(SHOWN);
    let periods = (first..n_periods).map(|index| history.start.plus(index as i32));
    let mut by_origin: Vec<&Forecast> = forecasts.iter().collect();
    by_origin.sort_by_key(|forecast| forecast.origin);
    let latest = by_origin.last().filter(|forecast| forecast.units.is_some());
    let units = latest.and_then(|forecast| forecast.units.as_ref());
    let horizon = units.map_or(0, lifecycle::UnitsForecast::horizon);
    let turn = |turn: Turn| {
        by_origin.iter().map(|f| f.outlooks[1].turns.map(|turns| turns[turn.index()])).collect()
    };
    let stage = |stage: Stage| {
        by_origin.iter().map(|f| f.stage_now.map(|stages| stages.of(stage))).collect()
    };
    ProductView {
        series: history.series.to_string(),
        title: history.statics.title.clone().unwrap_or_default(),
        category: history.statics.category.join(" › "),
        days: periods.clone().map(day).collect(),
        units: periods
            .map(|period| {
                let units = history.value(Channel::Units, period);
                units.is_finite().then_some(units)
            })
            .collect(),
        forecast_days: latest.map_or_else(Vec::new, |forecast| {
            (1..=horizon).map(|step| day(forecast.origin.plus(step as i32))).collect()
        }),
        mean: units.map_or_else(Vec::new, |units| units.means.clone()),
        fan: units.map_or_else(Vec::new, fan),
        origin_days: by_origin
            .iter()
            .map(|forecast| frequency.last_day(forecast.origin).to_string())
            .collect(),
        turns: Turn::ALL.map(turn).to_vec(),
        stages: Stage::ALL[..4].iter().map(|one| stage(*one)).collect(),
        waterfalls: Vec::new(),
        action: String::new(),
        reason: String::new(),
    }
}

fn fan(units: &lifecycle::UnitsForecast) -> Vec<Vec<f32>> {
    if units.quantiles.is_empty() {
        return Vec::new();
    }
    let place = |level: f64| LEVELS.iter().position(|known| *known == level).unwrap_or(0);
    FAN.iter()
        .map(|level| {
            (0..units.horizon()).map(|step| units.quantiles_at(step)[place(*level)]).collect()
        })
        .collect()
}

fn waterfalls(rows: &[AttributionRow], series: &Series) -> Vec<Waterfall> {
    let mut waterfalls: Vec<Waterfall> = Vec::new();
    for row in rows.iter().filter(|row| row.series == *series) {
        let player = (row.player.clone(), row.value, row.standard_error);
        match waterfalls.iter_mut().find(|waterfall| waterfall.output == row.output) {
            Some(waterfall) => waterfall.players.push(player),
            None => waterfalls.push(Waterfall {
                output: row.output.clone(),
                base: row.base_value,
                served: row.served,
                players: vec![player],
            }),
        }
    }
    for waterfall in &mut waterfalls {
        waterfall.players.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    }
    waterfalls
}

fn facts(dataset: &tables::Dataset, panel: &panel::Panel) -> Vec<(String, String)> {
    let frequency = match panel.frequency {
        Frequency::Day => "days",
        Frequency::Week => "weeks",
        Frequency::Month => "months",
    };
    let products: std::collections::BTreeSet<_> =
        panel.histories.iter().map(|history| &history.series.product).collect();
    vec![
        ("products".into(), products.len().to_string()),
        ("series".into(), panel.histories.len().to_string()),
        (frequency.into(), panel.n_periods.to_string()),
        ("from".into(), dataset.first_day.to_string()),
        ("to".into(), dataset.last_day.to_string()),
    ]
}

/// How often ours is best, by metric: the sentence that a reader wants first.
fn findings(scores: &[Score]) -> Vec<String> {
    let mut cells: BTreeMap<(&str, u32, &str), Vec<&Score>> = BTreeMap::new();
    for score in scores.iter().filter(|score| score.identifiable) {
        let key = (score.task.as_str(), score.horizon, score.metric.as_str());
        cells.entry(key).or_default().push(score);
    }
    let mut wins: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((_, _, metric), scores) in &cells {
        if crate::view::NOT_RANKED.contains(metric) {
            continue;
        }
        let sign = if crate::view::HIGHER_IS_BETTER.contains(metric) { -1.0 } else { 1.0 };
        let best = scores.iter().map(|score| sign * score.value).fold(f64::INFINITY, f64::min);
        let Some(ours) = scores.iter().find(|score| score.model == "lifecast") else { continue };
        let (n_best, n) = wins.entry(metric).or_default();
        *n += 1;
        *n_best += usize::from(sign * ours.value <= best);
    }
    wins.into_iter()
        .map(|(metric, (n_best, n))| {
            format!("{}: our model is best in {n_best} of {n} cells.", metric.replace('_', " "))
        })
        .collect()
}

/// Every number at the top level of the quality report.
fn quality_facts(quality: &Value) -> Vec<(String, String)> {
    let Some(fields) = quality.as_object() else { return Vec::new() };
    let text = |value: &Value| match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    fields.iter().filter_map(|(name, value)| Some((name.replace('_', " "), text(value)?))).collect()
}

fn refused(quality: &Value) -> Vec<(String, u64)> {
    let Some(reasons) = quality.get("quarantined").and_then(Value::as_object) else {
        return Vec::new();
    };
    reasons
        .iter()
        .filter_map(|(reason, n)| {
            let n = n.as_u64().or_else(|| n.get("rows")?.as_u64())?;
            Some((reason.clone(), n))
        })
        .collect()
}

fn scatter(path: &Path) -> Option<Scatter> {
    let value: Value = read_json(path).ok()?;
    let floats = |name: &str| -> Option<Vec<f32>> {
        Some(
            value
                .get(name)?
                .as_array()?
                .iter()
                .filter_map(Value::as_f64)
                .map(|x| x as f32)
                .collect(),
        )
    };
    Some(Scatter { observed: floats("observed")?, predicted: floats("predicted")? })
}

fn reliability(path: &Path) -> Vec<Reliability> {
    let Ok(Value::Array(rows)) = read_json::<Value>(path) else { return Vec::new() };
    let floats = |row: &Value, name: &str| -> Option<Vec<f64>> {
        Some(row.get(name)?.as_array()?.iter().filter_map(Value::as_f64).collect())
    };
    rows.iter()
        .filter(|row| row.get("model").and_then(Value::as_str) == Some("lifecast"))
        .filter_map(|row| {
            let task = row.get("task")?.as_str()?;
            let horizon = row.get("horizon")?.as_u64()?;
            let n = row.get("n")?.as_array()?.iter().filter_map(Value::as_u64).collect();
            Some(Reliability {
                name: format!("{task}, {horizon} weeks"),
                predicted: floats(row, "predicted")?,
                observed: floats(row, "observed")?,
                n,
            })
        })
        .collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(file_error)?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}
