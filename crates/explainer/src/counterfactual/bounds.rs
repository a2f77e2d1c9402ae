//! How far inputs may be changed, and whether counterfactuals are looked for.

use lifecycle::Invalid;
use serde::{Deserialize, Serialize};

use super::change::Axis;

/// Bounds of what is changed; `[explain.counterfactuals]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Whether the batch stage looks for counterfactuals of the series that it explains.
    pub enabled: bool,
    /// Least and greatest price, as multiples of the recent one.
    pub price: [f64; 2],
    /// Least and greatest share under promotion.
    pub promotion: [f64; 2],
    /// Least and greatest mean share in stock; each period stays on its side of the 30 % below which
    /// its units are masked, so less may be allowed.
    pub in_stock: [f64; 2],
    /// By what share of the expected units sales are to rise, and to fall.
    pub sales_change: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            enabled: true,
            price: [0.7, 1.3],
            promotion: [0.0, 1.0],
            in_stock: [0.0, 1.0],
            sales_change: 0.1,
        }
    }
}

impl Bounds {
    /// Least and greatest value of an axis.
    pub(super) fn of(&self, axis: Axis) -> [f64; 2] {
        match axis {
            Axis::PlannedPrice | Axis::RecentPrice => self.price,
            Axis::PlannedPromotion | Axis::RecentPromotion => self.promotion,
            Axis::RecentStock => self.in_stock,
        }
    }

    /// Checks ranges; names the key that is out of range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let within = |key: &str, [low, high]: [f64; 2], [least, most]: [f64; 2]| {
            // Written so that what is no number is refused, too.
            let is_within = least <= low && low < high && high <= most;
            let reason = format!("[{low}, {high}] must ascend within {least} and {most}");
            if is_within { Ok(()) } else { Err(Invalid::new(key, reason)) }
        };
        within("price", self.price, [0.1, 10.0])?;
        if !(self.price[0] <= 1.0 && 1.0 <= self.price[1]) {
            let reason = format!("[{}, {}] must hold 1", self.price[0], self.price[1]);
            return Err(Invalid::new("price", reason));
        }
        within("promotion", self.promotion, [0.0, 1.0])?;
        within("in_stock", self.in_stock, [0.0, 1.0])?;
        if !(0.001..=0.9).contains(&self.sales_change) {
            let reason = format!("{} must be between 0.001 and 0.9", self.sales_change);
            return Err(Invalid::new("sales_change", reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend_within_their_ranges() {
        assert_eq!(Bounds::default().validate(), Ok(()));
        let refused = |bounds: Bounds| bounds.validate().expect_err("out of range").field;
        let defaults = Bounds::default;
        assert_eq!(refused(Bounds { price: [1.1, 1.3], ..defaults() }), "price");
        assert_eq!(refused(Bounds { price: [0.0, 1.3], ..defaults() }), "price");
        assert_eq!(refused(Bounds { promotion: [0.5, 0.5], ..defaults() }), "promotion");
        assert_eq!(refused(Bounds { in_stock: [0.0, f64::NAN], ..defaults() }), "in_stock");
        assert_eq!(refused(Bounds { sales_change: 0.0, ..defaults() }), "sales_change");
    }
}
