//! NDJSON: one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::{Broken, Scanned, Visit, missing_column};
use crate::cells::Cell;
use crate::error::Error;

/// Lines whose keys are taken as the file's columns.
const HEADER_LINES: usize = 1000;

pub(crate) fn columns(path: &Path) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = Vec::new();
    let mut lines = Lines::open(path)?;
    for _ in 0..HEADER_LINES {
        let Some(line) = lines.advance()? else { break };
        let Some(object) = object(line) else { continue };
        for (name, _) in object {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

pub(crate) fn scan(
    path: &Path,
    wanted: &[String],
    visit: &mut Visit<'_>,
) -> Result<Scanned, Error> {
    let mut lines = Lines::open(path)?;
    let mut seen = vec![false; wanted.len()];
    let mut scanned = Scanned::default();
    while let Some(line) = lines.advance()? {
        scanned.rows += 1;
        let row = scanned.rows;
        let Some(object) = object(line) else {
            if lines.is_open {
                let reason = format!("its last line, row {row}, is half a JSON object");
                return Err(Error::CutOff { path: path.to_owned(), reason });
            }
            visit(row, Err(Broken::NotAnObject))?;
            continue;
        };
        let cells: Vec<Cell<'_>> = wanted
            .iter()
            .zip(&mut seen)
            .map(|(column, seen)| {
                let value = object.get(column);
                *seen |= value.is_some();
                value.map_or(Cell::Missing, cell)
            })
            .collect();
        visit(row, Ok(&cells))?;
    }
    match wanted.iter().zip(seen).find(|(_, seen)| !seen) {
        Some((column, _)) if scanned.rows > 0 => Err(missing_column(path, column, &columns(path)?)),
        _ => Ok(scanned),
    }
}

struct Lines<'p> {
    path: &'p Path,
    file: BufReader<File>,
    line: Vec<u8>,
    is_open: bool,
}

impl<'p> Lines<'p> {
    fn open(path: &'p Path) -> Result<Self, Error> {
        let file =
            File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let file = BufReader::with_capacity(1 << 20, file);
        Ok(Self { path, file, line: Vec::new(), is_open: false })
    }

    /// The next line that is not blank.
    fn advance(&mut self) -> Result<Option<&[u8]>, Error> {
        loop {
            self.line.clear();
            let n_read = self
                .file
                .read_until(b'\n', &mut self.line)
                .map_err(|source| Error::File { path: self.path.to_owned(), source })?;
            if n_read == 0 {
                return Ok(None);
            }
            self.is_open = self.line.last() != Some(&b'\n');
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.line.trim_ascii()));
            }
        }
    }
}

fn object(line: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(line).ok()
}

fn cell(value: &Value) -> Cell<'_> {
    match value {
        Value::Null => Cell::Missing,
        Value::Bool(flag) => Cell::Flag(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cell::Integer(number),
            None => number.as_f64().map_or(Cell::Nested, Cell::Number),
        },
        Value::String(text) => Cell::Text(text),
        Value::Array(_) | Value::Object(_) => Cell::Nested,
    }
}
