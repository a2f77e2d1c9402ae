//! The tables for people: all forecasters of a set, then ours against the best of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use evaluator::OURS;
use lifecycle::{Score, cost};

use super::lines::{Line, by_set, main_cells};
use super::run::{Outcome, Scored};
use super::sets::Subject;

/// What people read after a run.
pub fn text(subject: Subject, outcome: &Outcome, lines: &[Line]) -> String {
    let mut text = String::new();
    for same in by_set(&outcome.scored) {
        forecasters(&mut text, subject, &same);
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:<58} {:<18} {:>9} {:>9}  {:<22} {:>21}  verdict",
        "case", "metric", "ours", "best", "other", "95 % of difference"
    );
    for line in lines {
        comparison(&mut text, line);
    }
    if !outcome.missing.is_empty() {
        let _ = writeln!(text, "\nnot made:");
        for missing in &outcome.missing {
            let _ = writeln!(text, "  {}", missing.lines().next().unwrap_or_default());
        }
    }
    let _ = write!(text, "\n{:.1} s", outcome.seconds);
    text
}

fn comparison(text: &mut String, line: &Line) {
    let interval = match (line.low, line.high) {
        (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
        _ => String::new(),
    };
    let verdict = match (line.identifiable, line.ahead_tie_behind) {
        (false, _) => "not identifiable".to_owned(),
        (true, None) => String::new(),
        (true, Some([ahead, tie, behind])) => {
            format!("ahead of {ahead}, level with {tie}, behind {behind}")
        }
    };
    let _ = writeln!(
        text,
        "{:<58} {:<18} {:>9.4} {:>9.4}  {:<22} {interval:>21}  {verdict}",
        line.case, line.metric, line.ours, line.peer, line.peer_name
    );
}

/// One line a forecaster, one column a cell, `*` at the best of each column.
fn forecasters(text: &mut String, subject: Subject, same: &[&Scored]) {
    let columns = columns(subject, same);
    let mut names: Vec<&str> = Vec::new();
    for name in columns.iter().flat_map(|column| column.values.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| (*name != OURS, *name));
    let target = match (subject, same[0].results.stages_are_true) {
        (Subject::Stages, true) => ", true stage",
        (Subject::Stages, false) => ", label",
        _ => "",
    };
    let _ = write!(text, "{:<22}", format!("{}{target}", same[0].set.name));
    for column in &columns {
        let _ = write!(text, " {:>16}", column.heading);
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "  {name:<20}");
        for column in &columns {
            let _ = write!(text, " {:>16}", column.entry(name));
        }
        text.push('\n');
    }
    text.push('\n');
}

/// A column: values by forecaster, means over seeds.
struct Column {
    heading: String,
    metric: String,
    values: BTreeMap<String, f64>,
}

impl Column {
    fn entry(&self, name: &str) -> String {
        let cost = |value: f64| cost(&self.metric, value);
        let Some(value) = self.values.get(name) else { return "-".to_owned() };
        let is_best = self.values.values().all(|other| cost(*value) <= cost(*other));
        format!("{}{value:.4}", if is_best { "*" } else { "" })
    }
}

fn columns(subject: Subject, same: &[&Scored]) -> Vec<Column> {
    let mut columns: BTreeMap<Key, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    let mut add = |score: &Score| {
        let key = (score.horizon, score.task.clone(), score.metric.clone());
        let column = columns.entry(key).or_default();
        column.entry(score.model.clone()).or_default().push(score.value);
    };
    for scored in same {
        match subject {
            Subject::Turns => scored.results.turn_means.scores.iter().for_each(&mut add),
            Subject::Ablation => {
                let is_shown = |score: &&Score| {
                    ["wql", "wql_cumulative"].contains(&&*score.metric)
                        || score.task == "stage" && score.metric == "log_loss"
                };
                main_cells(scored).scores.iter().filter(is_shown).for_each(&mut add);
                let means = &scored.results.turn_means.scores;
                means.iter().filter(|score| score.metric == "log_loss").for_each(&mut add);
            }
            Subject::Accuracy | Subject::Stages => {
                let task = if subject == Subject::Stages { "stage" } else { "units" };
                let cells = main_cells(scored).scores;
                cells.iter().filter(|score| score.task == task).for_each(&mut add);
            }
        }
    }
    columns.into_iter().map(|(key, values)| column(key, values)).collect()
}

/// A cell by horizon, task and metric.
type Key = (u32, String, String);

fn column((horizon, task, metric): Key, values: BTreeMap<String, Vec<f64>>) -> Column {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    Column {
        heading: match task.as_str() {
            "units" => metric.clone(),
            "turns" => format!("turns {metric} {horizon}"),
            _ => format!("{metric} {horizon}"),
        },
        metric,
        values: values.into_iter().map(|(name, values)| (name, mean(values))).collect(),
    }
}
