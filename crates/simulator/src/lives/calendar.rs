//! The span of a panel, which all lives of one run share, and where in the year its periods lie.

use lifecycle::{Day, Frequency, Period};

use super::config::Config;
use super::ranges;
use crate::season::FIRST_DAY;

/// The periods of a panel.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    pub(crate) frequency: Frequency,
    pub(crate) start: Period,
    pub(crate) n_periods: usize,
    /// Weeks in a period.
    pub(crate) weeks: f64,
    /// Where in the year the middle of each period lies, 0 to 1. Shape `[n_periods]`.
    pub(crate) phases: Vec<f64>,
}

impl Calendar {
    /// Draws the first period and how many there are.
    pub(crate) fn draw(config: &Config) -> Self {
        let mut draws = config.draws("calendar", 0);
        let frequency = config.frequency;
        let (least, most) = ranges::periods(frequency);
        let n_periods = draws.whole(least, most) as usize;
        let start = frequency.period_of(Day(FIRST_DAY.0 + draws.whole(0, 364) as i32));
        let phase = |index| frequency.season_phase(start.plus(index as i32));
        Self {
            frequency,
            start,
            n_periods,
            weeks: frequency.weeks_per_period(),
            phases: (0..n_periods).map(phase).collect(),
        }
    }

    /// The first day of a period.
    pub(crate) fn day(&self, index: usize) -> Day {
        self.frequency.first_day(self.start.plus(index as i32))
    }

    /// The last day of the panel.
    pub(crate) fn last_day(&self) -> Day {
        self.frequency.last_day(self.start.plus(self.n_periods as i32 - 1))
    }

    /// Of daily panels the day of the week, 0 being Monday.
    pub(crate) fn weekday(&self, index: usize) -> Option<usize> {
        // 1970-01-01 was a Thursday.
        let weekday = |Day(day): Day| (day + 3).rem_euclid(7) as usize;
        (self.frequency == Frequency::Day).then(|| weekday(self.day(index)))
    }

    /// As many periods as so many weeks are, one at least.
    pub(crate) fn periods(&self, weeks: f64) -> usize {
        ((weeks / self.weeks).round() as usize).max(1)
    }

    /// The chance within one period of what happens so often a year.
    pub(crate) fn chance(&self, per_year: f64) -> f64 {
        1.0 - (-per_year / self.frequency.periods_per_year()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_within_its_range_and_has_whole_years_of_phases() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            for seed in 0..20 {
                let calendar = Calendar::draw(&Config { lives: 1, frequency, seed });
                let (least, most) = ranges::periods(frequency);
                assert!((least..=most).contains(&(calendar.n_periods as i64)));
                assert_eq!(calendar.phases.len(), calendar.n_periods);
                assert_eq!(calendar.weekday(0).is_some(), frequency == Frequency::Day);
            }
        }
    }

    #[test]
    fn mondays_are_day_zero() {
        let calendar = Calendar::draw(&Config { lives: 1, frequency: Frequency::Day, seed: 1 });
        let monday = (0..7).find(|index| calendar.weekday(*index) == Some(0)).expect("a Monday");
        assert_eq!((calendar.day(monday).0 - FIRST_DAY.0).rem_euclid(7), 0);
    }
}
