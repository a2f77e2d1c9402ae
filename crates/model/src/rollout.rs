//! Attention roll-out (Abnar & Zuidema 2020): where turns and stages look through all layers. Each
//! layer passes on half of what it adds to, and half of what it attends to.

use crate::architecture::{Architecture, N_STATIC_TOKENS};

/// Shares of what turns and stages look at in one window, which add up to 1. They say nothing of which
/// way an input moves an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Of each period of the context, oldest first.
    pub context: Vec<f32>,
    /// Of the derived numbers as a whole.
    pub statics: f32,
    /// Of what is known of the horizon.
    pub horizon: f32,
}

impl Rollout {
    /// From the shares of the tokens, for a window of so many periods. The last patch ends with the
    /// window, and the periods of a patch share alike.
    pub(crate) fn new(shares: &[f32], architecture: &Architecture, n_periods: usize) -> Self {
        let (n_patches, patch) = (architecture.n_patches(), architecture.patch);
        let (context, others) = shares.split_at(n_patches);
        let (statics, horizon) = others.split_at(N_STATIC_TOKENS);
        let of_period = |at: usize| {
            let back = (n_periods - 1 - at) / patch;
            let n_in_patch = patch.min(n_periods - back * patch);
            let of_patch = n_patches.checked_sub(1 + back).map_or(0.0, |place| context[place]);
            of_patch / n_in_patch as f32
        };
        Self {
            context: (0..n_periods).map(of_period).collect(),
            statics: statics.iter().sum(),
            horizon: horizon.iter().sum(),
        }
    }

    /// The mean of several networks'; `None` of none.
    pub(crate) fn mean(all: &[Self]) -> Option<Self> {
        let n = all.len() as f32;
        let mean = |of: &dyn Fn(&Self) -> f32| all.iter().map(of).sum::<f32>() / n;
        let n_periods = all.first()?.context.len();
        Some(Self {
            context: (0..n_periods).map(|at| mean(&|rollout| rollout.context[at])).collect(),
            statics: mean(&|rollout| rollout.statics),
            horizon: mean(&|rollout| rollout.horizon),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::{Dimensions, Kind, Size};

    #[test]
    fn every_token_has_its_share_and_a_patch_cut_short_keeps_its_own() {
        let dimensions = Dimensions {
            context: 24,
            horizon: 5,
            n_context_inputs: 1,
            n_static_inputs: 1,
            n_horizon_inputs: 1,
        };
        let architecture = Architecture::new(Kind::Transformer, Size::Tiny, dimensions);
        let n_tokens = architecture.n_tokens();
        let shares = vec![(n_tokens as f32).recip(); n_tokens];
        for n_periods in [24, 24 - architecture.patch / 2] {
            let rollout = Rollout::new(&shares, &architecture, n_periods);
            assert_eq!(rollout.context.len(), n_periods);
            let all = rollout.context.iter().sum::<f32>() + rollout.statics + rollout.horizon;
            assert!((all - 1.0).abs() < 1e-5, "{all}");
        }
        let rollout = Rollout::new(&shares, &architecture, 30);
        assert_eq!(rollout.context[..6], [0.0; 6], "before what the network sees");
        let mean = Rollout::mean(&[rollout.clone(), rollout.clone()]).expect("of two");
        assert_eq!(mean, rollout);
        assert!(Rollout::mean(&[]).is_none());
    }
}
