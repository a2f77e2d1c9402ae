//! The posterior of a running life at an origin, and where it leads.

use super::likelihood::{Sums, best, dot, weigh};
use super::{Observation, Shapes};
use crate::StageProbabilities;

/// The last steps may still be capped otherwise when more becomes known (`capped` looks 4 steps
/// ahead, the step of the origin may be incomplete), so their terms are not kept.
const UNSETTLED: usize = 5;

/// A life that sold within so many weeks runs.
const ALIVE_WEEKS: f64 = 6.0;

/// Answers for one origin after another of the same life; the sums over what cannot change any more
/// are kept, so all origins together cost one pass.
///
/// Each answer depends on the life it is asked about alone: whatever was asked before, the bytes
/// are the same.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    shapes: &'a Shapes,
    prior: &'a [f64],
    lambda: f64,
    /// Probability by step that a life ends at once, whatever its shape.
    hazard: f64,
    settled: Vec<Observation>,
    settled_sums: Sums,
    sums: Sums,
    weights: Vec<f64>,
    rates: Vec<f64>,
}

/// Where a life stands after its last step, and what follows.
#[derive(Debug, Clone, Copy)]
pub struct LifeOutlook<'a> {
    shapes: &'a Shapes,
    /// Posterior of the shapes given that the life runs. Shape `[n_shapes]`.
    weights: &'a [f64],
    /// Posterior times scale: expected units of a step are its product with the levels.
    rates: &'a [f64],
    n_steps: usize,
    hazard: f64,
    ended: f64,
    dispersion: f64,
}

impl<'a> Filter<'a> {
    /// A filter for lives with this prior over `shapes` (shape `[n_shapes]`) and this probability
    /// by step that a life ends at once.
    pub fn new(shapes: &'a Shapes, prior: &'a [f64], lambda: f64, hazard: f64) -> Self {
        assert_eq!(prior.len(), shapes.n_shapes(), "a prior weighs every shape");
        Self {
            shapes,
            prior,
            lambda,
            hazard,
            settled: Vec::new(),
            settled_sums: Sums::new(shapes),
            sums: Sums::new(shapes),
            weights: Vec::new(),
            rates: Vec::new(),
        }
    }

    /// The shapes that it weighs.
    pub fn shapes(&self) -> &'a Shapes {
        self.shapes
    }

    /// The outlook after the last step of `life`, which starts with the life's first step.
    pub fn outlook(&mut self, life: &[Observation]) -> LifeOutlook<'_> {
        self.settle(life);
        self.sums.clone_from(&self.settled_sums);
        for (age, observation) in life.iter().enumerate().skip(self.settled.len()) {
            self.sums.add(self.shapes, age, *observation);
        }
        self.sums.raw_log_likelihoods(&mut self.weights);
        let dispersion = self.sums.dispersion(self.shapes, best(&self.weights), life);
        let ended = self.ended(life, dispersion);
        self.sums.raw_log_likelihoods(&mut self.weights);
        weigh(&mut self.weights, self.prior, self.lambda / dispersion);
        scale(&mut self.rates, &self.weights, &self.sums.exposures, self.sums.units);
        LifeOutlook {
            shapes: self.shapes,
            weights: &self.weights,
            rates: &self.rates,
            n_steps: life.len(),
            hazard: self.hazard,
            ended,
            dispersion,
        }
    }

    /// Keeps the sums over the steps that will not change, and starts anew where one did.
    fn settle(&mut self, life: &[Observation]) {
        let n_settled = life.len().saturating_sub(UNSETTLED);
        let n_kept = self.settled.len();
        if n_kept > n_settled || self.settled[..] != life[..n_kept] {
            self.settled.clear();
            self.settled_sums = Sums::new(self.shapes);
        }
        for (age, step) in life.iter().enumerate().take(n_settled).skip(self.settled.len()) {
            self.settled_sums.add(self.shapes, age, *step);
            self.settled.push(*step);
        }
    }

    /// Probability that the life is over, from the units that it should have sold since its last
    /// sale: each step may have been the end, and each step without a sale speaks for it.
    ///
    /// Uses `self.weights` and `self.rates` as room to work in.
    fn ended(&mut self, life: &[Observation], dispersion: f64) -> f64 {
        let Some(last_sale) = life.iter().rposition(|step| step.units > 0.0) else { return 0.0 };
        let gap = &life[last_sale + 1..];
        let n_weeks =
            gap.iter().map(|step| step.exposure).sum::<f64>() * self.shapes.weeks_per_step();
        if n_weeks < ALIVE_WEEKS {
            return 0.0;
        }
        // The fit up to the last sale: the silence itself must not lower what was expected in it.
        let mut until_sale = self.sums.clone();
        for (step, age) in gap.iter().zip(last_sale + 1..) {
            until_sale.take_out_silent(self.shapes, age, *step);
        }
        until_sale.raw_log_likelihoods(&mut self.weights);
        weigh(&mut self.weights, self.prior, self.lambda / dispersion);
        scale(&mut self.rates, &self.weights, &until_sale.exposures, until_sale.units);
        let (mut expected, mut running, mut over) = (0.0_f64, 1.0, 0.0);
        for (step, age) in gap.iter().zip(last_sale + 1..) {
            over += self.hazard * running * (-expected / dispersion).exp();
            running *= 1.0 - self.hazard;
            expected += step.weight() * dot(&self.rates, self.shapes.levels_at(age));
        }
        let alive = running * (-expected / dispersion).exp();
        over / (over + alive)
    }
}

/// `out = weights * units / exposures`: the posterior mean of the scale, shape by shape.
fn scale(out: &mut Vec<f64>, weights: &[f64], exposures: &[f64], units: f64) {
    out.clear();
    out.extend(
        weights.iter().zip(exposures).map(|(weight, exposure)| {
            if *exposure > 0.0 { weight * units / exposure } else { 0.0 }
        }),
    );
}

impl LifeOutlook<'_> {
    /// Stage at the origin, given that the life runs: *ended* is 0.
    pub fn stage_now(&self) -> StageProbabilities {
        let [introduction, growth, maturity, decline] =
            self.shapes.stage_weights(self.weights, self.n_steps.saturating_sub(1));
        StageProbabilities::from_weights([introduction, growth, maturity, decline, 0.0])
    }

    /// Stage `n_steps` later. *Ended*: the life was over at the origin, ends at once on the way, or
    /// its decline has run out.
    pub fn stage_after(&self, n_steps: f64) -> StageProbabilities {
        let age = (self.n_steps.saturating_sub(1) as f64 + n_steps).round() as usize;
        let survival = self.survival(n_steps);
        let [introduction, growth, maturity, decline, run_out] =
            self.shapes.stage_sums(self.weights, age).map(|weight| weight * survival);
        StageProbabilities::from_weights([
            introduction,
            growth,
            maturity,
            decline,
            1.0 - survival + run_out,
        ])
    }

    /// Expected units of the whole step `n_steps` after the origin's, at seasonal index 1.
    pub fn expected(&self, n_steps: usize) -> f64 {
        let age = self.n_steps.saturating_sub(1) + n_steps;
        self.survival(n_steps as f64) * dot(self.rates, self.shapes.levels_at(age))
    }

    /// Probability that the life is over at the origin although its shape has not run out.
    pub fn ended(&self) -> f64 {
        self.ended
    }

    /// Variance over mean of the units around the best shape, at least 1.
    pub fn dispersion(&self) -> f64 {
        self.dispersion
    }

    /// Posterior of the shapes. Shape `[n_shapes]`.
    pub fn weights(&self) -> &[f64] {
        self.weights
    }

    fn survival(&self, n_steps: f64) -> f64 {
        (1.0 - self.ended) * (1.0 - self.hazard).powf(n_steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{LAMBDA, capped};
    use super::*;
    use crate::{Frequency, Stage};

    fn life(units: impl IntoIterator<Item = f64>) -> Vec<Observation> {
        let step = |units| Observation { units, exposure: 1.0, season: 1.0 };
        units.into_iter().map(step).collect()
    }

    /// Units of a life with these durations, exact but for rounding.
    fn trapezoid(durations: [f64; 4], scale: f64, n_weeks: usize) -> Vec<Observation> {
        let durations = super::super::Durations(durations);
        life((0..n_weeks).map(|week| (scale * durations.level(week as f64 + 0.5)).round()))
    }

    fn stage_at(life: &[Observation]) -> Stage {
        let shapes = Shapes::shared(Frequency::Week);
        let prior = shapes.flat_prior();
        Filter::new(shapes, &prior, LAMBDA, 0.002).outlook(life).stage_now().likeliest()
    }

    #[test]
    fn the_filter_finds_the_stage_of_a_clear_life() {
        let steps = trapezoid([8.0, 12.0, 40.0, 30.0], 60.0, 90);
        for (n_weeks, stage) in [
            (8, Stage::Introduction),
            (15, Stage::Growth),
            (50, Stage::Maturity),
            (75, Stage::Decline),
        ] {
            assert_eq!(stage_at(&steps[..n_weeks]), stage, "after {n_weeks} weeks");
        }
    }

    #[test]
    fn all_origins_in_one_pass_give_the_bytes_of_each_alone() {
        let shapes = Shapes::shared(Frequency::Week);
        let prior = shapes.flat_prior();
        let units =
            (0..70).map(|week| f64::from((week * 13) % 7 + if week == 33 { 400 } else { 0 }));
        let mut steps = life(units);
        steps[20] = Observation::MASKED;
        let mut together = Filter::new(shapes, &prior, LAMBDA, 0.002);
        for n_weeks in [1, 2, 6, 7, 30, 34, 35, 70] {
            // A later correction: known only from week 35 on.
            let mut known = steps[..n_weeks].to_vec();
            if n_weeks < 35 {
                known.iter_mut().take(11).skip(10).for_each(|step| step.units += 9.0);
            }
            let known = capped(&known);
            let mut alone = Filter::new(shapes, &prior, LAMBDA, 0.002);
            let (one, other) = (together.outlook(&known), alone.outlook(&known));
            assert_eq!(one.weights(), other.weights());
            assert_eq!(one.expected(13).to_bits(), other.expected(13).to_bits());
            assert_eq!(one.stage_after(26.0), other.stage_after(26.0));
            let batch = shapes.posterior(&known, &prior, LAMBDA);
            assert!(batch.iter().zip(one.weights()).all(|(a, b)| (a - b).abs() < 1e-9));
        }
    }

    #[test]
    fn a_steady_life_goes_on_and_a_silent_one_is_over() {
        let shapes = Shapes::shared(Frequency::Week);
        let prior = shapes.flat_prior();
        let mut filter = Filter::new(shapes, &prior, LAMBDA, 0.005);
        let steady = life((0..60).map(|week| 10.0 + f64::from(week % 2)));
        let outlook = filter.outlook(&steady);
        assert_eq!(outlook.ended(), 0.0);
        assert!((outlook.expected(4) - 10.5).abs() < 2.0, "{}", outlook.expected(4));
        let silent: Vec<Observation> = steady.iter().copied().chain(life([0.0; 12])).collect();
        let outlook = filter.outlook(&silent);
        assert!(outlook.ended() > 0.9, "{}", outlook.ended());
        assert!(outlook.expected(4) < 1.5);
        assert!(outlook.stage_after(13.0).of(Stage::Ended) > 0.9);
        // One unit in four weeks: eleven silent weeks say little.
        let slow = life((0..60).map(|week| f64::from(u8::from(week % 4 == 0 && week < 51))));
        assert!(filter.outlook(&slow).ended() < 0.4);
    }

    fn step() -> impl Strategy<Value = Observation> {
        let units = prop_oneof![2 => Just(0.0), 3 => (0..60).prop_map(f64::from)];
        let exposure = prop_oneof![1 => Just(0.0), 6 => Just(1.0), 1 => 0.1..1.0];
        (units, exposure, 0.5..2.0).prop_map(|(units, exposure, season)| Observation {
            units: if exposure > 0.0 { units } else { 0.0 },
            exposure,
            season,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_was_asked_before_changes_nothing_and_answers_are_well_formed(
            life in prop::collection::vec(step(), 1..60),
            other in prop::collection::vec(step(), 1..60),
        ) {
            let shapes = Shapes::shared(Frequency::Week);
            let prior = shapes.flat_prior();
            let mut asked = Filter::new(shapes, &prior, LAMBDA, 0.003);
            let _ = asked.outlook(&other);
            for n_steps in [life.len() / 3, life.len()] {
                let mut fresh = Filter::new(shapes, &prior, LAMBDA, 0.003);
                let (one, two) = (asked.outlook(&life[..n_steps]), fresh.outlook(&life[..n_steps]));
                prop_assert_eq!(one.weights(), two.weights());
                prop_assert_eq!(one.stage_now(), two.stage_now());
                prop_assert_eq!(one.ended().to_bits(), two.ended().to_bits());
                prop_assert!((0.0..=1.0).contains(&one.ended()));
                for ahead in [1, 13, 400] {
                    prop_assert_eq!(one.expected(ahead).to_bits(), two.expected(ahead).to_bits());
                    prop_assert!(one.expected(ahead) >= 0.0 && one.expected(ahead).is_finite());
                    let stages = one.stage_after(ahead as f64);
                    prop_assert!((stages.as_array().iter().sum::<f32>() - 1.0).abs() < 1e-5);
                }
            }
        }
    }
}
