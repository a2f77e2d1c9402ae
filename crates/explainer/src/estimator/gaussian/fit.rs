//! The prior's parameters by marginal likelihood, all outputs together.
//!
//! Each output has its own scale, which is set to its best (profiled out); the rest is shared. The
//! slope by all variances of terms is one Walsh-Hadamard transform of the slope by covariances.

use nalgebra::{Cholesky, DMatrix, Dyn};

use super::prior::{Kernel, Prior};
use crate::estimator::pairs::Seen;
use crate::estimator::walsh;

/// Steps at most of one fit; the next one goes on from there.
const STEPS_MAX: usize = 12;

/// A fit whose step gains less than this is over.
const GAIN_LEAST: f64 = 1e-3;

/// The covariance matrix of what was seen. Shape `[n_pairs, n_pairs]`.
pub(crate) fn covariance(kernel: &Kernel, seen: &Seen) -> DMatrix<f64> {
    let n_pairs = seen.pairs.len();
    DMatrix::from_fn(n_pairs, n_pairs, |row, column| {
        let nugget = if row == column { kernel.nugget() } else { 0.0 };
        kernel.at(seen.pairs[row], seen.pairs[column]) + nugget
    })
}

/// The factor of the covariance matrix; where rounding makes that indefinite, with more on its
/// diagonal.
pub(crate) fn factor(kernel: &Kernel, seen: &Seen) -> Cholesky<f64, Dyn> {
    let mut covariance = covariance(kernel, seen);
    let mut more = kernel.nugget();
    loop {
        if let Some(factor) = covariance.clone().cholesky() {
            return factor;
        }
        // It ends: once the diagonal dominates there is a factor.
        more *= 10.0;
        assert!(more.is_finite(), "covariances are finite");
        for pair in 0..covariance.nrows() {
            covariance[(pair, pair)] += more;
        }
    }
}

/// Odd parts of the outputs that vary by more than rounding. Shape `[n_pairs, n_varying]`.
pub(crate) fn varying(seen: &Seen) -> DMatrix<f64> {
    let varies = |(odd, base): &(&Vec<f64>, &f64)| {
        let least = f64::EPSILON.sqrt() * base.abs();
        odd.iter().any(|odd| odd.abs() > least)
    };
    let outputs: Vec<&Vec<f64>> =
        seen.odd.iter().zip(&seen.base_values).filter(varies).map(|(odd, _)| odd).collect();
    DMatrix::from_fn(seen.pairs.len(), outputs.len(), |pair, output| outputs[output][pair])
}

/// Improves the prior by what was seen.
pub(crate) fn fit(prior: &Prior, seen: &Seen) -> Prior {
    let odd = varying(seen);
    if odd.ncols() == 0 {
        return prior.clone();
    }
    let parameters = minimum(prior.parameters.clone(), |parameters| {
        loss(&Prior { parameters: parameters.to_vec() }, seen, &odd)
    });
    Prior { parameters }
}

/// Negative logarithm of the posterior of the parameters, a mean over outputs, and its slope;
/// nothing where the covariance is no such.
fn loss(prior: &Prior, seen: &Seen, odd: &DMatrix<f64>) -> Option<(f64, Vec<f64>)> {
    let variances = prior.variances();
    let kernel = Kernel::new(&variances);
    let factor = covariance(&kernel, seen).cholesky()?;
    let (n_pairs, n_outputs) = (odd.nrows(), odd.ncols());
    let weights = factor.solve(odd);
    let inverse = factor.inverse();
    // The best scale of each output, times the number of pairs.
    let fits: Vec<f64> = (0..n_outputs)
        .map(|output| (0..n_pairs).map(|pair| odd[(pair, output)] * weights[(pair, output)]).sum())
        .collect();
    let log_determinant: f64 = (0..n_pairs).map(|pair| factor.l_dirty()[(pair, pair)].ln()).sum();
    let log_scales: f64 = fits.iter().map(|fit: &f64| (fit / n_pairs as f64).ln()).sum();
    let (surprise, mut slopes) = prior.surprise();
    let loss = n_pairs as f64 / 2.0 * log_scales / n_outputs as f64 + log_determinant + surprise;

    let scaled = DMatrix::from_fn(n_pairs, n_outputs, |pair, output| {
        weights[(pair, output)] * (n_pairs as f64 / fits[output] / n_outputs as f64).sqrt()
    });
    let explained = &scaled * scaled.transpose();
    let mut by_term = vec![0.0; variances.len()];
    for column in 0..n_pairs {
        for row in 0..n_pairs {
            let slope = (inverse[(row, column)] - explained[(row, column)]) / 2.0;
            by_term[seen.pairs[row] ^ seen.pairs[column]] += slope;
        }
    }
    walsh::transform(&mut by_term);
    for (slope, variance) in by_term.iter_mut().zip(&variances) {
        *slope *= variance;
    }
    for (slope, of_data) in slopes.iter_mut().zip(prior.slopes(&by_term)) {
        *slope += of_data;
    }
    loss.is_finite().then_some((loss, slopes))
}

/// A local minimum from `at`, by quasi-Newton steps (BFGS; Nocedal & Wright 2006, chapter 6) with
/// backtracking. `at` itself where the function is not defined there.
fn minimum(mut at: Vec<f64>, function: impl Fn(&[f64]) -> Option<(f64, Vec<f64>)>) -> Vec<f64> {
    let n = at.len();
    let Some((mut value, mut slope)) = function(&at) else { return at };
    let mut inverse = DMatrix::identity(n, n) / norm(&slope).max(1.0);
    for _ in 0..STEPS_MAX {
        let mut step: Vec<f64> =
            (0..n).map(|i| -(0..n).map(|j| inverse[(i, j)] * slope[j]).sum::<f64>()).collect();
        // No parameter moves further than this at once.
        let longest = step.iter().fold(0.0_f64, |most, step| most.max(step.abs()));
        let mut length = 1.0 / longest.max(1.0);
        let descent = dot(&step, &slope);
        let found = loop {
            let next: Vec<f64> =
                at.iter().zip(&step).map(|(at, step)| at + length * step).collect();
            match function(&next) {
                Some(found) if found.0 <= value + 1e-4 * length * descent => {
                    break Some((next, found));
                }
                _ if length < 1e-3 => break None,
                _ => length /= 3.0,
            }
        };
        let Some((next, (next_value, next_slope))) = found else { break };
        let gain = value - next_value;
        for step in &mut step {
            *step *= length;
        }
        let change: Vec<f64> =
            next_slope.iter().zip(&slope).map(|(next, now)| next - now).collect();
        update(&mut inverse, &step, &change);
        (at, value, slope) = (next, next_value, next_slope);
        if gain < GAIN_LEAST {
            break;
        }
    }
    at
}

/// The inverse Hessian after a step that changed the slope so.
fn update(inverse: &mut DMatrix<f64>, step: &[f64], change: &[f64]) {
    let curvature = dot(step, change);
    if curvature <= 1e-10 * norm(step) * norm(change) {
        return;
    }
    let n = step.len();
    let moved: Vec<f64> =
        (0..n).map(|i| (0..n).map(|j| inverse[(i, j)] * change[j]).sum()).collect();
    let factor = (1.0 + dot(change, &moved) / curvature) / curvature;
    *inverse += DMatrix::from_fn(n, n, |i, j| {
        factor * step[i] * step[j] - (moved[i] * step[j] + step[i] * moved[j]) / curvature
    });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimator::pairs::members;

    /// The first eleven pairs of a curved game of five players, two outputs.
    fn seen() -> Seen {
        let mut seen = Seen::new(5);
        let pairs: Vec<usize> = (0..11).collect();
        let coalitions = pairs.iter().flat_map(|pair| members(5, *pair));
        let row = |present: Vec<bool>| {
            let sum: f64 = (1_u8..)
                .zip(&present)
                .filter(|(_, is_in)| **is_in)
                .map(|(at, _)| f64::from(at))
                .sum();
            vec![(sum / 3.0).tanh(), (sum / 4.0).sin(), 7.0]
        };
        seen.add(&pairs, &coalitions.map(row).collect::<Vec<_>>());
        seen
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let (seen, mut prior) = (seen(), Prior::new(5));
        for (at, parameter) in prior.parameters.iter_mut().enumerate() {
            *parameter += 0.1 * at as f64;
        }
        let odd = varying(&seen);
        assert_eq!(odd.ncols(), 2, "a constant says nothing of scales");
        let (_, slopes) = loss(&prior, &seen, &odd).expect("it is defined");
        for (at, expected) in slopes.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = prior.clone();
                moved.parameters[at] += by;
                loss(&moved, &seen, &odd).expect("it is defined").0
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            assert!((slope - expected).abs() < 1e-4, "{at}: {slope} is not {expected}");
        }
    }

    #[test]
    fn a_fit_is_no_worse_than_where_it_began() {
        let (seen, prior) = (seen(), Prior::new(5));
        let odd = varying(&seen);
        let value = |prior: &Prior| loss(prior, &seen, &odd).expect("it is defined").0;
        let fitted = fit(&prior, &seen);
        assert!(value(&fitted) < value(&prior) - 0.1);
        assert!(value(&fit(&fitted, &seen)) <= value(&fitted));
    }
}
