//! One product: what it is, and how it fares week by week.

use lifecycle::{ProductId, Stage};

use crate::demand::{Circumstances, Expected, Noise, Response, expected_weeks};
use crate::draws::Draws;
use crate::life::Life;
use crate::lots::{Granularity, Lot};
use crate::market::{Brand, Category, LEAD_WEEKS, Market};
use crate::price::{Offers, Pricing};
use crate::season;
use crate::stock::Shelf;
use crate::visits::Visits;
use crate::vocabulary::{ADJECTIVES, COLOURS};
use crate::world::{Department, Temper};

/// A product as the shop lists it, with what only the simulator knows.
#[derive(Debug)]
pub(crate) struct Product<'a> {
    pub(crate) id: ProductId,
    pub(crate) title: String,
    pub(crate) department: &'static Department,
    pub(crate) category: &'a Category,
    pub(crate) brand: &'a Brand,
    /// Week of launch, negative before the calendar.
    pub(crate) launch: i32,
    pub(crate) life: Life,
    pub(crate) lot: Lot,
    pub(crate) response: Response,
    pub(crate) offers: Offers,
    /// The listing names no brand, or no launch.
    pub(crate) hides_brand: bool,
    pub(crate) hides_launch: bool,
    noise: Noise,
}

/// An order line that a customer wanted and got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    /// Position of the order in [`Visits`].
    pub(crate) order: usize,
    pub(crate) units: i64,
    pub(crate) price: f64,
    /// Share of the list price taken off.
    pub(crate) discount: f64,
}

/// One week of a product on sale.
#[derive(Debug, Clone)]
pub(crate) struct WeekSold {
    /// Week of the calendar.
    pub(crate) week: usize,
    pub(crate) expected: Expected,
    /// Units that customers wanted, stock or not.
    pub(crate) wanted: i64,
    pub(crate) lines: Vec<Line>,
    /// Share of the week with stock.
    pub(crate) in_stock: f64,
    /// Order lines to be expected given the drift: what views and carts follow.
    pub(crate) interest: f64,
}

/// All that happened to a product.
#[derive(Debug)]
pub(crate) struct Fate {
    /// Weeks on sale.
    pub(crate) weeks: Vec<WeekSold>,
    /// Interest in the weeks after the calendar's end, for the views before it.
    pub(crate) interest_after: Vec<f64>,
}

impl<'a> Product<'a> {
    /// Draws the `index`th product; a life that ends before the calendar has begun is drawn anew.
    pub(crate) fn draw(draws: &mut Draws, market: &'a Market, index: usize) -> Self {
        let shares = market.mechanisms.departments.iter().map(|department| department.share);
        let which = draws.weighted(&shares.collect::<Vec<_>>());
        let in_department: Vec<&'a Category> =
            market.categories.iter().filter(|category| category.department == which).collect();
        let category = *draws.pick(&in_department);
        let brand: &'a Brand = draws.pick(&market.brands[which]);
        let department = market.department(category);
        let adjective = draws.pick(&ADJECTIVES);
        let lot = Lot::draw(draws, &department.temper.lots);
        let title = title(draws, (brand, category, adjective.0), &lot);
        let pace = category.pace * brand.pace * adjective.1;
        let (launch, life) = draw_life(draws, market, (&department.temper, category), pace);
        let level = category.level + brand.level + adjective.2;
        // What comes in large lots is bought less often.
        let lines = draws.log_normal(department.temper.lines) * level.exp();
        let lines = (lines * lot.mean().powf(-0.5)).clamp(0.05, 400.0);
        let n_weeks = market.config.weeks as usize + LEAD_WEEKS;
        let pricing = Pricing {
            mechanisms: market.mechanisms,
            temper: &department.temper,
            category,
            brand,
            life: &life,
            launch,
        };
        let offers = Offers::draw(draws, pricing, n_weeks);
        Self {
            id: format!("{}-{index:05}", department.code).into(),
            title,
            department,
            category,
            brand,
            launch,
            life,
            lot,
            response: Response::draw(draws, market, &department.temper, lines * lot.mean()),
            offers,
            hides_brand: draws.chance(0.06),
            hides_launch: draws.chance(0.12),
            noise: Noise::draw(draws, &department.temper),
        }
    }

    /// Whether it comes in wholesale lots.
    pub(crate) fn is_wholesale(&self) -> bool {
        self.lot.granularity == Granularity::Wholesale
    }

    /// Week of the calendar in which it is taken off sale, if ever.
    pub(crate) fn delisted(&self) -> Option<i32> {
        self.life.delisted.map(|end| self.launch + end as i32)
    }

    /// Lives through the calendar.
    pub(crate) fn live(&mut self, draws: &mut Draws, market: &Market, visits: &Visits) -> Fate {
        let n_weeks = market.config.weeks as usize;
        let start = Circumstances {
            category: self.category,
            life: &self.life,
            launch: self.launch,
            reference: self.offers.reference,
            week: self.offers.first,
            after_promotion: usize::MAX,
        };
        let expected = expected_weeks(&self.response, &self.offers, start);
        let mean_lot = self.lot.mean();
        let mut shelf = self.shelf(draws, &expected);
        let mut fate = Fate { weeks: Vec::new(), interest_after: Vec::new() };
        for (index, expected) in expected.into_iter().enumerate() {
            let week = self.offers.first + index;
            let interest = expected.units() / mean_lot * self.noise.next_drift(draws);
            if week >= n_weeks {
                fate.interest_after.push(interest);
                continue;
            }
            if self.delisted().is_some_and(|end| week as i32 >= end) {
                continue;
            }
            shelf.receive(week);
            let rate = interest * self.noise.next_burst(draws);
            let wishes = self.wishes(draws, (week, rate), visits);
            let mut sold = self.sell(draws, (index, wishes), &mut shelf, visits);
            sold.expected = expected;
            sold.interest = interest;
            let units = sold.lines.iter().map(|line| line.units).sum();
            shelf.review(draws, week, (units, sold.in_stock));
            fate.weeks.push(sold);
        }
        fate
    }

    fn shelf(&self, draws: &mut Draws, expected: &[Expected]) -> Shelf {
        let opening = expected.iter().take(8).map(Expected::units);
        let weekly = opening.sum::<f64>() / 8.0;
        Shelf::draw(draws, &self.department.temper, weekly, &self.lot)
    }

    /// What customers want in a week: units by order, in the order of time.
    fn wishes(
        &self,
        draws: &mut Draws,
        (week, rate): (usize, f64),
        visits: &Visits,
    ) -> Vec<(usize, i64)> {
        let taste = (self.category.department, self.is_wholesale());
        let mut wishes: Vec<(usize, i64)> = (0..draws.poisson(rate))
            .map(|_| (visits.pick(draws, week, taste), self.lot.units(draws)))
            .collect();
        wishes.sort_by_key(|(order, _)| *order);
        // One line an order, as a basket shows it.
        wishes.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            kept.1 += if is_same { later.1 } else { 0 };
            is_same
        });
        wishes
    }

    /// Serves the wishes of the `index`th week of the offers as far as the shelf reaches.
    fn sell(
        &self,
        draws: &mut Draws,
        (index, wishes): (usize, Vec<(usize, i64)>),
        shelf: &mut Shelf,
        visits: &Visits,
    ) -> WeekSold {
        let week = self.offers.first + index;
        let offer = &self.offers.weeks[index];
        let monday = i64::from(season::monday(week as i32).0) * 86_400;
        let mut sold = WeekSold {
            week,
            expected: Expected { life: 0.0, factors: [1.0; 4] },
            wanted: 0,
            lines: Vec::with_capacity(wishes.len()),
            in_stock: if shelf.is_empty() { 0.0 } else { 1.0 },
            interest: 0.0,
        };
        for (order, wanted) in wishes {
            sold.wanted += wanted;
            let units = shelf.sell(wanted);
            let passed = visits.second(order) - monday;
            if units < wanted && sold.in_stock >= 1.0 {
                sold.in_stock = (passed as f64 / (7.0 * 86_400.0)).clamp(0.01, 0.99);
            }
            if units > 0 {
                let coupon = if draws.chance(0.04) { draws.between(0.03, 0.1) } else { 0.0 };
                let rebate =
                    if self.is_wholesale() && units > 4 * self.lot.size { 0.1 } else { 0.0 };
                let asked = offer.on_day(passed / 86_400);
                let price = crate::price::cents(asked * (1.0 - coupon) * (1.0 - rebate));
                let discount = (1.0 - price / offer.list).max(0.0);
                let discount = (1e4 * discount).round() / 1e4;
                sold.lines.push(Line { order, units, price, discount });
            }
        }
        sold
    }

    /// The true stages of the weeks on sale and after, from the launch or the calendar's first week.
    pub(crate) fn stages(&self, n_weeks: usize) -> Vec<Stage> {
        let first_age = (self.offers.first as i32 - self.launch) as usize;
        let stages = self.life.stages();
        stages.into_iter().skip(first_age).take(n_weeks - self.offers.first).collect()
    }
}

fn title(
    draws: &mut Draws,
    (brand, category, adjective): (&Brand, &Category, &str),
    lot: &Lot,
) -> String {
    let (noun, colour) = (draws.pick(category.kind.nouns), draws.pick(&COLOURS));
    let pack = match lot.granularity {
        Granularity::Single => String::new(),
        Granularity::Pack => format!(", set of {}", lot.size),
        Granularity::Wholesale => format!(", {} pcs", lot.size),
    };
    format!("{} {adjective} {noun}, {colour}{pack}", brand.name)
}

/// A launch and a life that is not over when the calendar begins.
fn draw_life(
    draws: &mut Draws,
    market: &Market,
    (temper, category): (&Temper, &Category),
    pace: f64,
) -> (i32, Life) {
    let n_weeks = market.config.weeks as i32;
    loop {
        let mut launch = draws.whole(i64::from(-temper.before), i64::from(n_weeks) - 3) as i32;
        if temper.has_drops && draws.chance(0.75) {
            launch = to_drop(draws, category, launch);
        }
        if launch > n_weeks - 3 {
            continue;
        }
        let life = Life::draw(draws, temper, pace, (n_weeks - launch) as usize + LEAD_WEEKS);
        if launch + life.end() as i32 > 4 {
            return (launch, life);
        }
    }
}

/// Moves a launch to a few weeks before its category's seasonal peak, or half a year off it.
fn to_drop(draws: &mut Draws, category: &Category, launch: i32) -> i32 {
    let peak_week = category.kind.peak_month / 12.0 * 52.18;
    let ahead = draws.between(4.0, 14.0);
    let half = if draws.chance(0.2) { 26.0 } else { 0.0 };
    let year = (f64::from(launch) / 52.18).floor();
    (year * 52.18 + peak_week - ahead + half) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, World};

    /// All products of a small marketplace with their fates.
    fn fates(market: &Market) -> Vec<(Product<'_>, Fate)> {
        let visits = Visits::draw(&market.config, market.mechanisms);
        let fates = (0..market.config.products as usize).map(|index| {
            let mut draws = Draws::of(&market.config, "product", index);
            let mut product = Product::draw(&mut draws, market, index);
            let fate = product.live(&mut draws, market, &visits);
            (product, fate)
        });
        fates.collect()
    }

    fn market(world: World, products: u32) -> Market {
        Market::of(&Config { world, products, weeks: 156, seed: 3 })
    }

    #[test]
    fn stock_outs_hide_demand_and_come_at_peaks() {
        let market = market(World::Household, 150);
        let (mut n_hidden, mut out, mut all) = (0, Vec::new(), Vec::new());
        for (product, fate) in &fates(&market) {
            let scale = product.response.peak_units;
            for sold in &fate.weeks {
                let units: i64 = sold.lines.iter().map(|line| line.units).sum();
                assert!(units <= sold.wanted, "nobody gets more than wanted");
                assert!(sold.in_stock > 0.0 || units == 0, "an empty shelf sells nothing");
                assert_eq!(sold.in_stock < 1.0 && sold.wanted > 0, units < sold.wanted);
                if sold.in_stock == 0.0 && sold.wanted > 0 {
                    assert!(sold.expected.units() > 0.0);
                    n_hidden += 1;
                }
                all.push(sold.expected.units() / scale);
                if sold.in_stock < 1.0 {
                    out.push(sold.expected.units() / scale);
                }
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let share = out.len() as f64 / all.len() as f64;
        assert!(n_hidden > 50, "{n_hidden} weeks of hidden demand");
        assert!((0.02..0.12).contains(&share), "{share} of weeks with a stock-out");
        assert!(mean(&out) > 1.15 * mean(&all), "{} against {}", mean(&out), mean(&all));
    }

    /// Least-squares slope of log units wanted on log price, other mechanisms divided out.
    fn price_slope(product: &Product<'_>, fate: &Fate) -> Option<f64> {
        let points = fate.weeks.iter().filter(|sold| sold.wanted > 0).map(|sold| {
            let offer = &product.offers.weeks[sold.week - product.offers.first];
            let others = sold.expected.units() / sold.expected.factors[2];
            let price = (offer.price() / product.offers.reference).ln();
            (price, (sold.wanted as f64 / others).ln())
        });
        let points: Vec<(f64, f64)> = points.collect();
        let n = points.len() as f64;
        let (mean_x, mean_y) =
            points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
        let xx: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let xy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        (n > 60.0 && xx / n > 0.02).then_some(xy / xx)
    }

    #[test]
    fn price_moves_units_as_the_elasticity_says() {
        let market = market(World::FashionAndTrade, 250);
        let fates = fates(&market);
        let slopes: Vec<(f64, f64)> = fates
            .iter()
            .filter(|(product, _)| product.response.peak_units / product.lot.mean() > 8.0)
            .filter_map(|(product, fate)| {
                Some((price_slope(product, fate)?, product.response.elasticity))
            })
            .collect();
        let negative = slopes.iter().filter(|(slope, _)| *slope < 0.0).count();
        assert!(slopes.len() >= 10, "{} products with prices that move", slopes.len());
        assert!(10 * negative >= 8 * slopes.len(), "{negative} of {} slopes fall", slopes.len());
        let mean = |of: fn(&(f64, f64)) -> f64| slopes.iter().map(of).sum::<f64>();
        let ratio = mean(|pair| pair.0) / mean(|pair| pair.1);
        assert!((0.6..1.4).contains(&ratio), "estimated against true elasticity: {ratio}");
    }

    #[test]
    fn the_worlds_have_different_mechanisms() {
        let [first, second] = [World::Household, World::FashionAndTrade].map(|world| {
            let market = market(world, 200);
            let mut spans = Vec::new();
            let mut elasticity = 0.0;
            let (mut n_bought, mut n_weeks, mut n_returned) = (0.0, 0.0, 0.0);
            for (product, fate) in &fates(&market) {
                spans.push(product.life.end());
                elasticity += product.response.elasticity / 200.0;
                n_weeks += fate.weeks.len() as f64;
                n_bought += fate.weeks.iter().filter(|sold| sold.wanted > 0).count() as f64;
                n_returned += product.department.temper.returns;
            }
            spans.sort_unstable();
            (spans[80], elasticity, n_bought / n_weeks, n_returned)
        });
        assert!(second.0 < first.0, "shorter lives: {} against {} weeks", second.0, first.0);
        assert!(second.1 < 1.4 * first.1, "stronger price response");
        assert!(second.2 < first.2, "more weeks without a sale");
        assert!(second.3 > 2.0 * first.3, "more returns");
    }

    #[test]
    fn offers_are_announced_ahead_by_a_notice_that_tells_nothing() {
        let market = market(World::Household, 20);
        for (product, fate) in &fates(&market) {
            for sold in &fate.weeks {
                let week = sold.week as i32;
                let notice = season::monday(week).0 - product.offers.announced(week).0;
                let least = 7 * product.category.notice_weeks;
                assert!((least..least + 28).contains(&notice));
            }
        }
    }
}
