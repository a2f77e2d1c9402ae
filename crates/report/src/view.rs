//! What the report shows, as plain data for the template and its charts.

use std::collections::BTreeMap;

use serde::Serialize;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct View {
    /// Name of the data set.
    pub dataset: String,
    /// Facts in the header: label and value.
    pub facts: Vec<(String, String)>,
    /// Sentences that say what holds, the most important first.
    pub findings: Vec<String>,
    /// The featured products.
    pub products: Vec<ProductView>,
    /// The score table by task.
    pub score_groups: Vec<ScoreGroup>,
    /// Names of the models, ours first: the columns of every score table.
    pub models: Vec<String>,
    /// Data quality: label and value.
    pub quality: Vec<(String, String)>,
    /// Rows refused, by reason.
    pub refused: Vec<(String, u64)>,
    /// Digests of all artifacts: stage and content digest.
    pub artifacts: Vec<(String, String)>,
    /// The dense baseline's scatter plot: true and predicted units.
    pub scatter: Option<Scatter>,
    /// Reliability of our turn probabilities.
    pub reliability: Vec<Reliability>,
}

/// One featured product.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProductView {
    /// Series as text.
    pub series: String,
    /// Its title, empty where unknown.
    pub title: String,
    /// Its category path.
    pub category: String,
    /// First days of the shown periods.
    pub days: Vec<String>,
    /// Units sold, null where not observed. Shape `[days]`.
    pub units: Vec<Option<f32>>,
    /// First days of the forecast periods.
    pub forecast_days: Vec<String>,
    /// Expected units. Shape `[forecast_days]`.
    pub mean: Vec<f32>,
    /// Quantiles .05, .2, .5, .8, .95 by period. Shape `[5][forecast_days]`.
    pub fan: Vec<Vec<f32>>,
    /// Last days of the origins of which turns and stages are shown.
    pub origin_days: Vec<String>,
    /// P(halved), P(doubled), P(silent) by 13 weeks. Shape `[3][origin_days]`.
    pub turns: Vec<Vec<Option<f32>>>,
    /// Stage probabilities now. Shape `[4][origin_days]`.
    pub stages: Vec<Vec<Option<f32>>>,
    /// What drives the forecast, one an output.
    pub waterfalls: Vec<Waterfall>,
    /// The plan's action and reason, empty where there is none.
    pub action: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// One attribution.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Waterfall {
    /// What is explained.
    pub output: String,
    /// Output with every player absent.
    pub base: f64,
    /// The served answer.
    pub served: f64,
    /// Players, values and standard errors, the largest first.
    pub players: Vec<(String, f64, f64)>,
}

/// All scores of one task.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreGroup {
    /// Task, for people.
    pub task: String,
    /// One a metric and horizon.
    pub rows: Vec<ScoreRow>,
}

/// One metric at one horizon for all models.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreRow {
    /// Metric, for people.
    pub metric: String,
    /// Horizon, for people.
    pub horizon: String,
    /// Whether the data can carry this score.
    pub identifiable: bool,
    /// Rows scored.
    pub n: u64,
    /// One a model; null where the model gives no such forecast.
    pub cells: Vec<Option<ScoreCell>>,
}

/// One score.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ScoreCell {
    /// The score.
    pub value: f64,
    /// Its 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The best of its row.
    pub is_best: bool,
}

/// True against predicted units of the dense baseline.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scatter {
    /// Units sold.
    pub observed: Vec<f32>,
    /// Units predicted.
    pub predicted: Vec<f32>,
}

/// Predicted against observed frequency of one turn.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reliability {
    /// Which turn and horizon.
    pub name: String,
    /// Mean predicted probability by bin.
    pub predicted: Vec<f64>,
    /// Observed frequency by bin.
    pub observed: Vec<f64>,
    /// Rows by bin.
    pub n: Vec<u64>,
}

/// Score values that are better the higher they are; every other metric is an error.
pub(crate) const HIGHER_IS_BETTER: [&str; 1] = ["macro_f1"];

/// Metrics that are compared with a target rather than minimised.
pub(crate) const NOT_RANKED: [&str; 2] = ["bias", "coverage"];

/// Groups scores into tables: tasks in their order, models with ours first.
pub(crate) fn score_groups(scores: &[lifecycle::Score]) -> (Vec<String>, Vec<ScoreGroup>) {
    let mut models: Vec<String> = Vec::new();
    for score in scores {
        if !models.contains(&score.model) {
            models.push(score.model.clone());
        }
    }
    models.sort_by_key(|model| (model != "lifecast", model.clone()));

    let mut rows: BTreeMap<(usize, String, u32, String), Vec<&lifecycle::Score>> = BTreeMap::new();
    for score in scores {
        let place = TASKS.iter().position(|(task, _)| *task == score.task).unwrap_or(TASKS.len());
        let key = (place, score.task.clone(), score.horizon, score.metric.clone());
        rows.entry(key).or_default().push(score);
    }
    let mut groups: Vec<ScoreGroup> = Vec::new();
    for ((place, task, horizon, metric), scores) in rows {
        let name = TASKS.get(place).map_or(task.as_str(), |(_, name)| name).to_owned();
        let row = score_row(&task, horizon, &metric, &scores, &models);
        match groups.last_mut().filter(|group| group.task == name) {
            Some(group) => group.rows.push(row),
            None => groups.push(ScoreGroup { task: name, rows: vec![row] }),
        }
    }
    (models, groups)
}

const TASKS: [(&str, &str); 5] = [
    ("halved", "Share halves"),
    ("doubled", "Share doubles"),
    ("silent", "Falls silent"),
    ("units", "Units sold"),
    ("stage", "Stage"),
];

fn score_row(
    task: &str,
    horizon: u32,
    metric: &str,
    scores: &[&lifecycle::Score],
    models: &[String],
) -> ScoreRow {
    let sign = if HIGHER_IS_BETTER.contains(&metric) { -1.0 } else { 1.0 };
    let best = scores.iter().map(|score| sign * score.value).fold(f64::INFINITY, f64::min);
    let is_ranked = !NOT_RANKED.contains(&metric);
    let cell = |model: &String| {
        let score = scores.iter().find(|score| score.model == *model)?;
        Some(ScoreCell {
            value: score.value,
            low: score.low,
            high: score.high,
            is_best: is_ranked && sign * score.value <= best,
        })
    };
    ScoreRow {
        metric: metric.replace('_', " "),
        horizon: match (task, horizon) {
            ("stage", 0) => "now".to_owned(),
            ("units", _) => format!("periods 1 to {horizon}"),
            _ => format!("{horizon} weeks"),
        },
        identifiable: scores.iter().all(|score| score.identifiable),
        n: scores.iter().map(|score| score.n).max().unwrap_or(0),
        cells: models.iter().map(cell).collect(),
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Score;

    use super::*;

    fn score(model: &str, metric: &str, value: f64) -> Score {
        Score {
            model: model.into(),
            task: "halved".into(),
            horizon: 13,
            metric: metric.into(),
            value,
            low: value,
            high: value,
            n: 7,
            identifiable: true,
        }
    }

    #[test]
    fn ours_comes_first_and_the_best_is_marked() {
        let scores = [
            score("base rate", "brier", 0.2),
            score("lifecast", "brier", 0.1),
            score("base rate", "bias", 0.0),
        ];
        let (models, groups) = score_groups(&scores);
        assert_eq!(models, ["lifecast", "base rate"]);
        let [bias, brier] = &groups[0].rows[..] else { panic!("two rows") };
        assert!(bias.cells[0].is_none());
        assert!(bias.cells[1].as_ref().is_some_and(|cell| !cell.is_best));
        assert!(brier.cells[0].as_ref().is_some_and(|cell| cell.is_best));
    }
}
