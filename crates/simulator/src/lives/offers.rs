//! Prices and what they do to demand: list prices that drift, promotions, mark-downs after the peak.
//!
//! Customers answer to a price against what they are used to, by an elasticity, and to a promotion
//! beside that; after it they have stocked up.

use super::calendar::Calendar;
use super::course::Course;
use super::ranges;
use crate::draws::{Draws, spread};
use crate::price::cents;

/// Weeks in which customers get used to a price.
const USED_TO_WEEKS: f64 = 26.0;
/// Bounds of a price's effect on the logarithm of demand.
const EFFECT_ENDS: (f64, f64) = (-2.5, 2.2);
/// Logarithm of demand in the two weeks after a promotion.
const HANGOVER: f64 = -0.12;
const HANGOVER_WEEKS: f64 = 2.0;
/// Share of the list price that is asked, step by step, once the peak is over.
const MARKDOWNS: [f64; 3] = [0.86, 0.7, 0.5];

/// How a shop prices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pricing {
    price: f64,
    repricings: f64,
    repricing: f64,
    inflation: f64,
    elasticity: f64,
    promotions: f64,
    promotion_weeks: f64,
    lift: f64,
    marked_down: f64,
}

/// A life's prices over the panel.
#[derive(Debug, Clone)]
pub(crate) struct Offers {
    /// Mean price of each period. Shape `[n_periods]`.
    pub(crate) prices: Vec<f64>,
    /// Share of each period under promotion.
    pub(crate) promotions: Vec<f64>,
    /// What both do to the logarithm of demand.
    pub(crate) effects: Vec<f64>,
}

impl Pricing {
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let promotes = draws.chance(ranges::PROMOTION_SHOPS);
        Self {
            price: ranges::PRICE.draw(draws),
            repricings: ranges::REPRICINGS.draw(draws),
            repricing: ranges::REPRICING.draw(draws),
            inflation: ranges::INFLATION.draw(draws),
            elasticity: ranges::ELASTICITY.draw(draws),
            promotions: if promotes { ranges::PROMOTIONS.draw(draws) } else { 0.0 },
            promotion_weeks: ranges::PROMOTION_WEEKS.draw(draws),
            lift: ranges::LIFT.draw(draws),
            marked_down: ranges::MARKDOWN_LIVES.draw(draws),
        }
    }

    /// Draws a life's prices.
    pub(crate) fn offers(&self, draws: &mut Draws, calendar: &Calendar, course: &Course) -> Offers {
        let elasticity = draws.log_normal(spread(self.elasticity, 0.4));
        let lift = draws.log_normal(spread(self.lift, 0.4)).min(3.0);
        let lists = self.lists(draws, calendar);
        let kept = self.markdowns(draws, calendar, course);
        let promotions = self.promotions(draws, calendar);
        let learns = 1.0 - (-calendar.weeks / USED_TO_WEEKS).exp();
        let n_hangover = (HANGOVER_WEEKS / calendar.weeks).round() as usize;
        let (mut used_to, mut since) = (lists[0], usize::MAX);
        let mut offers = Offers {
            prices: Vec::with_capacity(lists.len()),
            promotions: Vec::with_capacity(lists.len()),
            effects: Vec::with_capacity(lists.len()),
        };
        for ((list, kept), (share, depth)) in lists.iter().zip(kept).zip(promotions) {
            used_to += learns * (list - used_to);
            let (base, promoted) = (list * kept, list * kept * (1.0 - depth));
            let effect = |price: f64| {
                let log = -elasticity * (price / used_to).ln();
                log.clamp(EFFECT_ENDS.0, EFFECT_ENDS.1).exp()
            };
            let factor = (1.0 - share) * effect(base) + share * effect(promoted) * (1.0 + lift);
            since = if share > 0.0 { 0 } else { since.saturating_add(1) };
            let after = if (1..=n_hangover).contains(&since) { HANGOVER } else { 0.0 };
            offers.prices.push(cents((1.0 - share) * base + share * promoted));
            offers.promotions.push((1e3 * share).round() / 1e3);
            offers.effects.push(factor.ln() + after);
        }
        offers
    }

    /// List prices. Shape `[n_periods]`.
    fn lists(&self, draws: &mut Draws, calendar: &Calendar) -> Vec<f64> {
        let mut list = draws.log_normal(spread(self.price, ranges::PRICE_SPREAD)).max(0.05);
        let chance = calendar.chance(self.repricings);
        let drift = self.inflation / self.repricings.max(1.0);
        let lists = (0..calendar.n_periods).map(|_| {
            if draws.chance(chance) {
                list *= (drift + self.repricing * draws.normal()).exp();
            }
            list
        });
        lists.collect()
    }

    /// Share of the list price that is asked: steps down while the level is far below its peak.
    fn markdowns(&self, draws: &mut Draws, calendar: &Calendar, course: &Course) -> Vec<f64> {
        if !draws.chance(self.marked_down) {
            return vec![1.0; calendar.n_periods];
        }
        let trigger = ranges::MARKDOWN_TRIGGER.draw(draws);
        let n_lag = calendar.periods(draws.between(1.0, 10.0));
        let n_step = calendar.periods(draws.between(3.0, 13.0));
        let mut peak = course.highest_before(0);
        let mut n_since = 0;
        let kept = (0..calendar.n_periods).map(|index| {
            let level = course.level(index);
            peak = level.max(peak);
            n_since = if level < trigger * peak { n_since + 1 } else { 0 };
            if n_since <= n_lag {
                return 1.0;
            }
            MARKDOWNS[((n_since - n_lag - 1) / n_step).min(MARKDOWNS.len() - 1)]
        });
        kept.collect()
    }

    /// Share of each period under promotion, and its depth.
    fn promotions(&self, draws: &mut Draws, calendar: &Calendar) -> Vec<(f64, f64)> {
        let mut promotions = vec![(0.0, 0.0); calendar.n_periods];
        let rate = self.promotions * draws.log_normal(spread(1.0, 0.5));
        let weeks_max = calendar.n_periods as f64 * calendar.weeks;
        let mut from = draws.exponential(365.25 / 7.0 / rate.max(1e-9));
        while rate > 0.0 && from < weeks_max {
            let length = draws.log_normal(spread(self.promotion_weeks, 0.4));
            let depth = ranges::DEPTH.draw(draws);
            for (index, share) in shares(calendar, from, length) {
                promotions[index] = ((promotions[index].0 + share).min(1.0), depth);
            }
            from += length + 1.0 + draws.exponential(365.25 / 7.0 / rate);
        }
        promotions
    }
}

/// The periods that some weeks touch, and how much of each they cover, in whole days.
pub(crate) fn shares(
    calendar: &Calendar,
    from_week: f64,
    n_weeks: f64,
) -> impl Iterator<Item = (usize, f64)> {
    let in_days = |weeks: f64| (7.0 * weeks).round() / 7.0 / calendar.weeks;
    let from = in_days(from_week);
    let to = from + in_days(n_weeks.max(1.0 / 7.0));
    let n_periods = calendar.n_periods;
    (from as usize..n_periods)
        .map(move |index| {
            let (start, end) = (index as f64, index as f64 + 1.0);
            (index, (to.min(end) - from.max(start)).max(0.0))
        })
        .take_while(move |(index, _)| (*index as f64) < to)
        .filter(|(_, share)| *share > 1e-9)
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;
    use crate::lives::Config;
    use crate::lives::course::Courses;

    fn calendar(frequency: Frequency) -> Calendar {
        Calendar::draw(&Config { lives: 1, frequency, seed: 1 })
    }

    fn offers(pricing: Pricing, calendar: &Calendar, name: &str) -> Offers {
        let mut draws = Draws::named(name);
        let course = Courses::draw(&mut draws).course(&mut draws, calendar, true);
        pricing.offers(&mut draws, calendar, &course)
    }

    #[test]
    fn promotions_cover_as_much_time_at_any_frequency_and_sell_more() {
        for frequency in [Frequency::Day, Frequency::Week, Frequency::Month] {
            let calendar = calendar(frequency);
            let mut draws = Draws::named("pricing");
            let pricing = Pricing {
                promotions: 5.0,
                promotion_weeks: 2.0,
                lift: 0.5,
                marked_down: 0.0,
                repricings: 0.1,
                ..Pricing::draw(&mut draws)
            };
            let (mut under, mut with, mut without) = (0.0, 0.0, 0.0);
            for life in 0..30 {
                let offers = offers(pricing, &calendar, &format!("life {life}"));
                under += offers.promotions.iter().sum::<f64>() / calendar.n_periods as f64 / 30.0;
                for (share, effect) in offers.promotions.iter().zip(&offers.effects) {
                    if *share > 0.4 {
                        with += effect;
                    } else if *share == 0.0 {
                        without += effect.max(0.0);
                    }
                }
                let none = super::tests::offers(
                    Pricing { promotions: 0.0, ..pricing },
                    &calendar,
                    &format!("life {life}"),
                );
                assert!(none.promotions.iter().all(|share| *share == 0.0));
            }
            assert!((0.12..0.3).contains(&under), "{frequency:?}: {under}");
            assert!(with > 1.0 && with > without, "{frequency:?}: {with} {without}");
        }
    }

    #[test]
    fn a_life_that_has_sunk_is_marked_down() {
        let calendar = calendar(Frequency::Week);
        let lowest = |marked_down| {
            let mut draws = Draws::named("pricing");
            let pricing = Pricing {
                marked_down,
                promotions: 0.0,
                repricings: 1e-9,
                ..Pricing::draw(&mut draws)
            };
            let ratio = |life: i32| {
                let offers = offers(pricing, &calendar, &format!("life {life}"));
                let last = offers.prices[calendar.n_periods - 1];
                last / offers.prices[0]
            };
            (0..30).map(ratio).fold(f64::MAX, f64::min)
        };
        assert!(lowest(0.0) > 0.99);
        assert!(lowest(1.0) < 0.75);
    }

    #[test]
    fn a_span_is_cut_at_periods() {
        let calendar = calendar(Frequency::Week);
        let cut: Vec<(usize, f64)> = shares(&calendar, 2.0 + 3.0 / 7.0, 1.0).collect();
        assert_eq!(cut.len(), 2);
        assert!((cut[0].1 - 4.0 / 7.0).abs() < 1e-9 && (cut[1].1 - 3.0 / 7.0).abs() < 1e-9);
        assert_eq!(shares(&calendar, 1e6, 1.0).count(), 0);
    }
}
