//! The clean data set: what `ingest` publishes and `features` reads.
//!
//! Dated tables are cut into partitions by a hash of the product, the same for all; within one,
//! rows are sorted by their fields in order.

use lifecycle::{Day, Frequency, LocationId, ProductId, Series};
use polars::prelude::Column;
use serde::{Deserialize, Serialize};

use crate::frame::{Error, Frame, Table, doubles, floats, ints, text_lists, texts, wides};
use crate::series;

/// What holds for the whole data set; `dataset.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Name given in the mapping.
    pub name: String,
    /// Period that the panel is to have.
    pub frequency: Frequency,
    /// First day that the data covers.
    pub first_day: Day,
    /// Last day that the data covers.
    pub last_day: Day,
    /// Units that make "one", 1 unless declared.
    pub units_per_one: f64,
    /// Levels of the category path that make the category of shares.
    pub share_depth: usize,
    /// Every life has an end date.
    pub all_lives_ended: bool,
    /// Forecast horizon in periods, where the mapping declares one.
    pub horizon: Option<usize>,
    /// By what its sales can be dealt out to two halves, where they can: see [`Sale::half`].
    #[serde(default)]
    pub thinned_by: Option<ThinnedBy>,
    /// Partitions of the dated tables.
    pub n_partitions: usize,
}

/// What is dealt out whole when sales are cut in halves. Units never are: they come in lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThinnedBy {
    /// All that a customer ever bought.
    Buyer,
    /// An order, where no customers are known.
    Order,
}

impl ThinnedBy {
    /// Lower-case name, as in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Order => "order",
        }
    }
}

/// One of the two halves of a data set's buyers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Buyers of an even hash.
    First,
    /// Buyers of an odd one.
    Second,
}

impl Half {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];
}

/// What a row of [`Sale`] records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaleKind {
    /// Units left for a customer.
    Sale,
    /// A sale undone: units are negative, `day` is the sale's, `known` the cancellation's.
    Cancellation,
    /// Units came back, on their own day; units are positive.
    Return,
}

impl SaleKind {
    const ALL: [Self; 3] = [Self::Sale, Self::Cancellation, Self::Return];

    fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Cancellation => "cancellation",
            Self::Return => "return",
        }
    }
}

/// One clean order line; `sales/part-NNN.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sale {
    /// What was sold.
    pub series: Series,
    /// When.
    pub day: Day,
    /// When it was known; never before `day`.
    pub known: Day,
    /// Sale, cancellation or return.
    pub kind: SaleKind,
    /// Units; negative for a cancellation only.
    pub units: f64,
    /// Price paid per unit, NaN where unknown.
    pub price: f64,
    /// Share of the list price taken off, NaN where unknown.
    pub discount: f64,
    /// Hash of the order's id.
    pub order: Option<u64>,
    /// Keyed hash of the customer's id.
    pub customer: Option<u64>,
}

impl Sale {
    /// The half that the row goes to: its buyer's; where no buyer is known, its order's; where
    /// neither is, all that the series sold on that day goes one way.
    ///
    /// A cancellation has buyer, order and day of the sale that it undoes, hence its half.
    pub fn half(&self) -> Half {
        let by_day = || {
            let day = u64::from(self.day.0.unsigned_abs());
            let location = self.series.location.as_ref().map(LocationId::as_str);
            let ids = [Some(self.series.product.as_str()), location];
            let bytes = ids.into_iter().flatten().flat_map(str::bytes).map(u64::from);
            // Knuth's multiplicative hash; the high bits are the mixed ones.
            let mix = |hash: u64, next: u64| (hash ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bytes.chain([day]).fold(0, mix) >> 63
        };
        let hash = self.customer.or(self.order).unwrap_or_else(by_day);
        Half::ALL[(hash % 2) as usize]
    }
}

impl Table for Sale {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("day", rows, |row| Some(row.day.0)),
            ints("known", rows, |row| Some(row.known.0)),
            texts("kind", rows, |row| Some(row.kind.name())),
            doubles("units", rows, |row| row.units),
            doubles("price", rows, |row| row.price),
            doubles("discount", rows, |row| row.discount),
            wides("order", rows, |row| row.order),
            wides("customer", rows, |row| row.customer),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (days, knowns) = (frame.ints("day")?, frame.ints("known")?);
        let kinds = frame.required_texts("kind")?;
        let (units, prices) = (frame.doubles("units")?, frame.doubles("price")?);
        let discounts = frame.doubles("discount")?;
        let (orders, customers) =
            (frame.optional_wides("order")?, frame.optional_wides("customer")?);
        series::read(frame)?
            .enumerate()
            .map(|(row, series)| {
                let kind = SaleKind::ALL.into_iter().find(|kind| kind.name() == kinds[row]);
                Ok(Self {
                    series,
                    day: Day(days[row]),
                    known: Day(knowns[row]),
                    kind: kind.ok_or_else(|| frame.column_error("kind", "unknown kind"))?,
                    units: units[row],
                    price: prices[row],
                    discount: discounts[row],
                    order: orders[row],
                    customer: customers[row],
                })
            })
            .collect()
    }
}

/// Behaviour of customers on one day; `events/part-NNN.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventCount {
    /// Towards what.
    pub series: Series,
    /// When.
    pub day: Day,
    /// Page views.
    pub views: f64,
    /// Additions to a cart.
    pub carts: f64,
    /// Additions to a wish list.
    pub wishes: f64,
}

impl Table for EventCount {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("day", rows, |row| Some(row.day.0)),
            doubles("views", rows, |row| row.views),
            doubles("carts", rows, |row| row.carts),
            doubles("wishes", rows, |row| row.wishes),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let days = frame.ints("day")?;
        let (views, carts) = (frame.doubles("views")?, frame.doubles("carts")?);
        let wishes = frame.doubles("wishes")?;
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            day: Day(days[row]),
            views: views[row],
            carts: carts[row],
            wishes: wishes[row],
        });
        Ok(rows.collect())
    }
}

/// Stock of one day or period; `stock/part-NNN.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct Stock {
    /// Of what.
    pub series: Series,
    /// First day it holds for.
    pub day: Day,
    /// Days it holds for.
    pub n_days: i32,
    /// Share of that time in stock, 0 to 1.
    pub in_stock: f64,
}

impl Table for Stock {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("day", rows, |row| Some(row.day.0)),
            ints("n_days", rows, |row| Some(row.n_days)),
            doubles("in_stock", rows, |row| row.in_stock),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (days, n_days) = (frame.ints("day")?, frame.ints("n_days")?);
        let in_stock = frame.doubles("in_stock")?;
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            day: Day(days[row]),
            n_days: n_days[row],
            in_stock: in_stock[row],
        });
        Ok(rows.collect())
    }
}

/// A price and promotion that was announced; `offers/part-NNN.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Of what.
    pub series: Series,
    /// First day it holds for.
    pub day: Day,
    /// Days it holds for.
    pub n_days: i32,
    /// When it was announced.
    pub known: Day,
    /// Price per unit, NaN where unknown.
    pub price: f64,
    /// Share of that time under promotion, NaN where unknown.
    pub promotion: f64,
}

impl Table for Offer {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("day", rows, |row| Some(row.day.0)),
            ints("n_days", rows, |row| Some(row.n_days)),
            ints("known", rows, |row| Some(row.known.0)),
            doubles("price", rows, |row| row.price),
            doubles("promotion", rows, |row| row.promotion),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (days, n_days) = (frame.ints("day")?, frame.ints("n_days")?);
        let known = frame.ints("known")?;
        let (prices, promotions) = (frame.doubles("price")?, frame.doubles("promotion")?);
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            day: Day(days[row]),
            n_days: n_days[row],
            known: Day(known[row]),
            price: prices[row],
            promotion: promotions[row],
        });
        Ok(rows.collect())
    }
}

/// One row of a ready panel; `panel/part-NNN.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelRow {
    /// Whose.
    pub series: Series,
    /// First day of the period.
    pub day: Day,
    /// Units, NaN where missing.
    pub units: f64,
    /// Share in stock, NaN where unknown.
    pub in_stock: f32,
    /// Price per unit, NaN where unknown.
    pub price: f32,
    /// Share under promotion, NaN where unknown.
    pub promotion: f32,
    /// The data's own stage label, as [`lifecycle::Stage::name`].
    pub stage: Option<String>,
}

impl Table for PanelRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("day", rows, |row| Some(row.day.0)),
            doubles("units", rows, |row| row.units),
            floats("in_stock", rows, |row| row.in_stock),
            floats("price", rows, |row| row.price),
            floats("promotion", rows, |row| row.promotion),
            texts("stage", rows, |row| row.stage.as_deref()),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (days, units) = (frame.ints("day")?, frame.doubles("units")?);
        let (in_stock, prices) = (frame.floats("in_stock")?, frame.floats("price")?);
        let promotions = frame.floats("promotion")?;
        let stages = frame.texts("stage")?;
        let rows =
            series::read(frame)?.zip(stages).enumerate().map(|(row, (series, stage))| Self {
                series,
                day: Day(days[row]),
                units: units[row],
                in_stock: in_stock[row],
                price: prices[row],
                promotion: promotions[row],
                stage,
            });
        Ok(rows.collect())
    }
}

/// What is known of a product; `products.parquet`, one row a product, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Which.
    pub product: ProductId,
    /// Category path from the root.
    pub category: Vec<String>,
    /// Brand or manufacturer.
    pub brand: Option<String>,
    /// Title or description.
    pub title: Option<String>,
    /// Day it went on sale.
    pub launch: Option<Day>,
    /// Day it was de-listed.
    pub end: Option<Day>,
}

impl Table for Product {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            texts("product", rows, |row| Some(row.product.as_str())),
            text_lists("category", rows, |row| &row.category),
            texts("brand", rows, |row| row.brand.as_deref()),
            texts("title", rows, |row| row.title.as_deref()),
            ints("launch", rows, |row| row.launch.map(|day| day.0)),
            ints("end", rows, |row| row.end.map(|day| day.0)),
        ]
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let products = frame.required_texts("product")?;
        let mut categories = frame.text_lists("category")?.into_iter();
        let mut brands = frame.texts("brand")?.into_iter();
        let mut titles = frame.texts("title")?.into_iter();
        let (launches, ends) = (frame.optional_ints("launch")?, frame.optional_ints("end")?);
        let rows = products.into_iter().enumerate().map(|(row, product)| Self {
            product: product.into(),
            category: categories.next().unwrap_or_default(),
            brand: brands.next().flatten(),
            title: titles.next().flatten(),
            launch: launches[row].map(Day),
            end: ends[row].map(Day),
        });
        Ok(rows.collect())
    }
}

/// A row that was refused; `quarantine.parquet`, sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// The file's name as in the mapping.
    pub file: String,
    /// Row of the file, 1 is the first below the header.
    pub row: u64,
    /// One of a few short reasons, the same text for the same cause.
    pub reason: String,
    /// The column that was wrong, empty where it is the row as a whole.
    pub column: String,
    /// What stood there, at most 200 characters.
    pub value: String,
}

impl Table for Quarantined {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            texts("file", rows, |row| Some(&row.file)),
            wides("row", rows, |row| Some(row.row)),
            texts("reason", rows, |row| Some(&row.reason)),
            texts("column", rows, |row| Some(&row.column)),
            texts("value", rows, |row| Some(&row.value)),
        ]
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let files = frame.required_texts("file")?;
        let numbers = frame.optional_wides("row")?;
        let mut reasons = frame.required_texts("reason")?.into_iter();
        let mut columns = frame.required_texts("column")?.into_iter();
        let mut values = frame.required_texts("value")?.into_iter();
        let rows = files.into_iter().enumerate().map(|(row, file)| Self {
            file,
            row: numbers[row].unwrap_or_default(),
            reason: reasons.next().unwrap_or_default(),
            column: columns.next().unwrap_or_default(),
            value: values.next().unwrap_or_default(),
        });
        Ok(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale(day: i32, order: Option<u64>, customer: Option<u64>) -> Sale {
        Sale {
            series: Series::of("mug"),
            day: Day(day),
            known: Day(day),
            kind: SaleKind::Sale,
            units: 1.0,
            price: f64::NAN,
            discount: f64::NAN,
            order,
            customer,
        }
    }

    #[test]
    fn a_buyer_stays_in_one_half_whatever_the_order_and_an_unknown_one_goes_by_order_or_day() {
        for order in 0..9 {
            assert_eq!(sale(1, Some(order), Some(4)).half(), Half::First);
            assert_eq!(sale(1, Some(order), Some(7)).half(), Half::Second);
        }
        assert_ne!(sale(1, Some(2), None).half(), sale(1, Some(3), None).half());
        let n_first = (0..1000).filter(|day| sale(*day, None, None).half() == Half::First).count();
        assert!((450..550).contains(&n_first), "{n_first}");
        let undone = Sale { kind: SaleKind::Cancellation, known: Day(9), ..sale(3, None, None) };
        assert_eq!(undone.half(), sale(3, None, None).half());
    }
}
