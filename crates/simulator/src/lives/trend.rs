//! Trends that a shop's or a category's lives share: a slope and a walk that is pulled back.

use super::calendar::Calendar;
use super::ranges;
use crate::draws::Draws;

/// Weeks after which a walk has forgotten where it was: a category neither dies nor takes over.
const MEMORY_WEEKS: f64 = 200.0;

/// How steep and how restless trends are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trend {
    slope: f64,
    walk: f64,
}

impl Trend {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        Self { slope: ranges::SLOPE.draw(draws), walk: ranges::WALK.draw(draws) }
    }

    /// Draws the logarithm of a trend. Shape `[n_periods]`.
    pub(crate) fn path(&self, draws: &mut Draws, calendar: &Calendar) -> Vec<f64> {
        let years = 1.0 / calendar.frequency.periods_per_year();
        let slope = self.slope * draws.normal() * years;
        let step = self.walk * years.sqrt();
        let kept = (-calendar.weeks / MEMORY_WEEKS).exp();
        let mut walk = 0.0;
        (0..calendar.n_periods)
            .map(|index| {
                walk = kept * walk + step * draws.normal();
                walk + slope * index as f64
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;

    #[test]
    fn a_restless_trend_goes_far_and_the_frequency_does_not_matter() {
        let spread_after_a_year = |frequency, trend: Trend| {
            let calendar = Calendar::draw(&Config { lives: 1, frequency, seed: 1 });
            let year = calendar.frequency.periods_per_year() as usize;
            let mut draws = Draws::named("trend");
            let ends: Vec<f64> =
                (0..400).map(|_| trend.path(&mut draws, &calendar)[year - 1]).collect();
            (ends.iter().map(|end| end * end).sum::<f64>() / 400.0).sqrt()
        };
        let (calm, restless) = (Trend { slope: 0.02, walk: 0.03 }, Trend { slope: 0.3, walk: 0.4 });
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let (low, high) =
                (spread_after_a_year(frequency, calm), spread_after_a_year(frequency, restless));
            assert!((0.02..0.05).contains(&low), "{low}");
            assert!((0.38..0.6).contains(&high), "{high}");
        }
    }
}
