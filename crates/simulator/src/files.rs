//! The shop's raw files as Parquet: fixed columns, rows in a total order, one set of options.

use std::fs::File;
use std::path::Path;

use lifecycle::{Day, ProductId};
use polars::prelude::*;

use crate::Error;
use crate::records::{Item, OrderRow, Record};
use crate::visits::Visits;

/// Rows in one row group.
const ROW_GROUP: usize = 1 << 17;

/// Writes `orders.parquet`; the rows are sorted already.
pub(crate) fn orders(
    directory: &Path,
    rows: &[OrderRow],
    ids: &[ProductId],
    visits: &Visits,
) -> Result<(), Error> {
    let order_ids: StringChunked = rows
        .iter()
        .map(|row| {
            let id = Visits::id(row.order);
            Some(if row.is_cancellation { format!("C{id}") } else { id })
        })
        .collect();
    let item = |row: &OrderRow| match row.item {
        Item::Product(index) => ids[index].as_str(),
        Item::Other(code) => code,
    };
    let items: StringChunked = rows.iter().map(|row| Some(item(row))).collect();
    let customers: StringChunked = rows.iter().map(|row| visits.customer(row.order)).collect();
    let columns = vec![
        order_ids.with_name("order_id".into()).into_column(),
        customers.with_name("customer_id".into()).into_column(),
        items.with_name("product_id".into()).into_column(),
        instants("ordered_at", rows.iter().map(|row| row.second))?,
        wholes("quantity", rows.iter().map(|row| row.units)),
        numbers("unit_price", rows.iter().map(|row| row.price)),
        numbers("discount", rows.iter().map(|row| row.discount)),
    ];
    write(&directory.join("orders.parquet"), columns)
}

/// Writes `returns.parquet`, by time.
pub(crate) fn returns(
    directory: &Path,
    records: &[Record],
    ids: &[ProductId],
) -> Result<usize, Error> {
    let mut rows: Vec<_> = records.iter().flat_map(|record| &record.returns).collect();
    rows.sort_by_key(|row| (row.second, row.order, row.product));
    let order_ids: StringChunked = rows.iter().map(|row| Some(Visits::id(row.order))).collect();
    let columns = vec![
        order_ids.with_name("order_id".into()).into_column(),
        texts("product_id", rows.iter().map(|row| Some(ids[row.product].as_str()))),
        instants("returned_at", rows.iter().map(|row| row.second))?,
        wholes("quantity", rows.iter().map(|row| row.units)),
    ];
    write(&directory.join("returns.parquet"), columns)?;
    Ok(rows.len())
}

/// Writes `events.parquet`, by product, day and kind.
pub(crate) fn events(
    directory: &Path,
    records: &[Record],
    ids: &[ProductId],
) -> Result<usize, Error> {
    let rows = || by_product(records, ids, |record| &record.events);
    let kind = |is_cart| if is_cart { "cart" } else { "view" };
    let columns = vec![
        texts("product_id", rows().map(|(id, _)| Some(id))),
        dates("date", rows().map(|(_, row)| Some(row.day)))?,
        texts("kind", rows().map(|(_, row)| Some(kind(row.is_cart)))),
        wholes("count", rows().map(|(_, row)| row.count)),
    ];
    write(&directory.join("events.parquet"), columns)?;
    Ok(rows().count())
}

/// Writes `prices.parquet`, by product and week.
pub(crate) fn prices(
    directory: &Path,
    records: &[Record],
    ids: &[ProductId],
) -> Result<usize, Error> {
    let rows = || by_product(records, ids, |record| &record.prices);
    let columns = vec![
        texts("product_id", rows().map(|(id, _)| Some(id))),
        dates("week_start", rows().map(|(_, row)| Some(row.week_start)))?,
        dates("announced_on", rows().map(|(_, row)| Some(row.announced_on)))?,
        numbers("price", rows().map(|(_, row)| row.price)),
        numbers("promotion", rows().map(|(_, row)| row.promotion)),
    ];
    write(&directory.join("prices.parquet"), columns)?;
    Ok(rows().count())
}

/// Writes `stock.parquet`, by product and week.
pub(crate) fn stock(
    directory: &Path,
    records: &[Record],
    ids: &[ProductId],
) -> Result<usize, Error> {
    let rows = || by_product(records, ids, |record| &record.stock);
    let columns = vec![
        texts("product_id", rows().map(|(id, _)| Some(id))),
        dates("week_start", rows().map(|(_, (day, _))| Some(*day)))?,
        numbers("in_stock", rows().map(|(_, (_, share))| *share)),
    ];
    write(&directory.join("stock.parquet"), columns)?;
    Ok(rows().count())
}

/// Writes `products.parquet`.
pub(crate) fn products(
    directory: &Path,
    records: &[Record],
    ids: &[ProductId],
) -> Result<(), Error> {
    let rows = || records.iter().map(|record| &record.listing);
    let columns = vec![
        texts("product_id", ids.iter().map(|id| Some(id.as_str()))),
        texts("title", rows().map(|row| Some(row.title.as_str()))),
        texts("department", rows().map(|row| Some(row.department))),
        texts("category", rows().map(|row| Some(row.category))),
        texts("brand", rows().map(|row| row.brand.as_deref())),
        dates("launched_on", rows().map(|row| row.launched_on))?,
        dates("delisted_on", rows().map(|row| row.delisted_on))?,
        numbers("list_price", rows().map(|row| row.list_price)),
    ];
    write(&directory.join("products.parquet"), columns)
}

fn by_product<'a, T: 'a>(
    records: &'a [Record],
    ids: &'a [ProductId],
    rows: impl Fn(&'a Record) -> &'a [T],
) -> impl Iterator<Item = (&'a str, &'a T)> {
    ids.iter()
        .zip(records)
        .flat_map(move |(id, record)| rows(record).iter().map(move |row| (id.as_str(), row)))
}

pub(crate) fn texts<'a>(name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Column {
    let values: StringChunked = values.collect();
    values.with_name(name.into()).into_column()
}

fn wholes(name: &str, values: impl Iterator<Item = i64>) -> Column {
    Int64Chunked::from_iter_values(name.into(), values).into_column()
}

pub(crate) fn numbers(name: &str, values: impl Iterator<Item = f64>) -> Column {
    Float64Chunked::from_iter_values(name.into(), values).into_column()
}

/// A column of floats; NaN is null.
pub(crate) fn optional_numbers(name: &str, values: impl Iterator<Item = f64>) -> Column {
    let values: Float64Chunked = values.map(|value| (!value.is_nan()).then_some(value)).collect();
    values.with_name(name.into()).into_column()
}

pub(crate) fn dates(name: &str, days: impl Iterator<Item = Option<Day>>) -> Result<Column, Error> {
    let days: Int32Chunked = days.map(|day| day.map(|Day(day)| day)).collect();
    let column = days.with_name(name.into()).into_column();
    column.cast(&DataType::Date).map_err(|source| Error::Column { column: name.into(), source })
}

fn instants(name: &str, seconds: impl Iterator<Item = i64>) -> Result<Column, Error> {
    let milliseconds = seconds.map(|second| 1_000 * second);
    let column = Int64Chunked::from_iter_values(name.into(), milliseconds).into_column();
    let datetime = DataType::Datetime(TimeUnit::Milliseconds, None);
    column.cast(&datetime).map_err(|source| Error::Column { column: name.into(), source })
}

pub(crate) fn write(path: &Path, columns: Vec<Column>) -> Result<(), Error> {
    let parquet = |source| Error::Parquet { path: path.to_owned(), source };
    let io = |source| Error::File { path: path.to_owned(), source };
    let n_rows = columns.first().map_or(0, Column::len);
    let mut frame = DataFrame::new(n_rows, columns).map_err(parquet)?;
    let file = File::create(path).map_err(io)?;
    ParquetWriter::new(&file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(ROW_GROUP))
        .set_parallel(false)
        .finish(&mut frame)
        .map_err(parquet)?;
    file.sync_all().map_err(io)
}
