//! How much a life sells at its peak, and how its level wanders.
//!
//! Most products of most shops are slow: levels span four decades and more, with more mass below.
//! Around its course a life walks at random, and drifts for weeks without meaning anything.

use lifecycle::Frequency;

use super::calendar::Calendar;
use super::ranges;
use crate::draws::{Draws, spread};

/// Furthest that a life walks from its course, of the logarithm.
const WALK_MAX: f64 = 2.5;

/// What the levels of a shop's lives have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels {
    /// Decade of the middle life's units a week.
    middle: f64,
    /// In decades.
    spread: f64,
    walk: f64,
    memory_weeks: f64,
    lasting: f64,
}

impl Levels {
    pub(crate) fn draw(draws: &mut Draws, frequency: Frequency) -> Self {
        let ranges::Even(low, high) = ranges::LEVEL_DECADES;
        let middle = low + (high - low) * draws.unit().powf(ranges::LEVEL_SKEW);
        Self {
            middle: middle + ranges::level_shift(frequency),
            spread: ranges::LEVEL_SPREAD.draw(draws),
            walk: ranges::OWN_WALK.draw(draws),
            memory_weeks: ranges::MEMORY.draw(draws),
            lasting: ranges::LASTING.draw(draws),
        }
    }

    /// Draws a life's units a week at its peak.
    pub(crate) fn peak(&self, draws: &mut Draws) -> f64 {
        let (low, high) = ranges::LEVEL_ENDS;
        10_f64.powf(self.middle + self.spread * draws.normal()).clamp(low, high)
    }

    /// Draws how a life's level wanders, of the logarithm. Shape `[n_periods]`.
    pub(crate) fn wander(&self, draws: &mut Draws, calendar: &Calendar) -> Vec<f64> {
        let years = 1.0 / calendar.frequency.periods_per_year();
        let step = self.walk * draws.log_normal(spread(1.0, 0.4)) * years.sqrt();
        let lasting = self.lasting * draws.log_normal(spread(1.0, 0.4));
        let kept = (-calendar.weeks / self.memory_weeks).exp();
        let news = lasting * (1.0 - kept * kept).sqrt();
        let (mut walk, mut drift) = (0.0, lasting * draws.normal());
        (0..calendar.n_periods)
            .map(|_| {
                walk = (walk + step * draws.normal()).clamp(-WALK_MAX, WALK_MAX);
                drift = kept * drift + news * draws.normal();
                // A factor of mean 1, but for the walk.
                walk + drift - lasting * lasting / 2.0
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lives::Config;

    #[test]
    fn levels_span_four_decades_and_most_are_slow() {
        let mut peaks: Vec<f64> = (0..3_000)
            .map(|shop| {
                let mut draws = Draws::named(&format!("level {shop}"));
                Levels::draw(&mut draws, Frequency::Week).peak(&mut draws)
            })
            .collect();
        peaks.sort_by(f64::total_cmp);
        let (low, middle, high) = (peaks[60], peaks[1_500], peaks[2_940]);
        assert!(low < 0.1 && (1.0..8.0).contains(&middle) && high > 300.0, "{low} {middle} {high}");
    }

    #[test]
    fn restless_levels_wander_further_at_any_frequency() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let calendar = Calendar::draw(&Config { lives: 1, frequency, seed: 1 });
            let spread_of = |walk, lasting| {
                let levels = Levels { middle: 0.0, spread: 0.5, walk, memory_weeks: 6.0, lasting };
                let mut draws = Draws::named("wander");
                let year = calendar.frequency.periods_per_year() as usize;
                let squares: f64 =
                    (0..300).map(|_| levels.wander(&mut draws, &calendar)[year].powi(2)).sum();
                (squares / 300.0).sqrt()
            };
            let (calm, walking, lasting) =
                (spread_of(0.05, 0.05), spread_of(0.6, 0.05), spread_of(0.05, 0.6));
            assert!(calm < 0.15 && walking > 0.4 && lasting > 0.4, "{calm} {walking} {lasting}");
        }
    }
}
