//! The origins that forecasts are made from.

use std::collections::BTreeSet;

use lifecycle::{Part, Period, Split};

use crate::config::Config;

/// Validation, test, back-test and latest origins as configured, ascending, each once.
///
/// Validation origins stand as far apart as test origins and end one before the cut; those that
/// have no validation target at any step up to `farthest` are left out.
pub fn origins(split: &Split, farthest: usize, config: &Config) -> Vec<Period> {
    let mut origins = BTreeSet::new();
    if config.test {
        origins.extend(split.test_origins(0));
    }
    if config.validation {
        let is_validation = |origin: Period| {
            (0..=farthest).any(|h| split.part(origin, h) == Some(Part::Validation))
        };
        let before = (1..split.cut).step_by(split.step).map(|n| split.origin_after(split.cut - n));
        origins.extend(before.filter(|origin| is_validation(*origin)));
    }
    let step = if config.back_test_step == 0 { split.step } else { config.back_test_step };
    let before = (1..split.n_periods).rev().step_by(step).take(config.back_test);
    origins.extend(before.map(|n| split.origin_after(n)));
    if config.latest {
        origins.insert(split.origin_after(split.n_periods));
    }
    origins.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;

    #[test]
    fn origins_are_those_of_the_protocol() {
        let split = Split::new(Frequency::Week, Period(1), 104, 13).expect("long enough");
        let only =
            |validation, test, latest| Config { validation, test, latest, ..Config::default() };
        assert_eq!(origins(&split, 26, &only(false, true, false)), split.test_origins(0));
        assert_eq!(origins(&split, 26, &only(false, false, true)), [Period(104)]);
        let validation = origins(&split, 26, &only(true, false, false));
        // Of a cut at 72: from 39 (39 + 26 is in the last 8 weeks) to 71, every 3 weeks.
        assert_eq!((validation[0], validation.len()), (Period(41), 11));
        assert_eq!(validation.last(), Some(&Period(71)));
        let back_test = Config { back_test: 3, back_test_step: 4, ..only(false, false, false) };
        assert_eq!(origins(&split, 26, &back_test), [Period(95), Period(99), Period(103)]);
    }
}
