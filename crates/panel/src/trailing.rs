//! Empirical quantiles of recent units: what a network answers if it has learnt nothing more.
//!
//! Trailing quantiles are hard to beat where sales are rare, and a network finds them only slowly in
//! a context of single periods. As inputs they are where it starts from.

use lifecycle::{Frequency, LEVELS, N_LEVELS};

use crate::numbers::Named;
use crate::view::View;

/// Months and weeks that count.
const MONTHS: usize = 18;
const WEEKS: u32 = 26;

/// Least distance of two levels, in scales, that is told from none, and the largest.
const GAP_MIN: f64 = 0.02;
const GAP_MAX: f64 = 50.0;

const NAMES: [&str; N_LEVELS] = [
    "trailing_median",
    "trailing_gap_05",
    "trailing_gap_10",
    "trailing_gap_20",
    "trailing_gap_30",
    "trailing_gap_40",
    "trailing_gap_50",
    "trailing_gap_60",
    "trailing_gap_70",
    "trailing_gap_80",
    "trailing_gap_90",
    "trailing_gap_95",
    "trailing_gap_99",
];

/// The median over the scale, then the distances between neighbouring [`LEVELS`] as a softplus
/// would make them, from the lowest up; NaN where nothing was observed.
pub(crate) fn numbers(view: &View<'_>, scale: f64) -> [Named; N_LEVELS] {
    let n_periods = match view.frequency {
        Frequency::Month => MONTHS,
        _ => view.weeks(WEEKS),
    };
    let recent = &view.units[view.n_periods().saturating_sub(n_periods)..];
    let mut known: Vec<f64> = recent.iter().copied().filter(|units| units.is_finite()).collect();
    known.sort_unstable_by(f64::total_cmp);
    let quantiles = LEVELS.map(|level| quantile(&known, level) / scale);
    std::array::from_fn(|at| {
        let value = match at {
            0 => quantiles[N_LEVELS / 2],
            _ => (quantiles[at] - quantiles[at - 1]).clamp(GAP_MIN, GAP_MAX).exp_m1().ln(),
        };
        (NAMES[at], value)
    })
}

/// The quantile of sorted values, straight between them; NaN without any.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = level * last as f64;
    let (low, share) = (place.floor(), place.fract());
    let next = sorted[(low as usize + 1).min(last)];
    sorted[low as usize] + share * (next - sorted[low as usize])
}
