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

use std::collections::BTreeSet;

use lifecycle::season::{SeasonInput, Seasons};
use lifecycle::trapezoid::{Observation, Shapes, capped};
use lifecycle::{Digest, Frequency, ProductId, Stage};
use panel::Panel;
use rayon::prelude::*;
use tables::Label;

use self::lives::{LifeRules, Lives};
use self::products::{ProductSales, products};

mod lives;
mod products;

/// Lives that the prior is estimated from, at most: bounds time and memory.
const PRIOR_LIVES_MAX: usize = 10_000;

/// Later weeks after which a label hardly changes any more.
const SETTLED_WEEKS: u32 = 26;

/// Later weeks below which it is not used at all.
const SETTLING_WEEKS: u32 = 13;

/// Weight of a label with just so many later weeks: on real data it agrees with the final one nearly
/// as often (.70) as a settled one (.78).
const SETTLING_WEIGHT: f32 = 0.5;

/// A life that sells in these first weeks of the data may have begun before it.
const CENSORED_WEEKS: u32 = 8;

/// What a label may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Weighted by how settled it is, seen products only.
    Training,
    /// Valid or not, all products.
    Test,
}

/// Labels of a panel's products, sorted; season and prior come from products that are not `unseen`.
pub(crate) fn labels(
    panel: &Panel,
    unseen: &BTreeSet<ProductId>,
    lambda: f64,
    purpose: Purpose,
) -> Vec<Label> {
    let products = products(panel);
    let is_seen = |product: &&ProductSales| !unseen.contains(&product.product);
    let is_wanted =
        |product: &&ProductSales| purpose == Purpose::Test || !unseen.contains(&product.product);
    let wanted: Vec<&ProductSales> = products.iter().filter(is_wanted).collect();
    if wanted.iter().all(|product| product.is_labelled()) {
        return wanted.into_iter().map(given_label).collect();
    }
    let inputs: Vec<SeasonInput<'_>> =
        products.iter().filter(is_seen).map(ProductSales::season_input).collect();
    let smoother = Smoother {
        panel,
        purpose,
        lambda,
        shapes: Shapes::shared(panel.frequency),
        seasons: Seasons::fit(panel.frequency, &inputs),
    };
    let unlabelled = products.iter().filter(is_seen).filter(|product| !product.is_labelled());
    let prior = smoother.prior(unlabelled);
    wanted.into_par_iter().filter_map(|product| smoother.label(product, &prior)).collect()
}

/// All that labels of one panel share.
struct Smoother<'a> {
    panel: &'a Panel,
    purpose: Purpose,
    lambda: f64,
    shapes: &'a Shapes,
    seasons: Seasons,
}

impl Smoother<'_> {
    /// How common each shape is among the lives of these products. Shape `[n_shapes]`.
    fn prior<'a>(&self, products: impl Iterator<Item = &'a ProductSales>) -> Vec<f64> {
        let mut eligible: Vec<&ProductSales> =
            products.filter(|product| product.is_eligible(self.panel.frequency)).collect();
        if eligible.len() > PRIOR_LIVES_MAX {
            eligible.sort_by_cached_key(|product| Digest::of(product.product.as_str()));
            eligible.truncate(PRIOR_LIVES_MAX);
        }
        let log_likelihoods = |product: &&ProductSales| {
            let (steps, lives) = self.lives(product);
            let narrow = |values: Vec<f64>| values.iter().map(|value| *value as f32).collect();
            let of_life = |life: &std::ops::Range<usize>| {
                narrow(self.shapes.log_likelihoods(&steps[life.clone()]))
            };
            lives.ranges.iter().map(of_life).collect::<Vec<Vec<f32>>>()
        };
        let lives: Vec<Vec<Vec<f32>>> = eligible.par_iter().map(log_likelihoods).collect();
        let lives: Vec<Vec<f32>> = lives.into_iter().flatten().collect();
        self.shapes.fit_prior(&lives, self.lambda)
    }

    /// A product's steps with spikes capped, and where its lives begin and end.
    fn lives(&self, product: &ProductSales) -> (Vec<Observation>, Lives) {
        let frequency = self.panel.frequency;
        let n = self.shapes.periods_per_step();
        let steps = capped(&product.steps(frequency, &self.seasons, n));
        let rules = LifeRules { weeks_per_step: n as f64 * frequency.weeks_per_period() };
        let delisted = product.end.filter(|end| *end <= self.panel.last());
        let step = delisted.map(|end| usize::try_from(end.since(product.start)).unwrap_or(0) / n);
        let lives = rules.lives(&steps, step);
        (steps, lives)
    }

    /// The label of one product; `None` where it has sold too little to have one.
    fn label(&self, product: &ProductSales, prior: &[f64]) -> Option<Label> {
        if product.is_labelled() {
            return Some(given_label(product));
        }
        if !product.is_eligible(self.panel.frequency) {
            return None;
        }
        let (steps, lives) = self.lives(product);
        let n = self.shapes.periods_per_step();
        let by_step = self.stages(&steps, &lives, prior);
        let n_periods = product.units.len();
        let stages = (0..n_periods).flat_map(|period| by_step[period / n]).collect();
        let ended_at = lives.ended_at.map(|step| (step * n).min(n_periods));
        Some(Label {
            product: product.product.clone(),
            start: product.start,
            stages,
            weights: self.weights(product, ended_at),
            is_left_censored: self.is_left_censored(product),
        })
    }

    /// Stage probabilities by step.
    fn stages(&self, steps: &[Observation], lives: &Lives, prior: &[f64]) -> Vec<[f32; 5]> {
        let mut ended = [0.0; 5];
        ended[Stage::Ended.index()] = 1.0;
        let mut stages = vec![ended; steps.len()];
        for life in &lives.ranges {
            let posterior = self.shapes.posterior(&steps[life.clone()], prior, self.lambda);
            for (age, stages) in stages[life.clone()].iter_mut().enumerate() {
                let weights = self.shapes.stage_weights(&posterior, age);
                let total: f64 = weights.iter().sum();
                for (stage, weight) in stages.iter_mut().zip(weights) {
                    *stage = (weight / total) as f32;
                }
                stages[Stage::Ended.index()] = 0.0;
            }
        }
        stages
    }

    /// How far each period's label may be used, by the number of later observed periods.
    ///
    /// After an end every period of the calendar counts, in stock or not: else the dead would
    /// select themselves into or out of the test. In a set of ended lives nothing is left to learn
    /// after an end, so that their labels are all valid.
    fn weights(&self, product: &ProductSales, ended_at: Option<usize>) -> Vec<f32> {
        let frequency = self.panel.frequency;
        let is_complete = self.panel.all_lives_ended && ended_at.is_some();
        let ended_at = ended_at.unwrap_or(usize::MAX);
        let mut n_later = 0;
        let mut weights: Vec<f32> = (0..product.units.len())
            .rev()
            .map(|period| {
                let weight = match self.purpose {
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
        let n_periods = self.panel.frequency.periods_of_weeks(CENSORED_WEEKS) as i32;
        let running_from = self.panel.start.plus(n_periods);
        let launched_within = product.launch.is_some_and(|launch| launch >= self.panel.start);
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

/// The stage that the data brings, as sure as it says.
fn given_label(product: &ProductSales) -> Label {
    let one_hot = |stage: &u8| {
        let mut stages = [0.0; 5];
        if let Some(chosen) = stages.get_mut(usize::from(*stage)) {
            *chosen = 1.0;
        }
        stages
    };
    Label {
        product: product.product.clone(),
        start: product.start,
        stages: product.given_stage.iter().flat_map(one_hot).collect(),
        weights: product.given_stage.iter().map(|stage| f32::from(u8::from(*stage < 5))).collect(),
        is_left_censored: false,
    }
}

#[cfg(test)]
mod tests;
