//! Logarithm and exponential in plain arithmetic: the compiler can vectorise them, and they give
//! the same bytes on every machine, whatever its mathematics library.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// Natural logarithm of a normal positive number, within 1e-14 of the true one for numbers near 1
/// and to a relative 1e-15 else.
#[inline]
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    // Between 1/sqrt(2) and sqrt(2), where the series converges fast.
    let is_large = mantissa > SQRT_2;
    let mantissa = if is_large { 0.5 * mantissa } else { mantissa };
    let exponent = f64::from(exponent) + if is_large { 1.0 } else { 0.0 };
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let t = s * s;
    let mut series = 0.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * t + 1.0 / odd;
    }
    exponent * LN_2 + 2.0 * s * series
}

/// Exponential of a number between -700 and 700, to a relative 1e-15 or so.
#[inline]
pub(super) fn exp(x: f64) -> f64 {
    // Adding and taking away 1.5 * 2^52 rounds to the nearest integer.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = x * LOG2_E + ROUND;
    let powers = shifted - ROUND;
    let rest = x - powers * LN_2;
    let mut series = 1.0;
    for n in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        series = 1.0 + rest * (1.0 / n) * series;
    }
    // The low bits of the shifted number are the integer itself.
    series * f64::from_bits((shifted.to_bits().wrapping_add(1023)) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_library() {
        for step in -7000..7000 {
            let x = f64::from(step) * 0.0937;
            let relative = exp(x) / x.exp() - 1.0;
            assert!(relative.abs() < 2e-13, "exp({x}): {relative}");
            let y = 1e-6 * f64::from(step + 7001) * f64::from(step + 7001);
            assert!((ln(y) - y.ln()).abs() < 1e-13 * (1.0 + y.ln().abs()), "ln({y})");
        }
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
    }
}
