//! Whether probabilities and quantiles mean what they say; `calibration.json`.

use std::collections::BTreeSet;
use std::path::Path;

use lifecycle::accuracy::{CalibrationBin, Coverage, calibration, error_if_calibrated};
use lifecycle::{LEVELS, N_LEVELS, OUTLOOK_WEEKS, Progress, Stage, Turn};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bands::{N_VOLUME_BANDS, Subset};
use crate::bootstrap::go_on;
use crate::cells::Task;
use crate::forecasters::Judged;
use crate::losses::{N_PIT_BINS, UnitsLosses};
use crate::rows::Row;
use crate::scoring::{PRESENT_MIN, PRODUCTS_MIN, Scorer};
use crate::{Config, Error, results};

/// Tolerance of a level: over all rows, in a band, and at the two highest levels over all rows.
const TOLERANCE: f64 = 0.02;
const TOLERANCE_BAND: f64 = 0.05;
const TOLERANCE_TOP: f64 = 0.005;

/// The group of all rows.
const ALL_ROWS: &str = "all";

/// Events drawn, over all draws, to find what a calibrated forecaster would show.
const EVENTS_DRAWN: usize = 150_000;

/// The calibration of all forecasters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibrations {
    /// Of turns, one a forecaster, turn and horizon.
    pub turns: Vec<ProbabilityCalibration>,
    /// Of quantiles of units, one a forecaster.
    pub units: Vec<UnitsCalibration>,
}

/// Whether events of one kind come as often as one forecaster says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbabilityCalibration {
    /// The forecaster.
    pub model: String,
    /// The turn.
    pub task: String,
    /// In weeks.
    pub horizon: u32,
    /// Rows.
    pub n: u64,
    /// The curve, by rising probability.
    pub bins: Vec<CalibrationBin>,
    /// Mean absolute gap between probability and frequency.
    pub error: f64,
    /// What a perfectly calibrated forecaster of these probabilities would show.
    pub error_if_calibrated: f64,
    /// `error` less `error_if_calibrated`: the protocol asks for at most .03.
    pub excess: f64,
}

/// Whether quantiles cover as counts can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitsCalibration {
    /// The forecaster.
    pub model: String,
    /// All rows, then the volume bands, then rows by the stage that they are in, where enough
    /// products are.
    pub coverage: Vec<BandCoverage>,
    /// Share of randomised ranks in each tenth; all .1 where the forecast is right.
    pub pit: Vec<f64>,
}

/// The coverage of one group of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandCoverage {
    /// Which rows.
    pub rows: String,
    /// One a quantile level.
    pub levels: Vec<LevelCoverage>,
}

/// How often one quantile lay above what was sold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LevelCoverage {
    /// The level.
    pub level: f64,
    /// Share of periods with fewer units than the quantile.
    pub below: f64,
    /// Share with at most as many.
    pub at_most: f64,
    /// Whether the level lies between the two, give or take the tolerance.
    pub met: bool,
}

impl Calibrations {
    pub(crate) fn new(
        rows: &[Row],
        judged: &[Judged],
        scorer: &Scorer<'_>,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let mut tasks = Vec::new();
        for judged in judged {
            for turn in Turn::ALL {
                tasks.extend((0..OUTLOOK_WEEKS.len()).map(|outlook| (judged, turn, outlook)));
            }
        }
        let turns = tasks.into_par_iter().map(|(judged, turn, outlook)| {
            go_on(progress)?;
            Ok(of_turn(rows, judged, (turn, outlook), config))
        });
        Ok(Self {
            turns: turns.filter_map(Result::transpose).collect::<Result<_, Error>>()?,
            units: judged
                .iter()
                .filter_map(|judged| of_units(rows, judged, scorer.volume_bands()))
                .collect(),
        })
    }

    /// Writes `calibration.json`.
    pub(crate) fn write(&self, output: &Path) -> Result<(), Error> {
        results::write_json(&output.join("calibration.json"), self)
    }
}

fn of_turn(
    rows: &[Row],
    judged: &Judged,
    (turn, outlook): (Turn, usize),
    config: &Config,
) -> Option<ProbabilityCalibration> {
    let (mut said, mut came) = (Vec::new(), Vec::new());
    for (row, losses) in rows.iter().zip(&judged.losses) {
        if let (Some(turns), Some(outcome)) = (losses.turns[outlook], row.turns[outlook]) {
            said.push(f64::from(turns[turn.index()]));
            came.push(outcome[turn.index()]);
        }
    }
    if said.is_empty() {
        return None;
    }
    let n_bins = config.calibration_bins;
    let curve = calibration(&said, &came, n_bins);
    let n_draws = (EVENTS_DRAWN / said.len()).clamp(4, 400);
    let chance = error_if_calibrated(&said, n_bins, n_draws, config.seed);
    let task = Task::Turn(turn, outlook);
    Some(ProbabilityCalibration {
        model: judged.name.clone(),
        task: task.name().to_owned(),
        horizon: task.horizon(0),
        n: said.len() as u64,
        bins: curve.bins,
        error: curve.error,
        error_if_calibrated: chance,
        excess: curve.error - chance,
    })
}

fn of_units(rows: &[Row], judged: &Judged, volume_bands: &[u8]) -> Option<UnitsCalibration> {
    let scored: Vec<(usize, &UnitsLosses)> = judged
        .losses
        .iter()
        .enumerate()
        .filter_map(|(row, losses)| Some((row, losses.units.as_ref()?)))
        .collect();
    let n_targets = rows.iter().filter(|row| Task::Units.class(row).is_some()).count();
    if (scored.len() as f64) < PRESENT_MIN * n_targets as f64 {
        return None;
    }
    let of = |name: &str, is_in: &dyn Fn(usize) -> bool| {
        let losses = scored.iter().filter(|(row, _)| is_in(*row)).map(|(_, losses)| *losses);
        coverage(name, losses, name == ALL_ROWS)
    };
    let mut bands = vec![of(ALL_ROWS, &|_| true)?];
    bands.extend(
        (0..N_VOLUME_BANDS as u8)
            .filter_map(|band| of(Subset::Volume(band).name(), &|row| volume_bands[row] == band)),
    );
    for stage in Stage::ALL.into_iter().take(4) {
        let is_in = |row: usize| {
            rows[row].stages[0].is_some_and(|target| usize::from(target.class) == stage.index())
        };
        let products: BTreeSet<usize> = scored
            .iter()
            .filter(|(row, _)| is_in(*row))
            .map(|(row, _)| rows[*row].product)
            .collect();
        if products.len() >= PRODUCTS_MIN {
            bands.extend(of(&format!("in {}", stage.name()), &is_in));
        }
    }
    let mut pit = [0_u64; N_PIT_BINS];
    for (_, losses) in &scored {
        for (total, count) in pit.iter_mut().zip(losses.pit) {
            *total += u64::from(count);
        }
    }
    let n: u64 = pit.iter().sum();
    Some(UnitsCalibration {
        model: judged.name.clone(),
        coverage: bands,
        pit: pit.iter().map(|count| *count as f64 / n as f64).collect(),
    })
}

/// The coverage of some rows; `None` without any.
pub(crate) fn coverage<'a>(
    name: &str,
    rows: impl Iterator<Item = &'a UnitsLosses>,
    is_all: bool,
) -> Option<BandCoverage> {
    let mut levels = [Coverage::default(); N_LEVELS];
    for losses in rows {
        let n: u16 = losses.pit.iter().sum();
        for (level, coverage) in levels.iter_mut().enumerate() {
            coverage.n += f64::from(n);
            coverage.n_below += f64::from(losses.below[level]);
            coverage.n_at_most += f64::from(losses.at_most[level]);
        }
    }
    let levels = levels.iter().enumerate().map(|(at, coverage)| of_level(at, coverage, is_all));
    let band = BandCoverage { rows: name.to_owned(), levels: levels.collect() };
    band.levels[0].below.is_finite().then_some(band)
}

fn of_level(at: usize, coverage: &Coverage, is_all: bool) -> LevelCoverage {
    let level = LEVELS[at];
    let tolerance = match (is_all, at + 2 >= N_LEVELS) {
        (true, true) => TOLERANCE_TOP,
        (true, false) => TOLERANCE,
        (false, _) => TOLERANCE_BAND,
    };
    LevelCoverage {
        level,
        below: coverage.n_below / coverage.n,
        at_most: coverage.n_at_most / coverage.n,
        met: coverage.gap(level) <= tolerance,
    }
}
