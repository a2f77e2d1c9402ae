//! Reads a raw file row by row, whatever its format, in bounded memory.
//!
//! Every reader gives each row its number (1 is the first below a header) and its cells in the
//! order of the wanted columns. CSV and NDJSON are read by us, cell by cell, so that a bad cell
//! costs its row and no more; Parquet is decoded in slices.

mod csv;
mod ndjson;
mod parquet;

use std::ops::Range;
use std::path::Path;

pub(crate) use csv::Dialect;

use crate::cells::Cell;
use crate::error::Error;
use crate::nearest::nearest;

/// How a file is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Parquet,
    Csv(Dialect),
    Ndjson,
}

/// A row whose cells cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    NumberOfFields,
    NotUtf8,
    NotAnObject,
}

/// What is called with each row.
pub(crate) type Visit<'v> = dyn FnMut(u64, Result<&[Cell<'_>], Broken>) -> Result<(), Error> + 'v;

/// What was found beside the rows.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) rows: u64,
    /// The last line has no end, and may be the half of one.
    pub(crate) open_end: bool,
}

/// The columns of a file, in its order.
pub(crate) fn columns(path: &Path, format: Format) -> Result<Vec<String>, Error> {
    not_empty(path)?;
    match format {
        Format::Parquet => parquet::columns(path),
        Format::Csv(dialect) => csv::columns(path, dialect),
        Format::Ndjson => ndjson::columns(path),
    }
}

/// Looks whether the file has the wanted columns, and cuts its rows into parts that can be scanned
/// each by itself: ranges of row numbers, counted from 0. A text file is one part.
pub(crate) fn parts(
    path: &Path,
    format: Format,
    wanted: &[String],
) -> Result<Vec<Range<u64>>, Error> {
    not_empty(path)?;
    match format {
        Format::Parquet => return parquet::parts(path, wanted),
        Format::Csv(dialect) => {
            positions(path, &csv::columns(path, dialect)?, wanted)?;
        }
        Format::Ndjson => {}
    }
    Ok(std::iter::once(0..u64::MAX).collect())
}

/// Calls `visit` with every row of a part.
pub(crate) fn scan(
    path: &Path,
    format: Format,
    (part, wanted): (Range<u64>, &[String]),
    visit: &mut Visit<'_>,
) -> Result<Scanned, Error> {
    match format {
        Format::Parquet => parquet::scan(path, part, wanted, visit),
        Format::Csv(dialect) => csv::scan(path, dialect, wanted, visit),
        Format::Ndjson => ndjson::scan(path, wanted, visit),
    }
}

fn not_empty(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    match std::fs::metadata(path).map_err(failed)?.len() {
        0 => Err(Error::Empty { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// Where each wanted column stands in the file.
fn positions(path: &Path, existing: &[String], wanted: &[String]) -> Result<Vec<usize>, Error> {
    wanted
        .iter()
        .map(|column| {
            let mut places = existing.iter().enumerate().filter(|(_, name)| *name == column);
            let (place, _) = places.next().ok_or_else(|| missing_column(path, column, existing))?;
            if places.next().is_some() {
                let reason = format!("it has two columns `{column}`; give one another name");
                return Err(Error::Damaged { path: path.to_owned(), reason });
            }
            Ok(place)
        })
        .collect()
}

fn missing_column(path: &Path, column: &str, existing: &[String]) -> Error {
    const NAMED: usize = 40;
    let nearest = nearest(column, existing.iter().map(String::as_str)).map(str::to_owned);
    let mut existing = existing.to_vec();
    if existing.len() > NAMED {
        let more = existing.len() - NAMED;
        existing.truncate(NAMED);
        existing.push(format!("and {more} more"));
    }
    Error::MissingColumn { path: path.to_owned(), column: column.to_owned(), nearest, existing }
}
