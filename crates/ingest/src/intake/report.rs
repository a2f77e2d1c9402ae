//! What reading a file came to: counts by file and column, and the days it speaks of.

use std::collections::BTreeMap;
use std::path::Path;

use lifecycle::Day;
use serde::Serialize;

use crate::error::Error;
use crate::refusals::Reason;

/// Cells that must be unreadable before a column that is mostly empty is given up.
const UNREADABLE_MIN: u64 = 20;

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
    /// Rows of sales by period.
    pub(crate) periods: BTreeMap<i32, u64>,
}

impl Coverage {
    /// Adds a row that speaks of these days.
    pub(super) fn add(&mut self, is_sold: bool, days: (Day, Day)) {
        let range = if is_sold { &mut self.sold } else { &mut self.other };
        let (first, last) = range.unwrap_or(days);
        *range = Some((first.min(days.0), last.max(days.1)));
    }

    /// Adds what other rows speak of.
    pub(super) fn absorb(&mut self, other: Self) {
        other.sold.into_iter().for_each(|days| self.add(true, days));
        other.other.into_iter().for_each(|days| self.add(false, days));
        for (period, rows) in other.periods {
            *self.periods.entry(period).or_default() += rows;
        }
    }

    /// First and last day of sales, else of anything.
    pub(crate) fn range(&self) -> Option<(Day, Day)> {
        self.sold.or(self.other)
    }
}

impl FileReport {
    /// A file of which nothing is read yet.
    pub(super) fn new(file: &str, table: &str, columns: &[String]) -> Self {
        let column =
            |column: &String| ColumnReport { column: column.clone(), ..Default::default() };
        Self {
            file: file.to_owned(),
            table: table.to_owned(),
            columns: columns.iter().map(column).collect(),
            ..Self::default()
        }
    }

    /// Adds a later part of the same file.
    pub(super) fn add(&mut self, part: Self) {
        self.rows += part.rows;
        self.kept += part.kept;
        self.refused += part.refused;
        self.filtered += part.filtered;
        self.note = self.note.or(part.note);
        for (column, part) in self.columns.iter_mut().zip(part.columns) {
            column.missing += part.missing;
            column.unreadable += part.unreadable;
            if column.first.is_none() {
                column.first = part.first;
            }
        }
    }

    /// A column that is mostly unreadable says that the mapping is wrong.
    pub(super) fn check(&self, path: &Path, share_max: f64) -> Result<(), Error> {
        for column in &self.columns {
            let n_filled = self.rows.saturating_sub(self.filtered + column.missing);
            let is_much = column.unreadable >= UNREADABLE_MIN
                || column.unreadable as f64 > share_max * self.rows as f64;
            let is_most = column.unreadable as f64 > share_max * n_filled as f64;
            if let (true, true, Some((reason, example, row))) = (is_much, is_most, &column.first) {
                return Err(Error::Unreadable {
                    path: path.to_owned(),
                    column: column.column.clone(),
                    wanted: match reason {
                        Reason::UnreadableDate => "a date",
                        _ => "a number",
                    },
                    unreadable: column.unreadable,
                    rows: self.rows,
                    example: example.clone(),
                    row: *row,
                });
            }
        }
        Ok(())
    }
}

impl ColumnReport {
    /// Counts an unreadable cell.
    pub(super) fn note(&mut self, reason: Reason, row: u64, shown: impl FnOnce() -> String) {
        self.unreadable += 1;
        if self.first.is_none() {
            self.first = Some((reason, shown(), row));
        }
    }
}
