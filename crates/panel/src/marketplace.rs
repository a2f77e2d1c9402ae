//! A small random panel for tests: every channel, holes, stock-outs, corrections, two categories.

use lifecycle::{Frequency, Period, Series};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Channel, Correction, History, Panel, Statics};

/// Number of series.
pub(crate) const N_SERIES: usize = 14;

/// A panel of [`N_SERIES`] series over `n_periods`.
pub(crate) fn panel(frequency: Frequency, n_periods: usize, seed: u64) -> Panel {
    let start = Period(500);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let histories =
        (0..N_SERIES).map(|number| history(number, start, n_periods, &mut rng)).collect();
    Panel {
        frequency,
        start,
        n_periods,
        units_per_one: 1.0,
        share_depth: 1,
        all_lives_ended: false,
        histories,
    }
}

fn history(number: usize, start: Period, n_periods: usize, rng: &mut ChaCha8Rng) -> History {
    let lead = if number < 4 { 0 } else { rng.random_range(0..n_periods / 2) };
    let start = start.plus(lead as i32);
    let n = n_periods - lead;
    let level: f64 = rng.random_range(0.5..40.0);
    let peak: f64 = rng.random_range(0.2..0.9);
    let mut channels: [Vec<f32>; 8] = Default::default();
    for channel in Channel::ALL {
        // Some series know nothing of some channels.
        let is_known = channel == Channel::Units || rng.random_bool(0.8);
        channels[channel as usize] =
            if is_known { values(channel, n, (level, peak), rng) } else { Vec::new() };
    }
    let corrections = (0..n / 9)
        .map(|step| {
            let period = start.plus(step as i32 * 9);
            let known = period.plus(rng.random_range(1..12));
            Correction { period, known, change: -f32::from(rng.random_range(1..30_u8)) }
        })
        .collect();
    let category = [["home", "mugs"], ["toys", "cars"]][number % 2];
    History {
        series: Series::of(format!("p{number:02}")),
        statics: Statics {
            category: category.iter().map(|level| (*level).to_owned()).collect(),
            launch: (number.is_multiple_of(3) && lead > 0).then_some(start),
            end: number.is_multiple_of(5).then(|| start.plus(n as i32 - 3)),
            ..Statics::default()
        },
        start,
        channels,
        corrections,
        given_stage: Vec::new(),
    }
}

fn values(channel: Channel, n: usize, (level, peak): (f64, f64), rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n)
        .map(|step| {
            let now = 1.0 - (step as f64 / n as f64 - peak).abs();
            if rng.random_bool(0.03) {
                return f32::NAN;
            }
            let noise: f64 = rng.random_range(0.0..2.0);
            match channel {
                Channel::Units | Channel::Orders | Channel::Views | Channel::Carts => {
                    (level * now * noise).round() as f32
                }
                Channel::InStock => {
                    if rng.random_bool(0.07) {
                        0.1
                    } else {
                        1.0
                    }
                }
                Channel::Price => (5.0 + 0.3 * noise) as f32,
                Channel::Promotion => {
                    if rng.random_bool(0.1) {
                        1.0
                    } else {
                        0.0
                    }
                }
                Channel::Returns => (0.05 * level * noise).round() as f32,
            }
        })
        .collect()
}
