//! Seasons: harmonics of the year, common holidays, a shop's own events, and days of the week.
//!
//! A shop draws how seasonal it is, a category its own season around that. All are logarithms of
//! factors; over a year, and over a week, the factors have mean 1.

use super::calendar::Calendar;
use super::ranges;
use crate::draws::{Draws, spread};
use crate::season::{HOLIDAYS, bump};

/// Points of a year that a season is averaged over.
const POINTS: u32 = 104;

/// What the seasons of a shop's categories have in common.
#[derive(Debug, Clone)]
pub(crate) struct Climate {
    /// Amplitude of the first harmonic; 0 where the shop has no season.
    swing: f64,
    /// Where in the year its typical peak lies.
    peak: f64,
    holiday: f64,
    /// Middle, width and height of the shop's own events.
    events: Vec<(f64, f64, f64)>,
    /// Logarithm of the factor of each day of the week.
    weekdays: [f64; 7],
}

impl Climate {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let is_seasonal = draws.chance(ranges::SEASON_SHOPS);
        let has_holidays = draws.chance(ranges::HOLIDAY_SHOPS);
        let n_events = draws.whole(0, ranges::EVENTS_MAX);
        let event = |draws: &mut Draws| {
            (draws.unit(), ranges::EVENT_WIDTH.draw(draws), ranges::EVENT_HEIGHT.draw(draws))
        };
        Self {
            swing: if is_seasonal { ranges::SWING.draw(draws) } else { 0.0 },
            peak: draws.unit(),
            holiday: if has_holidays { ranges::HOLIDAY.draw(draws) } else { 0.0 },
            events: (0..n_events).map(|_| event(draws)).collect(),
            weekdays: weekdays(draws),
        }
    }

    /// Draws the season of one category. Shape `[n_periods]`.
    pub(crate) fn season(&self, draws: &mut Draws, calendar: &Calendar) -> Vec<f64> {
        let swing = self.swing * draws.log_normal(spread(1.0, ranges::SWING_SPREAD));
        let peak = self.peak + 0.12 * draws.normal();
        let overtones = ranges::OVERTONES.map(|share| (share * draws.normal(), draws.unit()));
        let holiday = self.holiday * draws.between(0.2, 1.5);
        let of_year = |phase: f64| {
            let wave = |n: f64, shift: f64| (std::f64::consts::TAU * n * (phase - shift)).cos();
            let [(second, at_second), (third, at_third)] = overtones;
            let harmonics =
                wave(1.0, peak) + second * wave(2.0, at_second) + third * wave(3.0, at_third);
            let common: f64 = HOLIDAYS
                .iter()
                .map(|(middle, width, height)| height * bump((phase - middle) / width))
                .sum();
            let own: f64 = self
                .events
                .iter()
                .map(|(middle, width, height)| height * bump((phase - middle) / width))
                .sum();
            swing * harmonics + holiday * common + own
        };
        let points = (0..POINTS).map(|point| of_year(f64::from(point) / f64::from(POINTS)).exp());
        let mean = (points.sum::<f64>() / f64::from(POINTS)).ln();
        let at = |index: usize| {
            let day = calendar.weekday(index).map_or(0.0, |weekday| self.weekdays[weekday]);
            of_year(calendar.phases[index]) - mean + day
        };
        (0..calendar.n_periods).map(at).collect()
    }
}

/// Days of the week: a weekend that sells more or less, noise, and for some a closed Sunday.
fn weekdays(draws: &mut Draws) -> [f64; 7] {
    let size = ranges::WEEKDAY.draw(draws);
    let weekend = 1.5 * draws.normal();
    let mut logs: [f64; 7] = std::array::from_fn(|day| {
        size * (draws.normal() * 0.5 + if day >= 5 { weekend } else { 0.0 })
    });
    if draws.chance(ranges::CLOSED_DAY_SHOPS) {
        logs[6] = f64::NEG_INFINITY;
    }
    let mean = (logs.iter().map(|log| log.exp()).sum::<f64>() / 7.0).ln();
    logs.map(|log| log - mean)
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;

    #[test]
    fn factors_have_mean_one_over_a_year_and_seasons_differ_by_shop() {
        let config = Config { lives: 1, frequency: Frequency::Day, seed: 4 };
        let calendar = Calendar::draw(&config);
        let mut swings = Vec::new();
        for shop in 0..60 {
            let mut draws = config.draws("shop", shop);
            let climate = Climate::draw(&mut draws);
            let season = climate.season(&mut draws, &calendar);
            let year: Vec<f64> = season[..364].iter().map(|log| log.exp()).collect();
            let mean = year.iter().sum::<f64>() / 364.0;
            assert!((0.85..1.15).contains(&mean), "shop {shop}: {mean}");
            let weekly: Vec<f64> = year.chunks(28).map(|days| days.iter().sum::<f64>()).collect();
            let (low, high) = weekly.iter().fold((f64::MAX, 0.0_f64), |(low, high), value| {
                (low.min(*value), high.max(*value))
            });
            swings.push(high / low);
        }
        swings.sort_by(f64::total_cmp);
        assert!(swings[5] < 1.3 && swings[50] > 2.0, "{swings:?}");
    }
}
