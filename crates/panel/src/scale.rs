//! The level that a window is divided by.

use crate::launch::{Launches, units_floor};
use crate::view::View;
use crate::{History, PanelMeta};

/// With fewer observed periods, the level and the continuation lean on analogues.
pub(crate) const N_OBSERVED_MIN: u32 = 5;

/// Most observed weeks of a cold start.
const COLD_WEEKS: u32 = 4;

/// Weeks after which an observation weighs half.
const HALF_LIFE_WEEKS: u32 = 13;

/// Weeks that count at all.
const RECENT_WEEKS: u32 = 52;

/// Mean units by period over the recent observed past, in multiples of one unit.
///
/// With fewer than 5 observed periods, what analogues sell early in their lives counts as up to four
/// weeks beside what is observed. Never below one unit in 13 weeks.
pub(crate) fn scale(meta: &PanelMeta, view: &View<'_>, launch_level: f64) -> f64 {
    let n_recent = view.weeks(RECENT_WEEKS).min(view.n_periods());
    let fade = 0.5_f64.powf(1.0 / view.weeks(HALF_LIFE_WEEKS) as f64);
    let (mut weight, mut total, mut weights) = (1.0, 0.0, 0.0);
    for units in view.units[view.n_periods() - n_recent..].iter().rev() {
        if units.is_finite() {
            total += weight * units;
            weights += weight;
        }
        weight *= fade;
    }
    let missing = N_OBSERVED_MIN.saturating_sub(view.n_observed());
    let prior =
        f64::from(missing) / f64::from(N_OBSERVED_MIN) * meta.frequency.periods_of_weeks(4) as f64;
    let mean = if weights + prior > 0.0 {
        (total + prior * launch_level) / (weights + prior)
    } else {
        launch_level
    };
    mean.max(units_floor(meta))
}

/// Whether hardly anything is known: at most 4 observed weeks, or 4 periods where these are longer.
pub(crate) fn is_cold_start(view: &View<'_>) -> bool {
    let n_cold = view.weeks(COLD_WEEKS).max(N_OBSERVED_MIN as usize - 1);
    view.n_observed() as usize <= n_cold
}

/// Periods since launch, the origin's included; 0 before it.
pub(crate) fn age(history: &History, view: &View<'_>) -> u32 {
    let launch = history.statics.launch.unwrap_or(history.start).min(history.start);
    u32::try_from(view.origin.since(launch) + 1).unwrap_or(0)
}

/// Expected units of a product of which hardly anything is known: the curve of analogues at its own
/// level, in multiples of one unit.
pub(crate) fn analogue_units(
    launches: &Launches,
    view: &View<'_>,
    (scale, age): (f64, u32),
    seasons: &[f64],
) -> Vec<f64> {
    // The scale stands for what was observed so far, on average.
    let n_known = view.n_periods().min(age as usize);
    let seen = || age as usize - n_known..age as usize;
    let usual = if n_known == 0 {
        1.0
    } else {
        seen().map(|age| launches.curve_at(age)).sum::<f64>() / n_known as f64
    };
    seasons
        .iter()
        .enumerate()
        .map(|(ahead, season)| scale * season * launches.curve_at(age as usize + ahead) / usual)
        .collect()
}
