//! `MAPPING.md` stays true: its examples load, its figures hold, and it names every key and reason.

use std::fs;
use std::path::Path;

use ingest::{Mapping, Variables};

use crate::shop::Shop;

const PAGE: &str = include_str!("../../MAPPING.md");

/// Fenced blocks of a language: what follows the language on the fence, and the text.
fn blocks(language: &str) -> Vec<(&'static str, String)> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else { continue };
        let body: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        if let Some(more) = fence.strip_prefix(language) {
            blocks.push((more.trim(), body));
        }
    }
    blocks
}

/// Writes a file for each path of a mapping, patterns replaced by one name that matches.
fn write_files(folder: &Path, mapping: &str) {
    let mapping: toml::Table = mapping.parse().expect("TOML");
    let tables = mapping.values().filter_map(toml::Value::as_array).flatten();
    for path in tables.filter_map(|table| table.get("path")) {
        let paths = path.as_array().cloned().unwrap_or_else(|| vec![path.clone()]);
        for path in paths.iter().filter_map(toml::Value::as_str) {
            let (start, rest) = path.split_once(":-").unwrap_or(("", path));
            assert!(start.is_empty() || start.starts_with("${"), "{path}");
            let path = rest.replace('}', "").replace(['*', '?'], "1");
            let path = folder.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
    }
}

#[test]
fn every_example_is_a_mapping() {
    let examples = blocks("toml");
    assert!(examples.len() > 10, "{} examples", examples.len());
    for (_, example) in examples {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(folder.path(), &example);
        let path = folder.path().join("mapping.toml");
        fs::write(&path, &example).expect("a mapping");
        if let Err(error) = Mapping::load(&path, &Variables::default()) {
            panic!("{error}\n{example}");
        }
    }
}

#[test]
fn the_worked_examples_give_the_figures_of_the_page() {
    let examples: Vec<_> =
        blocks("toml").into_iter().filter(|(more, _)| more.starts_with("example=")).collect();
    let files = blocks("csv");
    assert_eq!((examples.len(), files.len()), (2, 2));
    let qualities: Vec<serde_json::Value> = examples
        .iter()
        .zip(&files)
        .map(|((_, mapping), (name, rows))| {
            Shop::new(mapping).with(name, rows).ingest().expect("a data set").quality()
        })
        .collect();
    let [lines, wide] = &qualities[..] else { panic!("two examples") };
    assert_eq!(lines["rows"]["read"], 8);
    assert_eq!(lines["rows"]["kept"], 6);
    assert_eq!(lines["units"]["sold"], 16.0);
    assert_eq!(lines["units"]["cancelled"], 1.0);
    let refused = lines["refused"].as_array().expect("a list");
    let rows: Vec<_> =
        refused.iter().map(|r| (r["reason"].as_str(), &r["examples"][0]["row"])).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].0, rows[1].0), (Some("not a product"), Some("quantity missing")));
    assert_eq!((rows[0].1, rows[1].1), (&2.into(), &6.into()));
    assert_eq!(wide["rows"]["read"], 9);
    assert_eq!(wide["rows"]["kept"], 8);
    assert_eq!(wide["panel"]["missing"], 2);
    assert_eq!(wide["refused"][0]["reason"], "negative quantity");
}

/// An unknown key's error lists the known ones: each must be on the page.
#[test]
fn every_key_is_on_the_page() {
    let tables = ["transactions", "returns", "panel", "events", "stock", "offers", "products"];
    let mut places: Vec<String> = vec![
        "zzzzzzzzz = 1\n".into(),
        "[product_ids]\nzzzzzzzzz = 1\n".into(),
        "[limits]\nzzzzzzzzz = 1\n".into(),
        "[cancellations]\nzzzzzzzzz = 1\n".into(),
    ];
    for table in tables {
        let head = format!("[[{table}]]\npath = 'x.csv'\n");
        places.push(format!("{head}zzzzzzzzz = 1\n"));
        for part in ["csv", "dates", "columns", "rules"] {
            places.push(format!("{head}[{table}.{part}]\nzzzzzzzzz = 1\n"));
        }
    }
    let mut n_keys = 0;
    for place in places {
        let shop = Shop::new(&format!("name = 'x'\nfrequency = 'week'\n{place}"));
        let (message, _) = shop.error();
        let Some((_, known)) = message.split_once("known are ") else {
            assert!(message.contains("there are none"), "{message}\n{place}");
            continue;
        };
        for key in known.split(", ").filter(|key| !tables.contains(key)) {
            assert!(PAGE.contains(&format!("`{key}`")), "`{key}` of {place}is not on the page");
            n_keys += 1;
        }
    }
    assert!(n_keys > 100, "{n_keys} keys");
}

/// The texts of reasons stand in one place of the sources.
#[test]
fn every_reason_is_on_the_page() {
    let source = include_str!("../../src/refusals.rs");
    let texts = source.lines().filter_map(|line| line.trim().strip_prefix("Self::"));
    let texts = texts.filter_map(|line| line.split('"').nth(1));
    let reasons: Vec<&str> = texts.collect();
    assert_eq!(reasons.len(), 25);
    for reason in reasons {
        assert!(PAGE.contains(&format!("`{reason}`")), "`{reason}` is not on the page");
    }
}
