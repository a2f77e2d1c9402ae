//! How far the labels for the test can be relied on, all in one.

use std::collections::BTreeMap;

use lifecycle::ProductId;
use panel::Panel;
use tables::{Label, LabelReliability};

use super::Smoother;
use super::halves::halves_agreement;
use super::level::level_agreement;
use super::settling::settling;

/// Compares labels with those from each half of the buyers, by the level rule, and as made earlier.
pub(crate) fn reliability(
    smoother: &Smoother<'_>,
    labels: &[Label],
    halves: Option<&[Panel; 2]>,
) -> LabelReliability {
    let by_product: BTreeMap<&ProductId, &Label> =
        labels.iter().map(|label| (&label.product, label)).collect();
    LabelReliability {
        lambda: smoother.lambda,
        lambda_fit: None,
        thinned_by: None,
        halves: halves.and_then(|halves| halves_agreement(smoother, &by_product, halves)),
        level_rule: level_agreement(smoother.evidence, &by_product),
        settling: settling(smoother, &by_product),
    }
}
