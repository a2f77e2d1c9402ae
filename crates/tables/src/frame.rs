//! Typed rows to Parquet and back: the only place where a column's type is spelled out.
//!
//! Files are written with one set of options and rows in the caller's order, so the same rows give
//! the same bytes. Readers name file and column in every error.

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;

/// Rows in one row group: bounds what a reader of one group holds.
const ROW_GROUP: usize = 1 << 16;

/// A table could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, read or written.
    #[error("{path}: cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is an artifact of another kind.
    #[error("{path}: is no artifact of {kind}: it has no {file}")]
    OtherKind {
        /// The folder.
        path: PathBuf,
        /// What it should be of.
        kind: &'static str,
        /// What every artifact of that kind has.
        file: &'static str,
    },
    /// Not Parquet, or damaged.
    #[error("{path}: is not a readable Parquet file")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PolarsError,
    },
    /// No table of numbers.
    #[error("{path}: is no readable CSV or Parquet file")]
    Numbers {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PolarsError,
    },
    /// A column is missing or of another type.
    #[error("{path}: column `{column}`: {reason}")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
}

/// A row type that has a Parquet table.
pub trait Table: Sized {
    /// The rows as columns, in the order of the file.
    fn columns(rows: &[Self]) -> Vec<Column>;

    /// The rows of a file.
    fn rows(frame: &Frame) -> Result<Vec<Self>, Error>;
}

/// Writes rows in the given order; the same rows give the same bytes.
pub fn write<T: Table>(path: &Path, rows: &[T]) -> Result<(), Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let parquet_error = |source| Error::Parquet { path: path.to_owned(), source };
    let mut frame = DataFrame::new(rows.len(), T::columns(rows)).map_err(parquet_error)?;
    let file = File::create(path).map_err(file_error)?;
    ParquetWriter::new(&file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(ROW_GROUP))
        .set_parallel(false)
        .finish(&mut frame)
        .map_err(parquet_error)?;
    file.sync_all().map_err(file_error)
}

/// Reads all rows of a file.
pub fn read<T: Table>(path: &Path) -> Result<Vec<T>, Error> {
    let file = File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let data = ParquetReader::new(file)
        .finish()
        .map_err(|source| Error::Parquet { path: path.to_owned(), source })?;
    T::rows(&Frame { path: path.to_owned(), data })
}

/// A file's columns, with errors that name file and column.
#[derive(Debug)]
pub struct Frame {
    path: PathBuf,
    data: DataFrame,
}

impl Frame {
    /// Wraps a frame that was read from `path`.
    pub fn new(path: PathBuf, data: DataFrame) -> Self {
        Self { path, data }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.data.height()
    }

    /// An error about one column of this file.
    pub fn column_error(&self, column: &str, reason: impl std::fmt::Display) -> Error {
        Error::Column {
            path: self.path.clone(),
            column: column.to_owned(),
            reason: reason.to_string(),
        }
    }

    fn column(&self, name: &str) -> Result<&Column, Error> {
        self.data.column(name).map_err(|_| self.column_error(name, "is missing"))
    }

    /// Text, `None` where null.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>, Error> {
        let column = self.column(name)?;
        let values = column.str().map_err(|error| self.column_error(name, error))?;
        Ok(values.iter().map(|value| value.map(str::to_owned)).collect())
    }

    /// Text without nulls.
    pub fn required_texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let null = || self.column_error(name, "must not be null");
        self.texts(name)?.into_iter().map(|value| value.ok_or_else(null)).collect()
    }

    /// 32-bit integers, `None` where null.
    pub fn optional_ints(&self, name: &str) -> Result<Vec<Option<i32>>, Error> {
        let column = self.column(name)?;
        let values = column.i32().map_err(|error| self.column_error(name, error))?;
        Ok(values.iter().collect())
    }

    /// 32-bit integers without nulls.
    pub fn ints(&self, name: &str) -> Result<Vec<i32>, Error> {
        let null = || self.column_error(name, "must not be null");
        self.optional_ints(name)?.into_iter().map(|value| value.ok_or_else(null)).collect()
    }

    /// 64-bit unsigned integers, `None` where null.
    pub fn optional_wides(&self, name: &str) -> Result<Vec<Option<u64>>, Error> {
        let column = self.column(name)?;
        let values = column.u64().map_err(|error| self.column_error(name, error))?;
        Ok(values.iter().collect())
    }

    /// 32-bit floats; null becomes NaN.
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, Error> {
        let column = self.column(name)?;
        let values = column.f32().map_err(|error| self.column_error(name, error))?;
        Ok(values.iter().map(|value| value.unwrap_or(f32::NAN)).collect())
    }

    /// 64-bit floats; null becomes NaN.
    pub fn doubles(&self, name: &str) -> Result<Vec<f64>, Error> {
        let column = self.column(name)?;
        let values = column.f64().map_err(|error| self.column_error(name, error))?;
        Ok(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }

    /// Booleans without nulls.
    pub fn flags(&self, name: &str) -> Result<Vec<bool>, Error> {
        let column = self.column(name)?;
        let values = column.bool().map_err(|error| self.column_error(name, error))?;
        let null = || self.column_error(name, "must not be null");
        values.iter().map(|value| value.ok_or_else(null)).collect()
    }

    /// Lists of 32-bit floats; a null list is `None`, a null in a list NaN.
    pub fn float_lists(&self, name: &str) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let column = self.column(name)?;
        let lists = column.list().map_err(|error| self.column_error(name, error))?;
        (0..lists.len())
            .map(|row| {
                let list = lists.get_as_series(row);
                let Some(list) = list else { return Ok(None) };
                let values = list.f32().map_err(|error| self.column_error(name, error))?;
                Ok(Some(values.iter().map(|value| value.unwrap_or(f32::NAN)).collect()))
            })
            .collect()
    }

    /// Lists of 32-bit integers; null is the empty list.
    pub fn int_lists(&self, name: &str) -> Result<Vec<Vec<i32>>, Error> {
        let column = self.column(name)?;
        let lists = column.list().map_err(|error| self.column_error(name, error))?;
        (0..lists.len())
            .map(|row| {
                let list = lists.get_as_series(row);
                let Some(list) = list else { return Ok(Vec::new()) };
                let values = list.i32().map_err(|error| self.column_error(name, error))?;
                Ok(values.iter().map(Option::unwrap_or_default).collect())
            })
            .collect()
    }

    /// Lists of text; null is the empty list.
    pub fn text_lists(&self, name: &str) -> Result<Vec<Vec<String>>, Error> {
        let column = self.column(name)?;
        let lists = column.list().map_err(|error| self.column_error(name, error))?;
        (0..lists.len())
            .map(|row| {
                let list = lists.get_as_series(row);
                let Some(list) = list else { return Ok(Vec::new()) };
                let values = list.str().map_err(|error| self.column_error(name, error))?;
                Ok(values.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
            })
            .collect()
    }
}

/// A column of text; `None` is null.
pub(crate) fn texts<'a, T>(
    name: &str,
    rows: &'a [T],
    of: impl Fn(&'a T) -> Option<&'a str>,
) -> Column {
    let values: StringChunked = rows.iter().map(of).collect();
    values.with_name(name.into()).into_column()
}

/// A column of 32-bit integers; `None` is null.
pub(crate) fn ints<T>(name: &str, rows: &[T], of: impl Fn(&T) -> Option<i32>) -> Column {
    let values: Int32Chunked = rows.iter().map(of).collect();
    values.with_name(name.into()).into_column()
}

/// A column of 64-bit unsigned integers; `None` is null.
pub(crate) fn wides<T>(name: &str, rows: &[T], of: impl Fn(&T) -> Option<u64>) -> Column {
    let values: UInt64Chunked = rows.iter().map(of).collect();
    values.with_name(name.into()).into_column()
}

/// A column of 32-bit floats; NaN is null.
pub(crate) fn floats<T>(name: &str, rows: &[T], of: impl Fn(&T) -> f32) -> Column {
    let finite = |value: f32| (!value.is_nan()).then_some(value);
    let values: Float32Chunked = rows.iter().map(|row| finite(of(row))).collect();
    values.with_name(name.into()).into_column()
}

/// A column of 64-bit floats; NaN is null.
pub(crate) fn doubles<T>(name: &str, rows: &[T], of: impl Fn(&T) -> f64) -> Column {
    let finite = |value: f64| (!value.is_nan()).then_some(value);
    let values: Float64Chunked = rows.iter().map(|row| finite(of(row))).collect();
    values.with_name(name.into()).into_column()
}

/// A column of booleans.
pub(crate) fn flags<T>(name: &str, rows: &[T], of: impl Fn(&T) -> bool) -> Column {
    let values: BooleanChunked = rows.iter().map(|row| Some(of(row))).collect();
    values.with_name(name.into()).into_column()
}

/// A column of lists of 32-bit floats; `None` is null, NaN stays NaN.
pub(crate) fn float_lists<'a, T>(
    name: &str,
    rows: &'a [T],
    of: impl Fn(&'a T) -> Option<&'a [f32]>,
) -> Column {
    let n_values = rows.iter().filter_map(&of).map(<[f32]>::len).sum();
    let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(
        name.into(),
        rows.len(),
        n_values,
        DataType::Float32,
    );
    for row in rows {
        match of(row) {
            Some(values) => builder.append_slice(values),
            None => builder.append_null(),
        }
    }
    builder.finish().into_column()
}

/// A column of lists of 32-bit integers.
pub(crate) fn int_lists<T>(name: &str, rows: &[T], of: impl Fn(&T) -> Vec<i32>) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<Int32Type>::new(
        name.into(),
        rows.len(),
        rows.len(),
        DataType::Int32,
    );
    for row in rows {
        builder.append_slice(&of(row));
    }
    builder.finish().into_column()
}

/// A column of lists of text.
pub(crate) fn text_lists<'a, T>(
    name: &str,
    rows: &'a [T],
    of: impl Fn(&'a T) -> &'a [String],
) -> Column {
    let mut builder = ListStringChunkedBuilder::new(name.into(), rows.len(), rows.len());
    for row in rows {
        builder.append_values_iter(of(row).iter().map(String::as_str));
    }
    builder.finish().into_column()
}
