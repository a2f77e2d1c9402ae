//! The quantile of Student's t distribution that 95 % intervals are made with.

/// The quantile .975 (Cornish-Fisher; Abramowitz & Stegun 1964, 26.7.5), within .5 %; with less
/// than one degree of freedom that of one.
pub(crate) fn student_quantile(freedom: usize) -> f64 {
    let (z, n) = (super::NORMAL_QUANTILE, freedom as f64);
    match freedom {
        0 | 1 => 12.706,
        2 => 4.303,
        3 => 3.182,
        _ => {
            let first = (z.powi(3) + z) / 4.0;
            let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
            let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
            z + first / n + second / n.powi(2) + third / n.powi(3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, quantile) in [(1, 12.706), (4, 2.776), (9, 2.262), (19, 2.093), (99, 1.984)] {
            assert!((student_quantile(freedom) / quantile - 1.0).abs() < 0.005, "{freedom}");
        }
    }
}
