//! What labels are made from: each product's lives, with the likelihood of every shape.
//!
//! For training labels season and prior are cross-fitted: those of a product are estimated on the
//! products of the other folds, so that its own sales do not shape what they are judged by (but for
//! what they do to the season that those products' own lives are read with). Labels
//! for the test use season and prior of all training products.

use std::collections::BTreeSet;

use lifecycle::season::{SeasonInput, Seasons};
use lifecycle::trapezoid::{Observation, Shapes, capped};
use lifecycle::{Digest, Frequency, ProductId};
use panel::Panel;
use rayon::prelude::*;

use super::Purpose;
use super::lives::{LifeRules, Lives};
use super::products::{ProductSales, products};

/// Folds of products for training labels.
const N_FOLDS: usize = 4;

/// Lives that the prior is estimated from, at most: bounds time and memory.
const PRIOR_LIVES_MAX: usize = 10_000;

/// All products of a panel, and how well each shape explains their lives.
pub(crate) struct Evidence<'a> {
    pub(super) panel: &'a Panel,
    pub(super) purpose: Purpose,
    pub(super) shapes: &'static Shapes,
    /// Sorted.
    pub(super) products: Vec<ProductSales>,
    unseen: &'a BTreeSet<ProductId>,
    /// One a fold.
    seasons: Vec<Seasons>,
    /// Of the products that the prior is estimated from.
    pub(super) lives: Vec<Option<ProductLives>>,
}

/// The lives of one product.
#[derive(Debug, Clone)]
pub(super) struct ProductLives {
    pub(super) lives: Lives,
    /// Of each life, [`Shapes::log_likelihoods`].
    pub(super) log_likelihoods: Vec<Vec<f32>>,
}

impl<'a> Evidence<'a> {
    /// Reads a panel; season and prior will come from products that are not `unseen`.
    pub(crate) fn new(panel: &'a Panel, unseen: &'a BTreeSet<ProductId>, purpose: Purpose) -> Self {
        let n_folds = if purpose == Purpose::Training { N_FOLDS } else { 1 };
        let mut evidence = Self {
            panel,
            purpose,
            shapes: Shapes::shared(panel.frequency),
            products: products(panel),
            unseen,
            seasons: vec![Seasons::flat(panel.frequency); n_folds],
            lives: Vec::new(),
        };
        evidence.lives.resize_with(evidence.products.len(), || None);
        if !evidence.are_given() {
            evidence.fit_seasons();
            evidence.read_lives();
        }
        evidence
    }

    /// The same with these seasons, as if they had been estimated.
    #[cfg(test)]
    pub(super) fn with_seasons(self, seasons: Seasons) -> Self {
        let n_folds = self.seasons.len();
        let mut evidence = Self { seasons: vec![seasons; n_folds], ..self };
        evidence.read_lives();
        evidence
    }

    /// Whether the data brings the labels of all products that are labelled.
    pub(crate) fn are_given(&self) -> bool {
        self.wanted().all(|(_, product)| product.is_labelled())
    }

    /// The products that are labelled, with their positions.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (usize, &ProductSales)> {
        let is_wanted =
            |product: &ProductSales| self.purpose == Purpose::Test || self.is_seen(product);
        self.products.iter().enumerate().filter(move |(_, product)| is_wanted(product))
    }

    pub(super) fn is_seen(&self, product: &ProductSales) -> bool {
        !self.unseen.contains(&product.product)
    }

    pub(super) fn frequency(&self) -> Frequency {
        self.panel.frequency
    }

    pub(super) fn n_folds(&self) -> usize {
        self.seasons.len()
    }

    /// The fold that a product belongs to, whose season and prior it is judged by.
    pub(super) fn fold(&self, product: &ProductId) -> usize {
        // The first byte chooses unseen products.
        usize::from(Digest::of(product.as_str()).as_bytes()[31]) % self.n_folds()
    }

    /// Whether a product's sales may shape season and prior of a fold.
    pub(super) fn shapes_fold(&self, fold: usize, product: &ProductSales) -> bool {
        self.n_folds() == 1 || self.fold(&product.product) != fold
    }

    fn fit_seasons(&mut self) {
        let fit = |fold: usize| {
            let seen = self.products.iter().filter(|product| self.is_seen(product));
            let inputs: Vec<SeasonInput<'_>> = seen
                .filter(|product| self.shapes_fold(fold, product))
                .map(ProductSales::season_input)
                .collect();
            Seasons::fit(self.frequency(), &inputs)
        };
        self.seasons = (0..self.n_folds()).into_par_iter().map(fit).collect();
    }

    /// Of the products that the prior is estimated from.
    fn read_lives(&mut self) {
        let is_eligible = |product: &ProductSales| {
            self.is_seen(product) && !product.is_labelled() && product.is_eligible(self.frequency())
        };
        let mut read: Vec<usize> =
            (0..self.products.len()).filter(|at| is_eligible(&self.products[*at])).collect();
        if read.len() > PRIOR_LIVES_MAX {
            read.sort_by_cached_key(|at| Digest::of(self.products[*at].product.as_str()));
            read.truncate(PRIOR_LIVES_MAX);
        }
        let lives: Vec<ProductLives> =
            read.par_iter().map(|at| self.product_lives(&self.products[*at])).collect();
        for (at, lives) in read.into_iter().zip(lives) {
            self.lives[at] = Some(lives);
        }
    }

    /// How well each shape explains the lives of a product, of this panel or not.
    pub(super) fn product_lives(&self, product: &ProductSales) -> ProductLives {
        let (steps, lives) = self.steps(product);
        let narrow = |values: Vec<f64>| values.iter().map(|value| *value as f32).collect();
        let of_life = |life: &std::ops::Range<usize>| {
            narrow(self.shapes.log_likelihoods(&steps[life.clone()]))
        };
        let log_likelihoods = lives.ranges.iter().map(of_life).collect();
        ProductLives { lives, log_likelihoods }
    }

    /// A product's steps with spikes capped, and where its lives begin and end.
    pub(super) fn steps(&self, product: &ProductSales) -> (Vec<Observation>, Lives) {
        let n = self.shapes.periods_per_step();
        let seasons = &self.seasons[self.fold(&product.product)];
        let steps = capped(&product.steps(self.frequency(), seasons, n));
        let delisted = product.end.filter(|end| *end <= product.last());
        let step = delisted.map(|end| product.index(end) / n);
        let lives = self.rules().lives(&steps, step);
        (steps, lives)
    }

    pub(super) fn rules(&self) -> LifeRules {
        let n = self.shapes.periods_per_step();
        LifeRules { weeks_per_step: n as f64 * self.frequency().weeks_per_period() }
    }
}
