//! Order lines of a partition: duplicates out, cancellations matched, sorted, written.

use std::cmp::Ordering;

use lifecycle::{Day, Series};
use tables::{Sale, SaleKind};

use super::cancellations::{Fate, fates};
use super::{SaleCounts, Work};
use crate::error::Error;
use crate::mapping::raw::MatchBy;
use crate::refusals::Reason;
use crate::rows::{Line, LineKind};
use crate::spill::{Bucketful, Place, Tag};

/// A line with its series and place.
pub(super) struct Placed {
    pub(super) series: u32,
    pub(super) line: Line,
    pub(super) place: Place,
}

impl Work<'_> {
    pub(super) fn sales(&mut self, rows: &mut Bucketful) -> Result<(), Error> {
        let entries = std::mem::take(&mut rows.entries[Tag::Line as usize]);
        let mut lines: Vec<Placed> = entries
            .into_iter()
            .map(|entry| Placed {
                series: entry.series,
                line: Line::of(entry.words),
                place: entry.place,
            })
            .collect();
        lines.sort_unstable_by(|a, b| {
            a.series.cmp(&b.series).then(compare(&a.line, &b.line)).then(a.place.cmp(&b.place))
        });
        self.remove_duplicates(&mut lines);
        let mut sales: Vec<Sale> = Vec::with_capacity(lines.len());
        for of_series in lines.chunk_by(|a, b| a.series == b.series) {
            let start = sales.len();
            self.of_series(&rows.series[of_series[0].series as usize], of_series, &mut sales);
            sales[start..].sort_unstable_by(compare_sales);
            self.find_spikes_in_sales(&sales[start..]);
        }
        for sale in &sales {
            self.outcome.sales.add(sale);
        }
        self.write(Tag::Line, "sales", &sales)
    }

    fn remove_duplicates(&mut self, lines: &mut Vec<Placed>) {
        let mut last: Option<(u32, Line)> = None;
        lines.retain(|Placed { series, line, place }| {
            let is_duplicate = line.removes_duplicates
                && last.is_some_and(|last| {
                    last.0 == *series && compare(&last.1, line) == Ordering::Equal
                });
            if is_duplicate {
                self.refuse(Reason::Duplicate, *place, line.units);
            }
            last = Some((*series, *line));
            !is_duplicate
        });
    }

    fn of_series(&mut self, series: &Series, lines: &[Placed], sales: &mut Vec<Sale>) {
        let by = |line: &Line| match self.task.match_by {
            MatchBy::Customer => line.customer,
            MatchBy::Order => line.order,
        };
        let fates = fates(lines, by, self.task.within_days);
        for (placed, fate) in lines.iter().zip(fates) {
            let line = &placed.line;
            let day = line.at.day();
            let (kind, units, day, known, of) = match (fate, line.kind) {
                (Fate::Undoes { sale }, _) => {
                    self.outcome.cancellations.matched += 1;
                    let sale = &lines[sale].line;
                    (SaleKind::Cancellation, -line.units, sale.at.day(), day, sale)
                }
                (Fate::Stands, LineKind::Sale) => (SaleKind::Sale, line.units, day, day, line),
                (Fate::Stands, kind) => {
                    let is_cancellation = kind == LineKind::Cancellation;
                    self.outcome.cancellations.unmatched += u64::from(is_cancellation);
                    (SaleKind::Return, line.units, day, day, line)
                }
            };
            sales.push(sale(series, (kind, units), (day, known), of));
        }
    }
}

/// The published row; price, order and customer are those of the sale that it is or undoes.
fn sale(series: &Series, (kind, units): (SaleKind, f64), days: (Day, Day), of: &Line) -> Sale {
    let some = |hash: u64| (hash != 0).then_some(hash);
    Sale {
        series: series.clone(),
        day: days.0,
        known: days.1,
        kind,
        units,
        price: of.price,
        discount: of.discount,
        order: some(of.order),
        customer: some(of.customer),
    }
}

/// By time, kind (a sale before its cancellation) and all other fields.
fn compare(a: &Line, b: &Line) -> Ordering {
    (a.at, a.kind)
        .cmp(&(b.at, b.kind))
        .then(a.units.total_cmp(&b.units))
        .then(a.price.total_cmp(&b.price))
        .then(a.discount.total_cmp(&b.discount))
        .then((a.order, a.customer, a.texts).cmp(&(b.order, b.customer, b.texts)))
        .then(a.removes_duplicates.cmp(&b.removes_duplicates))
}

/// By the fields of the table in their order, within a series.
fn compare_sales(a: &Sale, b: &Sale) -> Ordering {
    (a.day, a.known, a.kind)
        .cmp(&(b.day, b.known, b.kind))
        .then(a.units.total_cmp(&b.units))
        .then(a.price.total_cmp(&b.price))
        .then(a.discount.total_cmp(&b.discount))
        .then((a.order, a.customer).cmp(&(b.order, b.customer)))
}

impl SaleCounts {
    fn add(&mut self, sale: &Sale) {
        self.rows += 1;
        match sale.kind {
            SaleKind::Sale => self.units_sold += sale.units,
            SaleKind::Cancellation => self.units_cancelled -= sale.units,
            SaleKind::Return => self.units_returned += sale.units,
        }
    }
}
