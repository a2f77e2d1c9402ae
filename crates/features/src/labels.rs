//! Stage labels: an empirical-Bayes smoother over trapezoid lives.
//!
//! A label is retrospective: it reads a product's whole known history, and is evidence, not truth.
//! Each product's sales over its locations are freed of season and spikes, cut into lives, and
//! explained by the shapes of [`lifecycle::trapezoid`]; how common each shape is, is estimated from
//! training products by expectation maximisation. Labels for training see the panel as it was known
//! at the cut; labels for the test see all of it. Where the data brings its own stage, that is the
//! label, settled at once; where it does for all products, nothing is estimated.
//!
//! The method is the project's own. Empirical Bayes with a smoothing floor goes back to Robbins
//! 1956; tempering the likelihood, because neighbouring weeks are not independent evidence, to
//! Grünwald & van Ommen 2017.

use lifecycle::{Frequency, Period, Stage};
use rayon::prelude::*;
use tables::Label;

pub(crate) use self::evidence::Evidence;
use self::evidence::ProductLives;
pub(crate) use self::halves::fit_lambda;
use self::products::ProductSales;
pub(crate) use self::reliability::reliability;

mod evidence;
mod halves;
mod level;
mod lives;
mod products;
mod reliability;
mod settling;

/// Later weeks after which a label hardly changes any more.
const SETTLED_WEEKS: u32 = 26;

/// Later weeks below which it is not used at all.
const SETTLING_WEEKS: u32 = 13;

/// Weight of a label with just so many later weeks: on real data it agrees with the final one nearly
/// as often (.70) as a settled one (.78).
const SETTLING_WEIGHT: f32 = 0.5;

/// A life that sells in these first weeks of the data may have begun before it.
const CENSORED_WEEKS: u32 = 8;

/// Weeks from one case of a product to its next where labels are compared.
const CASE_WEEKS: u32 = 13;

/// What a label may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Weighted by how settled it is, seen products only.
    Training,
    /// Valid or not, all products.
    Test,
}

/// The labels of a panel from its evidence.
pub(crate) struct Smoother<'a> {
    evidence: &'a Evidence<'a>,
    lambda: f64,
    /// How common each shape is among the lives of training products, one a fold. Each of shape
    /// `[n_shapes]`.
    priors: Vec<Vec<f64>>,
}

impl<'a> Smoother<'a> {
    /// Estimates the priors, whose lives count by `lambda` too.
    pub(crate) fn new(evidence: &'a Evidence<'a>, lambda: f64) -> Self {
        Self::with_prior_lives(evidence, lambda, usize::MAX)
    }

    /// The same from at most so many products.
    fn with_prior_lives(evidence: &'a Evidence<'a>, lambda: f64, n_products_max: usize) -> Self {
        let read: Vec<(&ProductSales, &ProductLives)> = evidence
            .products
            .iter()
            .zip(&evidence.lives)
            .filter_map(|(product, lives)| Some((product, lives.as_ref()?)))
            .collect();
        let some = || read.iter().step_by(every(read.len(), n_products_max));
        let prior = |fold: usize| {
            let others = some().filter(|(product, _)| evidence.shapes_fold(fold, product));
            let lives: Vec<&[f32]> = others
                .flat_map(|(_, product)| product.log_likelihoods.iter().map(Vec::as_slice))
                .collect();
            evidence.shapes.fit_prior(&lives, lambda)
        };
        let priors = (0..evidence.n_folds()).into_par_iter().map(prior).collect();
        Self { evidence, lambda, priors }
    }

    /// Labels of the wanted products, sorted.
    pub(crate) fn labels(&self) -> Vec<Label> {
        let wanted: Vec<(usize, &ProductSales)> = self.evidence.wanted().collect();
        let label = |(at, product): (usize, &ProductSales)| self.label(at, product);
        wanted.into_par_iter().filter_map(label).collect()
    }

    /// The label of one product; `None` where it has sold too little to have one.
    fn label(&self, at: usize, product: &ProductSales) -> Option<Label> {
        if product.is_labelled() {
            return Some(given_label(product));
        }
        if !product.is_eligible(self.evidence.frequency()) {
            return None;
        }
        let computed;
        let lives = if let Some(read) = &self.evidence.lives[at] {
            read
        } else {
            computed = self.evidence.product_lives(product);
            &computed
        };
        let n = self.evidence.shapes.periods_per_step();
        let n_periods = product.units.len();
        let ended_at = lives.lives.ended_at.map(|step| (step * n).min(n_periods));
        Some(Label {
            product: product.product.clone(),
            start: product.start,
            stages: self.stages(product, lives).into_iter().flatten().collect(),
            weights: self.weights(product, ended_at),
            is_left_censored: self.is_left_censored(product),
        })
    }

    /// Stage probabilities by period.
    fn stages(&self, product: &ProductSales, lives: &ProductLives) -> Vec<[f32; 5]> {
        let n = self.evidence.shapes.periods_per_step();
        let posteriors = self.posteriors(product, lives);
        let by_step: Vec<[f32; 5]> = (0..product.units.len().div_ceil(n))
            .map(|step| self.stage_of(lives, &posteriors, step))
            .collect();
        (0..product.units.len()).map(|period| by_step[period / n]).collect()
    }

    /// The same in some periods alone, by their positions.
    fn stages_at(
        &self,
        product: &ProductSales,
        lives: &ProductLives,
        periods: impl Iterator<Item = usize>,
    ) -> Vec<[f32; 5]> {
        let n = self.evidence.shapes.periods_per_step();
        let posteriors = self.posteriors(product, lives);
        periods.map(|period| self.stage_of(lives, &posteriors, period / n)).collect()
    }

    /// Posterior of the shapes of each life.
    fn posteriors(&self, product: &ProductSales, lives: &ProductLives) -> Vec<Vec<f64>> {
        let prior = &self.priors[self.evidence.fold(&product.product)];
        let of_life =
            |values: &Vec<f32>| self.evidence.shapes.posterior_of(values, prior, self.lambda);
        lives.log_likelihoods.iter().map(of_life).collect()
    }

    fn stage_of(&self, lives: &ProductLives, posteriors: &[Vec<f64>], step: usize) -> [f32; 5] {
        let Some(life) = lives.lives.ranges.iter().position(|life| life.contains(&step)) else {
            return one_hot(Stage::Ended);
        };
        let age = step - lives.lives.ranges[life].start;
        let weights = self.evidence.shapes.stage_weights(&posteriors[life], age);
        let total: f64 = weights.iter().sum();
        let mut stages = [0.0; 5];
        for (stage, weight) in stages.iter_mut().zip(weights) {
            *stage = (weight / total) as f32;
        }
        stages
    }

    /// How far each period's label may be used, by the number of later observed periods.
    ///
    /// After an end every period of the calendar counts, in stock or not: else the dead would
    /// select themselves into or out of the test. In a set of ended lives nothing is left to learn
    /// after an end, so that their labels are all valid.
    fn weights(&self, product: &ProductSales, ended_at: Option<usize>) -> Vec<f32> {
        let frequency = self.evidence.frequency();
        let is_complete = self.evidence.panel.all_lives_ended && ended_at.is_some();
        let ended_at = ended_at.unwrap_or(usize::MAX);
        let mut n_later = 0;
        let mut weights: Vec<f32> = (0..product.units.len())
            .rev()
            .map(|period| {
                let weight = match self.evidence.purpose {
                    Purpose::Test if is_complete => 1.0,
                    Purpose::Test => {
                        f32::from(u8::from(n_later >= frequency.periods_of_weeks(SETTLED_WEEKS)))
                    }
                    Purpose::Training => settled(frequency, n_later),
                };
                let counts = product.exposures[period] > 0.0 || period >= ended_at;
                n_later += usize::from(counts);
                weight
            })
            .collect();
        weights.reverse();
        weights
    }

    fn is_left_censored(&self, product: &ProductSales) -> bool {
        let n_periods = self.evidence.frequency().periods_of_weeks(CENSORED_WEEKS) as i32;
        let running_from = self.evidence.panel.start.plus(n_periods);
        let launched_within =
            product.launch.is_some_and(|launch| launch >= self.evidence.panel.start);
        product.start < running_from && !launched_within
    }
}

/// Weight of a training label: 0 below 13 later weeks, then from a half to 1 at 26.
fn settled(frequency: Frequency, n_later: usize) -> f32 {
    let least = frequency.periods_of_weeks(SETTLING_WEEKS);
    let full = frequency.periods_of_weeks(SETTLED_WEEKS);
    if n_later < least {
        return 0.0;
    }
    let share = (n_later - least) as f32 / (full - least) as f32;
    SETTLING_WEIGHT + (1.0 - SETTLING_WEIGHT) * share.min(1.0)
}

/// Steps between cases so that at most `n_max` of `n` are left.
fn every(n: usize, n_max: usize) -> usize {
    n.div_ceil(n_max).max(1)
}

/// The stage that the label of a period speaks for, where it is scored as the stage "now": valid,
/// and not over.
fn scored(label: &Label, period: Period) -> Option<Stage> {
    let stage = label.at(period)?.0.likeliest();
    (stage != Stage::Ended).then_some(stage)
}

/// A stage as certain.
fn one_hot(stage: Stage) -> [f32; 5] {
    let mut stages = [0.0; 5];
    stages[stage.index()] = 1.0;
    stages
}

/// Position of the likeliest stage, the earlier one of two.
fn likeliest(stages: &[f32; 5]) -> usize {
    (1..5).fold(0, |best, stage| if stages[stage] > stages[best] { stage } else { best })
}

/// The stage that the data brings, as sure as it says.
fn given_label(product: &ProductSales) -> Label {
    let certain =
        |stage: &u8| Stage::ALL.get(usize::from(*stage)).copied().map_or([0.0; 5], one_hot);
    Label {
        product: product.product.clone(),
        start: product.start,
        stages: product.given_stage.iter().flat_map(certain).collect(),
        weights: product.given_stage.iter().map(|stage| f32::from(u8::from(*stage < 5))).collect(),
        is_left_censored: false,
    }
}

#[cfg(test)]
mod halves_tests;
#[cfg(test)]
mod tests;
