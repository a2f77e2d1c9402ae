//! The columns of `rows.parquet`.
//!
//! | column | what |
//! |---|---|
//! | `series`, `product`, `location`, `origin` | whose row; a forecast names product, location and origin |
//! | `part` | `train`, `validation` (learn and choose by these), `fit` (validation rows that `evaluator` fits residuals and dependence on), `test` |
//! | `unseen` | no row of the product trains |
//! | `scale` | units by period that `y_` and `f_units_` are multiples of |
//! | `age`, `cold_start`, `far_from_training` | periods since launch; hardly anything is known; inputs beyond training's |
//! | `x_<name>` | static inputs of our network |
//! | `u_<k>` | asinh(units / scale) of the k-th last period, the origin's being `u_1`; null where not observed |
//! | `h_<step>_<name>` | what is known in advance of the step, 1 to the horizon |
//! | `f_now_<stage>`, `f_<weeks>_<stage>`, `f_units_<step>` | the trapezoid filter's stages and expected units over scale |
//! | `unit_weight` | weight of the units in our loss, 1 on average over training rows |
//! | `y_<step>` | units over scale, null where masked or not of this part |
//! | `t_<weeks>` | turn: 0 silent, 1 halved and not silent, 2 neither, 3 doubled |
//! | `s_<weeks>_<stage>`, `w_<weeks>` | stage probabilities of the label, and how settled it is |
//!
//! Stages are numbered in the order of a life: introduction, growth, maturity, decline, ended. Weeks
//! are 4, 13 and 26 (0: now, where *ended* is no answer).

use std::collections::BTreeSet;

use lifecycle::{OUTLOOK_WEEKS, Period, ProductId, Stage, StageProbabilities};
use panel::{CONTEXT_INPUTS, HORIZON_INPUTS, History, STATIC_INPUTS, Window};
use polars::prelude::Column;
use trainer::Target;

use super::parquet::{flags, floats, ints, texts};
use super::{Meta, series_columns};

/// Most periods of the past that stand in columns of their own.
pub const N_RECENT_MAX: usize = 52;

/// Parts in the order of rows that share a series and an origin.
pub(super) const PARTS: [&str; 4] = ["train", "validation", "fit", "test"];

/// Names and shapes of the columns.
#[derive(Debug, Clone)]
pub struct Layout {
    context: usize,
    n_recent: usize,
    inputs: Vec<String>,
    targets: Vec<String>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRow {
    /// Position of the series among all.
    pub series: usize,
    /// The last period whose data may be used.
    pub origin: Period,
    /// `train`, `validation`, `fit` or `test`.
    pub part: &'static str,
    scale: f32,
    age: u32,
    cold_start: bool,
    far_from_training: bool,
    unit_weight: f32,
    inputs: Vec<f32>,
    turns: [Option<u8>; 3],
    /// Units, then stages and their weights; empty in parts that nobody learns from.
    targets: Vec<f32>,
}

impl Layout {
    /// The columns of an exchange whose windows hold `context` periods.
    pub fn new(meta: &Meta, context: usize) -> Self {
        let stages = || 0..Stage::ALL.len();
        let mut inputs: Vec<String> =
            STATIC_INPUTS.iter().map(|name| format!("x_{name}")).collect();
        inputs.extend((1..=meta.n_recent).map(|back| format!("u_{back}")));
        for step in 1..=meta.horizon {
            inputs.extend(HORIZON_INPUTS.iter().map(|name| format!("h_{step}_{name}")));
        }
        inputs.extend((0..4).map(|stage| format!("f_now_{stage}")));
        for weeks in OUTLOOK_WEEKS {
            inputs.extend(stages().map(|stage| format!("f_{weeks}_{stage}")));
        }
        inputs.extend((1..=meta.n_ahead).map(|step| format!("f_units_{step}")));
        let mut targets: Vec<String> = (1..=meta.n_ahead).map(|step| format!("y_{step}")).collect();
        for weeks in [0].into_iter().chain(OUTLOOK_WEEKS) {
            targets.extend(stages().map(|stage| format!("s_{weeks}_{stage}")));
            targets.push(format!("w_{weeks}"));
        }
        Self { context, n_recent: meta.n_recent, inputs, targets }
    }

    /// A row that is only asked: no targets.
    pub fn row(&self, series: usize, window: &Window, part: &'static str) -> PeerRow {
        let inputs = self.inputs_of(window);
        assert_eq!(inputs.len(), self.inputs.len(), "each input has a name");
        PeerRow {
            series,
            origin: window.origin,
            part,
            scale: window.scale,
            age: window.age,
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
            unit_weight: f32::NAN,
            inputs,
            turns: [None; 3],
            targets: Vec::new(),
        }
    }

    fn inputs_of(&self, window: &Window) -> Vec<f32> {
        let place = |name| CONTEXT_INPUTS.iter().position(|input| *input == name);
        let (units, observed) =
            (place("units").expect("a channel"), place("observed").expect("a channel"));
        let mut inputs = window.statics.clone();
        for back in 0..self.n_recent {
            let row = &window.context[(self.context - 1 - back) * CONTEXT_INPUTS.len()..];
            inputs.push(if row[observed] > 0.0 { row[units] } else { f32::NAN });
        }
        inputs.extend(&window.horizon);
        inputs.extend(&window.filter.stage_now.as_array()[..4]);
        inputs.extend(window.filter.stages.iter().flat_map(StageProbabilities::as_array));
        inputs.extend(&window.filter.expected);
        inputs
    }

    /// The rows as columns; `histories` are those that [`PeerRow::series`] counts, of products of
    /// which some are `unseen`.
    pub fn columns(
        &self,
        rows: &[PeerRow],
        histories: &[History],
        unseen: &BTreeSet<ProductId>,
    ) -> Vec<Column> {
        let series = |row: &PeerRow| &histories[row.series].series;
        let is_unseen = |row| unseen.contains(&series(row).product);
        let mut columns = series_columns(rows.iter().map(series));
        columns.extend([
            ints("origin", rows.iter().map(|row| Some(row.origin.0))),
            texts("part", rows.iter().map(|row| Some(row.part.to_owned()))),
            flags("unseen", rows.iter().map(is_unseen)),
            floats("scale", rows.iter().map(|row| row.scale)),
            ints("age", rows.iter().map(|row| i32::try_from(row.age).ok())),
            flags("cold_start", rows.iter().map(|row| row.cold_start)),
            flags("far_from_training", rows.iter().map(|row| row.far_from_training)),
        ]);
        for (at, name) in self.inputs.iter().enumerate() {
            columns.push(floats(name, rows.iter().map(|row| row.inputs[at])));
        }
        columns.push(floats("unit_weight", rows.iter().map(|row| row.unit_weight)));
        for (at, weeks) in OUTLOOK_WEEKS.iter().enumerate() {
            let turn = |row: &PeerRow| row.turns[at].map(i32::from);
            columns.push(ints(&format!("t_{weeks}"), rows.iter().map(turn)));
        }
        for (at, name) in self.targets.iter().enumerate() {
            let target = |row: &PeerRow| row.targets.get(at).copied().unwrap_or(f32::NAN);
            columns.push(floats(name, rows.iter().map(target)));
        }
        columns
    }
}

impl PeerRow {
    /// The same row with what is learnt from it; `units` in the data's own units by step, masked.
    pub(super) fn learning(self, target: &Target, units: &[f32]) -> Self {
        let mut targets: Vec<f32> = units.iter().map(|units| units / self.scale).collect();
        for stages in target.stages {
            let (label, weight) = stages.unwrap_or(([f32::NAN; 5], f32::NAN));
            targets.extend(label);
            targets.push(weight);
        }
        let class = |turns: [f32; 4]| turns.iter().position(|p| *p > 0.5).map(|class| class as u8);
        let turns = target.turns.map(|turns| turns.and_then(class));
        Self { unit_weight: target.weight, turns, targets, ..self }
    }

    /// Where the row stands among those of its series and origin.
    pub(super) fn part_order(&self) -> usize {
        PARTS.iter().position(|part| *part == self.part).unwrap_or(PARTS.len())
    }
}
