//! What change of price, promotion or stock would move a product to another turn, stage or level of
//! sales, within declared bounds, re-evaluated by the model; *none within bounds* is an answer.
//!
//! A counterfactual is a statement about the model, not about causes: it says what the model would
//! answer to other inputs, and nothing of what a shop's customers would do. Retrospective changes
//! leave units as they were sold, so they ask what the model reads into a price, not what that price
//! would have sold. Training rows hold no planned prices or promotions, and what no training row has
//! changes no answer: such an axis is told as *not read*.
//!
//! After Wachter, Mittelstadt & Russell (2017), *Counterfactual explanations without opening the
//! black box*; `counterfactual/search.rs` says how the smallest change is looked for.

mod bounds;
mod change;
mod search;
mod target;
mod words;

use lifecycle::{Period, Series};
use panel::History;
use serde::{Deserialize, Serialize};

pub use self::bounds::Bounds;
use self::change::Ground;
pub use self::change::{Axis, Change, Range};
use self::search::{Found, Search};
pub use self::target::Target;
use crate::error::Error;
use crate::explained::{Altered, Explained};
use crate::players::Cut;

/// Whose counterfactuals are looked for, by which model.
#[derive(Debug, Clone, Copy)]
pub struct WhatIf<'a> {
    /// How far inputs may be changed.
    pub bounds: &'a Bounds,
    /// The model.
    pub explained: &'a dyn Explained,
    /// Whose forecast.
    pub history: &'a History,
    /// From which origin.
    pub cut: Cut,
    /// Periods of the horizon, over which changes are planned.
    pub horizon: usize,
}

/// The counterfactuals of one forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counterfactuals {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// What was changed, within which bounds.
    pub ranges: Vec<Range>,
    /// Names of the numbers in `before` and in each `after`. Length `n_outputs`.
    pub outputs: Vec<String>,
    /// The forecast as it is. Length `n_outputs`.
    pub before: Vec<f64>,
    /// One for each target that the model says anything of.
    pub counterfactuals: Vec<Counterfactual>,
    /// Forecasts that were asked for.
    pub n_evaluations: usize,
}

/// What meets one target, or comes nearest to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// What was to change.
    pub target: Target,
    /// Whether it does within the bounds; else the rest tells the best that was reached.
    pub is_reached: bool,
    /// The smallest change that was found; empty where none comes nearer to the target.
    pub change: Change,
    /// Its size: the sum over its axes, each in widths of its bounds.
    pub distance: f64,
    /// The likeliest class before, such as `maturity`; `units` of sales.
    pub was: String,
    /// The class that leads, or comes nearest to it; `units` of sales.
    pub becomes: String,
    /// Name of the output that `becomes` is about.
    pub output: String,
    /// That output before.
    pub output_before: f64,
    /// That output after.
    pub output_after: f64,
    /// The whole forecast after the change. Length `n_outputs`.
    pub after: Vec<f64>,
    /// A sentence in English.
    pub en: String,
    /// A sentence in Chinese, simplified.
    pub zh: String,
}

impl WhatIf<'_> {
    /// Looks for the smallest change that meets each target.
    pub fn counterfactuals(&self) -> Result<Counterfactuals, Error> {
        let Self { bounds, explained, history, cut, horizon } = *self;
        let ground = Ground::new(bounds, history, (cut, horizon));
        let mut search = Search::new(explained, ground, cut, bounds.sales_change)?;
        let found = search.found()?;
        let told = |found: &Found| self.told(&search, found);
        Ok(Counterfactuals {
            series: history.series.clone(),
            origin: cut.origin,
            ranges: search.ground.ranges.clone(),
            outputs: search.before.reading.outputs(horizon),
            before: search.before.reading.values.clone(),
            counterfactuals: found.iter().map(told).collect(),
            n_evaluations: search.n_evaluations(),
        })
    }

    /// The history and the plan after a change of axes that the history knows.
    pub fn altered(&self, change: &Change) -> Altered {
        Ground::new(self.bounds, self.history, (self.cut, self.horizon)).altered(change)
    }

    fn told(&self, search: &Search<'_>, found: &Found) -> Counterfactual {
        let (before, after) = (&search.before.reading, &found.point.reading);
        let judged = found.target.judged(self.bounds.sales_change, before, after);
        let mut told = Counterfactual {
            target: found.target,
            is_reached: found.is_met,
            change: found.point.change.clone(),
            distance: found.point.distance,
            was: before.classes[judged.was].to_owned(),
            becomes: after.classes[judged.becomes].to_owned(),
            output: before.outputs(self.horizon)[judged.becomes].clone(),
            output_before: before.values[judged.becomes],
            output_after: after.values[judged.becomes],
            after: after.values.clone(),
            en: String::new(),
            zh: String::new(),
        };
        let ranges = &search.ground.ranges;
        told.en = words::english(&self.history.series, ranges, self.bounds.sales_change, &told);
        told.zh = words::chinese(&self.history.series, ranges, self.bounds.sales_change, &told);
        told
    }
}

#[cfg(test)]
mod tests;
