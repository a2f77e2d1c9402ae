//! Units of a series as they were known at an origin.

use lifecycle::Period;
use panel::{Channel, History};

/// Units of every period from the history's first to the origin: later cancellations have not
/// happened yet. NaN where missing; where stocked out too if `observed_only`.
pub(crate) fn known_units(history: &History, origin: Period, observed_only: bool) -> Vec<f32> {
    let n_periods = usize::try_from(origin.since(history.start) + 1).unwrap_or(0);
    let units = history.channel(Channel::Units);
    let mut known = units[..n_periods.min(units.len())].to_vec();
    for correction in history.corrections.iter().filter(|correction| correction.known > origin) {
        let index = usize::try_from(correction.period.since(history.start)).ok();
        if let Some(units) = index.and_then(|index| known.get_mut(index)) {
            *units = (*units - correction.change).max(0.0);
        }
    }
    if observed_only {
        for (step, units) in known.iter_mut().enumerate() {
            if !history.is_observed(history.start.plus(step as i32)) {
                *units = f32::NAN;
            }
        }
    }
    known
}

/// Units of the `n_steps` periods after an origin as finally known, NaN where not observed.
pub(crate) fn later_units(history: &History, origin: Period, n_steps: usize) -> Vec<f32> {
    let at = |step: i32| {
        let period = origin.plus(step);
        if history.is_observed(period) { history.value(Channel::Units, period) } else { f32::NAN }
    };
    (1..=n_steps as i32).map(at).collect()
}

/// Periods since the first unit was sold, as known at the origin; `None` before.
pub(crate) fn periods_since_first_sale(history: &History, origin: Period) -> Option<usize> {
    let known = known_units(history, origin, false);
    known.iter().position(|units| *units > 0.0).map(|first| known.len() - 1 - first)
}

#[cfg(test)]
pub(crate) mod tests {
    use lifecycle::Series;
    use panel::{Correction, Statics};

    use super::*;

    pub(crate) fn history(product: &str, start: i32, units: &[f32]) -> History {
        let mut channels: [Vec<f32>; Channel::ALL.len()] = Default::default();
        channels[Channel::Units as usize] = units.to_vec();
        History {
            series: Series::of(product),
            statics: Statics::default(),
            start: Period(start),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    #[test]
    fn a_later_cancellation_is_not_known_yet() {
        let mut history = history("mug", 10, &[0.0, 7.0, 9.0, 1.0]);
        let change = Correction { period: Period(10), known: Period(12), change: -4.0 };
        history.corrections = vec![change];
        assert_eq!(known_units(&history, Period(11), true), [4.0, 7.0]);
        assert_eq!(known_units(&history, Period(12), true), [0.0, 7.0, 9.0]);
        assert_eq!(periods_since_first_sale(&history, Period(11)), Some(1));
        assert_eq!(periods_since_first_sale(&history, Period(12)), Some(1));
        assert_eq!(periods_since_first_sale(&history, Period(9)), None);
        assert_eq!(known_units(&history, Period(9), true), [0.0; 0]);
    }

    #[test]
    fn stock_outs_are_not_observed() {
        let mut history = history("mug", 10, &[1.0, 0.0, 3.0]);
        history.channels[Channel::InStock as usize] = vec![1.0, 0.1, f32::NAN];
        let known = known_units(&history, Period(12), true);
        assert!(known[1].is_nan() && known[0] == 1.0 && known[2] == 3.0);
        let later = later_units(&history, Period(10), 3);
        assert!(later[0].is_nan() && later[1] == 3.0 && later[2].is_nan());
    }
}
