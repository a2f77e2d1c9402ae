//! The panel as it was known at an origin.
//!
//! What is fitted or labelled for training gets this copy and nothing else, so that looking ahead
//! is not a matter of care.

use lifecycle::Period;
use panel::{Correction, History, Panel};

/// The panel without anything that happened or became known after `origin`; series that had not
/// begun are not in it.
pub(crate) fn panel_at(panel: &Panel, origin: Period) -> Panel {
    let n_periods = usize::try_from(origin.since(panel.start) + 1).unwrap_or(0);
    Panel {
        n_periods: n_periods.min(panel.n_periods),
        histories: panel.histories.iter().filter_map(|history| at(history, origin)).collect(),
        ..*panel
    }
}

/// One series as it was known at an origin.
fn at(history: &History, origin: Period) -> Option<History> {
    let n_periods = usize::try_from(origin.since(history.start) + 1).ok().filter(|n| *n > 0)?;
    let mut history = history.clone();
    for channel in &mut history.channels {
        channel.truncate(n_periods);
    }
    history.given_stage.truncate(n_periods);
    let (kept, later): (Vec<Correction>, Vec<Correction>) =
        history.corrections.iter().partition(|correction| correction.known <= origin);
    let units = &mut history.channels[panel::Channel::Units as usize];
    for correction in later {
        let index = usize::try_from(correction.period.since(history.start)).ok();
        if let Some(units) = index.and_then(|index| units.get_mut(index)) {
            // Exact, and in the end never negative: see `panel::bin`. On the way it may be.
            *units -= correction.change;
        }
    }
    history.corrections = kept;
    history.statics.end = history.statics.end.filter(|end| *end <= origin);
    Some(history)
}

#[cfg(test)]
mod tests {
    use lifecycle::Series;
    use panel::{Channel, Statics};

    use super::*;

    #[test]
    fn later_periods_corrections_and_ends_are_unknown() {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::Units as usize] = vec![4.0, 7.0, 9.0, 0.0];
        let correction = |period, known, change| Correction {
            period: Period(period),
            known: Period(known),
            change,
        };
        let history = History {
            series: Series::of("mug"),
            statics: Statics { end: Some(Period(12)), ..Statics::default() },
            start: Period(10),
            channels,
            corrections: vec![
                correction(10, 11, -2.0),
                correction(11, 12, 15.0),
                correction(11, 13, -20.0),
            ],
            given_stage: vec![1, 2, 3, 3],
        };
        let seen = at(&history, Period(11)).expect("begun");
        assert_eq!(seen.channel(Channel::Units), [4.0, 12.0]);
        assert_eq!(seen.corrections, [correction(10, 11, -2.0)]);
        assert_eq!((seen.statics.end, seen.given_stage.len()), (None, 2));
        assert_eq!(at(&history, Period(13)), Some(history.clone()));
        assert_eq!(at(&history, Period(9)), None);
    }
}
