//! A shelf with reorders: sells what it has, is refilled after a delivery time by a base-stock rule
//! that knows past sales only, and so runs out where demand peaks.

use crate::draws::{Draws, spread};
use crate::lots::Lot;
use crate::world::Temper;

/// Weight of the newest week in the shop's estimate of weekly sales.
const SMOOTHING: f64 = 0.2;

/// Stock of one product.
#[derive(Debug)]
pub(crate) struct Shelf {
    on_hand: i64,
    /// Week of arrival and units of the orders under way.
    under_way: Vec<(usize, i64)>,
    delivery_weeks: f64,
    safety_weeks: f64,
    /// The shop's estimate of weekly sales.
    weekly_sales: f64,
    /// Units that it orders are multiples of this.
    lot: i64,
    /// Mean units of a customer's order line.
    line_units: f64,
}

impl Shelf {
    /// Draws a shelf for a product expected to sell `weekly_units`; the buyer's guess errs.
    pub(crate) fn draw(draws: &mut Draws, temper: &Temper, weekly_units: f64, lot: &Lot) -> Self {
        let guess = weekly_units * draws.log_normal(spread(1.0, 0.5));
        let delivery_weeks = draws.log_normal(temper.delivery).clamp(1.0, 20.0);
        let safety_weeks = temper.safety * draws.between(0.5, 2.0);
        let line_units = lot.mean();
        let opening = guess * (delivery_weeks + 2.0 * safety_weeks) + 4.0 * line_units;
        let lot = lot.size;
        let on_hand = (opening / lot as f64).ceil() as i64 * lot;
        Self {
            on_hand,
            under_way: Vec::new(),
            delivery_weeks,
            safety_weeks,
            weekly_sales: guess,
            lot,
            line_units,
        }
    }

    /// Puts what arrives by this week on the shelf.
    pub(crate) fn receive(&mut self, week: usize) {
        let arrived = self.under_way.extract_if(.., |(arrival, _)| *arrival <= week);
        self.on_hand += arrived.map(|(_, units)| units).sum::<i64>();
    }

    /// Sells up to `wanted` units.
    pub(crate) fn sell(&mut self, wanted: i64) -> i64 {
        let sold = wanted.min(self.on_hand);
        self.on_hand -= sold;
        sold
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.on_hand <= 0
    }

    /// After the week: learns from its sales and reorders.
    pub(crate) fn review(&mut self, draws: &mut Draws, week: usize, (sold, share): (i64, f64)) {
        if share >= 0.3 {
            self.weekly_sales += SMOOTHING * (sold as f64 / share - self.weekly_sales);
        }
        let position = self.on_hand + self.under_way.iter().map(|(_, units)| units).sum::<i64>();
        let weeks = self.delivery_weeks + 1.0 + self.safety_weeks;
        let wanted = (self.weekly_sales * weeks + 4.0 * self.line_units).ceil() as i64;
        // Orders go out when a quarter of the target is gone: few and larger ones.
        if 4 * position > 3 * wanted {
            return;
        }
        let lots = (wanted - position + self.lot - 1) / self.lot;
        let late = if draws.chance(0.03) { draws.between(3.0, 10.0) } else { 0.0 };
        let delivery = self.delivery_weeks * draws.between(0.8, 1.3) + late;
        self.under_way.push((week + delivery.round().max(1.0) as usize, lots * self.lot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::world::STAPLE;

    #[test]
    fn a_shelf_keeps_its_books_and_follows_a_peak_too_late() {
        let mut draws = Draws::of(&Config::default(), "shelf", 0);
        let lot = Lot::draw(&mut draws, &[1.0, 0.0, 0.0]);
        let mut shelf = Shelf::draw(&mut draws, &STAPLE, 10.0, &lot);
        let mut shares = Vec::new();
        for week in 0..200 {
            shelf.receive(week);
            let wanted = if (80..110).contains(&week) { 80 } else { 10 };
            let sold = shelf.sell(wanted);
            assert!((0..=wanted).contains(&sold) && shelf.on_hand >= 0);
            let share = sold as f64 / wanted as f64;
            shelf.review(&mut draws, week, (sold, share));
            shares.push(share);
        }
        assert!(shares[80..95].iter().any(|share| *share < 1.0), "runs out in the peak");
        assert!(shares[120..].iter().sum::<f64>() > 70.0, "recovers");
    }
}
