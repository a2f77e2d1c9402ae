//! What to simulate.

use lifecycle::Invalid;
use serde::{Deserialize, Serialize};

/// Most products of one marketplace: everything is held in memory before it is written.
pub const PRODUCTS_MAX: u32 = 200_000;
/// Fewest weeks that make a panel, and most (20 years).
pub const WEEKS_RANGE: std::ops::RangeInclusive<u32> = 8..=1_040;

/// Which mechanisms drive the marketplace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum World {
    /// A household shop: long lives, mild seasons, modest price response.
    #[default]
    #[serde(rename = "simulator-1")]
    Household,
    /// Fashion and trade supplies: short seasonal lives with strong price response beside lumpy,
    /// intermittent wholesale lots; drifting categories and competitors' shocks.
    #[serde(rename = "simulator-2")]
    FashionAndTrade,
}

impl World {
    /// The name in configurations and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "simulator-1",
            Self::FashionAndTrade => "simulator-2",
        }
    }
}

/// A marketplace to simulate; the same configuration gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which mechanisms.
    pub world: World,
    /// Number of products.
    pub products: u32,
    /// Number of ISO weeks, from Monday 2022-01-03 on.
    pub weeks: u32,
    /// Seed of all randomness.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { world: World::default(), products: 2_000, weeks: 156, seed: 1 }
    }
}

impl Config {
    /// Checks every field's range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Self { world: _, products, weeks, seed: _ } = self;
        if !(1..=PRODUCTS_MAX).contains(products) {
            return Err(Invalid::new("products", format!("must be 1 to {PRODUCTS_MAX}")));
        }
        if !WEEKS_RANGE.contains(weeks) {
            let (least, most) = (WEEKS_RANGE.start(), WEEKS_RANGE.end());
            return Err(Invalid::new("weeks", format!("must be {least} to {most}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_world_and_knows_its_keys() {
        let config: Config = toml::from_str("world = \"simulator-2\"\nproducts = 50").unwrap();
        assert_eq!(config.world, World::FashionAndTrade);
        assert_eq!((config.products, config.weeks, config.seed), (50, 156, 1));
        assert!(toml::from_str::<Config>("product = 50").is_err());
        assert!(toml::from_str::<Config>("world = \"simulator-3\"").is_err());
    }

    #[test]
    fn a_field_out_of_range_is_named() {
        for (config, field) in [
            (Config { products: 0, ..Config::default() }, "products"),
            (Config { products: PRODUCTS_MAX + 1, ..Config::default() }, "products"),
            (Config { weeks: 7, ..Config::default() }, "weeks"),
            (Config { weeks: 1_041, ..Config::default() }, "weeks"),
        ] {
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }
}
