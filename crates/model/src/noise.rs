//! Dropout masks from our own generator.
//!
//! Burn draws dropout from one generator for the whole process, so two trainings in one process, or
//! one on two threads, would not repeat. A mask here depends on nothing but its seed and the order
//! of calls. `SplitMix64` (Steele, Lea & Flood 2014) is enough for masks and cheap at the
//! optimisation level of our own crates.

use burn::tensor::{Device, Tensor, TensorData};

/// Draws the dropout masks of one forward pass.
#[derive(Debug, Clone)]
pub struct Noise {
    state: u64,
    /// Share of hidden units dropped, in the same place of every token of a window.
    pub dropout: f32,
    /// Share of static inputs set to zero.
    pub static_dropout: f32,
    /// Share of context tokens hidden from attention.
    pub patch_dropout: f32,
}

impl Noise {
    /// Masks that follow from `seed` alone; `dropout` of hidden units, half of it of inputs.
    pub fn new(seed: u64, dropout: f32) -> Self {
        Self { state: seed, dropout, static_dropout: dropout / 2.0, patch_dropout: dropout / 2.0 }
    }

    /// A uniform number in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// `n` numbers, each 0 with probability `rate`, else 1 / (1 - rate).
    pub(crate) fn drawn(&mut self, rate: f32, n: usize) -> Vec<f32> {
        let kept = 1.0 / (1.0 - rate);
        (0..n).map(|_| if self.uniform() < rate { 0.0 } else { kept }).collect()
    }

    /// A mask of 0 with probability `rate`, else 1 / (1 - rate).
    pub(crate) fn mask<const D: usize>(
        &mut self,
        rate: f32,
        shape: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        let values = self.drawn(rate, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}
