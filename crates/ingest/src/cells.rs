//! One cell of a raw file, whatever its format, and how it becomes a number, a share or a text.

use std::borrow::Cow;

use crate::moments::{Calendar, Moment};

/// Characters of a cell that quarantine shows.
const SHOWN: usize = 200;

/// A cell as its format gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Integer(i64),
    Number(f64),
    Flag(bool),
    /// Days since 1970-01-01.
    Day(i32),
    /// Microseconds since 1970-01-01 00:00, of UTC or of the shop's clock.
    Instant {
        micros: i64,
        in_utc: bool,
    },
    /// A list or object where a value should be.
    Nested,
}

impl<'a> Cell<'a> {
    /// As text; whole floats lose their `.0`, as ids read from a float column should.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        match *self {
            Self::Missing | Self::Nested => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(flag) => Some(Cow::Borrowed(if flag { "true" } else { "false" })),
            Self::Day(day) => Some(Cow::Owned(lifecycle::Day(day).to_string())),
            Self::Instant { micros, .. } => Some(Cow::Owned(instant_text(micros))),
        }
    }

    /// What quarantine shows of it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Nested => "a list or object".to_owned(),
            cell => cell.text().unwrap_or_default().chars().take(SHOWN).collect(),
        }
    }
}

fn starts_blank(text: &str) -> bool {
    text.as_bytes().first().is_none_or(|byte| byte.is_ascii_whitespace() || !byte.is_ascii())
}

fn instant_text(micros: i64) -> String {
    let moment = Moment(micros);
    let seconds = micros.div_euclid(1_000_000).rem_euclid(86_400);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    format!("{} {hour:02}:{minute:02}:{:02}", moment.day(), seconds % 60)
}

/// A cell that holds something, but not what the mapping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotReadable;

/// How the cells of one table of files are written.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) decimal: char,
    pub(crate) thousands: Option<char>,
    pub(crate) missing: Option<Vec<String>>,
    /// Lower-case texts that mean 1 and 0 where a share is wanted.
    pub(crate) truths: [Vec<String>; 2],
    pub(crate) calendar: Calendar,
}

impl Reading {
    /// Whether nothing stands in the cell; `as_text` knows only the empty text as nothing, unless
    /// the mapping lists others, for `NA` may well be a name.
    pub(crate) fn is_missing(&self, cell: &Cell<'_>, as_text: bool) -> bool {
        match (cell, &self.missing) {
            (Cell::Missing, _) => true,
            (Cell::Number(number), _) => number.is_nan(),
            (Cell::Text(text), Some(markers)) => {
                let text = text.trim();
                text.is_empty() || markers.iter().any(|marker| marker == text)
            }
            // Nearly every text is neither blank nor short.
            (Cell::Text(text), None) if text.len() > 4 && !starts_blank(text) => false,
            (Cell::Text(text), None) => match text.trim() {
                "" => true,
                "NA" | "NaN" | "nan" | "null" | "NULL" | "None" => !as_text,
                _ => false,
            },
            _ => false,
        }
    }

    /// A trimmed text that is not empty.
    pub(crate) fn text<'a>(&self, cell: &Cell<'a>) -> Option<Cow<'a, str>> {
        if self.is_missing(cell, true) {
            return None;
        }
        cell.text().map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text),
        })
    }

    /// A finite number.
    pub(crate) fn number(&self, cell: &Cell<'_>) -> Result<Option<f64>, NotReadable> {
        if self.is_missing(cell, false) {
            return Ok(None);
        }
        let number = match *cell {
            Cell::Integer(number) => number as f64,
            Cell::Number(number) => number,
            Cell::Text(text) => self.parse(text.trim()).ok_or(NotReadable)?,
            _ => return Err(NotReadable),
        };
        if number.is_finite() { Ok(Some(number)) } else { Err(NotReadable) }
    }

    /// A share: a number, or a truth value as 0 or 1.
    pub(crate) fn share(&self, cell: &Cell<'_>) -> Result<Option<f64>, NotReadable> {
        match *cell {
            Cell::Flag(flag) => Ok(Some(f64::from(u8::from(flag)))),
            Cell::Text(text) => {
                let text = text.trim().to_lowercase();
                let [yes, no] = &self.truths;
                if yes.contains(&text) {
                    Ok(Some(1.0))
                } else if no.contains(&text) {
                    Ok(Some(0.0))
                } else {
                    self.number(cell)
                }
            }
            _ => self.number(cell),
        }
    }

    pub(crate) fn moment(&mut self, cell: &Cell<'_>) -> Result<Option<Moment>, NotReadable> {
        if self.is_missing(cell, false) {
            return Ok(None);
        }
        self.calendar.moment(cell).map(Some).ok_or(NotReadable)
    }

    fn parse(&self, text: &str) -> Option<f64> {
        if self.decimal == '.' && self.thousands.is_none() {
            return text.parse().ok();
        }
        let (whole, fraction) = match text.split_once(self.decimal) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let mut plain = self.without_thousands(whole)?;
        // A point that is neither mark would change the number's meaning.
        if plain.contains('.') {
            return None;
        }
        if let Some(fraction) = fraction {
            plain.push('.');
            plain.push_str(fraction);
        }
        plain.parse().ok()
    }

    /// The digits before the decimal mark; `None` where a mark parts no thousands: `4.50` is no 450.
    /// Groups before the last may have two digits, as in `1,00,000`.
    fn without_thousands(&self, whole: &str) -> Option<String> {
        let Some(mark) = self.thousands.filter(|mark| whole.contains(*mark)) else {
            return Some(whole.to_owned());
        };
        let is_group = |group: &str, n_digits: std::ops::RangeInclusive<usize>| {
            n_digits.contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (first, rest) = whole.split_once(mark)?;
        let mut from_last = rest.rsplit(mark);
        let are_groups = is_group(first.trim_start_matches(['-', '+']), 1..=3)
            && from_last.next().is_some_and(|last| is_group(last, 3..=3))
            && from_last.all(|group| is_group(group, 2..=3));
        are_groups.then(|| whole.replace(mark, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::{DateFormat, Zone};

    fn reading(decimal: char, thousands: Option<char>) -> Reading {
        let zone = Zone::parse("UTC").expect("a zone");
        let calendar = Calendar::new(DateFormat::Usual, zone);
        let truths = [vec!["ja".to_owned()], vec!["no".to_owned()]];
        Reading { decimal, thousands, missing: None, truths, calendar }
    }

    #[test]
    fn numbers_are_finite_or_refused() {
        let plain = reading('.', None);
        assert_eq!(plain.number(&Cell::Text(" 12.5 ")), Ok(Some(12.5)));
        assert_eq!(plain.number(&Cell::Text("NA")), Ok(None));
        assert_eq!(plain.number(&Cell::Number(f64::NAN)), Ok(None));
        for text in ["twelve", "inf", "1,5", "12.5.1"] {
            assert_eq!(plain.number(&Cell::Text(text)), Err(NotReadable), "{text}");
        }
        assert_eq!(plain.number(&Cell::Flag(true)), Err(NotReadable));
        assert_eq!(plain.share(&Cell::Flag(true)), Ok(Some(1.0)));
        assert_eq!(plain.share(&Cell::Text(" Ja")), Ok(Some(1.0)));
        assert_eq!(plain.share(&Cell::Text("No")), Ok(Some(0.0)));
        assert_eq!(plain.share(&Cell::Text("0.5")), Ok(Some(0.5)));
        assert_eq!(plain.share(&Cell::Text("perhaps")), Err(NotReadable));
    }

    #[test]
    fn decimal_commas() {
        let german = reading(',', Some('.'));
        assert_eq!(german.number(&Cell::Text("1.234,5")), Ok(Some(1234.5)));
        assert_eq!(reading(',', None).number(&Cell::Text("1.5")), Err(NotReadable));
        assert_eq!(reading('.', Some(',')).number(&Cell::Text("1,234.5")), Ok(Some(1234.5)));
    }

    #[test]
    fn marks_of_thousands_part_thousands() {
        let german = reading(',', Some('.'));
        for (text, number) in
            [("-1.234.567,25", -1_234_567.25), ("1.00.000", 100_000.0), ("12", 12.0), ("4,50", 4.5)]
        {
            assert_eq!(german.number(&Cell::Text(text)), Ok(Some(number)), "{text}");
        }
        for text in ["4.50", "1.5", "1234.567", ".123", "1..234", "1.234,5.0", "1.23", "a.123"] {
            assert_eq!(german.number(&Cell::Text(text)), Err(NotReadable), "{text}");
        }
        let swiss = reading('.', Some('\''));
        assert_eq!(swiss.number(&Cell::Text("1'234.50")), Ok(Some(1234.5)));
    }

    #[test]
    fn ids_from_float_columns_lose_the_point() {
        assert_eq!(Cell::Number(13085.0).text().as_deref(), Some("13085"));
        assert_eq!(reading('.', None).text(&Cell::Text("NA")).as_deref(), Some("NA"));
        assert_eq!(reading('.', None).text(&Cell::Text("  ")), None);
    }
}
