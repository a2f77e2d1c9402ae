//! Life cycle stages and probabilities of them.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Where in its life a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// On sale, not yet taking off.
    Introduction,
    /// Sales rise.
    Growth,
    /// Sales hold their level.
    Maturity,
    /// Sales fall.
    Decline,
    /// No longer sold.
    Ended,
}

impl Stage {
    /// All five, in the order of a life; a stage's position here is its index in every array.
    pub const ALL: [Self; 5] =
        [Self::Introduction, Self::Growth, Self::Maturity, Self::Decline, Self::Ended];

    /// Lower-case name, as in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Introduction => "introduction",
            Self::Growth => "growth",
            Self::Maturity => "maturity",
            Self::Decline => "decline",
            Self::Ended => "ended",
        }
    }

    /// The position in [`Stage::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// One probability for each stage of [`Stage::ALL`]; they sum to 1. "Now" leaves `ended` at 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f32; 5]", into = "[f32; 5]")]
pub struct StageProbabilities([f32; 5]);

impl StageProbabilities {
    /// Divides non-negative weights by their sum; equal shares where all are zero.
    pub fn from_weights(weights: [f64; 5]) -> Self {
        let total: f64 = weights.iter().map(|weight| weight.max(0.0)).sum();
        if !total.is_finite() || total <= 0.0 {
            return Self([0.2; 5]);
        }
        Self(weights.map(|weight| (weight.max(0.0) / total) as f32))
    }

    /// The five probabilities.
    pub fn as_array(&self) -> &[f32; 5] {
        &self.0
    }

    /// The probability of one stage.
    pub fn of(&self, stage: Stage) -> f32 {
        self.0[stage.index()]
    }

    /// The likeliest stage; the earlier one where two are equal.
    pub fn likeliest(&self) -> Stage {
        let mut best = Stage::Introduction;
        for stage in Stage::ALL {
            if self.of(stage) > self.of(best) {
                best = stage;
            }
        }
        best
    }
}

impl TryFrom<[f32; 5]> for StageProbabilities {
    type Error = Invalid;

    fn try_from(probabilities: [f32; 5]) -> Result<Self, Invalid> {
        let sum: f32 = probabilities.iter().sum();
        let in_range = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
        if !in_range || (sum - 1.0).abs() > 1e-3 {
            return Err(Invalid::new(
                "stage",
                format!("{probabilities:?} are not probabilities that sum to 1"),
            ));
        }
        Ok(Self(probabilities))
    }
}

impl From<StageProbabilities> for [f32; 5] {
    fn from(StageProbabilities(probabilities): StageProbabilities) -> Self {
        probabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_probabilities() {
        let stages = StageProbabilities::from_weights([1.0, 3.0, 0.0, 0.0, 0.0]);
        assert_eq!(stages.of(Stage::Growth), 0.75);
        assert_eq!(stages.likeliest(), Stage::Growth);
        assert!(StageProbabilities::try_from([0.9, 0.9, 0.0, 0.0, 0.0]).is_err());
    }
}
