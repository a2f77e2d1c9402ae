//! How guards are told: a line each for programs, and a table for people.

use std::fmt::Write;

use evaluator::{Comparison, Difference, OURS, Results};
use serde::{Deserialize, Serialize};

use super::Guarded;

/// One guard of one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// `guards`.
    pub bench: String,
    /// Set, horizon and guard.
    pub case: String,
    /// What is measured.
    pub metric: String,
    /// Of the altered training or input.
    pub value: f64,
    /// What it is held against.
    pub beside: f64,
    /// Whose that is.
    pub beside_name: String,
    /// Lower end of a 95 % interval: of the difference of scores, or of the share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub low: Option<f64>,
    /// Its upper end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub high: Option<f64>,
    /// Rows, answers or files.
    pub n: u64,
    /// Whether the data set can carry this measure.
    pub identifiable: bool,
    /// Whether the guard holds.
    pub holds: bool,
}

impl Guard {
    pub(super) fn of_set() -> Self {
        Self {
            bench: "guards".to_owned(),
            case: String::new(),
            metric: String::new(),
            value: 0.0,
            beside: 0.0,
            beside_name: String::new(),
            low: None,
            high: None,
            n: 0,
            identifiable: true,
            holds: false,
        }
    }
}

/// A score of ours beside another's, with the interval of their difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) metric: String,
    pub(super) ours: f64,
    pub(super) other: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) n: u64,
    pub(super) identifiable: bool,
}

impl Beside {
    /// The other beside ours.
    pub(super) fn turned_round(self) -> Self {
        let Self { ours, other, low, high, .. } = self;
        Self { ours: other, other: ours, low: -high, high: -low, ..self }
    }

    pub(super) fn guard(&self, case: String, beside_name: &str, holds: bool) -> Guard {
        Guard {
            case,
            metric: self.metric.clone(),
            value: self.ours,
            beside: self.other,
            beside_name: beside_name.to_owned(),
            low: Some(self.low),
            high: Some(self.high),
            n: self.n,
            identifiable: self.identifiable,
            holds,
            ..Guard::of_set()
        }
    }
}

/// Turns by horizon, stages and units, where both are scored.
pub(super) fn cells(found: &Results, other: &str) -> Vec<Beside> {
    let main = Comparison {
        scores: found.scores.clone(),
        counts: Vec::new(),
        differences: found.differences.clone(),
    };
    let mut cells = cells_of(&found.turn_means, other);
    cells.extend(cells_of(&main, other));
    cells
}

/// The cells of a comparison with another that are told.
pub(super) fn cells_of(comparison: &Comparison, other: &str) -> Vec<Beside> {
    let cell = |difference: &Difference| {
        let (task, metric) = (difference.task.as_str(), difference.metric.as_str());
        let is_told = match task {
            "turns" => true,
            "stage" => metric == "log_loss",
            "units" => metric.starts_with("wql"),
            _ => false,
        };
        let score = |model: &str| {
            comparison.scores.iter().find(|score| {
                score.model == model
                    && score.task == task
                    && score.metric == metric
                    && score.horizon == difference.horizon
            })
        };
        let (ours, peer) = (score(OURS)?, score(other)?);
        is_told.then(|| Beside {
            name: format!("{} weeks {task}", difference.horizon),
            metric: metric.to_owned(),
            ours: ours.value,
            other: peer.value,
            low: difference.low,
            high: difference.high,
            n: ours.n,
            identifiable: difference.identifiable,
        })
    };
    let of_peer = comparison.differences.iter().filter(|found| found.peer == other);
    of_peer.filter_map(cell).collect()
}

/// What people read after a run.
pub fn text(guarded: &Guarded) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:<66} {:<18} {:>9} {:>9}  {:<12} {:>19} {:>8}",
        "case", "metric", "value", "beside", "whose", "95 %", "n"
    );
    for guard in &guarded.guards {
        let interval = match (guard.low, guard.high) {
            (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
            _ => String::new(),
        };
        let verdict = match (guard.identifiable, guard.holds) {
            (false, _) => "not identifiable",
            (true, true) => "holds",
            (true, false) => "DOES NOT HOLD",
        };
        let _ = writeln!(
            text,
            "{:<66} {:<18} {:>9.4} {:>9.4}  {:<12} {interval:>19} {:>8}  {verdict}",
            guard.case, guard.metric, guard.value, guard.beside, guard.beside_name, guard.n
        );
    }
    for missing in &guarded.missing {
        let _ = writeln!(text, "not made: {}", missing.lines().next().unwrap_or_default());
    }
    let _ = write!(text, "\n{:.1} s", guarded.seconds);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_trained_on_shifted_labels_stands_first() {
        let cell = Beside {
            name: "4 weeks turns".to_owned(),
            metric: "brier".to_owned(),
            ours: 0.10,
            other: 0.12,
            low: -0.03,
            high: -0.01,
            n: 9,
            identifiable: true,
        };
        let turned = cell.turned_round();
        assert_eq!((turned.ours, turned.other, turned.low, turned.high), (0.12, 0.10, 0.01, 0.03));
    }
}
