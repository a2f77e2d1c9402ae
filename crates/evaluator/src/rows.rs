//! What is scored: one row a series and test origin, with all that rules need and all that came.

use lifecycle::accuracy::{NaiveErrors, naive_errors};
use lifecycle::{Forecast, Frequency, Outlook, Part, Period, Split, UnitsForecast};
use panel::{Cutter, FilterOutlook, History, PanelMeta, TurnRow, Window};

use crate::analogues::Analogues;
use crate::bands::age_band;
use crate::base_rate::BaseRate;
use crate::fitting::fit_origins;
use crate::known::{known_units, later_units, periods_since_first_sale};
use crate::rules::{Growth, Rule, Trailing, level, seasonal_naive};
use crate::stages::{StageTarget, StageTargets};

/// What rules have learnt from training products.
#[derive(Debug)]
pub(crate) struct Learnt {
    pub(crate) base_rate: BaseRate,
    pub(crate) analogues: Analogues,
}

/// What rules know of one series at one origin.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    /// Position of the history in the panel.
    pub(crate) series: usize,
    pub(crate) origin: Period,
    pub(crate) age_band: u8,
    /// Units over the last 13 weeks.
    pub(crate) volume: f32,
    /// [`Window::cold_start`].
    pub(crate) cold_start: bool,
    /// Units per period that residuals are relative to.
    pub(crate) scale: f32,
    trailing: Trailing,
    naive: Vec<f32>,
    growth: Growth,
    filter: FilterOutlook,
    far_from_training: bool,
}

impl Basis {
    fn new(meta: &PanelMeta, history: &History, series: usize, window: Window) -> Self {
        let frequency = meta.frequency;
        let known = known_units(history, window.origin, true);
        let n_steps = meta.n_outlook_periods();
        let quarter = frequency.periods_of_weeks(lifecycle::SHARE_WEEKS);
        Self {
            series,
            origin: window.origin,
            age_band: age_band_at(history, window.origin, frequency),
            volume: (level(&known, frequency) * quarter as f64) as f32,
            scale: window.scale,
            trailing: Trailing::new(&known, frequency),
            naive: seasonal_naive(&known, frequency, n_steps),
            growth: Growth::new(&known, frequency, meta.units_per_one),
            filter: window.filter,
            cold_start: window.cold_start,
            far_from_training: window.far_from_training,
        }
    }

    /// What a rule says. Distributions of points and turns by paths are added later.
    pub(crate) fn forecast(
        &self,
        rule: Rule,
        meta: &PanelMeta,
        learnt: &Learnt,
        history: &History,
    ) -> Forecast {
        let n_steps = meta.n_outlook_periods();
        let points = |means| UnitsForecast { means, ..UnitsForecast::default() };
        let units = match rule {
            Rule::BaseRate => None,
            Rule::SeasonalNaive => Some(points(self.naive.clone())),
            Rule::TrailingQuantiles => Some(self.trailing.units(n_steps)),
            Rule::AllZeros => Some(UnitsForecast {
                cumulative_quantiles: vec![0.0; n_steps * lifecycle::N_LEVELS],
                ..Trailing::default().units(n_steps)
            }),
            Rule::TrailingGrowth => Some(points(self.growth.units(meta.frequency, n_steps))),
            Rule::TrapezoidFilter => {
                Some(points(self.filter.expected.iter().map(|units| units * self.scale).collect()))
            }
            Rule::NearestAttributes | Rule::CategoryShape if !self.cold_start => {
                Some(self.trailing.units(n_steps))
            }
            Rule::NearestAttributes => learnt.analogues.nearest(history, self.origin, n_steps),
            Rule::CategoryShape => learnt.analogues.of_category(history, self.origin, n_steps),
        };
        let (stage_now, outlooks) = match rule {
            Rule::BaseRate => {
                let rates = &learnt.base_rate;
                (rates.stage_now(self.age_band), rates.outlooks(self.age_band))
            }
            Rule::TrapezoidFilter => (
                Some(self.filter.stage_now),
                self.filter.stages.map(|stage| Outlook { turns: None, stage: Some(stage) }),
            ),
            // Nothing is sold: every share falls to nothing.
            Rule::AllZeros => (None, [Outlook { turns: Some([1.0, 0.0, 1.0]), stage: None }; 3]),
            _ => (None, [Outlook::default(); 3]),
        };
        Forecast {
            series: history.series.clone(),
            origin: self.origin,
            units,
            stage_now,
            outlooks,
            cold_start: self.cold_start,
            far_from_training: self.far_from_training,
        }
    }
}

/// The age band of a series at an origin; the youngest before its first sale.
pub(crate) fn age_band_at(history: &History, origin: Period, frequency: Frequency) -> u8 {
    let age = periods_since_first_sale(history, origin).unwrap_or(0);
    age_band(age as f64 * frequency.weeks_per_period())
}

/// A validation row, from which distributions of points and dependence over time are fitted.
#[derive(Debug, Clone)]
pub(crate) struct FitRow {
    pub(crate) basis: Basis,
    /// Units by step; NaN where missing, or where the step is no validation row.
    pub(crate) units: Vec<f32>,
}

impl FitRow {
    /// Whether any step can be fitted on.
    pub(crate) fn is_observed(&self) -> bool {
        self.units.iter().any(|units| units.is_finite())
    }
}

/// A test row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) basis: Basis,
    /// Position of the product among all.
    pub(crate) product: usize,
    /// Position of its share category among all.
    pub(crate) category: usize,
    /// Position of the origin among the test origins.
    pub(crate) origin_index: usize,
    pub(crate) is_unseen: bool,
    /// Units by step up to the horizon, NaN where not observed; empty where the horizon ends after
    /// the data.
    pub(crate) units: Vec<f32>,
    /// Scale of MASE and RMSSE.
    pub(crate) errors_mase: Option<NaiveErrors>,
    pub(crate) errors_rmsse: Option<NaiveErrors>,
    pub(crate) turns: [Option<[bool; 3]>; 3],
    pub(crate) turn_rows: [Option<TurnRow>; 3],
    /// Now, and at the three horizons.
    pub(crate) stages: [Option<StageTarget>; 4],
}

/// Where rows come from.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) meta: &'a PanelMeta,
    pub(crate) split: &'a Split,
    pub(crate) cutter: &'a Cutter<'a>,
    pub(crate) stages: &'a StageTargets,
}

/// What a history is among the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) series: usize,
    pub(crate) product: usize,
    pub(crate) category: usize,
    pub(crate) is_unseen: bool,
}

impl Source<'_> {
    /// Origins from which rows of a part can be scored at some horizon, ascending.
    pub(crate) fn test_origins(&self) -> Vec<Period> {
        self.split.test_origins(0)
    }

    /// Origins of the validation rows that rules are fitted on, ascending.
    pub(crate) fn validation_origins(&self) -> Vec<Period> {
        fit_origins(self.meta, self.split)
    }

    /// Whether an origin lies before all test origins.
    pub(crate) fn is_before_cut(&self, origin: Period) -> bool {
        self.split.n_before(origin) < self.split.cut
    }

    fn is_validation(&self, origin: Period, step: usize) -> bool {
        self.split.part(origin, step) == Some(Part::Validation)
    }

    /// Validation rows of one series.
    pub(crate) fn fit_rows(
        &self,
        history: &History,
        series: usize,
        origins: &[Period],
    ) -> Vec<FitRow> {
        let n_steps = self.meta.n_outlook_periods();
        let row = |window: Window| {
            let mut units = later_units(history, window.origin, n_steps);
            for (step, units) in units.iter_mut().enumerate() {
                if !self.is_validation(window.origin, step + 1) {
                    *units = f32::NAN;
                }
            }
            FitRow { basis: Basis::new(self.meta, history, series, window), units }
        };
        self.cutter.windows(history, &begun(history, origins)).into_iter().map(row).collect()
    }

    /// Test rows of one series.
    pub(crate) fn rows(&self, history: &History, place: Place, origins: &[Period]) -> Vec<Row> {
        let windows = self.cutter.windows(history, &begun(history, origins));
        windows.into_iter().map(|window| self.row(history, place, origins, window)).collect()
    }

    fn row(&self, history: &History, place: Place, origins: &[Period], window: Window) -> Row {
        let (origin, frequency) = (window.origin, self.meta.frequency);
        let horizon = self.meta.settings.horizon;
        let is_test = |periods| self.split.part(origin, periods) == Some(Part::Test);
        let targets = self.cutter.targets(history, origin);
        let known = known_units(history, origin, true);
        let sold = known.iter().position(|units| *units > 0.0).unwrap_or(known.len());
        let outlooks = self.meta.outlooks();
        let [first, second, third] = targets.turn_rows;
        let mut turn_rows = [first, second, third];
        let mut turns = targets.turns;
        for (outlook, periods) in outlooks.into_iter().enumerate() {
            if !is_test(periods) || turn_rows[outlook].is_none() {
                (turns[outlook], turn_rows[outlook]) = (None, None);
            }
        }
        let product = &history.series.product;
        let stage = |ahead: usize| {
            let periods = if ahead == 0 { 0 } else { outlooks[ahead - 1] };
            let period = origin.plus(periods as i32);
            is_test(periods).then(|| self.stages.at(product, frequency, period, ahead == 0))?
        };
        Row {
            product: place.product,
            category: place.category,
            origin_index: origins.partition_point(|other| *other < origin),
            is_unseen: place.is_unseen,
            units: if is_test(horizon) { targets.units } else { Vec::new() },
            errors_mase: seasonal_errors(&known, frequency),
            errors_rmsse: naive_errors(&known[sold..], 1),
            turns,
            turn_rows,
            stages: std::array::from_fn(stage),
            basis: Basis::new(self.meta, history, place.series, window),
        }
    }

    /// Counts the training rows of a series.
    pub(crate) fn count_base_rate(
        &self,
        history: &History,
        labels: &StageTargets,
        rates: &mut BaseRate,
    ) {
        let (step, cut) = (self.split.step, self.split.cut);
        let outlooks = self.meta.outlooks();
        for n_before in (1..cut).rev().step_by(step) {
            let origin = self.split.origin_after(n_before);
            let is_training = |periods| self.split.part(origin, periods) == Some(Part::Train);
            if origin < history.start || !is_training(0) {
                continue;
            }
            let band = age_band_at(history, origin, self.meta.frequency);
            let targets = self.cutter.targets(history, origin);
            for (outlook, periods) in outlooks.into_iter().enumerate() {
                if let Some(came) = targets.turns[outlook].filter(|_| is_training(periods)) {
                    rates.add_turns(outlook, band, came);
                }
            }
            for ahead in 0..4 {
                let periods = if ahead == 0 { 0 } else { outlooks[ahead - 1] };
                let period = origin.plus(periods as i32);
                let label = labels.label(&history.series.product, period, ahead == 0);
                if let Some(label) = label.filter(|_| is_training(periods)) {
                    rates.add_stage(ahead, band, label.label, 1.0);
                }
            }
        }
    }
}

/// The origins at which a series had begun.
fn begun(history: &History, origins: &[Period]) -> Vec<Period> {
    origins.iter().copied().filter(|origin| *origin >= history.start).collect()
}

/// The in-sample errors that MASE is scaled by: lag 12 of months and 7 of days, as in the published
/// tables of those frequencies, and 1 of weeks or where the history is shorter.
fn seasonal_errors(known: &[f32], frequency: Frequency) -> Option<NaiveErrors> {
    let lag = match frequency {
        Frequency::Day => 7,
        Frequency::Week => 1,
        Frequency::Month => 12,
    };
    naive_errors(known, lag).or_else(|| naive_errors(known, 1))
}
