//! What can go wrong, a variant per thing its reader can do about it.

use std::path::PathBuf;

use lifecycle::{Day, ErrorKind};
use polars::prelude::PolarsError;

/// Raw files could not be turned into a data set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mapping's text is wrong: an unknown key, a wrong type, a value that makes no sense.
    #[error("{}, {place}: {reason}", path.display())]
    Mapping {
        /// The mapping file.
        path: PathBuf,
        /// Table, and line where known.
        place: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The configuration of the stage or its key is wrong.
    #[error("ingest configuration")]
    Config(#[from] lifecycle::Invalid),
    /// A path of the mapping leads to no file.
    #[error("{}, {place}: there is no file {pattern}", mapping.display())]
    NoFile {
        /// The mapping file.
        mapping: PathBuf,
        /// Table that names it.
        place: String,
        /// The path or pattern as the mapping writes it: whoever wrote it need not know what the
        /// variables are.
        pattern: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file has no rows.
    #[error("{}: is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file ends in the middle.
    #[error("{}: is cut off: {reason}", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A file is not what its format says, or damaged.
    #[error("{}: is damaged or of another format: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A Parquet file cannot be decoded.
    #[error("{}: is not a readable Parquet file", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PolarsError,
    },
    /// A file lacks a column that the mapping names.
    #[error("{}: has no column `{column}`{}; it has {}{}", path.display(),
        suggestion(nearest.as_ref()), existing.join(", ").escape_debug(), separation(existing))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column in the mapping.
        column: String,
        /// The one most like it.
        nearest: Option<String>,
        /// Those that the file has.
        existing: Vec<String>,
    },
    /// A column has a type that cannot hold what the mapping says it holds.
    #[error("{}: column `{column}` is {found}, but {wanted} is needed", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What it should hold.
        wanted: String,
    },
    /// Most cells of a column cannot be read: the mapping, not the data, must be wrong.
    #[error("{}: column `{column}` cannot be read as {wanted} in {unreadable} of {rows} rows, such \
        as `{example}` in row {row}; set {}", path.display(), advice(wanted))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it should hold.
        wanted: &'static str,
        /// Cells that cannot be read.
        unreadable: u64,
        /// Rows of the file.
        rows: u64,
        /// One of the cells.
        example: String,
        /// Its row.
        row: u64,
    },
    /// Rows were read, but none is left.
    #[error("no usable row is left of {rows}; most were refused because: {reason}")]
    NothingLeft {
        /// Rows read.
        rows: u64,
        /// The most frequent reason.
        reason: String,
    },
    /// For long nobody sold anything: some dates must be wrong.
    #[error(
        "no row of sales from {first} to {last}: if the dates after that are wrong, set `last_day` \
        in the mapping to a day before, if those before are, `first_day` to one after; set both if \
        all are right"
    )]
    Gap {
        /// First day of the first period without any row.
        first: Day,
        /// Last day of the last.
        last: Day,
    },
    /// Most rows of a panel contradict each other.
    #[error(
        "{rows} of {of} {what} rows give a second value for a day that has one; is a column \
        of the location missing from the mapping?"
    )]
    Contradictions {
        /// Which table.
        what: &'static str,
        /// Rows that contradict another.
        rows: u64,
        /// Rows in all.
        of: u64,
    },
    /// A table of the data set cannot be written.
    #[error("the data set cannot be written")]
    Tables(#[from] tables::Error),
    /// Somebody asked for the work to stop.
    #[error("cancelled")]
    Cancelled,
    /// A promise of ours is broken.
    #[error("a fault of ours: {0}")]
    Internal(String),
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Mapping { .. } | Self::Config(_) | Self::NoFile { .. } => ErrorKind::Usage,
            Self::Empty { .. }
            | Self::CutOff { .. }
            | Self::Damaged { .. }
            | Self::Parquet { .. }
            | Self::MissingColumn { .. }
            | Self::WrongType { .. }
            | Self::Unreadable { .. }
            | Self::NothingLeft { .. }
            | Self::Gap { .. }
            | Self::Contradictions { .. } => ErrorKind::Data,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::Usage
            }
            Self::File { .. } => ErrorKind::Unreachable,
            Self::Tables(_) | Self::Cancelled | Self::Internal(_) => ErrorKind::Internal,
        }
    }
}

fn suggestion(nearest: Option<&String>) -> String {
    nearest.map_or(String::new(), |nearest| format!(" (did you mean `{nearest}`?)"))
}

/// A single column whose name holds a separator was not meant to be one.
fn separation(existing: &[String]) -> String {
    let [only] = existing else { return String::new() };
    let Some(found) = [';', '\t', '|', ','].into_iter().find(|mark| only.contains(*mark)) else {
        return String::new();
    };
    let mark = if found == '\t' { "\\t".to_owned() } else { found.to_string() };
    format!("; if that is several columns, set `csv = {{ delimiter = \"{mark}\" }}`")
}

/// The keys of a mapping that say how such a cell is written.
fn advice(wanted: &str) -> &'static str {
    if wanted == "a date" {
        "`dates.format` to how it is written"
    } else {
        "`csv.decimal`, `csv.thousands`, `missing` or `yes` and `no` to how it is written"
    }
}
