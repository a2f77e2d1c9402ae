//! What the shop's systems would have written down about one product, and the truth beside it.

use lifecycle::{Day, Stage};
use tables::Truth;

use crate::draws::Draws;
use crate::market::Market;
use crate::product::{Fate, Product, WeekSold};
use crate::season;
use crate::visits::Visits;
use crate::{behaviour, dirt};

/// A row of `orders.parquet`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OrderRow {
    /// Position of the order in [`Visits`].
    pub(crate) order: usize,
    pub(crate) is_cancellation: bool,
    /// What it is for: a product by its position, or a code that is none.
    pub(crate) item: Item,
    /// Seconds since 1970-01-01.
    pub(crate) second: i64,
    pub(crate) units: i64,
    pub(crate) price: f64,
    pub(crate) discount: f64,
}

/// What an order row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// Position of the product.
    Product(usize),
    /// Postage, fees, adjustments.
    Other(&'static str),
}

/// A row of `returns.parquet`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReturnRow {
    pub(crate) order: usize,
    pub(crate) product: usize,
    pub(crate) second: i64,
    pub(crate) units: i64,
}

/// A row of `events.parquet`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct EventRow {
    pub(crate) day: Day,
    pub(crate) is_cart: bool,
    pub(crate) count: i64,
}

/// A row of `prices.parquet`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PriceRow {
    pub(crate) week_start: Day,
    pub(crate) announced_on: Day,
    pub(crate) price: f64,
    pub(crate) promotion: f64,
}

/// A row of `products.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listing {
    pub(crate) title: String,
    pub(crate) department: &'static str,
    pub(crate) category: &'static str,
    pub(crate) brand: Option<String>,
    pub(crate) launched_on: Option<Day>,
    pub(crate) delisted_on: Option<Day>,
    pub(crate) list_price: f64,
}

/// All rows about one product.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) listing: Listing,
    pub(crate) orders: Vec<OrderRow>,
    pub(crate) returns: Vec<ReturnRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) prices: Vec<PriceRow>,
    /// First day of a week, and its share in stock.
    pub(crate) stock: Vec<(Day, f64)>,
    pub(crate) truth: Truth,
}

impl Record {
    /// Simulates the `index`th product, from a stream of its own.
    pub(crate) fn of(market: &Market, visits: &Visits, index: usize) -> Self {
        let mut draws = Draws::of(&market.config, "product", index);
        let mut product = Product::draw(&mut draws, market, index);
        let fate = product.live(&mut draws, market, visits);
        let end = season::end_second(&market.config);
        let orders = dirt::order_rows(&mut draws, (&product, index), &fate, (visits, end));
        let returns = returns(&mut draws, (&product, index), &fate, (visits, end));
        let events = behaviour::events(&mut draws, market.mechanisms, &fate);
        Self {
            listing: listing(&product, market),
            orders,
            returns,
            events,
            prices: fate.weeks.iter().map(|sold| price_row(&product, sold.week)).collect(),
            stock: fate
                .weeks
                .iter()
                .map(|sold| (season::monday(sold.week as i32), (1e3 * sold.in_stock).round() / 1e3))
                .collect(),
            truth: truth(&product, &fate, market.config.weeks as usize),
        }
    }
}

fn listing(product: &Product<'_>, market: &Market) -> Listing {
    let n_weeks = market.config.weeks as i32;
    let delisted = product.delisted().filter(|week| *week < n_weeks);
    Listing {
        title: product.title.clone(),
        department: product.department.name,
        category: product.category.kind.name,
        brand: (!product.hides_brand).then(|| product.brand.name.clone()),
        launched_on: (!product.hides_launch).then(|| season::monday(product.launch)),
        delisted_on: delisted.map(season::monday),
        list_price: product.offers.reference,
    }
}

fn price_row(product: &Product<'_>, week: usize) -> PriceRow {
    let offer = &product.offers.weeks[week - product.offers.first];
    PriceRow {
        week_start: season::monday(week as i32),
        announced_on: product.offers.announced(week as i32),
        price: offer.price(),
        promotion: (1e4 * offer.promotion).round() / 1e4,
    }
}

fn returns(
    draws: &mut Draws,
    (product, index): (&Product<'_>, usize),
    fate: &Fate,
    (visits, end): (&Visits, i64),
) -> Vec<ReturnRow> {
    let mut rows = Vec::new();
    for line in fate.weeks.iter().flat_map(|sold| &sold.lines) {
        if !draws.chance(product.department.temper.returns) {
            continue;
        }
        let days = 2.0 + draws.exponential(9.0).min(40.0);
        let second = visits.second(line.order) + (days * 86_400.0) as i64;
        let lots = line.units / product.lot.size;
        let units =
            if draws.chance(0.7) { line.units } else { draws.whole(1, lots) * product.lot.size };
        if second < end {
            rows.push(ReturnRow { order: line.order, product: index, second, units });
        }
    }
    rows
}

/// The truth from the first week on sale to the calendar's end.
fn truth(product: &Product<'_>, fate: &Fate, n_weeks: usize) -> Truth {
    let first = product.offers.first;
    let mut demand = vec![0.0; n_weeks - first];
    let mut contributions = vec![0.0; (n_weeks - first) * tables::MECHANISMS.len()];
    for WeekSold { week, expected, wanted, .. } in &fate.weeks {
        let index = week - first;
        demand[index] = expected.units() as f32;
        let row = &mut contributions[index * tables::MECHANISMS.len()..];
        for (slot, value) in row.iter_mut().zip(expected.contributions()) {
            *slot = value as f32;
        }
        row[tables::MECHANISMS.len() - 1] = (*wanted as f64 - expected.units()) as f32;
    }
    let stage = |stage: &Stage| stage.index() as i32;
    Truth {
        product: product.id.clone(),
        day: season::monday(first as i32),
        demand,
        stages: product.stages(n_weeks).iter().map(stage).collect(),
        elasticity: product.response.elasticity as f32,
        family: product.life.family.name().to_owned(),
        contributions,
    }
}
