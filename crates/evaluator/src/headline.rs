//! How ours compares, in a few numbers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::forecasters::Judged;
use crate::scoring::{CellScores, Difference, Verdict};

/// Ours against all peers, over the cells that the data set can carry.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Headline {
    /// Cells in which ours is scored beside a peer.
    pub cells: usize,
    /// Those in which no peer's score is better.
    pub best: usize,
    /// By metric.
    pub metrics: Vec<MetricHeadline>,
}

/// Ours against all peers by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricHeadline {
    /// The metric.
    pub metric: String,
    /// Cells in which ours is scored beside a peer.
    pub cells: usize,
    /// Those in which no peer's score is better.
    pub best: usize,
    /// Whether ours is clearly behind no peer in no cell.
    pub clearly_behind_none: bool,
    /// By peer, in the order of the table.
    pub peers: Vec<PeerHeadline>,
}

/// Ours against one peer by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerHeadline {
    /// The peer.
    pub peer: String,
    /// Cells in which ours is clearly better.
    pub ahead: usize,
    /// Cells in which neither is clearly better.
    pub tie: usize,
    /// Cells in which ours is clearly worse.
    pub behind: usize,
    /// Mean over the cells of the difference in cost; below 0, ours is better.
    pub difference_mean: f64,
}

impl Headline {
    /// Of all cells and what they say against peers.
    pub(crate) fn new(cells: &[CellScores], differences: &[Difference], judged: &[Judged]) -> Self {
        let carried: Vec<&Difference> =
            differences.iter().filter(|difference| difference.identifiable).collect();
        let mut metrics: Vec<&str> = Vec::new();
        for cell in cells {
            let metric = cell.cell.metric.name();
            if !metrics.contains(&metric) && carried.iter().any(|found| found.metric == metric) {
                metrics.push(metric);
            }
        }
        let metrics: Vec<MetricHeadline> =
            metrics.into_iter().map(|metric| by_metric(metric, &carried, judged)).collect();
        Self {
            cells: metrics.iter().map(|metric| metric.cells).sum(),
            best: metrics.iter().map(|metric| metric.best).sum(),
            metrics,
        }
    }
}

fn by_metric(metric: &str, carried: &[&Difference], judged: &[Judged]) -> MetricHeadline {
    let here: Vec<&Difference> =
        carried.iter().copied().filter(|found| found.metric == metric).collect();
    let key = |found: &Difference| (found.task.clone(), found.horizon);
    let cells: BTreeSet<(String, u32)> = here.iter().map(|found| key(found)).collect();
    let beaten: BTreeSet<(String, u32)> =
        here.iter().filter(|found| found.difference > 0.0).map(|found| key(found)).collect();
    let peers = judged.iter().filter_map(|peer| {
        let found: Vec<&&Difference> =
            here.iter().filter(|found| found.peer == peer.name).collect();
        let count = |verdict| found.iter().filter(|found| found.verdict == verdict).count();
        let total: f64 = found.iter().map(|found| found.difference).sum();
        (!found.is_empty()).then(|| PeerHeadline {
            peer: peer.name.clone(),
            ahead: count(Verdict::Ahead),
            tie: count(Verdict::Tie),
            behind: count(Verdict::Behind),
            difference_mean: total / found.len() as f64,
        })
    });
    MetricHeadline {
        metric: metric.to_owned(),
        cells: cells.len(),
        best: cells.len() - beaten.len(),
        clearly_behind_none: here.iter().all(|found| found.verdict != Verdict::Behind),
        peers: peers.collect(),
    }
}
