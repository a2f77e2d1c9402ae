//! How much to have: the newsvendor's critical ratio read off a distribution of units.
//!
//! Too little costs the margin of each unit short, too much the loss on each unit left over; stock
//! that covers demand with probability `underage / (underage + overage)` costs least in expectation
//! (Arrow, Harris & Marschak 1951). With a lead time L and a review every R periods, an order placed
//! now has to last L + R periods, so the distribution is that of their *cumulative* units: marginal
//! quantiles do not add up.

use lifecycle::LEVELS;

/// The distribution of units between quantiles at [`LEVELS`]: linear between them, flat below the
/// lowest, and above the highest on along the last slope to twice its excess.
#[derive(Debug, Clone, Copy)]
pub struct Units<'a> {
    quantiles: &'a [f32],
}

impl<'a> Units<'a> {
    /// Wraps quantiles at [`LEVELS`]; shape `[N_LEVELS]`, ascending.
    pub fn new(quantiles: &'a [f32]) -> Self {
        assert_eq!(quantiles.len(), LEVELS.len(), "one quantile a level");
        Self { quantiles }
    }

    /// The quantile at any level between 0 and 1.
    pub fn quantile(self, level: f64) -> f64 {
        let last = LEVELS.len() - 1;
        let at = |index: usize| f64::from(self.quantiles[index]);
        if level <= LEVELS[0] {
            return at(0);
        }
        if level >= LEVELS[last] {
            let beyond = (level.min(1.0) - LEVELS[last]) / (1.0 - LEVELS[last]);
            return at(last) + beyond * (at(last) - at(last - 1));
        }
        let upper = LEVELS.partition_point(|known| *known < level).clamp(1, last);
        let share = (level - LEVELS[upper - 1]) / (LEVELS[upper] - LEVELS[upper - 1]);
        at(upper - 1) + share * (at(upper) - at(upper - 1))
    }

    /// Expected units above `stock`, by the midpoint rule over 400 levels.
    pub fn expected_shortage(self, stock: f64) -> f64 {
        self.expectation(|units| (units - stock).max(0.0))
    }

    /// Expected units of `stock` not sold.
    pub fn expected_leftover(self, stock: f64) -> f64 {
        self.expectation(|units| (stock - units).max(0.0))
    }

    fn expectation(self, of: impl Fn(f64) -> f64) -> f64 {
        const N: usize = 400;
        (0..N).map(|step| of(self.quantile((step as f64 + 0.5) / N as f64))).sum::<f64>() / N as f64
    }
}

/// The probability of no stock-out that costs least; `underage` and `overage` per unit, not
/// negative. 0 where a unit short costs nothing.
pub fn critical_ratio(underage: f64, overage: f64) -> f64 {
    // Their sum can overflow, their ratio only to infinity.
    if underage > 0.0 { 1.0 / (1.0 + overage / underage) } else { 0.0 }
}

/// Units to order: up to `order_up_to`, in whole lots, never negative.
pub fn order_quantity(order_up_to: f64, stock: f64, lot: f64) -> f64 {
    // Adding 0 turns the -0 of a ceiling into 0.
    ((order_up_to - stock) / lot).ceil().max(0.0) * lot + 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Quantiles of the uniform distribution on 0 to 100.
    fn uniform() -> Vec<f32> {
        LEVELS.iter().map(|level| (level * 100.0) as f32).collect()
    }

    #[test]
    fn a_uniform_demand_gives_the_textbook_answer() {
        let quantiles = uniform();
        let units = Units::new(&quantiles);
        assert!((critical_ratio(3.0, 1.0) - 0.75).abs() < 1e-12);
        assert!((units.quantile(0.75) - 75.0).abs() < 1e-4);
        // E[(D - 75)+] = 25² / 200.
        assert!((units.expected_shortage(75.0) - 3.125).abs() < 0.1);
        assert!((units.expected_leftover(75.0) - 28.125).abs() < 0.1);
    }

    #[test]
    fn orders_come_in_whole_lots() {
        assert_eq!(order_quantity(75.0, 20.0, 12.0), 60.0);
        assert_eq!(order_quantity(10.0, 20.0, 12.0), 0.0);
        assert!(order_quantity(10.0, 10.5, 1.0).is_sign_positive());
    }

    #[test]
    fn extreme_costs_have_a_critical_ratio() {
        assert_eq!(critical_ratio(f64::MAX, f64::MAX), 0.5);
        assert_eq!(critical_ratio(1e-300, 1e300), 0.0);
        assert_eq!((critical_ratio(0.0, 1.0), critical_ratio(1.0, 0.0)), (0.0, 1.0));
        assert_eq!(critical_ratio(0.0, 0.0), 0.0);
    }

    proptest! {
        /// The critical ratio's quantile costs no more than any other stock, up to rounding.
        #[test]
        fn no_other_stock_costs_less(underage in 0.1..10.0_f64, overage in 0.1..10.0_f64, other in 0.0..100.0_f64) {
            let quantiles = uniform();
            let units = Units::new(&quantiles);
            let cost = |stock| {
                underage * units.expected_shortage(stock) + overage * units.expected_leftover(stock)
            };
            let best = units.quantile(critical_ratio(underage, overage));
            prop_assert!(cost(best) <= cost(other) + 0.02 * (underage + overage));
        }

        #[test]
        fn quantiles_rise_with_their_level(low in 0.0..1.0_f64, high in 0.0..1.0_f64) {
            let quantiles = uniform();
            let units = Units::new(&quantiles);
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(units.quantile(low) <= units.quantile(high));
        }
    }
}
