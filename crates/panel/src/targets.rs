//! What came after an origin: for training and scoring only.

use lifecycle::{OUTLOOK_WEEKS, Period, SHARE_WEEKS, Stretch, TurnLimits, turns};

use crate::view::View;
use crate::{CategoryUnits, Channel, History, PanelMeta};

/// What came after an origin, as finally known.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Units of each period after the origin, in the data's own units; NaN where not observed.
    /// Shape `[horizon]`.
    pub units: Vec<f32>,
    /// Whether each of [`lifecycle::Turn::ALL`] came, at each of [`OUTLOOK_WEEKS`]; `None` where
    /// the protocol scores nothing.
    pub turns: [Option<[bool; 3]>; 3],
    /// What turns were judged by, for forecasters that know only units; `None` where the data ends
    /// before the horizon does.
    pub turn_rows: [Option<TurnRow>; 3],
}

/// What a turn is judged by. Units are in multiples of one unit (`units_per_one`).
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRow {
    /// The 13 weeks up to the origin, as known at the origin.
    pub before: Stretch,
    /// The weeks that count after it, as they came.
    pub after: Stretch,
    /// The first step that counts; step 0 is the first period after the origin.
    pub first_step: usize,
    /// Whether the series was observed in each step from `first_step` to the horizon of the turn.
    /// Only these steps of a path, and of the category's means, are summed.
    pub observed: Vec<bool>,
}

/// The targets of one series at an origin.
pub(crate) fn targets(
    meta: &PanelMeta,
    category: Option<&CategoryUnits>,
    history: &History,
    origin: Period,
) -> Targets {
    let future = Future { meta, category, history, origin };
    let view = View::new(meta, category, history, origin);
    let before = view.stretch(0, meta.frequency.periods_of_weeks(SHARE_WEEKS));
    let turn_rows = OUTLOOK_WEEKS.map(|weeks| future.turn_row(before, weeks));
    Targets {
        units: (0..meta.settings.horizon)
            .map(|step| future.units(step).map_or(f32::NAN, |units| units as f32))
            .collect(),
        turns: std::array::from_fn(|outlook| {
            let row = turn_rows[outlook].as_ref()?;
            let limits = TurnLimits::new(meta.frequency, OUTLOOK_WEEKS[outlook]);
            turns(row.before, row.after, limits)
        }),
        turn_rows,
    }
}

struct Future<'a> {
    meta: &'a PanelMeta,
    category: Option<&'a CategoryUnits>,
    history: &'a History,
    origin: Period,
}

impl Future<'_> {
    fn period(&self, step: usize) -> Period {
        self.origin.plus(step as i32 + 1)
    }

    /// Units of a step as finally known, in the data's own units; `None` where not observed.
    fn units(&self, step: usize) -> Option<f64> {
        let period = self.period(step);
        let in_data = period <= self.meta.last() && period >= self.history.start;
        let is_over =
            self.meta.all_lives_ended && self.history.statics.end.is_some_and(|end| period > end);
        if in_data && self.history.is_observed(period) {
            Some(f64::from(self.history.value(Channel::Units, period)))
        } else {
            // Where every life is known to its end, nothing is sold after it.
            (period <= self.meta.last() && is_over).then_some(0.0)
        }
    }

    fn turn_row(&self, before: Stretch, weeks: u32) -> Option<TurnRow> {
        let n_steps = self.meta.frequency.periods_of_weeks(weeks);
        if self.period(n_steps - 1) > self.meta.last() {
            return None;
        }
        let n_after = self.meta.frequency.periods_of_weeks(weeks.min(SHARE_WEEKS));
        let first_step = n_steps - n_after;
        let one = self.meta.units_per_one;
        let mut after = Stretch::default();
        let mut observed = Vec::with_capacity(n_after);
        for step in first_step..n_steps {
            let units = self.units(step);
            observed.push(units.is_some());
            if let Some(units) = units {
                let category =
                    self.category.map_or(0.0, |units| units.units_finally(self.period(step)));
                after.units += units / one;
                after.category_units += category / one;
                after.n_observed += 1;
            }
        }
        Some(TurnRow { before, after, first_step, observed })
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Frequency, Series};

    use super::*;
    use crate::{Panel, Settings, Statics, category_units};

    fn history(name: &str, units: Vec<f32>) -> History {
        let mut channels: [Vec<f32>; 8] = Default::default();
        channels[Channel::InStock as usize] = vec![1.0; units.len()];
        channels[Channel::Units as usize] = units;
        History {
            series: Series::of(name),
            statics: Statics::default(),
            start: Period(100),
            channels,
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }

    /// A series that sells `before` until the origin (week 19) and `after` from then on, beside one
    /// that sells 10 a week.
    fn pair(frequency: Frequency, before: f32, after: f32) -> Panel {
        let units = (0..60).map(|step| if step < 20 { before } else { after }).collect();
        Panel {
            frequency,
            start: Period(100),
            n_periods: 60,
            units_per_one: 1.0,
            share_depth: 0,
            all_lives_ended: false,
            histories: vec![history("it", units), history("other", vec![10.0; 60])],
        }
    }

    fn targets_of(panel: &Panel) -> Targets {
        let meta = panel.meta(Settings { context: 20, horizon: 13 });
        let categories = category_units(panel);
        targets(&meta, categories.get(""), &panel.histories[0], Period(119))
    }

    #[test]
    fn a_turn_is_of_the_share() {
        let turns = |before, after| targets_of(&pair(Frequency::Week, before, after)).turns;
        assert_eq!(turns(4.0, 4.0), [Some([false; 3]); 3]);
        assert_eq!(turns(4.0, 0.0), [Some([true, false, true]); 3]);
        // 4/14 against 1/11: a third; 4/14 against 30/40.
        assert_eq!(turns(4.0, 1.0), [Some([true, false, false]); 3]);
        assert_eq!(turns(4.0, 30.0), [Some([false, true, false]); 3]);
        // Thirteen weeks without five units are not scored.
        assert_eq!(turns(0.0, 30.0), [None; 3]);
    }

    #[test]
    fn masked_weeks_count_on_neither_side() {
        let mut panel = pair(Frequency::Week, 4.0, 4.0);
        for step in (14..20).chain(22..24) {
            panel.histories[0].channels[Channel::Units as usize][step] = 0.0;
            panel.histories[0].channels[Channel::InStock as usize][step] = 0.0;
        }
        let targets = targets_of(&panel);
        assert_eq!(targets.turns, [Some([false; 3]); 3]);
        assert!(targets.units[2].is_nan() && targets.units[1] == 4.0);
        let row = targets.turn_rows[0].as_ref().expect("within the data");
        assert_eq!((row.first_step, &row.observed[..]), (0, &[true, true, false, false][..]));
        assert_eq!((row.before.n_observed, row.before.units), (7, 28.0));
        assert_eq!(row.before.category_units, 7.0 * 14.0);
        // A third masked week leaves one of four: too few.
        panel.histories[0].channels[Channel::InStock as usize][21] = 0.0;
        assert_eq!(targets_of(&panel).turns[0], None);
    }

    #[test]
    fn the_last_13_weeks_of_a_longer_horizon_count() {
        let mut panel = pair(Frequency::Week, 4.0, 4.0);
        // Nothing for 13 weeks, then as before.
        panel.histories[0].channels[Channel::Units as usize][20..33].fill(0.0);
        let [four, thirteen, half] = targets_of(&panel).turns;
        assert_eq!((four, thirteen), (Some([true, false, true]), Some([true, false, true])));
        assert_eq!(half, Some([false; 3]));
    }

    #[test]
    fn a_horizon_beyond_the_data_has_no_turn_and_no_units() {
        let mut panel = pair(Frequency::Week, 4.0, 4.0);
        panel.n_periods = 30;
        let targets = targets_of(&panel);
        assert!(targets.turns[0].is_some() && targets.turns[1].is_none());
        assert!(targets.turn_rows[1].is_none());
        assert!(targets.units[9] == 4.0 && targets.units[10].is_nan());
    }

    #[test]
    fn after_an_end_zeros_are_observed_where_all_lives_have_ended() {
        let mut panel = pair(Frequency::Week, 4.0, f32::NAN);
        panel.histories[0].statics.end = Some(Period(119));
        assert_eq!(targets_of(&panel).turns, [None; 3]);
        panel.all_lives_ended = true;
        assert_eq!(targets_of(&panel).turns, [Some([true, false, true]); 3]);
    }

    #[test]
    fn units_that_are_declared_larger_are_scored_alike() {
        let mut panel = pair(Frequency::Week, 0.04, 0.01);
        assert_eq!(targets_of(&panel).turns, [None; 3]);
        panel.units_per_one = 0.01;
        panel.histories[1].channels[Channel::Units as usize] = vec![0.1; 60];
        assert_eq!(targets_of(&panel).turns, [Some([true, false, false]); 3]);
    }

    #[test]
    fn days_and_months_stand_for_as_many_weeks() {
        let monthly = targets_of(&pair(Frequency::Month, 4.0, 1.0));
        assert_eq!(monthly.turns, [Some([true, false, false]); 3]);
        let row = monthly.turn_rows[2].as_ref().expect("within the data");
        assert_eq!((row.first_step, row.observed.len(), row.before.n_observed), (3, 3, 3));
        // Twenty days hold too few observed weeks before.
        let daily = targets_of(&pair(Frequency::Day, 4.0, 1.0));
        assert_eq!(daily.turns, [None; 3]);
        let row = daily.turn_rows[0].as_ref().expect("within the data");
        assert_eq!((row.first_step, row.observed.len(), row.before.n_observed), (0, 28, 20));
    }
}
