//! Mean and spread of the derived numbers over training windows.

use serde::{Deserialize, Serialize};

use crate::STATIC_INPUTS;
use crate::numbers::Named;

/// No standardised number is further from 0.
const NUMBER_MAX: f64 = 5.0;

/// A window lies far from training where more than this share of its numbers is further out than
/// [`NUMBER_MAX`].
const FAR_SHARE: f64 = 0.03;

/// Numbers that are 0 or 1 and stay so: a data set must not hide what it has in common with all.
const FLAGS: &[&str] = &[
    "age_below_13",
    "age_13",
    "age_26",
    "age_52",
    "left_censored",
    "orders_known",
    "year_ago_known",
    "category_year_ago_known",
    "relaunched",
    "price_known",
    "promotion_known",
    "in_stock_known",
    "views_known",
    "carts_known",
    "daily",
    "monthly",
];

/// Mean and standard deviation of each of [`STATIC_INPUTS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standards {
    /// Shape `[STATIC_INPUTS.len()]`, as the next.
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Default for Standards {
    /// Leaves every number as it is.
    fn default() -> Self {
        Self { means: vec![0.0; STATIC_INPUTS.len()], deviations: vec![1.0; STATIC_INPUTS.len()] }
    }
}

impl Standards {
    /// From the numbers of training windows; numbers that never vary are only centred.
    pub(crate) fn fit<'a>(windows: impl Iterator<Item = &'a [Named]>) -> Self {
        let mut sums = vec![(0.0, 0.0, 0.0); STATIC_INPUTS.len()];
        for numbers in windows {
            for (sum, (_, value)) in sums.iter_mut().zip(numbers).filter(|(_, n)| n.1.is_finite()) {
                sum.0 += 1.0;
                sum.1 += value;
                sum.2 += value * value;
            }
        }
        let mut standards = Self::default();
        for (input, (n, total, squares)) in sums.into_iter().enumerate() {
            if n < 1.0 || FLAGS.contains(&STATIC_INPUTS[input]) {
                continue;
            }
            let mean = total / n;
            let deviation = (squares / n - mean * mean).max(0.0).sqrt();
            standards.means[input] = mean;
            standards.deviations[input] = if deviation > 1e-3 { deviation } else { 1.0 };
        }
        standards
    }

    /// Mean and spread over several panels of which each counts alike.
    pub(crate) fn pooled<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let all: Vec<&Self> = all.collect();
        let n = all.len().max(1) as f64;
        let mean_of =
            |value: &dyn Fn(&Self) -> f64| all.iter().map(|one| value(one)).sum::<f64>() / n;
        let mut pooled = Self::default();
        for (input, name) in STATIC_INPUTS.iter().enumerate() {
            if all.is_empty() || FLAGS.contains(name) {
                continue;
            }
            let mean = mean_of(&|one| one.means[input]);
            let squares = mean_of(&|one| one.deviations[input].powi(2) + one.means[input].powi(2));
            let deviation = (squares - mean * mean).max(0.0).sqrt();
            pooled.means[input] = mean;
            pooled.deviations[input] = if deviation > 1e-3 { deviation } else { 1.0 };
        }
        pooled
    }

    /// Standardised and clipped numbers, 0 where unknown, and whether they lie far from training.
    pub(crate) fn apply(&self, numbers: &[Named]) -> (Vec<f32>, bool) {
        let (mut n_known, mut n_far) = (0, 0);
        let standards = self.means.iter().zip(&self.deviations);
        let values = numbers
            .iter()
            .zip(standards)
            .map(|((_, value), (mean, deviation))| {
                if !value.is_finite() {
                    return 0.0;
                }
                let standard = (value - mean) / deviation;
                n_known += 1;
                n_far += usize::from(standard.abs() > NUMBER_MAX);
                standard.clamp(-NUMBER_MAX, NUMBER_MAX) as f32
            })
            .collect();
        (values, n_far as f64 > FAR_SHARE * f64::from(n_known))
    }

    /// Whether the state is of this version's inputs.
    pub(crate) fn is_whole(&self) -> bool {
        let n_inputs = STATIC_INPUTS.len();
        self.means.len() == n_inputs && self.deviations.len() == n_inputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_an_input() {
        assert!(FLAGS.iter().all(|flag| STATIC_INPUTS.contains(flag)));
    }

    #[test]
    fn pooled_standards_are_those_of_all_numbers() {
        let of = |values: [f64; 2]| {
            let windows = values.map(|v| STATIC_INPUTS.iter().map(|name| (*name, v)).collect());
            let windows: [Vec<Named>; 2] = windows;
            Standards::fit(windows.iter().map(Vec::as_slice))
        };
        let pooled = Standards::pooled([of([1.0, 3.0]), of([5.0, 7.0])].iter());
        assert_eq!(pooled.means[0], 4.0);
        assert!((pooled.deviations[0] - 5.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn numbers_are_centred_and_far_ones_clipped_and_told() {
        let windows: Vec<Vec<Named>> = [1.0, 3.0]
            .iter()
            .map(|value| STATIC_INPUTS.iter().map(|name| (*name, *value)).collect())
            .collect();
        let standards = Standards::fit(windows.iter().map(Vec::as_slice));
        let (values, is_far) = standards.apply(&windows[1]);
        assert_eq!((values[0], is_far), (1.0, false));
        let far: Vec<Named> = STATIC_INPUTS.iter().map(|name| (*name, 300.0)).collect();
        let (values, is_far) = standards.apply(&far);
        assert_eq!((values[0], is_far), (5.0, true));
        let unknown: Vec<Named> = STATIC_INPUTS.iter().map(|name| (*name, f64::NAN)).collect();
        let (values, is_far) = standards.apply(&unknown);
        assert!(values.iter().all(|value| *value == 0.0) && !is_far);
    }
}
