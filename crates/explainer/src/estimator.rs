//! Shapley values from as few evaluations of a game as possible, with honest errors, at any time.
//!
//! A game answers coalitions with outputs, many at once. Every [`Method`] evaluates coalitions
//! together with their complements (`estimator/pairs.rs` says why) and is asked in turn which to
//! evaluate next and what it makes of them, until the values are known well enough, the budget is
//! spent or the time is over. Interactions of two players come from the same coalitions. Base and values add up to everybody's output at any budget.

mod exact;
mod gaussian;
mod interactions;
mod pairs;
mod permutation;
mod quantile;
mod regression;
mod sampling;
mod walsh;

use std::fmt;

pub use lifecycle::EstimateEnd as End;
use lifecycle::{Attribution, InteractionSource};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use self::interactions::Interactions;
pub(crate) use self::interactions::twos;
use self::pairs::{Pair, Seen, members};
use crate::coalition::Coalition;

/// Most players of one game: pairs of coalitions are enumerated, not evaluated.
pub const PLAYERS_MAX: usize = 16;

/// Least evaluations of a game: everybody and nobody.
pub const EVALUATIONS_MIN: usize = 2;

/// 95 % of a normal distribution lie within so many standard deviations.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// How values are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// All coalitions.
    Exact,
    /// Random orders of the players, each with its reverse (Castro et al. 2009; Mitchell et al.
    /// 2022).
    Permutation,
    /// Least squares on pairs sampled by leverage score (`LeverageSHAP`, Musco & Witter 2024).
    Leverage,
    /// The same with terms of three and more players, an odd number (`OddSHAP`, Fumagalli et al.
    /// 2026).
    Odd,
    /// A Gaussian process on the odd subspace, which chooses the pairs.
    Gaussian,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 5] =
        [Self::Exact, Self::Permutation, Self::Leverage, Self::Odd, Self::Gaussian];

    /// Name in tables and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Permutation => "permutation",
            Self::Leverage => "leverage",
            Self::Odd => "odd",
            Self::Gaussian => "gaussian",
        }
    }

    fn estimator(self, n_players: usize, seed: u64) -> Box<dyn Estimator> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Exact => Box::new(exact::Exact::new(n_players, &mut rng)),
            Self::Permutation => Box::new(permutation::Permutation::new(rng)),
            Self::Leverage => Box::new(regression::Regression::leverage(n_players, &mut rng)),
            Self::Odd => Box::new(regression::Regression::odd(n_players, &mut rng)),
            Self::Gaussian => Box::new(gaussian::Gaussian::new(n_players, &mut rng)),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When an estimation ends.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Coalitions evaluated at most; at least [`EVALUATIONS_MIN`].
    pub evaluations_max: usize,
    /// [`Estimate::relative_error`] that is good enough; 0: none but exact values.
    pub tolerance: f64,
    /// Seed of the choice of coalitions.
    pub seed: u64,
    /// Whether the time is over; asked after each batch.
    pub is_over: &'a dyn Fn() -> bool,
}

impl<'a> Limits<'a> {
    /// As many evaluations, whatever the error and the time.
    pub fn evaluations(evaluations_max: usize, seed: u64) -> Self {
        let is_over: &'a dyn Fn() -> bool = &|| false;
        Self { evaluations_max, tolerance: 0.0, seed, is_over }
    }
}

impl fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evaluations_max, tolerance, seed, is_over: _ } = self;
        write!(f, "Limits {{ {evaluations_max} evaluations, {tolerance}, seed {seed} }}")
    }
}

/// What is known after some evaluations.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// One an output.
    pub attributions: Vec<Attribution>,
    /// Of each two players.
    pub interactions: Interactions,
    /// Half the width of a 95 % interval, in standard errors.
    pub quantile: f64,
    /// Coalitions evaluated, everybody and nobody among them.
    pub n_evaluations: usize,
    /// Whether and why this is the last one.
    pub end: End,
}

impl Estimate {
    /// The greatest over outputs of the length of the vector of 95 % half-widths over that of the
    /// values: what the relative error is likely to be within.
    pub fn relative_error(&self) -> f64 {
        let length = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let of_output = |attribution: &Attribution| {
            let (doubt, size) = (length(&attribution.standard_errors), length(&attribution.values));
            let error = if doubt == 0.0 { 0.0 } else { self.quantile * doubt / size };
            // What is no number is no good answer.
            if error.is_nan() { f64::INFINITY } else { error }
        };
        self.attributions.iter().map(of_output).fold(0.0, f64::max)
    }
}

/// A way to choose pairs and to read values from them.
trait Estimator {
    /// Pairs that nobody saw, to evaluate next: at least one of those left and at most `n_max`.
    fn ask(&mut self, seen: &Seen, n_max: usize) -> Vec<Pair>;

    /// Whether what was seen since the last estimate is worth another one.
    fn is_due(&self, _seen: &Seen) -> bool {
        true
    }

    /// Values and standard errors from what was seen, one an output. Never asked about all pairs.
    fn estimate(&mut self, seen: &Seen) -> Vec<Attribution>;

    /// Half the width of a 95 % interval, in standard errors.
    fn quantile(&self, seen: &Seen) -> f64;
}

/// Splits each output of a game over its players.
///
/// `outputs` answers many coalitions at once with as many rows of outputs, in the same order, and
/// must be deterministic. `each` sees every estimate on the way, the last one too. One method, seed
/// and limits give one answer, but for what `is_over` ends.
///
/// # Errors
///
/// The first error of `outputs`, unchanged.
///
/// # Panics
///
/// If `n_players` is not within 1 and [`PLAYERS_MAX`], the budget is below [`EVALUATIONS_MIN`], or
/// `outputs` answers with another length.
pub fn estimate<E>(
    method: Method,
    n_players: usize,
    limits: &Limits<'_>,
    mut outputs: impl FnMut(&[Coalition]) -> Result<Vec<Vec<f64>>, E>,
    mut each: impl FnMut(&Estimate),
) -> Result<Estimate, E> {
    assert!((1..=PLAYERS_MAX).contains(&n_players), "1 to {PLAYERS_MAX} players");
    assert!(limits.evaluations_max >= EVALUATIONS_MIN, "everybody and nobody are evaluated");
    let mut estimator = method.estimator(n_players, limits.seed);
    let mut seen = Seen::new(n_players);
    let n_pairs_max = limits.evaluations_max / 2;
    let mut asked = vec![0];
    loop {
        let coalitions: Vec<Coalition> =
            asked.iter().flat_map(|pair| members(n_players, *pair)).collect();
        let rows = outputs(&coalitions)?;
        seen.add(&asked, &rows);
        let n_left = n_pairs_max.min(seen.n_possible()) - seen.pairs.len();
        if seen.pairs.len() == 1 && n_left > 0 {
            // One pair says how much there is to split, and nothing of the players.
            asked = estimator.ask(&seen, n_left);
            continue;
        }
        let mut is_over = false;
        if n_left > 0 && !estimator.is_due(&seen) {
            is_over = (limits.is_over)();
            if !is_over {
                asked = estimator.ask(&seen, n_left);
                continue;
            }
        }
        let mut estimate = if seen.is_complete() {
            Estimate { attributions: seen.exact(), quantile: NORMAL_QUANTILE, ..Estimate::empty() }
        } else {
            let attributions = estimator.estimate(&seen);
            Estimate { attributions, quantile: estimator.quantile(&seen), ..Estimate::empty() }
        };
        estimate.interactions = Interactions::of(&seen);
        estimate.n_evaluations = 2 * seen.pairs.len();
        let is_over = || is_over || (limits.is_over)();
        let limits = Limits { is_over: &is_over, ..*limits };
        estimate.end = end(&estimate, &limits, (n_left, seen.is_complete()));
        each(&estimate);
        if estimate.end != End::Open {
            return Ok(estimate);
        }
        asked = estimator.ask(&seen, n_left);
    }
}

impl Estimate {
    fn empty() -> Self {
        Self {
            attributions: Vec::new(),
            interactions: Interactions::absent(InteractionSource::TooFew),
            quantile: 0.0,
            n_evaluations: 0,
            end: End::Open,
        }
    }
}

/// Whether that is the end, with `n_left` pairs to evaluate.
fn end(estimate: &Estimate, limits: &Limits<'_>, (n_left, is_complete): (usize, bool)) -> End {
    if is_complete {
        End::Complete
    } else if limits.tolerance > 0.0 && estimate.relative_error() <= limits.tolerance {
        End::Tolerance
    } else if n_left == 0 {
        End::Budget
    } else if (limits.is_over)() {
        End::Deadline
    } else {
        End::Open
    }
}

/// How many more to take of a sample that grows by a quarter, at least `least`.
fn growth(n_seen: usize, least: usize, n_max: usize) -> usize {
    least.max(n_seen / 4).min(n_max)
}

#[cfg(test)]
mod tests;
