//! The quality report: what was read, what was refused and why, and what looks odd.

use std::collections::BTreeMap;

use lifecycle::{Day, Frequency, Period};
use serde::Serialize;
use tables::{Product, Quarantined};

use crate::intake::FileReport;
use crate::partition::{Outcome, PanelCounts, SaleCounts, Spike};
use crate::refusals::Refusals;

/// Refused rows shown for each reason.
const EXAMPLES: usize = 5;
/// Periods without any row that are named.
const GAPS_MAX: usize = 100;

/// `quality.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Quality {
    pub(crate) name: String,
    pub(crate) first_day: String,
    pub(crate) last_day: String,
    pub(crate) rows: Rows,
    pub(crate) products: Products,
    pub(crate) units: Units,
    pub(crate) cancellations: Cancellations,
    /// Rows with a negative quantity, refused or not.
    pub(crate) negative_quantities: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) panel: Option<PanelCells>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) periods_without_rows: Gaps,
    pub(crate) spikes: Spikes,
    pub(crate) files: Vec<FileReport>,
}

/// Rows of all files; of a wide panel, its cells.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Rows {
    pub(crate) read: u64,
    pub(crate) kept: u64,
    pub(crate) refused: u64,
    /// Left out by the mapping's own filters.
    pub(crate) filtered: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Products {
    pub(crate) known: u64,
    pub(crate) sold: u64,
    pub(crate) series: u64,
    /// A table of products says two different things of them.
    pub(crate) contradicted: u64,
}

/// Units by their fate.
#[derive(Debug, Serialize)]
pub(crate) struct Units {
    pub(crate) sold: f64,
    pub(crate) cancelled: f64,
    pub(crate) returned: f64,
    /// In refused rows, as far as they could be read.
    pub(crate) refused: f64,
    /// Share of all units read that stays sold after cancellations.
    pub(crate) share_kept: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Cancellations {
    pub(crate) matched: u64,
    /// They are returns on their own day.
    pub(crate) unmatched: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct PanelCells {
    pub(crate) rows: u64,
    pub(crate) missing: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    /// Rows refused for it, as the first of their findings.
    pub(crate) rows: u64,
    /// Rows that show it.
    pub(crate) found: u64,
    pub(crate) units: f64,
    pub(crate) examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Example {
    pub(crate) file: String,
    pub(crate) row: u64,
    pub(crate) column: String,
    pub(crate) value: String,
}

/// Periods between the first and the last in which nothing was sold at all.
#[derive(Debug, Serialize)]
pub(crate) struct Gaps {
    pub(crate) count: u64,
    pub(crate) first_days: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Spikes {
    pub(crate) count: u64,
    pub(crate) largest: Vec<NamedSpike>,
}

/// A spike as people read it.
#[derive(Debug, Serialize)]
pub(crate) struct NamedSpike {
    pub(crate) series: String,
    /// First day of the period.
    pub(crate) day: String,
    pub(crate) units: f64,
    /// Median of the series' selling periods.
    pub(crate) median: f64,
}

impl Spikes {
    pub(crate) fn of(count: u64, spikes: &[Spike]) -> Self {
        let named = spikes.iter().map(|spike| NamedSpike {
            series: spike.series.to_string(),
            day: spike.day.to_string(),
            units: rounded(spike.units),
            median: rounded(spike.median),
        });
        Self { count, largest: named.collect() }
    }
}

/// Sums over all partitions.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) refusals: Refusals,
    pub(crate) sales: SaleCounts,
    pub(crate) panel: PanelCounts,
    pub(crate) cancellations: Cancellations,
    pub(crate) products: Products,
    pub(crate) n_spikes: u64,
    pub(crate) spikes: Vec<Spike>,
}

impl Totals {
    pub(crate) fn new(refusals: Refusals) -> Self {
        Self {
            refusals,
            sales: SaleCounts::default(),
            panel: PanelCounts::default(),
            cancellations: Cancellations { matched: 0, unmatched: 0 },
            products: Products { known: 0, sold: 0, series: 0, contradicted: 0 },
            n_spikes: 0,
            spikes: Vec::new(),
        }
    }

    /// Adds a partition, called in their order; hands back its products.
    pub(crate) fn add(&mut self, outcome: Outcome) -> Vec<Product> {
        self.refusals.absorb(outcome.refusals);
        self.sales.rows += outcome.sales.rows;
        self.sales.units_sold += outcome.sales.units_sold;
        self.sales.units_cancelled += outcome.sales.units_cancelled;
        self.sales.units_returned += outcome.sales.units_returned;
        self.panel.rows += outcome.panel.rows;
        self.panel.missing += outcome.panel.missing;
        self.panel.units += outcome.panel.units;
        self.cancellations.matched += outcome.cancellations.matched;
        self.cancellations.unmatched += outcome.cancellations.unmatched;
        self.products.known += outcome.products.len() as u64;
        self.products.sold += outcome.n_products_sold;
        self.products.series += outcome.n_series;
        self.products.contradicted += outcome.n_contradicted;
        self.n_spikes += outcome.n_spikes;
        self.spikes.extend(outcome.spikes);
        self.spikes.sort_by(Spike::compare);
        self.spikes.truncate(crate::partition::SPIKES_MAX);
        outcome.products
    }

    /// Units that stay sold, of all that were read.
    pub(crate) fn units(&self) -> Units {
        let refused: f64 = self.refusals.tallies().values().map(|tally| tally.units).sum();
        let SaleCounts { units_sold, units_cancelled, units_returned, .. } = self.sales;
        let sold = units_sold + self.panel.units;
        let kept = sold - units_cancelled;
        let all = sold + refused;
        Units {
            sold: rounded(sold),
            cancelled: rounded(units_cancelled),
            returned: rounded(units_returned),
            refused: rounded(refused),
            share_kept: if all > 0.0 { (kept / all * 1e6).round() / 1e6 } else { 0.0 },
        }
    }
}

/// Sums of fractions differ in their last bits with the order of rows.
fn rounded(units: f64) -> f64 {
    (units * 1e3).round() / 1e3
}

impl Rows {
    pub(crate) fn of(files: &[FileReport], refusals_later: u64) -> Self {
        let sum = |of: fn(&FileReport) -> u64| files.iter().map(of).sum::<u64>();
        let (kept, refused) = (sum(|file| file.kept), sum(|file| file.refused));
        let filtered = sum(|file| file.filtered);
        Self {
            read: kept + refused + filtered,
            kept: kept - refusals_later,
            refused: refused + refusals_later,
            filtered,
        }
    }
}

/// Every reason with its counts and first rows.
pub(crate) fn refused(refusals: &Refusals) -> Vec<Refused> {
    let example = |row: &Quarantined| Example {
        file: row.file.clone(),
        row: row.row,
        column: row.column.clone(),
        value: row.value.clone(),
    };
    let tallies = refusals.tallies().iter();
    tallies
        .map(|(reason, tally)| Refused {
            reason: reason.text(),
            rows: tally.refused,
            found: tally.found,
            units: rounded(tally.units),
            examples: tally.rows.iter().take(EXAMPLES).map(example).collect(),
        })
        .collect()
}

/// Days without a row of any product that speak of a wrong date: one order of 2042 would make years of
/// zeros of all products. Fewer are enough where hardly any row lies on one side.
const GAP_DAYS_MAX: i32 = 366;
const ISLAND_GAP_DAYS_MAX: i32 = 91;
/// Hardly any: less than one row in so many.
const ISLAND_ROWS: u64 = 100;

/// First and last day of the longest time without any row that speaks of a wrong date.
pub(crate) fn wrong_gap(periods: &BTreeMap<i32, u64>, frequency: Frequency) -> Option<(Day, Day)> {
    let total: u64 = periods.values().sum();
    let (mut passed, mut longest) = (0, None);
    for ((before, rows), after) in periods.iter().zip(periods.keys().skip(1)) {
        passed += rows;
        let first = frequency.first_day(Period(before + 1));
        let last = frequency.last_day(Period(after - 1));
        let n_days = last.0 - first.0 + 1;
        let is_island = ISLAND_ROWS * passed.min(total - passed) < total;
        let most = if is_island { ISLAND_GAP_DAYS_MAX } else { GAP_DAYS_MAX };
        if n_days > most && longest.is_none_or(|(_, _, longest)| n_days > longest) {
            longest = Some((first, last, n_days));
        }
    }
    longest.map(|(first, last, _)| (first, last))
}

/// Periods without any row, between the first and the last with one.
pub(crate) fn gaps(periods: &BTreeMap<i32, u64>, frequency: Frequency) -> Gaps {
    let mut gaps = Gaps { count: 0, first_days: Vec::new() };
    for (&before, &after) in periods.keys().zip(periods.keys().skip(1)) {
        gaps.count += u64::from((after - before - 1).unsigned_abs());
        let n_named = GAPS_MAX - gaps.first_days.len();
        let missing = (before + 1..after).take(n_named);
        gaps.first_days
            .extend(missing.map(|number| frequency.first_day(Period(number)).to_string()));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rows_after_a_quarter_or_a_year_without_any_speak_of_a_wrong_date() {
        let gap = |rows: &[(i32, u64)]| {
            let periods = rows.iter().copied().collect();
            wrong_gap(&periods, Frequency::Week).map(|(first, last)| last.0 - first.0 + 1)
        };
        let shop = (100..200).map(|week| (week, 5)).collect::<Vec<_>>();
        let with = |others: &[(i32, u64)]| gap(&[&shop, others].concat());
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[(248, 1)]), Some(7 * 48));
        assert_eq!(with(&[(30, 1)]), Some(7 * 69));
        // A season, a short break, and a year of many rows on both sides.
        assert_eq!(with(&[(230, 400)]), None);
        assert_eq!(with(&[(212, 1)]), None);
        assert_eq!(with(&[(252, 400)]), None);
        assert_eq!(with(&[(253, 400)]), Some(7 * 53));
    }
}
