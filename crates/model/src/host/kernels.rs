//! Products, layers and activations on slices of 32-bit numbers, forward and backward.
//!
//! All matrices are row-major. Loops are written so that the compiler makes vector instructions of
//! them; sums have one order, whatever the number of threads.

use std::ops::Range;

use crate::weights::Layout;

/// Rows of a product that are summed together: a number of the right matrix is read once for all.
pub(super) const TILE: usize = 8;

/// Columns of a product that are summed in registers.
const LANES: usize = 16;

/// The left matrix of a product: number `(i, k)` stands at `i * row + k * column`.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) n_rows: usize,
}

impl<'a> View<'a> {
    /// A matrix of rows of this length.
    pub(super) fn rows(numbers: &'a [f32], length: usize) -> Self {
        Self { numbers, row: length, column: 1, n_rows: numbers.len() / length }
    }

    /// The same, turned: its rows are the columns.
    pub(super) fn columns(numbers: &'a [f32], length: usize) -> Self {
        Self { numbers, row: 1, column: length, n_rows: length }
    }
}

/// Adds `left` times `right`, of rows of `n_columns`, to the rows of `out`, which begin every
/// `out_row`.
pub(super) fn add_product(
    left: View<'_>,
    (right, n_columns): (&[f32], usize),
    out: &mut [f32],
    out_row: usize,
) {
    let (right, width) = padded(right, n_columns);
    let mut tile = vec![[0.0_f32; TILE]; right.len() / width];
    for first in (0..left.n_rows).step_by(TILE) {
        let n_rows = TILE.min(left.n_rows - first);
        for (k, packed) in tile.iter_mut().enumerate() {
            for (row, factor) in packed.iter_mut().take(n_rows).enumerate() {
                *factor = left.numbers[(first + row) * left.row + k * left.column];
            }
        }
        for from in (0..n_columns).step_by(LANES) {
            let sums = sums(&tile, &right, (from, width));
            let n_lanes = LANES.min(n_columns - from);
            for (row, sums) in sums.iter().take(n_rows).enumerate() {
                let out = &mut out[(first + row) * out_row + from..][..n_lanes];
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            }
        }
    }
}

/// A tile's products with some columns of the right matrix.
///
/// Sums have names because the compiler keeps those in registers: trainings are three times as fast as
/// with sums that are rows of one array.
#[inline]
fn sums(
    tile: &[[f32; TILE]],
    right: &[f32],
    (from, width): (usize, usize),
) -> [[f32; LANES]; TILE] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = [[0.0; LANES]; TILE];
    for (factors, right) in tile.iter().zip(right.chunks_exact(width)) {
        let Some(lane) = right[from..].first_chunk() else { continue };
        let lane = *lane;
        add_scaled(&mut a, factors[0], &lane);
        add_scaled(&mut b, factors[1], &lane);
        add_scaled(&mut c, factors[2], &lane);
        add_scaled(&mut d, factors[3], &lane);
        add_scaled(&mut e, factors[4], &lane);
        add_scaled(&mut f, factors[5], &lane);
        add_scaled(&mut g, factors[6], &lane);
        add_scaled(&mut h, factors[7], &lane);
    }
    [a, b, c, d, e, f, g, h]
}

#[inline]
fn add_scaled(sum: &mut [f32; LANES], factor: f32, lane: &[f32; LANES]) {
    for (sum, value) in sum.iter_mut().zip(lane) {
        *sum = factor.mul_add(*value, *sum);
    }
}

/// Rows as long as whole lanes, filled with zeros.
fn padded(right: &[f32], n_columns: usize) -> (std::borrow::Cow<'_, [f32]>, usize) {
    let width = n_columns.next_multiple_of(LANES);
    if width == n_columns {
        return (right.into(), width);
    }
    let mut padded = vec![0.0; right.len() / n_columns * width];
    for (padded, row) in padded.chunks_exact_mut(width).zip(right.chunks_exact(n_columns)) {
        padded[..n_columns].copy_from_slice(row);
    }
    (padded.into(), width)
}

/// A matrix of rows of this length with its columns as rows.
pub(super) fn transposed(matrix: &[f32], n_columns: usize) -> Vec<f32> {
    let column = |column: usize| matrix.iter().skip(column).step_by(n_columns).copied();
    (0..n_columns).flat_map(column).collect()
}

/// Where an affine layer's parameters stand in the flat vector.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    weight: Range<usize>,
    bias: Range<usize>,
    n_in: usize,
    n_out: usize,
}

impl Affine {
    /// The layer at this path.
    pub(super) fn at(layout: &Layout, path: &str) -> Self {
        let (weight, shape) = place(layout, &format!("{path}.weight"));
        let (bias, _) = place(layout, &format!("{path}.bias"));
        Self { weight, bias, n_in: shape[0], n_out: shape[1] }
    }

    /// Rows of inputs to rows of outputs.
    pub(super) fn forward(&self, weights: &[f32], inputs: &[f32]) -> Vec<f32> {
        let mut outputs = weights[self.bias.clone()].repeat(inputs.len() / self.n_in);
        let right = (&weights[self.weight.clone()], self.n_out);
        add_product(View::rows(inputs, self.n_in), right, &mut outputs, self.n_out);
        outputs
    }

    /// Adds the slopes of the parameters, from those of the outputs.
    pub(super) fn learn(&self, inputs: &[f32], of_outputs: &[f32], gradient: &mut [f32]) {
        let left = View::columns(inputs, self.n_in);
        let of_weight = &mut gradient[self.weight.clone()];
        add_product(left, (of_outputs, self.n_out), of_weight, self.n_out);
        add_rows(of_outputs, &mut gradient[self.bias.clone()]);
    }

    /// The slopes of the inputs, from those of the outputs.
    pub(super) fn backward(&self, weights: &[f32], of_outputs: &[f32]) -> Vec<f32> {
        let turned = transposed(&weights[self.weight.clone()], self.n_out);
        let mut of_inputs = vec![0.0; of_outputs.len() / self.n_out * self.n_in];
        let left = View::rows(of_outputs, self.n_out);
        add_product(left, (&turned, self.n_in), &mut of_inputs, self.n_in);
        of_inputs
    }
}

/// A parameter's place in the flat vector, and its shape.
pub(super) fn place<'a>(layout: &'a Layout, path: &str) -> (Range<usize>, &'a [usize]) {
    let found = layout.places().find(|(other, ..)| *other == path);
    let (_, shape, range) = found.expect("the layout is a recurrent network's");
    (range, shape)
}

/// Where the scale of a norm stands: division by the root of the mean square, times a scale.
#[derive(Debug, Clone)]
pub(super) struct Scale(Range<usize>);

/// What a norm's gradient needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normed {
    inputs: Vec<f32>,
    /// One over the root of the mean square of each row.
    roots: Vec<f32>,
    /// Shape as the inputs.
    pub(super) outputs: Vec<f32>,
}

impl Scale {
    /// The norm at this path.
    pub(super) fn at(layout: &Layout, path: &str) -> Self {
        Self(place(layout, &format!("{path}.scale")).0)
    }

    /// Norms rows as long as the scale.
    pub(super) fn forward(&self, weights: &[f32], inputs: Vec<f32>) -> Normed {
        let scale = &weights[self.0.clone()];
        let mut outputs = inputs.clone();
        let roots = outputs.chunks_exact_mut(scale.len()).map(|row| {
            let square = dot(row, row) / scale.len() as f32;
            let root = (square + 1e-5).sqrt().recip();
            row.iter_mut().zip(scale).for_each(|(value, scale)| *value *= root * scale);
            root
        });
        let roots = roots.collect();
        Normed { inputs, roots, outputs }
    }

    /// Adds the slopes of the scale; the slopes of the inputs.
    pub(super) fn backward(
        &self,
        weights: &[f32],
        normed: &Normed,
        mut slopes: Vec<f32>,
        gradient: &mut [f32],
    ) -> Vec<f32> {
        let (scale, of_scale) = (&weights[self.0.clone()], &mut gradient[self.0.clone()]);
        let width = scale.len();
        let rows = normed.inputs.chunks_exact(width).zip(&normed.roots);
        for (slopes, (inputs, root)) in slopes.chunks_exact_mut(width).zip(rows) {
            for ((slope, of_scale), (input, scale)) in
                slopes.iter_mut().zip(&mut *of_scale).zip(inputs.iter().zip(scale))
            {
                *of_scale += *slope * input * root;
                *slope *= scale;
            }
            let along = dot(slopes, inputs) * root * root * root / width as f32;
            for (slope, input) in slopes.iter_mut().zip(inputs) {
                *slope = *slope * root - input * along;
            }
        }
        slopes
    }
}

/// The sum of products, in lanes.
fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let rest = (left.chunks_exact(LANES).remainder(), right.chunks_exact(LANES).remainder());
    for (left, right) in left.chunks_exact(LANES).zip(right.chunks_exact(LANES)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum = left.mul_add(*right, *sum);
        }
    }
    let rest = rest.0.iter().zip(rest.1).map(|(left, right)| left * right);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// The first `n` numbers of each row of this length.
pub(super) fn firsts(rows: &[f32], length: usize, n: usize) -> Vec<f32> {
    rows.chunks_exact(length).flat_map(|row| &row[..n]).copied().collect()
}

/// Rows of the one with the rows of the other behind them; lengths of both kinds of rows.
pub(super) fn beside((one, n_one): (&[f32], usize), (other, n_other): (&[f32], usize)) -> Vec<f32> {
    let mut rows = Vec::with_capacity(one.len() + other.len());
    for (one, other) in one.chunks_exact(n_one).zip(other.chunks_exact(n_other)) {
        rows.extend_from_slice(one);
        rows.extend_from_slice(other);
    }
    rows
}

/// Adds each row to `sum`.
pub(super) fn add_rows(rows: &[f32], sum: &mut [f32]) {
    for row in rows.chunks_exact(sum.len()) {
        add(sum, row);
    }
}

/// Adds number by number.
pub(super) fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Multiplies number by number.
pub(super) fn scale(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

/// x times the logistic function of x.
pub(super) fn silu(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| value * logistic(*value)).collect()
}

/// Slopes of the inputs of [`silu`], from those of its outputs.
pub(super) fn through_silu(slopes: &mut [f32], inputs: &[f32]) {
    for (slope, input) in slopes.iter_mut().zip(inputs) {
        let open = logistic(*input);
        *slope *= open * (1.0 + input * (1.0 - open));
    }
}

#[inline]
pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent within 2e-7.
#[inline]
pub(super) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The exponential function within 2e-7 of itself, without a branch, so that loops over it become
/// vector instructions: 2^n by the exponent's bits times a polynomial of the rest (Cephes).
#[inline]
fn exp(x: f32) -> f32 {
    /// Adding and taking away this rounds to the nearest whole number, in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first exact.
    let rest = n.mul_add(-0.693_359_4, x);
    let rest = n.mul_add(2.121_944_4e-4, rest);
    let mut series = 1.987_569_1e-4;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        series = rest.mul_add(series, factor);
    }
    let series = (rest * rest).mul_add(series, rest) + 1.0;
    // The whole number stands in the lowest bits of `shifted`; 127 is the exponent of 1.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    series * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_tanh_are_themselves() {
        for at in -1000_i16..=1000 {
            let x = f32::from(at) * 0.02;
            assert!((exp(x) / x.exp() - 1.0).abs() < 2e-7, "{x}");
            assert!((tanh(x) - x.tanh()).abs() < 2e-7, "{x}");
        }
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
        assert_eq!((tanh(1e9), tanh(-1e9)), (1.0, -1.0));
    }

    #[test]
    fn products_are_those_of_the_definition_at_any_size() {
        for (n_rows, n_inner, n_columns) in [(1, 1, 1), (8, 3, 16), (11, 5, 19), (3, 40, 33)] {
            let numbers = |n: usize, step: usize| -> Vec<f32> {
                (0..n).map(|at| ((at * step) % 13) as f32 - 6.0).collect()
            };
            let (left, right) = (numbers(n_rows * n_inner, 7), numbers(n_inner * n_columns, 5));
            let mut right_sums = Vec::new();
            for row in left.chunks(n_inner) {
                for column in 0..n_columns {
                    let terms =
                        row.iter().enumerate().map(|(k, x)| x * right[k * n_columns + column]);
                    right_sums.push(1.0 + terms.sum::<f32>());
                }
            }
            let mut out = vec![1.0; n_rows * n_columns];
            add_product(View::rows(&left, n_inner), (&right, n_columns), &mut out, n_columns);
            assert_eq!(out, right_sums);
            let turned = transposed(&left, n_inner);
            let mut out = vec![1.0; n_rows * n_columns];
            add_product(View::columns(&turned, n_rows), (&right, n_columns), &mut out, n_columns);
            assert_eq!(out, right_sums);
        }
    }
}
