//! What a product without history may start with: the early sales of its category's products.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PanelMeta;
use crate::view::View;

/// Lives of this many products weigh as much as all that is known of the parent category.
const PARENT_WEIGHT: f64 = 5.0;

/// Least number of lives for a launch curve.
const N_LIVES_MIN: usize = 10;

/// Early sales of analogues: products of the same category, or of its nearest known ancestor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launches {
    /// Natural logarithm of the usual units by period over the first 13 weeks, in multiples of one
    /// unit, by category path.
    levels: BTreeMap<String, f64>,
    /// Units by period since launch relative to the first 13 weeks; the last holds for all later.
    curve: Vec<f64>,
}

impl Launches {
    /// Fits on series as known at the training cut; those that were running when the data began
    /// count only where there are no others.
    pub(crate) fn fit(meta: &PanelMeta, views: &[View<'_>]) -> Self {
        let n_early = meta.frequency.periods_of_weeks(13);
        let launched = |view: &&View<'_>| !is_left_censored(meta, view);
        let enough = views.iter().filter(launched).count() >= N_LIVES_MIN;
        let lives: Vec<&View<'_>> = views.iter().filter(|view| !enough || launched(view)).collect();
        let mut by_path: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for view in &lives {
            let early = view.window(view.n_periods().saturating_sub(n_early), n_early);
            if (early.n_observed as usize) < meta.frequency.periods_of_weeks(4) {
                continue;
            }
            let mean = early.units / f64::from(early.n_observed);
            let level = mean.max(units_floor(meta)).ln();
            let path = &view.history.statics.category;
            for depth in 0..=path.len() {
                let (total, n_lives) = by_path.entry(crate::path_key(&path[..depth])).or_default();
                *total += level;
                *n_lives += 1.0;
            }
        }
        // Parents come before their children in the order of paths.
        let mut levels = BTreeMap::new();
        for (path, (total, n_lives)) in &by_path {
            let parent = crate::parent_key(path).and_then(|parent| levels.get(parent)).copied();
            let level = match parent {
                Some(parent) => (total + PARENT_WEIGHT * parent) / (n_lives + PARENT_WEIGHT),
                None => total / n_lives,
            };
            levels.insert(path.clone(), level);
        }
        Self { levels, curve: curve(meta, &lives, n_early) }
    }

    /// Usual early units by period of a category, in multiples of one unit.
    pub(crate) fn level(&self, category: &[String]) -> f64 {
        crate::nearest(&self.levels, category).map_or(1.0, f64::exp)
    }

    /// Units by period `age` periods after launch, relative to the first 13 weeks.
    pub(crate) fn curve_at(&self, age: usize) -> f64 {
        self.curve.get(age).or(self.curve.last()).copied().unwrap_or(1.0)
    }
}

/// Whether a series was running already when the data began.
pub(crate) fn is_left_censored(meta: &PanelMeta, view: &View<'_>) -> bool {
    let known_launch = view.history.statics.launch.is_some_and(|launch| launch >= meta.start);
    !known_launch && view.lead < meta.frequency.periods_of_weeks(8) as i32
}

/// One unit in 13 weeks, by period.
pub(crate) fn units_floor(meta: &PanelMeta) -> f64 {
    1.0 / meta.frequency.periods_of_weeks(13) as f64
}

fn curve(meta: &PanelMeta, lives: &[&View<'_>], n_early: usize) -> Vec<f64> {
    let n_periods = meta.frequency.periods_of_weeks(26);
    let mut sums = vec![(0.0, 0.0); n_periods];
    for view in lives.iter().filter(|view| view.n_periods() >= n_periods) {
        let early = view.window(view.n_periods() - n_periods, n_periods);
        if early.units <= 0.0 {
            continue;
        }
        let mean = early.units / f64::from(early.n_observed);
        for (sum, units) in sums.iter_mut().zip(&view.units).filter(|(_, units)| units.is_finite())
        {
            sum.0 += units / mean;
            sum.1 += 1.0;
        }
    }
    if sums.iter().any(|(_, n_lives)| *n_lives < N_LIVES_MIN as f64) {
        return Vec::new();
    }
    let levels: Vec<f64> = sums.iter().map(|(total, n_lives)| total / n_lives).collect();
    let early = levels[..n_early].iter().sum::<f64>() / n_early as f64;
    if early <= 0.0 {
        return Vec::new();
    }
    levels.iter().map(|level| (level / early).clamp(0.05, 20.0)).collect()
}
