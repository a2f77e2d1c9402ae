//! Reading single fields of messages: limits, and the path that an error names.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use lifecycle::{Day, Digest, Invalid};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Most series, histories or items in one request.
pub(crate) const BATCH_MAX: usize = 256;

/// Most bytes of an id, a brand or a level of a category.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// Most of any amount: units, prices, costs. What is computed from it stays far from overflow.
pub(crate) const AMOUNT_MAX: f64 = 1e12;

/// Most bytes of each text in a status: all travel in headers, whose length clients limit.
const STATUS_BYTES_MAX: usize = 1500;

/// Days from 1900-01-01 to 2199-12-31: no calendar arithmetic on them can overflow.
const DAYS: RangeInclusive<i32> = -25_567..=84_005;

/// The status that a malformed message is answered with: `INVALID_ARGUMENT`, the field as a
/// `BadRequest` violation. Long texts are cut.
pub fn invalid_argument(invalid: Invalid) -> Status {
    let message = cut(invalid.to_string());
    let Invalid { field, reason } = invalid;
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation(cut(field), cut(reason)).set_error_info(
        "INVALID_FIELD",
        "lifecast",
        [] as [(String, String); 0],
    );
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// The text, or its beginning where it is too long for a status.
fn cut(mut text: String) -> String {
    const MORE: &str = "...";
    if text.len() > STATUS_BYTES_MAX {
        text.truncate(text.floor_char_boundary(STATUS_BYTES_MAX - MORE.len()));
        text.push_str(MORE);
    }
    text
}

/// Puts a field's path before that of the error inside it.
pub(crate) fn at(field: impl Into<String>) -> impl FnOnce(Invalid) -> Invalid {
    move |Invalid { field: inner, reason }| {
        let outer = field.into();
        let path = if inner.is_empty() { outer } else { format!("{outer}.{inner}") };
        Invalid { field: path, reason }
    }
}

/// A message that must be there.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is required"))
}

/// A digest that must be there.
pub(crate) fn digest(field: &str, text: &str) -> Result<Digest, Invalid> {
    text.parse().map_err(|Invalid { field: _, reason }| Invalid { field: field.into(), reason })
}

/// A digest, or empty for none.
pub(crate) fn optional_digest(field: &str, text: &str) -> Result<Option<Digest>, Invalid> {
    if text.is_empty() { Ok(None) } else { digest(field, text).map(Some) }
}

/// An optional digest as text.
pub(crate) fn digest_text(digest: Option<Digest>) -> String {
    digest.map(|digest| digest.to_string()).unwrap_or_default()
}

/// A day between 1900 and 2199.
pub(crate) fn day(field: &str, day: i32) -> Result<Day, Invalid> {
    if !DAYS.contains(&day) {
        return Err(Invalid::new(field, "must lie between 1900-01-01 and 2199-12-31"));
    }
    Ok(Day(day))
}

/// A day that may be unset.
pub(crate) fn optional_day(field: &str, value: Option<i32>) -> Result<Option<Day>, Invalid> {
    value.map(|value| day(field, value)).transpose()
}

/// A text of at most `bytes_max` bytes.
pub(crate) fn text(field: &str, text: String, bytes_max: usize) -> Result<String, Invalid> {
    if text.len() > bytes_max {
        return Err(Invalid::new(field, format!("must have at most {bytes_max} bytes")));
    }
    Ok(text)
}

/// A text of 1 to `bytes_max` bytes.
pub(crate) fn required_text(
    field: &str,
    value: String,
    bytes_max: usize,
) -> Result<String, Invalid> {
    if value.is_empty() {
        return Err(Invalid::new(field, "must not be empty"));
    }
    text(field, value, bytes_max)
}

/// A text, or empty for none.
pub(crate) fn optional_text(
    field: &str,
    value: String,
    bytes_max: usize,
) -> Result<Option<String>, Invalid> {
    Ok(Some(text(field, value, bytes_max)?).filter(|text| !text.is_empty()))
}

/// A number that is finite and not negative.
pub(crate) fn amount(field: &str, value: f64) -> Result<f64, Invalid> {
    if !value.is_finite() || value < 0.0 {
        return Err(Invalid::new(field, "must be finite and not negative"));
    }
    Ok(value)
}

/// A number within limits.
pub(crate) fn within(field: &str, value: f64, limits: RangeInclusive<f64>) -> Result<f64, Invalid> {
    if limits.contains(&value) {
        return Ok(value);
    }
    let (least, most) = limits.into_inner();
    Err(Invalid::new(field, format!("is {value:?}; must be {least} to {most}")))
}

/// A number that is finite.
pub(crate) fn finite(field: &str, value: f64) -> Result<f64, Invalid> {
    if !value.is_finite() {
        return Err(Invalid::new(field, "must be finite"));
    }
    Ok(value)
}

/// Checks that a list has a length within limits.
pub(crate) fn length<T>(
    field: &str,
    values: &[T],
    limits: RangeInclusive<usize>,
) -> Result<(), Invalid> {
    if limits.contains(&values.len()) {
        return Ok(());
    }
    let (least, most) = limits.into_inner();
    Err(Invalid::new(field, format!("must have {least} to {most} entries, has {}", values.len())))
}

/// Maps each entry of a list; an error names the entry.
pub(crate) fn each<T, U>(
    field: &str,
    values: Vec<T>,
    map: impl Fn(T) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| map(value).map_err(at(format!("{field}[{index}]"))))
        .collect()
}

/// Checks that no two entries of a list have the same key.
pub(crate) fn distinct<'a, T, K: Ord>(
    field: &str,
    values: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    match values.iter().position(|value| !seen.insert(key(value))) {
        None => Ok(()),
        Some(index) => Err(Invalid::new(format!("{field}[{index}]"), "is repeated")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_field_becomes_a_violation() {
        let invalid = at("histories[3]")(Invalid::new("units", "must not be empty"));
        let status = invalid_argument(invalid);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "histories[3].units: must not be empty");
        let violations = status.get_details_bad_request().expect("details").field_violations;
        assert_eq!(violations[0].field, "histories[3].units");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let status = invalid_argument(Invalid::new("config_toml", "ü".repeat(100_000)));
        let [violation] = &status.get_details_bad_request().expect("details").field_violations[..]
        else {
            panic!("not one violation")
        };
        for text in [status.message(), &violation.description] {
            assert!(text.ends_with("ü...") && text.len() <= STATUS_BYTES_MAX, "{}", text.len());
            assert!(text.len() > STATUS_BYTES_MAX - 4, "{}", text.len());
        }
    }

    #[test]
    fn repeated_entries_are_found() {
        assert!(distinct("series", &[1, 2, 3], |n| *n).is_ok());
        let error = distinct("series", &[1, 2, 1], |n| *n).expect_err("1 is repeated");
        assert_eq!(error.to_string(), "series[2]: is repeated");
    }
}
