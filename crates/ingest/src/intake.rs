//! The first pass: every row of every file is read, judged and written to its product's bucket.

mod facts;

use std::collections::BTreeSet;
use std::path::Path;

use lifecycle::{Day, Progress};
use serde::Serialize;

pub(crate) use facts::{FactsCache, Said};

use crate::Config;
use crate::cells::{Cell, Reading};
use crate::error::Error;
use crate::identity::Identity;
use crate::mapping::{Mapping, Source};
use crate::moments::Calendar;
use crate::refusals::{Problem, Reason, Refusals};
use crate::rows::{Parsed, Plan, Row, Rules};
use crate::scan::{self, Broken};
use crate::spill::{Place, Spill, Tag};

/// Rows between two looks at whether the work is cancelled.
const ROWS_PER_REPORT: u64 = 1 << 16;
/// Cells that must be unreadable before a column that is mostly empty is given up.
const UNREADABLE_MIN: u64 = 20;

/// What the first pass found.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) spill: Spill,
    pub(crate) refusals: Refusals,
    pub(crate) files: Vec<FileReport>,
    pub(crate) coverage: Coverage,
    /// Rows with a negative quantity, refused or not.
    pub(crate) n_negative: u64,
    facts: FactsCache,
}

/// One file as it was read; a part of `quality.json`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct FileReport {
    pub(crate) file: String,
    pub(crate) table: String,
    /// Rows of the file.
    pub(crate) rows: u64,
    /// Values kept: one a row, or one a cell of a wide panel.
    pub(crate) kept: u64,
    pub(crate) refused: u64,
    /// Rows that the mapping's filters left out.
    pub(crate) filtered: u64,
    pub(crate) columns: Vec<ColumnReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

/// One mapped column of one file.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ColumnReport {
    pub(crate) column: String,
    pub(crate) missing: u64,
    pub(crate) unreadable: u64,
    #[serde(skip)]
    first: Option<(Reason, String, u64)>,
}

/// Which days the data speaks of.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    sold: Option<(Day, Day)>,
    other: Option<(Day, Day)>,
    /// Periods with a row of sales.
    pub(crate) periods: BTreeSet<i32>,
}

impl Coverage {
    fn add(&mut self, is_sold: bool, days: (Day, Day)) {
        let range = if is_sold { &mut self.sold } else { &mut self.other };
        let (first, last) = range.unwrap_or(days);
        *range = Some((first.min(days.0), last.max(days.1)));
    }

    /// First and last day of sales, else of anything.
    pub(crate) fn range(&self) -> Option<(Day, Day)> {
        self.sold.or(self.other)
    }
}

impl Intake {
    /// Reads all files of the mapping.
    pub(crate) fn read(
        mapping: &Mapping,
        config: &Config,
        key: &[u8],
        (spill, progress): (Spill, &dyn Progress),
    ) -> Result<Self, Error> {
        let has_ids = |plan: &Plan| matches!(plan, Plan::Lines(plan) if plan.customer.or(plan.order).is_some());
        let is_needed = mapping.sources.iter().any(|source| has_ids(&source.plan));
        let identity = Identity::new(key, is_needed)?;
        let mut intake = Self {
            spill,
            refusals: Refusals::new(config.quarantine_rows_max),
            files: Vec::new(),
            coverage: Coverage::default(),
            n_negative: 0,
            facts: FactsCache::default(),
        };
        for source in &mapping.sources {
            let n_before = intake.files.len();
            for file in &source.files {
                let rules = Rules::new(mapping, reading(mapping, source), identity.clone());
                intake.read_file(source, file, (rules, config), progress)?;
            }
            if intake.files[n_before..].iter().all(|file| file.rows == 0) {
                let path = source.files.first().map(|file| file.path.clone());
                return Err(Error::Empty { path: path.unwrap_or_default() });
            }
        }
        intake.facts.flush(&mut intake.spill)?;
        Ok(intake)
    }

    fn read_file(
        &mut self,
        source: &Source,
        file: &crate::files::Found,
        (mut rules, config): (Rules<'_>, &Config),
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let internal = |reason| Error::Internal(reason);
        let format = source.format_of(&file.path).map_err(internal)?;
        let mut wanted = source.wanted.clone();
        let opened = opened_panel(source, &file.path, &mut wanted, &mut rules)?;
        let column =
            |column: &String| ColumnReport { column: column.clone(), ..Default::default() };
        let report = FileReport {
            file: file.name.clone(),
            table: source.table.clone(),
            columns: source.wanted.iter().map(column).collect(),
            ..FileReport::default()
        };
        let mut reader = FileReader {
            intake: self,
            source,
            plan: opened.as_ref().unwrap_or(&source.plan),
            wanted: &wanted,
            rules,
            report,
            problems: Vec::new(),
            parsed: Vec::new(),
        };
        let part = format!("read {}", file.name);
        let scanned = scan::scan(&file.path, format, &wanted, &mut |number, cells| {
            if number % ROWS_PER_REPORT == 0 {
                progress.report(&part, number, 0);
                if progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
            }
            reader.take(number, cells)
        })?;
        let mut report = reader.report;
        report.rows = scanned.rows;
        if scanned.open_end {
            report.note = Some("the last line has no end; it may be cut off");
        }
        progress.report(&part, scanned.rows, scanned.rows);
        check_columns(&file.path, &report, config.unreadable_share_max)?;
        self.files.push(report);
        Ok(())
    }
}

fn reading(mapping: &Mapping, source: &Source) -> Reading {
    Reading {
        decimal: source.csv.decimal,
        thousands: source.csv.thousands,
        missing: source.missing.clone(),
        calendar: Calendar::new(source.dates.clone(), mapping.zone.clone()),
    }
}

/// The plan of a wide panel, whose columns are known once the file is open.
fn opened_panel(
    source: &Source,
    path: &Path,
    wanted: &mut Vec<String>,
    rules: &mut Rules<'_>,
) -> Result<Option<Plan>, Error> {
    let Plan::Panel(plan) = &source.plan else { return Ok(None) };
    if !source.plan.is_wide() {
        return Ok(None);
    }
    let format = source.format_of(path).map_err(Error::Internal)?;
    let header = scan::columns(path, format)?;
    let n_fixed = wanted.len();
    let damaged = |reason| Error::Damaged { path: path.to_owned(), reason };
    let plan = plan.for_file(&header, wanted, rules).map_err(damaged)?;
    if wanted.len() == n_fixed {
        let reason = "none of its columns matches the pattern of the wide panel".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    Ok(Some(Plan::Panel(plan)))
}

/// A column that is mostly unreadable says that the mapping is wrong.
fn check_columns(path: &Path, report: &FileReport, share_max: f64) -> Result<(), Error> {
    for column in &report.columns {
        let n_filled = report.rows - report.filtered - column.missing.min(report.rows);
        let is_much = column.unreadable >= UNREADABLE_MIN
            || column.unreadable as f64 > share_max * report.rows as f64;
        let is_most = column.unreadable as f64 > share_max * n_filled as f64;
        if let (true, true, Some((reason, example, row))) = (is_much, is_most, &column.first) {
            let wanted = match reason {
                Reason::UnreadableDate => "a date",
                _ => "a number",
            };
            return Err(Error::Unreadable {
                path: path.to_owned(),
                column: column.column.clone(),
                wanted,
                unreadable: column.unreadable,
                rows: report.rows,
                example: example.clone(),
                row: *row,
            });
        }
    }
    Ok(())
}

/// One file while it is read.
struct FileReader<'a, 'm> {
    intake: &'a mut Intake,
    source: &'a Source,
    plan: &'a Plan,
    wanted: &'a [String],
    rules: Rules<'m>,
    report: FileReport,
    problems: Vec<Problem>,
    parsed: Vec<Parsed>,
}

impl FileReader<'_, '_> {
    fn take(&mut self, number: u64, cells: Result<&[Cell<'_>], Broken>) -> Result<(), Error> {
        let cells = match cells {
            Ok(cells) => cells,
            Err(broken) => {
                self.refuse((broken.into(), None), number, 0.0, &[]);
                self.intake.refusals.find(broken.into());
                return Ok(());
            }
        };
        if !self.passes(cells) {
            self.report.filtered += 1;
            return Ok(());
        }
        for (column, cell) in self.report.columns.iter_mut().zip(cells) {
            column.missing += u64::from(self.rules.reading.is_missing(cell, false));
        }
        self.problems.clear();
        self.parsed.clear();
        let rules = &mut self.rules;
        let mut row = Row { cells, rules, problems: &mut self.problems, units: 0.0 };
        self.plan.read(&mut row, &mut self.parsed);
        let units = row.units;
        self.intake.n_negative += u64::from(units < 0.0);
        if self.problems.is_empty() {
            self.keep(number, cells)
        } else {
            self.judge(number, cells, units)
        }
    }

    fn passes(&self, cells: &[Cell<'_>]) -> bool {
        let matches = |filter: &crate::mapping::Filter| {
            filter.pattern.is_match(cells[filter.slot].text().unwrap_or_default().trim())
        };
        self.source.keep.iter().all(matches) && !self.source.drop.iter().any(matches)
    }

    fn keep(&mut self, number: u64, cells: &[Cell<'_>]) -> Result<(), Error> {
        let place = Place { file: self.intake.files.len() as u32, row: number };
        let frequency = self.rules.mapping.frequency;
        for parsed in &self.parsed {
            let Parsed { tag, series, words, day } = parsed;
            self.intake.spill.write(*tag, series, place, (&words[..], b""))?;
            let mut last = *day;
            if *tag == Tag::Panel {
                last = Day(day.0 + words[1] as i32 - 1);
            }
            let (first, last) = whole_periods(self.plan, frequency, (*day, last));
            // Returns go on after the last sale that the data knows: they cover no day.
            let is_sold = match self.plan {
                Plan::Lines(plan) => !plan.are_returns,
                plan => matches!(plan, Plan::Panel(_)),
            };
            self.intake.coverage.add(is_sold, (first, last));
            if is_sold {
                self.intake.coverage.periods.insert(frequency.period_of(*day).0);
            }
        }
        match self.plan {
            Plan::Products(_) => self.report.kept += 1,
            // An event of a kind that the mapping ignores.
            Plan::Events(_) if self.parsed.is_empty() => self.report.filtered += 1,
            _ => self.report.kept += self.parsed.len() as u64,
        }
        self.note_facts(cells)
    }

    fn note_facts(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        let Some(columns) = self.plan.facts() else { return Ok(()) };
        let (product, from_table) = match (self.plan, self.parsed.first()) {
            (Plan::Products(plan), _) => {
                let rules = &mut self.rules;
                let mut row = Row { cells, rules, problems: &mut self.problems, units: 0.0 };
                (row.product(plan.product), true)
            }
            (_, parsed) => (parsed.map(|parsed| parsed.series.product.clone()), false),
        };
        let Some(product) = product else { return Ok(()) };
        let rules = &mut self.rules;
        let mut row = Row { cells, rules, problems: &mut self.problems, units: 0.0 };
        let said = Said::of(&row, columns, from_table);
        self.intake.facts.add(&product, said, || columns.of(&mut row));
        self.intake.facts.flush_if_full(&mut self.intake.spill)
    }

    /// Refuses a row, or of a wide panel its bad cells.
    fn judge(&mut self, number: u64, cells: &[Cell<'_>], units: f64) -> Result<(), Error> {
        let problems = std::mem::take(&mut self.problems);
        let mut found: Vec<Reason> = Vec::new();
        for problem in &problems {
            let is_cell = self.plan.is_wide();
            if is_cell || !found.contains(&problem.reason) {
                self.intake.refusals.find(problem.reason);
                found.push(problem.reason);
            }
            self.note_unreadable(*problem, number, cells);
            if is_cell {
                self.refuse((problem.reason, problem.slot), number, 0.0, cells);
            }
        }
        if self.plan.is_wide() {
            self.keep(number, cells)?;
        } else if let Some(first) = problems.first() {
            self.refuse((first.reason, first.slot), number, units.max(0.0), cells);
        }
        self.problems = problems;
        Ok(())
    }

    fn note_unreadable(&mut self, problem: Problem, number: u64, cells: &[Cell<'_>]) {
        let is_unreadable =
            matches!(problem.reason, Reason::UnreadableDate | Reason::UnreadableNumber);
        let (true, Some(slot)) = (is_unreadable, problem.slot) else { return };
        let Some(column) = self.report.columns.get_mut(slot) else { return };
        column.unreadable += 1;
        if column.first.is_none() {
            column.first = Some((problem.reason, cells[slot].shown(), number));
        }
    }

    fn refuse(
        &mut self,
        (reason, slot): (Reason, Option<usize>),
        number: u64,
        units: f64,
        cells: &[Cell<'_>],
    ) {
        self.report.refused += 1;
        let place = (self.report.file.as_str(), number);
        let (wanted, secret) = (self.wanted, self.source.secret);
        self.intake.refusals.refuse(reason, place, units, || match slot {
            Some(slot) if secret != Some(slot) => (wanted[slot].clone(), cells[slot].shown()),
            Some(slot) => (wanted[slot].clone(), String::new()),
            None => Default::default(),
        });
    }
}

/// A row of a panel that covers one of our periods speaks of all its days.
fn whole_periods(
    plan: &Plan,
    frequency: lifecycle::Frequency,
    (first, last): (Day, Day),
) -> (Day, Day) {
    match plan {
        Plan::Panel(plan) if plan.covers == frequency => {
            let period = frequency.period_of(first);
            (frequency.first_day(period), frequency.last_day(period))
        }
        _ => (first, last),
    }
}
