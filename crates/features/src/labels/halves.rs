//! Labels from each half of the buyers: what they tell of `lambda`, and of the label itself.
//!
//! Each half is labelled by itself, by the same smoother. Neighbouring periods are hardly two
//! cases, hence only every 13th week counts.

use std::collections::BTreeMap;

use lifecycle::accuracy::{agreement, cross_entropy};
use lifecycle::{Frequency, Period, ProductId, Stage};
use panel::Panel;
use rayon::prelude::*;
use tables::{HalvesAgreement, Label, LambdaFit, LambdaLoss};

use super::evidence::{Evidence, ProductLives};
use super::products::{ProductSales, products};
use super::{CASE_WEEKS, SETTLING_WEEKS, Smoother, every, likeliest, scored};

/// Values of `lambda` that are tried.
const LAMBDAS: [f64; 7] = [0.1, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0];

/// Products that `lambda` is fitted on, and lives that its priors come from, at most.
const LAMBDA_PRODUCTS_MAX: usize = 300;
/// With fewer, chance would choose.
const LAMBDA_PRODUCTS_MIN: usize = 30;

/// Products whose halves are compared, at most.
const PRODUCTS_MAX: usize = 1000;

/// One product as each half of the buyers knows it.
struct Pair {
    product: ProductId,
    halves: [(ProductSales, ProductLives); 2],
}

/// What every `lambda` loses where the stage that one half of the buyers speaks for is told by the
/// label of the other half: training products, data up to the cut. `None` where there are too few.
///
/// What a half speaks for is its posterior at `lambda` 1, whatever is tried: a target that moved
/// with `lambda` would be met best by labels that say nothing. Being one half's guess itself, it
/// asks for labels a little less sure than the truth would. (To score instead how the other half's
/// units spread over the weeks of a life asks for more, .5 on Online Retail II: what both halves
/// share, such as a promotion, then counts as if it were the life's shape.)
pub(crate) fn fit_lambda(evidence: &Evidence<'_>, halves: &[Panel; 2]) -> Option<LambdaFit> {
    let pairs = pairs(evidence, halves, LAMBDA_PRODUCTS_MAX, |product| {
        evidence.is_seen(product) && !product.is_labelled()
    });
    let smoother = |lambda| Smoother::with_prior_lives(evidence, lambda, LAMBDA_PRODUCTS_MAX);
    let sure = smoother(1.0);
    let told: Vec<Told<'_>> =
        pairs.par_iter().filter_map(|pair| Told::new(pair, evidence, &sure)).collect();
    if told.len() < LAMBDA_PRODUCTS_MIN {
        return None;
    }
    let losses = LAMBDAS.map(|lambda| -> Vec<f64> {
        let smoother = smoother(lambda);
        told.par_iter().map(|product| product.log_loss(&smoother)).collect()
    });
    let best = (1..LAMBDAS.len()).fold(0, |best, tried| {
        if mean(&losses[tried]) < mean(&losses[best]) { tried } else { best }
    });
    let tried = LAMBDAS.iter().zip(&losses).map(|(lambda, own)| LambdaLoss {
        lambda: *lambda,
        log_loss: mean(own),
        behind_standard_error: standard_error_of_difference(own, &losses[best]),
    });
    let n = told.iter().map(|product| product.periods.len()).sum();
    Some(LambdaFit { n_products: told.len(), n, tried: tried.collect() })
}

/// What each half of a product's buyers speaks for, to be told by the other.
struct Told<'a> {
    pair: &'a Pair,
    periods: Vec<Period>,
    /// Stages that both halves speak for, by period.
    said: Vec<[[f64; 5]; 2]>,
}

impl<'a> Told<'a> {
    /// Periods in which neither half's life is over, old enough to train; `None` without one.
    fn new(pair: &'a Pair, evidence: &Evidence<'_>, sure: &Smoother<'_>) -> Option<Self> {
        let frequency = evidence.frequency();
        let later = frequency.periods_of_weeks(SETTLING_WEEKS) as i32;
        let all: Vec<Period> =
            pair.periods(frequency, evidence.panel.last().plus(-later)).collect();
        let stages = pair.stages(sure, &all);
        let is_running =
            |said: &[[f64; 5]; 2]| said.iter().all(|said| said[Stage::Ended.index()] == 0.0);
        let (periods, said): (Vec<Period>, Vec<_>) = all
            .into_iter()
            .zip(stages.iter().map(|both| both.map(|stages| stages.map(f64::from))))
            .filter(|(_, said)| is_running(said))
            .unzip();
        (!periods.is_empty()).then_some(Self { pair, periods, said })
    }

    /// Mean over the periods, each half telling the other's.
    fn log_loss(&self, smoother: &Smoother<'_>) -> f64 {
        let labels = self.pair.stages(smoother, &self.periods);
        let losses = labels.iter().zip(&self.said).flat_map(|(labels, said)| {
            let [one, other] = labels.map(|label| label.map(f64::from));
            [cross_entropy(&one, &said[1]), cross_entropy(&other, &said[0])]
        });
        mean(&losses.collect::<Vec<f64>>())
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len().max(1) as f64
}

/// Of the mean of paired differences.
fn standard_error_of_difference(losses: &[f64], best: &[f64]) -> f64 {
    let differences: Vec<f64> = losses.iter().zip(best).map(|(own, best)| own - best).collect();
    let center = mean(&differences);
    let squares: Vec<f64> = differences.iter().map(|value| (value - center).powi(2)).collect();
    (mean(&squares) / squares.len().max(1) as f64).sqrt()
}

/// Labels of the whole calendar from each half against each other, over the periods in which the
/// whole's label is valid.
pub(super) fn halves_agreement(
    smoother: &Smoother<'_>,
    labels: &BTreeMap<&ProductId, &Label>,
    halves: &[Panel; 2],
) -> Option<HalvesAgreement> {
    let evidence = smoother.evidence;
    let pairs = pairs(evidence, halves, PRODUCTS_MAX, |product| !product.is_labelled());
    let stages = |pair: &Pair| {
        let label = labels.get(&pair.product)?;
        let periods = pair.periods(evidence.frequency(), evidence.panel.last());
        let valid: Vec<Period> =
            periods.filter(|period| scored(label, *period).is_some()).collect();
        (!valid.is_empty()).then(|| pair.stages(smoother, &valid))
    };
    let by_product: Vec<Vec<[[f32; 5]; 2]>> = pairs.par_iter().filter_map(stages).collect();
    let mut confusion = [[0; 5]; 5];
    let mut claimed = 0.0;
    for [one, other] in by_product.iter().flatten() {
        let [first, second] = [likeliest(one), likeliest(other)];
        confusion[first][second] += 1;
        claimed += f64::from(one[first] + other[second]) / 2.0;
    }
    let n: u64 = confusion.iter().flatten().sum();
    let (agreement, kappa) = agreement(&confusion)?;
    Some(HalvesAgreement {
        n_products: by_product.len(),
        n,
        agreement,
        kappa,
        confidence: claimed / n as f64,
    })
}

impl Pair {
    /// Stage probabilities from each half in some periods.
    fn stages(&self, smoother: &Smoother<'_>, periods: &[Period]) -> Vec<[[f32; 5]; 2]> {
        let [first, second] = self.halves.each_ref().map(|(product, lives)| {
            let at = |period: &Period| product.index(*period);
            smoother.stages_at(product, lives, periods.iter().map(at))
        });
        first.into_iter().zip(second).map(<[_; 2]>::from).collect()
    }

    /// Every 13th week in which both halves have begun.
    fn periods(&self, frequency: Frequency, last: Period) -> impl Iterator<Item = Period> + use<> {
        let first = self.halves.iter().map(|(product, _)| product.start).max().unwrap_or(last);
        let step = frequency.periods_of_weeks(CASE_WEEKS);
        (first.0..=last.0).rev().step_by(step).map(Period)
    }
}

/// Products of the evidence that can be labelled from each half, evenly chosen.
fn pairs(
    evidence: &Evidence<'_>,
    halves: &[Panel; 2],
    n_max: usize,
    is_wanted: impl Fn(&ProductSales) -> bool,
) -> Vec<Pair> {
    let frequency = evidence.frequency();
    let eligible = |panel: &Panel| -> BTreeMap<ProductId, ProductSales> {
        let all = products(panel).into_iter();
        all.filter(|product| product.is_eligible(frequency))
            .map(|product| (product.product.clone(), product))
            .collect()
    };
    let [mut first, mut second] = halves.each_ref().map(eligible);
    let wanted = evidence.products.iter().filter(|product| is_wanted(product));
    let both: Vec<(ProductId, [ProductSales; 2])> = wanted
        .filter_map(|product| {
            let id = &product.product;
            Some((id.clone(), [first.remove(id)?, second.remove(id)?]))
        })
        .collect();
    let step = every(both.len(), n_max);
    let chosen: Vec<_> = both.into_iter().step_by(step).collect();
    let read = |product: ProductSales| {
        let lives = evidence.product_lives(&product);
        (product, lives)
    };
    chosen
        .into_par_iter()
        .map(|(product, halves)| Pair { product, halves: halves.map(read) })
        .collect()
}
