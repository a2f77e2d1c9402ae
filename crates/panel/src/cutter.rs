//! Cuts windows and targets from histories.

mod variants;

use std::collections::BTreeMap;

use lifecycle::Period;
use lifecycle::trapezoid::{Filter, LAMBDA, Shapes};

pub use self::variants::Variants;
use crate::calendar::Calendar;
use crate::life::{self, LifeNow};
use crate::numbers::{Known, Named, numbers};
use crate::scale::{self, N_OBSERVED_MIN};
use crate::view::View;
use crate::{
    CategoryUnits, FilterOutlook, Fitted, History, PanelMeta, Targets, Window, series_inputs,
    targets,
};

/// Prices and promotions that are planned for the periods after an origin, NaN where not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Price of each period after the origin.
    pub prices: Vec<f32>,
    /// Share of each period under promotion.
    pub promotions: Vec<f32>,
}

/// Cuts windows and targets of one panel.
#[derive(Debug, Clone)]
pub struct Cutter<'a> {
    meta: &'a PanelMeta,
    categories: &'a BTreeMap<String, CategoryUnits>,
    fitted: &'a Fitted,
    shapes: &'static Shapes,
    shape_prior: Vec<f64>,
}

/// A window whose numbers are not yet standardised.
#[derive(Debug)]
pub(crate) struct RawWindow {
    window: Window,
    pub(crate) numbers: Vec<Named>,
}

impl<'a> Cutter<'a> {
    /// A cutter for the histories of a panel.
    pub fn new(
        meta: &'a PanelMeta,
        categories: &'a BTreeMap<String, CategoryUnits>,
        fitted: &'a Fitted,
    ) -> Self {
        let shapes = Shapes::shared(meta.frequency);
        // State fitted on another frequency weighs other shapes.
        let shape_prior = if fitted.shape_prior.len() == shapes.n_shapes() {
            fitted.shape_prior.clone()
        } else {
            shapes.flat_prior()
        };
        Self { meta, categories, fitted, shapes, shape_prior }
    }

    /// What holds for all series.
    pub fn meta(&self) -> &'a PanelMeta {
        self.meta
    }

    /// The windows of one series at ascending origins. Each is what a call for it alone gives, to
    /// the bit; all together cost little more than the last.
    ///
    /// A series of which nothing is known by an origin gets the window of a cold start; whether it
    /// is on sale by then (launch known, or history begun) is for the caller to ask.
    pub fn windows(&self, history: &History, origins: &[Period]) -> Vec<Window> {
        let raw = self.raw_windows(history, origins, None);
        raw.into_iter().map(|raw| self.standardised(raw)).collect()
    }

    /// The window of one series at an origin, with prices and promotions planned for what follows.
    pub fn window_with_plan(&self, history: &History, origin: Period, plan: &Plan) -> Window {
        let raw = self.raw_windows(history, &[origin], Some(plan));
        let window = raw.into_iter().map(|raw| self.standardised(raw)).next();
        window.expect("one origin gives one window")
    }

    /// What came after an origin. The only function that looks there.
    pub fn targets(&self, history: &History, origin: Period) -> Targets {
        targets::targets(self.meta, self.category(history), history, origin)
    }

    pub(crate) fn raw_windows(
        &self,
        history: &History,
        origins: &[Period],
        plan: Option<&Plan>,
    ) -> Vec<RawWindow> {
        let (Some(first), Some(last)) = (origins.iter().min(), origins.iter().max()) else {
            return Vec::new();
        };
        let calendar = self.calendar(history, (*first, *last));
        let mut filter = self.filter();
        let cut = |origin: &Period| {
            let view = self.view(history, *origin);
            let life = self.life(&view, &calendar, &mut filter);
            self.cut(&view, &calendar, life, plan)
        };
        origins.iter().map(cut).collect()
    }

    /// The calendar that windows of a history from origins within these touch.
    fn calendar(&self, history: &History, (first, last): (Period, Period)) -> Calendar {
        let quarter = self.meta.frequency.periods_of_weeks(13) as i32;
        let season = self.fitted.seasons.season(&history.statics.category);
        Calendar::new(
            self.meta.frequency,
            season,
            first.plus(-quarter).min(history.start),
            last.plus(self.meta.n_outlook_periods() as i32),
        )
    }

    fn filter(&self) -> Filter<'_> {
        Filter::new(self.shapes, &self.shape_prior, LAMBDA, self.fitted.hazard)
    }

    fn view<'h>(&self, history: &'h History, origin: Period) -> View<'h> {
        View::new(self.meta, self.category(history), history, origin)
    }

    /// What the filter says at the view's origin. It sees the view's units, their calendar, and
    /// nothing else.
    fn life(&self, view: &View<'_>, calendar: &Calendar, filter: &mut Filter<'_>) -> LifeNow {
        life::look(view, calendar, filter, self.meta.outlooks(), self.meta.n_outlook_periods())
    }

    fn cut(
        &self,
        view: &View<'_>,
        calendar: &Calendar,
        mut life: LifeNow,
        plan: Option<&Plan>,
    ) -> RawWindow {
        let (meta, history) = (self.meta, view.history);
        let path = &history.statics.category;
        let launch_level = self.fitted.launches.level(path);
        let scale = scale::scale(meta, view, launch_level);
        let age = scale::age(history, view);
        if view.n_observed() < N_OBSERVED_MIN {
            life.expected = self.analogue_units(view, calendar, (scale, age));
        }
        let known = Known {
            meta,
            view,
            calendar,
            life: &life,
            scale,
            launch_level,
            price_level: crate::nearest(&self.fitted.prices, path),
            n_series: self.category(history).map_or(0, |category| category.n_series(view.origin)),
            age,
        };
        let numbers = numbers(&known);
        let settings = meta.settings;
        let ages = (age, meta.units_per_one);
        let expected = (&life.expected[..], scale);
        let window = Window {
            series: history.series.clone(),
            origin: view.origin,
            scale: (scale * meta.units_per_one) as f32,
            context: series_inputs::context(view, calendar, settings.context, scale, ages),
            statics: Vec::new(),
            horizon: series_inputs::horizon(view, calendar, settings.horizon, expected, plan),
            filter: outlook(&life, scale),
            age,
            n_observed: view.n_observed(),
            cold_start: scale::is_cold_start(view),
            far_from_training: false,
        };
        RawWindow { window, numbers }
    }

    fn analogue_units(&self, view: &View<'_>, calendar: &Calendar, now: (f64, u32)) -> Vec<f64> {
        let seasons: Vec<f64> = (1..=self.meta.n_outlook_periods() as i32)
            .map(|ahead| calendar.at(view.origin.plus(ahead)).season)
            .collect();
        scale::analogue_units(&self.fitted.launches, view, now, &seasons)
    }

    fn standardised(&self, raw: RawWindow) -> Window {
        let (statics, far_from_training) = self.fitted.standards.apply(&raw.numbers);
        Window { statics, far_from_training, ..raw.window }
    }

    fn category(&self, history: &History) -> Option<&'a CategoryUnits> {
        self.categories.get(&self.meta.share_category(history))
    }
}

fn outlook(life: &LifeNow, scale: f64) -> FilterOutlook {
    FilterOutlook {
        stage_now: life.stage_now,
        stages: life.stages,
        expected: life.expected.iter().map(|units| (units / scale) as f32).collect(),
    }
}

#[cfg(test)]
mod tests;
