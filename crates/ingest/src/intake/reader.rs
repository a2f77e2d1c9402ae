//! One part of a file, row by row: filtered, understood, judged, and spilled or refused.

use lifecycle::Day;

use super::facts::{FactsCache, Said};
use super::report::{Coverage, FileReport};
use crate::cells::Cell;
use crate::error::Error;
use crate::mapping::Source;
use crate::refusals::{Problem, Reason, Refusals};
use crate::rows::{Parsed, Plan, Row, Rules};
use crate::scan::Broken;
use crate::spill::{Place, Tag, Writer};

/// What one part of a file came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) refusals: Refusals,
    pub(super) coverage: Coverage,
    pub(super) report: FileReport,
    /// Rows with a negative quantity, refused or not.
    pub(super) n_negative: u64,
}

/// One part of a file while it is read.
pub(super) struct RowReader<'a, 'm> {
    pub(super) source: &'a Source,
    pub(super) plan: &'a Plan,
    pub(super) wanted: &'a [String],
    /// Position of the file among all.
    pub(super) file: u32,
    pub(super) rules: Rules<'m>,
    pub(super) writer: Writer<'a>,
    pub(super) facts: FactsCache,
    pub(super) outcome: Outcome,
    pub(super) problems: Vec<Problem>,
    pub(super) parsed: Vec<Parsed>,
}

impl RowReader<'_, '_> {
    /// Writes what is still held and hands over the counts.
    pub(super) fn finish(mut self) -> Result<Outcome, Error> {
        self.facts.flush(&mut self.writer)?;
        self.writer.finish()?;
        Ok(self.outcome)
    }

    /// Reads, judges and keeps or refuses one row.
    pub(super) fn take(
        &mut self,
        number: u64,
        cells: Result<&[Cell<'_>], Broken>,
    ) -> Result<(), Error> {
        let cells = match cells {
            Ok(cells) => cells,
            Err(broken) => {
                self.refuse((broken.into(), None), number, 0.0, &[]);
                self.outcome.refusals.find(broken.into());
                return Ok(());
            }
        };
        if !self.passes(cells) {
            self.outcome.report.filtered += 1;
            return Ok(());
        }
        for (column, cell) in self.outcome.report.columns.iter_mut().zip(cells) {
            column.missing += u64::from(self.rules.reading.is_missing(cell, false));
        }
        self.problems.clear();
        self.parsed.clear();
        let rules = &mut self.rules;
        let mut row = Row { cells, rules, problems: &mut self.problems, units: 0.0 };
        self.plan.read(&mut row, &mut self.parsed);
        let units = row.units;
        self.outcome.n_negative += u64::from(units < 0.0);
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
        let place = Place { file: self.file, row: number };
        let frequency = self.rules.mapping.frequency;
        for parsed in &self.parsed {
            let Parsed { tag, series, words, day } = parsed;
            self.writer.write(*tag, series, place, (&words[..], b""))?;
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
            self.outcome.coverage.add(is_sold, (first, last));
            if is_sold {
                let period = frequency.period_of(*day).0;
                *self.outcome.coverage.periods.entry(period).or_default() += 1;
            }
        }
        match self.plan {
            Plan::Products(_) => self.outcome.report.kept += 1,
            // An event of a kind that the mapping ignores.
            Plan::Events(_) if self.parsed.is_empty() => self.outcome.report.filtered += 1,
            _ => self.outcome.report.kept += self.parsed.len() as u64,
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
        self.facts.add(&product, said, || columns.of(&mut row));
        self.facts.flush_if_full(&mut self.writer)
    }

    /// Refuses a row, or of a wide panel its bad cells.
    fn judge(&mut self, number: u64, cells: &[Cell<'_>], units: f64) -> Result<(), Error> {
        let problems = std::mem::take(&mut self.problems);
        let mut found: Vec<Reason> = Vec::new();
        for problem in &problems {
            let is_cell = self.plan.is_wide();
            if is_cell || !found.contains(&problem.reason) {
                self.outcome.refusals.find(problem.reason);
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
        if let Some(column) = self.outcome.report.columns.get_mut(slot) {
            column.note(problem.reason, number, || cells[slot].shown());
        }
    }

    fn refuse(
        &mut self,
        (reason, slot): (Reason, Option<usize>),
        number: u64,
        units: f64,
        cells: &[Cell<'_>],
    ) {
        self.outcome.report.refused += 1;
        let place = (self.outcome.report.file.as_str(), number);
        let (wanted, secret) = (self.wanted, self.source.secret);
        self.outcome.refusals.refuse(reason, place, units, || match slot {
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
