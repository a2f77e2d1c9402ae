//! The same rows give the same bytes: in any order, in any files, with any number of threads.

use std::fmt::Write as _;

use lifecycle::Unwatched;
use proptest::prelude::*;

use crate::shop::{Published, Shop};

const MAPPING: &str = r#"
name = "shop"
frequency = "week"
[[transactions]]
path = "orders*.csv"
columns = { product = "sku", date = "when", quantity = "n", price = "price", order = "order", customer = "who", title = "title" }
[[events]]
path = "events.csv"
columns = { product = "sku", date = "when", views = "views" }
"#;
const HEADER: &str = "order,who,sku,when,n,price,title\n";

/// Order lines with cancellations, repetitions and faults, from a number.
fn line(number: u64) -> String {
    let (order, who, sku) = (number % 40, number % 4, number % 6);
    let (day, quantity) = (1 + number % 9, (number / 3 % 7) as i64 - 3);
    format!("{order},c{who},s{sku},2010-03-0{day},{quantity},{}.5,t{}\n", number % 3, number % 5)
}

fn shop(files: &[&[u64]]) -> Shop {
    let mut shop = Shop::new(MAPPING).with(
        "events.csv",
        "sku,when,views\ns1,2010-03-01,0.1\n\
        s1,2010-03-01,0.2\ns1,2010-03-01,0.3\n",
    );
    for (number, lines) in files.iter().enumerate() {
        let rows: String = lines.iter().map(|&number| line(number)).collect();
        shop = shop.with(&format!("orders{number}.csv"), format!("{HEADER}{rows}"));
    }
    shop
}

/// All published bytes but those that speak of files and rows of files.
fn data(published: &Published) -> Vec<(String, Vec<u8>)> {
    let files = published.bytes().into_iter();
    files.filter(|(name, _)| !name.starts_with("quarantine") && name != "quality.json").collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn order_of_rows_and_files_does_not_matter(
        lines in prop::collection::vec(0..2000_u64, 30..80),
        cut in 0..30_usize,
        seed: u64,
    ) {
        let mut shuffled = lines.clone();
        shuffled.sort_by_key(|line| line.wrapping_mul(seed | 1).rotate_left(17));
        let one = shop(&[&lines]).ingest().expect("a data set");
        let two = shop(&[&shuffled[cut..], &shuffled[..cut]]).ingest();
        let two = match two {
            Ok(two) => two,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert!(data(&one) == data(&two));
        prop_assert_eq!(one.summary, two.summary);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let lines: Vec<u64> = (0..30_000).map(|n| n * 7919 % 100_003).collect();
    let mut shop = shop(&[&lines]);
    shop.config.memory_limit_bytes = 1 << 20;
    let with_threads = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| shop.ingest()).expect("a data set")
    };
    let (one, two) = (with_threads(1), with_threads(2));
    assert!(one.summary.n_partitions > 4);
    assert!(one.bytes() == two.bytes());
}

#[test]
fn the_memory_limit_cuts_partitions_and_changes_no_row() {
    let lines: Vec<u64> = (0..30_000).collect();
    let mut shop = shop(&[&lines]);
    let whole = shop.ingest().expect("a data set");
    shop.config.memory_limit_bytes = 1 << 20;
    let cut = shop.ingest().expect("a data set");
    assert_eq!(whole.summary.n_partitions, 1);
    assert_eq!(cut.summary.n_partitions, 64);
    let rows = |published: &Published| {
        let mut rows: Vec<String> = Vec::new();
        for sale in published.rows::<tables::Sale>("sales") {
            let mut text = String::new();
            write!(text, "{sale:?}").expect("text");
            rows.push(text);
        }
        rows.sort();
        rows
    };
    assert_eq!(rows(&whole), rows(&cut));
    assert_eq!(whole.products(), cut.products());
    assert_eq!(whole.quality()["refused"], cut.quality()["refused"]);
}

#[test]
fn another_key_gives_other_hashes_and_the_same_rest() {
    let shop = shop(&[&(0..50).collect::<Vec<_>>()]);
    let output = tempfile::tempdir().expect("a folder");
    let inputs = ingest::Inputs {
        mapping: &shop.path("mapping.toml"),
        variables: &ingest::Variables::default(),
        key: b"another key, as long",
    };
    ingest::run(&shop.config, &inputs, output.path(), &Unwatched).expect("a data set");
    let path = output.path().join("sales/part-000.parquet");
    let theirs: Vec<tables::Sale> = tables::read(&path).expect("sales");
    let ours: Vec<tables::Sale> = shop.ingest().expect("a data set").rows("sales");
    assert_eq!(ours.len(), theirs.len());
    let customers =
        |sales: &[tables::Sale]| sales.iter().filter_map(|s| s.customer).collect::<Vec<_>>();
    let ours = customers(&ours);
    assert!(!ours.is_empty() && customers(&theirs).iter().all(|hash| !ours.contains(hash)));
}
