//! The second label set: the level rule on a product's smoothed sales.
//!
//! Season, spikes, lives and ends are the smoother's own (steps 2 to 5); only the reading of a life
//! is another: by the shares of its smoothed peak that its sales reach and leave.

use std::collections::BTreeMap;

use lifecycle::accuracy::agreement;
use lifecycle::{Period, ProductId, Stage, level_rule};
use tables::{Agreement, Label};

use super::evidence::Evidence;
use super::products::ProductSales;
use super::{CASE_WEEKS, every, scored};

/// Products that are compared, at most.
const PRODUCTS_MAX: usize = 1000;

/// Stages by period.
pub(super) fn level_stages(evidence: &Evidence<'_>, product: &ProductSales) -> Vec<Stage> {
    let (steps, lives) = evidence.steps(product);
    let levels = evidence.rules().smooth_levels(&steps);
    let mut stages = vec![Stage::Ended; steps.len()];
    for life in lives.ranges {
        let by_rule = level_rule(&levels[life.clone()]);
        for (stage, ruled) in stages[life].iter_mut().zip(by_rule) {
            // A life ends by its own rule, not by how low it has sunk.
            *stage = if ruled == Stage::Ended { Stage::Decline } else { ruled };
        }
    }
    let n = evidence.shapes.periods_per_step();
    (0..product.units.len()).map(|period| stages[period / n]).collect()
}

/// The label's likeliest stage against the level rule's, every 13th week in which it is valid.
pub(super) fn level_agreement(
    evidence: &Evidence<'_>,
    labels: &BTreeMap<&ProductId, &Label>,
) -> Option<Agreement> {
    let labelled: Vec<(&ProductSales, &Label)> = evidence
        .products
        .iter()
        .filter(|product| !product.is_labelled())
        .filter_map(|product| Some((product, *labels.get(&product.product)?)))
        .collect();
    let mut confusion = [[0; 5]; 5];
    let step = evidence.frequency().periods_of_weeks(CASE_WEEKS);
    for (product, label) in labelled.iter().step_by(every(labelled.len(), PRODUCTS_MAX)) {
        let ruled = level_stages(evidence, product);
        for period in (product.start.0..=product.last().0).rev().step_by(step).map(Period) {
            let Some(stage) = scored(label, period) else { continue };
            confusion[stage.index()][ruled[product.index(period)].index()] += 1;
        }
    }
    let (agreement, kappa) = agreement(&confusion)?;
    Some(Agreement { n: confusion.iter().flatten().sum(), agreement, kappa })
}
