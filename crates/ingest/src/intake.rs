//! The first pass: every row of every file is read, judged and written to its product's bucket.
//!
//! Files are cut into parts, which are read in parallel and whose counts are added up in the order
//! of the parts, so the number of threads changes nothing.

mod facts;
mod reader;
mod report;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lifecycle::Progress;
use rayon::prelude::*;

pub(crate) use report::{Coverage, FileReport};

use crate::Config;
use crate::cells::Reading;
use crate::error::Error;
use crate::files::Found;
use crate::identity::Identity;
use crate::mapping::{Mapping, Source};
use crate::moments::Calendar;
use crate::refusals::Refusals;
use crate::rows::{Plan, Rules};
use crate::scan::{self, Format};
use crate::spill::Spill;
use facts::FactsCache;
use reader::{Outcome, RowReader};

/// Rows between two looks at whether the work is cancelled.
const ROWS_PER_REPORT: u64 = 1 << 14;
/// Parts read before their counts are added up: bounds what is held of them.
const PARTS_AT_ONCE: usize = 32;

/// What the first pass found, beside the rows in the buckets.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) refusals: Refusals,
    pub(crate) files: Vec<FileReport>,
    pub(crate) coverage: Coverage,
    /// Rows with a negative quantity, refused or not.
    pub(crate) n_negative: u64,
}

/// A file that was looked into.
struct Opened<'m> {
    source: &'m Source,
    found: &'m Found,
    format: Format,
    /// The plan of a wide panel, whose columns are known once the file is open.
    plan: Option<Plan>,
    wanted: Vec<String>,
    parts: Vec<Range<u64>>,
}

/// What all parts share.
struct Task<'a> {
    mapping: &'a Mapping,
    config: &'a Config,
    identity: Identity,
    spill: &'a Spill,
    progress: &'a dyn Progress,
    n_rows: AtomicU64,
}

impl Intake {
    /// Reads all files of the mapping into the buckets.
    pub(crate) fn read(
        mapping: &Mapping,
        (config, key): (&Config, &[u8]),
        spill: &Spill,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let has_ids = |source: &Source| matches!(&source.plan, Plan::Lines(plan) if plan.customer.or(plan.order).is_some());
        let identity = Identity::new(key, mapping.sources.iter().any(has_ids))?;
        let task = Task { mapping, config, identity, spill, progress, n_rows: AtomicU64::new(0) };
        let opened = task.open_all()?;
        let report = |file: &Opened<'_>| {
            FileReport::new(&file.found.name, &file.source.table, &file.source.wanted)
        };
        let mut intake = Self {
            refusals: Refusals::new(config.quarantine_rows_max),
            files: opened.iter().map(report).collect(),
            coverage: Coverage::default(),
            n_negative: 0,
        };
        let parts: Vec<(usize, &Range<u64>)> = opened
            .iter()
            .enumerate()
            .flat_map(|(file, opened)| opened.parts.iter().map(move |part| (file, part)))
            .collect();
        for some in parts.chunks(PARTS_AT_ONCE) {
            let outcomes: Vec<Result<Outcome, Error>> = some
                .par_iter()
                .map(|&(file, part)| task.read(&opened[file], file, part.clone()))
                .collect();
            // Of several errors the first by file and row is told, whichever came first.
            for (outcome, (file, _)) in outcomes.into_iter().zip(some) {
                intake.add(outcome?, *file);
            }
        }
        intake.check(&opened, config)?;
        Ok(intake)
    }

    fn add(&mut self, outcome: Outcome, file: usize) {
        self.refusals.absorb(outcome.refusals);
        self.coverage.absorb(outcome.coverage);
        self.files[file].add(outcome.report);
        self.n_negative += outcome.n_negative;
    }

    /// A column that is mostly unreadable, or a table without any row, is an error.
    fn check(&self, opened: &[Opened<'_>], config: &Config) -> Result<(), Error> {
        for (file, report) in opened.iter().zip(&self.files) {
            report.check(&file.found.path, config.unreadable_share_max)?;
        }
        for (position, file) in opened.iter().enumerate() {
            let of_table = |other: &&FileReport| other.table == file.source.table;
            let n_rows: u64 = self.files.iter().filter(of_table).map(|file| file.rows).sum();
            if n_rows == 0 {
                return Err(Error::Empty { path: opened[position].found.path.clone() });
            }
        }
        Ok(())
    }
}

impl Task<'_> {
    /// Looks into every file: missing columns are found before anything is read.
    fn open_all(&self) -> Result<Vec<Opened<'_>>, Error> {
        let files = self.mapping.sources.iter();
        files
            .flat_map(|source| source.files.iter().map(move |found| (source, found)))
            .map(|(source, found)| self.open(source, found))
            .collect()
    }

    fn open<'m>(&self, source: &'m Source, found: &'m Found) -> Result<Opened<'m>, Error> {
        let format = source.format_of(&found.path).map_err(Error::Internal)?;
        let mut wanted = source.wanted.clone();
        let plan = self.wide_plan(source, (&found.path, format), &mut wanted)?;
        let parts = scan::parts(&found.path, format, &wanted)?;
        Ok(Opened { source, found, format, plan, wanted, parts })
    }

    fn wide_plan(
        &self,
        source: &Source,
        (path, format): (&Path, Format),
        wanted: &mut Vec<String>,
    ) -> Result<Option<Plan>, Error> {
        let Plan::Panel(plan) = &source.plan else { return Ok(None) };
        if !source.plan.is_wide() {
            return Ok(None);
        }
        let header = scan::columns(path, format)?;
        let n_fixed = wanted.len();
        let damaged = |reason| Error::Damaged { path: path.to_owned(), reason };
        let plan = plan.for_file(&header, wanted, &mut self.rules(source)).map_err(damaged)?;
        if wanted.len() == n_fixed {
            let reason = "none of its columns matches the pattern of the wide panel".to_owned();
            return Err(Error::Damaged { path: path.to_owned(), reason });
        }
        Ok(Some(Plan::Panel(plan)))
    }

    fn rules(&self, source: &Source) -> Rules<'_> {
        let reading = Reading {
            decimal: source.csv.decimal,
            thousands: source.csv.thousands,
            missing: source.missing.clone(),
            truths: source.truths.clone(),
            calendar: Calendar::new(source.dates.clone(), self.mapping.zone.clone()),
        };
        Rules::new(self.mapping, reading, self.identity.clone())
    }

    /// Reads one part of a file.
    fn read(&self, file: &Opened<'_>, number: usize, part: Range<u64>) -> Result<Outcome, Error> {
        let Opened { source, found, format, plan, wanted, parts: _ } = file;
        let mut reader = RowReader {
            source,
            plan: plan.as_ref().unwrap_or(&source.plan),
            wanted,
            file: number as u32,
            rules: self.rules(source),
            writer: self.spill.writer(),
            facts: FactsCache::default(),
            outcome: Outcome {
                refusals: Refusals::new(self.config.quarantine_rows_max),
                coverage: Coverage::default(),
                report: FileReport::new(&found.name, &source.table, &source.wanted),
                n_negative: 0,
            },
            problems: Vec::new(),
            parsed: Vec::new(),
        };
        let scanned = scan::scan(&found.path, *format, (part, wanted), &mut |number, cells| {
            if number % ROWS_PER_REPORT == 0 {
                self.look_up()?;
            }
            reader.take(number, cells)
        })?;
        let mut outcome = reader.finish()?;
        outcome.report.rows = scanned.rows;
        if scanned.open_end {
            outcome.report.note = Some("the last line has no end; it may be cut off");
        }
        Ok(outcome)
    }

    /// Tells how far the work is, and hears whether it is to stop.
    fn look_up(&self) -> Result<(), Error> {
        let n_rows = self.n_rows.fetch_add(ROWS_PER_REPORT, Relaxed) + ROWS_PER_REPORT;
        self.progress.report("read", n_rows, 0);
        if self.progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
