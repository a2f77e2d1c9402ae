//! A folder with raw files and a mapping, ingested into another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ingest::{Config, Error, Inputs, Summary, Variables};
use lifecycle::Unwatched;
use tables::{Dataset, Product, Quarantined, Table};
use tempfile::TempDir;

/// Enough for HMAC, and no secret.
pub(crate) const KEY: &[u8] = b"a key for tests only";

/// Raw files in a folder of their own.
pub(crate) struct Shop {
    folder: TempDir,
    pub(crate) config: Config,
}

/// What the stage published.
pub(crate) struct Published {
    folder: TempDir,
    pub(crate) summary: Summary,
}

impl Shop {
    pub(crate) fn new(mapping: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mapping.toml"), mapping).expect("a mapping");
        Self { folder, config: Config::default() }
    }

    pub(crate) fn with(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(file), content).expect("a file");
        self
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn ingest(&self) -> Result<Published, Error> {
        publish(&self.path("mapping.toml"), &Variables::default(), &self.config)
    }

    /// The message of the error that must come, with its causes, and its exit code's kind.
    pub(crate) fn error(&self) -> (String, lifecycle::ErrorKind) {
        let Err(error) = self.ingest() else { panic!("this must not be accepted") };
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message += &format!(": {cause}");
            source = cause.source();
        }
        (message.replace(&format!("{}/", self.folder.path().display()), ""), error.kind())
    }
}

/// Runs the stage into a new folder.
pub(crate) fn publish(
    mapping: &Path,
    variables: &Variables,
    config: &Config,
) -> Result<Published, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = Inputs { mapping, variables, key: KEY };
    let summary = ingest::run(config, &inputs, folder.path(), &Unwatched)?;
    Ok(Published { folder, summary })
}

impl Published {
    /// All rows of a table, over its partitions.
    pub(crate) fn rows<T: Table>(&self, table: &str) -> Vec<T> {
        let mut rows = Vec::new();
        for partition in 0..self.summary.n_partitions {
            let name = format!("{table}/part-{partition:03}.parquet");
            rows.extend(tables::read::<T>(&self.folder.path().join(name)).expect("a table"));
        }
        rows
    }

    pub(crate) fn products(&self) -> Vec<Product> {
        tables::read(&self.folder.path().join("products.parquet")).expect("products")
    }

    pub(crate) fn quarantine(&self) -> Vec<Quarantined> {
        tables::read(&self.folder.path().join("quarantine.parquet")).expect("quarantine")
    }

    /// Row, reason, column and value of what was refused, a line each.
    pub(crate) fn refused(&self) -> String {
        let line = |q: Quarantined| {
            format!("{} {}: {} [{}={}]\n", q.file, q.row, q.reason, q.column, q.value)
        };
        self.quarantine().into_iter().map(line).collect()
    }

    pub(crate) fn dataset(&self) -> Dataset {
        serde_json::from_str(&self.text("dataset.json")).expect("a data set")
    }

    pub(crate) fn quality(&self) -> serde_json::Value {
        serde_json::from_str(&self.text("quality.json")).expect("JSON")
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).expect("a text")
    }

    /// Every published file with its bytes.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), self.folder.path(), &mut files);
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            files.insert(name, fs::read(&path).expect("a file"));
        }
    }
}
