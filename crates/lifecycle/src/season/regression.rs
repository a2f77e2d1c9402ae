//! Weighted least squares with Huber weights, for a handful of columns.

/// Coefficients with their sampling variances.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) coefficients: Vec<f64>,
    pub(super) variances: Vec<f64>,
}

/// One row of a regression.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Number of the period, to tell neighbours.
    pub(super) period: i32,
    pub(super) columns: Vec<f64>,
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// Fits `value` on `columns`: residuals beyond twice their usual size count less (Huber 1964), and
/// variances allow for first-order autocorrelation. `None` where the columns do not tell apart.
pub(super) fn fit(rows: &[Row]) -> Option<Fit> {
    let n_columns = rows.first()?.columns.len();
    if rows.len() < n_columns + 4 {
        return None;
    }
    let mut weights: Vec<f64> = rows.iter().map(|row| row.weight).collect();
    let mut fitted = None;
    for _ in 0..4 {
        let inverse = inverse(&normal_matrix(rows, &weights, n_columns))?;
        let mut moments = vec![0.0; n_columns];
        for (row, weight) in rows.iter().zip(&weights) {
            for (moment, column) in moments.iter_mut().zip(&row.columns) {
                *moment += weight * column * row.value;
            }
        }
        let coefficients: Vec<f64> = inverse.iter().map(|line| product(line, &moments)).collect();
        let residuals: Vec<f64> =
            rows.iter().map(|row| row.value - product(&row.columns, &coefficients)).collect();
        let usual = usual_size(&residuals).max(1e-6);
        let inflation = spread(rows, &weights, &residuals, n_columns);
        let variances = (0..n_columns).map(|j| inverse[j][j] * inflation).collect();
        for ((weight, row), residual) in weights.iter_mut().zip(rows).zip(&residuals) {
            *weight = row.weight * (2.0 * usual / residual.abs().max(1e-12)).min(1.0);
        }
        fitted = Some(Fit { coefficients, variances });
    }
    fitted
}

fn normal_matrix(rows: &[Row], weights: &[f64], n_columns: usize) -> Vec<Vec<f64>> {
    let mut matrix = vec![vec![0.0; n_columns]; n_columns];
    for (row, weight) in rows.iter().zip(weights) {
        for (line, left) in matrix.iter_mut().zip(&row.columns) {
            for (cell, right) in line.iter_mut().zip(&row.columns) {
                *cell += weight * left * right;
            }
        }
    }
    matrix
}

/// Variance of a weighted residual, larger where neighbours resemble each other.
fn spread(rows: &[Row], weights: &[f64], residuals: &[f64], n_columns: usize) -> f64 {
    let squares: f64 = weights.iter().zip(residuals).map(|(weight, r)| weight * r * r).sum();
    let variance = squares / (rows.len() - n_columns) as f64;
    let (mut together, mut alone) = (0.0, 0.0);
    for step in 1..rows.len() {
        if rows[step].period == rows[step - 1].period + 1 {
            together += residuals[step] * residuals[step - 1];
            alone += residuals[step].powi(2);
        }
    }
    let correlation = if alone > 0.0 { (together / alone).clamp(0.0, 0.9) } else { 0.0 };
    variance * (1.0 + correlation) / (1.0 - correlation)
}

/// 1.4826 times the median absolute residual.
fn usual_size(residuals: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    1.4826 * sizes[sizes.len() / 2]
}

fn product(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The inverse of a symmetric positive definite matrix by Gauss-Jordan elimination.
fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let mut left = matrix.to_vec();
    let mut right: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for pivot in 0..n {
        let size = left[pivot][pivot];
        if size.abs() <= 1e-9 * matrix[pivot][pivot].abs() || !size.is_finite() {
            return None;
        }
        for line in [&mut left[pivot], &mut right[pivot]] {
            for cell in line.iter_mut() {
                *cell /= size;
            }
        }
        let (pivot_left, pivot_right) = (left[pivot].clone(), right[pivot].clone());
        for other in (0..n).filter(|other| *other != pivot) {
            let factor = left[other][pivot];
            for j in 0..n {
                left[other][j] -= factor * pivot_left[j];
                right[other][j] -= factor * pivot_right[j];
            }
        }
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_despite_an_outlier() {
        let rows: Vec<Row> = (0..40)
            .map(|period| {
                let x = f64::from(period);
                let noise = f64::from(period % 3) * 0.01;
                let value = if period == 20 { 90.0 } else { 1.0 + 0.5 * x + noise };
                Row { period, columns: vec![1.0, x], value, weight: 1.0 }
            })
            .collect();
        let fit = fit(&rows).expect("two columns tell apart");
        assert!((fit.coefficients[1] - 0.5).abs() < 0.01, "{fit:?}");
        let equal: Vec<Row> =
            rows.into_iter().map(|row| Row { columns: vec![1.0, 1.0], ..row }).collect();
        assert!(super::fit(&equal).is_none());
    }
}
