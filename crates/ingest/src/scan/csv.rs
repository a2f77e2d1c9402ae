//! CSV after RFC 4180, with what real files add: a byte-order mark, other delimiters, CRLF, blank
//! lines, quotes inside bare fields, Latin-1.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

use super::{Broken, Scanned, Visit, positions};
use crate::cells::Cell;
use crate::error::Error;

/// Bytes of one record at most: an open quote must not swallow the file.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// How a CSV file is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) header: bool,
    /// Latin-1 rather than UTF-8.
    pub(crate) latin: bool,
}

/// What Windows-1252 writes in the bytes 0x80 to 0x9F, of which Latin-1 makes no use: like browsers
/// (WHATWG Encoding Standard), we take every Latin-1 text as Windows-1252, for most of it is.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

pub(crate) fn columns(path: &Path, dialect: Dialect) -> Result<Vec<String>, Error> {
    let mut records = Records::open(path, dialect)?;
    records.header()
}

pub(crate) fn scan(
    path: &Path,
    dialect: Dialect,
    wanted: &[String],
    visit: &mut Visit<'_>,
) -> Result<Scanned, Error> {
    let mut records = Records::open(path, dialect)?;
    let header = records.header()?;
    let positions = positions(path, &header, wanted)?;
    let mut scanned = Scanned::default();
    // Without a header the first record, already read, is the first row.
    let mut has_record = !dialect.header || records.advance()?;
    while has_record {
        scanned.rows += 1;
        let row = scanned.rows;
        if records.fields.len() == header.len() {
            match records.text() {
                Some(text) => {
                    let cell =
                        |&position: &usize| Cell::Text(&text[records.fields[position].clone()]);
                    let cells: Vec<Cell<'_>> = positions.iter().map(cell).collect();
                    visit(row, Ok(&cells))?;
                }
                None => visit(row, Err(Broken::NotUtf8))?,
            }
        } else if records.is_open {
            let reason = format!(
                "its last line, row {row}, has {} of {} fields",
                records.fields.len(),
                header.len()
            );
            return Err(Error::CutOff { path: path.to_owned(), reason });
        } else {
            visit(row, Err(Broken::NumberOfFields))?;
        }
        scanned.open_end = records.is_open;
        has_record = records.advance()?;
    }
    Ok(scanned)
}

/// Records of a file, one at a time.
struct Records<'p> {
    path: &'p Path,
    dialect: Dialect,
    file: BufReader<File>,
    line: Vec<u8>,
    /// The record's fields, one after the other, without quotes.
    content: Vec<u8>,
    fields: Vec<Range<usize>>,
    /// The record ended with the file, not with a line's end.
    is_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Bare,
    Quoted,
    /// After a quote within a quoted field: its end, or the first half of a doubled one.
    Closing,
}

impl<'p> Records<'p> {
    fn open(path: &'p Path, dialect: Dialect) -> Result<Self, Error> {
        let file =
            File::open(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let start =
            file.fill_buf().map_err(|source| Error::File { path: path.to_owned(), source })?;
        if start.starts_with(b"\xEF\xBB\xBF") {
            file.consume(3);
        }
        let (line, content, fields) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { path, dialect, file, line, content, fields, is_open: false })
    }

    /// The names of the columns; `column_1` and so on where the file names none.
    fn header(&mut self) -> Result<Vec<String>, Error> {
        if !self.advance()? {
            return Err(Error::Empty { path: self.path.to_owned() });
        }
        if !self.dialect.header {
            return Ok((1..=self.fields.len()).map(|n| format!("column_{n}")).collect());
        }
        let reason = "its header is not UTF-8; is it latin-1?".to_owned();
        let damaged = Error::Damaged { path: self.path.to_owned(), reason };
        let fields = self.fields.clone();
        let text = self.text().ok_or(damaged)?;
        Ok(fields.into_iter().map(|field| text[field].trim().to_owned()).collect())
    }

    /// The record's text, `None` where it is not UTF-8.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.content).ok()
    }

    /// Reads the next record that is not blank; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            self.content.clear();
            self.fields.clear();
            let mut state = State::Start;
            let mut n_lines = 0;
            loop {
                self.line.clear();
                let n_read = self
                    .file
                    .read_until(b'\n', &mut self.line)
                    .map_err(|source| Error::File { path: self.path.to_owned(), source })?;
                if n_read == 0 {
                    if n_lines == 0 {
                        return Ok(false);
                    }
                    return Err(self.open_quote("at the end of the file"));
                }
                n_lines += 1;
                self.is_open = self.line.last() != Some(&b'\n');
                state = self.feed(state);
                if state != State::Quoted {
                    break;
                }
                if self.content.len() > RECORD_BYTES_MAX {
                    return Err(self.open_quote("within 4 MiB"));
                }
            }
            let is_blank = self.fields.len() == 1 && self.content.is_empty() && n_lines == 1;
            if !is_blank {
                return Ok(true);
            }
        }
    }

    fn open_quote(&self, place: &str) -> Error {
        let path = self.path.to_owned();
        let start: String = String::from_utf8_lossy(&self.content).chars().take(20).collect();
        let field = format!("a quoted field is still open {place}");
        if place.contains("file") {
            Error::CutOff { path, reason: field }
        } else {
            Error::Damaged { path, reason: format!("{field}, in the record that starts `{start}`") }
        }
    }

    /// Takes in one line; the state tells whether the record goes on in the next.
    fn feed(&mut self, mut state: State) -> State {
        let mut start = self.fields.pop().map_or(0, |field| field.start);
        let line = std::mem::take(&mut self.line);
        let mut bytes = &line[..];
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            let is_end = rest.is_empty() && byte == b'\n' || byte == b'\r' && rest == b"\n";
            state = match state {
                State::Quoted if byte == b'"' => State::Closing,
                State::Quoted => {
                    self.push(byte);
                    State::Quoted
                }
                _ if is_end => break,
                State::Start if byte == b'"' => State::Quoted,
                State::Closing if byte == b'"' => {
                    self.push(byte);
                    State::Quoted
                }
                _ if byte == self.dialect.delimiter => {
                    self.fields.push(start..self.content.len());
                    start = self.content.len();
                    State::Start
                }
                _ => {
                    self.push(byte);
                    State::Bare
                }
            };
        }
        self.line = line;
        self.fields.push(start..self.content.len());
        state
    }

    fn push(&mut self, byte: u8) {
        if self.dialect.latin && byte >= 0x80 {
            // Otherwise, the first 256 characters of Unicode are Latin-1.
            let known = WINDOWS_1252.get(usize::from(byte - 0x80)).copied();
            let character = known.unwrap_or(char::from(byte));
            self.content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.content.push(byte);
        }
    }
}
