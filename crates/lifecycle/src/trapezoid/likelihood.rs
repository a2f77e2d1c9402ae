//! How well each shape explains a life: quasi-Poisson, scale profiled out.

use super::{Shapes, elementary};

/// How much a log-likelihood counts, as fitted where halves of the orders could be compared: at 1
/// neighbouring weeks pass for independent evidence, and the posterior is far too sure.
pub const LAMBDA: f64 = 0.25;

/// Shapes below this weight relative to the best are left out.
const EXPONENT_MIN: f64 = -60.0;

/// One step of a life.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Units sold while observed.
    pub units: f64,
    /// Share of the step that was observed, 0 (nothing is known) to 1.
    pub exposure: f64,
    /// Seasonal index of the step: 1 on average over a year.
    pub season: f64,
}

impl Observation {
    /// A step of which nothing is known.
    pub const MASKED: Self = Self { units: 0.0, exposure: 0.0, season: 1.0 };

    /// Units per unit of level and scale that were to be expected.
    pub(super) fn weight(self) -> f64 {
        self.exposure * self.season
    }

    fn is_observed(self) -> bool {
        self.exposure > 0.0
    }
}

/// Running sums over a life for every shape k: `sum y ln r_k` and `sum w r_k S`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    pub(super) log_levels: Vec<f64>,
    pub(super) exposures: Vec<f64>,
    pub(super) units: f64,
    pub(super) n_observed: usize,
}

impl Sums {
    pub(super) fn new(shapes: &Shapes) -> Self {
        Self {
            log_levels: vec![0.0; shapes.n_shapes()],
            exposures: vec![0.0; shapes.n_shapes()],
            units: 0.0,
            n_observed: 0,
        }
    }

    /// Adds one step at an age.
    pub(super) fn add(&mut self, shapes: &Shapes, age: usize, observation: Observation) {
        if !observation.is_observed() {
            return;
        }
        self.n_observed += 1;
        add_scaled(&mut self.exposures, shapes.levels_at(age), observation.weight());
        if observation.units > 0.0 {
            self.units += observation.units;
            add_scaled(&mut self.log_levels, shapes.log_levels_at(age), observation.units);
        }
    }

    /// Takes a step without sales out again.
    pub(super) fn take_out_silent(&mut self, shapes: &Shapes, age: usize, step: Observation) {
        if step.is_observed() {
            self.n_observed -= 1;
            add_scaled(&mut self.exposures, shapes.levels_at(age), -step.weight());
        }
    }

    /// `sum y ln r_k - Y ln(sum w r_k S)`: the profiled log-likelihood before dispersion.
    pub(super) fn raw_log_likelihoods(&self, out: &mut Vec<f64>) {
        out.clear();
        let units = self.units;
        if units > 0.0 {
            out.extend(
                self.log_levels
                    .iter()
                    .zip(&self.exposures)
                    .map(|(log_level, exposure)| log_level - units * elementary::ln(*exposure)),
            );
        } else {
            out.resize(self.exposures.len(), 0.0);
        }
    }

    /// Pearson's dispersion of a life around one shape, at least 1.
    pub(super) fn dispersion(&self, shapes: &Shapes, shape: usize, life: &[Observation]) -> f64 {
        if self.units <= 0.0 || self.n_observed <= 5 {
            return 1.0;
        }
        let scale = self.units / self.exposures[shape];
        let mut chi_squared = 0.0;
        for (age, observation) in life.iter().enumerate().filter(|(_, step)| step.is_observed()) {
            let expected = scale * observation.weight() * shapes.level(shape, age);
            chi_squared += (observation.units - expected).powi(2) / expected;
        }
        (chi_squared / (self.n_observed - 5) as f64).max(1.0)
    }
}

/// `sum += factor * row`, element by element.
pub(super) fn add_scaled(sum: &mut [f64], row: &[f32], factor: f64) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += factor * f64::from(*value);
    }
}

/// `sum of weights * row`, in eight fixed lanes so that the compiler can vectorise it and the order
/// of summation is always the same.
pub(super) fn dot(weights: &[f64], row: &[f32]) -> f64 {
    let mut lanes = [0.0; 8];
    let (weight_chunks, row_chunks) = (weights.chunks_exact(8), row.chunks_exact(8));
    let rest: f64 = weight_chunks
        .remainder()
        .iter()
        .zip(row_chunks.remainder())
        .map(|(weight, value)| weight * f64::from(*value))
        .sum();
    for (weights, values) in weight_chunks.zip(row_chunks) {
        for lane in 0..8 {
            lanes[lane] += weights[lane] * f64::from(values[lane]);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The shape of greatest value, the first of equals.
pub(super) fn best(values: &[f64]) -> usize {
    let mut best = 0;
    for (shape, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = shape;
        }
    }
    best
}

/// Turns log-likelihoods into `prior * exp(power * (l - max))`, divided by their sum.
pub(super) fn weigh(log_likelihoods: &mut [f64], prior: &[f64], power: f64) {
    let greatest = log_likelihoods[best(log_likelihoods)];
    for (value, prior) in log_likelihoods.iter_mut().zip(prior) {
        let exponent = (power * (*value - greatest)).max(EXPONENT_MIN);
        let weight = prior * elementary::exp(exponent);
        *value = if exponent > EXPONENT_MIN { weight } else { 0.0 };
    }
    let total: f64 = log_likelihoods.iter().sum();
    for value in log_likelihoods {
        *value /= total;
    }
}

impl Shapes {
    /// `l_k` of every shape for a life given from its first step on, relative to the best (so at
    /// most 0) and divided by the dispersion at the best. Shape `[n_shapes]`.
    pub fn log_likelihoods(&self, life: &[Observation]) -> Vec<f64> {
        let mut sums = Sums::new(self);
        for (age, observation) in life.iter().enumerate() {
            sums.add(self, age, *observation);
        }
        let mut values = Vec::with_capacity(self.n_shapes());
        sums.raw_log_likelihoods(&mut values);
        let best = best(&values);
        let (greatest, dispersion) = (values[best], sums.dispersion(self, best, life));
        for value in &mut values {
            *value = (*value - greatest) / dispersion;
        }
        values
    }

    /// Posterior of every shape, `prior * exp(lambda * l_k)`. Shape `[n_shapes]`, sums to 1.
    pub fn posterior(&self, life: &[Observation], prior: &[f64], lambda: f64) -> Vec<f64> {
        let mut weights = self.log_likelihoods(life);
        weigh(&mut weights, prior, lambda);
        weights
    }

    /// The same from [`Shapes::log_likelihoods`] that were computed before.
    pub fn posterior_of(&self, log_likelihoods: &[f32], prior: &[f64], lambda: f64) -> Vec<f64> {
        let mut weights: Vec<f64> = log_likelihoods.iter().map(|value| f64::from(*value)).collect();
        weigh(&mut weights, prior, lambda);
        weights
    }

    /// Prior of the shapes from lives of training products: 8 steps of EM from
    /// [`Shapes::flat_prior`], 0.02 added to each point of the grid.
    ///
    /// `lives` holds the [`Shapes::log_likelihoods`] of each.
    pub fn fit_prior<L: AsRef<[f32]>>(&self, lives: &[L], lambda: f64) -> Vec<f64> {
        let mut prior = self.flat_prior();
        let mut weights = vec![0.0; self.n_shapes()];
        for _ in 0..8 {
            let mut counts: Vec<f64> =
                self.multiplicities().iter().map(|count| 0.02 * count).collect();
            for life in lives {
                weights.clear();
                weights.extend(life.as_ref().iter().map(|value| f64::from(*value)));
                weigh(&mut weights, &prior, lambda);
                counts.iter_mut().zip(&weights).for_each(|(count, weight)| *count += weight);
            }
            let total: f64 = counts.iter().sum();
            prior = counts.iter().map(|count| count / total).collect();
        }
        prior
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frequency;

    fn life(units: &[f64]) -> Vec<Observation> {
        units
            .iter()
            .map(|units| Observation { units: *units, exposure: 1.0, season: 1.0 })
            .collect()
    }

    #[test]
    fn nothing_sold_leaves_the_prior() {
        let shapes = Shapes::shared(Frequency::Week);
        let prior = shapes.flat_prior();
        let posterior = shapes.posterior(&life(&[0.0; 9]), &prior, LAMBDA);
        assert!(posterior.iter().zip(&prior).all(|(after, before)| (after - before).abs() < 1e-15));
    }

    #[test]
    fn the_likelihood_is_the_formula_of_the_protocol() {
        let shapes = Shapes::shared(Frequency::Week);
        let units: Vec<f64> = (0..40).map(|week| f64::from((week * 7) % 11 + week)).collect();
        let mut steps = life(&units);
        steps[7] = Observation::MASKED;
        for (week, step) in steps.iter_mut().enumerate() {
            step.season = 1.0 + 0.2 * (week as f64 / 8.0).sin();
        }
        let raw = |shape: usize| {
            let seen = || steps.iter().enumerate().filter(|(week, _)| *week != 7);
            let total: f64 = seen().map(|(_, step)| step.units).sum();
            let logs: f64 =
                seen().map(|(week, step)| step.units * shapes.level(shape, week).ln()).sum();
            let exposure: f64 =
                seen().map(|(week, step)| step.season * shapes.level(shape, week)).sum();
            let scale = total / exposure;
            let chi_squared: f64 = seen()
                .map(|(week, step)| {
                    let expected = scale * step.season * shapes.level(shape, week);
                    (step.units - expected).powi(2) / expected
                })
                .sum();
            (logs - total * exposure.ln(), chi_squared)
        };
        let values = shapes.log_likelihoods(&steps);
        let best = best(&values);
        let (greatest, chi_squared) = raw(best);
        let dispersion = (chi_squared / 34.0).max(1.0);
        for shape in (0..shapes.n_shapes()).step_by(97) {
            let expected = (raw(shape).0 - greatest) / dispersion;
            assert!((values[shape] - expected).abs() < 1e-4 * (1.0 + expected.abs()));
        }
    }

    #[test]
    fn the_prior_moves_to_what_lives_are_like() {
        let shapes = Shapes::shared(Frequency::Week);
        // Three hundred lives that start at once at their level and stay there.
        let flat = life(&[20.0; 60]);
        let lives: Vec<Vec<f32>> = (0..300)
            .map(|_| shapes.log_likelihoods(&flat).iter().map(|value| *value as f32).collect())
            .collect();
        let prior = shapes.fit_prior(&lives, LAMBDA);
        assert!((prior.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let before = shapes.stage_weights(&shapes.flat_prior(), 30)[2];
        let after = shapes.stage_weights(&prior, 30)[2];
        assert!(after > before + 0.15, "{after} against {before}");
    }
}
