//! The exchange of a small marketplace.

use std::collections::BTreeSet;
use std::fs::File;

use lifecycle::Split;
use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::layout::PARTS;
use super::*;

/// A small marketplace from its raw files to an exchange.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("created");
            path
        };
        let config = simulator::Config { products: 60, weeks: 120, ..Default::default() };
        let raw = path("raw");
        simulator::run(&config, &raw, &Unwatched).expect("simulated");
        let mut variables = ingest::Variables::default();
        variables.set(ingest::RAW, raw.display().to_string());
        let mapping = crate::workspace_root().join("tests/datasets/simulator-1.toml");
        let mapping = ingest::Mapping::load(&mapping, &variables).expect("a mapping");
        let (key, dataset) = ([7; 32], path("dataset"));
        ingest::run_mapping(&ingest::Config::default(), &mapping, &key, &dataset, &Unwatched)
            .expect("ingested");
        let inputs = [("dataset".to_owned(), dataset)].into();
        let output = path("features");
        let inputs = features::Inputs::named(&inputs);
        features::run(&features::Config::default(), &inputs, &output, &Unwatched)
            .expect("features");
        Self { folder }
    }

    fn features(&self) -> std::path::PathBuf {
        self.folder.path().join("features")
    }

    fn exchange(&self, name: &str) -> std::path::PathBuf {
        let output = self.folder.path().join(name);
        std::fs::create_dir(&output).expect("created");
        let trainer =
            trainer::Config { rows_max: 800, validation_rows_max: 200, ..Default::default() };
        let order = Order { set: "small".to_owned(), trainer, fit_products: 20 };
        write(&order, &self.features(), &output).expect("written");
        output
    }
}

/// A table of the exchange with what its columns are asked for here.
struct Read(DataFrame);

impl Read {
    fn new(path: &Path) -> Self {
        Self(ParquetReader::new(File::open(path).expect("a file")).finish().expect("Parquet"))
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let column = self.0.column(name).expect(name).str().expect("text");
        column.iter().map(|text| text.unwrap_or_default().to_owned()).collect()
    }

    fn ints(&self, name: &str) -> Vec<Option<i32>> {
        self.0.column(name).expect(name).i32().expect("integers").iter().collect()
    }

    fn floats(&self, name: &str) -> Vec<Option<f32>> {
        self.0.column(name).expect(name).f32().expect("floats").iter().collect()
    }
}

#[test]
fn peers_get_our_rows_and_no_targets_of_the_test() {
    let shop = Shop::new();
    let exchange = shop.exchange("one");
    let meta: Meta =
        serde_json::from_slice(&std::fs::read(exchange.join("meta.json")).expect("meta.json"))
            .expect("a description");
    let features = FeaturesDir::open(shop.features()).expect("features");
    let rows = Read::new(&exchange.join("rows.parquet"));
    let (parts, origins) = (rows.texts("part"), rows.ints("origin"));
    let origin = |row: usize| Period(origins[row].expect("an origin"));
    let in_part =
        |part: &str| -> Vec<usize> { (0..parts.len()).filter(|row| parts[*row] == part).collect() };
    for part in PARTS {
        assert!(in_part(part).len() > 20, "{part}");
    }
    let asked: Vec<usize> = [in_part("fit"), in_part("test")].concat();
    let weeks = |step: usize| rows.floats(&format!("y_{step}"));
    for step in 1..=meta.n_ahead {
        let units = weeks(step);
        assert!(asked.iter().all(|row| units[*row].is_none()), "y_{step}");
        check_parts(&units, features.split(), (&parts, &origins), step);
    }
    for name in ["t_4", "t_13", "t_26"] {
        let turns = rows.ints(name);
        assert!(asked.iter().all(|row| turns[*row].is_none()), "{name}");
        assert!(in_part("train").iter().any(|row| turns[*row].is_some()), "{name}");
    }
    let labels = rows.floats("w_0");
    assert!(asked.iter().all(|row| labels[*row].is_none()));
    let tested: BTreeSet<i32> = in_part("test").into_iter().map(|row| origin(row).0).collect();
    assert_eq!(tested.into_iter().collect::<Vec<_>>(), meta.test_origins);
    assert_eq!(meta.test_origins[0], meta.last_known_period);
}

/// Units of a step stand in the part that the split says, and nowhere else.
fn check_parts(
    units: &[Option<f32>],
    split: &Split,
    (parts, origins): (&[String], &[Option<i32>]),
    step: usize,
) {
    for (row, _) in units.iter().enumerate().filter(|(_, units)| units.is_some()) {
        let origin = Period(origins[row].expect("an origin"));
        let expected = match split.part(origin, step) {
            Some(Part::Train) => "train",
            Some(Part::Validation) => "validation",
            _ => "neither",
        };
        assert_eq!(parts[row], expected, "step {step}");
    }
}

#[test]
fn inputs_and_targets_are_those_of_our_own_training() {
    let shop = Shop::new();
    let rows = Read::new(&shop.exchange("one").join("rows.parquet"));
    let history = Read::new(&shop.folder.path().join("one/history.parquet"));
    let (series, periods) = (history.texts("series"), history.ints("period"));
    let sold = history.floats("units");
    let units: BTreeMap<(String, i32), Option<f32>> = (0..series.len())
        .map(|row| ((series[row].clone(), periods[row].expect("a period")), sold[row]))
        .collect();
    let (names, origins) = (rows.texts("series"), rows.ints("origin"));
    let (scales, next) = (rows.floats("scale"), rows.floats("y_2"));
    let mut n_compared = 0;
    for row in 0..names.len() {
        let Some(target) = next[row] else { continue };
        let key = (names[row].clone(), origins[row].expect("an origin") + 2);
        let sold = units[&key].expect("targets are observed");
        let scale = scales[row].expect("a scale");
        assert!((target * scale - sold).abs() < 1e-3 * sold.max(1.0), "{key:?}");
        n_compared += 1;
    }
    assert!(n_compared > 300, "{n_compared}");
    let statics = panel::STATIC_INPUTS.iter().map(|name| rows.floats(&format!("x_{name}")));
    assert!(statics.into_iter().all(|values| values.iter().all(Option::is_some)));
}

#[test]
fn the_same_features_give_the_same_bytes() {
    let shop = Shop::new();
    let (one, other) = (shop.exchange("one"), shop.exchange("other"));
    for file in ["meta.json", "history.parquet", "corrections.parquet", "rows.parquet"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(file)).expect("read");
        assert_eq!(bytes(&one), bytes(&other), "{file}");
    }
}
