//! How the steps of a forecast hang together: a Gaussian copula over them.
//!
//! Marginal quantiles do not add up: lead-time demand needs the joint distribution. A correlation
//! matrix of normal scores, fitted on validation rows and shrunk, couples the steps; 500 seeded
//! paths of uniform numbers are drawn from it once. Each step's numbers are replaced by their ranks,
//! so that every path set has the marginals exactly (Latin hypercube). Source: Sklar's copula with
//! normal scores as in Salinas et al. (2019), "High-dimensional multivariate forecasting".

use lifecycle::{LEVELS, N_LEVELS};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// Number of sample paths; even, for each comes with its mirror image.
pub const N_PATHS: usize = 500;

/// Share of the fitted correlations that is kept; the rest is independence.
const KEPT: f64 = 0.95;

/// The fitted copula and its paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependence {
    horizon: usize,
    correlations: Vec<f32>,
    /// Where between two levels each path stands. Shape `[horizon, N_PATHS]`.
    positions: Vec<Position>,
}

/// A place on a quantile function: this far from one level's quantile to the next's. Below the
/// first and above the last level the fraction leaves 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Position {
    level: u16,
    fraction: f32,
}

impl Dependence {
    /// Independent steps.
    pub fn independent(horizon: usize) -> Self {
        let one_on = |row: usize, column: usize| if row == column { 1.0 } else { 0.0 };
        let cells = (0..horizon * horizon).map(|cell| one_on(cell / horizon, cell % horizon));
        Self::new(horizon, cells.collect())
    }

    /// The copula of a correlation matrix, row-major, shape `[horizon, horizon]`.
    pub fn new(horizon: usize, correlations: Vec<f32>) -> Self {
        let positions = positions(horizon, &correlations);
        Self { horizon, correlations, positions }
    }

    /// Fits correlations to probabilities of what came, by row and step (NaN where not observed),
    /// each with a weight. A row may end before the horizon.
    pub fn fit(horizon: usize, rows: &[(Vec<f32>, f32)]) -> Self {
        let normal = Normal::standard();
        let score = |p: &f32| {
            if p.is_nan() { f64::NAN } else { normal.inverse_cdf(f64::from(*p).clamp(2e-3, 0.998)) }
        };
        let mut sums = vec![[0.0_f64; 4]; horizon * horizon];
        for (probabilities, weight) in rows {
            let mut scores: Vec<f64> = probabilities.iter().map(score).collect();
            scores.resize(horizon, f64::NAN);
            for first in 0..horizon {
                for second in 0..first {
                    let (a, b) = (scores[first], scores[second]);
                    if a.is_finite() && b.is_finite() {
                        let sum = &mut sums[first * horizon + second];
                        for (sum, term) in sum.iter_mut().zip([a * b, a * a, b * b, 1.0]) {
                            *sum += f64::from(*weight) * term;
                        }
                    }
                }
            }
        }
        let mut correlations = vec![0.0; horizon * horizon];
        for first in 0..horizon {
            correlations[first * horizon + first] = 1.0;
            for second in 0..first {
                let [ab, aa, bb, weight] = sums[first * horizon + second];
                let fitted = if weight > 0.0 { ab / (aa * bb).sqrt().max(1e-9) } else { 0.0 };
                let fitted = (KEPT * fitted.clamp(-0.99, 0.99)) as f32;
                correlations[first * horizon + second] = fitted;
                correlations[second * horizon + first] = fitted;
            }
        }
        Self::new(horizon, correlations)
    }

    /// The same with a share of what moves all steps together: a correlation r becomes
    /// r + share (1 - r).
    #[must_use]
    pub fn tightened(&self, share: f32) -> Self {
        let tight = self.correlations.iter().map(|r| r + share * (1.0 - r));
        Self::new(self.horizon, tight.collect())
    }

    /// The correlation matrix, row-major.
    pub fn correlations(&self) -> &[f32] {
        &self.correlations
    }

    /// Sample paths through these quantiles (shape `[steps, N_LEVELS]`, ascending and not negative
    /// in each row; no more steps than the horizon), in whole numbers if `is_whole`. Shape
    /// `[steps, N_PATHS]`.
    pub fn paths(&self, quantiles: &[f32], is_whole: bool) -> Vec<f32> {
        let steps = quantiles.chunks_exact(N_LEVELS).zip(self.positions.chunks_exact(N_PATHS));
        let mut paths = Vec::with_capacity(self.horizon * N_PATHS);
        for (quantiles, positions) in steps {
            paths.extend(positions.iter().map(|position| {
                let (low, high) =
                    (quantiles[position.level as usize], quantiles[position.level as usize + 1]);
                let units = (low + position.fraction * (high - low)).max(0.0);
                if is_whole { units.round() } else { units }
            }));
        }
        paths
    }

    /// Quantiles at [`LEVELS`] of the units of all steps up to each, shape as `quantiles`.
    pub fn cumulative_quantiles(&self, quantiles: &[f32], is_whole: bool) -> Vec<f32> {
        let mut totals = vec![0.0_f32; N_PATHS];
        let mut sorted = vec![0_u32; N_PATHS];
        let mut cumulative = Vec::with_capacity(quantiles.len());
        for step in self.paths(quantiles, is_whole).chunks_exact(N_PATHS) {
            for (total, units) in totals.iter_mut().zip(step) {
                *total += units;
            }
            // Floats that are not negative sort as their bits do, and integers sort faster.
            for (bits, total) in sorted.iter_mut().zip(&totals) {
                *bits = total.to_bits();
            }
            sorted.sort_unstable();
            cumulative.extend(LEVELS.iter().map(|level| {
                let place = (level * N_PATHS as f64 - 0.5).clamp(0.0, (N_PATHS - 2) as f64);
                let below = place.floor();
                let at = |index: usize| f32::from_bits(sorted[index]);
                let (low, high) = (at(below as usize), at(below as usize + 1));
                let units = (low + (place - below) as f32 * (high - low)).max(low);
                if is_whole { units.round() } else { units }
            }));
        }
        cumulative
    }
}

/// Draws the paths: normal numbers by the matrix's Cholesky factor, then ranks by step.
fn positions(horizon: usize, correlations: &[f32]) -> Vec<Position> {
    let factor = cholesky(horizon, correlations);
    let mut rng = ChaCha8Rng::seed_from_u64(0x11fe_ca57);
    let normal = Normal::standard();
    let mut paths = vec![0.0_f64; horizon * N_PATHS];
    for pair in 0..N_PATHS / 2 {
        let uniform = |_| rng.random::<f64>().clamp(1e-9, 1.0 - 1e-9);
        let noise: Vec<f64> = (0..horizon).map(uniform).map(|p| normal.inverse_cdf(p)).collect();
        for step in 0..horizon {
            let row = &factor[step * horizon..=step * horizon + step];
            let value: f64 = row.iter().zip(&noise).map(|(factor, noise)| factor * noise).sum();
            paths[step * N_PATHS + 2 * pair] = value;
            paths[step * N_PATHS + 2 * pair + 1] = -value;
        }
    }
    let mut positions = vec![Position { level: 0, fraction: 0.0 }; horizon * N_PATHS];
    for step in 0..horizon {
        let values = &paths[step * N_PATHS..(step + 1) * N_PATHS];
        let mut order: Vec<usize> = (0..N_PATHS).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        for (rank, path) in order.into_iter().enumerate() {
            let probability = (rank as f64 + 0.5) / N_PATHS as f64;
            positions[step * N_PATHS + path] = Position::of(probability);
        }
    }
    positions
}

impl Position {
    /// Straight between levels and below the first; above the last the tail is exponential.
    fn of(probability: f64) -> Self {
        let last = N_LEVELS - 1;
        if probability > LEVELS[last] {
            let (tail, before) = (1.0 - LEVELS[last], 1.0 - LEVELS[last - 1]);
            let fraction = 1.0 + (tail / (1.0 - probability)).ln() / (before / tail).ln();
            return Self { level: last as u16 - 1, fraction: fraction as f32 };
        }
        let level = LEVELS[1..last].iter().filter(|level| **level < probability).count();
        let (low, high) = (LEVELS[level], LEVELS[level + 1]);
        let fraction = ((probability - low) / (high - low)) as f32;
        Self { level: level as u16, fraction }
    }
}

/// The lower Cholesky factor, row-major; the diagonal is raised where the matrix is not positive
/// definite (rounding, or correlations fitted pair by pair).
fn cholesky(n: usize, matrix: &[f32]) -> Vec<f64> {
    let mut factor = vec![0.0; n * n];
    for row in 0..n {
        for column in 0..=row {
            let inner: f64 =
                (0..column).map(|k| factor[row * n + k] * factor[column * n + k]).sum();
            let rest = f64::from(matrix[row * n + column]) - inner;
            factor[row * n + column] = if row == column {
                rest.max(1e-4).sqrt()
            } else {
                rest / factor[column * n + column]
            };
        }
    }
    factor
}

/// The quantile at any probability of a step's quantiles at [`LEVELS`].
pub fn quantile_of(probability: f64, quantiles: &[f32]) -> f32 {
    let Position { level, fraction } = Position::of(probability);
    let (low, high) = (quantiles[level as usize], quantiles[level as usize + 1]);
    (low + fraction * (high - low)).max(0.0)
}

/// The probability of at most `units` under a step's ascending quantiles at [`LEVELS`]; straight
/// between them, within .001 and .999.
pub fn probability_of(units: f32, quantiles: &[f32]) -> f32 {
    let above = quantiles.iter().filter(|quantile| **quantile <= units).count();
    let level = above.clamp(1, N_LEVELS - 1) - 1;
    let (low, high) = (quantiles[level], quantiles[level + 1]);
    let (p_low, p_high) = (LEVELS[level], LEVELS[level + 1]);
    let fraction = f64::from((units - low) / (high - low).max(1e-9)).clamp(-1e6, 1e6);
    let probability = if above == N_LEVELS {
        1.0 - (1.0 - p_high) * (-(fraction - 1.0) * 5.0_f64.ln()).exp()
    } else {
        p_low + fraction * (p_high - p_low)
    };
    probability.clamp(0.001, 0.999) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn straight(n_steps: usize) -> Vec<f32> {
        (0..n_steps).flat_map(|_| LEVELS.map(|level| 100.0 * level as f32)).collect()
    }

    #[test]
    fn one_step_gives_its_own_quantiles_back() {
        let cumulative = Dependence::independent(1).cumulative_quantiles(&straight(1), false);
        for (found, expected) in cumulative.iter().zip(straight(1)).take(N_LEVELS - 1) {
            assert!((found - expected).abs() < 0.11, "{found} for {expected}");
        }
    }

    #[test]
    fn steps_that_move_together_add_up_and_others_average_out() {
        let together = Dependence::new(3, vec![1.0; 9]).cumulative_quantiles(&straight(3), false);
        let apart = Dependence::independent(3).cumulative_quantiles(&straight(3), false);
        let (row, level) = (2 * N_LEVELS, 10);
        assert!((together[row + level] - 270.0).abs() < 3.0);
        assert!(apart[row + level] < 225.0 && apart[row + level] > 195.0);
        assert!(apart.chunks(N_LEVELS).all(<[f32]>::is_sorted));
        let between = Dependence::independent(3).tightened(0.5);
        let between = between.cumulative_quantiles(&straight(3), false)[row + level];
        assert!(between > apart[row + level] && between < together[row + level]);
    }

    #[test]
    fn correlations_are_found_again() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let normal = Normal::standard();
        let rows: Vec<(Vec<f32>, f32)> = (0..4000)
            .map(|_| {
                let mut draw = || normal.inverse_cdf(rng.random::<f64>().clamp(1e-9, 0.999_999));
                let (a, b) = (draw(), draw());
                let second = 0.6 * a + 0.8 * b;
                (vec![normal.cdf(a) as f32, normal.cdf(second) as f32, f32::NAN], 1.0)
            })
            .collect();
        let fitted = Dependence::fit(3, &rows);
        assert!((fitted.correlations()[1] - 0.57).abs() < 0.03);
        assert_eq!(fitted.correlations()[2], 0.0);
    }

    #[test]
    fn probabilities_and_quantiles_are_inverse() {
        let quantiles = straight(1);
        for probability in [0.02, 0.33, 0.5, 0.87, 0.97] {
            let units = quantile_of(probability, &quantiles);
            assert!((f64::from(probability_of(units, &quantiles)) - probability).abs() < 1e-3);
        }
    }
}
