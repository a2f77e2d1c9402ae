//! Which rows were refused and why: complete counts, and a bounded number of rows to look at.

use std::collections::{BTreeMap, BTreeSet};

use tables::Quarantined;

use crate::scan::Broken;

/// Why a row was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    NumberOfFields,
    NotUtf8,
    NotAnObject,
    NoProduct,
    LongProduct,
    NotAProduct,
    NoDate,
    UnreadableDate,
    Before1900,
    BeforeFirstDay,
    AfterLastDay,
    NoQuantity,
    UnreadableNumber,
    ZeroQuantity,
    NegativeQuantity,
    TooManyUnits,
    PriceTooLow,
    PriceTooHigh,
    ShareOutside,
    NegativeNumber,
    UnknownEvent,
    UnknownStage,
    EndsBeforeLaunch,
    Duplicate,
    Contradiction,
}

impl Reason {
    /// The same text for the same cause, in quarantine and quality report.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NumberOfFields => "wrong number of fields",
            Self::NotUtf8 => "not UTF-8",
            Self::NotAnObject => "not a JSON object",
            Self::NoProduct => "product missing",
            Self::LongProduct => "product id too long",
            Self::NotAProduct => "not a product",
            Self::NoDate => "date missing",
            Self::UnreadableDate => "date unreadable",
            Self::Before1900 => "date before 1900",
            Self::BeforeFirstDay => "before the first day",
            Self::AfterLastDay => "after the last day",
            Self::NoQuantity => "quantity missing",
            Self::UnreadableNumber => "number unreadable",
            Self::ZeroQuantity => "quantity of zero",
            Self::NegativeQuantity => "negative quantity",
            Self::TooManyUnits => "units above the limit",
            Self::PriceTooLow => "price too low",
            Self::PriceTooHigh => "price too high",
            Self::ShareOutside => "share outside 0 to 1",
            Self::NegativeNumber => "negative number",
            Self::UnknownEvent => "unknown kind of event",
            Self::UnknownStage => "unknown stage",
            Self::EndsBeforeLaunch => "ends before its launch",
            Self::Duplicate => "duplicate",
            Self::Contradiction => "another value for the same time",
        }
    }
}

impl From<Broken> for Reason {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NumberOfFields => Self::NumberOfFields,
            Broken::NotUtf8 => Self::NotUtf8,
            Broken::NotAnObject => Self::NotAnObject,
        }
    }
}

/// One finding in a row: what is wrong, and in which wanted column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) slot: Option<usize>,
}

/// Counts of one reason.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Rows refused for it, as the first of their findings.
    pub(crate) refused: u64,
    /// Rows that show it, refused for it or for another.
    pub(crate) found: u64,
    /// Units of the rows refused, where they could be read.
    pub(crate) units: f64,
    /// The first rows, by file and number.
    pub(crate) rows: BTreeSet<Quarantined>,
}

/// All refusals; keeps the first `rows_max` rows of each reason, whatever order they come in.
#[derive(Debug)]
pub(crate) struct Refusals {
    rows_max: usize,
    tallies: BTreeMap<Reason, Tally>,
}

impl Refusals {
    pub(crate) fn new(rows_max: usize) -> Self {
        Self { rows_max, tallies: BTreeMap::new() }
    }

    /// Counts a finding that may not be the one for which the row is refused.
    pub(crate) fn find(&mut self, reason: Reason) {
        self.tallies.entry(reason).or_default().found += 1;
    }

    /// Counts a refused row; `shown` says which column and what stood there, if the row is kept.
    pub(crate) fn refuse(
        &mut self,
        reason: Reason,
        place: (&str, u64),
        units: f64,
        shown: impl FnOnce() -> (String, String),
    ) {
        let tally = self.tallies.entry(reason).or_default();
        tally.refused += 1;
        tally.units += units;
        let is_early = |last: &Quarantined| place < (last.file.as_str(), last.row);
        if tally.rows.len() < self.rows_max || tally.rows.last().is_some_and(is_early) {
            let (column, value) = shown();
            let (file, row) = (place.0.to_owned(), place.1);
            let reason = reason.text().to_owned();
            tally.rows.insert(Quarantined { file, row, reason, column, value });
            if tally.rows.len() > self.rows_max {
                tally.rows.pop_last();
            }
        }
    }

    /// Adds those of another part of the work.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (reason, theirs) in other.tallies {
            let ours = self.tallies.entry(reason).or_default();
            ours.refused += theirs.refused;
            ours.found += theirs.found;
            ours.units += theirs.units;
            ours.rows.extend(theirs.rows);
            while ours.rows.len() > self.rows_max {
                ours.rows.pop_last();
            }
        }
    }

    /// Rows refused in all.
    pub(crate) fn n_rows(&self) -> u64 {
        self.tallies.values().map(|tally| tally.refused).sum()
    }

    pub(crate) fn tallies(&self) -> &BTreeMap<Reason, Tally> {
        &self.tallies
    }

    /// The rows kept for `quarantine.parquet`, sorted.
    pub(crate) fn quarantine(&self) -> Vec<Quarantined> {
        let rows: BTreeSet<&Quarantined> =
            self.tallies.values().flat_map(|tally| &tally.rows).collect();
        rows.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_stay_whatever_their_order() {
        let refused = |order: &[u64]| {
            let mut refusals = Refusals::new(2);
            for &row in order {
                refusals.refuse(Reason::NoDate, ("a.csv", row), 1.0, Default::default);
            }
            (refusals.n_rows(), refusals.quarantine())
        };
        let (n_rows, rows) = refused(&[4, 1, 3, 2]);
        assert_eq!((n_rows, rows.len()), (4, 2));
        assert_eq!(rows, refused(&[1, 2, 3, 4]).1);
        assert_eq!(rows[1].row, 2);
    }
}
