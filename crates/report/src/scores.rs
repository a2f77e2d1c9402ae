//! The score table by task, what it says in short, and whether probabilities mean what they say.

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::Score;
use serde::Deserialize;
use tables::FeaturesDir;

use crate::Error;
use crate::gather::read_json;
use crate::view::{Reliability, ScoreCell, ScoreGroup, ScoreRow};

/// The model that is explained and planned with.
pub(crate) const OURS: &str = "lifecast";

/// Metrics that are compared with a target rather than minimised.
const NOT_RANKED: [&str; 2] = ["bias", "coverage"];

/// Tasks in the order of the page, for people.
const TASKS: [(&str, &str); 5] = [
    ("halved", "Share halves"),
    ("doubled", "Share doubles"),
    ("silent", "Falls silent"),
    ("units", "Units sold"),
    ("stage", "Stage"),
];

/// Metrics for people.
const METRICS: [(&str, &str); 11] = [
    ("wql", "WQL"),
    ("wql_cumulative", "WQL of sums"),
    ("mase", "MASE"),
    ("rmsse", "RMSSE"),
    ("bias", "bias"),
    ("coverage", "coverage gap"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("rps", "RPS"),
    ("macro_f1", "macro F1"),
    ("macro_f1_decided", "macro F1, decided"),
];

/// `calibration.json`, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Calibrations {
    turns: Vec<TurnCalibration>,
    units: Vec<UnitsCalibration>,
}

#[derive(Debug, Deserialize)]
struct TurnCalibration {
    model: String,
    task: String,
    horizon: u32,
    bins: Vec<Bin>,
    excess: f64,
}

#[derive(Debug, Deserialize)]
struct Bin {
    probability: f64,
    frequency: f64,
    n: u64,
}

#[derive(Debug, Deserialize)]
struct UnitsCalibration {
    model: String,
    coverage: Vec<BandCoverage>,
}

#[derive(Debug, Deserialize)]
struct BandCoverage {
    levels: Vec<LevelCoverage>,
}

#[derive(Debug, Deserialize)]
struct LevelCoverage {
    level: f64,
    below: f64,
    at_most: f64,
}

/// Groups scores into tables: tasks in their order, models with ours first.
pub(crate) fn score_groups(scores: &[Score]) -> (Vec<String>, Vec<ScoreGroup>) {
    let mut models: Vec<String> = Vec::new();
    for score in scores {
        if !models.contains(&score.model) {
            models.push(score.model.clone());
        }
    }
    models.sort_by_key(|model| model != OURS);
    let mut rows: BTreeMap<(usize, String, usize, u32), Vec<&Score>> = BTreeMap::new();
    for score in scores {
        let place = place_in(&TASKS, &score.task);
        let key = (place, score.task.clone(), place_in(&METRICS, &score.metric), score.horizon);
        rows.entry(key).or_default().push(score);
    }
    let mut groups: Vec<ScoreGroup> = Vec::new();
    for ((place, task, ..), scores) in rows {
        let name = TASKS.get(place).map_or(task.as_str(), |(_, name)| name).to_owned();
        let row = score_row(&scores, &models);
        match groups.last_mut().filter(|group| group.task == name) {
            Some(group) => group.rows.push(row),
            None => groups.push(ScoreGroup { task: name, rows: vec![row] }),
        }
    }
    (models, groups)
}

fn place_in(names: &[(&str, &str)], wanted: &str) -> usize {
    names.iter().position(|(name, _)| *name == wanted).unwrap_or(names.len())
}

/// Scores of one task, horizon and metric.
fn score_row(scores: &[&Score], models: &[String]) -> ScoreRow {
    let Score { task, horizon, metric, .. } = scores[0];
    let best = best_cost(scores);
    let cell = |model: &String| {
        let score = scores.iter().find(|score| score.model == *model)?;
        let Score { value, low, high, .. } = **score;
        let is_best = is_ranked(metric) && cost(score) <= best;
        Some(ScoreCell { value, low, high, is_best })
    };
    ScoreRow {
        metric: METRICS.get(place_in(&METRICS, metric)).map_or(metric.as_str(), |m| m.1).to_owned(),
        horizon: match (task.as_str(), horizon) {
            ("stage", 0) => "now".to_owned(),
            ("units", _) => format!("periods 1 to {horizon}"),
            _ => format!("{horizon} weeks"),
        },
        identifiable: scores.iter().all(|score| score.identifiable),
        n: scores.iter().map(|score| score.n).max().unwrap_or(0),
        cells: models.iter().map(cell).collect(),
    }
}

fn is_ranked(metric: &str) -> bool {
    !NOT_RANKED.contains(&metric)
}

/// The score, turned so that smaller is better.
fn cost(score: &Score) -> f64 {
    lifecycle::cost(&score.metric, score.value)
}

fn best_cost(scores: &[&Score]) -> f64 {
    scores.iter().map(|score| cost(score)).fold(f64::INFINITY, f64::min)
}

/// How often ours is best: over all cells, then by metric.
pub(crate) fn findings(scores: &[Score]) -> Vec<String> {
    let mut cells: BTreeMap<(&str, u32, &str), Vec<&Score>> = BTreeMap::new();
    for score in scores.iter().filter(|score| score.identifiable && is_ranked(&score.metric)) {
        let key = (score.task.as_str(), score.horizon, score.metric.as_str());
        cells.entry(key).or_default().push(score);
    }
    let mut wins = [(0, 0); METRICS.len() + 1];
    for ((_, _, metric), scores) in &cells {
        let Some(ours) = scores.iter().find(|score| score.model == OURS) else { continue };
        let (n_best, n) = &mut wins[place_in(&METRICS, metric)];
        *n += 1;
        *n_best += usize::from(cost(ours) <= best_cost(scores));
    }
    let (n_best, n) = wins.iter().fold((0, 0), |(best, n), win| (best + win.0, n + win.1));
    if n == 0 {
        return vec!["No comparison between forecasters can be made on this little data.".into()];
    }
    let by_metric: Vec<String> = METRICS
        .iter()
        .zip(wins)
        .filter(|(_, (_, n))| *n > 0)
        .map(|((_, name), (n_best, n))| format!("{name} {n_best} of {n}"))
        .collect();
    vec![
        format!("Our model is the best of all forecasters in {n_best} of {n} comparisons."),
        format!("By measure: {}.", by_metric.join(", ")),
    ]
}

/// `scores.json`, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
struct Results {
    stages_are_true: bool,
    counts: Vec<CellCounts>,
}

#[derive(Debug, Deserialize)]
struct CellCounts {
    task: String,
    horizon: u32,
    label_entropy: Option<f64>,
}

/// What is known of the labels that stages are scored against; none where that is the truth, or
/// the data's own.
pub(crate) fn label_line(features: &FeaturesDir, results: &Path) -> Result<Option<String>, Error> {
    let results = if results.exists() { read_json(results)? } else { Results::default() };
    let Results { stages_are_true, counts } = results;
    let now = counts.iter().find(|cell| cell.task == "stage" && cell.horizon == 0);
    let entropy = now.and_then(|cell| cell.label_entropy);
    let reliability = features.reliability()?.filter(|_| !stages_are_true);
    Ok(reliability.map(|reliability| reliability.told(entropy)))
}

/// Reliability of our turn probabilities, and how often units stay below our quantiles: level,
/// share below, share at most. Empty where the evaluation wrote none.
pub(crate) fn calibration(path: &Path) -> Result<(Vec<Reliability>, Vec<[f64; 3]>), Error> {
    if !path.exists() {
        return Ok(Default::default());
    }
    let Calibrations { turns, units } = read_json(path)?;
    let turns = turns.into_iter().filter(|turn| turn.model == OURS).map(|turn| Reliability {
        task: turn.task,
        horizon: turn.horizon,
        bins: turn.bins.iter().map(|bin| (bin.probability, bin.frequency, bin.n)).collect(),
        excess: turn.excess,
    });
    let all_rows = units.into_iter().find(|units| units.model == OURS);
    let all_rows = all_rows.and_then(|units| units.coverage.into_iter().next());
    let levels = all_rows.into_iter().flat_map(|band| band.levels);
    let levels = levels.map(|level| [level.level, level.below, level.at_most]);
    Ok((turns.collect(), levels.collect()))
}

#[cfg(test)]
mod tests {
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
        assert!(findings(&scores)[0].contains("in 1 of 1 comparisons"));
    }

    #[test]
    fn what_cannot_be_told_is_no_finding() {
        let scores = [Score { identifiable: false, ..score("lifecast", "brier", 0.1) }];
        assert!(findings(&scores)[0].starts_with("No comparison"));
        assert!(!score_groups(&scores).1[0].rows[0].identifiable);
    }
}
