//! Season, weekday and seasonal index of the periods that windows of one series touch.

use lifecycle::season::Season;
use lifecycle::{Frequency, Period};

/// One row by period from `first` on.
#[derive(Debug)]
pub(crate) struct Calendar {
    first: Period,
    days: Vec<Marks>,
}

/// What the calendar says of one period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// Sine and cosine of one cycle a year.
    pub(crate) year: [f64; 2],
    /// Sine and cosine of one cycle a week; 0 unless periods are days.
    pub(crate) week: [f64; 2],
    /// Seasonal index.
    pub(crate) season: f64,
}

impl Calendar {
    /// The periods `first..=last` of a category with this season.
    pub(crate) fn new(frequency: Frequency, season: Season, first: Period, last: Period) -> Self {
        let days = (first.0..=last.0)
            .map(|number| {
                let period = Period(number);
                let phase = frequency.season_phase(period);
                let (year_sin, year_cos) = (phase * std::f64::consts::TAU).sin_cos();
                let week = if frequency == Frequency::Day {
                    let day = f64::from(number.rem_euclid(7)) / 7.0;
                    let (sin, cos) = (day * std::f64::consts::TAU).sin_cos();
                    [sin, cos]
                } else {
                    [0.0, 0.0]
                };
                Marks { year: [year_sin, year_cos], week, season: season.index(phase) }
            })
            .collect();
        Self { first, days }
    }

    /// The marks of a period that the calendar holds.
    pub(crate) fn at(&self, period: Period) -> Marks {
        self.days[period.since(self.first) as usize]
    }

    /// Mean seasonal index of the periods `from..=to`.
    pub(crate) fn mean_season(&self, from: Period, to: Period) -> f64 {
        let total: f64 = (from.0..=to.0).map(|number| self.at(Period(number)).season).sum();
        total / f64::from(to.since(from) + 1)
    }
}
