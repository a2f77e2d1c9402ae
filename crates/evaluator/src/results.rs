//! What an evaluation found: `scores.parquet` and `scores.json`.

use std::path::Path;

use lifecycle::Score;
use lifecycle::accuracy::{agreement, cross_entropy};
use serde::{Deserialize, Serialize};
use tables::LabelReliability;

use crate::bands::Subset;
use crate::cells::Cell;
use crate::cold_start::ColdStart;
use crate::forecasters::{Ground, Judged};
use crate::headline::Headline;
use crate::scoring::{CellScores, Counts, Difference, Scorer};
use crate::{Error, OURS};

/// All results; `scores.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Whose scores are compared with the others'.
    pub ours: String,
    /// Forecasters, in the order of the table.
    pub models: Vec<Model>,
    /// Whether stages are scored against the simulator's truth, not against labels.
    pub stages_are_true: bool,
    /// How ours compares.
    pub headline: Headline,
    /// One a cell and forecaster, over all test rows.
    pub scores: Vec<Score>,
    /// What each cell's scores stand on.
    pub counts: Vec<CellCounts>,
    /// Ours against each peer, paired.
    pub differences: Vec<Difference>,
    /// The main scores over subsets of rows.
    pub subsets: Vec<SubsetScore>,
    /// The mean over the three turns, task `turns`: the headline of the protocol.
    pub turn_means: Comparison,
    /// The main scores and the mean over the three turns, of unseen products alone.
    pub unseen: Comparison,
    /// Rows of cold starts.
    pub cold_start: ColdStart,
    /// The label against the truth, where it is known.
    pub label: Option<LabelCheck>,
    /// How far the label can be relied on, where it is one of ours.
    pub reliability: Option<LabelReliability>,
}

/// Some cells: all forecasters, and ours against each of the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// One a cell and forecaster.
    pub scores: Vec<Score>,
    /// What each cell's scores stand on.
    pub counts: Vec<CellCounts>,
    /// Ours against each peer, paired.
    pub differences: Vec<Difference>,
}

/// A forecaster of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Correlation of neighbouring periods in the sample paths that were made for it; none where
    /// it says everything itself.
    pub path_correlation: Option<f64>,
}

/// The rows of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellCounts {
    /// Task of the cell.
    pub task: String,
    /// Its horizon.
    pub horizon: u32,
    /// Its metric.
    pub metric: String,
    /// How many, of what.
    #[serde(flatten)]
    pub counts: Counts,
    /// The label's own entropy, of stages: no log loss can be lower.
    pub label_entropy: Option<f64>,
    /// Whether the data set can carry this score.
    pub identifiable: bool,
}

/// A score over a subset of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetScore {
    /// The subset.
    pub subset: String,
    /// The score.
    #[serde(flatten)]
    pub score: Score,
}

/// How well the settled label knows the true stage at test origins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelCheck {
    /// Rows with both.
    pub n: u64,
    /// Share in which the likeliest stage is the true one.
    pub accuracy: f64,
    /// Agreement beyond chance (Cohen 1960).
    pub kappa: f64,
    /// Cross-entropy of the label to the truth.
    pub log_loss: f64,
    /// Rows by true stage and likeliest stage, in the order of a life.
    pub confusion: [[u64; 5]; 5],
}

impl Results {
    pub(crate) fn new(
        ground: &Ground<'_>,
        judged: &[Judged],
        scorer: &Scorer<'_>,
    ) -> Result<Self, Error> {
        let horizon = ground.common.horizon;
        let ours = judged.iter().position(|judged| judged.name == OURS).unwrap_or(0);
        let compare = |cells: &[CellScores]| Comparison {
            scores: cells.iter().flat_map(|cell| cell.scores(judged, horizon)).collect(),
            counts: cells.iter().map(|cell| counts(cell, horizon)).collect(),
            differences: cells
                .iter()
                .flat_map(|cell| cell.differences(judged, ours, horizon))
                .collect(),
        };
        let cells = scorer.cells(Cell::all(), None)?;
        let Comparison { scores, counts, differences } = compare(&cells);
        let turn_means = compare(&scorer.cells(Cell::turn_means(), None)?);
        let mut unseen = scorer.subset(Subset::Unseen)?;
        unseen.extend(scorer.cells(Cell::turn_means(), Some(Subset::Unseen))?);
        let mut subsets = Vec::new();
        for subset in Subset::ALL {
            let cells = scorer.subset(subset)?;
            let scores = cells.iter().flat_map(|cell| cell.scores(judged, horizon));
            let name = subset.name();
            subsets.extend(scores.map(|score| SubsetScore { subset: name.to_owned(), score }));
        }
        Ok(Self {
            ours: judged[ours].name.clone(),
            models: judged
                .iter()
                .map(|judged| Model { name: judged.name.clone(), path_correlation: judged.rho })
                .collect(),
            stages_are_true: ground.source.stages.are_true(),
            headline: Headline::new(&cells, &differences, judged),
            scores,
            counts,
            differences,
            subsets,
            turn_means,
            unseen: compare(&unseen),
            cold_start: ColdStart::new(
                ground,
                (judged, ours),
                compare(&scorer.subset(Subset::ColdStart)?),
            ),
            label: LabelCheck::new(ground),
            reliability: None,
        })
    }

    /// One line on the label that stages are scored against; none where that is the truth, or the
    /// data's own.
    pub fn label_line(&self) -> Option<String> {
        let is_now = |counts: &&CellCounts| counts.task == "stage" && counts.horizon == 0;
        let entropy = self.counts.iter().find(is_now).and_then(|counts| counts.label_entropy);
        let reliability = self.reliability.as_ref().filter(|_| !self.stages_are_true);
        reliability.map(|reliability| reliability.told(entropy))
    }

    /// Writes `scores.parquet` and `scores.json`.
    pub(crate) fn write(&self, output: &Path) -> Result<(), Error> {
        tables::write(&output.join("scores.parquet"), &self.scores).map_err(Error::Output)?;
        write_json(&output.join("scores.json"), self)
    }
}

fn counts(cell: &CellScores, horizon: usize) -> CellCounts {
    CellCounts {
        task: cell.cell.task.name().to_owned(),
        horizon: cell.cell.task.horizon(horizon),
        metric: cell.cell.metric.name().to_owned(),
        counts: cell.counts.clone(),
        label_entropy: cell.entropy,
        identifiable: cell.is_identifiable,
    }
}

impl LabelCheck {
    /// `None` where the truth is not known, or no row has both.
    fn new(ground: &Ground<'_>) -> Option<Self> {
        let stages = ground.source.stages;
        if !stages.are_true() {
            return None;
        }
        let mut confusion = [[0_u64; 5]; 5];
        let (mut n, mut log_loss) = (0_u32, 0.0);
        for row in &ground.rows {
            let product = &ground.histories[row.basis.series].series.product;
            let label = stages.label(product, row.basis.origin, true);
            if let (Some(truth), Some(label)) = (row.stages[0], label) {
                confusion[usize::from(truth.class)][usize::from(label.class)] += 1;
                log_loss += cross_entropy(&label.label, &truth.label);
                n += 1;
            }
        }
        let (accuracy, kappa) = agreement(&confusion)?;
        let log_loss = log_loss / f64::from(n);
        Some(Self { n: u64::from(n), accuracy, kappa, log_loss, confusion })
    }
}

/// Writes one JSON file, readable by people.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let write_error = |source| Error::Write { path: path.to_owned(), source };
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| write_error(error.into()))?;
    text.push(b'\n');
    std::fs::write(path, text).map_err(write_error)
}
