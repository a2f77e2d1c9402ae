//! The dated tables of a data set, one partition at a time.
//!
//! A partition holds all rows of its products, so what is in memory is bounded by one partition and
//! the panel made so far.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::{Series, Stage};
use panel::{DatedRows, Given, Offered, Sold, SoldKind, Stocked, Watched};
use tables::{Dataset, EventCount, Half, Offer, PanelRow, Product, Sale, SaleKind, Stock, Table};

use crate::Error;

/// All dated rows of one series.
#[derive(Debug, Default)]
pub(crate) struct SeriesRows {
    pub(crate) rows: DatedRows,
    /// The half of the buyers that each of the sales goes to.
    pub(crate) halves: Vec<Half>,
}

impl SeriesRows {
    /// Sales of one half of the buyers, with the stock; what visitors saw says nothing of whose
    /// half they are in, and is left out.
    pub(crate) fn of_half(&self, half: Half) -> DatedRows {
        let sales = self.rows.sales.iter().zip(&self.halves);
        let own = sales.filter(|(_, of)| **of == half).map(|(sale, _)| *sale);
        DatedRows { sales: own.collect(), stock: self.rows.stock.clone(), ..DatedRows::default() }
    }
}

/// A data set's directory with what holds for all of it.
#[derive(Debug)]
pub(crate) struct Partitions<'a> {
    directory: &'a Path,
    pub(crate) dataset: Dataset,
}

impl<'a> Partitions<'a> {
    pub(crate) fn open(directory: &'a Path) -> Result<Self, Error> {
        let path = directory.join("dataset.json");
        let read_error = |source| Error::Read { path: path.clone(), source };
        let text = std::fs::read(&path).map_err(read_error)?;
        let dataset = serde_json::from_slice(&text).map_err(|error| read_error(error.into()))?;
        Ok(Self { directory, dataset })
    }

    /// All products with a row of their own.
    pub(crate) fn products(&self) -> Result<Vec<Product>, Error> {
        let path = self.directory.join("products.parquet");
        if path.exists() { Ok(tables::read(&path)?) } else { Ok(Vec::new()) }
    }

    /// The files of one kind of dated rows, in the order of the partitions.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let files = (0..self.dataset.n_partitions).map(|number| self.file(folder, number));
        files.filter(|path| path.exists()).collect()
    }

    /// All dated rows of one partition, by series.
    pub(crate) fn rows(&self, number: usize) -> Result<BTreeMap<Series, SeriesRows>, Error> {
        let mut by_series = BTreeMap::new();
        self.gather::<Sale>(number, &mut by_series)?;
        self.gather::<EventCount>(number, &mut by_series)?;
        self.gather::<Stock>(number, &mut by_series)?;
        self.gather::<Offer>(number, &mut by_series)?;
        self.gather::<PanelRow>(number, &mut by_series)?;
        Ok(by_series)
    }

    fn file(&self, folder: &str, number: usize) -> PathBuf {
        self.directory.join(folder).join(format!("part-{number:03}.parquet"))
    }

    fn gather<R: DatedRow>(
        &self,
        number: usize,
        by_series: &mut BTreeMap<Series, SeriesRows>,
    ) -> Result<(), Error> {
        let path = self.file(R::FOLDER, number);
        if !path.exists() {
            return Ok(());
        }
        let rows: Vec<R> = tables::read(&path)?;
        for group in rows.chunk_by(|row, next| row.series() == next.series()) {
            let of_series = by_series.entry(group[0].series().clone()).or_default();
            for row in group {
                row.add_to(of_series);
            }
        }
        Ok(())
    }
}

/// A row that happened on a day to a series.
trait DatedRow: Table {
    /// Where its partitions lie.
    const FOLDER: &'static str;

    fn series(&self) -> &Series;

    fn add_to(&self, of_series: &mut SeriesRows);
}

impl DatedRow for Sale {
    const FOLDER: &'static str = "sales";

    fn series(&self) -> &Series {
        &self.series
    }

    fn add_to(&self, of_series: &mut SeriesRows) {
        let Self { series: _, day, known, kind, units, price, discount, order, customer: _ } =
            *self;
        let kind = match kind {
            SaleKind::Sale => SoldKind::Sale,
            SaleKind::Cancellation => SoldKind::Cancellation,
            SaleKind::Return => SoldKind::Return,
        };
        of_series.halves.push(self.half());
        of_series.rows.sales.push(Sold { day, known, kind, units, price, discount, order });
    }
}

impl DatedRow for EventCount {
    const FOLDER: &'static str = "events";

    fn series(&self) -> &Series {
        &self.series
    }

    fn add_to(&self, of_series: &mut SeriesRows) {
        let Self { series: _, day, views, carts, wishes: _ } = *self;
        of_series.rows.events.push(Watched { day, views, carts });
    }
}

impl DatedRow for Stock {
    const FOLDER: &'static str = "stock";

    fn series(&self) -> &Series {
        &self.series
    }

    fn add_to(&self, of_series: &mut SeriesRows) {
        let Self { series: _, day, n_days, in_stock } = *self;
        of_series.rows.stock.push(Stocked { day, n_days, in_stock });
    }
}

impl DatedRow for Offer {
    const FOLDER: &'static str = "offers";

    fn series(&self) -> &Series {
        &self.series
    }

    fn add_to(&self, of_series: &mut SeriesRows) {
        let Self { series: _, day, n_days, known, price, promotion } = *self;
        of_series.rows.offers.push(Offered { day, n_days, known, price, promotion });
    }
}

impl DatedRow for PanelRow {
    const FOLDER: &'static str = "panel";

    fn series(&self) -> &Series {
        &self.series
    }

    fn add_to(&self, of_series: &mut SeriesRows) {
        let Self { series: _, day, units, in_stock, price, promotion, ref stage } = *self;
        let named = |stage: &String| Stage::ALL.into_iter().find(|known| known.name() == stage);
        let stage = stage.as_ref().and_then(named);
        of_series.rows.given.push(Given { day, units, in_stock, price, promotion, stage });
    }
}
