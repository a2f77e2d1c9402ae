//! Price paths: a list price with rare changes, markdowns late in life, promotions; each announced
//! before it holds.

use crate::draws::Draws;
use crate::life::Life;
use crate::market::{Brand, Category};
use crate::season;
use crate::world::{Mechanisms, Temper};

/// Offers are planned for this many weeks at a time.
const PLAN_WEEKS: i32 = 4;
/// Highest factor that a price or promotion can have on demand.
const EFFECT_MAX: f64 = 8.0;

/// The offer of one week.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// List price.
    pub(crate) list: f64,
    /// Price outside the promotion: list price less markdown.
    pub(crate) base: f64,
    /// Price under promotion; the base price where there is none.
    pub(crate) promoted: f64,
    /// Share of the week under promotion, whole days counted from Sunday back.
    pub(crate) promotion: f64,
}

impl Offer {
    /// Mean price of the week, to the cent.
    pub(crate) fn price(&self) -> f64 {
        cents(self.base + self.promotion * (self.promoted - self.base))
    }

    /// Price on a day of the week, 0 being Monday.
    pub(crate) fn on_day(&self, day: i64) -> f64 {
        let promoted_days = (7.0 * self.promotion).round() as i64;
        if day >= 7 - promoted_days { self.promoted } else { self.base }
    }

    /// Factor of demand by prices against a reference, under this elasticity.
    pub(crate) fn price_effect(&self, reference: f64, elasticity: f64) -> f64 {
        let effect = |price: f64| (price / reference).powf(elasticity).min(EFFECT_MAX);
        (1.0 - self.promotion) * effect(self.base) + self.promotion * effect(self.promoted)
    }
}

/// The offers of a product by week of the calendar, from `first` on.
#[derive(Debug)]
pub(crate) struct Offers {
    /// First week on sale.
    pub(crate) first: usize,
    pub(crate) weeks: Vec<Offer>,
    /// The price at launch, that customers compare with.
    pub(crate) reference: f64,
    notice_weeks: i32,
}

/// What the price path of a product depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pricing<'a> {
    pub(crate) mechanisms: &'a Mechanisms,
    pub(crate) temper: &'a Temper,
    pub(crate) category: &'a Category,
    pub(crate) brand: &'a Brand,
    pub(crate) life: &'a Life,
    /// Week of launch, negative before the calendar.
    pub(crate) launch: i32,
}

impl Offers {
    /// Draws the path for the weeks `first..n_weeks`.
    pub(crate) fn draw(draws: &mut Draws, pricing: Pricing<'_>, n_weeks: usize) -> Self {
        let Pricing { category, brand, temper, .. } = pricing;
        let typical = category.kind.price * brand.price;
        let reference = cents((typical * (0.45 * draws.normal()).exp()).max(0.05));
        let first = pricing.launch.max(0) as usize;
        let n = n_weeks.saturating_sub(first);
        let lists = list_prices(draws, reference, n);
        let kept = if draws.chance(temper.markdown) {
            markdowns(draws, pricing, first, n)
        } else {
            vec![1.0; n]
        };
        let promotions = promotions(draws, pricing, first, n);
        let weeks = lists.iter().zip(kept).zip(promotions).map(|((list, kept), promotion)| {
            let base = cents(list * kept);
            let (share, depth) = promotion;
            Offer { list: *list, base, promoted: cents(base * (1.0 - depth)), promotion: share }
        });
        Self { first, weeks: weeks.collect(), reference, notice_weeks: category.notice_weeks }
    }

    /// Day on which the offer of a week is announced: a whole plan at a time.
    pub(crate) fn announced(&self, week: i32) -> lifecycle::Day {
        let planned = week.div_euclid(PLAN_WEEKS) * PLAN_WEEKS;
        season::monday(planned - self.notice_weeks)
    }
}

/// To whole cents, at least one.
pub(crate) fn cents(price: f64) -> f64 {
    (100.0 * price).round().max(1.0) / 100.0
}

/// The list price changes about once in 40 weeks, by some percent, rather up than down.
fn list_prices(draws: &mut Draws, launch_price: f64, n_weeks: usize) -> Vec<f64> {
    let mut price = launch_price;
    let weeks = (0..n_weeks).map(|_| {
        if draws.chance(0.025) {
            price = cents(price * (0.015 + 0.05 * draws.normal()).exp());
        }
        price
    });
    weeks.collect()
}

/// Share of the list price that is asked: steps down once the shop sees that the peak is over.
fn markdowns(draws: &mut Draws, pricing: Pricing<'_>, first: usize, n_weeks: usize) -> Vec<f64> {
    let trigger = draws.between(0.3, 0.7);
    let lag = draws.whole(2, 9) as usize;
    let step_weeks = draws.whole(4, 12) as usize;
    let steps = [draws.between(0.8, 0.92), draws.between(0.62, 0.8), draws.between(0.45, 0.62)];
    let (launch, life) = (pricing.launch, pricing.life);
    let mut since = 0;
    let weeks = (0..n_weeks).map(|week| {
        let age = ((first + week) as i32 - launch) as usize;
        let (peak_age, peak) = life.peak(age);
        let is_sunk = age > peak_age && life.level[age] < trigger * peak;
        since = if is_sunk { since + 1 } else { 0 };
        if since <= lag {
            return 1.0;
        }
        steps[((since - lag - 1) / step_weeks).min(steps.len() - 1)]
    });
    weeks.collect()
}

/// Share of each week under promotion, and its depth. Promotions cluster before holidays.
fn promotions(
    draws: &mut Draws,
    pricing: Pricing<'_>,
    first: usize,
    n_weeks: usize,
) -> Vec<(f64, f64)> {
    let rate = pricing.temper.promotions_per_year * pricing.brand.promotions / 52.0;
    let mut promotions = vec![(0.0, 0.0); n_weeks];
    let mut week = 0;
    while week < n_weeks {
        let phase = season::phase((first + week) as i32);
        let crowd = if (0.87..0.93).contains(&phase) { 3.0 } else { 1.0 };
        if !draws.chance(rate * crowd) {
            week += 1;
            continue;
        }
        let depth = draws.between(0.08, 0.35);
        let is_flash = draws.chance(pricing.mechanisms.flash);
        let length = if is_flash { 1 } else { draws.whole(1, 3) as usize };
        let share = if is_flash { draws.whole(2, 4) as f64 / 7.0 } else { 1.0 };
        for slot in promotions.iter_mut().skip(week).take(length) {
            *slot = (share, depth);
        }
        week += length + 2;
    }
    promotions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_price_sells_more_and_a_flash_holds_at_the_weekend() {
        let flash = Offer { list: 10.0, base: 10.0, promoted: 8.0, promotion: 2.0 / 7.0 };
        assert_eq!(flash.on_day(4), 10.0);
        assert_eq!(flash.on_day(5), 8.0);
        assert_eq!(flash.price(), 9.43);
        let full = Offer { promotion: 1.0, ..flash };
        let plain = Offer { promotion: 0.0, ..flash };
        assert_eq!(plain.price_effect(10.0, -2.0), 1.0);
        assert!(flash.price_effect(10.0, -2.0) > 1.0);
        assert!((full.price_effect(10.0, -2.0) - 1.5625).abs() < 1e-12);
        assert_eq!(full.price_effect(80.0, -6.0), EFFECT_MAX);
    }
}
