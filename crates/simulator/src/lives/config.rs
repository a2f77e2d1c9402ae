//! How many lives to simulate, and at which frequency.

use lifecycle::{Frequency, Invalid};
use serde::{Deserialize, Serialize};

use crate::draws::Draws;

/// Most lives of one run: shards are written one by one, but their rows fill a disk.
pub const LIVES_MAX: u32 = 2_000_000;

/// Lives to simulate; the same configuration gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Number of lives.
    pub lives: u32,
    /// Length of a period.
    pub frequency: Frequency,
    /// Seed of all randomness.
    pub seed: u64,
}

impl Config {
    /// Checks every field's range.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Self { lives, frequency: _, seed: _ } = self;
        if !(1..=LIVES_MAX).contains(lives) {
            return Err(Invalid::new("lives", format!("must be 1 to {LIVES_MAX}")));
        }
        Ok(())
    }

    /// The stream of the `index`th thing of a kind.
    pub(crate) fn draws(&self, kind: &str, index: usize) -> Draws {
        Draws::named(&format!("{} {kind} {index}", self.name()))
    }

    /// The name of the data set.
    pub(crate) fn name(&self) -> String {
        format!("lives-{}-{}", self.frequency_name(), self.seed)
    }

    /// The frequency as mappings write it.
    pub(crate) fn frequency_name(&self) -> &'static str {
        match self.frequency {
            Frequency::Day => "day",
            Frequency::Week => "week",
            Frequency::Month => "month",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_lives_has_a_limit() {
        let config = |lives| Config { lives, frequency: Frequency::Week, seed: 1 };
        assert_eq!(config(LIVES_MAX).validate(), Ok(()));
        for lives in [0, LIVES_MAX + 1] {
            assert_eq!(config(lives).validate().expect_err("refused").field, "lives");
        }
    }

    #[test]
    fn streams_differ_by_frequency_seed_kind_and_index() {
        let config = Config { lives: 1, frequency: Frequency::Week, seed: 1 };
        let first = |config: &Config, kind, index| config.draws(kind, index).unit();
        let base = first(&config, "life", 3);
        assert_eq!(base, first(&config, "life", 3));
        assert_ne!(base, first(&config, "life", 4));
        assert_ne!(base, first(&config, "shop", 3));
        assert_ne!(base, first(&Config { seed: 2, ..config.clone() }, "life", 3));
        assert_ne!(base, first(&Config { frequency: Frequency::Month, ..config }, "life", 3));
    }
}
