//! A table of numbers that somebody else wrote: CSV with a header, or Parquet.

use std::collections::BTreeSet;
use std::path::Path;

use polars::prelude::*;

use crate::frame::Error;

/// Rows read at most: those after them are left.
const ROWS_MAX: usize = 100_000;

/// Columns of a table at most.
const COLUMNS_MAX: usize = 4096;

/// Names of the columns, and their numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Length `n_columns`.
    pub columns: Vec<String>,
    /// NaN where missing. Shape `[n_rows, n_columns]`.
    pub rows: Vec<Vec<f64>>,
}

/// Reads the first rows of a table, by the ending of its name.
pub fn numbers(path: &Path) -> Result<Numbers, Error> {
    // Opened first: polars takes patterns where a path is meant.
    std::fs::File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let unreadable = |source: PolarsError| Error::Numbers { path: path.to_owned(), source };
    let is_parquet = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
    let lazy = if is_parquet {
        let options = ScanArgsParquet { glob: false, ..Default::default() };
        LazyFrame::scan_parquet(polars_path(path), options)
    } else {
        csv(path).with_infer_schema_length(Some(1000)).finish()
    };
    let frame =
        lazy.map_err(unreadable)?.limit(ROWS_MAX as IdxSize).collect().map_err(unreadable)?;
    let wrong = |column: &str, reason: String| Error::Column {
        path: path.to_owned(),
        column: column.to_owned(),
        reason,
    };
    if !is_parquet && let Some(twice) = twice_in_header(path).map_err(unreadable)? {
        return Err(wrong(&twice, "two columns have this name".to_owned()));
    }
    if frame.width() > COLUMNS_MAX {
        let reason = format!("{} columns are more than {COLUMNS_MAX}", frame.width());
        return Err(wrong(frame.columns()[COLUMNS_MAX].name(), reason));
    }
    let mut rows = vec![Vec::with_capacity(frame.width()); frame.height()];
    for column in frame.columns() {
        let dtype = column.dtype();
        if !(dtype.is_primitive_numeric() || dtype.is_bool()) {
            return Err(wrong(column.name(), format!("{dtype} where numbers are wanted")));
        }
        let values = column.cast(&DataType::Float64).map_err(unreadable)?;
        for (row, value) in rows.iter_mut().zip(values.f64().map_err(unreadable)?.iter()) {
            row.push(value.unwrap_or(f64::NAN));
        }
    }
    let columns = frame.columns().iter().map(|column| column.name().to_string()).collect();
    Ok(Numbers { columns, rows })
}

/// A name that two columns of a CSV file have: polars would give the second another one.
fn twice_in_header(path: &Path) -> PolarsResult<Option<String>> {
    let header = csv(path).with_has_header(false).with_infer_schema_length(Some(0));
    let header = header.finish()?.limit(1).collect()?;
    let mut seen = BTreeSet::new();
    for cell in header.columns() {
        let name = cell.str()?.get(0).unwrap_or_default().to_owned();
        if seen.contains(&name) {
            return Ok(Some(name));
        }
        seen.insert(name);
    }
    Ok(None)
}

fn csv(path: &Path) -> LazyCsvReader {
    LazyCsvReader::new(polars_path(path)).with_glob(false)
}

fn polars_path(path: &Path) -> PlRefPath {
    PlRefPath::new(&*path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Numbers, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).expect("written");
        numbers(&path)
    }

    #[test]
    fn numbers_are_read_and_gaps_are_not_zero() {
        let found = read("a,b,c\n1,2.5,true\n3,,false\n").expect("numbers");
        assert_eq!(found.columns, ["a", "b", "c"]);
        assert_eq!(found.rows[0], [1.0, 2.5, 1.0]);
        assert_eq!(found.rows[1][0], 3.0);
        assert!(found.rows[1][1].is_nan());
    }

    #[test]
    fn numbers_keep_64_bits() {
        let found = read("second\n1767225600\n1767225601\n").expect("numbers");
        assert_eq!(found.rows, [[1_767_225_600.0], [1_767_225_601.0]]);
    }

    #[test]
    fn two_columns_of_one_name_are_refused() {
        for text in ["a,a,b\n1,2,3\n", "b,\"a\",a\n1,2,3\n"] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("column `a`: two columns"), "{error}");
        }
        let found = read("a,a_duplicated_0\n1,2\n").expect("two names");
        assert_eq!(found.columns, ["a", "a_duplicated_0"]);
    }

    #[test]
    fn words_are_refused_with_their_column() {
        let error = read("a,b\n1,mug\n").expect_err("words").to_string();
        assert!(error.contains("column `b`") && error.contains("rows.csv"), "{error}");
        let error = numbers(Path::new("no-such.csv")).expect_err("no file").to_string();
        assert!(error.contains("no-such.csv"), "{error}");
    }
}
