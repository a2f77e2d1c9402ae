//! All series of a data set by period, and the same from each half of the buyers.
//!
//! Units of a half are binned as the whole's are, from its rows alone. They are for labels: nothing
//! of them is written, so that no model can see them.

use std::collections::BTreeMap;

use lifecycle::{Digest, ProductId, Progress, Series};
use panel::{Channel, Coverage, DatedRows, History, Statics};
use rayon::prelude::*;
use tables::{Half, Product};

use crate::partitions::{Partitions, SeriesRows};
use crate::{Error, report};

/// Products whose halves are kept, at most: more change no figure that matters, and memory stays
/// bounded. Those of the smallest digests are taken, whatever they sold.
const HALVES_PRODUCTS_MAX: usize = 4000;

/// What is wanted of the halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halves {
    /// Nothing.
    None,
    /// Units of some products beside the whole's.
    Sampled,
    /// In place of the whole: everything of the first half, and the units of the second.
    InPlace,
}

/// All series, sorted.
#[derive(Debug, Default)]
pub(crate) struct Binned {
    /// What models see.
    pub(crate) histories: Vec<History>,
    /// Units from each half, with the stock; empty where they are not wanted.
    pub(crate) halves: [Vec<History>; 2],
}

impl Binned {
    /// Bins one partition after the other.
    pub(crate) fn of(
        partitions: &Partitions<'_>,
        coverage: &Coverage,
        wanted: Halves,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let products: BTreeMap<ProductId, Statics> = partitions
            .products()?
            .into_iter()
            .map(|product| (product.product.clone(), statics(coverage, product)))
            .collect();
        let n_partitions = partitions.dataset.n_partitions;
        let mut binned = Self::default();
        let mut halves = BTreeMap::new();
        for number in 0..n_partitions {
            report(progress, "bin", number, n_partitions)?;
            let rows: Vec<_> = partitions.rows(number)?.into_iter().collect();
            let of_series: Vec<OneSeries> = rows
                .into_par_iter()
                .map(|(series, rows)| {
                    let statics = products.get(&series.product).cloned().unwrap_or_default();
                    OneSeries::bin(coverage, (series, statics), &rows, wanted)
                })
                .collect();
            for OneSeries { history, halves: of_series } in of_series {
                if wanted != Halves::None {
                    keep(&mut halves, of_series);
                }
                binned.histories.extend(history);
            }
            while wanted == Halves::Sampled && halves.len() > HALVES_PRODUCTS_MAX {
                halves.pop_last();
            }
        }
        report(progress, "bin", n_partitions, n_partitions)?;
        for of_product in halves.into_values() {
            let both = binned.halves.iter_mut().zip(of_product);
            both.for_each(|(all, histories)| all.extend(histories));
        }
        let Self { histories, halves: [first, second] } = &mut binned;
        for histories in [histories, first, second] {
            histories.sort_by(|one, other| one.series.cmp(&other.series));
        }
        Ok(binned)
    }
}

/// One series, and from each half.
struct OneSeries {
    history: Option<History>,
    halves: [Option<History>; 2],
}

impl OneSeries {
    fn bin(
        coverage: &Coverage,
        (series, statics): (Series, Statics),
        rows: &SeriesRows,
        wanted: Halves,
    ) -> Self {
        let bin = |rows: &DatedRows| panel::bin(coverage, series.clone(), statics.clone(), rows);
        let half = |half| bin(&rows.of_half(half)).map(units_alone);
        match wanted {
            Halves::None => Self { history: bin(&rows.rows), halves: [None, None] },
            Halves::Sampled => Self { history: bin(&rows.rows), halves: Half::ALL.map(half) },
            Halves::InPlace => {
                let offers = rows.rows.offers.clone();
                let mut history = bin(&DatedRows { offers, ..rows.of_half(Half::First) });
                // Unknown, not none: visitors are of both halves.
                if let Some(history) = &mut history {
                    for channel in [Channel::Views, Channel::Carts] {
                        history.channels[channel as usize] = Vec::new();
                    }
                }
                Self { history, halves: Half::ALL.map(half) }
            }
        }
    }
}

/// Labels read units and stock alone.
fn units_alone(mut history: History) -> History {
    for channel in Channel::ALL {
        if !matches!(channel, Channel::Units | Channel::InStock) {
            history.channels[channel as usize] = Vec::new();
        }
    }
    history
}

/// Puts a series beside those of its product, under the product's digest.
fn keep(products: &mut BTreeMap<Digest, [Vec<History>; 2]>, of_series: [Option<History>; 2]) {
    let Some(product) = of_series.iter().flatten().next().map(|history| &history.series.product)
    else {
        return;
    };
    // Not the digest of the id alone: by that the unseen products are chosen.
    let rank = Digest::of(format!("half\0{}", product.as_str()));
    let both = products.entry(rank).or_default().iter_mut().zip(of_series);
    both.for_each(|(histories, history)| histories.extend(history));
}

fn statics(coverage: &Coverage, product: Product) -> Statics {
    let Product { product: _, category, brand, title, launch, end } = product;
    let period = |day| coverage.frequency.period_of(day);
    Statics { category, brand, title, launch: launch.map(period), end: end.map(period) }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Day, Frequency, Period};
    use panel::{Sold, SoldKind, Stocked, Watched};

    use super::*;

    fn rows() -> SeriesRows {
        let sold = |day: i32, known: i32, units: f64| Sold {
            day: Day(day),
            known: Day(known),
            kind: if units < 0.0 { SoldKind::Cancellation } else { SoldKind::Sale },
            units,
            price: 2.0,
            discount: 0.0,
            order: Some(day as u64),
        };
        // Some are booked late, some undone later by the buyer of the sale.
        let (mut sales, mut halves) = (Vec::new(), Vec::new());
        for n in 0..100 {
            let (day, units) = (3 * n, f64::from(5 + n % 7));
            let half = Half::ALL[usize::from(n % 3 == 0)];
            sales.push(sold(day, day + if n % 8 == 5 { 12 } else { 0 }, units));
            halves.push(half);
            if n % 5 == 4 {
                sales.push(sold(day, day + 15, -units));
                halves.push(half);
            }
        }
        let watched = Watched { day: Day(9), views: 5.0, carts: 1.0 };
        SeriesRows {
            rows: DatedRows {
                sales,
                stock: vec![Stocked { day: Day(30), n_days: 7, in_stock: 0.5 }],
                events: vec![watched],
                ..DatedRows::default()
            },
            halves,
        }
    }

    fn binned(wanted: Halves) -> OneSeries {
        let frequency = Frequency::Week;
        let mut coverage = Coverage::new(frequency, frequency.period_of(Day(0)), 45);
        coverage.watched.insert(frequency.period_of(Day(9)));
        OneSeries::bin(&coverage, (Series::of("mug"), Statics::default()), &rows(), wanted)
    }

    #[test]
    fn halves_add_up_to_the_whole_at_every_origin() {
        let OneSeries { history, halves } = binned(Halves::Sampled);
        let (whole, halves) = (history.expect("sold"), halves.map(|half| half.expect("sold")));
        let units = |history: &History, origin: Period, period: Period| {
            let known = history.known_at(origin);
            let value = known.map_or(f32::NAN, |known| known.value(Channel::Units, period));
            if value.is_nan() { 0.0 } else { value }
        };
        for origin in (0..45).map(|week| whole.start.plus(week)) {
            for period in (whole.start.0..=origin.0).map(Period) {
                let sum: f32 = halves.iter().map(|half| units(half, origin, period)).sum();
                assert_eq!(sum, units(&whole, origin, period), "{period:?} as of {origin:?}");
            }
        }
        assert!(halves[0].channel(Channel::Price).is_empty());
        assert_eq!(halves[1].value(Channel::InStock, whole.start.plus(4)), 0.5);
    }

    #[test]
    fn in_place_of_the_whole_stands_the_first_half_without_what_all_visitors_did() {
        let sampled = binned(Halves::Sampled);
        let OneSeries { history, halves } = binned(Halves::InPlace);
        let first = history.expect("sold");
        let [one, _] = sampled.halves.map(|half| half.expect("sold"));
        assert_eq!(first.channel(Channel::Units), one.channel(Channel::Units));
        assert!(!first.channel(Channel::Price).is_empty());
        assert!(first.channel(Channel::Views).is_empty());
        assert!(!sampled.history.expect("sold").channel(Channel::Views).is_empty());
        assert!(halves[1].is_some());
        assert!(binned(Halves::None).halves.iter().all(Option::is_none));
    }
}
