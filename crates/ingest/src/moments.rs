//! When something happened: a cell becomes a civil day and time of the mapping's time zone.
//!
//! Days and times without an offset are taken as local; instants (UTC, unix time, text with an
//! offset) are converted. Counted formats (day 17, week 3) start at a given day. The database of
//! named time zones changes between machines, so a zone is UTC, an offset, or a POSIX rule.

use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use lifecycle::{Day, Frequency, Invalid, Period};

use crate::cells::Cell;

const DAY_MICROS: i64 = 86_400_000_000;

/// Local civil time, in microseconds since 1970-01-01 00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    pub(crate) fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_MICROS).clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }

    fn start_of(day: Day) -> Self {
        Self(i64::from(day.0).saturating_mul(DAY_MICROS))
    }
}

/// Where the shop's day begins.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// `UTC`, an offset such as `+02:00`, or a POSIX rule such as `GMT0BST,M3.5.0/1,M10.5.0`.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        if text == "UTC" {
            return Ok(Self(TimeZone::UTC));
        }
        if let Some(minutes) = offset_minutes(text.as_bytes())
            && let Ok(offset) = Offset::from_seconds(minutes * 60)
        {
            return Ok(Self(offset.to_time_zone()));
        }
        TimeZone::posix(text).map(Self).map_err(|_| {
            Invalid::new(
                "time_zone",
                format!(
                    "`{text}` is not known; write UTC, an offset such as +02:00, or a POSIX rule \
                     such as GMT0BST,M3.5.0/1,M10.5.0 (London)"
                ),
            )
        })
    }

    fn local(&self, utc_micros: i64) -> Option<Moment> {
        let instant = Timestamp::from_microsecond(utc_micros).ok()?;
        let offset = i64::from(self.0.to_offset(instant).seconds());
        Some(Moment(utc_micros.checked_add(offset * 1_000_000)?))
    }
}

/// How dates are written in a table of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DateFormat {
    /// Typed dates, or ISO 8601 text: a day, a day and time, a month, an ISO week.
    Usual,
    /// A `strftime` pattern.
    Pattern(String),
    /// A number that counts periods; `number` stands for the one that holds, or starts on, `first`.
    Counted { unit: Frequency, first: Day, number: i64 },
    /// Such as 199801.
    YearMonth,
    /// Such as 201005, ISO weeks.
    YearWeek,
    /// Seconds (or their fraction, by `per_second`) since 1970 in UTC.
    Unix { per_second: i64 },
}

impl DateFormat {
    /// The keys of `dates` in a mapping.
    pub(crate) fn parse(
        format: Option<&str>,
        first: Option<&str>,
        number: i64,
    ) -> Result<Self, Invalid> {
        let counted = |unit| {
            let first = first.ok_or_else(|| {
                Invalid::new("dates.first", "a counted format needs the day it counts from")
            })?;
            let first = first
                .parse()
                .map_err(|error: Invalid| Invalid::new("dates.first", error.reason))?;
            Ok(Self::Counted { unit, first, number })
        };
        match format {
            None => Ok(Self::Usual),
            Some("day-number") => counted(Frequency::Day),
            Some("week-number") => counted(Frequency::Week),
            Some("month-number") => counted(Frequency::Month),
            Some("year-month") => Ok(Self::YearMonth),
            Some("year-week") => Ok(Self::YearWeek),
            Some("unix-seconds") => Ok(Self::Unix { per_second: 1 }),
            Some("unix-milliseconds") => Ok(Self::Unix { per_second: 1000 }),
            Some(pattern) if pattern.contains('%') => Ok(Self::Pattern(pattern.to_owned())),
            Some(other) => Err(Invalid::new(
                "dates.format",
                format!(
                    "`{other}` is neither a pattern such as %d/%m/%Y %H:%M nor one of day-number, \
                     week-number, month-number, year-month, year-week, unix-seconds, \
                     unix-milliseconds"
                ),
            )),
        }
    }
}

/// Reads dates of one table of files; remembers the last one, for neighbours often share theirs.
#[derive(Debug)]
pub(crate) struct Calendar {
    format: DateFormat,
    zone: Zone,
    last: Option<(String, Moment)>,
}

impl Calendar {
    pub(crate) fn new(format: DateFormat, zone: Zone) -> Self {
        Self { format, zone, last: None }
    }

    /// The moment a cell names, `None` where it cannot be read.
    pub(crate) fn moment(&mut self, cell: &Cell<'_>) -> Option<Moment> {
        match *cell {
            Cell::Day(day) => Some(Moment::start_of(Day(day))),
            Cell::Instant { micros, in_utc: false } => Some(Moment(micros)),
            Cell::Instant { micros, in_utc: true } => self.zone.local(micros),
            Cell::Integer(number) => self.counted(number),
            Cell::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                self.counted(number as i64)
            }
            Cell::Text(text) => self.text(text.trim()),
            _ => None,
        }
    }

    fn text(&mut self, text: &str) -> Option<Moment> {
        if let Some((last, moment)) = &self.last
            && last == text
        {
            return Some(*moment);
        }
        let moment = match &self.format {
            DateFormat::Usual => self.usual(text)?,
            DateFormat::Pattern(pattern) => self.by_pattern(pattern, text)?,
            _ => self.counted(text.parse().ok()?)?,
        };
        self.last = Some((text.to_owned(), moment));
        Some(moment)
    }

    fn counted(&self, count: i64) -> Option<Moment> {
        match self.format {
            DateFormat::Counted { unit, first, number } => {
                let passed = i32::try_from(count.checked_sub(number)?).ok()?;
                let days = match unit {
                    Frequency::Day => first.0.checked_add(passed)?,
                    Frequency::Week => first.0.checked_add(passed.checked_mul(7)?)?,
                    Frequency::Month => {
                        let month = unit.period_of(first).0.checked_add(passed)?;
                        unit.first_day(Period(month)).0
                    }
                };
                Some(Moment::start_of(Day(days)))
            }
            DateFormat::YearMonth => date_moment(count.div_euclid(100), count.rem_euclid(100), 1),
            DateFormat::YearWeek => week_moment(count.div_euclid(100), count.rem_euclid(100)),
            DateFormat::Unix { per_second } => {
                self.zone.local(count.checked_mul(1_000_000 / per_second)?)
            }
            DateFormat::Usual | DateFormat::Pattern(_) => None,
        }
    }

    fn by_pattern(&self, pattern: &str, text: &str) -> Option<Moment> {
        let parsed = strtime::parse(pattern, text).ok()?;
        if let Ok(instant) = parsed.to_timestamp() {
            return self.zone.local(instant.as_microsecond());
        }
        if let Ok(at) = parsed.to_datetime() {
            return Some(of_datetime(at));
        }
        // Only a pattern without a day names a month; a day that its month has not is no date.
        let date = match parsed.day() {
            Some(_) => parsed.to_date().ok()?,
            None => Date::new(parsed.year()?, parsed.month()?, 1).ok()?,
        };
        Some(Moment::start_of(Day::from(date)))
    }

    /// `2010-01-31`, `2010/01/31`, with a time after a space or `T`, with `Z` or an offset;
    /// `2010-01`; `2010-W05`.
    fn usual(&self, text: &str) -> Option<Moment> {
        let bytes = text.as_bytes();
        let year = digits(bytes.get(..4)?)?;
        let separator = *bytes.get(4)?;
        if separator != b'-' && separator != b'/' {
            return None;
        }
        if bytes.get(5) == Some(&b'W') {
            return week_moment(year, digits(bytes.get(6..)?)?);
        }
        let month = digits(bytes.get(5..7)?)?;
        if bytes.len() == 7 {
            return date_moment(year, month, 1);
        }
        if bytes[7] != separator {
            return None;
        }
        let day = date_moment(year, month, digits(bytes.get(8..10)?)?)?;
        match bytes.get(10) {
            None => Some(day),
            Some(b' ' | b'T') => self.with_time(day, &bytes[11..]),
            Some(_) => None,
        }
    }

    /// Adds `HH:MM[:SS[.f]]` and, if there is one, takes off the offset.
    fn with_time(&self, day: Moment, time: &[u8]) -> Option<Moment> {
        let (hour, minute) = (digits(time.get(..2)?)?, digits(time.get(3..5)?)?);
        if time[2] != b':' || hour > 23 || minute > 59 {
            return None;
        }
        let mut micros = (hour * 3600 + minute * 60) * 1_000_000;
        let mut rest = &time[5..];
        if rest.first() == Some(&b':') {
            let second = digits(rest.get(1..3)?)?;
            micros += second.min(60) * 1_000_000;
            rest = &rest[3..];
            if second > 60 {
                return None;
            }
        }
        if rest.first() == Some(&b'.') {
            let n_digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let shown = n_digits.min(6);
            let scale = 10_i64.pow(6 - shown as u32);
            micros += digits(&rest[1..=shown]).unwrap_or_default() * scale;
            rest = &rest[1 + n_digits..];
        }
        let local = Moment(day.0 + micros);
        match rest {
            [] => Some(local),
            b"Z" | b" UTC" => self.zone.local(local.0),
            offset => {
                let minutes = i64::from(offset_minutes(offset)?);
                self.zone.local(local.0 - minutes * 60_000_000)
            }
        }
    }
}

/// A number of at most 9 ASCII digits and nothing else.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 9 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| 10 * number + i64::from(byte - b'0')))
}

/// `+02:00`, `-0330` or `+02`, in minutes.
fn offset_minutes(text: &[u8]) -> Option<i32> {
    let sign = match text.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(text.get(1..3)?)?;
    let minutes = match &text[3..] {
        [] => 0,
        [b':', rest @ ..] | rest if rest.len() == 2 => digits(rest)?,
        _ => return None,
    };
    Some(sign * (hours * 60 + minutes) as i32)
}

fn date_moment(year: i64, month: i64, day: i64) -> Option<Moment> {
    let (year, month) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?);
    let date = Date::new(year, month, i8::try_from(day).ok()?).ok()?;
    Some(Moment::start_of(Day::from(date)))
}

fn week_moment(year: i64, week: i64) -> Option<Moment> {
    let (year, week) = (i16::try_from(year).ok()?, i8::try_from(week).ok()?);
    let monday = ISOWeekDate::new(year, week, Weekday::Monday).ok()?;
    Some(Moment::start_of(Day::from(monday.date())))
}

fn of_datetime(at: DateTime) -> Moment {
    let start = Moment::start_of(Day::from(at.date()));
    let since: SignedDuration =
        at.date().to_datetime(jiff::civil::Time::midnight()).duration_until(at);
    Moment(start.0 + since.as_micros() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(format: Option<&str>, zone: &str) -> Calendar {
        let format = DateFormat::parse(format, Some("2011-01-29"), 1).expect("a format");
        Calendar::new(format, Zone::parse(zone).expect("a zone"))
    }

    #[track_caller]
    fn check(format: Option<&str>, zone: &str, cell: Cell<'_>, expected: Option<&str>) {
        let moment = calendar(format, zone).moment(&cell);
        assert_eq!(moment.map(|moment| moment.day().to_string()).as_deref(), expected);
    }

    #[test]
    fn iso_text_is_read_without_a_format() {
        for text in ["2010-01-31", "2010/01/31", "2010-01-31T23:59:59.125", "2010-01-31 08:05"] {
            check(None, "UTC", Cell::Text(text), Some("2010-01-31"));
        }
        check(None, "UTC", Cell::Text("1998-02"), Some("1998-02-01"));
        check(None, "UTC", Cell::Text("2010-W05"), Some("2010-02-01"));
        for text in ["", "2010", "2010-13-01", "2010-02-30", "31.01.2010", "2010-01-31x", "nan"] {
            check(None, "UTC", Cell::Text(text), None);
        }
    }

    #[test]
    fn a_pattern_reads_no_day_that_is_none() {
        check(Some("%d.%m.%Y"), "UTC", Cell::Text("28.02.2023"), Some("2023-02-28"));
        check(Some("%b %Y"), "UTC", Cell::Text("Feb 2023"), Some("2023-02-01"));
        for text in ["31.02.2023", "29.02.2023", "31.04.2023", "00.03.2023", "45.13.2023"] {
            check(Some("%d.%m.%Y"), "UTC", Cell::Text(text), None);
        }
        check(Some("%m/%d/%Y %H:%M"), "UTC", Cell::Text("02/31/2023 08:00"), None);
    }

    #[test]
    fn counts_of_another_unit_never_panic() {
        for format in ["day-number", "week-number", "month-number", "unix-seconds", "year-week"] {
            for count in [1_700_000_000, 20_240_131, -141_680_917, i64::MAX, i64::MIN] {
                let moment = calendar(Some(format), "UTC").moment(&Cell::Integer(count));
                let _ = moment.map(Moment::day);
            }
        }
        for day in [i32::MIN, i32::MAX] {
            let moment = calendar(None, "UTC").moment(&Cell::Day(day)).expect("typed");
            assert_eq!(moment.day().0.signum(), day.signum());
        }
    }

    #[test]
    fn instants_fall_on_the_local_day() {
        check(None, "UTC", Cell::Text("2010-06-30T23:30:00Z"), Some("2010-06-30"));
        check(None, "+02:00", Cell::Text("2010-06-30T23:30:00Z"), Some("2010-07-01"));
        check(None, "UTC", Cell::Text("2010-07-01T00:30:00+0200"), Some("2010-06-30"));
        let london = "GMT0BST,M3.5.0/1,M10.5.0";
        check(None, london, Cell::Text("2010-06-30T23:30:00Z"), Some("2010-07-01"));
        check(None, london, Cell::Text("2010-01-30T23:30:00Z"), Some("2010-01-30"));
        check(None, "+02:00", Cell::Text("2010-06-30 23:30:00"), Some("2010-06-30"));
        assert!(Zone::parse("Mars/Olympus").is_err());
    }

    #[test]
    fn other_formats() {
        check(Some("%d.%m.%Y"), "UTC", Cell::Text("31.01.2010"), Some("2010-01-31"));
        check(Some("%m/%d/%Y %H:%M"), "UTC", Cell::Text("12/1/2010 8:26"), Some("2010-12-01"));
        check(Some("%b %Y"), "UTC", Cell::Text("Feb 2010"), Some("2010-02-01"));
        check(Some("day-number"), "UTC", Cell::Text("3"), Some("2011-01-31"));
        check(Some("week-number"), "UTC", Cell::Integer(2), Some("2011-02-05"));
        check(Some("month-number"), "UTC", Cell::Integer(13), Some("2012-01-01"));
        check(Some("year-month"), "UTC", Cell::Integer(199_803), Some("1998-03-01"));
        check(Some("year-week"), "UTC", Cell::Integer(201_005), Some("2010-02-01"));
        check(Some("unix-seconds"), "UTC", Cell::Integer(86_400), Some("1970-01-02"));
        check(None, "UTC", Cell::Integer(20_100_105), None);
        assert!(DateFormat::parse(Some("sometimes"), None, 0).is_err());
        assert!(DateFormat::parse(Some("day-number"), None, 0).is_err());
    }

    #[test]
    fn the_time_of_day_is_kept() {
        let moment = calendar(None, "UTC").moment(&Cell::Text("1970-01-01 00:00:01.5"));
        assert_eq!(moment, Some(Moment(1_500_000)));
        let moment =
            calendar(Some("%Y-%m-%d %H:%M:%S"), "UTC").moment(&Cell::Text("1970-01-02 00:00:01"));
        assert_eq!(moment, Some(Moment(DAY_MICROS + 1_000_000)));
    }
}
