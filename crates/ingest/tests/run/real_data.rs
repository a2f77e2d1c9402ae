//! The real sets, where they are at hand: figures as in the data's own description.

use std::path::Path;

use ingest::{Config, Error};
use lifecycle::{Day, Frequency};
use tables::{PanelRow, Sale, SaleKind};

use crate::shop::{Published, publish};

/// Ingests a set by its mapping, or says why not.
fn published(set: &str) -> Option<Published> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mapping = root.join("tests/datasets").join(format!("{set}.toml"));
    match publish(&mapping, &std::env::vars().collect(), &Config::default()) {
        Err(error @ Error::NoFile { .. }) => {
            skip(&error);
            None
        }
        published => Some(published.expect("a data set")),
    }
}

#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(error: &Error) {
    eprintln!("skipped: {error}");
}

#[test]
fn online_retail() {
    let Some(published) = published("online-retail-ii") else { return };
    let quality = published.quality();
    assert_eq!(published.summary.rows_read, 1_044_847);
    assert_eq!(quality["negative_quantities"], 22_557);
    let found = |reason: &str| {
        let list = quality["refused"].as_array().expect("a list");
        let of = list.iter().find(|refused| refused["reason"] == reason).expect("a reason");
        of["found"].as_u64().expect("a count")
    };
    assert_eq!(found("price too low"), 6_029);
    assert_eq!(found("not a product"), 5_991);
    // 11,812 in the raw file; 22 of them are refused for another reason first.
    assert_eq!(found("duplicate"), 11_790);
    let columns = quality["files"][0]["columns"].as_array().expect("a list");
    let customer = columns.iter().find(|column| column["column"] == "CustomerID").expect("mapped");
    assert_eq!(customer["missing"], 235_287);
    let empty_weeks = &quality["periods_without_rows"]["first_days"];
    assert_eq!(*empty_weeks, serde_json::json!(["2009-12-28", "2010-12-27"]));
    let dataset = published.dataset();
    assert_eq!(dataset.first_day.to_string(), "2009-12-01");
    assert_eq!(dataset.last_day.to_string(), "2011-12-09");
    check_cancelled_order(&published);
}

/// Order 541431: 74,215 units on 2011-01-18, cancelled 16 minutes later.
fn check_cancelled_order(published: &Published) {
    let sales: Vec<Sale> = published.rows("sales");
    let week = |sale: &&Sale| Frequency::Week.period_of(sale.day);
    let monday: Day = "2011-01-17".parse().expect("a day");
    let of_week: Vec<&Sale> =
        sales.iter().filter(|sale| week(sale) == Frequency::Week.period_of(monday)).collect();
    let of_product = |sale: &&&Sale| sale.series.product.as_str() == "23166";
    let units: Vec<f64> = of_week
        .iter()
        .filter(of_product)
        .map(|sale| sale.units)
        .filter(|u| u.abs() > 1e4)
        .collect();
    assert_eq!(units, [74_215.0, -74_215.0]);
    let net: f64 =
        of_week.iter().filter(|sale| sale.kind != SaleKind::Return).map(|sale| sale.units).sum();
    assert!((60_000.0..80_000.0).contains(&net), "{net} units are left in its week");
    assert!(sales.iter().all(|sale| sale.known >= sale.day));
}

#[test]
fn car_parts() {
    let Some(published) = published("car-parts") else { return };
    let rows: Vec<PanelRow> = published.rows("panel");
    assert_eq!(rows.len(), 136_374);
    assert_eq!(rows.iter().filter(|row| row.units.is_nan()).count(), 6_122);
    assert_eq!(published.summary.n_series, 2_674);
    let dataset = published.dataset();
    assert_eq!(dataset.first_day.to_string(), "1998-01-01");
    assert_eq!(dataset.last_day.to_string(), "2002-03-31");
    assert_eq!(dataset.horizon, Some(12));
}

/// Simulated worlds, where somebody has simulated them.
#[test]
fn simulators() {
    for world in ["simulator-1", "simulator-2"] {
        let Some(published) = published(world) else { return };
        let summary = &published.summary;
        assert!(summary.rows_refused * 5 < summary.rows_read, "{summary:?}");
        assert!(summary.cancellations_matched > 0, "{summary:?}");
        assert!(published.products().iter().all(|product| product.category.len() == 2));
        for table in ["events", "stock", "offers"] {
            assert!(published.bytes().keys().any(|name| name.starts_with(table)), "{table}");
        }
    }
}
