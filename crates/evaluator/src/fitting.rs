//! Which validation rows distributions of points and dependence over time are fitted on: the same
//! for ours, rules and peers, so that who forecasts them is completed as all others are.

use std::collections::BTreeSet;

use lifecycle::{Digest, Part, Period, ProductId, Split};
use panel::{History, PanelMeta};

/// Origins whose steps reach into the validation part, one in `step` periods, ascending.
pub fn fit_origins(meta: &PanelMeta, split: &Split) -> Vec<Period> {
    let n_steps = meta.n_outlook_periods();
    let last = split.cut.saturating_sub(1);
    let is_validation = |origin: &Period| {
        (1..=n_steps).any(|step| split.part(*origin, step) == Some(Part::Validation))
    };
    let mut origins: Vec<Period> = (0..=last / split.step)
        .map(|back| last - back * split.step)
        .filter(|n_before| *n_before > 0)
        .map(|n_before| split.origin_after(n_before))
        .filter(is_validation)
        .collect();
    origins.reverse();
    origins
}

/// Positions of the series of the seen products with the smallest digests, ascending: as good as
/// drawn, and always the same.
pub fn fit_series(
    histories: &[History],
    unseen: &BTreeSet<ProductId>,
    n_products: usize,
) -> Vec<usize> {
    let mut products: Vec<(Digest, &ProductId)> = histories
        .iter()
        .map(|history| &history.series.product)
        .filter(|product| !unseen.contains(*product))
        .map(|product| (Digest::of(product.as_str()), product))
        .collect();
    products.sort();
    products.dedup();
    let chosen: BTreeSet<&ProductId> =
        products.into_iter().take(n_products).map(|(_, product)| product).collect();
    let is_chosen = |series: &usize| chosen.contains(&histories[*series].series.product);
    (0..histories.len()).filter(is_chosen).collect()
}
