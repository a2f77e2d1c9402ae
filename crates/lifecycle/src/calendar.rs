//! Days and periods. A period is a day, an ISO week or a month, numbered so that neighbours differ
//! by one and arithmetic needs no calendar.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A civil day, in days since 1970-01-01.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// The civil date.
    fn date(self) -> Date {
        Date::constant(1970, 1, 1)
            .checked_add(jiff::Span::new().days(self.0))
            .unwrap_or(if self.0 < 0 { Date::MIN } else { Date::MAX })
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        let since = Date::constant(1970, 1, 1).duration_until(date);
        Self(i32::try_from(since.as_hours() / 24).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl FromStr for Day {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let date: Date = text.parse().map_err(|_| {
            Invalid::new("day", format!("`{text}` is not a date such as 2026-01-31"))
        })?;
        Ok(Self::from(date))
    }
}

/// A period's number: the day, the ISO week (0 starts Monday 1970-01-05) or the month (0 is
/// January 1970), by the [`Frequency`] of the panel it stands in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Period(pub i32);

impl Period {
    /// The period `n` later (earlier if negative).
    #[must_use]
    pub fn plus(self, n: i32) -> Self {
        Self(self.0 + n)
    }

    /// How many periods after `earlier` this one is (negative if before).
    pub fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// One day.
    Day,
    /// One ISO week, Monday to Sunday.
    Week,
    /// One calendar month.
    Month,
}

impl Frequency {
    /// The period that holds this day.
    pub fn period_of(self, day: Day) -> Period {
        match self {
            Self::Day => Period(day.0),
            Self::Week => Period((day.0 - 4).div_euclid(7)),
            Self::Month => {
                let date = day.date();
                Period((i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1)
            }
        }
    }

    /// The first day of a period.
    pub fn first_day(self, period: Period) -> Day {
        match self {
            Self::Day => Day(period.0),
            Self::Week => Day(period.0.saturating_mul(7).saturating_add(4)),
            Self::Month => {
                let year = 1970 + period.0.div_euclid(12);
                let month = 1 + period.0.rem_euclid(12);
                let year = i16::try_from(year.clamp(-9999, 9999)).unwrap_or_default();
                let month = i8::try_from(month).unwrap_or(1);
                Date::new(year, month, 1).map_or(Day(0), Day::from)
            }
        }
    }

    /// The last period that ends by the day.
    pub fn last_period_by(self, day: Day) -> Period {
        let period = self.period_of(day);
        if self.last_day(period) <= day { period } else { period.plus(-1) }
    }

    /// The last day of a period.
    pub fn last_day(self, period: Period) -> Day {
        Day(self.first_day(period.plus(1)).0 - 1)
    }

    /// Periods in a year, for curves and seasons.
    pub fn periods_per_year(self) -> f64 {
        match self {
            Self::Day => 365.25,
            Self::Week => 365.25 / 7.0,
            Self::Month => 12.0,
        }
    }

    /// Weeks in a period: durations given in weeks are divided by it.
    pub fn weeks_per_period(self) -> f64 {
        match self {
            Self::Day => 1.0 / 7.0,
            Self::Week => 1.0,
            Self::Month => 52.0 / 12.0,
        }
    }

    /// As many whole periods as `weeks` are: 13 weeks are 13 weeks, 3 months or 91 days.
    pub fn periods_of_weeks(self, weeks: u32) -> usize {
        match self {
            Self::Day => 7 * weeks as usize,
            Self::Week => weeks as usize,
            Self::Month => ((f64::from(weeks) / self.weeks_per_period()).round() as usize).max(1),
        }
    }

    /// Default horizon of sales forecasts: 28 days, 13 weeks or 12 months.
    pub fn default_horizon(self) -> usize {
        match self {
            Self::Day => 28,
            Self::Week => 13,
            Self::Month => 12,
        }
    }

    /// Periods between test origins: 7 days, 3 weeks or 1 month.
    pub fn origin_step(self) -> usize {
        match self {
            Self::Day => 7,
            Self::Week => 3,
            Self::Month => 1,
        }
    }

    /// Where in the year the middle of a period is, between 0 and 1.
    pub fn season_phase(self, period: Period) -> f64 {
        let middle = i32::midpoint(self.first_day(period).0, self.last_day(period).0);
        (f64::from(middle) / 365.25).rem_euclid(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_hold_their_days() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            for number in [-700, -1, 0, 1, 480, 2400] {
                let period = Period(number);
                assert_eq!(frequency.period_of(frequency.first_day(period)), period);
                assert_eq!(frequency.period_of(frequency.last_day(period)), period);
                let next = Day(frequency.last_day(period).0 + 1);
                assert_eq!(frequency.period_of(next), period.plus(1));
            }
        }
    }

    #[test]
    fn weeks_start_on_monday() {
        let monday: Day = "2010-01-04".parse().expect("a date");
        assert_eq!(Frequency::Week.first_day(Frequency::Week.period_of(monday)), monday);
        assert_eq!(monday.to_string(), "2010-01-04");
    }
}
