//! A shallow regression tree by least squares (CART; Breiman, Friedman, Olshen & Stone 1984).
//!
//! Each split is the one that takes the most from the sum of squares; of equal ones the first input's
//! with the lowest threshold, so one set of rows has one tree.

/// Most questions from the root to a leaf.
const DEPTH_MAX: usize = 3;

/// A split must take this share from the root's sum of squares.
const GAIN_MIN: f64 = 0.01;

/// A tree, or a leaf of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// The answer for all that come here.
    Leaf {
        /// Mean of the targets that it was fitted to.
        mean: f64,
        /// How many those are.
        n: usize,
    },
    /// A question.
    Split {
        /// Position of the input.
        input: usize,
        /// What is below it goes to the first branch.
        threshold: f64,
        /// Both branches.
        branches: Box<[Tree; 2]>,
    },
}

/// A leaf with the bounds on the way to it: inputs at least the first and below the second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) bounds: Vec<(usize, [Option<f64>; 2])>,
    pub(super) mean: f64,
    pub(super) n: usize,
}

/// What a fit sees. Shape of `rows` `[n, n_inputs]`.
struct Fit<'a> {
    rows: &'a [Vec<f64>],
    targets: &'a [f64],
    leaf_min: usize,
    gain_min: f64,
}

impl Tree {
    /// Fits targets to rows of inputs, with at least `leaf_min` rows in each leaf.
    pub(super) fn fit(rows: &[Vec<f64>], targets: &[f64], leaf_min: usize) -> Self {
        let members: Vec<usize> = (0..rows.len()).collect();
        let fit = Fit { rows, targets, leaf_min: leaf_min.max(1), gain_min: 0.0 };
        let (mean, n) = fit.mean(&members);
        let squares: f64 = targets.iter().map(|target| (target - mean).powi(2)).sum();
        // Less than that is rounding.
        let rounding = 1e-12 * n as f64 * mean * mean;
        let fit = Fit { gain_min: (GAIN_MIN * squares).max(rounding), ..fit };
        fit.grown(members, DEPTH_MAX)
    }

    /// What it says of a row of inputs.
    pub(super) fn said(&self, row: &[f64]) -> f64 {
        match self {
            Self::Leaf { mean, .. } => *mean,
            Self::Split { input, threshold, branches } => {
                branches[usize::from(row[*input] >= *threshold)].said(row)
            }
        }
    }

    /// Its leaves, from the first branch to the last.
    pub(super) fn leaves(&self) -> Vec<Leaf> {
        match self {
            Self::Leaf { mean, n } => vec![Leaf { bounds: Vec::new(), mean: *mean, n: *n }],
            Self::Split { input, threshold, branches } => {
                let below = branches[0].leaves().into_iter();
                let below = below.map(|leaf| leaf.within(*input, [None, Some(*threshold)]));
                let above = branches[1].leaves().into_iter();
                let above = above.map(|leaf| leaf.within(*input, [Some(*threshold), None]));
                below.chain(above).collect()
            }
        }
    }
}

impl Leaf {
    /// The leaf with one more bound in front; what is nearer to the leaf is tighter.
    fn within(mut self, input: usize, [low, high]: [Option<f64>; 2]) -> Self {
        let known = self.bounds.iter().position(|(of, _)| *of == input);
        let [tight_low, tight_high] =
            known.map_or([None, None], |place| self.bounds.remove(place).1);
        self.bounds.insert(0, (input, [tight_low.or(low), tight_high.or(high)]));
        self
    }
}

impl Fit<'_> {
    fn mean(&self, members: &[usize]) -> (f64, usize) {
        let sum: f64 = members.iter().map(|row| self.targets[*row]).sum();
        (sum / members.len().max(1) as f64, members.len())
    }

    fn grown(&self, members: Vec<usize>, depth: usize) -> Tree {
        let (mean, n) = self.mean(&members);
        let split = if depth == 0 { None } else { self.best_split(&members) };
        let Some((input, threshold)) = split else { return Tree::Leaf { mean, n } };
        let (below, above): (Vec<usize>, Vec<usize>) =
            members.into_iter().partition(|row| self.rows[*row][input] < threshold);
        let branches = [below, above].map(|members| self.grown(members, depth - 1));
        Tree::Split { input, threshold, branches: Box::new(branches) }
    }

    /// Input and threshold that take the most from the sum of squares, if that is enough.
    fn best_split(&self, members: &[usize]) -> Option<(usize, f64)> {
        let (mean, n) = self.mean(members);
        let mut best: Option<(f64, usize, f64)> = None;
        for input in 0..self.rows[0].len() {
            let value = |row: usize| self.rows[row][input];
            let mut sorted = members.to_vec();
            sorted.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
            let mut sum = 0.0;
            for n_below in 1..n {
                sum += self.targets[sorted[n_below - 1]] - mean;
                let n_above = n - n_below;
                let (last, next) = (value(sorted[n_below - 1]), value(sorted[n_below]));
                if n_below.min(n_above) < self.leaf_min || last == next {
                    continue;
                }
                // Both sides' means are off by as much in sum.
                let gain = sum * sum * (1.0 / n_below as f64 + 1.0 / n_above as f64);
                if gain > self.gain_min && best.is_none_or(|(most, ..)| gain > most) {
                    // Between neighbours that are next to each other there may be no number.
                    let middle = f64::midpoint(last, next);
                    best = Some((gain, input, if middle > last { middle } else { next }));
                }
            }
        }
        best.map(|(_, input, threshold)| (input, threshold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_where_they_are() {
        let rows: Vec<Vec<f64>> =
            (0_u8..60).map(|n| vec![f64::from(n % 7), f64::from(n)]).collect();
        let target = |row: &Vec<f64>| match row[1] {
            x if x < 20.0 => 1.0,
            x if x < 40.0 => 5.0,
            _ => 2.0,
        };
        let targets: Vec<f64> = rows.iter().map(target).collect();
        let tree = Tree::fit(&rows, &targets, 5);
        let leaves = tree.leaves();
        let expected = [
            ([None, Some(19.5)], 1.0, 20),
            ([Some(19.5), Some(39.5)], 5.0, 20),
            ([Some(39.5), None], 2.0, 20),
        ];
        let told: Vec<_> =
            leaves.iter().map(|leaf| (leaf.bounds[0].1, leaf.mean, leaf.n)).collect();
        assert_eq!(told, expected);
        assert!(leaves.iter().all(|leaf| leaf.bounds.len() == 1 && leaf.bounds[0].0 == 1));
        assert!(rows.iter().zip(&targets).all(|(row, target)| tree.said(row) == *target));
    }

    #[test]
    fn leaves_are_never_small_nor_deep_and_noise_is_not_split() {
        let rows: Vec<Vec<f64>> = (0_u8..64).map(|n| vec![f64::from(n)]).collect();
        let targets: Vec<f64> = rows.iter().map(|row| row[0].powi(2)).collect();
        let leaves = Tree::fit(&rows, &targets, 10).leaves();
        assert!((3..=8).contains(&leaves.len()), "{}", leaves.len());
        assert!(leaves.iter().all(|leaf| leaf.n >= 10));
        assert_eq!(leaves.iter().map(|leaf| leaf.n).sum::<usize>(), 64);
        let odd = |n: [i32; 2]| -> Vec<f64> {
            (0..64).map(|at| f64::from(u8::from(n.contains(&at)))).collect()
        };
        let n_leaves = |targets: &[f64]| Tree::fit(&rows, targets, 32).leaves().len();
        assert_eq!(n_leaves(&odd([30, 31])), 2, "that takes 3 % of the squares");
        assert_eq!(n_leaves(&odd([30, 40])), 1, "both sides are alike");
        assert_eq!(Tree::fit(&rows, &[3.0; 64], 1).leaves().len(), 1);
    }
}
