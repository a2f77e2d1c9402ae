//! Wrong input: one line that names file and column, key or row; the exit code says whose turn it is.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use expect_test::{Expect, expect};
use lifecycle::{Day, Series};
use tables::{Product, Sale, SaleKind};

use crate::shop::Shop;

const USAGE: i32 = 2;
const DATA: i32 = 3;
const UNREACHABLE: i32 = 4;

#[track_caller]
fn check(shop: &Shop, code: i32, error: Expect) {
    let run = shop.run();
    error.assert_eq(run.error());
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    let published = fs::read_dir(shop.path("store/keys"));
    assert_eq!(published.map_or(0, Iterator::count), 0, "a failed stage publishes nothing");
}

#[test]
fn a_column_is_missing_or_of_another_type() {
    let shop = Shop::new();
    shop.replace("orders.csv", "units", "pieces");
    check(
        &shop,
        DATA,
        expect![
            "ingest failed: orders.csv: has no column `units`; it has order, customer, day, sku, pieces, price"
        ],
    );
    shop.replace("orders.csv", "pieces", "units");
    shop.replace("mapping.toml", "quantity = \"units\"", "quantity = \"sku\"");
    check(
        &shop,
        DATA,
        expect![
            "ingest failed: orders.csv: column `sku` cannot be read as a number in 986 of 986 rows, such as `p00` in row 1; set `csv.decimal`, `csv.thousands`, `missing` or `yes` and `no` to how it is written"
        ],
    );
    shop.replace("mapping.toml", "quantity = \"sku\"", "quantity = \"units\"");
    shop.replace("mapping.toml", "date = \"day\"", "date = \"price\"");
    check(
        &shop,
        DATA,
        expect![
            "ingest failed: orders.csv: column `price` cannot be read as a date in 986 of 986 rows, such as `2.5` in row 1; set `dates.format` to how it is written"
        ],
    );
    shop.replace("mapping.toml", "date = \"price\"", "date = \"day\"");
    let product = Product {
        product: "p00".into(),
        category: vec!["cups".into()],
        brand: None,
        title: None,
        launch: None,
        end: None,
    };
    tables::write(&shop.path("products.parquet"), &[product]).unwrap();
    shop.replace("mapping.toml", "products.csv", "products.parquet");
    shop.replace("mapping.toml", "\"sku\", category = \"group\", title", "\"product\", brand");
    shop.replace("mapping.toml", "brand = \"title\"", "title = \"category\"");
    check(
        &shop,
        DATA,
        expect![
            "ingest failed: products.parquet: column `category` is a list, but text, a number, a truth value, a date or a time is needed"
        ],
    );
}

#[test]
fn a_file_is_cut_in_half_empty_or_missing() {
    let shop = Shop::new();
    let whole = fs::read(shop.path("orders.csv")).unwrap();
    let half = whole.len() / 2;
    let end = whole[half..].iter().position(|byte| *byte == b',').unwrap();
    shop.write("orders.csv", &whole[..half + end]);
    check(
        &shop,
        DATA,
        expect!["ingest failed: orders.csv: is cut off: its last line, row 495, has 1 of 6 fields"],
    );
    shop.write("orders.csv", "");
    check(&shop, DATA, expect!["ingest failed: orders.csv: is empty"]);
    fs::remove_file(shop.path("orders.csv")).unwrap();
    check(
        &shop,
        USAGE,
        expect!["mapping.toml, [[transactions]] path: there is no file orders.csv"],
    );
}

#[test]
fn a_parquet_file_is_cut_in_half() {
    let shop = Shop::new();
    let sale = |day: i32| Sale {
        series: Series::of(format!("p{}", day % 7)),
        day: Day(day),
        known: Day(day),
        kind: SaleKind::Sale,
        units: 1.0,
        price: 2.5,
        discount: f64::NAN,
        order: None,
        customer: None,
    };
    let path = shop.path("sales.parquet");
    tables::write(&path, &(0..500).map(sale).collect::<Vec<_>>()).unwrap();
    let whole = fs::read(&path).unwrap();
    shop.write("sales.parquet", &whole[..whole.len() / 2]);
    shop.write(
        "mapping.toml",
        "name = 'tiny'\nfrequency = 'week'\n[[transactions]]\npath = 'sales.parquet'\n\
         dates = { format = 'day-number', first = '1970-01-01' }\n\
         columns = { product = 'product', date = 'day', quantity = 'units' }\n",
    );
    check(
        &shop,
        DATA,
        expect!["ingest failed: sales.parquet: is cut off: the end of the Parquet file is missing"],
    );
}

#[test]
fn a_mapping_has_an_unknown_key_or_is_no_toml() {
    let shop = Shop::new();
    shop.replace("mapping.toml", "quantity =", "quantty =");
    check(
        &shop,
        USAGE,
        expect![
            "mapping.toml, line 10, [transactions.columns]: unknown key `quantty`; did you mean `quantity`?"
        ],
    );
    shop.write("mapping.toml", "order,customer\n1,2\n");
    check(&shop, USAGE, expect!["mapping.toml, line 1: key with no value, expected `=`"]);
    fs::remove_file(shop.path("mapping.toml")).unwrap();
    check(
        &shop,
        USAGE,
        expect!["mapping.toml: cannot be read or written: No such file or directory (os error 2)"],
    );
}

/// A wrong pipeline: the message names the file and what is wrong in it.
#[track_caller]
fn check_pipeline(shop: &Shop, named: &str) {
    let run = shop.run();
    assert_eq!(run.code, Some(USAGE), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.starts_with("error: pipeline.toml"), "{}", run.stderr);
    assert!(run.stderr.contains(named), "{}", run.stderr);
    assert!(!shop.path("store/keys").exists(), "nothing is begun");
}

#[test]
fn a_pipeline_has_an_unknown_key_or_is_no_toml() {
    let shop = Shop::new();
    shop.replace("pipeline.toml", "steps_max =", "step_max =");
    check_pipeline(&shop, "step_max");
    shop.replace("pipeline.toml", "step_max =", "steps_max =");
    shop.replace("pipeline.toml", "[features]\n", "[features]\nhorizont = 3\n");
    check_pipeline(&shop, "horizont");
    shop.replace("pipeline.toml", "horizont = 3\n", "");
    shop.replace("pipeline.toml", "name = \"dense\"", "name = \"lifecast\"");
    check_pipeline(&shop, "stands twice");
    shop.replace("pipeline.toml", "[ingest]\n", "[ingest\n");
    check_pipeline(&shop, "line 1");
    fs::remove_file(shop.path("pipeline.toml")).unwrap();
    check_pipeline(&shop, "cannot be read");
}

#[test]
fn a_setting_is_out_of_range() {
    let shop = Shop::new();
    shop.replace("pipeline.toml", "[ingest]\n", "[ingest]\nmemory_limit_bytes = 1\n");
    check(
        &shop,
        USAGE,
        expect![
            "pipeline.toml: is not a valid pipeline: [ingest]: memory_limit_bytes: must be at least 1048576 (1 MiB)"
        ],
    );
}

#[test]
fn a_history_that_is_too_short_says_how_long_it_must_be() {
    let shop = Shop::new();
    let text = fs::read_to_string(shop.path("orders.csv")).unwrap();
    let is_early = |line: &&str| !line.contains(",2024-") || line.starts_with("order");
    let early: String = text.lines().filter(is_early).map(|line| line.to_owned() + "\n").collect();
    shop.write("orders.csv", early);
    let run = shop.run();
    expect!["features failed: data set: periods: 52 leave 20 before the first test origin; at least 22 are needed: give more history or a shorter horizon, or set `cut` under [features]"].assert_eq(run.error());
    assert_eq!(run.code, Some(DATA));
}

#[test]
fn a_store_that_cannot_be_opened_or_reached() {
    let shop = Shop::new();
    shop.write("store", "a file, not a folder");
    let run = shop.run();
    expect!["store address `store`: cannot create `store/blobs`: Not a directory (os error 20)"]
        .assert_eq(run.error());
    assert_eq!(run.code, Some(USAGE));

    // A port of this machine at which nobody listens any more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut command = shop.command();
    command.args(["--store", "s3://bucket/prefix"]).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ENDPOINT", format!("http://{address}")).env("AWS_REGION", "here");
    command.env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", "nothing");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(UNREACHABLE));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("in the store") && stderr.contains(&address.to_string()), "{stderr}");
}

#[test]
fn what_one_stage_is_asked_is_one_thing() {
    let shop = Shop::new();
    shop.write("train.toml", "seed = 2\nname = \"lifecast\"\n");
    let of = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifecast"));
        let output = command.current_dir(shop.path(".")).args(arguments).output().expect("runs");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(USAGE), 0));
        String::from_utf8(output.stderr).expect("text")
    };
    let [a, b] = ["features", "base"].map(|name| format!("{name}={}", "0".repeat(64)));
    let wrong = of(&["train", &a, "--config", "train.toml"]);
    assert!(
        wrong.contains("train.toml, line 2: is not a valid configuration of train: unknown field"),
        "{wrong}"
    );
    assert_eq!(wrong.trim_end().lines().count(), 1, "{wrong}");
    assert!(of(&["train", &a, &a]).contains("features is given twice"));
    let both = of(&["predict", &a, &b, "--data", "mapping.toml", "--model", "builtin"]);
    assert!(both.contains("give `features` or --data"), "{both}");
}
