//! How a label settles: what was made of a product some weeks later against what is made of it in
//! the end.
//!
//! Only the product's own later sales are hidden; season and prior are those of the final label, so
//! that the curve tells what waiting for the product's own weeks is worth.

use std::collections::BTreeMap;

use lifecycle::{Period, ProductId};
use panel::{History, Panel};
use rayon::prelude::*;
use tables::{Label, Settled, Settling};

use super::products::{ProductSales, products};
use super::{CASE_WEEKS, Smoother, every, likeliest, scored};
use crate::known::panel_at;

/// Weeks of data after the labelled period.
const WEEKS: [u32; 4] = [0, 8, 13, 26];

/// Weeks that the final label has seen at least, so that it is another than the last early one.
const FINAL_WEEKS: u32 = 52;

/// Products that are followed, at most.
const PRODUCTS_MAX: usize = 300;

/// A period of a product whose label was made as often.
struct Case {
    /// Units sold in the 13 weeks up to the period.
    volume: f64,
    /// The final label's likeliest stage.
    last: usize,
    /// Labels by [`WEEKS`].
    early: [[f32; 5]; WEEKS.len()],
}

/// What was made of a product at an origin.
struct Early {
    product: ProductSales,
    /// In each period that was asked for, if the product had begun.
    stages: BTreeMap<Period, [f32; 5]>,
}

/// The settling curve; empty where no label is old enough.
pub(super) fn settling(
    smoother: &Smoother<'_>,
    labels: &BTreeMap<&ProductId, &Label>,
) -> Vec<Settling> {
    let mut cases = cases(smoother, labels);
    if cases.is_empty() {
        return Vec::new();
    }
    cases.sort_by(|one, other| one.volume.total_cmp(&other.volume));
    let thirds = [0, 1, 2, 3].map(|third| third * cases.len() / 3);
    let settling = |(step, weeks): (usize, &u32)| Settling {
        weeks: *weeks,
        all: settled(&cases, step),
        by_volume: std::array::from_fn(|third| {
            settled(&cases[thirds[third]..thirds[third + 1]], step)
        }),
    };
    WEEKS.iter().enumerate().map(settling).collect()
}

fn settled(cases: &[Case], step: usize) -> Settled {
    let n = cases.len().max(1) as f64;
    let agreed = cases.iter().filter(|case| likeliest(&case.early[step]) == case.last).count();
    let given: f64 = cases.iter().map(|case| f64::from(case.early[step][case.last])).sum();
    Settled { n: cases.len() as u64, agreement: agreed as f64 / n, probability: given / n }
}

/// Every 13th week of some products that had a label at once and were not over in the end.
fn cases(smoother: &Smoother<'_>, labels: &BTreeMap<&ProductId, &Label>) -> Vec<Case> {
    let panel = smoother.evidence.panel;
    // A period at least for any weeks, but none for none.
    let n_periods =
        |weeks: u32| if weeks == 0 { 0 } else { panel.frequency.periods_of_weeks(weeks) };
    let newest = panel.last().plus(-(n_periods(FINAL_WEEKS) as i32));
    let some = Panel { histories: followed(smoother, labels), ..*panel };
    let mut made: BTreeMap<Period, Vec<Early>> = BTreeMap::new();
    let mut cases = Vec::new();
    let newest_first = (panel.start.0..=newest.0).rev().step_by(n_periods(CASE_WEEKS));
    let periods: Vec<Period> = newest_first.map(Period).collect();
    for period in periods.iter().copied() {
        let seen = WEEKS.map(|weeks| period.plus(n_periods(weeks) as i32));
        for as_of in seen {
            let asked = WEEKS.map(|weeks| as_of.plus(-(n_periods(weeks) as i32)));
            let asked: Vec<Period> =
                asked.into_iter().filter(|period| periods.contains(period)).collect();
            made.entry(as_of).or_insert_with(|| labels_at(smoother, &some, as_of, &asked));
        }
        // Later ones are needed no more.
        made.retain(|as_of, _| *as_of <= seen[WEEKS.len() - 1]);
        for Early { product, .. } in &made[&period] {
            let volume = recent_units(product, n_periods(13));
            let case = || {
                let last = scored(labels.get(&product.product)?, period)?.index();
                Some(Case { volume, last, early: early(&product.product, (period, seen), &made)? })
            };
            cases.extend(case());
        }
    }
    cases
}

/// Units of the last periods.
fn recent_units(product: &ProductSales, n_periods: usize) -> f64 {
    product.units.iter().rev().take(n_periods).filter(|units| units.is_finite()).sum()
}

/// The labels of a period by [`WEEKS`]; `None` where one is missing.
fn early(
    product: &ProductId,
    (period, seen): (Period, [Period; WEEKS.len()]),
    made: &BTreeMap<Period, Vec<Early>>,
) -> Option<[[f32; 5]; WEEKS.len()]> {
    let mut early = [[0.0; 5]; WEEKS.len()];
    for (early, as_of) in early.iter_mut().zip(seen) {
        let all = &made[&as_of];
        let at = all.binary_search_by(|other| other.product.product.cmp(product)).ok()?;
        *early = *all[at].stages.get(&period)?;
    }
    Some(early)
}

/// Histories of some products with a label of their own, evenly chosen.
fn followed(smoother: &Smoother<'_>, labels: &BTreeMap<&ProductId, &Label>) -> Vec<History> {
    let all = &smoother.evidence.products;
    let has_label =
        |product: &&ProductSales| !product.is_labelled() && labels.contains_key(&product.product);
    let labelled: Vec<&ProductId> =
        all.iter().filter(has_label).map(|product| &product.product).collect();
    let chosen: Vec<&ProductId> =
        labelled.iter().copied().step_by(every(labelled.len(), PRODUCTS_MAX)).collect();
    let histories = smoother.evidence.panel.histories.iter();
    histories
        .filter(|history| chosen.binary_search(&&history.series.product).is_ok())
        .cloned()
        .collect()
}

/// Labels as made at an origin, of the products that could be labelled then.
fn labels_at(
    smoother: &Smoother<'_>,
    panel: &Panel,
    as_of: Period,
    asked: &[Period],
) -> Vec<Early> {
    let known = panel_at(panel, as_of);
    let eligible =
        products(&known).into_par_iter().filter(|product| product.is_eligible(panel.frequency));
    eligible
        .map(|product| {
            let lives = smoother.evidence.product_lives(&product);
            let begun: Vec<Period> =
                asked.iter().copied().filter(|period| *period >= product.start).collect();
            let at = |period: &Period| product.index(*period);
            let stages = smoother.stages_at(&product, &lives, begun.iter().map(at));
            Early { stages: begun.into_iter().zip(stages).collect(), product }
        })
        .collect()
}
