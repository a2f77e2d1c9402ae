//! A product's lives: relaunches begin a new one, and the last may have ended.
//!
//! Steps 4 and 5 of the smoother. Unlike the filter's causal rule, this looks at the whole known
//! history: a label is retrospective.

use std::ops::Range;

use lifecycle::trapezoid::Observation;

/// Rules in steps of a life.
#[derive(Debug, Clone, Copy)]
pub(super) struct LifeRules {
    /// Weeks in a step.
    pub(super) weeks_per_step: f64,
}

/// The lives of one product, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lives {
    /// Steps of each life; they follow each other without a gap.
    pub(super) ranges: Vec<Range<usize>>,
    /// First step after the end of the last life, where it has ended.
    pub(super) ended_at: Option<usize>,
}

/// Bandwidths of the smoother in weeks: the first that holds 30 units is taken.
const BANDWIDTH_WEEKS: [f64; 6] = [2.0, 3.0, 4.0, 6.0, 8.0, 12.0];
const BANDWIDTH_UNITS: f64 = 30.0;

/// A gap between two lives is this long at least, and this low against the peaks around it.
const GAP_WEEKS: f64 = 8.0;
const GAP_LEVEL: f64 = 0.20;

/// A life is running if something was sold in these last weeks,
const RUNNING_WEEKS: f64 = 6.0;
/// or if silence since then is no surprise: P(0 | 4.6 expected) = 1 %.
const SILENT_UNITS: f64 = 4.6;
/// Weeks up to the last sale that say what was to be expected after it.
const RATE_WEEKS: f64 = 13.0;

impl LifeRules {
    /// Cuts a product's steps into lives. `delisted` is the step of the de-listing date.
    pub(super) fn lives(self, steps: &[Observation], delisted: Option<usize>) -> Lives {
        let mut begins = vec![0];
        begins.extend(self.relaunches(steps));
        let ended_at = self.end(steps, delisted);
        let last = ended_at.unwrap_or(steps.len());
        begins.retain(|begin| *begin < last.max(1));
        let ends = begins[1..].iter().copied().chain([last]);
        let ranges = begins.iter().zip(ends).map(|(begin, end)| *begin..end).collect();
        Lives { ranges, ended_at }
    }

    fn steps(self, weeks: f64) -> usize {
        (weeks / self.weeks_per_step).ceil() as usize
    }

    /// The steps where a new life begins: the first sale after the lowest step of a gap.
    fn relaunches(self, steps: &[Observation]) -> Vec<usize> {
        let levels = self.smooth_levels(steps);
        let greatest = |levels: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
            levels
                .scan(0.0, |most, level| {
                    *most = level.max(*most);
                    Some(*most)
                })
                .collect()
        };
        let before = greatest(&mut levels.iter().copied());
        let mut after = greatest(&mut levels.iter().rev().copied());
        after.reverse();
        let is_low: Vec<bool> = (0..levels.len())
            .map(|step| levels[step] < GAP_LEVEL * before[step].min(after[step]))
            .collect();
        let mut begins = Vec::new();
        let mut first = 0;
        for run in is_low.chunk_by(|one, next| one == next) {
            let gap = first..first + run.len();
            first = gap.end;
            if run[0] && run.len() >= self.steps(GAP_WEEKS) {
                let lowest = gap.min_by(|one, other| levels[*one].total_cmp(&levels[*other]));
                let after = lowest.unwrap_or(first) + 1;
                begins.extend((after..steps.len()).find(|step| steps[*step].units > 0.0));
            }
        }
        begins.dedup();
        begins
    }

    /// Gaussian smoother of seasonally adjusted units per step; NaN far from any observed step.
    pub(super) fn smooth_levels(self, steps: &[Observation]) -> Vec<f64> {
        let bandwidth = self.bandwidth(steps);
        let reach = (4.0 * bandwidth).ceil() as usize;
        let kernel: Vec<f64> =
            (0..=reach).map(|lag| (-0.5 * (lag as f64 / bandwidth).powi(2)).exp()).collect();
        (0..steps.len())
            .map(|step| {
                let near = step.saturating_sub(reach)..(step + reach + 1).min(steps.len());
                let (mut units, mut weight) = (0.0, 0.0);
                for other in near {
                    let factor = kernel[step.abs_diff(other)];
                    units += factor * steps[other].exposure * rate(steps[other]);
                    weight += factor * steps[other].exposure;
                }
                if weight > 0.0 { units / weight } else { f64::NAN }
            })
            .collect()
    }

    fn bandwidth(self, steps: &[Observation]) -> f64 {
        let sold = |step: &Observation| step.units > 0.0;
        let first = steps.iter().position(sold).unwrap_or(0);
        let last = steps.iter().rposition(sold).map_or(steps.len(), |last| last + 1);
        let mean = mean_rate(&steps[first..last]);
        let bandwidths = BANDWIDTH_WEEKS.map(|weeks| weeks / self.weeks_per_step);
        let widest = bandwidths[bandwidths.len() - 1];
        let holds_enough = |bandwidth: &f64| bandwidth * mean >= BANDWIDTH_UNITS;
        bandwidths.into_iter().find(holds_enough).unwrap_or(widest)
    }

    /// The first step after the life; `None` where it is still running, or may be.
    fn end(self, steps: &[Observation], delisted: Option<usize>) -> Option<usize> {
        let last_sale = steps.iter().rposition(|step| step.units > 0.0)?;
        if let Some(delisted) = delisted {
            // Units sold after the date, such as a clearance, belong to the life.
            return Some((delisted.max(last_sale) + 1).min(steps.len()));
        }
        let gap = &steps[last_sale + 1..];
        if gap.len() < self.steps(RUNNING_WEEKS) {
            return None;
        }
        let recent = last_sale.saturating_sub(self.steps(RATE_WEEKS) - 1)..=last_sale;
        let expected: f64 = gap.iter().map(|step| step.exposure * step.season).sum::<f64>()
            * mean_rate(&steps[recent]);
        (expected >= SILENT_UNITS).then_some(last_sale + 1)
    }
}

/// Seasonally adjusted units a fully observed step would have had.
fn rate(step: Observation) -> f64 {
    let weight = step.exposure * step.season;
    if weight > 0.0 { step.units / weight } else { 0.0 }
}

fn mean_rate(steps: &[Observation]) -> f64 {
    let exposure: f64 = steps.iter().map(|step| step.exposure).sum();
    let units: f64 = steps.iter().map(|step| step.exposure * rate(*step)).sum();
    if exposure > 0.0 { units / exposure } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEKS: LifeRules = LifeRules { weeks_per_step: 1.0 };

    fn steps(units: impl IntoIterator<Item = f64>) -> Vec<Observation> {
        let step = |units| Observation { units, exposure: 1.0, season: 1.0 };
        units.into_iter().map(step).collect()
    }

    fn weeks(runs: &[(usize, f64)]) -> Vec<Observation> {
        steps(runs.iter().flat_map(|(n, units)| std::iter::repeat_n(*units, *n)))
    }

    #[test]
    fn a_long_gap_between_peaks_starts_a_new_life() {
        let lives = WEEKS.lives(&weeks(&[(30, 40.0), (20, 0.0), (30, 40.0)]), None);
        assert_eq!(lives, Lives { ranges: vec![0..50, 50..80], ended_at: None });
        let short = WEEKS.lives(&weeks(&[(30, 40.0), (5, 0.0), (30, 40.0)]), None);
        assert_eq!(short.ranges.len(), 1);
        let shallow = WEEKS.lives(&weeks(&[(30, 40.0), (20, 15.0), (30, 40.0)]), None);
        assert_eq!(shallow.ranges.len(), 1);
    }

    #[test]
    fn silence_ends_a_life_only_where_sales_were_expected() {
        let ended = WEEKS.lives(&weeks(&[(30, 10.0), (6, 0.0)]), None);
        assert_eq!((ended.ranges[0].clone(), ended.ended_at), (0..30, Some(30)));
        let recent = WEEKS.lives(&weeks(&[(30, 10.0), (5, 0.0)]), None);
        assert_eq!(recent.ended_at, None);
        let slow = steps((0..60).map(|week| f64::from(u8::from(week % 5 == 0 && week < 46))));
        assert_eq!(WEEKS.lives(&slow, None).ended_at, None);
        let mut out_of_stock = weeks(&[(30, 10.0), (12, 0.0)]);
        out_of_stock[30..].fill(Observation::MASKED);
        assert_eq!(WEEKS.lives(&out_of_stock, None).ended_at, None);
    }

    #[test]
    fn a_date_ends_a_life_unless_units_are_sold_after_it() {
        let lives = WEEKS.lives(&weeks(&[(30, 10.0), (3, 0.0)]), Some(31));
        assert_eq!(lives.ended_at, Some(32));
        let lives = WEEKS.lives(&weeks(&[(30, 10.0), (3, 0.0)]), Some(20));
        assert_eq!(lives.ended_at, Some(30));
    }

    #[test]
    fn months_use_the_same_weeks() {
        let months = LifeRules { weeks_per_step: 52.0 / 12.0 };
        assert_eq!((months.steps(GAP_WEEKS), months.steps(RUNNING_WEEKS)), (2, 2));
        let ended = months.lives(&weeks(&[(12, 10.0), (2, 0.0)]), None);
        assert_eq!(ended.ended_at, Some(12));
    }
}
