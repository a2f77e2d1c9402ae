//! Parquet, decoded in slices of a bounded number of cells.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::*;

use super::{Scanned, Visit, positions};
use crate::cells::Cell;
use crate::error::Error;

/// Cells decoded at a time.
const SLICE_CELLS: usize = 1 << 20;
/// Rows decoded at a time, whatever their width.
const SLICE_ROWS: usize = 1 << 17;
/// First and last bytes of every Parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

pub(crate) fn columns(path: &Path) -> Result<Vec<String>, Error> {
    let mut reader = open(path)?;
    let schema = calmly(path, || reader.schema())?;
    Ok(schema.iter_names().map(ToString::to_string).collect())
}

/// Checks the columns and cuts each row group into slices.
pub(crate) fn parts(path: &Path, wanted: &[String]) -> Result<Vec<Range<u64>>, Error> {
    let mut reader = open(path)?;
    let schema = calmly(path, || reader.schema())?;
    let names: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    positions(path, &names, wanted)?;
    for column in wanted {
        let field = schema.get(column.as_str());
        check_type(path, column, field.map(ArrowField::dtype))?;
    }
    let metadata = calmly(path, || reader.get_metadata().cloned())?;
    let n_slice = (SLICE_CELLS / wanted.len().max(1)).clamp(1, SLICE_ROWS) as u64;
    let mut parts = Vec::new();
    let mut start = 0;
    for group in &metadata.row_groups {
        let end = start + group.num_rows() as u64;
        while start < end {
            parts.push(start..end.min(start + n_slice));
            start = end.min(start + n_slice);
        }
    }
    Ok(parts)
}

pub(crate) fn scan(
    path: &Path,
    part: Range<u64>,
    wanted: &[String],
    visit: &mut Visit<'_>,
) -> Result<Scanned, Error> {
    let n_rows = (part.end - part.start) as usize;
    let slice = open(path)?
        .with_columns(Some(wanted.to_vec()))
        .with_slice(Some((part.start as usize, n_rows)))
        .read_parallel(ParallelStrategy::None);
    let frame = calmly(path, || slice.finish())?;
    if frame.height() != n_rows {
        let reason = format!("rows {} to {} are not all there", part.start + 1, part.end);
        return Err(Error::CutOff { path: path.to_owned(), reason });
    }
    let columns = wanted
        .iter()
        .map(|column| Values::of(path, column, &frame))
        .collect::<Result<Vec<_>, _>>()?;
    let mut cells = Vec::with_capacity(columns.len());
    for position in 0..frame.height() {
        cells.clear();
        cells.extend(columns.iter().map(|column| column.cell(position)));
        visit(part.start + position as u64 + 1, Ok(&cells))?;
    }
    Ok(Scanned { rows: n_rows as u64, open_end: false })
}

/// Opens a file that starts and ends as Parquet does.
fn open(path: &Path) -> Result<ParquetReader<File>, Error> {
    let broken = |source| Error::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(broken)?;
    let length = file.metadata().map_err(broken)?.len();
    let mut start = [0; 4];
    let mut end = [0; 4];
    if length >= 12 {
        file.read_exact(&mut start).map_err(broken)?;
        file.seek(SeekFrom::End(-4)).map_err(broken)?;
        file.read_exact(&mut end).map_err(broken)?;
        file.rewind().map_err(broken)?;
    }
    if &start != MAGIC {
        let reason = "it does not start as a Parquet file does".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    if &end != MAGIC {
        let reason = "the end of the Parquet file is missing".to_owned();
        return Err(Error::CutOff { path: path.to_owned(), reason });
    }
    Ok(ParquetReader::new(file))
}

/// Runs polars on a file that may be damaged: it answers some damage with a panic, which is an
/// error of this one file. Nothing that was half changed is used afterwards.
fn calmly<T>(path: &Path, work: impl FnOnce() -> PolarsResult<T>) -> Result<T, Error> {
    if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
        return result.map_err(|source| failed(path, source));
    }
    let reason = "its Parquet structure contradicts itself".to_owned();
    Err(Error::Damaged { path: path.to_owned(), reason })
}

fn failed(path: &Path, source: PolarsError) -> Error {
    Error::Parquet { path: path.to_owned(), source }
}

/// Types that polars, built as it is here, cannot decode or that hold no single value.
fn check_type(path: &Path, column: &str, dtype: Option<&ArrowDataType>) -> Result<(), Error> {
    use ArrowDataType as A;
    let found = match dtype {
        Some(
            A::Boolean
            | A::Int8
            | A::Int16
            | A::Int32
            | A::Int64
            | A::UInt8
            | A::UInt16
            | A::UInt32
            | A::UInt64
            | A::Float32
            | A::Float64
            | A::Date32
            | A::Utf8
            | A::LargeUtf8
            | A::Utf8View
            | A::Timestamp(_, _)
            | A::Null,
        )
        | None => return Ok(()),
        Some(A::Dictionary(..)) => "a dictionary (categorical)".to_owned(),
        Some(A::List(_) | A::LargeList(_) | A::FixedSizeList(..)) => "a list".to_owned(),
        Some(A::Struct(_) | A::Map(..)) => "a structure".to_owned(),
        Some(other) => format!("of type {other:?}"),
    };
    let wanted = "text, a number, a truth value, a date or a time".to_owned();
    Err(Error::WrongType { path: path.to_owned(), column: column.to_owned(), found, wanted })
}

/// A decoded column.
enum Values {
    Nothing,
    Text(StringChunked),
    Integer(Int64Chunked),
    Number(Float64Chunked),
    Flag(BooleanChunked),
    Day(Int32Chunked),
    Instant { values: Int64Chunked, per_micro: i64, micros_per: i64, in_utc: bool },
}

impl Values {
    fn of(path: &Path, column: &str, frame: &DataFrame) -> Result<Self, Error> {
        let failed = |source| failed(path, source);
        let values = frame.column(column).map_err(failed)?.rechunk();
        if values.len() != frame.height() {
            let (n_values, n_rows) = (values.len(), frame.height());
            let reason = format!("column `{column}` has {n_values} values in {n_rows} rows");
            return Err(Error::Damaged { path: path.to_owned(), reason });
        }
        let integers = || values.cast(&DataType::Int64).and_then(|cast| cast.i64().cloned());
        Ok(match values.dtype() {
            DataType::Null => Self::Nothing,
            DataType::String => Self::Text(values.str().map_err(failed)?.clone()),
            DataType::Boolean => Self::Flag(values.bool().map_err(failed)?.clone()),
            DataType::Float32 | DataType::Float64 => {
                let cast = values.cast(&DataType::Float64).map_err(failed)?;
                Self::Number(cast.f64().map_err(failed)?.clone())
            }
            DataType::Date => {
                let cast = values.cast(&DataType::Int32).map_err(failed)?;
                Self::Day(cast.i32().map_err(failed)?.clone())
            }
            DataType::Datetime(unit, zone) => {
                let (per_micro, micros_per) = match unit {
                    TimeUnit::Nanoseconds => (1000, 1),
                    TimeUnit::Microseconds => (1, 1),
                    TimeUnit::Milliseconds => (1, 1000),
                };
                let values = integers().map_err(failed)?;
                Self::Instant { values, per_micro, micros_per, in_utc: zone.is_some() }
            }
            _ => Self::Integer(integers().map_err(failed)?),
        })
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        let cell = match self {
            Self::Nothing => None,
            Self::Text(values) => values.get(row).map(Cell::Text),
            Self::Integer(values) => values.get(row).map(Cell::Integer),
            Self::Number(values) => values.get(row).map(Cell::Number),
            Self::Flag(values) => values.get(row).map(Cell::Flag),
            Self::Day(values) => values.get(row).map(Cell::Day),
            Self::Instant { values, per_micro, micros_per, in_utc } => {
                values.get(row).map(|value| {
                    let micros = value.div_euclid(*per_micro).saturating_mul(*micros_per);
                    Cell::Instant { micros, in_utc: *in_utc }
                })
            }
        };
        cell.unwrap_or(Cell::Missing)
    }
}
