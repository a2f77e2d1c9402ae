//! Observable turns: does a series' share of its category halve, double, or fall silent?
//!
//! They need no label and no settling period. The rule stands here once; `panel` feeds it with
//! history, `evaluator` with the sample paths of forecasters that know only units.

use serde::{Deserialize, Serialize};

/// Horizons of turns and stages, in weeks; [`crate::Frequency::periods_of_weeks`] gives periods.
pub const OUTLOOK_WEEKS: [u32; 3] = [4, 13, 26];

/// Weeks before the origin (and at most after it) that a share is taken over.
pub const SHARE_WEEKS: u32 = 13;

/// What may become of a series' share of its category's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// At most half of what it was; silence included.
    Halved,
    /// At least twice what it was.
    Doubled,
    /// No unit sold.
    Silent,
}

impl Turn {
    /// All three; a turn's position here is its index in every array.
    pub const ALL: [Self; 3] = [Self::Halved, Self::Doubled, Self::Silent];

    /// Lower-case name, as in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Halved => "halved",
            Self::Doubled => "doubled",
            Self::Silent => "silent",
        }
    }

    /// The position in [`Turn::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Units and periods of a series and its category over one stretch of time.
///
/// Masked periods of the series count in neither sum, so a stock-out moves no share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stretch {
    /// Units of the series in its observed periods.
    pub units: f64,
    /// Units of the category in the same periods.
    pub category_units: f64,
    /// Observed periods.
    pub n_observed: usize,
}

impl Stretch {
    fn share(self) -> f64 {
        if self.category_units > 0.0 { self.units / self.category_units } else { 0.0 }
    }
}

/// Whether each turn of [`Turn::ALL`] came, or `None` where targets.md scores nothing: fewer than 5
/// units (in multiples of one unit) or 6 observed weeks before, fewer than `n_observed_min` observed
/// periods after, or a category that sold nothing.
pub fn turns(before: Stretch, after: Stretch, limits: TurnLimits) -> Option<[bool; 3]> {
    let enough_before = before.units >= limits.units_min && before.n_observed >= limits.before_min;
    let enough_after = after.n_observed >= limits.after_min && after.category_units > 0.0;
    if !enough_before || !enough_after || before.category_units <= 0.0 {
        return None;
    }
    let (before, share_after) = (before.share(), after.share());
    Some([share_after <= before / 2.0, share_after >= 2.0 * before, after.units <= 0.0])
}

/// What a row needs to be scored, in periods of the panel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnLimits {
    /// Least units before the origin.
    pub units_min: f64,
    /// Least observed periods before the origin.
    pub before_min: usize,
    /// Least observed periods after the origin.
    pub after_min: usize,
}

impl TurnLimits {
    /// The limits of the protocol: 5 units, 6 weeks before, min(2, `horizon_weeks`) weeks after.
    pub fn new(frequency: crate::Frequency, horizon_weeks: u32) -> Self {
        let periods =
            |weeks: u32| ((f64::from(weeks) / frequency.weeks_per_period()).ceil() as usize).max(1);
        Self { units_min: 5.0, before_min: periods(6), after_min: periods(horizon_weeks.min(2)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(units: f64, category_units: f64, n_observed: usize) -> Stretch {
        Stretch { units, category_units, n_observed }
    }

    #[test]
    fn a_share_halves_doubles_or_falls_silent() {
        let limits = TurnLimits::new(crate::Frequency::Week, 4);
        let before = stretch(10.0, 100.0, 13);
        let outcome = |units| turns(before, stretch(units, 40.0, 4), limits);
        assert_eq!(outcome(4.0), Some([false, false, false]));
        assert_eq!(outcome(2.0), Some([true, false, false]));
        assert_eq!(outcome(8.0), Some([false, true, false]));
        assert_eq!(outcome(0.0), Some([true, false, true]));
        assert_eq!(turns(stretch(4.0, 100.0, 13), before, limits), None);
        assert_eq!(turns(before, stretch(0.0, 0.0, 4), limits), None);
    }
}
