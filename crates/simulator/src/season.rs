//! The calendar: weeks, seasons of the year, holidays and closed days.

use lifecycle::{Day, Frequency, Period};

use crate::config::Config;
use crate::vocabulary::Kind;

/// Monday 2022-01-03, the first day of every simulated marketplace.
pub(crate) const FIRST_DAY: Day = Day(18_995);
/// Weeks of a year, to average a season over.
const YEAR: i32 = 52;

/// Holidays: middle as a share of the year, width in the same unit, height where gifts count fully.
pub(crate) const HOLIDAYS: [(f64, f64, f64); 5] = [
    (0.119, 0.010, 0.25), // Saint Valentine's
    (0.355, 0.012, 0.25), // Mother's Day
    (0.905, 0.008, 0.50), // Black Friday
    (0.945, 0.018, 0.90), // Advent
    (0.830, 0.010, 0.10), // Halloween
];

/// The first day of a week of the calendar.
pub(crate) fn monday(week: i32) -> Day {
    Day(FIRST_DAY.0 + 7 * week)
}

/// The first second after the calendar, since 1970-01-01: what comes later is not known.
pub(crate) fn end_second(config: &Config) -> i64 {
    i64::from(monday(config.weeks as i32).0) * 86_400
}

/// Where in the year the middle of a week lies, 0 to 1.
pub(crate) fn phase(week: i32) -> f64 {
    let first: Period = Frequency::Week.period_of(FIRST_DAY);
    Frequency::Week.season_phase(first.plus(week))
}

/// Nobody delivers on Christmas Day and on New Year's Day.
pub(crate) fn is_closed(day: Day) -> bool {
    let date = day.to_string();
    date.ends_with("-12-25") || date.ends_with("-01-01")
}

/// Seasonal factors of the weeks `0..n_weeks` for a category whose peak is shifted by `shift` (in
/// years); their mean over a year is 1.
pub(crate) fn factors(kind: &Kind, sharpness: f64, shift: f64, n_weeks: usize) -> Vec<f64> {
    let log_factor = |week: i32| {
        let phase = phase(week);
        let turn = std::f64::consts::TAU * (phase - shift - kind.peak_month / 12.0);
        let holidays: f64 = HOLIDAYS
            .iter()
            .map(|(middle, width, height)| height * bump((phase - middle) / width))
            .sum();
        // A second harmonic makes strong seasons sharper than they are deep.
        let swing = kind.swing * sharpness;
        swing * (turn.cos() + 0.2 * swing * (2.0 * turn).cos()) + kind.gift * holidays
            - 0.25 * bump((phase - 0.025) / 0.02)
    };
    let mean = (0..YEAR).map(|week| log_factor(week).exp()).sum::<f64>() / f64::from(YEAR);
    (0..n_weeks).map(|week| log_factor(week as i32).exp() / mean).collect()
}

/// A bell of height 1.
pub(crate) fn bump(distance: f64) -> f64 {
    (-0.5 * distance * distance).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::HOUSEHOLD;

    #[test]
    fn the_calendar_starts_on_a_monday() {
        assert_eq!(FIRST_DAY.to_string(), "2022-01-03");
        assert_eq!(monday(156).to_string(), "2024-12-30");
        assert!(is_closed("2023-12-25".parse().unwrap()));
        assert!(!is_closed("2023-12-24".parse().unwrap()));
    }

    #[test]
    fn seasons_have_mean_one_and_peak_in_their_month() {
        let outdoor = &HOUSEHOLD[2].kinds[2];
        let factors = factors(outdoor, 1.0, 0.0, 52);
        let mean = factors.iter().sum::<f64>() / 52.0;
        assert!((mean - 1.0).abs() < 1e-9);
        let peak = (0..52).max_by(|a, b| factors[*a].total_cmp(&factors[*b])).unwrap();
        assert!((22..31).contains(&peak), "peak in week {peak}");
    }
}
