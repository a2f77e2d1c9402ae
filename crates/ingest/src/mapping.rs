//! The mapping: which files there are and what their columns mean.
//!
//! Two types, as a command line has raw and validated arguments: [`raw`] is what the TOML says,
//! [`Mapping`] has its patterns compiled, its paths found and every promise checked. The page
//! `MAPPING.md` beside this crate's sources describes every key for its writer.

mod check;
pub(crate) mod raw;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use lifecycle::{Day, Digest, Frequency};
use regex::Regex;
use tables::ThinnedBy;

use crate::error::Error;
use crate::files::{Found, InputFile, matching};
use crate::moments::{DateFormat, Zone};
use crate::nearest::nearest;
use crate::rows::Plan;
use crate::scan::Format;
use crate::variables::{Variables, components};

/// Most bytes of a mapping.
const BYTES_MAX: u64 = 256 * 1024;

/// A validated mapping with the files it names.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) path: PathBuf,
    /// The TOML it was read from.
    text: String,
    pub(crate) name: String,
    pub(crate) frequency: Frequency,
    pub(crate) zone: Zone,
    pub(crate) units_per_one: f64,
    pub(crate) share_depth: usize,
    pub(crate) horizon: Option<usize>,
    pub(crate) all_lives_ended: bool,
    pub(crate) first_day: Option<Day>,
    pub(crate) last_day: Option<Day>,
    pub(crate) product_ids: ProductIds,
    pub(crate) limits: raw::Limits,
    pub(crate) cancellations: raw::Cancellations,
    pub(crate) sources: Vec<Source>,
}

/// How a product's id is written, and which ids are products.
#[derive(Debug)]
pub(crate) struct ProductIds {
    pub(crate) trim: bool,
    pub(crate) upper_case: bool,
    pub(crate) include: Vec<Regex>,
    pub(crate) exclude: Vec<Regex>,
}

/// One table of the mapping: some files of one kind.
#[derive(Debug)]
pub(crate) struct Source {
    /// `transactions`, or `transactions 2` where there are several.
    pub(crate) table: String,
    pub(crate) files: Vec<Found>,
    pub(crate) format: Option<raw::FormatName>,
    pub(crate) csv: raw::Csv,
    /// Cells that mean "nothing here"; `None`: the usual ones.
    pub(crate) missing: Option<Vec<String>>,
    /// Lower-case texts that mean 1 and 0 where a share is wanted.
    pub(crate) truths: [Vec<String>; 2],
    pub(crate) dates: DateFormat,
    pub(crate) keep: Vec<Filter>,
    pub(crate) drop: Vec<Filter>,
    /// Columns that the plan and the filters name, each once.
    pub(crate) wanted: Vec<String>,
    /// The customer's column among them: its cells are never written anywhere.
    pub(crate) secret: Option<usize>,
    pub(crate) plan: Plan,
}

/// A pattern on one of the wanted columns.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) slot: usize,
    pub(crate) pattern: Regex,
}

impl Source {
    /// The format of a file: as declared, else by its extension.
    pub(crate) fn format_of(&self, path: &Path) -> Result<Format, String> {
        let by_extension = || {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            match name.rsplit_once('.').map(|(_, extension)| extension) {
                Some("parquet" | "pq") => Some(raw::FormatName::Parquet),
                Some("csv" | "tsv" | "txt") => Some(raw::FormatName::Csv),
                Some("ndjson" | "jsonl" | "json") => Some(raw::FormatName::Ndjson),
                _ => None,
            }
        };
        match self.format.or_else(by_extension) {
            Some(raw::FormatName::Parquet) => Ok(Format::Parquet),
            Some(raw::FormatName::Csv) => {
                let is_tsv = path.extension().is_some_and(|extension| extension == "tsv");
                Ok(Format::Csv(self.csv.dialect(is_tsv)))
            }
            Some(raw::FormatName::Ndjson) => Ok(Format::Ndjson),
            None => Err(format!(
                "the format of {} cannot be told from its name; set `format`",
                path.display()
            )),
        }
    }
}

impl Mapping {
    /// Reads, validates and finds the files.
    pub fn load(path: &Path, variables: &Variables) -> Result<Self, Error> {
        Self::read(path, text_of(path)?, variables)
    }

    /// Validates a mapping's text as if it stood at `path`, and finds the files.
    pub fn read(path: &Path, text: String, variables: &Variables) -> Result<Self, Error> {
        let raw = parse(path, &text)?;
        Ok(Self { text, ..check::validated(path, raw, variables)? })
    }

    /// By what the sales can be cut in halves: by buyer where a table of order lines names them,
    /// else by order; not at all where units come from a ready panel.
    pub(crate) fn thinned_by(&self) -> Option<ThinnedBy> {
        if self.sources.iter().any(|source| matches!(source.plan, Plan::Panel(_))) {
            return None;
        }
        let sold = || {
            self.sources.iter().filter_map(|source| match &source.plan {
                Plan::Lines(plan) if !plan.are_returns => Some(plan),
                _ => None,
            })
        };
        if sold().any(|plan| plan.customer.is_some()) {
            return Some(ThinnedBy::Buyer);
        }
        sold().any(|plan| plan.order.is_some()).then_some(ThinnedBy::Order)
    }

    /// The mapping itself and all files it names, with their digests: what a result depends on.
    pub fn input_files(&self) -> Result<Vec<InputFile>, Error> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![InputFile {
            name,
            path: self.path.clone(),
            bytes: self.text.len() as u64,
            digest: Digest::of(&self.text),
        }];
        let mut found: Vec<&Found> = self.sources.iter().flat_map(|source| &source.files).collect();
        found.sort();
        found.dedup();
        for file in found {
            files.push(InputFile::open(file.name.clone(), file.path.clone())?);
        }
        Ok(files)
    }
}

/// The text of a mapping in a file, whatever it is that a request names as one.
fn text_of(path: &Path) -> Result<String, Error> {
    let wrong =
        |reason| Error::Mapping { path: path.to_owned(), place: "the mapping".to_owned(), reason };
    let unread = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => Error::File { path: path.to_owned(), source },
        _ => wrong(format!("cannot be read: {source}")),
    };
    // Asked before it is opened: opening a pipe waits for its writer.
    if !path.metadata().map_err(unread)?.is_file() {
        return Err(wrong("is no regular file; name the TOML file itself".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > BYTES_MAX {
        let reason = format!("has more than {BYTES_MAX} bytes; name the mapping, not the data");
        return Err(wrong(reason));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text; save it as UTF-8".to_owned()))
}

/// Parses the TOML; an error names line, table and key, and the key that may have been meant.
fn parse(path: &Path, text: &str) -> Result<raw::Mapping, Error> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text[..start].matches('\n').count();
        let table = table_of(&text[..line_end(text, start)]);
        let place = match table {
            Some(table) => format!("line {line}, {table}"),
            None => format!("line {line}"),
        };
        Error::Mapping { path: path.to_owned(), place, reason: reason_of(error.message()) }
    })
}

fn line_end(text: &str, start: usize) -> usize {
    text[start..].find('\n').map_or(text.len(), |offset| start + offset)
}

/// The last table header of a text.
fn table_of(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| line.starts_with('[')).map(|line| {
        let end = line.rfind(']').map_or(line.len(), |end| end + 1);
        &line[..end]
    })
}

/// serde's message, with the nearest known key where a key is unknown.
fn reason_of(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.trim().to_owned();
    }
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    let written = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    if known.is_empty() {
        return format!("unknown {what} `{written}`; there are none here");
    }
    match nearest(written, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{written}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{written}`; known are {}", known.join(", ")),
    }
}

/// The files of one or several paths or patterns.
fn found(
    mapping: &Path,
    table: &str,
    paths: &[String],
    variables: &Variables,
) -> Result<Vec<Found>, Error> {
    let base = mapping.parent().unwrap_or(Path::new(""));
    let mut all = Vec::new();
    for path in paths {
        let wrong = |reason| Error::Mapping {
            path: mapping.to_owned(),
            place: format!("[[{table}]] path"),
            reason,
        };
        if path.contains("://") {
            return Err(wrong(format!("`{path}`: only local files can be read in this version")));
        }
        let parts = components(path, variables).map_err(|invalid| wrong(invalid.reason))?;
        let files = matching(base, &parts)?;
        if files.is_empty() {
            let (mapping, pattern) = (mapping.to_owned(), path.clone());
            return Err(Error::NoFile { mapping, place: format!("[[{table}]] path"), pattern });
        }
        all.extend(files);
    }
    all.sort();
    all.dedup();
    Ok(all)
}
