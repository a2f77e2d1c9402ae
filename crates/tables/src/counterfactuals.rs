//! Counterfactuals, one row a target; `counterfactuals.parquet`, sorted by (series, origin, target's
//! position).

use lifecycle::{Period, Series};
use polars::prelude::Column;

use crate::frame::{Error, Frame, Table, doubles, flags, ints, texts};
use crate::series;

/// What change of one forecast's inputs meets one target, or comes nearest to it.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterfactualRow {
    /// Whose forecast.
    pub series: Series,
    /// From which origin.
    pub origin: Period,
    /// Name of the target, such as `another stage now`.
    pub target: String,
    /// Whether the target is met within the bounds; else the best that was reached is told.
    pub is_reached: bool,
    /// Price planned over the horizon, as a multiple of the recent one; NaN: none.
    pub planned_price: f64,
    /// Share under promotion planned over the horizon; NaN: none.
    pub planned_promotion: f64,
    /// Prices of the last 13 weeks, as a multiple of what they were; NaN: as they were.
    pub recent_price: f64,
    /// Mean share under promotion of the last 13 weeks; NaN: as it was.
    pub recent_promotion: f64,
    /// Mean share in stock of the last 13 weeks; NaN: as it was.
    pub recent_stock: f64,
    /// Size of the change, in widths of the bounds.
    pub distance: f64,
    /// Name of the output that is told.
    pub output: String,
    /// That output before.
    pub before: f64,
    /// That output after.
    pub after: f64,
    /// A sentence in English.
    pub en: String,
    /// A sentence in Chinese.
    pub zh: String,
}

impl Table for CounterfactualRow {
    fn columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = series::columns(rows, |row| &row.series);
        columns.extend([
            ints("origin", rows, |row| Some(row.origin.0)),
            texts("target", rows, |row| Some(&row.target)),
            flags("is_reached", rows, |row| row.is_reached),
            doubles("planned_price", rows, |row| row.planned_price),
            doubles("planned_promotion", rows, |row| row.planned_promotion),
            doubles("recent_price", rows, |row| row.recent_price),
            doubles("recent_promotion", rows, |row| row.recent_promotion),
            doubles("recent_stock", rows, |row| row.recent_stock),
            doubles("distance", rows, |row| row.distance),
            texts("output", rows, |row| Some(&row.output)),
            doubles("before", rows, |row| row.before),
            doubles("after", rows, |row| row.after),
            texts("en", rows, |row| Some(&row.en)),
            texts("zh", rows, |row| Some(&row.zh)),
        ]);
        columns
    }

    fn rows(frame: &Frame) -> Result<Vec<Self>, Error> {
        let (origins, reached) = (frame.ints("origin")?, frame.flags("is_reached")?);
        let (prices, promotions) =
            (frame.doubles("planned_price")?, frame.doubles("planned_promotion")?);
        let (recent_prices, recent_promotions) =
            (frame.doubles("recent_price")?, frame.doubles("recent_promotion")?);
        let (stocks, distances) = (frame.doubles("recent_stock")?, frame.doubles("distance")?);
        let (befores, afters) = (frame.doubles("before")?, frame.doubles("after")?);
        let mut targets = frame.required_texts("target")?.into_iter();
        let mut outputs = frame.required_texts("output")?.into_iter();
        let mut english = frame.required_texts("en")?.into_iter();
        let mut chinese = frame.required_texts("zh")?.into_iter();
        let rows = series::read(frame)?.enumerate().map(|(row, series)| Self {
            series,
            origin: Period(origins[row]),
            target: targets.next().unwrap_or_default(),
            is_reached: reached[row],
            planned_price: prices[row],
            planned_promotion: promotions[row],
            recent_price: recent_prices[row],
            recent_promotion: recent_promotions[row],
            recent_stock: stocks[row],
            distance: distances[row],
            output: outputs.next().unwrap_or_default(),
            before: befores[row],
            after: afters[row],
            en: english.next().unwrap_or_default(),
            zh: chinese.next().unwrap_or_default(),
        });
        Ok(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{read, write};

    #[test]
    fn what_is_unchanged_comes_back_as_no_number() {
        let row = CounterfactualRow {
            series: Series::of("mug"),
            origin: Period(7),
            target: "more sales".to_owned(),
            is_reached: true,
            planned_price: f64::NAN,
            planned_promotion: f64::NAN,
            recent_price: 0.9,
            recent_promotion: f64::NAN,
            recent_stock: 0.5,
            distance: 0.6,
            output: "units, periods 1 to 13".to_owned(),
            before: 100.0,
            after: 111.0,
            en: "More.".to_owned(),
            zh: "多。".to_owned(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counterfactuals.parquet");
        write(&path, std::slice::from_ref(&row)).expect("written");
        let back: Vec<CounterfactualRow> = read(&path).expect("read");
        assert_eq!(back.len(), 1);
        assert!(back[0].planned_price.is_nan() && back[0].recent_promotion.is_nan());
        assert_eq!((back[0].recent_price, back[0].recent_stock, back[0].after), (0.9, 0.5, 111.0));
        assert_eq!((&back[0].target, &back[0].zh), (&row.target, &row.zh));
        write::<CounterfactualRow>(&path, &[]).expect("written");
        assert_eq!(read::<CounterfactualRow>(&path).expect("read"), []);
    }
}
