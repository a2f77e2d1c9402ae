//! State fitted on the training part, which every window needs: `fitted.json`.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::season::{SeasonInput, Seasons};
use lifecycle::trapezoid::{LAMBDA, Observation, Shapes};
use lifecycle::{Frequency, Invalid, Period, ProductId, Split};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::cutter::RawWindow;
use crate::launch::Launches;
use crate::standards::Standards;
use crate::view::View;
use crate::{Channel, Cutter, History, Panel, PanelMeta, Settings, category_units, life};

/// Series that the prior over lives, and windows that the standards, are fitted on: more change
/// nothing that matters.
const N_LIVES_MAX: usize = 2000;
const N_STANDARD_SERIES_MAX: usize = 1500;
const N_STANDARD_ORIGINS: usize = 6;

/// All that windows take from training data: seasons, the prior over trapezoid lives, launch levels
/// of analogues, price levels, and mean and spread of every derived number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Seasonal indices by category.
    pub seasons: Seasons,
    /// Prior of [`Shapes`]. Shape `[n_shapes]`.
    pub shape_prior: Vec<f64>,
    /// Probability by step of a life (week or month) that it ends at once.
    pub hazard: f64,
    /// Early sales of analogues.
    pub launches: Launches,
    /// Median price by category path.
    pub prices: BTreeMap<String, f64>,
    /// Mean and spread of the derived numbers.
    pub standards: Standards,
    /// All units are whole numbers; forecasts of quantiles are then too.
    pub is_whole: bool,
}

impl Fitted {
    /// Nothing fitted: no season, a flat prior, numbers as they are.
    pub fn unfitted(frequency: Frequency) -> Self {
        Self {
            seasons: Seasons::flat(frequency),
            shape_prior: Shapes::shared(frequency).flat_prior(),
            hazard: hazard(0.0, 0.0, frequency),
            launches: Launches::default(),
            prices: BTreeMap::new(),
            standards: Standards::default(),
            is_whole: false,
        }
    }

    /// Length of the periods that the state is of.
    pub fn frequency(&self) -> Frequency {
        self.seasons.frequency()
    }

    /// The same with the standards of another: a model's inputs are standardised as in its training.
    #[must_use]
    pub fn with_standards_of(&self, other: &Self) -> Self {
        Self { standards: other.standards.clone(), ..self.clone() }
    }

    /// Fits on periods up to the split's cut, as known then, and without the unseen products.
    pub fn fit(
        panel: &Panel,
        split: &Split,
        unseen: &BTreeSet<ProductId>,
        settings: Settings,
    ) -> Self {
        let last = split.last_training_period();
        let known = known_panel(panel, last, unseen);
        let meta = known.meta(settings);
        let categories = category_units(&known);
        let views: Vec<View<'_>> = known
            .histories
            .iter()
            .map(|history| {
                let category = categories.get(&known.share_category(history));
                View::new(&meta, category, history, last)
            })
            .collect();
        let mut fitted = Self::unfitted(panel.frequency);
        fitted.seasons = fit_seasons(panel.frequency, &views);
        fitted.launches = Launches::fit(&meta, &views);
        fitted.prices = median_prices(&known.histories);
        fitted.is_whole = known.histories.iter().all(has_whole_units);
        fitted.fit_lives(&meta, &views);
        let cutter = Cutter::new(&meta, &categories, &fitted);
        let windows = standard_windows(&cutter, &known, last);
        let numbers = windows.iter().map(|raw| raw.numbers.as_slice());
        let standards = Standards::fit(numbers);
        Self { standards, ..fitted }
    }

    /// The same with the pooled standards of several panels, each of which counts alike.
    #[must_use]
    pub fn with_pooled_standards<'a>(&self, panels: impl Iterator<Item = &'a Self>) -> Self {
        let standards = Standards::pooled(panels.map(|fitted| &fitted.standards));
        Self { standards, ..self.clone() }
    }

    /// Checks that the state is of this version's inputs and of this frequency.
    pub fn validate(&self, frequency: Frequency) -> Result<(), Invalid> {
        if !self.standards.is_whole() {
            return Err(Invalid::new("fitted.standards", "is of another version's inputs"));
        }
        if self.shape_prior.len() != Shapes::shared(frequency).n_shapes() {
            return Err(Invalid::new("fitted.shape_prior", "is of another frequency"));
        }
        Ok(())
    }

    fn fit_lives(&mut self, meta: &PanelMeta, views: &[View<'_>]) {
        let shapes = Shapes::shared(meta.frequency);
        let week = shapes.weeks_per_step();
        let (n_steps_min, n_silent_min) = ((13.0 / week).round(), (26.0 / week).round() as usize);
        let (mut lives, mut n_ends, mut n_alive) = (Vec::new(), 0.0, 0.0);
        for view in views {
            let season = self.seasons.season(&view.history.statics.category);
            let calendar = Calendar::new(meta.frequency, season, view.history.start, view.origin);
            let steps = life::steps(view, &calendar, shapes);
            let (running, _) = life::running_life(&steps, shapes);
            let units: f64 = running.iter().map(|step| step.units).sum();
            if units < 15.0 || (running.len() as f64) < n_steps_min {
                continue;
            }
            let last_sale = running.iter().rposition(|step| step.units > 0.0).unwrap_or(0);
            n_alive += (last_sale + 1) as f64;
            n_ends += f64::from(u8::from(running.len() - 1 - last_sale >= n_silent_min));
            lives.push(running);
        }
        self.hazard = hazard(n_ends, n_alive, meta.frequency);
        self.shape_prior = fit_prior(shapes, &lives);
    }
}

/// The panel without the unseen products, as known in the period `last`.
fn known_panel(panel: &Panel, last: Period, unseen: &BTreeSet<ProductId>) -> Panel {
    let seen = panel.histories.iter().filter(|history| !unseen.contains(&history.series.product));
    let n_periods = usize::try_from(last.since(panel.start) + 1).unwrap_or(0);
    Panel {
        n_periods: n_periods.min(panel.n_periods),
        histories: seen.filter_map(|history| history.known_at(last)).collect(),
        ..*panel
    }
}

/// Ends per step at risk; one end in 500 weeks is assumed until there is better evidence.
fn hazard(n_ends: f64, n_steps: f64, frequency: Frequency) -> f64 {
    let week = Shapes::shared(frequency).weeks_per_step();
    ((n_ends + 1.0) / (n_steps + 500.0 / week)).clamp(1e-4, 0.1)
}

fn has_whole_units(history: &History) -> bool {
    let mut known = history.channel(Channel::Units).iter().filter(|units| units.is_finite());
    known.all(|units| units.fract() == 0.0)
}

fn every(n: usize, n_max: usize) -> usize {
    n.div_ceil(n_max).max(1)
}

fn fit_prior(shapes: &Shapes, lives: &[Vec<Observation>]) -> Vec<f64> {
    let likelihoods: Vec<Vec<f32>> = lives
        .iter()
        .step_by(every(lives.len(), N_LIVES_MAX))
        .map(|life| shapes.log_likelihoods(life).into_iter().map(|value| value as f32).collect())
        .collect();
    shapes.fit_prior(&likelihoods, LAMBDA)
}

fn fit_seasons(frequency: Frequency, views: &[View<'_>]) -> Seasons {
    let inputs: Vec<SeasonInput<'_>> = views
        .iter()
        .map(|view| SeasonInput {
            category: &view.history.statics.category,
            start: view.history.start,
            units: &view.units,
        })
        .collect();
    Seasons::fit(frequency, &inputs)
}

fn median_prices(histories: &[History]) -> BTreeMap<String, f64> {
    let mut by_path: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for history in histories {
        let price = crate::view::mean(history.channel(Channel::Price));
        let Some(price) = price.filter(|price| *price > 0.0) else { continue };
        let path = &history.statics.category;
        for depth in 0..=path.len() {
            by_path.entry(crate::path_key(&path[..depth])).or_default().push(price);
        }
    }
    by_path
        .into_iter()
        .map(|(path, mut prices)| {
            prices.sort_unstable_by(f64::total_cmp);
            let median = prices[prices.len() / 2];
            (path, median)
        })
        .collect()
}

/// Windows of some series at origins spread over the training part.
fn standard_windows(cutter: &Cutter<'_>, panel: &Panel, last: Period) -> Vec<RawWindow> {
    let stride = every(panel.histories.len(), N_STANDARD_SERIES_MAX);
    let first = panel.frequency.periods_of_weeks(13).min(panel.n_periods) as i32;
    let step = (panel.n_periods as i32 - first) / N_STANDARD_ORIGINS as i32;
    panel
        .histories
        .iter()
        .step_by(stride)
        .flat_map(|history| {
            let origins: Vec<Period> = (0..N_STANDARD_ORIGINS as i32)
                .rev()
                .map(|n| last.plus(-n * step.max(1)))
                .filter(|origin| *origin >= history.start)
                .collect();
            cutter.raw_windows(history, &origins, None)
        })
        .collect()
}
