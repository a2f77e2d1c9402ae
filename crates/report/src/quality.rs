//! How clean the raw data is: the quality report of `ingest`, for people.

use serde_json::Value;

use crate::numbers::{grouped, units};
use crate::view::Quality;

/// Rows of each table shown.
const SHOWN: usize = 20;

/// What the page says of `quality.json`; numbers that are not there are left out.
pub(crate) fn quality(report: &Value) -> Quality {
    let number = |place: &str| report.pointer(place).and_then(Value::as_f64);
    let facts = [
        ("rows read", "/rows/read"),
        ("kept", "/rows/kept"),
        ("refused", "/rows/refused"),
        ("filtered out", "/rows/filtered"),
        ("units sold", "/units/sold"),
        ("units cancelled", "/units/cancelled"),
        ("units returned", "/units/returned"),
        ("products known", "/products/known"),
        ("products sold", "/products/sold"),
        ("unknown panel cells", "/panel/missing"),
    ];
    let fact = |(label, place): (&str, &str)| Some((label.to_owned(), grouped(number(place)?)));
    let mut facts: Vec<(String, String)> = facts.into_iter().filter_map(fact).collect();
    if let Some(share) = number("/units/share_kept") {
        facts.push(("share of units kept".into(), format!("{:.1} %", 100.0 * share)));
    }
    Quality {
        facts,
        remarks: remarks(report),
        refused: list(report, "/refused").map(refused).collect(),
        files: list(report, "/files").take(SHOWN).map(file).collect(),
        spikes: list(report, "/spikes/largest").take(SHOWN).map(spike).collect(),
    }
}

fn list<'a>(report: &'a Value, place: &str) -> impl Iterator<Item = &'a Value> {
    report.pointer(place).and_then(Value::as_array).into_iter().flatten()
}

fn remarks(report: &Value) -> Vec<String> {
    let mut remarks = Vec::new();
    let count = |place: &str| report.pointer(place).and_then(Value::as_u64).unwrap_or(0);
    let mut remark = |n: u64, text: &str| {
        if n > 0 {
            remarks.push(format!("{} {text}", grouped(n as f64)));
        }
    };
    remark(count("/cancellations/matched"), "cancellations undo a sale; both are taken out.");
    remark(count("/cancellations/unmatched"), "cancellations match no sale and count as returns.");
    remark(count("/products/contradicted"), "products are described in two ways.");
    remark(count("/spikes/count"), "periods sold far more than usual; shown, not changed.");
    let days: Vec<&str> = list(report, "/periods_without_rows/first_days")
        .filter_map(Value::as_str)
        .take(6)
        .collect();
    let n_gaps = count("/periods_without_rows/count");
    if n_gaps > 0 {
        let more = if n_gaps > days.len() as u64 { ", ..." } else { "" };
        remarks.push(format!("No sale at all in {n_gaps} periods: {}{more}.", days.join(", ")));
    }
    remarks
}

fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => grouped(number.as_f64().unwrap_or(f64::NAN)),
        _ => String::new(),
    }
}

fn refused(reason: &Value) -> (String, String, String, String) {
    let example = reason.pointer("/examples/0").map_or(String::new(), |example| {
        let [file, row, column, value] =
            ["file", "row", "column", "value"].map(|field| text(example, field));
        let cell = if column.is_empty() { String::new() } else { format!(": {column} = {value}") };
        format!("{file}, row {row}{cell}")
    });
    (text(reason, "reason"), text(reason, "rows"), text(reason, "units"), example)
}

fn file(file: &Value) -> [String; 6] {
    ["file", "table", "rows", "kept", "refused", "note"].map(|field| text(file, field))
}

fn spike(spike: &Value) -> [String; 4] {
    let number = |field: &str| spike.get(field).and_then(Value::as_f64).map_or("–".into(), units);
    [text(spike, "series"), text(spike, "day"), number("units"), number("median")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_of_ingest_becomes_sentences() {
        let quality = quality(&json!({
            "rows": { "read": 1200, "kept": 1190, "refused": 10, "filtered": 0 },
            "units": { "sold": 5000.0, "share_kept": 0.987 },
            "cancellations": { "matched": 7, "unmatched": 0 },
            "periods_without_rows": { "count": 1, "first_days": ["2010-12-27"] },
            "refused": [{ "reason": "price too low", "rows": 10, "units": 12.0, "examples": [
                { "file": "a.csv", "row": 3, "column": "price", "value": "0" }] }],
            "files": [{ "file": "a.csv", "table": "transactions", "rows": 1200, "kept": 1190,
                "refused": 10 }],
            "spikes": { "count": 0, "largest": [] },
        }));
        assert_eq!(quality.facts[0], ("rows read".to_owned(), "1,200".to_owned()));
        assert_eq!(quality.facts.last().map(|fact| fact.1.as_str()), Some("98.7 %"));
        assert_eq!(
            quality.remarks,
            [
                "7 cancellations undo a sale; both are taken out.",
                "No sale at all in 1 periods: 2010-12-27."
            ]
        );
        assert_eq!(quality.refused[0].3, "a.csv, row 3: price = 0");
        assert_eq!(quality.files[0][2], "1,200");
    }
}
