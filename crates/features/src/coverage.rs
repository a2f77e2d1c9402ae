//! Which periods the data covers: whole ones, and not those in which the shop was closed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use lifecycle::{Day, Invalid, Period};
use panel::Coverage;
use polars::prelude::{ParquetReader, SerReader};
use tables::Frame;

use crate::Error;
use crate::partitions::Partitions;

/// A period without a row is a closed shop only where the weeks before had at least this many rows
/// a period: a small shop has such periods by chance.
const CLOSED_ROWS_MIN: f64 = 10.0;

/// Weeks that say how many rows are usual.
const USUAL_WEEKS: u32 = 13;

/// Reads the dates of all rows, and nothing else, once.
pub(crate) fn coverage(partitions: &Partitions<'_>) -> Result<Coverage, Error> {
    let dataset = &partitions.dataset;
    let frequency = dataset.frequency;
    let (mut first, mut last) = (dataset.first_day, dataset.last_day);
    for path in partitions.files("panel") {
        // A cell stands for its whole period, whatever day it is dated; cells of periods that the
        // data set does not cover stay outside.
        for day in frame(&path, &["day"])?.ints("day")? {
            let period = frequency.period_of(Day(day));
            let (begins, ends) = (frequency.first_day(period), frequency.last_day(period));
            if begins <= dataset.last_day && ends >= dataset.first_day {
                (first, last) = (first.min(begins), last.max(ends));
            }
        }
    }
    let Some(coverage) = Coverage::between(frequency, first, last) else {
        let reason = format!("from {first} to {last} there is no whole {frequency:?}");
        return Err(Error::Dataset(Invalid::new("dataset.json", reason.to_lowercase())));
    };
    Ok(Coverage {
        closed: closed(&coverage, &sales_by_period(partitions)?),
        watched: watched(partitions)?,
        units_per_one: dataset.units_per_one,
        all_lives_ended: dataset.all_lives_ended,
        ..coverage
    })
}

/// Sales that were known in their period. (Returns may be booked while the shop is closed.)
fn sales_by_period(partitions: &Partitions<'_>) -> Result<BTreeMap<Period, u32>, Error> {
    let frequency = partitions.dataset.frequency;
    let mut n_rows = BTreeMap::new();
    for path in partitions.files("sales") {
        let frame = frame(&path, &["day", "known", "kind"])?;
        let (days, known) = (frame.ints("day")?, frame.ints("known")?);
        for ((day, known), kind) in days.into_iter().zip(known).zip(frame.required_texts("kind")?) {
            let period = frequency.period_of(Day(day));
            if kind == "sale" && frequency.period_of(Day(known)) == period {
                *n_rows.entry(period).or_default() += 1;
            }
        }
    }
    Ok(n_rows)
}

fn watched(partitions: &Partitions<'_>) -> Result<BTreeSet<Period>, Error> {
    let frequency = partitions.dataset.frequency;
    let mut watched = BTreeSet::new();
    for path in partitions.files("events") {
        let days = frame(&path, &["day"])?.ints("day")?;
        watched.extend(days.into_iter().map(|day| frequency.period_of(Day(day))));
    }
    Ok(watched)
}

/// Periods without any row where rows are usual. Looks at no later period.
fn closed(coverage: &Coverage, n_rows: &BTreeMap<Period, u32>) -> BTreeSet<Period> {
    let n_usual = coverage.frequency.periods_of_weeks(USUAL_WEEKS) as i32;
    let Some(begin) = n_rows.keys().next().copied() else { return BTreeSet::new() };
    let is_closed = |period: &Period| {
        let from = begin.min(*period).max(period.plus(-n_usual));
        let before: u32 = n_rows.range(from..*period).map(|(_, n_rows)| n_rows).sum();
        let usual = f64::from(before) / f64::from(period.since(from).max(1));
        !n_rows.contains_key(period) && usual >= CLOSED_ROWS_MIN
    };
    (0..coverage.n_periods as i32).map(|n| coverage.start.plus(n)).filter(is_closed).collect()
}

/// Some columns of a file, read without the others.
fn frame(path: &Path, columns: &[&str]) -> Result<Frame, Error> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let data = ParquetReader::new(file)
        .with_columns(Some(columns.iter().map(|name| (*name).to_owned()).collect()))
        .finish()
        .map_err(|source| tables::Error::Parquet { path: path.to_owned(), source })?;
    Ok(Frame::new(path.to_owned(), data))
}

#[cfg(test)]
mod tests {
    use lifecycle::Frequency;

    use super::*;

    #[test]
    fn a_period_without_rows_is_closed_only_where_rows_are_usual() {
        let coverage = Coverage::new(Frequency::Week, Period(0), 8);
        let rows = |n: u32| -> BTreeMap<Period, u32> {
            (0..8).filter(|week| ![0, 3, 6].contains(week)).map(|week| (Period(week), n)).collect()
        };
        assert_eq!(closed(&coverage, &rows(30)), [Period(3), Period(6)].into());
        assert_eq!(closed(&coverage, &rows(3)), BTreeSet::new());
        assert_eq!(closed(&coverage, &BTreeMap::new()), BTreeSet::new());
    }
}
