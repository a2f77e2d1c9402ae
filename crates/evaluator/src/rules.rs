//! Forecasts by rule: what anybody could say without a model, from the same history.
//!
//! | rule | units | turns, stages |
//! |---|---|---|
//! | base rate | none | how often each came in training rows of the same age band |
//! | seasonal naive | the period a year ago, else the mean of the last 13 weeks | turns by its paths |
//! | trailing quantiles | those of the last 26 weeks or 18 months observed | turns by its paths |
//! | all zeros | zero | everything falls silent |
//! | trailing growth | the last 13 weeks, and on as they grew on the 13 before, damped | turns by its paths |
//! | trapezoid filter | continuation of the life-cycle curves that fit so far | turns by its paths; stages |
//! | nearest attributes | cold starts: launches most alike; else trailing quantiles | turns by its paths |
//! | category shape | cold starts: launches of the category; else trailing quantiles | turns by its paths |

use lifecycle::{Frequency, LEVELS, N_LEVELS, UnitsForecast};

/// A forecaster by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Frequency in training rows of the same age band.
    BaseRate,
    /// As a year ago.
    SeasonalNaive,
    /// Empirical quantiles of the last 26 weeks or 18 months.
    TrailingQuantiles,
    /// Nothing will be sold.
    AllZeros,
    /// Growth goes on.
    TrailingGrowth,
    /// Continuation of the trapezoid filter.
    TrapezoidFilter,
    /// Launches of the products most alike, at cold starts alone.
    NearestAttributes,
    /// Launches of the category, at cold starts alone.
    CategoryShape,
}

impl Rule {
    /// All rules, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::BaseRate,
        Self::SeasonalNaive,
        Self::TrailingQuantiles,
        Self::AllZeros,
        Self::TrailingGrowth,
        Self::TrapezoidFilter,
        Self::NearestAttributes,
        Self::CategoryShape,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::BaseRate => "base rate",
            Self::SeasonalNaive => "seasonal naive",
            Self::TrailingQuantiles => "trailing quantiles",
            Self::AllZeros => "all zeros",
            Self::TrailingGrowth => "trailing growth",
            Self::TrapezoidFilter => "trapezoid filter",
            Self::NearestAttributes => "nearest attributes",
            Self::CategoryShape => "category shape",
        }
    }

    /// Whether only its cold starts are scored.
    pub fn is_of_cold_starts(self) -> bool {
        matches!(self, Self::NearestAttributes | Self::CategoryShape)
    }
}

/// Weeks whose mean stands for the present level.
const LEVEL_WEEKS: u32 = 13;

/// Units that each of the two quarters compared by [`Growth`] is padded with: little is learnt from
/// a quarter with few sales.
const GROWTH_PRIOR: f64 = 5.0;

/// What is left of the growth of one week in the next.
const DAMPING: f64 = 0.95;

/// Mean of the last 13 weeks observed, 0 where nothing is. `known`: units by period up to the
/// origin, NaN where missing.
pub fn level(known: &[f32], frequency: Frequency) -> f64 {
    mean(last(known, frequency.periods_of_weeks(LEVEL_WEEKS))).unwrap_or(0.0)
}

/// The period a year before each step, where it is known and lies before the origin (12 months, 52
/// weeks, 364 days: the same day of the week); else the [`level`].
pub fn seasonal_naive(known: &[f32], frequency: Frequency, n_steps: usize) -> Vec<f32> {
    let year = match frequency {
        Frequency::Day => 364,
        Frequency::Week => 52,
        Frequency::Month => 12,
    };
    let level = level(known, frequency) as f32;
    let at = |step: usize| {
        // Steps beyond a year reach back as many years as bring them before the origin.
        let back = year * (step / year + 1);
        let then = (known.len() + step).checked_sub(back)?;
        known.get(then).copied().filter(|units| units.is_finite())
    };
    (0..n_steps).map(|step| at(step).unwrap_or(level)).collect()
}

/// Mean and quantiles at [`LEVELS`] of the last 26 weeks (18 months) observed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trailing {
    /// Mean units.
    pub mean: f32,
    /// Quantiles, interpolated between order statistics.
    pub quantiles: [f32; N_LEVELS],
}

impl Trailing {
    /// Of the history up to the origin; zeros where nothing is observed.
    pub fn new(known: &[f32], frequency: Frequency) -> Self {
        let n_periods = match frequency {
            Frequency::Month => 18,
            _ => frequency.periods_of_weeks(26),
        };
        let mut recent: Vec<f32> = finite(last(known, n_periods)).collect();
        recent.sort_by(f32::total_cmp);
        Self {
            mean: mean(&recent).unwrap_or(0.0) as f32,
            quantiles: LEVELS.map(|level| quantile(&recent, level).unwrap_or(0.0)),
        }
    }

    /// The same for every step.
    pub fn units(&self, n_steps: usize) -> UnitsForecast {
        UnitsForecast {
            means: vec![self.mean; n_steps],
            quantiles: self.quantiles.repeat(n_steps),
            cumulative_quantiles: Vec::new(),
        }
    }
}

/// The present level, and how it compares with the 13 weeks before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Growth {
    /// Units per period.
    pub level: f64,
    /// Growth per period, as a logarithm.
    pub rate: f64,
}

impl Growth {
    /// Of the history up to the origin. `one`: the size of one unit.
    pub fn new(known: &[f32], frequency: Frequency, one: f64) -> Self {
        let quarter = frequency.periods_of_weeks(LEVEL_WEEKS);
        let (before, now) = {
            let recent = last(known, 2 * quarter);
            recent.split_at(recent.len().saturating_sub(quarter))
        };
        let Some(level) = mean(now) else { return Self::default() };
        let rate = mean(before).map_or(0.0, |before| {
            let padded = |mean: f64| mean * quarter as f64 / one + GROWTH_PRIOR;
            (padded(level) / padded(before)).ln() / quarter as f64
        });
        Self { level, rate }
    }

    /// The level and its damped growth from the middle of the last 13 weeks on; the damping counts
    /// in weeks.
    pub fn units(&self, frequency: Frequency, n_steps: usize) -> Vec<f32> {
        let damping = DAMPING.powf(frequency.weeks_per_period());
        let mut ahead = frequency.periods_of_weeks(LEVEL_WEEKS) as f64 / 2.0;
        let mut weight = 1.0;
        let step = |_| {
            weight *= damping;
            ahead += weight;
            // A quarter's growth is at most fourfold over all steps.
            let growth = (self.rate * ahead).clamp(-4.0_f64.ln(), 4.0_f64.ln());
            (self.level * growth.exp()) as f32
        };
        (0..n_steps).map(step).collect()
    }
}

/// The quantile of sorted values, interpolated between order statistics.
pub fn quantile(sorted: &[f32], level: f64) -> Option<f32> {
    let position = level * sorted.len().checked_sub(1)? as f64;
    let (low, share) = (position.floor(), position.fract() as f32);
    let value = sorted[low as usize];
    let next = sorted.get(low as usize + 1).copied().unwrap_or(value);
    Some(value + share * (next - value))
}

fn last(known: &[f32], n_periods: usize) -> &[f32] {
    &known[known.len().saturating_sub(n_periods)..]
}

fn finite(values: &[f32]) -> impl Iterator<Item = f32> {
    values.iter().copied().filter(|value| value.is_finite())
}

fn mean(values: &[f32]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0.0);
    for value in finite(values) {
        sum += f64::from(value);
        n += 1.0;
    }
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_ago_is_repeated_where_it_is_known() {
        let mut known: Vec<f32> = (0..60).map(|week| week as f32).collect();
        known[9] = f32::NAN;
        let naive = seasonal_naive(&known, Frequency::Week, 3);
        // Weeks 60, 61 and 62 are weeks 8, 9 (missing) and 10 of the year before.
        assert_eq!(naive, [8.0, 53.0, 10.0]);
    }

    #[test]
    fn without_a_year_the_level_stands_in() {
        let naive = seasonal_naive(&[2.0, 4.0, f32::NAN], Frequency::Month, 11);
        assert_eq!(naive[..9], [3.0; 9]);
        assert_eq!(naive[9..], [2.0, 4.0]);
        assert_eq!(seasonal_naive(&[], Frequency::Week, 2), [0.0; 2]);
        let months: Vec<f32> = (0..12).map(|month| month as f32).collect();
        let naive = seasonal_naive(&months, Frequency::Month, 14);
        assert_eq!(&naive[..2], &[0.0, 1.0]);
        assert_eq!(&naive[12..], &[0.0, 1.0]);
    }

    #[test]
    fn trailing_quantiles_forget_what_is_older_than_26_weeks() {
        let mut known = vec![1000.0; 10];
        known.extend((0..26).map(|week| week as f32));
        let trailing = Trailing::new(&known, Frequency::Week);
        assert_eq!(trailing.mean, 12.5);
        assert_eq!(trailing.quantiles[6], 12.5);
        assert!(trailing.quantiles.is_sorted());
        let units = trailing.units(2);
        assert_eq!(units.validate(), Ok(()));
        assert_eq!(units.horizon(), 2);
        assert_eq!(Trailing::new(&[f32::NAN], Frequency::Week), Trailing::default());
    }

    #[test]
    fn growth_goes_on_but_dies_out() {
        let mut known = vec![10.0; 13];
        known.extend([20.0; 13]);
        let growth = Growth::new(&known, Frequency::Week, 1.0);
        let units = growth.units(Frequency::Week, 26);
        assert!(units[0] > 20.0 && units.is_sorted());
        assert!(units[25] < 80.0 && units[25] - units[24] < units[1] - units[0]);
        let steady = Growth::new(&[3.0; 30], Frequency::Week, 1.0);
        assert_eq!(steady.units(Frequency::Week, 2), [3.0; 2]);
        assert_eq!(Growth::new(&[], Frequency::Week, 1.0), Growth::default());
    }

    #[test]
    fn growth_does_not_depend_on_the_unit() {
        let known: Vec<f32> = (0..26).map(|week| (week % 7) as f32).collect();
        let scaled: Vec<f32> = known.iter().map(|units| units * 0.25).collect();
        let plain = Growth::new(&known, Frequency::Week, 1.0).units(Frequency::Week, 5);
        let quarter = Growth::new(&scaled, Frequency::Week, 0.25).units(Frequency::Week, 5);
        for (plain, quarter) in plain.iter().zip(quarter) {
            assert!((plain * 0.25 - quarter).abs() < 1e-6);
        }
    }
}
