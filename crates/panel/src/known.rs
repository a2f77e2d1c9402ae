//! What was known of a history in a period: nothing later is left in it.

use lifecycle::Period;

use crate::{Channel, History};

impl History {
    /// The history as it was known in the period `as_of`; `None` if it had not begun.
    ///
    /// Periods after `as_of` are cut off, changes that became known later are taken out again, and
    /// a later end is forgotten.
    pub fn known_at(&self, as_of: Period) -> Option<Self> {
        let n_periods = usize::try_from(as_of.since(self.start) + 1).ok().filter(|n| *n > 0)?;
        let mut known = Self {
            series: self.series.clone(),
            statics: self.statics.clone(),
            start: self.start,
            channels: self
                .channels
                .each_ref()
                .map(|values| values[..values.len().min(n_periods)].to_vec()),
            corrections: Vec::new(),
            given_stage: self.given_stage[..self.given_stage.len().min(n_periods)].to_vec(),
        };
        known.statics.launch = known.statics.launch.filter(|launch| *launch <= as_of);
        known.statics.end = known.statics.end.filter(|end| *end <= as_of);
        let units = &mut known.channels[Channel::Units as usize];
        for correction in &self.corrections {
            if correction.known <= as_of {
                known.corrections.push(*correction);
                continue;
            }
            let step = usize::try_from(correction.period.since(self.start)).ok();
            if let Some(value) = step.and_then(|step| units.get_mut(step)) {
                *value = (f64::from(*value) - f64::from(correction.change)) as f32;
            }
        }
        // Only the sum of all corrections is a sale; between two of them it may fall below zero.
        for value in units.iter_mut().filter(|value| **value < 0.0) {
            *value = 0.0;
        }
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;

    use super::*;
    use crate::{Correction, Statics};

    #[test]
    fn later_periods_and_changes_are_gone() {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![5.0, 0.0, 7.0, 9.0];
        let period = |n| Period(100 + n);
        let correction =
            |of, known, change| Correction { period: period(of), known: period(known), change };
        let history = History {
            series: Series::of("mug"),
            statics: Statics { end: Some(period(3)), ..Statics::default() },
            start: period(0),
            channels,
            corrections: vec![correction(0, 1, 1.0), correction(1, 3, -40.0)],
            given_stage: Vec::new(),
        };
        let known = history.known_at(period(2)).expect("begun");
        assert_eq!(known.channel(Channel::Units), [5.0, 40.0, 7.0]);
        assert_eq!(known.corrections, [correction(0, 1, 1.0)]);
        assert_eq!(known.statics.end, None);
        assert_eq!(history.known_at(period(-1)), None);
    }
}
