//! Numbers as people read them, and as few digits as a chart needs.

/// Four significant digits: a chart shows no more, and a page of JSON is half as long.
pub(crate) fn short(value: f32) -> f32 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let value = f64::from(value);
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    ((value * scale).round() / scale) as f32
}

/// A whole number with a comma between thousands.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("-{text}") } else { text }
}

/// A count.
pub(crate) fn count(n: usize) -> String {
    grouped(n as f64)
}

/// Units: whole above ten, else with one digit.
pub(crate) fn units(value: f64) -> String {
    if value.abs() >= 10.0 || value.fract() == 0.0 { grouped(value) } else { format!("{value:.1}") }
}

/// Three significant digits, without an exponent.
pub(crate) fn score(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits =
        if value == 0.0 { 3 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 4) };
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_three_significant_digits() {
        let texts: Vec<String> = [0.0, 0.01234, 0.1234, 1.234, 123.4].map(score).to_vec();
        assert_eq!(texts, ["0.000", "0.0123", "0.123", "1.23", "123"]);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!([0.0, 0.123_456, 12_345.6, -7.0].map(short), [0.0, 0.1235, 12350.0, -7.0]);
        assert!(short(f32::NAN).is_nan());
        let texts = [0.0, 999.4, 1234.0, 1_234_567.0, -1234.0].map(grouped);
        assert_eq!(texts, ["0", "999", "1,234", "1,234,567", "-1,234"]);
        assert_eq!([0.25, 3.0, 12.4].map(units), ["0.2", "3", "12"]);
    }
}
