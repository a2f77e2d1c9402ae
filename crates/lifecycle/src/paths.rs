//! Sample paths of units from the quantiles of each period: a Gaussian copula.
//!
//! Quantiles of single periods do not add up to those of their sum, nor say how likely a silent
//! quarter is; for that one must know how periods depend on each other. A [`Copula`] holds that
//! dependence as ranks: path p takes, in step t, the stratum `ranks[t][p]` of that step's
//! distribution. Normal tables are drawn once per seed and turned into ranks once per copula, so a
//! forecast costs lookups only. Each step uses every stratum once (a Latin hypercube): means and
//! quantiles of single steps carry no sampling error.
//!
//! Source: Gaussian copula of autoregressive scores, as in Salinas et al. (2019), "High-dimensional
//! multivariate forecasting with low-rank Gaussian copula processes", here along time; strata: Stein
//! (1987), "Large sample properties of simulations using Latin hypercube sampling".

use std::f64::consts::TAU;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::{LEVELS, N_LEVELS, Stretch, TurnLimits, turns};

/// Sample paths of one forecast.
pub const N_PATHS: usize = 500;

/// Independent standard normal paths, drawn once per seed.
#[derive(Debug, Clone)]
pub struct Normals {
    n_steps: usize,
    /// Row-major `[n_steps, N_PATHS]`.
    values: Vec<f64>,
}

impl Normals {
    /// Draws `n_steps` steps; the first steps do not depend on how many follow.
    pub fn new(seed: u64, n_steps: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // (0, 1]: the logarithm must be finite. Box & Muller (1958), one of each pair.
        let mut uniform = || (f64::from(rng.next_u32()) + 1.0) / 4_294_967_296.0;
        let normal = |_| (-2.0 * uniform().ln()).sqrt() * (TAU * uniform()).cos();
        Self { n_steps, values: (0..n_steps * N_PATHS).map(normal).collect() }
    }

    /// Scores of an autoregression of order 1 with coefficient `rho`, between -1 and 1.
    pub fn autoregressive(&self, rho: f64) -> Copula {
        let rho = rho.clamp(-1.0, 1.0);
        let fresh = (1.0 - rho * rho).sqrt();
        let mut scores: Vec<f64> = Vec::with_capacity(self.values.len());
        for (at, &normal) in self.values.iter().enumerate() {
            let score = match at.checked_sub(N_PATHS) {
                None => normal,
                Some(before) => rho * scores[before] + fresh * normal,
            };
            scores.push(score);
        }
        Copula::new(self.n_steps, &scores)
    }

    /// Scores with any correlation between steps, given as the lower Cholesky factor of its
    /// matrix, row-major `[n_steps, n_steps]`.
    ///
    /// # Panics
    ///
    /// If the factor has another shape.
    pub fn correlated(&self, cholesky: &[f64]) -> Copula {
        assert_eq!(cholesky.len(), self.n_steps * self.n_steps, "one row and column a step");
        let mut scores = vec![0.0; self.values.len()];
        for (step, row) in cholesky.chunks(self.n_steps.max(1)).enumerate() {
            for (earlier, &weight) in row.iter().enumerate().take(step + 1) {
                for path in 0..N_PATHS {
                    scores[step * N_PATHS + path] += weight * self.values[earlier * N_PATHS + path];
                }
            }
        }
        Copula::new(self.n_steps, &scores)
    }
}

/// The coefficient of [`Normals::autoregressive`] that fits rows of normal scores, one row a
/// forecast, one score a step (NaN: not observed): the correlation of neighbouring steps, between 0
/// and .98. Independence where fewer than 30 pairs are known.
pub fn fit_autoregression<'a>(rows: impl IntoIterator<Item = &'a [f64]>) -> f64 {
    let (mut n, mut sum, mut squares, mut products) = (0.0, [0.0; 2], [0.0; 2], 0.0);
    for row in rows {
        for pair in row.windows(2).filter(|pair| pair[0].is_finite() && pair[1].is_finite()) {
            n += 1.0;
            for side in 0..2 {
                sum[side] += pair[side];
                squares[side] += pair[side] * pair[side];
            }
            products += pair[0] * pair[1];
        }
    }
    let variance = |side: usize| squares[side] - sum[side] * sum[side] / n;
    let scale = (variance(0) * variance(1)).sqrt();
    if n < 30.0 || scale.is_nan() || scale <= 0.0 {
        return 0.0;
    }
    ((products - sum[0] * sum[1] / n) / scale).clamp(0.0, 0.98)
}

/// The standard normal quantile of a probability, clipped to four standard deviations.
pub fn normal_score(probability: f64) -> f64 {
    let clipped = probability.clamp(3e-5, 1.0 - 3e-5);
    -std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * clipped)
}

/// How the periods of one forecast depend on each other.
#[derive(Debug, Clone)]
pub struct Copula {
    n_steps: usize,
    /// Row-major `[n_steps, N_PATHS]`: each step holds every stratum once.
    ranks: Vec<u16>,
    /// Where each stratum lies: how far from the quantile before it to the next one.
    weights: Vec<f32>,
    /// The strata after each level: `[N_LEVELS - 1]`, the ends of their ranges.
    segment_ends: [usize; N_LEVELS - 1],
}

/// The middle of one of [`N_PATHS`] slices of a distribution: the level before it, and how far from
/// that level's quantile to the next one. Linear between levels, constant below the first, an
/// exponential tail above the last.
fn stratum(rank: usize) -> (usize, f32) {
    let level = (rank as f64 + 0.5) / N_PATHS as f64;
    let last = N_LEVELS - 1;
    if level < LEVELS[0] {
        return (0, 0.0);
    }
    if level >= LEVELS[last] {
        let tail = |level: f64| -(1.0 - level).ln();
        let decay = tail(LEVELS[last]) - tail(LEVELS[last - 1]);
        let beyond = (tail(level) - tail(LEVELS[last])) / decay;
        return (last - 1, (1.0 + beyond) as f32);
    }
    let before = LEVELS.partition_point(|lower| *lower <= level) - 1;
    let weight = (level - LEVELS[before]) / (LEVELS[before + 1] - LEVELS[before]);
    (before, weight as f32)
}

impl Copula {
    /// Ranks of scores `[n_steps, N_PATHS]` within each step.
    fn new(n_steps: usize, scores: &[f64]) -> Self {
        let mut ranks = vec![0; scores.len()];
        for (scores, ranks) in scores.chunks(N_PATHS).zip(ranks.chunks_mut(N_PATHS)) {
            let mut order: Vec<usize> = (0..N_PATHS).collect();
            order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            for (rank, path) in order.into_iter().enumerate() {
                ranks[path] = rank as u16;
            }
        }
        let strata: Vec<(usize, f32)> = (0..N_PATHS).map(stratum).collect();
        let end = |segment: usize| strata.partition_point(|(before, _)| *before <= segment);
        Self {
            n_steps,
            ranks,
            segment_ends: std::array::from_fn(end),
            weights: strata.into_iter().map(|(_, weight)| weight).collect(),
        }
    }

    /// Most steps that paths can have.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Paths of a forecast with these quantiles, row-major `[horizon, N_LEVELS]`; steps beyond
    /// [`Self::n_steps`] are left out. With `grain` above 0 units are rounded to its multiples.
    pub fn paths(&self, quantiles: &[f32], grain: f32) -> Paths {
        let n_steps = self.n_steps.min(quantiles.len() / N_LEVELS);
        let mut units = Vec::with_capacity(n_steps * N_PATHS);
        let mut sorted = [0.0_f32; N_PATHS];
        let mut before: &[f32] = &[];
        let steps = quantiles.chunks_exact(N_LEVELS).zip(self.ranks.chunks_exact(N_PATHS));
        for (row, ranks) in steps {
            // Many rules say the same of each step.
            if row != before {
                self.fill(&mut sorted, row, grain);
                before = row;
            }
            units.extend(ranks.iter().map(|rank| sorted[usize::from(*rank)]));
        }
        Paths { n_steps, units }
    }

    /// The value of each stratum of one step.
    fn fill(&self, sorted: &mut [f32; N_PATHS], row: &[f32], grain: f32) {
        let mut start = 0;
        for (segment, &end) in self.segment_ends.iter().enumerate() {
            let (low, rise) = (row[segment], row[segment + 1] - row[segment]);
            for (value, weight) in sorted[start..end].iter_mut().zip(&self.weights[start..end]) {
                *value = low + weight * rise;
            }
            start = end;
        }
        if grain > 0.0 {
            for value in sorted {
                *value = (*value / grain + 0.5).floor() * grain;
            }
        }
    }
}

/// Equally likely futures of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    n_steps: usize,
    /// Row-major `[n_steps, N_PATHS]`.
    units: Vec<f32>,
}

impl Paths {
    /// Number of steps.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// One path's units. Shape `[n_steps]`.
    pub fn path(&self, path: usize) -> Vec<f32> {
        self.units.chunks(N_PATHS).map(|step| step[path]).collect()
    }

    /// Mean units of each step. Shape `[n_steps]`.
    pub fn means(&self) -> Vec<f32> {
        let mean = |step: &[f32]| step.iter().map(|units| f64::from(*units)).sum::<f64>();
        self.units.chunks(N_PATHS).map(|step| (mean(step) / N_PATHS as f64) as f32).collect()
    }

    /// Quantiles of the units of steps 1..h together for h up to `horizon`, row-major
    /// `[horizon, N_LEVELS]`.
    pub fn cumulative_quantiles(&self, horizon: usize) -> Vec<f32> {
        let positions: [usize; N_LEVELS] =
            LEVELS.map(|level| ((level * N_PATHS as f64).ceil() as usize).saturating_sub(1));
        let mut sums = [0.0_f32; N_PATHS];
        let mut rows = Vec::with_capacity(horizon.min(self.n_steps) * N_LEVELS);
        for step in self.units.chunks_exact(N_PATHS).take(horizon) {
            for (sum, units) in sums.iter_mut().zip(step) {
                *sum += units;
            }
            let (mut values, mut scratch, mut found) = (sums, sums, [0.0; N_LEVELS]);
            select((&mut values, &mut scratch), 0, &positions, &mut found);
            rows.extend(found);
        }
        rows
    }

    /// Probability of each of [`crate::Turn::ALL`] that these paths imply: the share of paths in
    /// which the rule says so. `None` where the rule judges none of them.
    pub fn turn_probabilities(&self, turning: &Turning<'_>) -> Option<[f32; 3]> {
        let mut after = [0.0_f32; N_PATHS];
        let (mut n_observed, mut category_units) = (0, 0.0);
        for step in turning.steps.clone().take_while(|step| *step < self.n_steps) {
            if !turning.observed.get(step - turning.steps.start).is_some_and(|seen| *seen) {
                continue;
            }
            n_observed += 1;
            category_units += turning.category_units.get(step).copied().unwrap_or(0.0);
            let units = &self.units[step * N_PATHS..(step + 1) * N_PATHS];
            for (sum, units) in after.iter_mut().zip(units) {
                *sum += units;
            }
        }
        let mut counts = [0.0_f32; 3];
        let mut n_judged = 0.0;
        for units in after {
            let stretch = Stretch { units: f64::from(units), category_units, n_observed };
            if let Some(came) = turns(turning.before, stretch, turning.limits) {
                n_judged += 1.0;
                for (count, came) in counts.iter_mut().zip(came) {
                    *count += f32::from(u8::from(came));
                }
            }
        }
        (n_judged > 0.0).then(|| counts.map(|count| count / n_judged))
    }
}

/// What a path is judged by: everything but the series' own units after the origin.
#[derive(Debug, Clone)]
pub struct Turning<'a> {
    /// The series and its category before the origin.
    pub before: Stretch,
    /// The steps that count as after, 0 being the first period behind the origin.
    pub steps: Range<usize>,
    /// Which of `steps` are observed.
    pub observed: &'a [bool],
    /// Units of the category by step, from step 0, as the same forecaster expects them.
    pub category_units: &'a [f64],
    /// When there is enough to judge by.
    pub limits: TurnLimits,
}

/// Buckets of one pass of [`select`].
const N_BUCKETS: usize = 256;

/// Finds what sorting would put at `positions` (ascending, counted from `offset`): one pass into
/// equal buckets between the least and the largest value, then only within buckets that are asked
/// for. Three times as fast as partitioning around each position. `values` and the scratch space
/// beside it have one length and are left in disorder.
fn select(
    (values, scratch): (&mut [f32], &mut [f32]),
    offset: usize,
    positions: &[usize],
    found: &mut [f32],
) {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &value in values.iter() {
        low = if value < low { value } else { low };
        high = if value > high { value } else { high };
    }
    if values.len() <= 16 || high <= low {
        values.sort_unstable_by(f32::total_cmp);
        for (found, position) in found.iter_mut().zip(positions) {
            *found = values[position - offset];
        }
        return;
    }
    let rise = (N_BUCKETS - 1) as f32 / (high - low);
    let bucket = |value: f32| usize::from(((value - low) * rise) as u8);
    let mut ends = [0_u16; N_BUCKETS + 1];
    for value in values.iter() {
        ends[bucket(*value) + 1] += 1;
    }
    for at in 0..N_BUCKETS {
        ends[at + 1] += ends[at];
    }
    // From here `ends[b]` is where the next value of bucket b goes, so in the end where b ends.
    for value in values.iter() {
        let end = &mut ends[bucket(*value)];
        scratch[usize::from(*end)] = *value;
        *end += 1;
    }
    let (mut at, mut start) = (0, 0);
    for end in ends[..N_BUCKETS].iter().map(|end| usize::from(*end)) {
        let first = at;
        while positions.get(at).is_some_and(|position| position - offset < end) {
            at += 1;
        }
        if first < at {
            let within = (&mut scratch[start..end], &mut values[start..end]);
            select(within, offset + start, &positions[first..at], &mut found[first..at]);
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Frequency;

    const SEED: u64 = 7;

    fn points(values: &[f32]) -> Vec<f32> {
        values.iter().flat_map(|value| [*value; N_LEVELS]).collect()
    }

    /// Uniform between 0 and `high`.
    fn uniform(high: f32, n_steps: usize) -> Vec<f32> {
        let row = LEVELS.map(|level| level as f32 * high);
        row.repeat(n_steps)
    }

    fn spread(paths: &Paths) -> f32 {
        let sums = paths.cumulative_quantiles(paths.n_steps());
        let last = &sums[sums.len() - N_LEVELS..];
        last[N_LEVELS - 3] - last[2]
    }

    #[test]
    fn marginals_survive_any_dependence() {
        for rho in [0.0, 0.5, 0.95] {
            let copula = Normals::new(SEED, 8).autoregressive(rho);
            let paths = copula.paths(&uniform(10.0, 8), 0.0);
            for mean in paths.means() {
                assert!((mean - 5.0).abs() < 0.02, "{mean}");
            }
            let first = paths.cumulative_quantiles(1);
            for (quantile, level) in first.iter().zip(LEVELS).take(12).skip(1) {
                assert!((f64::from(*quantile) - 10.0 * level).abs() < 0.03);
            }
        }
    }

    #[test]
    fn dependence_widens_the_sum() {
        let normals = Normals::new(SEED, 13);
        let spread_at =
            |rho: f64| spread(&normals.autoregressive(rho).paths(&uniform(10.0, 13), 0.0));
        let (none, some, full) = (spread_at(0.0), spread_at(0.6), spread_at(1.0));
        assert!(none < 0.7 * some && some < 0.8 * full, "{none} {some} {full}");
        // All steps at the same rank: the sum is one uniform, 13 times as wide.
        assert!((full - 0.8 * 130.0).abs() < 0.5);
    }

    #[test]
    fn the_fitted_coefficient_is_the_one_the_scores_were_made_with() {
        let n_steps = 40;
        let copula = Normals::new(SEED, n_steps).autoregressive(0.6);
        let score = |rank: u16| normal_score((f64::from(rank) + 0.5) / N_PATHS as f64);
        let rows: Vec<Vec<f64>> = (0..N_PATHS)
            .map(|path| (0..n_steps).map(|t| score(copula.ranks[t * N_PATHS + path])).collect())
            .collect();
        let rho = fit_autoregression(rows.iter().map(Vec::as_slice));
        assert!((rho - 0.6).abs() < 0.03, "{rho}");
        assert_eq!(fit_autoregression([&[0.5, 1.0, f64::NAN][..]]), 0.0);
    }

    #[test]
    fn a_correlation_matrix_of_an_autoregression_gives_the_same_paths() {
        let normals = Normals::new(SEED, 3);
        let (rho, fresh) = (0.5, 0.75_f64.sqrt());
        let factor = [1.0, 0.0, 0.0, rho, fresh, 0.0, rho * rho, rho * fresh, fresh];
        assert_eq!(normals.correlated(&factor).ranks, normals.autoregressive(rho).ranks);
    }

    #[test]
    fn whole_units_stay_whole() {
        let paths = Normals::new(SEED, 4).autoregressive(0.3).paths(&uniform(3.0, 4), 0.5);
        assert!(paths.units.iter().all(|units| (units * 2.0).fract() == 0.0));
        assert!(paths.path(3).iter().all(|units| *units <= 3.5));
    }

    #[test]
    fn a_sure_forecast_turns_as_the_rule_says() {
        let copula = Normals::new(SEED, 13).autoregressive(0.4);
        let limits = TurnLimits::new(Frequency::Week, 4);
        let before = Stretch { units: 26.0, category_units: 260.0, n_observed: 13 };
        for level in [0.0, 0.5, 1.0, 2.0, 4.0_f32] {
            let paths = copula.paths(&points(&[level; 13]), 0.0);
            let observed = [true, false, true, true];
            let category_units = [20.0; 13];
            let steps = 0..4;
            let turning = Turning {
                before,
                steps,
                observed: &observed,
                category_units: &category_units,
                limits,
            };
            let after =
                Stretch { units: 3.0 * f64::from(level), category_units: 60.0, n_observed: 3 };
            let rule =
                turns(before, after, limits).map(|came| came.map(|c| f32::from(u8::from(c))));
            assert_eq!(paths.turn_probabilities(&turning), rule);
        }
    }

    #[test]
    fn paths_that_cannot_be_judged_have_no_probability() {
        let paths = Normals::new(SEED, 4).autoregressive(0.0).paths(&points(&[1.0; 4]), 0.0);
        let turning = Turning {
            before: Stretch { units: 26.0, category_units: 260.0, n_observed: 13 },
            steps: 0..4,
            observed: &[true; 4],
            category_units: &[0.0; 4],
            limits: TurnLimits::new(Frequency::Week, 4),
        };
        assert_eq!(paths.turn_probabilities(&turning), None);
    }

    #[test]
    fn normal_scores_are_quantiles() {
        assert!(normal_score(0.5).abs() < 1e-12);
        assert!((normal_score(0.975) - 1.959_964).abs() < 1e-5);
        assert!(normal_score(0.0).is_finite() && normal_score(1.0).is_finite());
    }

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            values in prop::collection::vec(0.0..9.0_f32, N_PATHS), mut at in prop::collection::btree_set(0..N_PATHS, 1..14), power in 0..40
        ) {
            let positions: Vec<usize> = std::mem::take(&mut at).into_iter().collect();
            let mut sorted: Vec<f32> = values.into_iter().map(|value| value.powi(power)).collect();
            let (mut selected, mut scratch) = (sorted.clone(), sorted.clone());
            let mut found = vec![0.0; positions.len()];
            select((&mut selected, &mut scratch), 0, &positions, &mut found);
            sorted.sort_by(f32::total_cmp);
            for (found, position) in found.into_iter().zip(positions) {
                prop_assert_eq!(found, sorted[position]);
            }
        }

        #[test]
        fn cumulative_quantiles_do_not_cross_and_grow(
            mut row in prop::array::uniform13(0.0..20.0_f32), rho in -0.5..0.99_f64
        ) {
            row.sort_by(f32::total_cmp);
            let paths = Normals::new(SEED, 5).autoregressive(rho).paths(&row.repeat(5), 0.0);
            let sums = paths.cumulative_quantiles(5);
            for (earlier, later) in sums.chunks(N_LEVELS).zip(sums.chunks(N_LEVELS).skip(1)) {
                prop_assert!(earlier.is_sorted() && later.is_sorted());
                prop_assert!(earlier.iter().zip(later).all(|(less, more)| less <= more));
            }
        }
    }
}
