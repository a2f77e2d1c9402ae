//! Surrogates: simpler models that say what ours says, each with how faithfully it does.
//!
//! Their numbers are not Shapley values and never stand in one picture with them: every one has the
//! name of its [`Kind`]. Fidelity is the R² of what a surrogate says of our model's answers that it
//! was not fitted to; below [`FIDELITY_MIN`] it is not to be trusted, and says so.
//!
//! | file | what |
//! |---|---|
//! | `lime` | one forecast: a linear model over the players of its explanation |
//! | `inputs` | what a planner knows of a series, for the surrogates of all forecasts |
//! | `global` | all forecasts: fitted to some products, held against the others |
//! | `tree`, `linear` | what is fitted there |
//! | `rules` | the tree's leaves as sentences |

mod global;
mod inputs;
mod lime;
mod linear;
mod rules;
mod tree;

use serde::{Deserialize, Serialize};

pub use global::{Global, GlobalOutput, RuleSet, Slope, SlopeSet, global};
pub use inputs::Input;
pub use lime::{Lime, LimeOutput};
pub use rules::Rule;

/// Fidelity below which a surrogate is flagged.
pub const FIDELITY_MIN: f64 = 0.8;

/// What the numbers of a surrogate are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Weights of players in a linear model around one forecast (LIME, Ribeiro et al. 2016).
    LimeWeights,
    /// Means of the leaves of a regression tree (Breiman et al. 1984).
    SurrogateTree,
    /// Slopes of a linear model of all forecasts.
    SurrogateLinear,
}

/// How faithfully a surrogate says what the model says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Share of the variance of answers that were held out; none where they do not vary.
    pub r_squared: Option<f64>,
    /// Answers held out.
    pub n_held_out: usize,
    /// Whether it is below [`FIDELITY_MIN`], or cannot be told.
    pub is_low: bool,
}

/// Surrogates of a run; `surrogates.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surrogates {
    /// [`FIDELITY_MIN`].
    pub fidelity_min: f64,
    /// Of all forecasts; none of too few.
    pub global: Option<Global>,
    /// Of each explained forecast.
    pub local: Vec<Lime>,
}

impl Fidelity {
    /// Compares what was said with the truth, with weights.
    pub fn of(truth: &[f64], said: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mean = truth.iter().zip(weights).map(|(y, w)| w * y).sum::<f64>() / total;
        let squares = |of: &mut dyn Iterator<Item = (f64, f64)>| {
            of.zip(weights).map(|((a, b), w)| w * (a - b).powi(2)).sum::<f64>()
        };
        let around = squares(&mut truth.iter().map(|y| (*y, mean)));
        let missed = squares(&mut truth.iter().copied().zip(said.iter().copied()));
        // Less is rounding of the model's 32-bit floats.
        let least = total * (1e-6 * mean.abs().max(1e-3)).powi(2);
        let r_squared = (around > least).then(|| 1.0 - missed / around);
        let is_low = r_squared.is_none_or(|r_squared| r_squared < FIDELITY_MIN);
        Self { r_squared, n_held_out: truth.len(), is_low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fidelity_is_the_share_of_variance_and_says_when_it_is_low() {
        let truth = [1.0, 2.0, 3.0];
        let perfect = Fidelity::of(&truth, &truth, &[1.0; 3]);
        assert_eq!((perfect.r_squared, perfect.is_low), (Some(1.0), false));
        let mean = Fidelity::of(&truth, &[2.0; 3], &[1.0; 3]);
        assert_eq!((mean.r_squared, mean.is_low), (Some(0.0), true));
        let weighted = Fidelity::of(&truth, &[1.0, 2.0, 9.0], &[1.0, 1.0, 0.0]);
        assert_eq!(weighted.r_squared, Some(1.0), "what weighs nothing counts nothing");
        let constant = Fidelity::of(&[2.0; 3], &[2.0; 3], &[1.0; 3]);
        assert_eq!((constant.r_squared, constant.is_low), (None, true));
        assert!(Fidelity::of(&[], &[], &[]).is_low);
    }
}
