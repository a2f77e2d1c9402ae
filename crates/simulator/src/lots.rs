//! Granularity: in how many units an order line comes, from one to wholesale lots.

use crate::draws::Draws;

/// Sizes of packs and of wholesale lots.
const PACKS: [i64; 4] = [2, 3, 4, 6];
const LOTS: [i64; 6] = [8, 10, 12, 24, 48, 100];

/// How a product is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granularity {
    /// One, seldom two or three.
    Single,
    /// Multiples of a small pack.
    Pack,
    /// Multiples of a wholesale lot, now and then a very large order.
    Wholesale,
}

const ALL: [Granularity; 3] = [Granularity::Single, Granularity::Pack, Granularity::Wholesale];

/// Distribution of the units of one order line: `size` times a geometric count, `bulk` times as many
/// in `bulk_share` of the lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lot {
    pub(crate) granularity: Granularity,
    pub(crate) size: i64,
    one_share: f64,
    bulk_share: f64,
    bulk: i64,
}

impl Lot {
    /// Draws how a product is bought; `weights` are those of the three granularities.
    pub(crate) fn draw(draws: &mut Draws, weights: &[f64; 3]) -> Self {
        let granularity = ALL[draws.weighted(weights)];
        let (size, one_share, bulk_share) = match granularity {
            Granularity::Single => (1, draws.between(0.75, 0.97), 0.0),
            Granularity::Pack => (*draws.pick(&PACKS), draws.between(0.5, 0.8), 0.004),
            Granularity::Wholesale => (*draws.pick(&LOTS), draws.between(0.4, 0.75), 0.012),
        };
        Self { granularity, size, one_share, bulk_share, bulk: draws.whole(4, 10) }
    }

    /// Mean units of a line.
    pub(crate) fn mean(&self) -> f64 {
        let bulk = 1.0 + self.bulk_share * (self.bulk - 1) as f64;
        self.size as f64 / self.one_share * bulk
    }

    /// Units of one line.
    pub(crate) fn units(&self, draws: &mut Draws) -> i64 {
        let lots = draws.geometric(self.one_share).min(30);
        let is_bulk = self.bulk_share > 0.0 && draws.chance(self.bulk_share);
        self.size * lots * if is_bulk { self.bulk } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_mean_is_that_of_the_draws() {
        let mut draws = Draws::of(&Config::default(), "lots", 0);
        for weights in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] {
            let lot = Lot::draw(&mut draws, &weights);
            let n = 60_000;
            let total: i64 = (0..n).map(|_| lot.units(&mut draws)).sum();
            let ratio = total as f64 / f64::from(n) / lot.mean();
            assert!((ratio - 1.0).abs() < 0.04, "{lot:?}: {ratio}");
        }
    }
}
