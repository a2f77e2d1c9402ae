//! Linear models by weighted least squares with a small penalty on the slopes (ridge; Hoerl &
//! Kennard 1970), which keeps inputs that go together from large slopes of opposite signs.

use nalgebra::{DMatrix, DVector};

/// Penalty on the square of a slope, as a share of the total weight.
const PENALTY: f64 = 1e-3;

/// An intercept and a slope for each input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    pub(super) intercept: f64,
    pub(super) slopes: Vec<f64>,
}

impl Linear {
    /// Fits targets to rows of inputs that have about the same spread. Shape of `rows`
    /// `[n, n_inputs]`.
    ///
    /// # Panics
    ///
    /// If there is no row.
    pub(super) fn fit(rows: &[Vec<f64>], targets: &[f64], weights: &[f64]) -> Self {
        let (n_inputs, total) = (rows[0].len(), weights.iter().sum::<f64>());
        let mean_of = |value: &dyn Fn(usize) -> f64| {
            weights.iter().enumerate().map(|(row, w)| w * value(row)).sum::<f64>() / total
        };
        let means: Vec<f64> = (0..n_inputs).map(|of| mean_of(&|row| rows[row][of])).collect();
        let mean = mean_of(&|row| targets[row]);
        let mut squares = DMatrix::<f64>::identity(n_inputs, n_inputs) * (PENALTY * total);
        let mut products = DVector::<f64>::zeros(n_inputs);
        for ((row, target), weight) in rows.iter().zip(targets).zip(weights) {
            let off = DVector::from_iterator(n_inputs, row.iter().zip(&means).map(|(x, m)| x - m));
            products.axpy(weight * (target - mean), &off, 1.0);
            squares.ger(*weight, &off, &off, 1.0);
        }
        // With the penalty it is positive definite.
        let slopes = squares.cholesky().map(|factor| factor.solve(&products));
        let slopes: Vec<f64> =
            slopes.map_or_else(|| vec![0.0; n_inputs], |slopes| slopes.iter().copied().collect());
        let said: f64 = slopes.iter().zip(&means).map(|(slope, mean)| slope * mean).sum();
        Self { intercept: mean - said, slopes }
    }

    /// What it says of a row of inputs.
    pub(super) fn said(&self, row: &[f64]) -> f64 {
        self.intercept + row.iter().zip(&self.slopes).map(|(x, slope)| x * slope).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_but_for_the_penalty() {
        let rows: Vec<Vec<f64>> =
            (0_u8..40).map(|n| vec![f64::from(n % 5) - 2.0, f64::from(n % 8) - 3.5]).collect();
        let targets: Vec<f64> = rows.iter().map(|row| 7.0 + 3.0 * row[0] - row[1]).collect();
        let fitted = Linear::fit(&rows, &targets, &vec![0.5; 40]);
        let expected = [3.0 / (1.0 + PENALTY / 2.0), -1.0 / (1.0 + PENALTY / 5.25)];
        for (slope, expected) in fitted.slopes.iter().zip(expected) {
            assert!((slope - expected).abs() < 1e-9, "{slope} is not {expected}");
        }
        assert!((fitted.said(&[0.0, 0.0]) - 7.0).abs() < 1e-2);
    }

    #[test]
    fn the_same_input_twice_shares_its_slope() {
        let rows: Vec<Vec<f64>> = (0_u8..9).map(|n| vec![f64::from(n) - 4.0; 2]).collect();
        let targets: Vec<f64> = rows.iter().map(|row| 2.0 * row[0]).collect();
        let Linear { slopes, .. } = Linear::fit(&rows, &targets, &[1.0; 9]);
        assert!((slopes[0] - slopes[1]).abs() < 1e-9);
        assert!((slopes[0] + slopes[1] - 2.0).abs() < 1e-2);
    }
}
