//! Training, validation and test rows: by time and by product, never by random rows.
//!
//! One cut serves all horizons. A row (origin, horizon) is training where its last period lies at
//! least 8 weeks before the cut, validation up to the cut, test from the cut on. Source: the
//! protocol of the project, `docs` of `evaluator`.

use serde::{Deserialize, Serialize};

use crate::{Digest, Frequency, Invalid, Period, ProductId};

/// Which part of the data a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Parameters are fitted on it.
    Train,
    /// Choices are made on it.
    Validation,
    /// Looked at once.
    Test,
}

/// Where the panel is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Length of a period.
    pub frequency: Frequency,
    /// First period of the panel.
    pub start: Period,
    /// Number of periods of the panel.
    pub n_periods: usize,
    /// Horizon of the sales forecasts, in periods.
    pub horizon: usize,
    /// Number of periods before the first test origin, that origin included.
    pub cut: usize,
    /// Periods between test origins.
    pub step: usize,
}

impl Split {
    /// The split of the protocol: cut at min(N - 26 weeks - 2 steps, N - H - 4 steps).
    pub fn new(
        frequency: Frequency,
        start: Period,
        n_periods: usize,
        horizon: usize,
    ) -> Result<Self, Invalid> {
        let step = frequency.origin_step();
        let tail = (frequency.periods_of_weeks(26) + 2 * step).max(horizon + 4 * step);
        let cut = n_periods.saturating_sub(tail);
        let least = frequency.periods_of_weeks(13) + frequency.periods_of_weeks(8) + 1;
        if cut < least {
            return Err(Invalid::new(
                "periods",
                format!(
                    "{n_periods} leave {cut} before the first test origin; at least {least} are needed: give more history or a shorter horizon"
                ),
            ));
        }
        Ok(Self { frequency, start, n_periods, horizon, cut, step })
    }

    /// The origin after `n` periods of the panel (`n` counts the origin).
    pub fn origin_after(&self, n: usize) -> Period {
        self.start.plus(n as i32 - 1)
    }

    /// How many periods of the panel an origin may use, itself included.
    pub fn n_before(&self, origin: Period) -> usize {
        usize::try_from(origin.since(self.start) + 1).unwrap_or(0)
    }

    /// The last period whose data fitted state and labels for training may use.
    pub fn last_training_period(&self) -> Period {
        self.origin_after(self.cut)
    }

    /// The part of the row (origin, horizon in periods); `None` for no part: a test origin between
    /// two steps, or a horizon that ends after the panel.
    pub fn part(&self, origin: Period, horizon: usize) -> Option<Part> {
        let n_before = self.n_before(origin);
        let last = n_before + horizon;
        if n_before >= self.cut {
            let on_step = (n_before - self.cut).is_multiple_of(self.step);
            return (on_step && last <= self.n_periods).then_some(Part::Test);
        }
        if last + self.frequency.periods_of_weeks(8) <= self.cut {
            Some(Part::Train)
        } else if last <= self.cut {
            Some(Part::Validation)
        } else {
            None
        }
    }

    /// The test origins that leave at least one period of `horizon` to score, ascending.
    pub fn test_origins(&self, horizon: usize) -> Vec<Period> {
        (self.cut..=self.n_periods)
            .step_by(self.step)
            .filter(|n_before| n_before + horizon <= self.n_periods)
            .map(|n_before| self.origin_after(n_before))
            .collect()
    }
}

/// The quarter of all products with the smallest SHA-256 of their id: no training or validation
/// row is of them.
pub fn unseen_products<'a>(products: impl IntoIterator<Item = &'a ProductId>) -> Vec<ProductId> {
    let mut by_digest: Vec<(Digest, &ProductId)> =
        products.into_iter().map(|product| (Digest::of(product.as_str()), product)).collect();
    by_digest.sort();
    by_digest.dedup();
    let n_unseen = by_digest.len() / 4;
    let mut unseen: Vec<ProductId> =
        by_digest.into_iter().take(n_unseen).map(|(_, product)| product.clone()).collect();
    unseen.sort();
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_years_of_weeks_are_cut_at_72() {
        let split = Split::new(Frequency::Week, Period(2083), 104, 13).expect("long enough");
        assert_eq!(split.cut, 72);
        let part = |n, h| split.part(split.origin_after(n), h);
        assert_eq!(part(38, 26), Some(Part::Train));
        assert_eq!(part(39, 26), Some(Part::Validation));
        assert_eq!(part(47, 26), None);
        assert_eq!(part(72, 26), Some(Part::Test));
        assert_eq!(part(73, 4), None);
        assert_eq!(part(78, 26), Some(Part::Test));
        assert_eq!(part(81, 26), None);
        assert_eq!(split.test_origins(26).len(), 3);
        assert_eq!(split.test_origins(13).len(), 7);
    }

    #[test]
    fn no_row_is_in_two_parts_and_training_ends_before_the_cut() {
        let split = Split::new(Frequency::Month, Period(336), 51, 12).expect("long enough");
        for n in 1..=51 {
            for h in 0..13 {
                if split.part(split.origin_after(n), h) == Some(Part::Train) {
                    assert!(n + h < split.cut);
                }
            }
        }
    }

    #[test]
    fn a_quarter_of_the_products_is_unseen() {
        let products: Vec<ProductId> = (0..40).map(|n| ProductId::from(n.to_string())).collect();
        assert_eq!(unseen_products(&products).len(), 10);
    }
}
