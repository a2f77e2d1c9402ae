//! The cells of the score table: one a task, horizon and metric.
//!
//! Every score is a function of sums over rows, so that a resample of products needs only the
//! products' sums.

use lifecycle::accuracy::{Coverage, brier, log_loss, macro_f1};
use lifecycle::{LEVELS, N_LEVELS, OUTLOOK_WEEKS, Turn};
use serde::{Deserialize, Serialize};

use crate::losses::{Losses, StageLosses, UnitsLosses};
use crate::rows::Row;

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Units of each period up to the horizon.
    Units,
    /// A turn at one of [`OUTLOOK_WEEKS`].
    Turn(Turn, usize),
    /// All three turns at one of them: the mean of their scores.
    Turns(usize),
    /// The stage now (0) or at the outlook after it.
    Stage(usize),
}

impl Task {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Turn(turn, _) => turn.name(),
            Self::Turns(_) => "turns",
            Self::Stage(_) => "stage",
        }
    }

    /// The horizon in tables: periods for units, weeks for turns and stages (0: now).
    pub fn horizon(self, horizon: usize) -> u32 {
        match self {
            Self::Units => horizon as u32,
            Self::Turn(_, outlook) | Self::Turns(outlook) => OUTLOOK_WEEKS[outlook],
            Self::Stage(0) => 0,
            Self::Stage(ahead) => OUTLOOK_WEEKS[ahead - 1],
        }
    }

    /// The class of a row, or `None` where it is no row of the task. Units have one class, all turns
    /// together those of [`TURNS_CLASSES`].
    pub(crate) fn class(self, row: &Row) -> Option<usize> {
        match self {
            Self::Units => row.units.iter().any(|units| units.is_finite()).then_some(0),
            Self::Turn(turn, outlook) => {
                row.turns[outlook].map(|came| usize::from(came[turn.index()]))
            }
            Self::Turns(outlook) => row.turns[outlook].map(|[halved, doubled, silent]| {
                match (silent, halved, doubled) {
                    (true, _, _) => 0,
                    (_, true, _) => 1,
                    (_, _, false) => 2,
                    (_, _, true) => 3,
                }
            }),
            Self::Stage(ahead) => row.stages[ahead].map(|target| usize::from(target.class)),
        }
    }

    /// Number of classes.
    pub(crate) fn n_classes(self) -> usize {
        match self {
            Self::Units => 1,
            Self::Turn(..) => 2,
            Self::Turns(_) => TURNS_CLASSES.len(),
            Self::Stage(0) => 4,
            Self::Stage(_) => 5,
        }
    }
}

/// What may become of a share: one of these comes.
pub(crate) const TURNS_CLASSES: [&str; 4] = ["silent", "halved", "neither", "doubled"];

/// How it is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Weighted quantile loss.
    Wql,
    /// The same of cumulative units.
    WqlCumulative,
    /// Mean absolute scaled error of the median.
    Mase,
    /// Root mean squared scaled error of the mean.
    Rmsse,
    /// Share by which the means are too high.
    Bias,
    /// Largest gap by which a quantile level is missed, beyond what counts allow.
    Coverage,
    /// Squared error of a probability.
    Brier,
    /// Cross-entropy.
    LogLoss,
    /// Ranked probability score.
    Rps,
    /// Mean F1 of the classes, where the likeliest is answered; larger is better.
    MacroF1,
    /// The same where the classes are answered that by the forecaster's own probabilities make most of it.
    MacroF1Decided,
}

impl Metric {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wql => "wql",
            Self::WqlCumulative => "wql_cumulative",
            Self::Mase => "mase",
            Self::Rmsse => "rmsse",
            Self::Bias => "bias",
            Self::Coverage => "coverage",
            Self::Brier => "brier",
            Self::LogLoss => "log_loss",
            Self::Rps => "rps",
            Self::MacroF1 => "macro_f1",
            Self::MacroF1Decided => "macro_f1_decided",
        }
    }

    /// What is compared between models: smaller is better.
    pub fn cost(self, value: f64) -> f64 {
        lifecycle::cost(self.name(), value)
    }

    /// Number of sums that the score is a function of.
    pub(crate) fn n_sums(self) -> usize {
        match self {
            Self::Coverage => 1 + 2 * N_LEVELS,
            Self::MacroF1 | Self::MacroF1Decided => 25,
            _ => 2,
        }
    }

    /// The score of these sums; `None` where it is not defined.
    pub(crate) fn value(self, sums: &[f64]) -> Option<f64> {
        match self {
            Self::Coverage => {
                let gap = |level: usize| {
                    let (n_below, n_at_most) = (sums[1 + level], sums[1 + N_LEVELS + level]);
                    Coverage { n_below, n_at_most, n: sums[0] }.gap(LEVELS[level])
                };
                (sums[0] > 0.0).then(|| (0..N_LEVELS).map(gap).fold(0.0, f64::max))
            }
            Self::MacroF1 | Self::MacroF1Decided => {
                let row = |class: usize| std::array::from_fn(|answer| sums[class * 5 + answer]);
                macro_f1::<5>(&std::array::from_fn(row))
            }
            _ => (sums[1] > 0.0).then(|| sums[0] / sums[1]),
        }
    }
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What is predicted.
    pub task: Task,
    /// How it is scored.
    pub metric: Metric,
}

impl Cell {
    /// All cells, in the order of the table.
    pub fn all() -> Vec<Self> {
        let units = [
            Metric::Wql,
            Metric::WqlCumulative,
            Metric::Mase,
            Metric::Rmsse,
            Metric::Bias,
            Metric::Coverage,
        ];
        let mut cells: Vec<Self> = units.map(|metric| Self { task: Task::Units, metric }).into();
        for turn in Turn::ALL {
            for outlook in 0..OUTLOOK_WEEKS.len() {
                for metric in [Metric::Brier, Metric::LogLoss] {
                    cells.push(Self { task: Task::Turn(turn, outlook), metric });
                }
            }
        }
        for ahead in 0..=OUTLOOK_WEEKS.len() {
            let macros = [Metric::MacroF1, Metric::MacroF1Decided];
            for metric in [Metric::LogLoss, Metric::Rps].into_iter().chain(macros) {
                cells.push(Self { task: Task::Stage(ahead), metric });
            }
        }
        cells
    }

    /// The mean over the three turns: one number a horizon and metric.
    pub fn turn_means() -> Vec<Self> {
        let cell = |outlook, metric| Self { task: Task::Turns(outlook), metric };
        let metrics = [Metric::Brier, Metric::LogLoss];
        (0..OUTLOOK_WEEKS.len())
            .flat_map(|outlook| metrics.map(|metric| cell(outlook, metric)))
            .collect()
    }

    /// Whether a forecast has what this cell scores.
    pub(crate) fn is_scored(self, losses: &Losses) -> bool {
        match self.task {
            Task::Units => losses.units.as_ref().is_some_and(|units| match self.metric {
                Metric::WqlCumulative => units.cumulative.is_finite(),
                Metric::Mase => units.mase.is_finite(),
                Metric::Rmsse => units.rmsse.is_finite(),
                _ => true,
            }),
            Task::Turn(_, outlook) | Task::Turns(outlook) => losses.turns[outlook].is_some(),
            Task::Stage(ahead) => losses.stages[ahead].is_some(),
        }
    }

    /// Adds one row to the sums of this cell, if it is scored.
    pub(crate) fn add(self, row: &Row, losses: &Losses, sums: &mut [f64]) {
        match self.task {
            Task::Units => {
                if let Some(units) = losses.units.as_ref().filter(|_| self.is_scored(losses)) {
                    add_units(self.metric, row, units, sums);
                }
            }
            Task::Turn(turn, outlook) => self.add_turns(&[turn], outlook, (row, losses), sums),
            Task::Turns(outlook) => self.add_turns(&Turn::ALL, outlook, (row, losses), sums),
            Task::Stage(ahead) => {
                if let (Some(stage), Some(target)) = (losses.stages[ahead], row.stages[ahead]) {
                    add_stage(self.metric, usize::from(target.class), &stage, sums);
                }
            }
        }
    }
}

impl Cell {
    /// Adds the mean score of some turns.
    fn add_turns(
        self,
        turns: &[Turn],
        outlook: usize,
        (row, losses): (&Row, &Losses),
        sums: &mut [f64],
    ) {
        let (Some(said), Some(came)) = (losses.turns[outlook], row.turns[outlook]) else { return };
        let score = if self.metric == Metric::Brier { brier } else { log_loss };
        let scores = turns
            .iter()
            .map(|turn| turn.index())
            .map(|turn| score(f64::from(said[turn]), came[turn]));
        sums[0] += scores.sum::<f64>() / turns.len() as f64;
        sums[1] += 1.0;
    }
}

fn add_units(metric: Metric, row: &Row, losses: &UnitsLosses, sums: &mut [f64]) {
    let sold = || row.units.iter().filter(|units| units.is_finite()).map(|units| f64::from(*units));
    let (loss, weight) = match metric {
        Metric::Bias => (losses.excess, sold().sum()),
        Metric::Mase => (losses.mase, 1.0),
        Metric::Rmsse => (losses.rmsse, 1.0),
        Metric::WqlCumulative => {
            let mut total = 0.0;
            let known = row.units.iter().take_while(|units| units.is_finite());
            let totals = known.map(|units| {
                total += f64::from(*units);
                total
            });
            (losses.cumulative, totals.sum())
        }
        Metric::Coverage => {
            sums[0] += sold().count() as f64;
            let counts = losses.below.iter().chain(&losses.at_most);
            for (sum, count) in sums[1..].iter_mut().zip(counts) {
                *sum += f64::from(*count);
            }
            return;
        }
        _ => (losses.quantile, sold().sum()),
    };
    sums[0] += f64::from(loss);
    sums[1] += weight;
}

fn add_stage(metric: Metric, class: usize, losses: &StageLosses, sums: &mut [f64]) {
    match metric {
        Metric::MacroF1 => sums[class * 5 + usize::from(losses.answer)] += 1.0,
        Metric::MacroF1Decided => sums[class * 5 + usize::from(losses.decision)] += 1.0,
        metric => {
            let loss = if metric == Metric::Rps { losses.rps } else { losses.log_loss };
            sums[0] += f64::from(loss);
            sums[1] += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let cells = Cell::all();
        let mut names: Vec<_> = cells
            .iter()
            .map(|cell| (cell.task.name(), cell.task.horizon(13), cell.metric.name()))
            .collect();
        assert_eq!(names.len(), 6 + 18 + 16);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cells.len());
        assert_eq!(Cell::turn_means().len(), 6);
        assert!(Cell::turn_means().iter().all(|cell| !cells.contains(cell)));
    }

    #[test]
    fn scores_are_functions_of_sums() {
        assert_eq!(Metric::Wql.value(&[3.0, 12.0]), Some(0.25));
        assert_eq!(Metric::Wql.value(&[3.0, 0.0]), None);
        assert_eq!(Metric::Bias.cost(-0.25), 0.25);
        assert_eq!(Metric::MacroF1.cost(0.5), -0.5);
        let mut sums = vec![0.0; Metric::Coverage.n_sums()];
        assert_eq!(Metric::Coverage.value(&sums), None);
        sums[0] = 100.0;
        // No sale ever reaches a quantile: the lowest level is off by 1 - .01 from above.
        sums[1..].fill(100.0);
        assert!((Metric::Coverage.value(&sums).expect("rows") - 0.99).abs() < 1e-12);
    }
}
