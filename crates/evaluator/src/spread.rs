//! From points to distributions, and from single periods to paths: fitted on validation rows.
//!
//! A forecaster who gives points is credited with the errors it made on its validation rows, step
//! by step and relative to the series' scale. How its periods depend on each other comes from the
//! ranks that validation sales took in its distributions.

use lifecycle::accuracy::randomised_pit;
use lifecycle::paths::{Copula, Normals, fit_autoregression, normal_score};
use lifecycle::{LEVELS, N_LEVELS};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::rules::quantile;

/// Residuals that a step must have; fewer are pooled with those of its neighbours.
const RESIDUALS_MIN: usize = 200;

/// One validation row of a forecaster.
#[derive(Debug, Clone)]
pub struct Residual<'a> {
    /// Units observed by step, NaN where missing or where the step is not a validation row.
    pub units: &'a [f32],
    /// Units expected by step.
    pub means: &'a [f32],
    /// Scale of the series at the origin.
    pub scale: f32,
}

/// Quantiles of relative residuals by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Row-major `[n_steps, N_LEVELS]`.
    residuals: Vec<f32>,
}

impl Spread {
    /// Fits `n_steps` steps; `None` where no validation row is observed.
    pub fn fit<'a>(rows: impl Iterator<Item = Residual<'a>>, n_steps: usize) -> Option<Self> {
        let mut by_step: Vec<Vec<f32>> = vec![Vec::new(); n_steps];
        for row in rows {
            for ((units, mean), residuals) in row.units.iter().zip(row.means).zip(&mut by_step) {
                let residual = (units - mean) / row.scale;
                if residual.is_finite() {
                    residuals.push(residual);
                }
            }
        }
        if by_step.iter().all(Vec::is_empty) {
            return None;
        }
        let residuals = (0..n_steps).flat_map(|step| step_quantiles(&by_step, step)).collect();
        Some(Self { residuals })
    }

    /// The distribution around means, row-major `[n_steps, N_LEVELS]`; units are not negative.
    pub fn quantiles(&self, means: &[f32], scale: f32) -> Vec<f32> {
        let last = self.residuals.len() / N_LEVELS - 1;
        let row = |(step, mean): (usize, &f32)| {
            let at = step.min(last) * N_LEVELS;
            let mean = *mean;
            self.residuals[at..at + N_LEVELS]
                .iter()
                .map(move |residual| (mean + scale * residual).max(0.0))
        };
        means.iter().enumerate().flat_map(row).collect()
    }
}

/// Quantiles of the residuals of a step, or of the narrowest band of steps around it that holds
/// enough.
fn step_quantiles(by_step: &[Vec<f32>], step: usize) -> [f32; N_LEVELS] {
    let mut reach = 0;
    loop {
        let band = step.saturating_sub(reach)..(step + reach + 1).min(by_step.len());
        let is_all = band.len() == by_step.len();
        let mut pooled: Vec<f32> = by_step[band].concat();
        if pooled.len() >= RESIDUALS_MIN || is_all {
            pooled.sort_by(f32::total_cmp);
            return LEVELS.map(|level| quantile(&pooled, level).unwrap_or(0.0));
        }
        reach += 1;
    }
}

/// Normal scores of the ranks that validation sales took in a distribution, by step (NaN: none).
/// Where units are whole the rank is drawn within its step of the distribution function, with a
/// random stream of the row's own.
pub fn normal_scores(units: &[f32], quantiles: &[f32], grain: f32, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut score = |(units, quantiles): (&f32, &[f32])| {
        let uniform = f64::from(rng.next_u32()) / 4_294_967_296.0;
        if units.is_nan() {
            return f64::NAN;
        }
        normal_score(randomised_pit(f64::from(*units), quantiles, f64::from(grain), uniform))
    };
    units.iter().zip(quantiles.chunks_exact(N_LEVELS)).map(&mut score).collect()
}

/// The dependence over time that rows of [`normal_scores`] show, with its coefficient.
pub fn fit_copula(scores: &[Vec<f64>], normals: &Normals) -> (f64, Copula) {
    let rho = fit_autoregression(scores.iter().map(Vec::as_slice));
    (rho, normals.autoregressive(rho))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_become_quantiles_relative_to_scale() {
        let units: Vec<[f32; 1]> = (0..401).map(|row| [row as f32 * 0.01 + 8.0]).collect();
        let rows = units.iter().map(|units| Residual { units, means: &[10.0], scale: 2.0 });
        let spread = Spread::fit(rows, 1).expect("rows");
        let quantiles = spread.quantiles(&[20.0, 5.0], 1.0);
        // Residuals reach from -1 to 1 scale; a step beyond the last takes the last one's.
        assert!((quantiles[6] - 20.0).abs() < 1e-4);
        assert!((quantiles[2] - 19.2).abs() < 1e-4);
        assert!((quantiles[N_LEVELS + 10] - 5.8).abs() < 1e-4);
        assert!(spread.quantiles(&[0.1], 1.0).iter().all(|units| *units >= 0.0));
    }

    #[test]
    fn thin_steps_borrow_from_their_neighbours() {
        let full: Vec<f32> = (0..RESIDUALS_MIN).map(|row| (row % 2) as f32).collect();
        let rows: Vec<[f32; 3]> = full.iter().map(|units| [*units, f32::NAN, *units]).collect();
        let spread = Spread::fit(
            rows.iter().map(|units| Residual { units, means: &[0.0; 3], scale: 1.0 }),
            3,
        )
        .expect("rows");
        let quantiles = spread.quantiles(&[0.0; 3], 1.0);
        assert_eq!(quantiles[..N_LEVELS], quantiles[N_LEVELS..2 * N_LEVELS]);
        let none = Residual { units: &[f32::NAN], means: &[0.0], scale: 1.0 };
        assert_eq!(Spread::fit([none].into_iter(), 1), None);
    }

    #[test]
    fn scores_of_a_right_forecast_are_standard_normal() {
        let row = LEVELS.map(|level| level as f32 * 100.0);
        let units: Vec<f32> = (0..1000).map(|at| (at * 7 % 1000) as f32 / 10.0).collect();
        let scores = normal_scores(&units, &row.repeat(1000), 0.0, 3);
        let mean = scores.iter().sum::<f64>() / 1000.0;
        let variance = scores.iter().map(|score| score * score).sum::<f64>() / 1000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.25, "{mean} {variance}");
        assert!(normal_scores(&[f32::NAN], &row, 1.0, 3)[0].is_nan());
    }
}
