//! The raw outputs of a network as quantiles, means and probabilities.
//!
//! A step has [`N_UNIT_OUTPUTS`] raw numbers: the median, the softplus of whose neighbours are the
//! distances between levels (so quantiles cannot cross; the construction is that of Park et al.
//! 2022, anchored at the median), and the mean through a softplus. A horizon of turns has four
//! exclusive classes - silent, halved but not silent, neither, doubled - so that silent <= halved
//! and halved + doubled <= 1 hold by construction. Training and answering share these functions.

use lifecycle::N_LEVELS;

/// Raw numbers of one step: one for each level, and the mean.
pub const N_UNIT_OUTPUTS: usize = N_LEVELS + 1;

/// Exclusive classes of one horizon of turns: silent, halved but not silent, neither, doubled.
pub const N_TURN_CLASSES: usize = 4;

/// Raw numbers of the turns at all three horizons.
pub const N_TURN_LOGITS: usize = 3 * N_TURN_CLASSES;

/// Raw numbers of the stages: four now, five at each of the three horizons.
pub const N_STAGE_LOGITS: usize = 4 + 3 * 5;

/// The median's position in [`lifecycle::LEVELS`].
pub(crate) const MEDIAN: usize = 6;

/// What a network answers to some windows, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// Steps of a window.
    pub horizon: usize,
    /// Shape `[windows, horizon, N_UNIT_OUTPUTS]`; of the dense network `[windows, horizon]`.
    pub units: Vec<f32>,
    /// Shape `[windows, N_TURN_LOGITS]`; empty of the dense network.
    pub turns: Vec<f32>,
    /// Shape `[windows, N_STAGE_LOGITS]`; empty of the dense network.
    pub stages: Vec<f32>,
}

/// The raw outputs for one window.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Shape `[horizon, N_UNIT_OUTPUTS]`.
    pub units: &'a [f32],
    /// Shape `[N_TURN_LOGITS]`.
    pub turns: &'a [f32],
    /// Shape `[N_STAGE_LOGITS]`.
    pub stages: &'a [f32],
}

/// Logits of all heads of classes for one window; empty of whoever has no opinion.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassLogits {
    /// Four classes at each horizon. Shape `[N_TURN_LOGITS]`.
    pub turns: Vec<f32>,
    /// Four classes now, five at each horizon. Shape `[N_STAGE_LOGITS]`.
    pub stages: Vec<f32>,
}

impl ClassLogits {
    /// Those of turns at a horizon; empty where there are none.
    pub fn turns_at(&self, horizon: usize) -> &[f32] {
        let place = horizon * N_TURN_CLASSES..(horizon + 1) * N_TURN_CLASSES;
        self.turns.get(place).unwrap_or_default()
    }

    /// Those of stages now, or at a horizon; empty where there are none.
    pub fn stages_at(&self, horizon: Option<usize>) -> &[f32] {
        if self.stages.is_empty() { &[] } else { stage_logits(&self.stages, horizon) }
    }
}

impl Outputs {
    /// The outputs for each window.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let turns = self.turns.chunks_exact(N_TURN_LOGITS);
        let stages = self.stages.chunks_exact(N_STAGE_LOGITS);
        let units = self.units.chunks_exact(self.horizon * N_UNIT_OUTPUTS);
        units.zip(turns).zip(stages).map(|((units, turns), stages)| Row { units, turns, stages })
    }
}

/// The mean of the raw outputs of several networks for the same windows: of logits, a geometric mean
/// of probabilities; of medians and distances, nearly that of quantiles.
pub(crate) fn mean_outputs(mut members: impl Iterator<Item = Outputs>) -> Option<Outputs> {
    let mut sum = members.next()?;
    let mut n_members = 1.0_f32;
    for member in members {
        n_members += 1.0;
        let parts = [
            (&mut sum.units, member.units),
            (&mut sum.turns, member.turns),
            (&mut sum.stages, member.stages),
        ];
        for (total, term) in parts.into_iter().flat_map(|(sum, terms)| sum.iter_mut().zip(terms)) {
            *total += term;
        }
    }
    if n_members > 1.0 {
        let parts = [&mut sum.units, &mut sum.turns, &mut sum.stages];
        for value in parts.into_iter().flatten() {
            *value /= n_members;
        }
    }
    Some(sum)
}

/// ln(1 + e^x) without overflow.
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The quantiles of one step over the window's scale, ascending; those below 0 mean 0.
pub fn quantiles(raw: &[f32]) -> [f32; N_LEVELS] {
    let mut quantiles = [raw[MEDIAN]; N_LEVELS];
    for level in MEDIAN + 1..N_LEVELS {
        quantiles[level] = quantiles[level - 1] + softplus(raw[level]);
    }
    for level in (0..MEDIAN).rev() {
        quantiles[level] = quantiles[level + 1] - softplus(raw[level]);
    }
    quantiles
}

/// The mean of one step over the window's scale.
pub fn mean(raw: &[f32]) -> f32 {
    softplus(raw[N_LEVELS])
}

/// Probabilities from the logits of `N` classes.
pub fn softmax<const N: usize>(logits: &[f32]) -> [f32; N] {
    let mut classes = std::array::from_fn(|class| logits[class]);
    become_probabilities(&mut classes);
    classes
}

/// Probabilities from logits of however many classes.
pub fn softmax_of(logits: &[f32]) -> Vec<f32> {
    let mut classes = logits.to_vec();
    become_probabilities(&mut classes);
    classes
}

fn become_probabilities(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
    }
    let total: f32 = logits.iter().sum();
    for weight in logits {
        *weight /= total;
    }
}

/// Probability of each of [`lifecycle::Turn::ALL`] from those of the four classes.
pub fn turn_probabilities([silent, fell, _, doubled]: [f32; N_TURN_CLASSES]) -> [f32; 3] {
    [(silent + fell).min(1.0), doubled, silent]
}

/// The logits of the stages now (`None`, four) or at one of the three horizons (five).
pub fn stage_logits(raw: &[f32], outlook: Option<usize>) -> &[f32] {
    match outlook {
        None => &raw[..4],
        Some(index) => &raw[4 + 5 * index..9 + 5 * index],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_never_cross(raw in prop::collection::vec(-40.0_f32..40.0, N_UNIT_OUTPUTS)) {
            prop_assert!(quantiles(&raw).is_sorted());
            prop_assert!(mean(&raw) >= 0.0);
        }

        #[test]
        fn turns_are_coherent(logits in prop::collection::vec(-30.0_f32..30.0, 4)) {
            let cooled: Vec<f32> = logits.iter().map(|logit| logit / 1.3).collect();
            let [halved, doubled, silent] = turn_probabilities(softmax(&cooled));
            prop_assert!(silent <= halved && halved + doubled <= 1.0 + 1e-6);
        }
    }

    #[test]
    fn softplus_is_exact_at_both_ends() {
        assert_eq!(softplus(0.0), std::f32::consts::LN_2);
        assert_eq!(softplus(90.0), 90.0);
        assert!(softplus(-90.0) < 1e-30);
    }
}
