//! Least squares of odd parts on terms with an odd number of players.
//!
//! With terms of one player that is the regression whose solution is the Shapley value
//! (`LeverageSHAP`, Musco & Witter 2024, arXiv 2410.01917), weighted by kernel over probability of
//! inclusion, everybody's output being met exactly. Terms of three players take out of the residual
//! what would else be noise (`OddSHAP`, Fumagalli et al. 2026, arXiv 2602.01399); they are chosen
//! by orthogonal matching pursuit (Pati, Rezaiifar & Krishnaprasad 1993) on the terms' correlations
//! with the residual, one Walsh-Hadamard transform for all of them, where the paper has boosted
//! trees. Values are read from all terms.
//!
//! Errors are by the jackknife that leaves out one pair at a time, in closed form (Miller 1974),
//! with a finite-population correction: a pair that was sure to be drawn adds none.

use lifecycle::Attribution;
use nalgebra::DMatrix;
use rand::Rng;

use super::pairs::{Pair, Seen, players_of_term, share};
use super::quantile::student_quantile;
use super::sampling::{Order, kernel_weight};
use super::{Estimator, growth, walsh};

/// Pairs for each chosen term of three players.
const PAIRS_PER_TERM: usize = 3;

/// Rounds in which terms are chosen.
const ROUNDS: usize = 6;

/// Pairs for each player from which on terms of three players are fitted: 4 evaluations a player.
const PAIRS_PER_PLAYER: usize = 2;

/// A pair that the fit follows nearly alone is left out as if it told this much of itself.
pub(super) const LEVERAGE_MAX: f64 = 0.95;

/// Standard errors are wider by this where terms were chosen, since the same pairs chose them. With
/// it 95 % intervals cover 90 to 95 % over the random games of `cargo xtask bench explain`.
const CHOSEN: f64 = 1.25;

/// The estimator.
#[derive(Debug, Clone)]
pub(crate) struct Regression {
    order: Order,
    has_interactions: bool,
    n_terms: usize,
}

impl Regression {
    /// With terms of one player.
    pub(crate) fn leverage(n_players: usize, rng: &mut impl Rng) -> Self {
        let order = Order::new(n_players, rng);
        Self { order, has_interactions: false, n_terms: n_players }
    }

    /// With terms of an odd number of players.
    pub(crate) fn odd(n_players: usize, rng: &mut impl Rng) -> Self {
        Self { has_interactions: true, ..Self::leverage(n_players, rng) }
    }

    /// So many pairs that follow those seen.
    pub(crate) fn next(&self, seen: &Seen, n_new: usize) -> Vec<Pair> {
        self.order.pairs().iter().copied().skip(seen.pairs.len() - 1).take(n_new).collect()
    }
}

impl Estimator for Regression {
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair> {
        self.next(seen, growth(seen.pairs.len(), seen.n_players + 1, n_max))
    }

    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution> {
        let n_sampled = seen.pairs.len() - 1;
        let inclusion = self.order.inclusion(n_sampled);
        let mut sample = Sample::new(seen, inclusion);
        if self.has_interactions && n_sampled >= PAIRS_PER_PLAYER * seen.n_players {
            sample.choose(n_sampled / PAIRS_PER_TERM);
        }
        self.n_terms = sample.terms.len();
        sample.attributions()
    }

    fn quantile(&self, seen: &Seen) -> f64 {
        student_quantile(seen.pairs.len().saturating_sub(self.n_terms))
    }
}

/// The sampled pairs, with their weights and the terms that are fitted.
struct Sample<'a> {
    seen: &'a Seen,
    /// The pairs but the first, which is met exactly. Length `n_sampled`.
    pairs: &'a [Pair],
    /// Probability of being drawn. Length `n_sampled`.
    inclusion: Vec<f64>,
    /// Root of the weight in the regression. Length `n_sampled`.
    roots: Vec<f64>,
    terms: Vec<usize>,
}

/// A least-squares solution.
struct Fit {
    /// Coefficients of the terms. Shape `[n_terms, n_outputs]`.
    coefficients: DMatrix<f64>,
    /// What they do not tell, by the root of the weight. Shape `[n_sampled, n_outputs]`.
    residuals: DMatrix<f64>,
    /// By how much a unit of a residual changes each coefficient. Shape `[n_terms, n_sampled]`.
    influences: DMatrix<f64>,
    /// How much of a pair the fit follows. Length `n_sampled`.
    leverages: Vec<f64>,
}

impl<'a> Sample<'a> {
    fn new(seen: &'a Seen, inclusion: Vec<f64>) -> Self {
        let pairs = &seen.pairs[1..];
        let weights = pairs.iter().zip(&inclusion);
        let weights = weights.map(|(pair, p)| kernel_weight(seen.n_players, *pair) / p);
        let roots = weights.map(f64::sqrt).collect();
        let terms = terms_of(seen.n_players, 1).collect();
        Self { seen, pairs, inclusion, roots, terms }
    }

    /// Adds terms that tell much of the residual, round by round.
    fn choose(&mut self, n_more: usize) {
        let n_terms = self.terms.len() + n_more;
        let mut open: Vec<usize> = terms_of(self.seen.n_players, 3).collect();
        for _ in 0..ROUNDS {
            let n_wanted = n_more.div_ceil(ROUNDS).min(n_terms - self.terms.len());
            let told = self.told(&self.fit().residuals);
            open.sort_by(|a, b| told[*b].total_cmp(&told[*a]).then(a.cmp(b)));
            self.terms.extend(open.drain(..n_wanted.min(open.len())));
        }
    }

    /// How much of the residuals of all outputs each term would tell. Length
    /// `2^(n_players - 1)`.
    fn told(&self, residuals: &DMatrix<f64>) -> Vec<f64> {
        let mut told = vec![0.0; self.seen.n_possible()];
        for output in 0..residuals.ncols() {
            let of_pair = |pair: usize| residuals[(pair, output)];
            let size: f64 = (0..self.pairs.len()).map(|pair| of_pair(pair).powi(2)).sum();
            if size <= 0.0 {
                continue;
            }
            let mut correlations = vec![0.0; told.len()];
            for (pair, at) in self.pairs.iter().enumerate() {
                correlations[*at] = self.roots[pair] * of_pair(pair);
            }
            walsh::transform(&mut correlations);
            told.iter_mut().zip(&correlations).for_each(|(told, of)| *told += of * of / size);
        }
        told
    }

    /// The coefficients of least weighted squares among those that sum to everybody's odd part:
    /// their mean is known, and the rest is orthogonal to it.
    fn fit(&self) -> Fit {
        let (n_terms, n_outputs) = (self.terms.len(), self.seen.odd.len());
        let mean = |output: usize| self.seen.odd[output][0] / n_terms as f64;
        let sum = |pair: &Pair| self.terms.iter().map(|term| sign(*term, *pair)).sum::<f64>();
        let sums: Vec<f64> = self.pairs.iter().map(sum).collect();
        let design = DMatrix::from_fn(self.pairs.len(), n_terms, |pair, term| {
            let centred = sign(self.terms[term], self.pairs[pair]) - sums[pair] / n_terms as f64;
            centred * self.roots[pair]
        });
        let target = DMatrix::from_fn(self.pairs.len(), n_outputs, |pair, output| {
            (self.seen.odd[output][pair + 1] - mean(output) * sums[pair]) * self.roots[pair]
        });
        let mut normal = design.transpose() * &design;
        let trace: f64 = (0..n_terms).map(|term| normal[(term, term)]).sum();
        let size = trace.max(f64::MIN_POSITIVE) / n_terms as f64;
        normal += DMatrix::from_fn(n_terms, n_terms, |row, column| {
            // The mean's direction, which the design lacks, and what rounding takes away.
            size / n_terms as f64 + if row == column { 1e-10 * size } else { 0.0 }
        });
        let factor = normal.cholesky();
        let influences = factor.map_or_else(
            || DMatrix::zeros(n_terms, self.pairs.len()),
            |factor| factor.solve(&design.transpose()),
        );
        let solved = &influences * &target;
        let residuals = &target - &design * &solved;
        let leverage = |pair: usize| {
            (0..n_terms).map(|term| design[(pair, term)] * influences[(term, pair)]).sum()
        };
        Fit {
            coefficients: solved + DMatrix::from_fn(n_terms, n_outputs, |_, output| mean(output)),
            residuals,
            leverages: (0..self.pairs.len()).map(leverage).collect(),
            influences,
        }
    }

    /// Values with their errors.
    fn attributions(&self) -> Vec<Attribution> {
        let n_players = self.seen.n_players;
        let widening = if self.terms.len() > n_players { CHOSEN } else { 1.0 };
        let fit = self.fit();
        let shares = DMatrix::from_fn(n_players, self.terms.len(), |player, term| {
            share(n_players, self.terms[term], player)
        });
        let (values, influences) = (&shares * &fit.coefficients, &shares * &fit.influences);
        let error = |player: usize, output: usize| {
            let change = |pair: usize| {
                let kept = 1.0 - fit.leverages[pair].min(LEVERAGE_MAX);
                let change = influences[(player, pair)] * fit.residuals[(pair, output)] / kept;
                (1.0 - self.inclusion[pair]) * change.powi(2)
            };
            widening * (0..self.pairs.len()).map(change).sum::<f64>().sqrt()
        };
        let attribution = |output: usize| {
            let values = (0..n_players).map(|player| values[(player, output)]).collect();
            let errors = (0..n_players).map(|player| error(player, output)).collect();
            self.seen.attribution(output, values, errors)
        };
        (0..self.seen.odd.len()).map(attribution).collect()
    }
}

/// Terms of so many players.
fn terms_of(n_players: usize, size: u32) -> impl Iterator<Item = usize> {
    let is_of_size = move |term: &usize| players_of_term(n_players, *term).count_ones() == size;
    (0..1 << (n_players - 1)).filter(is_of_size)
}

/// The sign of a term at a pair.
fn sign(term: usize, pair: Pair) -> f64 {
    if (term & pair).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}
