//! Errors name file, table, column and what would be right, and nothing half-done is left.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use lifecycle::ErrorKind;
use polars::prelude::*;

use crate::shop::Shop;

const MAPPING: &str = r#"name = "shop"
frequency = "week"

[[transactions]]
path = "orders.csv"

[transactions.columns]
product = "sku"
date = "when"
quantity = "n"
"#;
const ROWS: &str = "sku,when,n\na,2010-01-04,1\nb,2010-01-05,2\nc,2010-01-06,3\n";

#[track_caller]
fn check(shop: &Shop, kind: ErrorKind, message: Expect) {
    let (text, found) = shop.error();
    message.assert_eq(&text);
    assert_eq!(found, kind);
}

#[track_caller]
fn check_mapping(mapping: &str, message: Expect) {
    check(&Shop::new(mapping).with("orders.csv", ROWS), ErrorKind::Usage, message);
}

#[track_caller]
fn check_rows(rows: impl AsRef<[u8]>, message: Expect) {
    check(&Shop::new(MAPPING).with("orders.csv", rows), ErrorKind::Data, message);
}

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    check_mapping(
        &MAPPING.replace("quantity =", "quantty ="),
        expect![
            "mapping.toml, line 10, [transactions.columns]: unknown key `quantty`; did you mean `quantity`?"
        ],
    );
    check_mapping(
        &MAPPING.replace("frequency =", "warehouse = 1\nfrequency ="),
        expect![
            "mapping.toml, line 2: unknown key `warehouse`; known are name, frequency, time_zone, units_per_one, share_depth, horizon, all_lives_ended, first_day, last_day, product_ids, limits, cancellations, transactions, returns, events, stock, offers, products, panel"
        ],
    );
    check_mapping(
        &MAPPING.replace("\"week\"", "\"weekly\""),
        expect!["mapping.toml, line 2: unknown value `weekly`; did you mean `week`?"],
    );
    check_mapping(
        &MAPPING.replace("[[transactions]]", "[[transaction]]"),
        expect![
            "mapping.toml, line 4, [[transaction]]: unknown key `transaction`; did you mean `transactions`?"
        ],
    );
    check_mapping(
        &MAPPING.replace("quantity = \"n\"", "quantity = 3"),
        expect![
            "mapping.toml, line 10, [transactions.columns]: invalid type: integer `3`, expected a string"
        ],
    );
    check_mapping(
        &MAPPING.replace("product = \"sku\"\n", ""),
        expect!["mapping.toml, line 7, [transactions.columns]: missing field `product`"],
    );
    check_mapping(
        "name = ",
        expect!["mapping.toml, line 1: string values must be quoted, expected literal string"],
    );
}

#[test]
fn values_that_make_no_sense() {
    let with = |line: &str| MAPPING.replace("\n\n[[trans", &format!("\n{line}\n\n[[trans"));
    check_mapping(
        &with("time_zone = \"Europe/London\""),
        expect![
            "mapping.toml, the mapping: `time_zone` `Europe/London` is not known; write UTC, an offset such as +02:00, or a POSIX rule such as GMT0BST,M3.5.0/1,M10.5.0 (London)"
        ],
    );
    check_mapping(
        &with("units_per_one = 0"),
        expect!["mapping.toml, the mapping: `units_per_one` must be above 0"],
    );
    check_mapping(
        &with("first_day = \"01.02.2010\""),
        expect![
            "mapping.toml, the mapping: `first_day` `01.02.2010` is not a date such as 2026-01-31"
        ],
    );
    check_mapping(
        &with("product_ids = { include = ['('] }"),
        expect![
            "mapping.toml, the mapping: `product_ids.include` has the pattern `(`, which is no regular expression: error: unclosed group"
        ],
    );
    check_mapping(
        &MAPPING.replace("quantity =", "total = \"t\"\nprice ="),
        expect!["mapping.toml, [[transactions]]: `columns.total` cannot be mapped beside `price`"],
    );
    check_mapping(
        "name = \"x\"\nfrequency = \"week\"\n",
        expect![
            "mapping.toml, the mapping: `[[transactions]]` or [[panel]] must say what was sold"
        ],
    );
    check_mapping(
        &MAPPING.replace("orders.csv", "orders.xlsx"),
        expect!["mapping.toml, [[transactions]] path: there is no file orders.xlsx"],
    );
    check_mapping(
        &MAPPING.replace("orders.csv", "${SHOP}/orders.csv"),
        expect![
            "mapping.toml, [[transactions]] path: `${SHOP}/orders.csv`: variable `SHOP` is not set and has no default"
        ],
    );
    check_mapping(
        &MAPPING.replace("orders.csv", "s3://shop/orders.csv"),
        expect![
            "mapping.toml, [[transactions]] path: `s3://shop/orders.csv`: only local files can be read in this version"
        ],
    );
    check_mapping(
        &MAPPING.replace(
            "[transactions.columns]",
            "dates = { format = \"us\" }\n[transactions.columns]",
        ),
        expect![
            "mapping.toml, [[transactions]]: `dates.format` `us` is neither a pattern such as %d/%m/%Y %H:%M nor one of day-number, week-number, month-number, year-month, year-week, unix-seconds, unix-milliseconds"
        ],
    );
}

#[test]
fn files_that_are_not_there() {
    check_mapping(
        &MAPPING.replace("orders.csv", "sales.csv"),
        expect!["mapping.toml, [[transactions]] path: there is no file sales.csv"],
    );
    check_mapping(
        &MAPPING.replace("orders.csv", "2010/*.csv"),
        expect!["mapping.toml, [[transactions]] path: there is no file 2010/*.csv"],
    );
    let shop = Shop::new(MAPPING);
    fs::remove_file(shop.path("mapping.toml")).expect("removed");
    check(
        &shop,
        ErrorKind::Usage,
        expect!["mapping.toml: cannot be read or written: No such file or directory (os error 2)"],
    );
}

#[test]
fn a_missing_column_is_named_with_those_that_exist() {
    check_rows(
        "SKU,date,qty\na,2010-01-04,1\n",
        expect!["orders.csv: has no column `sku` (did you mean `SKU`?); it has SKU, date, qty"],
    );
    check_rows(
        "sku;when;n\na;2010-01-04;1\n",
        expect![[
            r#"orders.csv: has no column `sku`; it has sku;when;n; if that is several columns, set `csv = { delimiter = ";" }`"#
        ]],
    );
    check_rows(
        "sku,when,sku,n\na,2010-01-04,b,1\n",
        expect![
            "orders.csv: is damaged or of another format: it has two columns `sku`; give one another name"
        ],
    );
    let ndjson = Shop::new(&MAPPING.replace("orders.csv", "o.ndjson"))
        .with("o.ndjson", "{\"sku\":\"a\",\"when\":\"2010-01-04\",\"count\":1}\n");
    check(
        &ndjson,
        ErrorKind::Data,
        expect!["o.ndjson: has no column `n`; it has count, sku, when"],
    );
}

#[test]
fn a_column_of_another_type() {
    check_rows(
        "sku,when,n\na,2010-01-04,one\nb,2010-01-05,two\nc,2010-01-05,3\n",
        expect![
            "orders.csv: column `n` cannot be read as a number in 2 of 3 rows, such as `one` in row 1; set `csv.decimal`, `csv.thousands`, `missing` or `yes` and `no` to how it is written"
        ],
    );
    check_rows(
        "sku,when,n\na,04.01.2010,1\nb,05.01.2010,2\n",
        expect![
            "orders.csv: column `when` cannot be read as a date in 2 of 2 rows, such as `04.01.2010` in row 1; set `dates.format` to how it is written"
        ],
    );
    let shop = Shop::new(&MAPPING.replace("orders.csv", "o.parquet"));
    let list = Series::new("sku".into(), [Series::new("".into(), [1_i32, 2])]);
    let columns = vec![
        list.into_column(),
        Column::new("when".into(), ["2010-01-04"]),
        Column::new("n".into(), [1_i32]),
    ];
    write_parquet(&shop, "o.parquet", columns);
    check(
        &shop,
        ErrorKind::Data,
        expect![
            "o.parquet: column `sku` is a list, but text, a number, a truth value, a date or a time is needed"
        ],
    );
}

#[test]
fn files_without_rows() {
    check_rows("", expect!["orders.csv: is empty"]);
    check_rows("sku,when,n\n", expect!["orders.csv: is empty"]);
    check_rows(
        "sku,when,n\na,2010-01-04,0\n",
        expect!["no usable row is left of 1; most were refused because: quantity of zero"],
    );
}

#[test]
fn one_date_in_the_far_future() {
    let rows = format!("{ROWS}a,2042-01-07,1\n");
    check_rows(
        &rows,
        expect![[r"
            no row of sales from 2010-01-11 to 2042-01-05: if the dates after that are wrong, set `last_day` in the mapping to a day before, if those before are, `first_day` to one after; set both if all are right"]],
    );
    // Who states both ends has looked.
    let bounded = format!("first_day = \"2010-01-04\"\nlast_day = \"2042-01-12\"\n{MAPPING}");
    Shop::new(&bounded).with("orders.csv", &rows).ingest().expect("a data set");
}

#[test]
fn files_cut_in_half() {
    check_rows(
        &ROWS[..ROWS.len() - 5],
        expect!["orders.csv: is cut off: its last line, row 3, has 2 of 3 fields"],
    );
    check_rows(
        "sku,when,n\na,2010-01-04,1\n\"b,2010-01-05,2\nc,2010",
        expect!["orders.csv: is cut off: a quoted field is still open at the end of the file"],
    );
    let ndjson = "{\"sku\":\"a\",\"when\":\"2010-01-04\",\"n\":1}\n{\"sku\":\"a\",\"when\":\"20";
    let shop = Shop::new(&MAPPING.replace("orders.csv", "o.jsonl")).with("o.jsonl", ndjson);
    check(
        &shop,
        ErrorKind::Data,
        expect!["o.jsonl: is cut off: its last line, row 2, is half a JSON object"],
    );
    let shop = parquet_shop();
    let whole = fs::read(shop.path("o.parquet")).expect("a file");
    fs::write(shop.path("o.parquet"), &whole[..whole.len() / 2]).expect("a file");
    check(
        &shop,
        ErrorKind::Data,
        expect!["o.parquet: is cut off: the end of the Parquet file is missing"],
    );
    fs::write(shop.path("o.parquet"), "sku,when,n\na,2010-01-04,1\n").expect("a file");
    check(
        &shop,
        ErrorKind::Data,
        expect![
            "o.parquet: is damaged or of another format: it does not start as a Parquet file does"
        ],
    );
}

/// A damaged file may still be read where the damage fell on a value; it never panics.
#[test]
fn damaged_parquet_never_panics() {
    let shop = parquet_shop();
    let whole = fs::read(shop.path("o.parquet")).expect("a file");
    for position in (4..whole.len() - 4).step_by(7) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x55;
        fs::write(shop.path("o.parquet"), &damaged).expect("a file");
        if let Err(error) = shop.ingest() {
            assert_eq!(error.kind(), ErrorKind::Data, "byte {position}: {error}");
        }
    }
    for length in (0..whole.len()).step_by(11) {
        fs::write(shop.path("o.parquet"), &whole[..length]).expect("a file");
        assert_eq!(shop.error().1, ErrorKind::Data);
    }
}

#[test]
fn a_key_is_needed_where_customers_are_mapped() {
    let mapping = MAPPING.replace("quantity =", "customer = \"sku\"\nquantity =");
    let shop = Shop::new(&mapping).with("orders.csv", ROWS);
    let output = tempfile::tempdir().expect("a folder");
    let variables = ingest::Variables::default();
    let mapping = shop.path("mapping.toml");
    let inputs = ingest::Inputs { mapping: &mapping, variables: &variables, key: b"" };
    let error = ingest::run(&shop.config, &inputs, output.path(), &lifecycle::Unwatched);
    assert_eq!(error.expect_err("no key").kind(), ErrorKind::Usage);
    assert_eq!(fs::read_dir(output.path()).expect("a folder").count(), 0);
}

#[test]
fn what_is_no_mapping_file_is_refused_unread() {
    let shop = Shop::new(MAPPING)
        .with("orders.csv", ROWS)
        .with("large.toml", "# much\n".repeat(40_000))
        .with("latin-1.toml", b"name = \"caf\xe9\"");
    let refused = |path: &Path, expected: &str| {
        let error = ingest::Mapping::load(path, &ingest::Variables::default());
        let error = error.expect_err("no mapping");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.to_string(), format!("{}, the mapping: {expected}", path.display()));
    };
    refused(&shop.path(""), "is no regular file; name the TOML file itself");
    let more = "has more than 262144 bytes; name the mapping, not the data";
    refused(&shop.path("large.toml"), more);
    refused(&shop.path("latin-1.toml"), "is not UTF-8 text; save it as UTF-8");
    #[cfg(unix)]
    refused(Path::new("/dev/zero"), "is no regular file; name the TOML file itself");
}

#[test]
fn an_absent_file_is_named_as_the_mapping_names_it() {
    let shop = Shop::new(&MAPPING.replace("orders.csv", "${SECRET}/${WHERE:-here}/orders.csv"));
    let variables = ingest::Variables::from_iter([("SECRET", "/hidden")]);
    let error = ingest::Mapping::load(&shop.path("mapping.toml"), &variables);
    let error = error.expect_err("no file").to_string();
    assert!(error.ends_with("there is no file ${SECRET}/${WHERE:-here}/orders.csv"), "{error}");
}

#[test]
fn the_files_of_a_mapping_have_digests() {
    let shop = Shop::new(MAPPING).with("orders.csv", ROWS);
    let variables = ingest::Variables::default();
    let files = ingest::Mapping::load(&shop.path("mapping.toml"), &variables)
        .and_then(|mapping| mapping.input_files())
        .expect("files");
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["mapping.toml", "orders.csv"]);
    assert_eq!(files[1].digest, lifecycle::Digest::of(ROWS));
    assert_eq!(files[1].bytes, ROWS.len() as u64);
}

fn parquet_shop() -> Shop {
    let shop = Shop::new(&MAPPING.replace("orders.csv", "o.parquet"));
    let columns = vec![
        Column::new("sku".into(), ["a", "b", "c"].repeat(20)),
        Column::new("when".into(), ["2010-01-04", "2010-01-05", "2010-01-06"].repeat(20)),
        Column::new("n".into(), [1_i32, 2, 3].repeat(20)),
    ];
    write_parquet(&shop, "o.parquet", columns);
    shop
}

fn write_parquet(shop: &Shop, name: &str, columns: Vec<Column>) {
    let file = fs::File::create(shop.path(name)).expect("a file");
    let height = columns[0].len();
    let mut frame = DataFrame::new(height, columns).expect("a frame");
    ParquetWriter::new(file).finish(&mut frame).expect("written");
}
