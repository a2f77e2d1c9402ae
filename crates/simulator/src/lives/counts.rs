//! From an expected level to units sold: over-dispersed counts of orders, each of some lots, and for
//! some products only at times.
//!
//! Orders are negative-binomial (a Poisson count whose mean has a gamma factor), units a compound of
//! them. Intermittent buying comes in runs, as in Croston (1972).

use super::calendar::Calendar;
use super::ranges;
use crate::draws::{Draws, spread};
use crate::lots::Lot;

/// Orders drawn one by one; of more, so many are drawn and scaled up.
const ORDERS_MAX: u32 = 48;
/// Highest expected orders of a period.
const MEAN_MAX: f64 = 1e7;
/// How far larger lots mean more units rather than fewer orders.
const LOT_SHARE: f64 = 0.7;

/// How a shop's customers buy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buying {
    lots: [f64; 3],
    /// Share of lives bought at times only.
    intermittent: f64,
    run_weeks: f64,
    steadiness: f64,
}

/// How one product is bought.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    lot: Lot,
    /// Of the gamma factor of one period.
    steadiness: f64,
    /// Share of time in which anybody buys; 1 for most.
    buying_share: f64,
    /// Chance that a period is like the one before.
    repeats: f64,
    is_buying: bool,
}

impl Buying {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let lots = ranges::LOT_WEIGHTS.map(|w| w * (ranges::LOT_SPREAD * draws.normal()).exp());
        let is_intermittent = draws.chance(ranges::INTERMITTENT_SHOPS);
        let share = ranges::INTERMITTENT_LIVES.draw(draws);
        Self {
            lots,
            intermittent: if is_intermittent { share } else { 0.0 },
            run_weeks: ranges::BUYING_RUN.draw(draws),
            steadiness: ranges::STEADINESS.draw(draws),
        }
    }

    /// Draws how a product is bought.
    pub(crate) fn counts(&self, draws: &mut Draws, calendar: &Calendar) -> Counts {
        let lot = Lot::draw(draws, &self.lots);
        let of_week = draws.log_normal(spread(self.steadiness, ranges::STEADINESS_SPREAD));
        let is_intermittent = draws.chance(self.intermittent);
        let buying_share = if is_intermittent { ranges::BUYING_SHARE.draw(draws) } else { 1.0 };
        Counts {
            lot,
            // The factors of a month's weeks are nearly independent, those of a week's days not.
            steadiness: of_week.clamp(0.3, 80.0) * calendar.weeks.max(0.4),
            buying_share,
            repeats: (-calendar.weeks / self.run_weeks).exp(),
            is_buying: draws.chance(buying_share),
        }
    }
}

impl Counts {
    /// Units a week at the peak, from a level of single units: larger lots make fewer, larger orders.
    pub(crate) fn scaled(&self, level: f64) -> f64 {
        level * self.lot.mean().powf(LOT_SHARE)
    }

    /// Draws the units of the next period.
    pub(crate) fn next(&mut self, draws: &mut Draws, expected: f64) -> f64 {
        if self.buying_share < 1.0 && !draws.chance(self.repeats) {
            self.is_buying = draws.chance(self.buying_share);
        }
        if !self.is_buying || expected <= 0.0 {
            return 0.0;
        }
        let burst = draws.gamma(self.steadiness) / self.buying_share;
        let n_orders = draws.poisson((expected * burst / self.lot.mean()).min(MEAN_MAX));
        let n_drawn = n_orders.min(ORDERS_MAX);
        let units: i64 = (0..n_drawn).map(|_| self.lot.units(draws)).sum();
        if n_orders <= ORDERS_MAX {
            return units as f64;
        }
        self.whole(units as f64 * f64::from(n_orders) / f64::from(ORDERS_MAX))
    }

    /// To whole lots.
    pub(crate) fn whole(&self, units: f64) -> f64 {
        let size = self.lot.size as f64;
        (units / size).round() * size
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;

    const BUYING: Buying =
        Buying { lots: [1.0, 0.0, 0.0], intermittent: 0.0, run_weeks: 2.0, steadiness: 60.0 };

    /// Mean, variance over mean, and share of zeros of many periods.
    fn moments(buying: Buying, expected: f64) -> [f64; 3] {
        let config = Config { lives: 1, frequency: Frequency::Week, seed: 1 };
        let calendar = Calendar::draw(&config);
        let mut draws = Draws::named("counts");
        let (mut sum, mut squares, mut zeros, n) = (0.0, 0.0, 0.0, 120 * 200);
        for _ in 0..120 {
            let mut counts = buying.counts(&mut draws, &calendar);
            for _ in 0..200 {
                let units = counts.next(&mut draws, expected);
                sum += units;
                squares += units * units;
                zeros += f64::from(u8::from(units == 0.0));
            }
        }
        let mean = sum / f64::from(n);
        [mean, squares / f64::from(n) / mean - mean, zeros / f64::from(n)]
    }

    #[test]
    fn lots_bursts_and_pauses_keep_the_mean_and_spread_the_counts() {
        let [mean, calm, zeros] = moments(BUYING, 5.0);
        assert!((4.7..5.3).contains(&mean) && calm < 2.2 && zeros < 0.03, "{mean} {calm} {zeros}");
        let [mean, wild, _] = moments(Buying { steadiness: 0.6, ..BUYING }, 5.0);
        assert!((4.5..5.5).contains(&mean) && wild > 2.0 * calm, "{mean} {wild}");
        let [mean, lumpy, many] = moments(Buying { lots: [0.0, 0.0, 1.0], ..BUYING }, 5.0);
        assert!((4.0..6.0).contains(&mean) && lumpy > 8.0 * calm && many > 0.5, "{mean} {lumpy}");
        let [mean, _, paused] = moments(Buying { intermittent: 1.0, ..BUYING }, 5.0);
        assert!((4.4..5.6).contains(&mean) && paused > 0.3, "{mean} {paused}");
        let [mean, _, _] = moments(BUYING, 4_000.0);
        assert!((3_800.0..4_200.0).contains(&mean), "{mean}");
    }
}
