//! The report of a run shows what the other stages made.

use std::fs;

use serde_json::Value;

use crate::shop::Shop;

#[test]
fn the_report_shows_what_the_stages_made() {
    let shop = Shop::new();
    let run = shop.run();
    let stages = run.digests();
    let outcome: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    let page = fs::read_to_string(outcome["report"].as_str().unwrap()).unwrap();
    let (_, rest) = page.split_once("<script id=\"charts\" type=\"application/json\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    let charts: Value = serde_json::from_str(json).unwrap();

    let products = charts["products"].as_array().unwrap();
    assert_eq!(products.len(), 5);
    let length = |value: &Value| value.as_array().unwrap().len();
    for product in products {
        let n_origins = length(&product["origins"]);
        assert!(n_origins > 5, "validation, test and latest origins: {n_origins}");
        assert_eq!(length(&product["turns"][0][2]), n_origins);
        assert_eq!(length(&product["stages"][3]), n_origins);
        assert_eq!((length(&product["mean"]), length(&product["fan"][4])), (4, 4));
        assert!(!product["reason"].as_str().unwrap().is_empty());
        assert!(product["title"].as_str().unwrap().starts_with("Cup, no "));
    }
    let explained = products.iter().filter(|product| length(&product["waterfalls"]) > 0);
    assert_eq!(explained.count(), 2);
    assert_eq!(length(&charts["coverage"]), 13);
    assert!(length(&charts["reliability"]) > 0 && length(&charts["scatter"]) > 0);

    for text in [
        "of 24 products have charts",
        "not identifiable",
        "seasonal naive",
        "rows read",
        "plotly.js",
    ] {
        assert!(page.contains(text), "{text} is not on the page");
    }
    let in_report =
        |(name, _): &&(String, String)| !matches!(name.as_str(), "report" | "train/lifecast");
    let shown = stages.iter().filter(in_report).filter(|(_, digest)| page.contains(digest)).count();
    assert!(shown >= 7, "{shown} of {stages:?}");
}
