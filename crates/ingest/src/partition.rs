//! The second pass: one partition is sorted, rid of duplicates and contradictions, and written.

mod cancellations;
mod counts;
mod panel;
mod products;
mod sales;
mod spikes;

use std::cmp::Ordering;
use std::path::Path;

use lifecycle::{Frequency, Series};
use tables::{Product, Table};

pub(crate) use cancellations::CancellationCounts;
pub(crate) use spikes::{SPIKES_MAX, Spike};

use crate::error::Error;
use crate::mapping::{Mapping, raw::MatchBy};
use crate::refusals::{Reason, Refusals};
use crate::rows::Plan;
use crate::spill::{Bucketful, Entry, Place, Spill, Tag, WORDS};

/// What all partitions share.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) spill: &'a Spill,
    pub(crate) n_partitions: usize,
    /// Names of the files, by [`Place::file`].
    pub(crate) files: Vec<String>,
    pub(crate) output: &'a Path,
    pub(crate) frequency: Frequency,
    pub(crate) within_days: i32,
    pub(crate) match_by: MatchBy,
    pub(crate) quarantine_rows_max: usize,
}

/// What a partition came to; added up in the order of the partitions.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) refusals: Refusals,
    pub(crate) products: Vec<Product>,
    pub(crate) n_series: u64,
    pub(crate) n_products_sold: u64,
    /// Products of which a table of products says two different things.
    pub(crate) n_contradicted: u64,
    pub(crate) cancellations: CancellationCounts,
    pub(crate) sales: SaleCounts,
    pub(crate) panel: PanelCounts,
    pub(crate) spikes: Vec<Spike>,
    pub(crate) n_spikes: u64,
    /// Rows that contradict another, of rows, by [`Tag`].
    pub(crate) contradictions: [(u64, u64); Tag::ALL.len()],
}

/// Rows and units that reached `sales`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SaleCounts {
    pub(crate) rows: u64,
    pub(crate) units_sold: f64,
    pub(crate) units_cancelled: f64,
    pub(crate) units_returned: f64,
}

/// Cells that reached `panel`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PanelCounts {
    pub(crate) rows: u64,
    pub(crate) missing: u64,
    pub(crate) units: f64,
}

impl Task<'_> {
    /// How cancellations are matched: as the mapping says, else by what its tables have.
    pub(crate) fn match_by(mapping: &Mapping) -> MatchBy {
        let has_customer = mapping
            .sources
            .iter()
            .any(|source| matches!(&source.plan, Plan::Lines(plan) if plan.customer.is_some()));
        let usual = if has_customer { MatchBy::Customer } else { MatchBy::Order };
        mapping.cancellations.match_by.unwrap_or(usual)
    }

    /// Works off one partition.
    pub(crate) fn run(&self, partition: usize) -> Result<Outcome, Error> {
        let mut rows = self.spill.read(partition, self.n_partitions)?;
        let mut work = Work {
            task: self,
            partition,
            outcome: Outcome {
                refusals: Refusals::new(self.quarantine_rows_max),
                products: Vec::new(),
                n_series: 0,
                n_products_sold: 0,
                n_contradicted: 0,
                cancellations: CancellationCounts::default(),
                sales: SaleCounts::default(),
                panel: PanelCounts::default(),
                spikes: Vec::new(),
                n_spikes: 0,
                contradictions: [(0, 0); Tag::ALL.len()],
            },
        };
        work.count_series(&rows);
        work.sales(&mut rows)?;
        work.events(&mut rows)?;
        work.stock(&mut rows)?;
        work.offers(&mut rows)?;
        work.panel(&mut rows)?;
        work.products(&rows)?;
        Ok(work.outcome)
    }
}

/// One partition at work.
struct Work<'a> {
    task: &'a Task<'a>,
    partition: usize,
    outcome: Outcome,
}

impl Work<'_> {
    /// Counts series and products that have sales.
    fn count_series(&mut self, rows: &Bucketful) {
        let mut is_sold = vec![false; rows.series.len()];
        for entry in rows.of(Tag::Line).iter().chain(rows.of(Tag::Panel)) {
            is_sold[entry.series as usize] = true;
        }
        let mut last = None;
        for (series, _) in rows.series.iter().zip(is_sold).filter(|(_, is_sold)| *is_sold) {
            self.outcome.n_series += 1;
            self.outcome.n_products_sold += u64::from(last != Some(&series.product));
            last = Some(&series.product);
        }
    }

    fn refuse(&mut self, reason: Reason, place: Place, units: f64) {
        let file = &self.task.files[place.file as usize];
        self.outcome.refusals.find(reason);
        self.outcome.refusals.refuse(reason, (file, place.row), units, Default::default);
    }

    /// Writes the partition's part of a table, if any partition has rows of it.
    fn write<T: Table>(&self, tag: Tag, folder: &str, rows: &[T]) -> Result<(), Error> {
        if self.task.spill.count(tag) == 0 {
            return Ok(());
        }
        let name = format!("part-{:03}.parquet", self.partition);
        Ok(tables::write(&self.task.output.join(folder).join(name), rows)?)
    }

    /// Sorts rows by series, the first `n_key` words and the rest; of rows equal in all words one
    /// is kept, and rows that share a key but nothing else contradict each other: none is kept.
    fn resolved(&mut self, rows: &mut Bucketful, tag: Tag, n_key: usize) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut rows.entries[tag as usize]);
        entries.sort_unstable_by(compare);
        let key = |entry: &Entry| {
            let mut key = [0; WORDS];
            key[..n_key].copy_from_slice(&entry.words[..n_key]);
            (entry.series, key)
        };
        let mut kept = Vec::with_capacity(entries.len());
        let mut n_contradictions = 0;
        for group in entries.chunk_by(|a, b| key(a) == key(b)) {
            let is_one = group.iter().all(|entry| entry.words == group[0].words);
            if is_one {
                kept.push(group[0]);
            } else {
                n_contradictions += group.len() as u64;
            }
            for entry in &group[usize::from(is_one)..] {
                let reason = if is_one { Reason::Duplicate } else { Reason::Contradiction };
                self.refuse(reason, entry.place, 0.0);
            }
        }
        self.outcome.contradictions[tag as usize] = (n_contradictions, entries.len() as u64);
        kept
    }
}

/// Series, words, place: total, for equal rows differ in their place.
fn compare(a: &Entry, b: &Entry) -> Ordering {
    a.series.cmp(&b.series).then(a.words.cmp(&b.words)).then(a.place.cmp(&b.place))
}

/// The series of an entry.
fn series_of(rows: &Bucketful, entry: &Entry) -> Series {
    rows.series[entry.series as usize].clone()
}
