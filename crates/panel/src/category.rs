//! Units of whole categories, as known at any time: what shares are shares of.

use std::collections::BTreeMap;

use lifecycle::Period;
use serde::{Deserialize, Serialize};

use crate::{Channel, History, Panel};

/// Units of all series of one category by period, with what became known only later.
///
/// Masked periods of a series are part of the total: what was sold was sold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CategoryUnits {
    start: Period,
    /// As finally known.
    units: Vec<f64>,
    /// Number of series that have begun, by period.
    n_series: Vec<u32>,
    /// `(period, known, change)` summed over series, sorted.
    corrections: Vec<(Period, Period, f64)>,
}

impl CategoryUnits {
    /// Nothing sold yet in `n_periods` periods from `start` on.
    pub fn new(start: Period, n_periods: usize) -> Self {
        Self {
            start,
            units: vec![0.0; n_periods],
            n_series: vec![0; n_periods],
            corrections: Vec::new(),
        }
    }

    /// Adds one series. Call it in the order of series, so that sums are always the same.
    pub fn add(&mut self, history: &History) {
        for (step, units) in history.channel(Channel::Units).iter().enumerate() {
            if let Some(index) = self.index(history.start.plus(step as i32)) {
                self.n_series[index] += 1;
                if units.is_finite() {
                    self.units[index] += f64::from(*units);
                }
            }
        }
        // A period that is unknown in the end has no units to change.
        let is_known = |of: Period| history.value(Channel::Units, of).is_finite();
        for correction in history.corrections.iter().filter(|change| is_known(change.period)) {
            let key = (correction.period, correction.known);
            let change = f64::from(correction.change);
            let at = self.corrections.partition_point(|(period, known, _)| (*period, *known) < key);
            match self.corrections.get_mut(at) {
                Some(found) if (found.0, found.1) == key => found.2 += change,
                _ => self.corrections.insert(at, (key.0, key.1, change)),
            }
        }
    }

    /// Units of a period as known in the period `as_of`; 0 outside the data and after `as_of`.
    pub fn units(&self, period: Period, as_of: Period) -> f64 {
        if period > as_of {
            return 0.0;
        }
        let first = self.corrections.partition_point(|(of, _, _)| *of < period);
        let later = self.corrections[first..]
            .iter()
            .take_while(|(of, _, _)| *of == period)
            .filter(|(_, known, _)| *known > as_of)
            .map(|(_, _, change)| change);
        later.fold(self.units_finally(period), |units, change| units - change).max(0.0)
    }

    /// Units of a period as finally known; 0 outside the data.
    pub fn units_finally(&self, period: Period) -> f64 {
        self.index(period).map_or(0.0, |index| self.units[index])
    }

    /// Number of series that had begun by a period.
    pub fn n_series(&self, period: Period) -> u32 {
        self.index(period).map_or(0, |index| self.n_series[index])
    }

    fn index(&self, period: Period) -> Option<usize> {
        usize::try_from(period.since(self.start)).ok().filter(|index| *index < self.units.len())
    }
}

/// The units of every category that shares are taken in, by [`Panel::share_category`].
pub fn category_units(panel: &Panel) -> BTreeMap<String, CategoryUnits> {
    let mut categories = BTreeMap::new();
    for history in &panel.histories {
        categories
            .entry(panel.share_category(history))
            .or_insert_with(|| CategoryUnits::new(panel.start, panel.n_periods))
            .add(history);
    }
    categories
}
