//! The dirt of real order files, at known rates. All of it is added to clean lines, so that a
//! perfect cleaning gives back exactly the units sold.
//!
//! | what | rate |
//! |---|---|
//! | exact duplicate of a line | [`DUPLICATES`] of lines |
//! | mistaken order, cancelled later by a line with negative units and an id that starts with C | [`MISTAKES`] of lines |
//! | of these, a typing error of hundreds of times the units | [`SLIPS`] |
//! | free sample: a line at price 0 | [`SAMPLES`] of lines |
//! | postage, fees and adjustments: lines with a code that is no product | [`OTHERS`] of orders |
//! | no customer | by world, of orders |

use std::collections::BTreeSet;

use crate::draws::Draws;
use crate::market::Market;
use crate::product::{Fate, Line, Product};
use crate::records::{Item, OrderRow};
use crate::visits::Visits;

/// Share of lines written twice.
pub const DUPLICATES: f64 = 0.004;
/// Lines ordered by mistake and cancelled, as a share of good lines.
pub const MISTAKES: f64 = 0.015;
/// Share of mistakes that are off by a factor of hundreds.
pub const SLIPS: f64 = 0.002;
/// Lines at price 0, as a share of good lines.
pub const SAMPLES: f64 = 0.002;
/// Codes that are no products, with their share of orders and a typical price.
pub const OTHERS: [(&str, f64, f64); 4] = [
    ("POSTAGE", 0.04, 5.0),
    ("MANUAL", 0.004, 12.0),
    ("BANK CHARGES", 0.001, 15.0),
    ("DISCOUNT", 0.003, -8.0),
];

/// The order rows of one product: its lines and the dirt about them, up to the second `end`.
pub(crate) fn order_rows(
    draws: &mut Draws,
    (product, index): (&Product<'_>, usize),
    fate: &Fate,
    (visits, end): (&Visits, i64),
) -> Vec<OrderRow> {
    let row = |line: &Line| OrderRow {
        order: line.order,
        is_cancellation: false,
        item: Item::Product(index),
        second: visits.second(line.order),
        units: line.units,
        price: line.price,
        discount: line.discount,
    };
    let taste = (product.category.department, product.is_wholesale());
    let mut rows = Vec::new();
    for sold in &fate.weeks {
        // An order has one line of the product, or duplicates could not be told from orders.
        let mut taken: BTreeSet<usize> = sold.lines.iter().map(|line| line.order).collect();
        for line in &sold.lines {
            rows.push(row(line));
            if draws.chance(DUPLICATES) {
                rows.push(row(line));
            }
            if draws.chance(MISTAKES) {
                let order = visits.pick(draws, sold.week, taste);
                if taken.insert(order) {
                    let pair = mistake(draws, product, &row(&Line { order, ..*line }));
                    rows.extend(pair.into_iter().filter(|_| pair[1].second < end));
                }
            }
            if draws.chance(SAMPLES) {
                let order = visits.pick(draws, sold.week, taste);
                if taken.insert(order) {
                    let sample = Line { order, units: 1, price: 0.0, discount: 1.0 };
                    rows.push(row(&sample));
                }
            }
        }
    }
    rows
}

/// A line that should not have been, and its cancellation minutes to weeks later.
fn mistake(draws: &mut Draws, product: &Product<'_>, like: &OrderRow) -> [OrderRow; 2] {
    let slip = if draws.chance(SLIPS) { draws.whole(100, 900) } else { 1 };
    let units = product.lot.units(draws) * slip;
    let days = match draws.weighted(&[0.7, 0.17, 0.13]) {
        0 => draws.between(0.005, 0.4),
        1 => draws.between(0.5, 6.5),
        _ => draws.between(8.0, 25.0),
    };
    let placed = OrderRow { units, ..*like };
    let second = placed.second + (days * 86_400.0) as i64;
    [placed, OrderRow { is_cancellation: true, second, units: -units, ..placed }]
}

/// Postage and the like, for orders that hold anything.
pub(crate) fn other_rows(market: &Market, visits: &Visits, holds_lines: &[bool]) -> Vec<OrderRow> {
    let mut draws = Draws::of(&market.config, "other", 0);
    let mut rows = Vec::new();
    for (order, _) in holds_lines.iter().enumerate().filter(|(_, holds)| **holds) {
        for (code, share, price) in OTHERS {
            if draws.chance(share) {
                rows.push(OrderRow {
                    order,
                    is_cancellation: false,
                    item: Item::Other(code),
                    second: visits.second(order),
                    units: 1,
                    price: (price * draws.between(50.0, 150.0)).round() / 100.0,
                    discount: 0.0,
                });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::{Config, World};
    use crate::season;

    #[test]
    fn a_perfect_cleaning_gives_back_the_units_sold() {
        let config = Config { world: World::Household, products: 80, weeks: 104, seed: 2 };
        let market = Market::of(&config);
        let visits = Visits::draw(&config, market.mechanisms);
        let end = season::end_second(&config);
        let (mut n_lines, mut n_duplicates, mut n_cancelled, mut n_free) = (0, 0, 0, 0);
        for index in 0..80 {
            let mut draws = Draws::of(&config, "product", index);
            let mut product = Product::draw(&mut draws, &market, index);
            let fate = product.live(&mut draws, &market, &visits);
            let rows = order_rows(&mut draws, (&product, index), &fate, (&visits, end));
            let mut seen = BTreeSet::new();
            let mut units = 0;
            for row in &rows {
                assert!(row.second < end);
                let key = (row.order, row.is_cancellation, row.second, row.units);
                if row.price == 0.0 {
                    n_free += 1;
                } else if seen.insert(key) {
                    units += row.units;
                    n_cancelled += usize::from(row.is_cancellation);
                } else {
                    n_duplicates += 1;
                }
            }
            let lines = || fate.weeks.iter().flat_map(|sold| &sold.lines);
            assert_eq!(units, lines().map(|line| line.units).sum::<i64>(), "product {index}");
            n_lines += lines().count();
        }
        // Somewhat fewer, where the order drawn has a line of the product already.
        let near = |n: usize, share: f64| {
            let expected = share * n_lines as f64;
            ((0.5 * expected - 5.0)..(1.3 * expected + 5.0)).contains(&(n as f64))
        };
        assert!(near(n_duplicates, DUPLICATES), "{n_duplicates} duplicates of {n_lines}");
        assert!(near(n_cancelled, MISTAKES), "{n_cancelled} cancelled of {n_lines}");
        assert!(near(n_free, SAMPLES), "{n_free} free of {n_lines}");
    }
}
