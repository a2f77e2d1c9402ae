//! Seasonal index by category: two Fourier harmonics in the log of units, shrunk to the parent
//! category and to 1.
//!
//! Each category pools its series: units sold by period over what the same series sell on average
//! where they are observed, so births, deaths and stock-outs move nothing by themselves. A trend
//! stands beside the harmonics, outliers count less (Huber weights), and the estimate is shrunk by
//! empirical Bayes (Efron & Morris 1975): by its sampling error, with autocorrelated residuals, and
//! by how far one year's season may lie from the next one's. Below two years a season can hardly be
//! told from a life, and is shrunk accordingly.

mod regression;

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

    /// Length of the periods that the seasons are of.
    pub fn frequency(&self) -> Frequency {
        self.frequency
    }

    /// Fits every node of the category tree; pass data up to the training cut for features, all of
    /// it for labels of the test part.
    pub fn fit(frequency: Frequency, inputs: &[SeasonInput<'_>]) -> Self {
        let depth_max = inputs.iter().map(|input| input.category.len()).max().unwrap_or(0);
        let mut by_category = BTreeMap::new();
        let mut raw = BTreeMap::new();
        for depth in 0..=depth_max {
            let nodes = pooled(inputs, depth);
            let estimates: BTreeMap<String, Estimate> = nodes
                .iter()
                .filter_map(|(path, pool)| Some((path.clone(), pool.estimate(frequency)?)))
                .collect();
            let spread = if depth == 0 {
                ROOT_SPREAD.powi(2)
            } else {
                spread_around_parents(&estimates, &raw)
            };
            for (path, estimate) in &estimates {
                let parent = parent_of(path);
                let start: Season = by_category.get(parent).copied().unwrap_or_default();
                let parent_raw: Season = raw.get(parent).copied().unwrap_or_default();
                // The year's own chance is the parent's too, so it weighs on the root alone.
                let chance = if depth == 0 { YEAR_SPREAD.powi(2) / estimate.n_years } else { 0.0 };
                let season = Season {
                    coefficients: std::array::from_fn(|j| {
                        let kept = spread / (spread + estimate.variances[j] + chance).max(1e-12);
                        start.coefficients[j]
                            + kept
                                * estimate.settled()
                                * (estimate.season.coefficients[j] - parent_raw.coefficients[j])
                    }),
                };
                by_category.insert(path.clone(), season);
            }
            raw.extend(estimates.into_iter().map(|(path, estimate)| (path, estimate.season)));
        }
        Self { frequency, by_category }
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

fn parent_of(path: &str) -> &str {
    path.rsplit_once('\u{1f}').map_or("", |(parent, _)| parent)
}

/// The series of one category together, from the earliest start on.
#[derive(Debug, Default)]
struct Pool {
    /// By period: units sold, and what the series observed in it sell on average.
    units: BTreeMap<Period, (f64, f64)>,
}

#[derive(Debug)]
struct Estimate {
    season: Season,
    variances: [f64; N_HARMONICS],
    n_years: f64,
}

fn pooled(inputs: &[SeasonInput<'_>], depth: usize) -> BTreeMap<String, Pool> {
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.category.len() >= depth) {
        let observed = || input.units.iter().filter(|units| units.is_finite());
        let n_observed = observed().count();
        let mean = observed().sum::<f64>() / n_observed.max(1) as f64;
        if mean <= 0.0 {
            continue;
        }
        let pool = pools.entry(key(&input.category[..depth])).or_default();
        for (step, units) in input.units.iter().enumerate().filter(|(_, units)| units.is_finite()) {
            let (sold, usual) = pool.units.entry(input.start.plus(step as i32)).or_default();
            *sold += units;
            *usual += mean;
        }
    }
    pools
}

impl Pool {
    fn estimate(&self, frequency: Frequency) -> Option<Estimate> {
        let (first, _) = self.units.first_key_value()?;
        let (last, _) = self.units.last_key_value()?;
        let n_years = f64::from(last.since(*first) + 1) / frequency.periods_per_year();
        let n_knots = (n_years.floor() as usize).saturating_sub(1);
        let rows: Vec<regression::Row> = self
            .units
            .iter()
            .filter(|(_, (sold, usual))| *sold > 0.0 && *usual > 0.0)
            .map(|(period, (sold, usual))| {
                let year = f64::from(period.since(*first)) / frequency.periods_per_year();
                // A trend that may bend once a year.
                let mut columns = vec![1.0, year];
                columns.extend((1..=n_knots).map(|knot| (year - knot as f64).max(0.0)));
                columns.extend(harmonics(frequency.season_phase(*period)));
                let weight = sold / (sold + 20.0);
                regression::Row { period: period.0, columns, value: (sold / usual).ln(), weight }
            })
            .collect();
        let fit = regression::fit(&rows)?;
        let first_wave = fit.coefficients.len() - N_HARMONICS;
        Some(Estimate {
            season: Season {
                coefficients: std::array::from_fn(|j| fit.coefficients[first_wave + j]),
            },
            variances: std::array::from_fn(|j| fit.variances[first_wave + j]),
            n_years,
        })
    }
}

impl Estimate {
    /// How far a season can be told from a life: nothing below a year, all from three years on.
    fn settled(&self) -> f64 {
        ((self.n_years - 0.9) / 2.1).clamp(0.0, 1.0).sqrt()
    }
}

/// Variance of the categories of one level around their parents, by moments.
fn spread_around_parents(
    estimates: &BTreeMap<String, Estimate>,
    raw: &BTreeMap<String, Season>,
) -> f64 {
    let (mut total, mut weights) = (0.0, 0.0);
    for (path, estimate) in estimates {
        let Some(parent) = raw.get(parent_of(path)) else { continue };
        for j in 0..N_HARMONICS {
            let far = estimate.season.coefficients[j] - parent.coefficients[j];
            let weight = 1.0 / (estimate.variances[j] + 0.01);
            total += weight * (far * far - estimate.variances[j]);
            weights += weight;
        }
    }
    if weights > 0.0 { (total / weights).max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Forty series of one category with this season, each on its own trend.
    fn series(season: Season, n_weeks: i32) -> Vec<Vec<f64>> {
        (0..40)
            .map(|series| {
                (0..n_weeks)
                    .map(|week| {
                        let phase = Frequency::Week.season_phase(Period(2000 + week));
                        let noise = f64::from((week * 37 + series * 101) % 19) / 19.0 - 0.5;
                        let trend = 1.0 + 0.003 * f64::from(week) * f64::from(series % 3);
                        8.0 * trend * season.index(phase) * (1.0 + 0.4 * noise)
                    })
                    .collect()
            })
            .collect()
    }

    fn fit(category: &[String], units: &[Vec<f64>]) -> Seasons {
        let inputs: Vec<SeasonInput<'_>> = units
            .iter()
            .map(|units| SeasonInput { category, start: Period(2000), units })
            .collect();
        Seasons::fit(Frequency::Week, &inputs)
    }

    fn distance(one: Season, other: Season) -> f64 {
        let pairs = one.coefficients.iter().zip(&other.coefficients);
        pairs.map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
    }

    const STRONG: Season = Season { coefficients: [0.3, -0.4, 0.1, 0.05] };

    #[test]
    fn a_season_is_found_in_three_years_and_hardly_believed_in_one() {
        let category = ["garden".to_owned()];
        let three = fit(&category, &series(STRONG, 157)).season(&category);
        assert!(distance(three, STRONG) < 0.15, "{three:?}");
        let one = fit(&category, &series(STRONG, 56)).season(&category);
        assert!(distance(one, Season::default()) < 0.7 * distance(STRONG, Season::default()));
        let half = fit(&category, &series(STRONG, 30)).season(&category);
        assert!(distance(half, Season::default()) < 1e-9, "{half:?}");
    }

    #[test]
    fn no_season_stays_none_and_an_index_is_1_on_average() {
        let flat = fit(&[], &series(Season::default(), 157)).season(&[]);
        assert!(distance(flat, Season::default()) < 0.05, "{flat:?}");
        let mean = (0..52).map(|week| STRONG.index(f64::from(week) / 52.0)).sum::<f64>() / 52.0;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn categories_keep_what_sets_them_apart_and_unknown_ones_take_the_root() {
        let (garden, sweets) = (["garden".to_owned()], ["sweets".to_owned()]);
        let opposite = Season { coefficients: STRONG.coefficients.map(|c| -c) };
        let (one, other) = (series(STRONG, 157), series(opposite, 157));
        let inputs: Vec<SeasonInput<'_>> = one
            .iter()
            .map(|units| SeasonInput { category: &garden, start: Period(2000), units })
            .chain(other.iter().map(|units| SeasonInput {
                category: &sweets,
                start: Period(2000),
                units,
            }))
            .collect();
        let seasons = Seasons::fit(Frequency::Week, &inputs);
        assert!(distance(seasons.season(&garden), STRONG) < 0.2);
        assert!(distance(seasons.season(&sweets), opposite) < 0.2);
        assert_eq!(seasons.season(&["new".to_owned()]), seasons.season(&[]));
        assert_eq!(Seasons::fit(Frequency::Week, &[]).index(&garden, Period(2000)), 1.0);
    }
}
