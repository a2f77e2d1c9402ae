//! What is done to a life before shapes are fitted: spikes capped, relaunches found.
//!
//! Both use only the steps that are given, so a life that is cut at an origin hides what follows.

use super::{Observation, Shapes};

/// Steps on each side whose median says what is usual.
const REACH: usize = 4;

/// The same life with its spikes capped: seasonally adjusted units may not exceed
/// `med + 3 max(1.4826 MAD, sqrt(max(med, 1)))` of the observed steps at most four away.
///
/// Units must be in multiples of one unit. A step's cap changes until the fourth step after it is
/// known.
pub fn capped(life: &[Observation]) -> Vec<Observation> {
    let rates: Vec<f64> = life
        .iter()
        .map(|step| {
            let weight = step.weight();
            if weight > 0.0 { step.units / weight } else { f64::NAN }
        })
        .collect();
    let mut window = Vec::with_capacity(2 * REACH + 1);
    life.iter()
        .enumerate()
        .map(|(age, step)| {
            let cap = cap(&rates, age, &mut window);
            let is_spike = rates[age] > cap;
            Observation { units: if is_spike { cap * step.weight() } else { step.units }, ..*step }
        })
        .collect()
}

fn cap(rates: &[f64], age: usize, window: &mut Vec<f64>) -> f64 {
    let near = &rates[age.saturating_sub(REACH)..(age + REACH + 1).min(rates.len())];
    window.clear();
    window.extend(near.iter().copied().filter(|rate| rate.is_finite()));
    if window.is_empty() {
        return f64::INFINITY;
    }
    let usual = median(window);
    for rate in window.iter_mut() {
        *rate = (*rate - usual).abs();
    }
    let deviation = 1.4826 * median(window);
    usual + 3.0 * deviation.max(usual.max(1.0).sqrt())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

impl Shapes {
    /// The step in which the last life of a history begins: 0 where there is no relaunch.
    ///
    /// After at least 8 weeks in which the level stays below a fifth of what it was before and of
    /// what it is after, a new life begins with the first sale, as soon as it holds 5 units. The
    /// level is a trailing mean over the first of 2, 3, 4, 6, 8, 12 weeks that holds 30 units, so
    /// it looks at no later step.
    pub fn life_start(&self, life: &[Observation]) -> usize {
        let run_min = (8.0 / self.weeks_per_step()).round() as usize;
        let levels = trailing_levels(life, self.weeks_per_step());
        let mut start = 0;
        let mut greatest = 0.0_f64;
        let mut low: Vec<(usize, f64)> = Vec::new();
        for (step, level) in levels.into_iter().enumerate() {
            if level >= 0.2 * greatest {
                greatest = greatest.max(level);
                if low.len() < run_min {
                    low.clear();
                }
            }
            let n_low = low.iter().filter(|(_, before)| *before < 0.2 * level).count();
            if n_low >= run_min {
                let last_low = low.iter().rfind(|(_, before)| *before < 0.2 * level);
                let first = first_sale_after(life, last_low.map_or(step, |(step, _)| *step));
                // Where the level rests on masked steps, the first sale may still lie ahead.
                let sold = life.get(first..=step).unwrap_or_default();
                if sold.iter().map(|step| step.units).sum::<f64>() >= 5.0 {
                    start = first;
                    greatest = level;
                    low.clear();
                }
            }
            if level < 0.2 * greatest {
                low.push((step, level));
            }
        }
        start
    }
}

/// Mean units by step over the shortest trailing window that holds 30 units; NaN where nothing is
/// known.
fn trailing_levels(life: &[Observation], weeks_per_step: f64) -> Vec<f64> {
    let mut widths: Vec<usize> = [2.0, 3.0, 4.0, 6.0, 8.0, 12.0]
        .iter()
        .map(|weeks: &f64| ((weeks / weeks_per_step).round() as usize).max(1))
        .collect();
    widths.dedup();
    (0..life.len())
        .map(|step| {
            let mut level = f64::NAN;
            for width in &widths {
                let window = &life[(step + 1).saturating_sub(*width)..=step];
                let units: f64 = window.iter().map(|step| step.units).sum();
                let weight: f64 = window.iter().map(|step| step.weight()).sum();
                level = if weight > 0.0 { units / weight } else { f64::NAN };
                if units >= 30.0 {
                    break;
                }
            }
            level
        })
        .collect()
}

fn first_sale_after(life: &[Observation], step: usize) -> usize {
    let mut later = life.iter().enumerate().skip(step + 1);
    later.find(|(_, sold)| sold.units > 0.0).map_or(life.len() - 1, |(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frequency;

    fn life(units: impl IntoIterator<Item = f64>) -> Vec<Observation> {
        let step = |units| Observation { units, exposure: 1.0, season: 1.0 };
        units.into_iter().map(step).collect()
    }

    #[test]
    fn one_wholesale_order_is_capped_and_steady_sales_are_not() {
        let steady = life((0..30).map(|week| 20.0 + f64::from(week % 3)));
        assert_eq!(capped(&steady), steady);
        let mut spiked = steady.clone();
        spiked[12].units = 74_215.0;
        let after = capped(&spiked);
        assert!(after[12].units < 50.0 && after[12].units > 20.0);
        assert_eq!(after[..8], spiked[..8]);
    }

    #[test]
    fn a_product_that_comes_back_starts_a_new_life() {
        let shapes = Shapes::shared(Frequency::Week);
        let once = life((0..60).map(|week| if week < 20 { 9.0 } else { 0.0 }));
        assert_eq!(shapes.life_start(&once), 0);
        let again = life((0..60).map(|week| if (20..45).contains(&week) { 0.0 } else { 9.0 }));
        assert_eq!(shapes.life_start(&again), 45);
        assert_eq!(shapes.life_start(&again[..45]), 0);
        let slow = life((0..60).map(|week| f64::from(u8::from(week % 9 == 0))));
        assert_eq!(shapes.life_start(&slow), 0);
    }
}
