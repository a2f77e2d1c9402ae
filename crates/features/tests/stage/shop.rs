//! A small shop with all kinds of dated rows, and the same shop with another future.

use std::path::Path;

use lifecycle::{Day, Frequency, ProductId, Series};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tables::{
    Dataset, EventCount, Offer, PanelRow, Product, Sale, SaleKind, Stock, Table, ThinnedBy,
};

const N_PARTITIONS: usize = 3;
const N_PRODUCTS: usize = 96;
const N_WEEKS: i32 = 104;

/// Monday 5 January 2015.
const FIRST: Day = Day(16_440);

/// A day of a week in which nobody sold anything.
pub(crate) const CLOSED: Day = Day(FIRST.0 + 7 * 52 + 2);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shop {
    sales: Vec<Sale>,
    events: Vec<EventCount>,
    stock: Vec<Stock>,
    offers: Vec<Offer>,
    products: Vec<Product>,
}

impl Shop {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut shop = Self {
            sales: Vec::new(),
            events: Vec::new(),
            stock: Vec::new(),
            offers: Vec::new(),
            products: Vec::new(),
        };
        for number in 0..N_PRODUCTS {
            shop.add_product(&mut random, number);
        }
        shop
    }

    fn add_product(&mut self, random: &mut ChaCha8Rng, number: usize) {
        let product = ProductId::from(format!("product-{number:02}"));
        let launch = random.random_range(0..50);
        let length = random.random_range(30..90);
        let end = launch + length;
        let (title, category) = (format!("mug {number}"), format!("group {}", number % 3));
        self.products.push(Product {
            product: product.clone(),
            category: vec![category],
            brand: None,
            title: Some(title),
            launch: number.is_multiple_of(4).then(|| Day(FIRST.0 + 7 * launch)),
            end: number.is_multiple_of(5).then(|| Day(FIRST.0 + 7 * end)),
        });
        let series = Series::of(product);
        for week in launch..end.min(N_WEEKS) {
            let age = f64::from(week - launch) / f64::from(length);
            let level = (12.0 * (3.0 * age).min(1.0).min(3.0 * (1.0 - age))).max(1.0);
            let monday = FIRST.0 + 7 * week;
            if week != 52 {
                self.add_week(random, &series, (monday, level));
            }
            let days = [random.random_range(0..7), random.random_range(0..7)];
            self.events.extend(days.map(|day| EventCount {
                series: series.clone(),
                day: Day(monday + day),
                views: f64::from(random.random_range(5..90)),
                carts: f64::from(random.random_range(0..9)),
                wishes: 0.0,
            }));
            self.stock.push(Stock {
                series: series.clone(),
                day: Day(monday),
                n_days: 7,
                in_stock: if random.random_range(0..12) == 0 { 0.1 } else { 1.0 },
            });
            self.offers.push(Offer {
                series: series.clone(),
                day: Day(monday),
                n_days: 7,
                known: Day(monday - random.random_range(-9..30)),
                price: random.random_range(2.0..9.0),
                promotion: f64::from(random.random_range(0..2)),
            });
        }
    }

    fn add_week(&mut self, random: &mut ChaCha8Rng, series: &Series, (monday, level): (i32, f64)) {
        for _ in 0..random.random_range(1..4) {
            let day = Day(monday + random.random_range(0..7));
            // Fractions of a unit, so that sums would differ by the order of summation.
            let units = level * random.random_range(0.1..1.0);
            let order = Some(random.random_range(0..u64::MAX));
            let sale = Sale {
                series: series.clone(),
                day,
                known: day,
                kind: SaleKind::Sale,
                units,
                price: random.random_range(2.0..9.0),
                discount: if random.random_range(0..4) == 0 { 0.2 } else { 0.0 },
                order,
                customer: None,
            };
            let known = Day(day.0 + random.random_range(0..40));
            match random.random_range(0..9) {
                0 => {
                    let kind = SaleKind::Cancellation;
                    self.sales.push(Sale { kind, known, units: -units * 0.7, ..sale.clone() });
                }
                1 => {
                    let kind = SaleKind::Return;
                    self.sales.push(Sale { kind, day: known, known, ..sale.clone() });
                }
                2 => self.sales.push(Sale { known, ..sale.clone() }),
                _ => {}
            }
            self.sales.push(sale);
        }
    }

    /// The same rows up to a day; whatever happens or becomes known later says something else.
    pub(crate) fn scrambled_after(&self, last: Day) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(99);
        let mut shop = self.clone();
        let mut factor = || random.random_range(0.01..9.0_f64);
        for sale in shop.sales.iter_mut().filter(|sale| sale.day.max(sale.known) > last) {
            sale.units *= factor();
            sale.price *= factor();
            sale.discount = 0.3;
        }
        for event in shop.events.iter_mut().filter(|event| event.day > last) {
            event.views *= factor();
            event.carts *= factor();
        }
        for stock in shop.stock.iter_mut().filter(|stock| stock.day > last) {
            stock.in_stock = (factor() / 9.0).min(1.0);
        }
        for offer in shop.offers.iter_mut().filter(|offer| offer.day.max(offer.known) > last) {
            offer.price *= factor();
            offer.promotion = 1.0 - offer.promotion;
        }
        for product in &mut shop.products {
            product.end = product.end.map(|end| if end > last { Day(end.0 + 40) } else { end });
        }
        shop
    }

    pub(crate) fn write(&self, directory: &Path) {
        write_dataset(directory, Frequency::Week, (FIRST, Day(FIRST.0 + 7 * N_WEEKS - 1)));
        write_parts(directory, "sales", &self.sales, |row| &row.series);
        write_parts(directory, "events", &self.events, |row| &row.series);
        write_parts(directory, "stock", &self.stock, |row| &row.series);
        write_parts(directory, "offers", &self.offers, |row| &row.series);
        tables::write(&directory.join("products.parquet"), &self.products).expect("written");
    }
}

/// Fifty-one months of thirty parts with missing cells; returns how many are missing.
pub(crate) fn write_monthly_panel(directory: &Path) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let first: Day = "1998-01-01".parse().expect("a date");
    let last: Day = "2002-03-01".parse().expect("a date");
    write_dataset(directory, Frequency::Month, (first, last));
    let mut cells = Vec::new();
    let mut holes = 0;
    for number in 0..30 {
        for month in 0..51 {
            let is_hole = month > 0 && random.random_range(0..12) == 0;
            holes += usize::from(is_hole);
            // A hole is a row without a value, or no row.
            if is_hole && random.random_range(0..2) == 0 {
                continue;
            }
            let units = f64::from(random.random_range(0..4));
            let period = Frequency::Month.period_of(first).plus(month);
            cells.push(PanelRow {
                series: Series::of(format!("part-{number:02}")),
                day: Frequency::Month.first_day(period),
                units: if is_hole { f64::NAN } else { units },
                in_stock: f32::NAN,
                price: f32::NAN,
                promotion: f32::NAN,
                stage: None,
            });
        }
    }
    write_parts(directory, "panel", &cells, |row| &row.series);
    holes
}

fn write_dataset(directory: &Path, frequency: Frequency, (first_day, last_day): (Day, Day)) {
    std::fs::create_dir_all(directory).expect("created");
    let dataset = Dataset {
        name: "shop".into(),
        frequency,
        first_day,
        last_day,
        units_per_one: 1.0,
        share_depth: 1,
        all_lives_ended: false,
        horizon: None,
        thinned_by: Some(ThinnedBy::Order),
        n_partitions: N_PARTITIONS,
    };
    let text = serde_json::to_vec(&dataset).expect("json");
    std::fs::write(directory.join("dataset.json"), text).expect("written");
}

fn write_parts<T: Table + Clone>(
    directory: &Path,
    folder: &str,
    rows: &[T],
    series: impl Fn(&T) -> &Series,
) {
    std::fs::create_dir_all(directory.join(folder)).expect("created");
    for part in 0..N_PARTITIONS {
        let digest = |row: &T| lifecycle::Digest::of(series(row).product.as_str());
        let in_part = |row: &&T| usize::from(digest(row).as_bytes()[0]) % N_PARTITIONS == part;
        let rows: Vec<T> = rows.iter().filter(in_part).cloned().collect();
        let path = directory.join(folder).join(format!("part-{part:03}.parquet"));
        tables::write(&path, &rows).expect("written");
    }
}
