//! Scores, intervals and paired differences of all forecasters, cell by cell.

use std::collections::BTreeSet;

use lifecycle::accuracy::entropy;
use lifecycle::{Progress, Score};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::bands::{Subset, volume_bands};
use crate::bootstrap::{Resamples, interval};
use crate::cells::{Cell, Metric, Task};
use crate::forecasters::Judged;
use crate::rows::Row;

/// Least test origins, products and rows of a class that carry a score.
const ORIGINS_MIN: usize = 3;
pub(crate) const PRODUCTS_MIN: usize = 100;
const CLASS_ROWS_MIN: u64 = 50;

/// A forecaster is scored in a cell where it forecasts at least this share of its rows.
pub(crate) const PRESENT_MIN: f64 = 0.5;

/// How many rows a cell has, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that every scored forecaster forecast.
    pub rows: u64,
    /// Rows with a target.
    pub targets: u64,
    /// Products of `rows`.
    pub products: usize,
    /// Test origins of `rows`.
    pub origins: usize,
    /// `rows` by class: not or yes for turns, stages in the order of a life.
    pub classes: Vec<u64>,
}

impl Counts {
    /// Whether the protocol lets a score stand on these rows. Macro-F1 needs every class; other
    /// scores of stages need two, and say with the counts which are thin.
    fn carry(&self, cell: Cell) -> bool {
        let is_full = |rows: &u64| *rows >= CLASS_ROWS_MIN;
        let n_full = self.classes.iter().filter(|rows| is_full(rows)).count();
        let has_classes = match (cell.task, cell.metric) {
            (Task::Units, _) => n_full >= 1,
            (Task::Stage(_), Metric::MacroF1 | Metric::MacroF1Decided) => {
                n_full == cell.task.n_classes()
            }
            // Each of the three turns has enough that came and enough that did not.
            (Task::Turns(_), _) => {
                let [first, .., last] = &self.classes[..] else { return false };
                is_full(first) && is_full(last)
            }
            _ => n_full >= 2,
        };
        self.origins >= ORIGINS_MIN && self.products >= PRODUCTS_MIN && has_classes
    }
}

/// The score of one forecaster, with what it is under each resample of products.
#[derive(Debug)]
pub(crate) struct ModelScore {
    /// Position among the forecasters.
    pub(crate) model: usize,
    pub(crate) value: f64,
    pub(crate) interval: (f64, f64),
    resampled: Vec<f64>,
}

/// All scores of one cell.
#[derive(Debug)]
pub(crate) struct CellScores {
    pub(crate) cell: Cell,
    pub(crate) counts: Counts,
    pub(crate) is_identifiable: bool,
    /// The label's own entropy, of stages.
    pub(crate) entropy: Option<f64>,
    pub(crate) models: Vec<ModelScore>,
}

/// Ours against a peer in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Task of the cell.
    pub task: String,
    /// Its horizon.
    pub horizon: u32,
    /// Its metric.
    pub metric: String,
    /// Against whom.
    pub peer: String,
    /// Cost of ours less the peer's (of bias its size, of macro-F1 its negative): below 0, ours is
    /// better.
    pub difference: f64,
    /// Lower end of its 95 % interval (paired bootstrap over products).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What the interval says.
    pub verdict: Verdict,
    /// Whether the data set can carry this score.
    pub identifiable: bool,
}

/// Whether a paired interval excludes zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Ours is clearly better.
    Ahead,
    /// Ours is clearly worse.
    Behind,
    /// Neither.
    Tie,
}

/// Scores all cells of all forecasters.
pub(crate) struct Scorer<'a> {
    rows: &'a [Row],
    judged: &'a [Judged],
    resamples: Resamples<'a>,
    n_resamples: usize,
    n_resamples_subset: usize,
    volume_bands: Vec<u8>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(
        rows: &'a [Row],
        judged: &'a [Judged],
        n_products: usize,
        config: &crate::Config,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let volumes: Vec<f32> = rows.iter().map(|row| row.basis.volume).collect();
        Ok(Self {
            rows,
            judged,
            resamples: Resamples::new(n_products, config.resamples, config.seed, progress)?,
            n_resamples: config.resamples,
            n_resamples_subset: config.resamples.min(config.subset_resamples),
            volume_bands: volume_bands(&volumes),
        })
    }

    /// These cells over all rows, or over one subset of them.
    pub(crate) fn cells(
        &self,
        cells: Vec<Cell>,
        subset: Option<Subset>,
    ) -> Result<Vec<CellScores>, Error> {
        cells.into_par_iter().filter_map(|cell| self.cell(cell, subset).transpose()).collect()
    }

    /// The cells that subsets are compared by, over one subset of the rows.
    pub(crate) fn subset(&self, subset: Subset) -> Result<Vec<CellScores>, Error> {
        let is_told = |cell: &Cell| {
            matches!(
                cell.metric,
                Metric::Wql | Metric::WqlCumulative | Metric::Brier | Metric::LogLoss
            )
        };
        self.cells(Cell::all().into_iter().filter(is_told).collect(), Some(subset))
    }

    /// The volume band of each row.
    pub(crate) fn volume_bands(&self) -> &[u8] {
        &self.volume_bands
    }

    fn is_in(&self, row: usize, subset: Subset) -> bool {
        match subset {
            Subset::Unseen => self.rows[row].is_unseen,
            Subset::Seen => !self.rows[row].is_unseen,
            Subset::Age(band) => self.rows[row].basis.age_band == band,
            Subset::Volume(band) => self.volume_bands[row] == band,
            Subset::ColdStart => self.rows[row].basis.cold_start,
        }
    }

    /// One cell; `None` without a row that anybody can be scored on.
    fn cell(&self, cell: Cell, subset: Option<Subset>) -> Result<Option<CellScores>, Error> {
        let targets: Vec<usize> = (0..self.rows.len())
            .filter(|row| cell.task.class(&self.rows[*row]).is_some())
            .filter(|row| subset.is_none_or(|subset| self.is_in(*row, subset)))
            .collect();
        let (models, rows) = self.scored_rows(cell, &targets);
        if rows.is_empty() {
            return Ok(None);
        }
        let counts = self.counts(cell, &rows, targets.len());
        let mut products: Vec<u32> =
            rows.iter().map(|row| self.rows[*row].product as u32).collect();
        products.sort_unstable();
        products.dedup();
        let n_resamples = if subset.is_some() { self.n_resamples_subset } else { self.n_resamples };
        let models = self.model_scores(cell, &models, &rows, (&products, n_resamples))?;
        let entropy = match cell.task {
            Task::Stage(ahead) => {
                let labels = rows.iter().filter_map(|row| self.rows[*row].stages[ahead]);
                Some(labels.map(|target| entropy(&target.label)).sum::<f64>() / rows.len() as f64)
            }
            _ => None,
        };
        let is_identifiable = counts.carry(cell);
        let scores = CellScores { cell, counts, is_identifiable, entropy, models };
        Ok((!scores.models.is_empty()).then_some(scores))
    }

    /// The forecasters that take part, and the rows that all of them forecast.
    fn scored_rows(&self, cell: Cell, targets: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let is_forecast: Vec<Vec<bool>> = self
            .judged
            .iter()
            .map(|judged| targets.iter().map(|row| cell.is_scored(&judged.losses[*row])).collect())
            .collect();
        let takes_part = |model: &usize| {
            let n_forecast = is_forecast[*model].iter().filter(|found| **found).count();
            n_forecast > 0 && n_forecast as f64 >= PRESENT_MIN * targets.len() as f64
        };
        let models: Vec<usize> = (0..self.judged.len()).filter(takes_part).collect();
        if models.is_empty() {
            return (models, Vec::new());
        }
        let by_all = |at: &usize| models.iter().all(|model| is_forecast[*model][*at]);
        let rows = (0..targets.len()).filter(by_all).map(|at| targets[at]).collect();
        (models, rows)
    }

    fn counts(&self, cell: Cell, rows: &[usize], n_targets: usize) -> Counts {
        let mut classes = vec![0; cell.task.n_classes()];
        let (mut products, mut origins) = (BTreeSet::new(), BTreeSet::new());
        for row in rows {
            let row = &self.rows[*row];
            products.insert(row.product);
            origins.insert(row.origin_index);
            if let Some(class) = cell.task.class(row) {
                classes[class] += 1;
            }
        }
        Counts {
            rows: rows.len() as u64,
            targets: n_targets as u64,
            products: products.len(),
            origins: origins.len(),
            classes,
        }
    }

    fn model_scores(
        &self,
        cell: Cell,
        models: &[usize],
        rows: &[usize],
        (products, n_resamples): (&[u32], usize),
    ) -> Result<Vec<ModelScore>, Error> {
        let (n_models, n_sums) = (models.len(), cell.metric.n_sums());
        let mut sums = vec![0.0; products.len() * n_models * n_sums];
        for row in rows {
            let product = self.rows[*row].product as u32;
            let at = products.partition_point(|other| *other < product) * n_models;
            let of_product = sums[at * n_sums..(at + n_models) * n_sums].chunks_mut(n_sums);
            for (model, sums) in models.iter().zip(of_product) {
                cell.add(&self.rows[*row], &self.judged[*model].losses[*row], sums);
            }
        }
        let mut totals = vec![0.0; n_models * n_sums];
        for sums in sums.chunks(n_models * n_sums) {
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        let of = |sums: &[f64]| cell.metric.value(sums).filter(|value| value.is_finite());
        let resampled = self.resamples.scores(n_resamples, (products, n_models), &sums, of)?;
        let score = |(at, sums): (usize, &[f64])| {
            let value = of(sums)?;
            let resampled: Vec<f64> =
                resampled.iter().skip(at).step_by(n_models).copied().collect();
            let interval = interval(value, resampled.iter().copied());
            Some(ModelScore { model: models[at], value, interval, resampled })
        };
        Ok(totals.chunks(n_sums).enumerate().filter_map(score).collect())
    }
}

impl CellScores {
    /// The rows of the score table.
    pub(crate) fn scores(&self, judged: &[Judged], horizon: usize) -> Vec<Score> {
        let score = |model: &ModelScore| Score {
            model: judged[model.model].name.clone(),
            task: self.cell.task.name().to_owned(),
            horizon: self.cell.task.horizon(horizon),
            metric: self.cell.metric.name().to_owned(),
            value: model.value,
            low: model.interval.0,
            high: model.interval.1,
            n: self.counts.rows,
            identifiable: self.is_identifiable,
        };
        self.models.iter().map(score).collect()
    }

    /// Ours against each peer; empty where ours is not scored.
    pub(crate) fn differences(
        &self,
        judged: &[Judged],
        ours: usize,
        horizon: usize,
    ) -> Vec<Difference> {
        let Some(own) = self.models.iter().find(|model| model.model == ours) else {
            return Vec::new();
        };
        let metric = self.cell.metric;
        let difference = |peer: &ModelScore| {
            let difference = metric.cost(own.value) - metric.cost(peer.value);
            let pairs = own.resampled.iter().zip(&peer.resampled);
            let resampled = pairs.map(|(own, peer)| metric.cost(*own) - metric.cost(*peer));
            let (low, high) = interval(difference, resampled);
            Difference {
                task: self.cell.task.name().to_owned(),
                horizon: self.cell.task.horizon(horizon),
                metric: metric.name().to_owned(),
                peer: judged[peer.model].name.clone(),
                difference,
                low,
                high,
                verdict: verdict(low, high),
                identifiable: self.is_identifiable,
            }
        };
        self.models.iter().filter(|model| model.model != ours).map(difference).collect()
    }
}

fn verdict(low: f64, high: f64) -> Verdict {
    if high < 0.0 {
        Verdict::Ahead
    } else if low > 0.0 {
        Verdict::Behind
    } else {
        Verdict::Tie
    }
}
