//! Demand of a week as a product of mechanisms, how it splits over them, and its noise.

use crate::draws::Draws;
use crate::life::Life;
use crate::market::{Category, Market};
use crate::price::{Offer, Offers};
use crate::world::Temper;

/// Slow drift of demand: correlation of one week's log drift with the next.
const DRIFT_MEMORY: f64 = 0.93;
/// Demand in the two weeks after a promotion: stocks at home are used up first.
const HANGOVER: f64 = 0.9;

/// Noise-free demand of one week, in units: a level times factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    /// Units by the life cycle alone.
    pub(crate) life: f64,
    /// Factors of season, market, price and promotion, in the order of [`tables::MECHANISMS`].
    pub(crate) factors: [f64; 4],
}

impl Expected {
    /// Expected units.
    pub(crate) fn units(&self) -> f64 {
        self.life * self.factors.iter().product::<f64>()
    }

    /// What each mechanism adds: the level, then the Shapley value of each factor in the game whose
    /// value is the level times the factors present. They sum to [`Expected::units`].
    pub(crate) fn contributions(&self) -> [f64; 5] {
        let [season, market, price, promotion] = self.factors;
        let value = |own: f64, [a, b, c]: [f64; 3]| {
            let singles = a + b + c;
            let pairs = a * b + a * c + b * c;
            self.life * (own - 1.0) * (0.25 + (singles + pairs) / 12.0 + 0.25 * a * b * c)
        };
        [
            self.life,
            value(season, [market, price, promotion]),
            value(market, [season, price, promotion]),
            value(price, [season, market, promotion]),
            value(promotion, [season, market, price]),
        ]
    }
}

/// How a product's demand answers to the mechanisms.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// Units per week at the first peak, all factors being 1.
    pub(crate) peak_units: f64,
    /// Exponent of the category's season.
    pub(crate) seasonality: f64,
    /// Own-price elasticity, negative.
    pub(crate) elasticity: f64,
    /// Extra share of demand under promotion.
    pub(crate) lift: f64,
    /// Factor of competitors' shocks by week of the calendar.
    pub(crate) shocks: Vec<f64>,
}

impl Response {
    /// Draws a product's response, given its peak.
    pub(crate) fn draw(
        draws: &mut Draws,
        market: &Market,
        temper: &Temper,
        peak_units: f64,
    ) -> Self {
        let n_weeks = market.config.weeks as usize + crate::market::LEAD_WEEKS;
        Self {
            peak_units,
            seasonality: draws.between(0.5, 1.3),
            elasticity: -draws.log_normal(temper.elasticity).clamp(0.2, 6.0),
            lift: draws.log_normal(temper.lift).min(2.0),
            shocks: shocks(draws, market.mechanisms.shocks_per_year, n_weeks),
        }
    }

    /// Noise-free demand of the week of an offer, `after_promotion` weeks after the last one ended.
    pub(crate) fn expected(&self, at: &Circumstances<'_>, offer: &Offer) -> Expected {
        let level = at.life.at((at.week as i32 - at.launch) as usize);
        let hangover = if at.after_promotion <= 2 { HANGOVER } else { 1.0 };
        let promotion =
            if offer.promotion > 0.0 { 1.0 + self.lift * offer.promotion } else { hangover };
        Expected {
            life: self.peak_units * level,
            factors: [
                at.category.season[at.week].powf(self.seasonality),
                at.category.trend[at.week] * self.shocks[at.week],
                offer.price_effect(at.reference, self.elasticity),
                promotion,
            ],
        }
    }
}

/// Where and when demand arises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) category: &'a Category,
    pub(crate) life: &'a Life,
    pub(crate) launch: i32,
    pub(crate) reference: f64,
    /// Week of the calendar.
    pub(crate) week: usize,
    /// Weeks since the last promotion ended, 1 being the first week without.
    pub(crate) after_promotion: usize,
}

/// Noise-free demand in every week of the offers.
pub(crate) fn expected_weeks(
    response: &Response,
    offers: &Offers,
    start: Circumstances<'_>,
) -> Vec<Expected> {
    let mut at = Circumstances { after_promotion: usize::MAX, ..start };
    let weeks = offers.weeks.iter().enumerate().map(|(index, offer)| {
        at.week = offers.first + index;
        let expected = response.expected(&at, offer);
        at.after_promotion =
            if offer.promotion > 0.0 { 1 } else { at.after_promotion.saturating_add(1) };
        expected
    });
    weeks.collect()
}

/// A competitor takes part of demand for some weeks, then it recovers.
fn shocks(draws: &mut Draws, per_year: f64, n_weeks: usize) -> Vec<f64> {
    let mut factors = vec![1.0; n_weeks];
    for week in 0..n_weeks {
        if draws.chance(per_year / 52.0) {
            let (taken, length) = (draws.between(0.25, 0.6), draws.whole(3, 12) as usize);
            for (passed, factor) in factors[week..].iter_mut().take(2 * length).enumerate() {
                let recovered = (passed as f64 / length as f64 - 1.0).max(0.0);
                *factor *= 1.0 - taken * (1.0 - recovered);
            }
        }
    }
    factors
}

/// Noise of a product's demand: slow drift, weeks without any buyer, and wild weeks.
#[derive(Debug)]
pub(crate) struct Noise {
    steadiness: f64,
    drift: f64,
    buying_share: f64,
    log_drift: f64,
    is_buying: bool,
}

impl Noise {
    /// Draws how noisy a product is.
    pub(crate) fn draw(draws: &mut Draws, temper: &Temper) -> Self {
        let (low, high) = temper.buying_share;
        let drift = temper.drift * draws.between(0.4, 1.5);
        Self {
            steadiness: draws.log_normal(temper.steadiness).clamp(0.5, 30.0),
            drift,
            buying_share: draws.between(low, high),
            log_drift: drift * draws.normal(),
            is_buying: true,
        }
    }

    /// The factor that persists over weeks (views feel it too), mean 1.
    pub(crate) fn next_drift(&mut self, draws: &mut Draws) -> f64 {
        let innovation = self.drift * (1.0 - DRIFT_MEMORY * DRIFT_MEMORY).sqrt();
        self.log_drift = DRIFT_MEMORY * self.log_drift + innovation * draws.normal();
        (self.log_drift - self.drift * self.drift / 2.0).exp()
    }

    /// The factor of one week alone, mean 1.
    pub(crate) fn next_burst(&mut self, draws: &mut Draws) -> f64 {
        // Buying comes in runs: half of all weeks repeat the week before.
        if draws.chance(0.5) {
            self.is_buying = draws.chance(self.buying_share);
        }
        let burst = draws.gamma(self.steadiness);
        if self.is_buying { burst / self.buying_share } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The Shapley value of every factor by definition, over all orders.
    fn by_orders(expected: &Expected) -> [f64; 5] {
        let mut sums = [0.0; 5];
        let mut n_orders = 0.0;
        for code in 0..256_usize {
            let order = [code & 3, (code >> 2) & 3, (code >> 4) & 3, code >> 6];
            if (0..4).any(|factor| !order.contains(&factor)) {
                continue;
            }
            n_orders += 1.0;
            let mut value = expected.life;
            for factor in order {
                sums[factor + 1] += value * (expected.factors[factor] - 1.0);
                value *= expected.factors[factor];
            }
        }
        sums = sums.map(|sum| sum / n_orders);
        sums[0] = expected.life;
        sums
    }

    proptest! {
        #[test]
        fn contributions_are_shapley_values_and_add_up(
            life in 0.0..500.0_f64,
            factors in prop::array::uniform4(0.1..5.0_f64),
        ) {
            let expected = Expected { life, factors };
            let contributions = expected.contributions();
            let sum: f64 = contributions.iter().sum();
            prop_assert!((sum - expected.units()).abs() <= 1e-9 * (1.0 + sum.abs()));
            for (closed, counted) in contributions.iter().zip(by_orders(&expected)) {
                prop_assert!((closed - counted).abs() <= 1e-9 * (1.0 + counted.abs()));
            }
        }
    }
}
