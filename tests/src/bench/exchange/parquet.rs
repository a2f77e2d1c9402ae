//! Columns of the exchange and the file they go to: the same values give the same bytes.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, Float32Chunked, Int32Chunked, IntoColumn,
    ParquetCompression, ParquetWriter, StringChunked,
};

/// A column of text; `None` is null.
pub(super) fn texts(name: &str, values: impl Iterator<Item = Option<String>>) -> Column {
    let values: StringChunked = values.collect();
    values.with_name(name.into()).into_column()
}

/// A column of integers; `None` is null.
pub(super) fn ints(name: &str, values: impl Iterator<Item = Option<i32>>) -> Column {
    let values: Int32Chunked = values.collect();
    values.with_name(name.into()).into_column()
}

/// A column of floats; NaN is null.
pub(super) fn floats(name: &str, values: impl Iterator<Item = f32>) -> Column {
    let values: Float32Chunked = values.map(|value| (!value.is_nan()).then_some(value)).collect();
    values.with_name(name.into()).into_column()
}

/// A column of booleans.
pub(super) fn flags(name: &str, values: impl Iterator<Item = bool>) -> Column {
    let values: BooleanChunked = values.map(Some).collect();
    values.with_name(name.into()).into_column()
}

/// Writes columns of one length.
pub(super) fn write(path: &Path, columns: Vec<Column>) -> anyhow::Result<()> {
    let n_rows = columns.first().map_or(0, Column::len);
    let mut frame = DataFrame::new(n_rows, columns)?;
    let file = File::create(path).with_context(|| format!("{}", path.display()))?;
    ParquetWriter::new(&file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(1 << 16))
        .set_parallel(false)
        .finish(&mut frame)?;
    Ok(file.sync_all()?)
}
