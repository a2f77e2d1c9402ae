//! What a bench prints: one JSON object a cell, ours against the best of all others.
//!
//! Over several seeds, values are means, and an interval reaches from the lowest end to the highest
//! of all seeds: it holds zero unless every seed's own interval is clear of it.

use std::collections::{BTreeMap, BTreeSet};

use evaluator::{CellCounts, Comparison, Difference, OURS, Verdict};
use lifecycle::{Frequency, Score, better, cost};
use serde::{Deserialize, Serialize};

use super::run::{Outcome, Scored};
use super::sets::{self, Subject};

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `turns`, `accuracy` or `stages`.
    pub bench: String,
    /// Set, horizon and what is scored.
    pub case: String,
    /// How.
    pub metric: String,
    /// Our score.
    pub ours: f64,
    /// The best other's.
    pub peer: f64,
    /// Who that is.
    pub peer_name: String,
    /// `lower`, `higher` or `nearer 0`.
    pub better: String,
    /// Lower end of the 95 % interval of our score less the peer's (of bias: of their sizes).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub high: Option<f64>,
    /// Others that ours is clearly better than, neither, clearly worse than.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ahead_tie_behind: Option<[usize; 3]>,
    /// 1 less our score over the base rate's, of turns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub skill: Option<f64>,
    /// Rows.
    pub n: u64,
    /// Whether the data set can carry this score.
    pub identifiable: bool,
    /// How many seeds.
    pub seeds: usize,
    /// Wall time of the whole run.
    pub seconds: f64,
}

/// A cell by task, horizon and metric.
type Key = (String, u32, String);

/// What a cell is called, by task and horizon.
type Case<'a> = Box<dyn Fn(&str, u32) -> String + 'a>;

/// One group of lines: the same comparison under each seed, and how its cases are called.
struct Group<'a> {
    bench: &'static str,
    comparisons: Vec<&'a Comparison>,
    case: Case<'a>,
    is_shown: fn(&str) -> bool,
    seconds: f64,
}

/// All lines of a bench, in the order of sets.
pub fn of(subject: Subject, outcome: &Outcome) -> Vec<Line> {
    let mut lines = Vec::new();
    for same in by_set(&outcome.scored) {
        let line = match subject {
            Subject::Turns => turns(&same, outcome.seconds),
            Subject::Accuracy => units(&same, outcome.seconds),
            Subject::Stages => stages(&same, outcome.seconds),
            Subject::Ablation => ablation(&same, outcome.seconds),
        };
        lines.extend(line);
    }
    lines
}

/// The scored of each set and target of stages, seeds together.
pub fn by_set(scored: &[Scored]) -> Vec<Vec<&Scored>> {
    let mut groups: Vec<Vec<&Scored>> = Vec::new();
    let key = |one: &Scored| (one.set, one.results.stages_are_true);
    for one in scored {
        match groups.iter_mut().find(|group| key(group[0]) == key(one)) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// The main cells as a comparison.
pub fn main_cells(scored: &Scored) -> Comparison {
    Comparison {
        scores: scored.results.scores.clone(),
        counts: scored.results.counts.clone(),
        differences: scored.results.differences.clone(),
    }
}

fn turns(same: &[&Scored], seconds: f64) -> Vec<Line> {
    let set = same[0].set.name;
    let called = |rows: &'static str| {
        move |task: &str, weeks: u32| {
            let task = if task == "turns" { "mean of turns" } else { task };
            format!("{set} {weeks} weeks {task}{rows}")
        }
    };
    let is_turn = |task: &str| ["turns", "halved", "doubled", "silent"].contains(&task);
    let cells: Vec<Comparison> = same.iter().map(|scored| main_cells(scored)).collect();
    let group = |comparisons, rows| Group {
        bench: Subject::Turns.name(),
        comparisons,
        case: Box::new(called(rows)),
        is_shown: is_turn,
        seconds,
    };
    let means = same.iter().map(|scored| &scored.results.turn_means).collect();
    let mut lines = group(means, "").lines();
    lines.extend(group(cells.iter().collect(), "").lines());
    let unseen = same.iter().map(|scored| &scored.results.unseen).collect();
    lines.extend(group(unseen, ", unseen products").lines());
    lines.extend(calibration(same, seconds));
    lines
}

/// By how much ours is less calibrated than a perfectly calibrated forecaster, beside the limit of
/// the protocol.
fn calibration(same: &[&Scored], seconds: f64) -> Vec<Line> {
    const LIMIT: f64 = 0.03;
    let mut found: BTreeMap<(u32, &str), Vec<(f64, u64)>> = BTreeMap::new();
    for scored in same {
        for turn in scored.calibrations.turns.iter().filter(|turn| turn.model == OURS) {
            found.entry((turn.horizon, &turn.task)).or_default().push((turn.excess, turn.n));
        }
    }
    let line = |((weeks, task), excesses): ((u32, &str), Vec<(f64, u64)>)| Line {
        bench: Subject::Turns.name().to_owned(),
        case: format!("{} {weeks} weeks {task}", same[0].set.name),
        metric: "calibration_excess".to_owned(),
        ours: mean(excesses.iter().map(|(excess, _)| *excess)),
        peer: LIMIT,
        peer_name: "limit of the protocol".to_owned(),
        better: "lower".to_owned(),
        low: None,
        high: None,
        ahead_tie_behind: None,
        skill: None,
        n: excesses[0].1,
        identifiable: true,
        seeds: excesses.len(),
        seconds,
    };
    found.into_iter().map(line).collect()
}

fn units(same: &[&Scored], seconds: f64) -> Vec<Line> {
    let set = same[0].set.name;
    let periods = same[0].frequency_name();
    let called = |rows: &'static str| {
        move |_: &str, horizon: u32| format!("{set} {horizon} {periods}{rows}")
    };
    let cells: Vec<Comparison> = same.iter().map(|scored| main_cells(scored)).collect();
    let group = |comparisons, rows| Group {
        bench: Subject::Accuracy.name(),
        comparisons,
        case: Box::new(called(rows)),
        is_shown: |task| task == "units",
        seconds,
    };
    let mut lines = group(cells.iter().collect(), "").lines();
    if set == "car-parts" {
        // The published figures of this set call the WQL an estimate of the CRPS.
        let wql = lines.iter().find(|line| line.metric == "wql").cloned();
        lines.extend(wql.map(|line| Line { metric: "crps".to_owned(), ..line }));
    }
    let unseen = same.iter().map(|scored| &scored.results.unseen).collect();
    lines.extend(group(unseen, ", unseen products").lines());
    lines.extend(coverage(same, &format!("{set} all rows and volume bands"), seconds));
    lines
}

/// Quantile levels that are not met, over all rows and in each volume band.
fn coverage(same: &[&Scored], case: &str, seconds: f64) -> Option<Line> {
    let mut missed: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut n_levels = 0;
    for scored in same {
        for units in &scored.calibrations.units {
            let levels = || units.coverage.iter().flat_map(|band| &band.levels);
            n_levels = levels().count();
            let n_missed = levels().filter(|level| !level.met).count();
            missed.entry(&units.model).or_default().push(n_missed as f64);
        }
    }
    let means = missed.into_iter().map(|(model, n)| (model, mean(n.into_iter())));
    let (ours, others): (Vec<_>, Vec<_>) = means.partition(|(model, _)| *model == OURS);
    let (name, peer) = others.into_iter().min_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(Line {
        bench: Subject::Accuracy.name().to_owned(),
        case: case.to_owned(),
        metric: "levels_missed".to_owned(),
        ours: ours.first()?.1,
        peer,
        peer_name: name.to_owned(),
        better: "lower".to_owned(),
        low: None,
        high: None,
        ahead_tie_behind: None,
        skill: None,
        n: n_levels as u64,
        identifiable: true,
        seeds: same.len(),
        seconds,
    })
}

fn stages(same: &[&Scored], seconds: f64) -> Vec<Line> {
    let set = same[0].set.name;
    let target = if same[0].results.stages_are_true { "true stage" } else { "label" };
    let called = move |_: &str, weeks: u32| match weeks {
        0 => format!("{set} now, {target}"),
        weeks => format!("{set} {weeks} weeks, {target}"),
    };
    let cells: Vec<Comparison> = same.iter().map(|scored| main_cells(scored)).collect();
    let group = Group {
        bench: Subject::Stages.name(),
        comparisons: cells.iter().collect(),
        case: Box::new(called),
        is_shown: |task| task == "stage",
        seconds,
    };
    group.lines()
}

/// Ours against each variant, where parts show: means of turns, units, stages.
fn ablation(same: &[&Scored], seconds: f64) -> Vec<Line> {
    let set = same[0].set.name;
    let group = |comparisons, is_shown| Group {
        bench: Subject::Ablation.name(),
        comparisons,
        case: Box::new(move |task: &str, ahead: u32| format!("{set} {ahead} ahead {task}")),
        is_shown,
        seconds,
    };
    let means: Vec<&Comparison> = same.iter().map(|scored| &scored.results.turn_means).collect();
    let cells: Vec<Comparison> = same.iter().map(|scored| main_cells(scored)).collect();
    let turns = group(means, |task| task == "turns");
    let others = group(cells.iter().collect(), |task| ["units", "stage"].contains(&task));
    let mut lines = Vec::new();
    for variant in &sets::variants() {
        lines.extend(turns.lines_against(variant));
        let metrics = ["wql", "wql_cumulative", "log_loss"];
        let against = others.lines_against(variant);
        lines.extend(against.into_iter().filter(|line| metrics.contains(&&*line.metric)));
    }
    lines
}

impl Scored {
    fn frequency_name(&self) -> &'static str {
        match self.frequency {
            Frequency::Day => "days",
            Frequency::Week => "weeks",
            Frequency::Month => "months",
        }
    }
}

impl Group<'_> {
    /// One line a cell in which ours and another are scored under every seed.
    fn lines(&self) -> Vec<Line> {
        let Some(first) = self.comparisons.first() else { return Vec::new() };
        let shown = first.counts.iter().filter(|counts| (self.is_shown)(&counts.task));
        shown.filter_map(|counts| self.line(counts)).collect()
    }

    fn line(&self, counts: &CellCounts) -> Option<Line> {
        let key = (counts.task.clone(), counts.horizon, counts.metric.clone());
        let values = self.values(&key);
        let cost = |value: f64| cost(&key.2, value);
        let others = values.iter().filter(|(name, _)| name.as_str() != OURS);
        let (name, _) = others.min_by(|one, other| cost(*one.1).total_cmp(&cost(*other.1)))?;
        self.line_against(counts, name)
    }

    /// One line a cell in which ours and this other are scored under every seed.
    fn lines_against(&self, name: &str) -> Vec<Line> {
        let Some(first) = self.comparisons.first() else { return Vec::new() };
        let shown = first.counts.iter().filter(|counts| (self.is_shown)(&counts.task));
        shown.filter_map(|counts| self.line_against(counts, name)).collect()
    }

    fn line_against(&self, counts: &CellCounts, name: &str) -> Option<Line> {
        let key = (counts.task.clone(), counts.horizon, counts.metric.clone());
        let values = self.values(&key);
        let (ours, peer) = (*values.get(OURS)?, *values.get(name)?);
        let (low, high) = self.interval(&key, name)?;
        let is_score = ["brier", "log_loss"].contains(&key.2.as_str()) && key.0 != "stage";
        let base = values.get("base rate").filter(|_| is_score);
        Some(Line {
            bench: self.bench.to_owned(),
            case: (self.case)(&key.0, key.1),
            ours,
            peer,
            peer_name: name.to_owned(),
            better: better(&key.2).to_owned(),
            low: Some(low),
            high: Some(high),
            ahead_tie_behind: Some(self.verdicts(&key, &values)),
            skill: base.map(|base| 1.0 - ours / base),
            n: counts.counts.rows,
            identifiable: counts.identifiable,
            seeds: self.comparisons.len(),
            seconds: self.seconds,
            metric: key.2,
        })
    }

    /// Mean over seeds by forecaster, of those that are scored under each.
    fn values(&self, key: &Key) -> BTreeMap<String, f64> {
        let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let scores = self.comparisons.iter().flat_map(|comparison| &comparison.scores);
        for score in scores.filter(|score| is_of_score(score, key)) {
            by_name.entry(score.model.clone()).or_default().push(score.value);
        }
        by_name.retain(|_, values| values.len() == self.comparisons.len());
        by_name.into_iter().map(|(name, values)| (name, mean(values.into_iter()))).collect()
    }

    fn differences(&self, key: &Key, peer: &str) -> Vec<&Difference> {
        let differences = self.comparisons.iter().flat_map(|comparison| &comparison.differences);
        differences.filter(|found| found.peer == peer && is_of(found, key)).collect()
    }

    /// Of our score less a peer's, over all seeds.
    fn interval(&self, key: &Key, peer: &str) -> Option<(f64, f64)> {
        let found = self.differences(key, peer);
        let low = found.iter().map(|found| found.low).min_by(f64::total_cmp)?;
        let high = found.iter().map(|found| found.high).max_by(f64::total_cmp)?;
        // Differences are of costs; a larger macro-F1 costs less.
        Some(if better(&key.2) == "higher" { (-high, -low) } else { (low, high) })
    }

    /// How many others ours is clearly ahead of under every seed, neither, clearly behind.
    fn verdicts(&self, key: &Key, values: &BTreeMap<String, f64>) -> [usize; 3] {
        let mut counts = [0; 3];
        for peer in values.keys().filter(|name| name.as_str() != OURS) {
            let verdicts: BTreeSet<&str> = self
                .differences(key, peer)
                .iter()
                .map(|found| match found.verdict {
                    Verdict::Ahead => "ahead",
                    Verdict::Tie => "tie",
                    Verdict::Behind => "behind",
                })
                .collect();
            let is_all = |verdict: &str| verdicts.len() == 1 && verdicts.contains(verdict);
            let at = if is_all("ahead") { 0 } else { 1 + usize::from(is_all("behind")) };
            counts[at] += 1;
        }
        counts
    }
}

fn is_of_score(score: &Score, (task, horizon, metric): &Key) -> bool {
    score.task == *task && score.horizon == *horizon && score.metric == *metric
}

fn is_of(found: &Difference, (task, horizon, metric): &Key) -> bool {
    found.task == *task && found.horizon == *horizon && found.metric == *metric
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(ours: f64, peer: f64, (low, high): (f64, f64)) -> Comparison {
        let score = |model: &str, value| Score {
            model: model.to_owned(),
            task: "turns".to_owned(),
            horizon: 13,
            metric: "brier".to_owned(),
            value,
            low: value,
            high: value,
            n: 900,
            identifiable: true,
        };
        let counts = serde_json::json!({
            "task": "turns", "horizon": 13, "metric": "brier", "rows": 900, "targets": 900,
            "products": 300, "origins": 4, "classes": [200, 200, 300, 200],
            "label_entropy": null, "identifiable": true
        });
        let difference = |peer: &str, low: f64, high: f64| Difference {
            task: "turns".to_owned(),
            horizon: 13,
            metric: "brier".to_owned(),
            peer: peer.to_owned(),
            difference: f64::midpoint(low, high),
            low,
            high,
            verdict: if high < 0.0 { Verdict::Ahead } else { Verdict::Tie },
            identifiable: true,
        };
        Comparison {
            scores: vec![score(OURS, ours), score("base rate", 0.2), score("boosted", peer)],
            counts: vec![serde_json::from_value(counts).expect("counts")],
            differences: vec![
                difference("base rate", -0.1, -0.05),
                difference("boosted", low, high),
            ],
        }
    }

    fn lines(comparisons: &[Comparison]) -> Vec<Line> {
        let group = Group {
            bench: "turns",
            comparisons: comparisons.iter().collect(),
            case: Box::new(|task, weeks| format!("set {weeks} weeks {task}")),
            is_shown: |_| true,
            seconds: 1.0,
        };
        group.lines()
    }

    #[test]
    fn ours_stands_beside_the_best_other_with_the_widest_interval_of_all_seeds() {
        let seeds = [comparison(0.10, 0.12, (-0.03, -0.01)), comparison(0.12, 0.12, (-0.01, 0.01))];
        let [line] = &lines(&seeds)[..] else { panic!("one line") };
        assert!((line.ours - 0.11).abs() < 1e-12 && (line.peer - 0.12).abs() < 1e-12);
        assert_eq!(
            (line.peer_name.as_str(), line.low, line.high),
            ("boosted", Some(-0.03), Some(0.01))
        );
        assert_eq!(line.ahead_tie_behind, Some([1, 1, 0]));
        assert!((line.skill.expect("of turns") - 0.45).abs() < 1e-12);
        assert_eq!((line.case.as_str(), line.n, line.seeds), ("set 13 weeks turns", 900, 2));
    }

    #[test]
    fn who_is_missing_under_a_seed_is_not_compared() {
        let mut second = comparison(0.12, 0.05, (0.01, 0.02));
        second.scores.retain(|score| score.model != "boosted");
        let [line] = &lines(&[comparison(0.10, 0.05, (0.01, 0.02)), second])[..] else {
            panic!("one line")
        };
        assert_eq!(line.peer_name, "base rate");
    }

    #[test]
    fn a_line_reads_back() {
        let line = lines(&[comparison(0.1, 0.12, (-0.03, -0.01))]).remove(0);
        let text = serde_json::to_string(&line).expect("JSON");
        assert_eq!(serde_json::from_str::<Line>(&text).expect("a line"), line);
    }
}
