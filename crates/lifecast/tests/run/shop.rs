//! A tiny shop, a pipeline small enough for tests, and the program run on them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const MAPPING: &str = r#"name = "tiny"
frequency = "week"

[[transactions]]
path = "orders.csv"

[transactions.columns]
product = "sku"
date = "day"
quantity = "units"
price = "price"
order = "order"
customer = "customer"

[transactions.rules]
cancelled = { column = "order", pattern = "^C" }

[[products]]
path = "products.csv"
columns = { product = "sku", category = "group", title = "title" }
"#;

const PIPELINE: &str = r#"[ingest]
mapping = "mapping.toml"

[features]
horizon = 4
context = 26

[[model]]
name = "lifecast"
size = "tiny"
steps_max = 12
batch = 16
micro_batch = 8
validate_every = 6
checkpoint_every = 2
rows_max = 200
validation_rows_max = 60

[[model]]
name = "dense"
members = ["dense"]
steps_max = 12
batch = 16
micro_batch = 8
validate_every = 6
rows_max = 200
validation_rows_max = 60

[evaluate]
resamples = 20
subset_resamples = 10
fit_products = 20

[explain]
n_series = 2
n_background = 1

[report]
n_products = 5
"#;

const N_PRODUCTS: usize = 24;
const N_WEEKS: usize = 72;
/// 2023-01-02, a Monday.
const FIRST_DAY: i32 = 19_359;

/// A folder with raw files, mapping, pipeline, store and work folder.
pub(crate) struct Shop {
    folder: TempDir,
}

/// What one run of the program said.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        shop.write("mapping.toml", MAPPING);
        shop.write("pipeline.toml", PIPELINE);
        shop.write("orders.csv", orders());
        shop.write("products.csv", products());
        // Shops that are compared hash customers alike.
        fs::create_dir(shop.path("work")).unwrap();
        shop.write("work/customer.key", [7; 32]);
        shop
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(file), content).unwrap();
    }

    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, text.replacen(from, to, 1));
    }

    /// `lifecast run` on this shop.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifecast"));
        command.arg("run").arg(self.path("pipeline.toml"));
        command.arg("--work").arg(self.path("work")).arg("--json").stdin(Stdio::null());
        command.env("LIFECAST_STORE", self.path("store"));
        command
    }

    pub(crate) fn run(&self) -> Run {
        let output = self.command().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let run = Run {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        let folder = format!("{}/", self.folder.path().display());
        Run { stderr: run.stderr.replace(&folder, ""), ..run }
    }

    /// The records of the store's keys: file and content.
    pub(crate) fn records(&self) -> Vec<(PathBuf, Value)> {
        let entries = fs::read_dir(self.path("store/keys")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: PathBuf| {
            let record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path, record)
        };
        paths.into_iter().map(read).collect()
    }
}

impl Run {
    /// The run must have succeeded: name, digest and whether it was cached, of every stage.
    #[track_caller]
    pub(crate) fn stages(&self) -> Vec<(String, String, bool)> {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        let outcome: Value = serde_json::from_str(self.stdout.trim()).unwrap();
        let stage = |stage: &Value| {
            let text = |field: &str| stage[field].as_str().unwrap().to_owned();
            (text("name"), text("artifact"), stage["cached"].as_bool().unwrap())
        };
        outcome["stages"].as_array().unwrap().iter().map(stage).collect()
    }

    /// Name and digest of every stage of a run that succeeded.
    #[track_caller]
    pub(crate) fn digests(&self) -> Vec<(String, String)> {
        self.stages().into_iter().map(|(name, digest, _)| (name, digest)).collect()
    }

    /// The one line that says what is wrong; a run that failed says nothing on stdout.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        assert_eq!(self.stdout, "");
        let lines: Vec<&str> =
            self.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        let [line] = lines[..] else { panic!("not one line: {}", self.stderr) };
        assert!(self.stderr.trim_end().ends_with(line), "lines follow: {}", self.stderr);
        line
    }
}

/// Lives that rise and fall, launched one after the other, and two that are steady.
fn orders() -> String {
    let mut text = String::from("order,customer,day,sku,units,price\n");
    for week in 0..N_WEEKS {
        for product in 0..N_PRODUCTS {
            let (launch, length) = (product * 5 % 40, 25 + product * 7 % 30);
            let Some(age) = week.checked_sub(launch).filter(|age| *age < length) else { continue };
            let rise = age.min(length - age).min(8);
            let noise = (product * 31 + week * 17 + age * age) % 5;
            let units = 1 + rise * (1 + product % 4) / 2 + noise;
            let day = lifecycle::Day(FIRST_DAY + (7 * week + (product + week) % 7) as i32);
            let (order, price) = (1000 * week + product, 2 + product % 9);
            writeln!(text, "{order},c{},{day},p{product:02},{units},{price}.5", noise + week % 11)
                .unwrap();
            if noise == 4 && age % 3 == 0 {
                writeln!(
                    text,
                    "C{order},c{},{day},p{product:02},-{units},{price}.5",
                    noise + week % 11
                )
                .unwrap();
            }
        }
    }
    text
}

fn products() -> String {
    let row = |product| format!("p{product:02},group {},\"Cup, no {product}\"\n", product % 3);
    (0..N_PRODUCTS).fold(String::from("sku,group,title\n"), |text, product| text + &row(product))
}
