//! Orders of customers: who comes when, so that an order holds lines of several products.
//!
//! Orders are drawn first; each order line then picks one of its week, in proportion to how much
//! its customer cares for the department and for wholesale lots.

use std::ops::Range;

use lifecycle::Digest;
use rayon::prelude::*;

use crate::config::Config;
use crate::draws::{Draws, spread};
use crate::season;
use crate::world::Mechanisms;

/// Orders a week are a quarter of the products, within these bounds.
const ORDERS_MIN: u32 = 60;
const ORDERS_MAX: u32 = 5_000;
/// Customers for each order of a week.
const CUSTOMERS_PER_ORDER: usize = 12;
/// How the week's orders spread over its days.
const WEEKDAYS: [f64; 7] = [1.15, 1.1, 1.0, 1.05, 0.95, 0.8, 0.95];
/// First order id.
const FIRST_ORDER: usize = 500_000;

#[derive(Debug)]
struct Customer {
    id: String,
    activity: f64,
    is_trade: bool,
    /// Departments bought from five times as often.
    favourites: [usize; 2],
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Visit {
    customer: usize,
    is_guest: bool,
    /// Seconds since 1970-01-01.
    pub(crate) second: i64,
}

#[derive(Debug)]
struct Week {
    orders: Range<usize>,
    /// Cumulative weights of the week's orders: a list for each department, first of lines in small
    /// numbers, then of wholesale lots.
    cumulative: Vec<Vec<f32>>,
}

/// All orders, by time.
#[derive(Debug)]
pub(crate) struct Visits {
    orders: Vec<Visit>,
    weeks: Vec<Week>,
    customers: Vec<Customer>,
}

impl Visits {
    /// Draws all orders of a configuration.
    pub(crate) fn draw(config: &Config, mechanisms: &Mechanisms) -> Self {
        let n_orders = (config.products / 4).clamp(ORDERS_MIN, ORDERS_MAX) as usize;
        let n_departments = mechanisms.departments.len();
        let mut draws = Draws::of(config, "customers", 0);
        let customers: Vec<Customer> = (0..n_orders * CUSTOMERS_PER_ORDER)
            .map(|index| Customer::draw(&mut draws, config, (index, mechanisms)))
            .collect();
        let activity = cumulative(customers.iter().map(|customer| customer.activity));
        let drawn: Vec<(Vec<Visit>, Vec<Vec<f32>>)> = (0..config.weeks as usize)
            .into_par_iter()
            .map(|week| {
                let mut draws = Draws::of(config, "orders", week);
                let n = draws.poisson(n_orders as f64).max(1);
                let mut visits: Vec<Visit> = (0..n)
                    .map(|_| draw_visit(&mut draws, &activity, (week as i32, mechanisms.guests)))
                    .collect();
                visits.sort_by_key(|visit| (visit.second, visit.customer));
                let weights = tastes(&customers, &visits, n_departments);
                (visits, weights)
            })
            .collect();
        let mut all = Self { orders: Vec::new(), weeks: Vec::new(), customers };
        for (visits, cumulative) in drawn {
            let first = all.orders.len();
            all.orders.extend(visits);
            all.weeks.push(Week { orders: first..all.orders.len(), cumulative });
        }
        all
    }

    /// The order that a line of this department goes into; lots draw trade customers.
    pub(crate) fn pick(
        &self,
        draws: &mut Draws,
        week: usize,
        (department, in_lots): (usize, bool),
    ) -> usize {
        let Week { orders, cumulative } = &self.weeks[week];
        orders.start + position(draws, &cumulative[2 * department + usize::from(in_lots)])
    }

    /// Number of orders.
    pub(crate) fn n_orders(&self) -> usize {
        self.orders.len()
    }

    /// When an order is placed, in seconds since 1970-01-01.
    pub(crate) fn second(&self, order: usize) -> i64 {
        self.orders[order].second
    }

    /// The id of an order.
    pub(crate) fn id(order: usize) -> String {
        (FIRST_ORDER + order).to_string()
    }

    /// The id of the customer, `None` for a guest.
    pub(crate) fn customer(&self, order: usize) -> Option<&str> {
        let visit = &self.orders[order];
        (!visit.is_guest).then(|| self.customers[visit.customer].id.as_str())
    }
}

impl Customer {
    fn draw(draws: &mut Draws, config: &Config, (index, world): (usize, &Mechanisms)) -> Self {
        let key = format!("customer {} {} {index}", config.world.name(), config.seed);
        let n_departments = world.departments.len() as i64;
        Self {
            id: format!("K{}", &Digest::of(key).to_string()[..10]),
            activity: draws.log_normal(spread(1.0, 1.0)),
            is_trade: draws.chance(world.trade_customers),
            favourites: std::array::from_fn(|_| draws.whole(0, n_departments - 1) as usize),
        }
    }

    fn taste(&self, department: usize, in_lots: bool) -> f64 {
        let kind = match (self.is_trade, in_lots) {
            (true, true) => 6.0,
            (true, false) => 0.7,
            (false, true) => 0.1,
            (false, false) => 1.0,
        };
        if self.favourites.contains(&department) { 5.0 * kind } else { kind }
    }
}

fn draw_visit(draws: &mut Draws, activity: &[f32], (week, guests): (i32, f64)) -> Visit {
    let customer = position(draws, activity);
    let is_guest = draws.chance(guests);
    let mut day = season::monday(week).0 + draws.weighted(&WEEKDAYS) as i32;
    while season::is_closed(lifecycle::Day(day)) {
        // The day after; the week's last day falls back on its first instead.
        day = if (day - season::monday(week).0) < 6 { day + 1 } else { season::monday(week).0 };
    }
    let hour = draws.between(7.0, 15.0) + draws.between(0.0, 7.0);
    Visit { customer, is_guest, second: i64::from(day) * 86_400 + (hour * 3_600.0) as i64 }
}

/// Cumulative weights of a week's orders; see [`Week::cumulative`].
fn tastes(customers: &[Customer], visits: &[Visit], n_departments: usize) -> Vec<Vec<f32>> {
    let lists = (0..2 * n_departments).map(|key| {
        let taste = |visit: &Visit| customers[visit.customer].taste(key / 2, key % 2 == 1);
        cumulative(visits.iter().map(taste))
    });
    lists.collect()
}

fn cumulative(weights: impl Iterator<Item = f64>) -> Vec<f32> {
    let mut total = 0.0;
    let sums = weights.map(|weight| {
        total += weight;
        total as f32
    });
    sums.collect()
}

/// A position, in proportion to the weights behind the cumulative ones.
fn position(draws: &mut Draws, cumulative: &[f32]) -> usize {
    let at = cumulative.last().copied().unwrap_or_default() * draws.unit() as f32;
    cumulative.partition_point(|weight| *weight <= at).min(cumulative.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::World;

    #[test]
    fn orders_lie_in_their_week_by_time_on_open_days() {
        let config = Config { products: 40, weeks: 60, ..Config::default() };
        let visits = Visits::draw(&config, Mechanisms::of(config.world));
        assert!(visits.orders.is_sorted_by_key(|visit| visit.second));
        for (week, Week { orders, .. }) in visits.weeks.iter().enumerate() {
            let first = i64::from(season::monday(week as i32).0) * 86_400;
            for visit in &visits.orders[orders.clone()] {
                assert!((first..first + 7 * 86_400).contains(&visit.second));
                assert!(!season::is_closed(lifecycle::Day((visit.second / 86_400) as i32)));
            }
        }
    }

    #[test]
    fn lots_are_bought_by_the_trade() {
        let config = Config { world: World::FashionAndTrade, ..Config::default() };
        let config = Config { products: 400, weeks: 8, ..config };
        let visits = Visits::draw(&config, Mechanisms::of(config.world));
        let mut draws = Draws::of(&config, "test", 0);
        let mut trade_share = |in_lots: bool| {
            let picked = (0..2_000).map(|_| visits.pick(&mut draws, 3, (1, in_lots)));
            let trade =
                picked.filter(|order| visits.customers[visits.orders[*order].customer].is_trade);
            trade.count() as f64 / 2_000.0
        };
        assert!(trade_share(true) > 0.8);
        assert!(trade_share(false) < 0.6);
    }
}
