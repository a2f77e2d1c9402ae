//! What holds for all series of a panel: `panel.json`.

use lifecycle::{Frequency, Invalid, OUTLOOK_WEEKS, Period, Series};
use serde::{Deserialize, Serialize};

use crate::{History, Panel};

/// How much a window holds, in periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Periods up to the origin.
    pub context: usize,
    /// Periods after it.
    pub horizon: usize,
}

impl Settings {
    /// Two years of weeks, three of months or 104 days of context, and the frequency's usual horizon.
    pub fn default_for(frequency: Frequency) -> Self {
        let context = match frequency {
            Frequency::Day | Frequency::Week => 104,
            Frequency::Month => 36,
        };
        Self { context, horizon: frequency.default_horizon() }
    }

    /// Checks that neither is zero nor beyond what a window may hold.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, n_periods) in [("context", self.context), ("horizon", self.horizon)] {
            if !(1..=4096).contains(&n_periods) {
                return Err(Invalid::new(field, format!("{n_periods} must be 1 to 4096 periods")));
            }
        }
        Ok(())
    }
}

/// A panel without its histories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PanelMeta {
    /// Length of a period.
    pub frequency: Frequency,
    /// First whole period of the data.
    pub start: Period,
    /// Number of whole periods.
    pub n_periods: usize,
    /// Units that make "one" where they are fractional or normalised, else 1.
    pub units_per_one: f64,
    /// How many levels of the category path make the category of shares; 0: the whole data set.
    pub share_depth: usize,
    /// True where every life in the data has ended: periods after an end count as observed.
    pub all_lives_ended: bool,
    /// Context and horizon.
    pub settings: Settings,
}

impl PanelMeta {
    /// The last period of the data.
    pub fn last(&self) -> Period {
        self.start.plus(self.n_periods as i32 - 1)
    }

    /// The name of the category whose share a series holds: see [`Panel::share_category`].
    pub fn share_category(&self, history: &History) -> String {
        history.share_category(self.share_depth)
    }

    /// Horizons of turns and stages, in periods.
    pub fn outlooks(&self) -> [usize; 3] {
        OUTLOOK_WEEKS.map(|weeks| self.frequency.periods_of_weeks(weeks))
    }

    /// Periods that a [`crate::FilterOutlook`] covers: the horizon, and at least 26 weeks.
    pub fn n_outlook_periods(&self) -> usize {
        self.settings.horizon.max(self.outlooks()[2])
    }
}

impl Panel {
    /// All but the histories.
    pub fn meta(&self, settings: Settings) -> PanelMeta {
        PanelMeta {
            frequency: self.frequency,
            start: self.start,
            n_periods: self.n_periods,
            units_per_one: self.units_per_one,
            share_depth: self.share_depth,
            all_lives_ended: self.all_lives_ended,
            settings,
        }
    }
}

impl PanelMeta {
    /// The panel of these histories, sorted by series.
    pub fn with_histories(&self, mut histories: Vec<History>) -> Panel {
        histories.sort_by(|one, other| one.series.cmp(&other.series));
        Panel {
            frequency: self.frequency,
            start: self.start,
            n_periods: self.n_periods,
            units_per_one: self.units_per_one,
            share_depth: self.share_depth,
            all_lives_ended: self.all_lives_ended,
            histories,
        }
    }

    /// A series of which nothing is known yet: its windows are cold starts.
    pub fn empty_history(&self, series: Series, statics: crate::Statics) -> History {
        History {
            series,
            statics,
            start: self.last().plus(1),
            channels: Default::default(),
            corrections: Vec::new(),
            given_stage: Vec::new(),
        }
    }
}
