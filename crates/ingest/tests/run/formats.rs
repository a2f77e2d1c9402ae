//! The same rows, however they are written.

use std::fs::File;

use polars::prelude::*;
use tables::Sale;

use crate::shop::{Published, Shop};

const MAPPING: &str = r#"
name = "shop"
frequency = "week"
[[transactions]]
path = "FILE"
columns = { product = "sku", date = "when", quantity = "n", price = "price", order = "order", customer = "who", title = "title" }
"#;

fn shop(file: &str) -> Shop {
    Shop::new(&MAPPING.replace("FILE", file))
}

/// Rows with everything that a format could write in its own way.
fn frame() -> DataFrame {
    let n = 200_i64;
    let micros: Vec<i64> = (0..n).map(|row| 1_262_600_000_000_000 + row * 3_600_000_000).collect();
    let when = Int64Chunked::from_vec("when".into(), micros)
        .into_datetime(TimeUnit::Microseconds, None)
        .into_column();
    let orders: Vec<String> = (0..n).map(|row| format!("o{}", row / 2)).collect();
    let products: Vec<i64> = (0..n).map(|row| 10_000 + row % 9).collect();
    let who: Vec<Option<i64>> = (0..n).map(|row| (row % 5 > 0).then_some(row % 7)).collect();
    let quantities: Vec<i64> =
        (0..n).map(|row| if row % 11 == 0 { 0 } else { row % 13 - 2 }).collect();
    let prices: Vec<Option<f64>> =
        (0..n).map(|row| (row % 17 > 0).then_some(row as f64 * 0.125 - 1.0)).collect();
    let titles: Vec<String> = (0..n).map(|row| format!("7\" \"single\", no {}", row % 9)).collect();
    DataFrame::new(
        n as usize,
        vec![
            Column::new("order".into(), orders),
            Column::new("sku".into(), products),
            when,
            Column::new("n".into(), quantities),
            Column::new("price".into(), prices),
            Column::new("who".into(), who),
            Column::new("title".into(), titles),
        ],
    )
    .expect("a frame")
}

fn parquet() -> Shop {
    let shop = shop("orders.parquet");
    let file = File::create(shop.path("orders.parquet")).expect("a file");
    ParquetWriter::new(file).with_row_group_size(Some(64)).finish(&mut frame()).expect("written");
    shop
}

fn csv() -> Shop {
    let shop = shop("orders.csv");
    let mut file = File::create(shop.path("orders.csv")).expect("a file");
    CsvWriter::new(&mut file).finish(&mut frame()).expect("written");
    shop
}

fn ndjson() -> Shop {
    let shop = shop("orders.ndjson");
    let mut frame = frame();
    // polars writes times in its own way; text is what an exporter would write.
    let when = frame.column("when").expect("times").datetime().expect("times");
    let when = when.to_string("%Y-%m-%dT%H:%M:%S").expect("text").into_column();
    frame.with_column(when).expect("replaced");
    let mut file = File::create(shop.path("orders.ndjson")).expect("a file");
    JsonWriter::new(&mut file)
        .with_json_format(JsonFormat::JsonLines)
        .finish(&mut frame)
        .expect("written");
    shop
}

fn tables_of(published: &Published) -> Vec<(String, Vec<u8>)> {
    let is_table = |name: &str| name.starts_with("sales") || name == "products.parquet";
    published.bytes().into_iter().filter(|(name, _)| is_table(name)).collect()
}

#[test]
fn csv_parquet_and_ndjson_give_the_same_bytes() {
    let of_parquet = parquet().ingest().expect("a data set");
    assert!(of_parquet.summary.rows_refused > 10);
    assert!(of_parquet.summary.cancellations_matched > 0);
    for (name, shop) in [("csv", csv()), ("ndjson", ndjson())] {
        let other = shop.ingest().expect("a data set");
        // Quarantine shows a number as its file writes it.
        let refused = other.refused().replace(&format!("orders.{name}"), "orders.parquet");
        let refused = refused.replace("=0.0]", "=0]");
        assert_eq!(refused, of_parquet.refused(), "{name}");
        assert!(tables_of(&other) == tables_of(&of_parquet), "{name}");
        assert_eq!(other.dataset(), of_parquet.dataset());
    }
}

fn sold(published: &Published) -> Vec<(String, f64, f64)> {
    let rows: Vec<Sale> = published.rows("sales");
    rows.into_iter().map(|sale| (sale.series.to_string(), sale.units, sale.price)).collect()
}

const DIALECT: &str = r#"
name = "shop"
frequency = "week"
[[transactions]]
path = "orders.csv"
csv = { delimiter = ";", header = false, decimal = ",", thousands = ".", encoding = "latin-1" }
missing = ["-"]
dates = { format = "%d.%m.%Y" }
columns = { product = "column_1", date = "column_2", quantity = "column_3", price = "column_4", title = "column_5" }
"#;

#[test]
fn csv_as_the_rest_of_the_world_writes_it() {
    let rows = b"a;31.01.2010;1.200;0,5;\"caf\xe9; \"\"gro\xdf\"\"\"\r\n\
        \r\n\
        b;01.02.2010;2,5;-;two \x80\r\n";
    let published = Shop::new(DIALECT).with("orders.csv", rows).ingest().expect("a data set");
    let sold = sold(&published);
    assert_eq!(sold[0], ("a".to_owned(), 1200.0, 0.5));
    assert_eq!((sold[1].0.as_str(), sold[1].1), ("b", 2.5));
    assert!(sold[1].2.is_nan());
    let products = published.products();
    assert_eq!(products[0].title.as_deref(), Some("caf\u{e9}; \"gro\u{df}\""));
    assert_eq!(products[1].title.as_deref(), Some("two €"));
}

#[test]
fn csv_with_a_byte_order_mark_line_breaks_and_bad_bytes() {
    let rows = b"\xEF\xBB\xBForder,sku,when,n,price,who,title\n\
        1,a,2010-01-04,1,2,ann,\"two\nlines\"\n\
        2,b,2010-01-05,1,2,bob,7\" single\n\
        3,\xff,2010-01-05,1,2,bob,x\n\
        4,c,2010-01-05,1,2,bob,no end";
    let published = shop("orders.csv").with("orders.csv", rows).ingest().expect("a data set");
    let titles: Vec<_> =
        published.products().into_iter().map(|product| product.title.unwrap_or_default()).collect();
    assert_eq!(titles, ["two\nlines", "7\" single", "no end"]);
    assert_eq!(published.refused(), "orders.csv 3: not UTF-8 [=]\n");
    assert!(published.text("quality.json").contains("may be cut off"));
}

#[test]
fn ndjson_lines_may_lack_keys_or_be_no_object() {
    let rows = "{\"sku\":1,\"when\":\"2010-01-04\",\"n\":2,\"order\":\"1\",\"who\":7,\"price\":1}\n\
        [1,2]\n\
        {\"sku\":2,\"when\":\"2010-01-04\",\"n\":[2],\"order\":\"2\",\"title\":\"Cup\"}\n\
        {\"sku\":2,\"when\":\"2010-01-04\",\"n\":3,\"order\":\"2\"}\n\
        {\"sku\":2,\"when\":\"2010-01-05\",\"n\":3,\"order\":\"3\"}\n";
    let published = shop("o.ndjson").with("o.ndjson", rows).ingest().expect("a data set");
    assert_eq!(
        published.refused(),
        "o.ndjson 2: not a JSON object [=]\no.ndjson 3: number unreadable [n=a list or object]\n"
    );
    assert_eq!(published.summary.rows_kept, 3);
}
