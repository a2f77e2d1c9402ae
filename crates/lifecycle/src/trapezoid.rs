//! Trapezoid lives: introduction at a low level, a linear rise, a plateau, a linear fall.
//!
//! The label smoother, the filter that models get as an input and one baseline are this one family.
//! Durations lie on a grid, so a life is a posterior over some three thousand [`Shapes`] whose scale
//! is profiled out of a quasi-Poisson likelihood (Wedderburn 1974; `McCullagh` & Nelder 1989, chapter 9). Sums over
//! history only ever grow, hence [`Filter`] answers for every origin in one pass.
//!
//! The family is the project's own; its use follows the life-cycle literature on trapezoid and
//! triangle curves for short-lived products (Hu, Acimovic, Erize, Thomas & Van Mieghem 2019).

mod elementary;
mod filter;
mod likelihood;
mod spikes;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use filter::{Filter, LifeOutlook};
pub use likelihood::{LAMBDA, Observation};
pub use spikes::capped;

use crate::{Frequency, Stage};

const INTRODUCTION_WEEKS: [f64; 6] = [0.0, 2.0, 4.0, 8.0, 12.0, 20.0];
const GROWTH_WEEKS: [f64; 8] = [0.0, 2.0, 4.0, 8.0, 12.0, 18.0, 26.0, 40.0];
const MATURITY_WEEKS: [f64; 9] = [0.0, 4.0, 8.0, 16.0, 26.0, 40.0, 60.0, 90.0, 140.0];
/// The last one stands for "never".
const DECLINE_WEEKS: [f64; 9] = [4.0, 8.0, 12.0, 20.0, 30.0, 45.0, 70.0, 110.0, f64::INFINITY];

const INTRODUCTION_LEVEL: f64 = 0.06;
const GROWTH_START: f64 = 0.08;
const LEVEL_MIN: f64 = 0.03;

/// From this age on no shape changes any more: 20 + 40 + 140 + 110 weeks.
const WEEKS_MAX: f64 = 312.0;

/// All lives of the family, with level and stage by age.
///
/// Age counts *steps* since the life's start: weeks for daily and weekly data (daily units are
/// summed to weeks of life), months for monthly data. Shapes that are equal at every age are one
/// shape, which counts as often as the grid holds it ([`Shapes::multiplicities`]).
#[derive(Debug, Clone)]
#[allow(clippy::struct_field_names, reason = "`n_` means a count")]
pub struct Shapes {
    periods_per_step: usize,
    weeks_per_step: f64,
    n_shapes: usize,
    n_ages: usize,
    /// Row-major, shape `[n_ages, n_shapes]`, as the two below.
    levels: Vec<f32>,
    log_levels: Vec<f32>,
    /// Index in [`Stage::ALL`]; *ended* stands for a decline that has run out.
    stages: Vec<u8>,
    multiplicities: Vec<f64>,
}

/// Durations of one shape in weeks: introduction, growth, maturity, decline.
#[derive(Debug, Clone, Copy)]
struct Durations([f64; 4]);

impl Shapes {
    /// The family for data of this frequency. Takes some 50 ms: see [`Shapes::shared`].
    pub fn new(frequency: Frequency) -> Self {
        // The protocol divides durations by 4.33 for months.
        let weeks_per_step = if frequency == Frequency::Month { 4.33 } else { 1.0 };
        let n_ages = (WEEKS_MAX / weeks_per_step).ceil() as usize + 1;
        let mut columns: Vec<Vec<(f32, u8)>> = Vec::new();
        let mut multiplicities: Vec<f64> = Vec::new();
        let mut known = BTreeMap::new();
        for durations in Durations::grid() {
            let column: Vec<(f32, u8)> = (0..n_ages)
                .map(|age| {
                    let weeks = (age as f64 + 0.5) * weeks_per_step;
                    (durations.level(weeks) as f32, durations.table_stage(weeks).index() as u8)
                })
                .collect();
            let key: Vec<(u32, u8)> =
                column.iter().map(|(level, stage)| (level.to_bits(), *stage)).collect();
            let shape = *known.entry(key).or_insert(columns.len());
            if shape == columns.len() {
                columns.push(column);
                multiplicities.push(0.0);
            }
            multiplicities[shape] += 1.0;
        }
        let by_age = || (0..n_ages).flat_map(|age| columns.iter().map(move |column| column[age]));
        let levels: Vec<f32> = by_age().map(|(level, _)| level).collect();
        Self {
            periods_per_step: if frequency == Frequency::Day { 7 } else { 1 },
            weeks_per_step,
            n_shapes: columns.len(),
            n_ages,
            log_levels: levels.iter().map(|level| level.ln()).collect(),
            stages: by_age().map(|(_, stage)| stage).collect(),
            levels,
            multiplicities,
        }
    }

    /// The family of a frequency, made once a process.
    pub fn shared(frequency: Frequency) -> &'static Self {
        static DAY: OnceLock<Shapes> = OnceLock::new();
        static WEEK: OnceLock<Shapes> = OnceLock::new();
        static MONTH: OnceLock<Shapes> = OnceLock::new();
        match frequency {
            Frequency::Day => &DAY,
            Frequency::Week => &WEEK,
            Frequency::Month => &MONTH,
        }
        .get_or_init(|| Self::new(frequency))
    }

    /// Number of different shapes.
    pub fn n_shapes(&self) -> usize {
        self.n_shapes
    }

    /// Periods of the panel in one step of a life: 7 for daily data, else 1.
    pub fn periods_per_step(&self) -> usize {
        self.periods_per_step
    }

    /// Weeks in one step of a life: 4.33 for monthly data, else 1.
    pub fn weeks_per_step(&self) -> f64 {
        self.weeks_per_step
    }

    /// Level of a shape at an age in steps, relative to its plateau.
    pub fn level(&self, shape: usize, age: usize) -> f64 {
        f64::from(self.levels_at(age)[shape])
    }

    /// Stage of a shape at an age in steps; never *ended*: see [`Shapes::has_run_out`].
    pub fn stage(&self, shape: usize, age: usize) -> Stage {
        match Stage::ALL[usize::from(self.stages_at(age)[shape])] {
            Stage::Ended => Stage::Decline,
            stage => stage,
        }
    }

    /// Whether the decline of a shape has reached its floor.
    pub fn has_run_out(&self, shape: usize, age: usize) -> bool {
        usize::from(self.stages_at(age)[shape]) == Stage::Ended.index()
    }

    /// How many points of the grid of durations each shape stands for. Shape `[n_shapes]`.
    pub fn multiplicities(&self) -> &[f64] {
        &self.multiplicities
    }

    /// The prior that weighs every point of the grid alike. Shape `[n_shapes]`, sums to 1.
    pub fn flat_prior(&self) -> Vec<f64> {
        let total: f64 = self.multiplicities.iter().sum();
        self.multiplicities.iter().map(|count| count / total).collect()
    }

    /// Weight of the four stages at an age, for weights of the shapes such as a posterior.
    pub fn stage_weights(&self, weights: &[f64], age: usize) -> [f64; 4] {
        let [introduction, growth, maturity, decline, run_out] = self.stage_sums(weights, age);
        [introduction, growth, maturity, decline + run_out]
    }

    /// The same with declines that have run out apart, as *ended*.
    fn stage_sums(&self, weights: &[f64], age: usize) -> [f64; 5] {
        // Four sums at a time: one alone would wait for itself at every shape.
        let mut lanes = [[0.0; 5]; 4];
        let stages = self.stages_at(age);
        for (weights, stages) in weights.chunks(4).zip(stages.chunks(4)) {
            for ((lane, weight), stage) in lanes.iter_mut().zip(weights).zip(stages) {
                lane[usize::from(*stage)] += weight;
            }
        }
        std::array::from_fn(|stage| lanes.iter().map(|lane| lane[stage]).sum())
    }

    /// Levels of all shapes at an age. Shape `[n_shapes]`.
    pub fn levels_at(&self, age: usize) -> &[f32] {
        self.row(&self.levels, age)
    }

    fn log_levels_at(&self, age: usize) -> &[f32] {
        self.row(&self.log_levels, age)
    }

    fn stages_at(&self, age: usize) -> &[u8] {
        self.row(&self.stages, age)
    }

    fn row<'a, T>(&self, table: &'a [T], age: usize) -> &'a [T] {
        let age = age.min(self.n_ages - 1);
        &table[age * self.n_shapes..(age + 1) * self.n_shapes]
    }
}

impl Durations {
    fn grid() -> impl Iterator<Item = Self> {
        let products = INTRODUCTION_WEEKS.into_iter().flat_map(|introduction| {
            GROWTH_WEEKS.into_iter().flat_map(move |growth| {
                MATURITY_WEEKS.into_iter().flat_map(move |maturity| {
                    DECLINE_WEEKS
                        .into_iter()
                        .map(move |decline| Self([introduction, growth, maturity, decline]))
                })
            })
        });
        // A life that starts at its plateau has no introduction.
        products.filter(|Self([introduction, growth, ..])| *growth > 0.0 || *introduction == 0.0)
    }

    /// Level at the middle of a step, `weeks` after the start.
    fn level(self, weeks: f64) -> f64 {
        let Self([introduction, growth, maturity, decline]) = self;
        let in_decline = weeks - introduction - growth - maturity;
        match self.stage(weeks) {
            Stage::Introduction => INTRODUCTION_LEVEL,
            Stage::Growth => GROWTH_START + (1.0 - GROWTH_START) * (weeks - introduction) / growth,
            Stage::Maturity => 1.0,
            Stage::Decline | Stage::Ended => (1.0 - in_decline / decline).max(LEVEL_MIN),
        }
    }

    /// As `stage`, and *ended* where the decline has reached its floor.
    fn table_stage(self, weeks: f64) -> Stage {
        match self.stage(weeks) {
            Stage::Decline if self.level(weeks) <= LEVEL_MIN => Stage::Ended,
            stage => stage,
        }
    }

    fn stage(self, weeks: f64) -> Stage {
        let Self([introduction, growth, maturity, decline]) = self;
        if weeks < introduction {
            Stage::Introduction
        } else if weeks < introduction + growth {
            Stage::Growth
        } else if weeks < introduction + growth + maturity || decline.is_infinite() {
            Stage::Maturity
        } else {
            Stage::Decline
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_grid_has_its_size_and_equal_shapes_are_one() {
        let shapes = Shapes::shared(Frequency::Week);
        let n_points: f64 = shapes.multiplicities().iter().sum();
        assert_eq!(n_points, 3483.0);
        // Lives that never decline differ in introduction and growth only.
        assert_eq!(shapes.n_shapes(), 43 * 72 + 43);
        let columns: BTreeSet<Vec<(u32, usize)>> = (0..shapes.n_shapes())
            .map(|shape| {
                (0..shapes.n_ages)
                    .map(|age| {
                        let level = shapes.levels_at(age)[shape].to_bits();
                        (level, shapes.stage(shape, age).index())
                    })
                    .collect()
            })
            .collect();
        assert_eq!(columns.len(), shapes.n_shapes());
    }

    #[test]
    fn a_life_rises_stays_and_falls() {
        let life = Durations([4.0, 8.0, 16.0, 20.0]);
        let level = |week: f64| life.level(week + 0.5);
        assert_eq!(level(3.0), 0.06);
        assert!((level(4.0) - (0.08 + 0.92 / 16.0)).abs() < 1e-12);
        assert_eq!((level(12.0), level(27.0)), (1.0, 1.0));
        assert!((level(28.0) - 0.975).abs() < 1e-12);
        assert_eq!(level(48.0), 0.03);
        assert_eq!(life.stage(28.5), Stage::Decline);
        assert_eq!(Durations([0.0, 0.0, 4.0, f64::INFINITY]).stage(300.5), Stage::Maturity);
    }

    #[test]
    fn months_hold_the_same_lives() {
        let shapes = Shapes::shared(Frequency::Month);
        assert!(shapes.n_shapes() > 2500);
        assert_eq!(shapes.periods_per_step(), 1);
        assert_eq!(Shapes::shared(Frequency::Day).periods_per_step(), 7);
        let last = shapes.n_ages - 1;
        assert!(
            (0..shapes.n_shapes())
                .all(|shape| shapes.level(shape, last) == shapes.level(shape, last + 100)
                    && (shapes.has_run_out(shape, last) || shapes.level(shape, last) == 1.0))
        );
    }
}
