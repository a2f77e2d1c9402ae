//! From a configuration to the files.

use std::path::{Path, PathBuf};

use lifecycle::{ErrorKind, Invalid, ProductId, Progress};
use polars::prelude::PolarsError;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tables::Truth;

use crate::config::Config;
use crate::market::Market;
use crate::records::{OrderRow, Record};
use crate::visits::Visits;
use crate::{dirt, files};

/// Products simulated between two looks at whether to stop.
const CHUNK: usize = 128;

/// A marketplace could not be simulated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("the simulator's configuration")]
    Config(#[from] Invalid),
    /// A file cannot be written.
    #[error("{path}: cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table cannot be written as Parquet.
    #[error("{path}: cannot be written as Parquet")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PolarsError,
    },
    /// A column cannot be built.
    #[error("column `{column}`")]
    Column {
        /// The column.
        column: String,
        /// Why.
        source: PolarsError,
    },
    /// The truth cannot be written.
    #[error("the truth cannot be written")]
    Truth(#[source] tables::Error),
    /// The folder to write into holds something already.
    #[error("{path}: is not empty; name a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The work was told to stop.
    #[error("the simulation was cancelled")]
    Cancelled,
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) | Self::NotEmpty { .. } => ErrorKind::Usage,
            _ => ErrorKind::Internal,
        }
    }
}

/// Sizes of what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Products.
    pub n_products: usize,
    /// Weeks of the calendar.
    pub n_weeks: usize,
    /// Rows of `orders.parquet`, dirt included.
    pub n_order_lines: usize,
    /// Rows of `returns.parquet`.
    pub n_returns: usize,
    /// Rows of `events.parquet`.
    pub n_events: usize,
    /// Rows of `prices.parquet` and of `stock.parquet`: weeks of products on sale.
    pub n_offers: usize,
}

/// Simulates a marketplace and writes its files into `output`, an empty directory.
pub fn run(config: &Config, output: &Path, progress: &dyn Progress) -> Result<Summary, Error> {
    config.validate()?;
    let market = Market::of(config);
    let visits = Visits::draw(config, market.mechanisms);
    let mut records = simulate(&market, &visits, progress)?;
    let ids: Vec<ProductId> = records.iter().map(|record| record.truth.product.clone()).collect();
    let orders = order_rows(&market, &visits, &mut records);
    progress.report("files", 0, 0);
    let truth_directory = output.join("truth");
    std::fs::create_dir_all(&truth_directory)
        .map_err(|source| Error::File { path: truth_directory.clone(), source })?;
    let (orders_written, others_written) = rayon::join(
        || files::orders(output, &orders, &ids, &visits),
        || write_others(output, &records, &ids),
    );
    orders_written?;
    let mut truths: Vec<Truth> = records.into_iter().map(|record| record.truth).collect();
    truths.sort_by(|a, b| a.product.cmp(&b.product));
    tables::write(&truth_directory.join("truth.parquet"), &truths).map_err(Error::Truth)?;
    let summary = Summary {
        n_products: ids.len(),
        n_weeks: config.weeks as usize,
        n_order_lines: orders.len(),
        ..others_written?
    };
    tracing::info!(
        world = config.world.name(),
        products = summary.n_products,
        order_lines = summary.n_order_lines,
        events = summary.n_events,
        "marketplace simulated"
    );
    Ok(summary)
}

/// All products, in order.
fn simulate(
    market: &Market,
    visits: &Visits,
    progress: &dyn Progress,
) -> Result<Vec<Record>, Error> {
    let n_products = market.config.products as usize;
    let mut records = Vec::with_capacity(n_products);
    for first in (0..n_products).step_by(CHUNK) {
        if progress.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let chunk: Vec<Record> = (first..(first + CHUNK).min(n_products))
            .into_par_iter()
            .map(|index| Record::of(market, visits, index))
            .collect();
        records.extend(chunk);
        progress.report("products", records.len() as u64, n_products as u64);
    }
    Ok(records)
}

/// The rows of all products and the rest, by time.
fn order_rows(market: &Market, visits: &Visits, records: &mut [Record]) -> Vec<OrderRow> {
    let mut rows: Vec<OrderRow> =
        records.iter_mut().flat_map(|record| std::mem::take(&mut record.orders)).collect();
    let mut holds_lines = vec![false; visits.n_orders()];
    for row in &rows {
        holds_lines[row.order] = true;
    }
    rows.extend(dirt::other_rows(market, visits, &holds_lines));
    rows.sort_by_key(|row| (row.second, row.order, row.item, row.units));
    rows
}

fn write_others(output: &Path, records: &[Record], ids: &[ProductId]) -> Result<Summary, Error> {
    files::products(output, records, ids)?;
    files::stock(output, records, ids)?;
    Ok(Summary {
        n_products: ids.len(),
        n_weeks: 0,
        n_order_lines: 0,
        n_returns: files::returns(output, records, ids)?,
        n_events: files::events(output, records, ids)?,
        n_offers: files::prices(output, records, ids)?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lifecycle::{Stage, Unwatched};

    use super::*;
    use crate::World;

    fn small(world: World) -> Config {
        Config { world, products: 60, weeks: 70, seed: 5 }
    }

    /// The bytes of all files, made with a number of threads.
    fn bytes_of(config: &Config, n_threads: usize) -> BTreeMap<PathBuf, Vec<u8>> {
        let directory = tempfile::tempdir().expect("a directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| run(config, directory.path(), &Unwatched)).expect("a marketplace");
        let names = ["orders", "returns", "events", "prices", "stock", "products", "truth/truth"];
        let read = |name: &str| {
            let name = PathBuf::from(format!("{name}.parquet"));
            let bytes = std::fs::read(directory.path().join(&name)).expect("a file");
            (name, bytes)
        };
        names.into_iter().map(read).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_with_one_thread_or_two() {
        for world in [World::Household, World::FashionAndTrade] {
            let config = small(world);
            let first = bytes_of(&config, 1);
            assert!(first == bytes_of(&config, 2), "{}", world.name());
            let other = bytes_of(&Config { seed: 6, ..config }, 2);
            assert!(first.iter().all(|(name, bytes)| other[name] != *bytes));
        }
        let (first, second) =
            (bytes_of(&small(World::Household), 2), bytes_of(&small(World::FashionAndTrade), 2));
        assert!(first.iter().all(|(name, bytes)| second[name] != *bytes));
    }

    #[test]
    fn the_truth_is_complete_and_its_contributions_add_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config { products: 200, ..small(World::FashionAndTrade) };
        let summary = run(&config, directory.path(), &Unwatched).expect("a marketplace");
        let truths: Vec<Truth> =
            tables::read(&directory.path().join("truth/truth.parquet")).expect("the truth");
        assert_eq!((summary.n_products, truths.len()), (200, 200));
        for truth in &truths {
            let n_weeks = truth.demand.len();
            assert_eq!(truth.stages.len(), n_weeks);
            assert_eq!(truth.contributions.len(), 6 * n_weeks);
            let last = truth.day.0 + 7 * n_weeks as i32;
            assert_eq!(last, season_end(&config), "reaches the calendar's end");
            for (week, parts) in truth.contributions.chunks_exact(6).enumerate() {
                let expected: f32 = parts[..5].iter().sum();
                let demand = truth.demand[week];
                assert!((expected - demand).abs() <= 1e-4 * (1.0 + parts[0] + demand));
                let wanted = expected + parts[5];
                assert!((wanted - wanted.round()).abs() < 0.01 && wanted > -0.01);
                let ended = Stage::Ended.index() as i32;
                assert!(demand > 0.0 || truth.stages[week] == ended || parts[0] == 0.0);
            }
        }
        let families: std::collections::BTreeSet<&str> =
            truths.iter().map(|truth| truth.family.as_str()).collect();
        assert_eq!(families.len(), 5, "{families:?}");
    }

    fn season_end(config: &Config) -> i32 {
        crate::season::monday(config.weeks as i32).0
    }

    #[test]
    fn sizes_are_those_of_a_shop() {
        for world in [World::Household, World::FashionAndTrade] {
            let config = Config { world, products: 250, weeks: 104, seed: 9 };
            let directory = tempfile::tempdir().expect("a directory");
            let summary = run(&config, directory.path(), &Unwatched).expect("a marketplace");
            let lines_per_product_week = summary.n_order_lines as f64 / (250.0 * 104.0);
            assert!((1.5..5.0).contains(&lines_per_product_week), "{lines_per_product_week}");
            let on_sale = summary.n_offers as f64 / (250.0 * 104.0);
            assert!((0.35..0.65).contains(&on_sale), "{on_sale} of product-weeks on sale");
            assert!(summary.n_events > summary.n_order_lines / 2 && summary.n_returns > 0);
        }
    }

    #[test]
    fn the_smallest_and_shortest_marketplace_is_written() {
        let config = Config { products: 1, weeks: 8, ..Config::default() };
        let directory = tempfile::tempdir().expect("a directory");
        let summary = run(&config, directory.path(), &Unwatched).expect("a marketplace");
        assert_eq!(summary.n_products, 1);
    }

    #[test]
    fn a_wrong_configuration_and_a_missing_directory_are_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let wrong = Config { products: 0, ..Config::default() };
        let error = run(&wrong, directory.path(), &Unwatched).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let file = directory.path().join("file");
        std::fs::write(&file, "").expect("written");
        let error = run(&small(World::Household), &file, &Unwatched).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(matches!(error, Error::File { .. }));
    }

    #[test]
    fn a_cancelled_simulation_stops() {
        struct Stop;
        impl Progress for Stop {
            fn report(&self, _: &str, _: u64, _: u64) {}
            fn is_cancelled(&self) -> bool {
                true
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let stopped = run(&small(World::Household), directory.path(), &Stop);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
