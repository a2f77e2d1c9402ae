//! A shop of one product goes all the way: nothing can stand in for what is absent, and that is said.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::shop::Shop;

/// Steady sales of one product, most weeks, for a year and a half.
fn orders() -> String {
    let mut text = String::from("order,customer,day,sku,units,price\n");
    for week in (0..78).filter(|week| week % 13 != 7) {
        let (day, units) = (lifecycle::Day(19_359 + 7 * week), 3 + week * 5 % 7);
        writeln!(text, "{week},c{},{day},p00,{units},2.5", week % 11).unwrap();
    }
    text
}

#[test]
fn one_product_is_forecast_planned_and_reported_and_not_explained() {
    let shop = Shop::new();
    shop.write("orders.csv", orders());
    let run = shop.run();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let outcome: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    let page = fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap();
    assert!(page.contains("1 of 1 products have charts"), "it is charted");
    assert!(!page.contains("id=\"why\""), "nothing is explained");
    let stages = run.stages();
    assert!(["plan", "explain"].iter().all(|name| stages.iter().any(|stage| stage.0 == *name)));
}
