//! Random numbers of training: dropout masks from our own generator.
//!
//! Burn draws dropout from one generator for the whole process, so two trainings in one process, or
//! one on two threads, would not repeat. A mask here depends on nothing but the seed of its row and
//! the order of calls: neither on how rows are split into micro-batches nor over how many ranks.
//! `SplitMix64` (Steele, Lea & Flood 2014) is enough for masks and cheap at the optimisation level of
//! our own crates.

use burn::tensor::{Device, Tensor, TensorData};

/// A generator of uniform numbers.
#[derive(Debug, Clone)]
pub struct Noise {
    state: u64,
}

impl Noise {
    /// Numbers that follow from `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
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
}

/// Draws the dropout masks of one forward pass, each row's from a generator of its own.
#[derive(Debug, Clone)]
pub struct Dropout {
    rows: Vec<Noise>,
    /// Share of hidden units dropped, in the same place of every token of a window.
    pub hidden: f32,
    /// Share of static inputs set to zero.
    pub statics: f32,
    /// Share of context tokens hidden from attention.
    pub patches: f32,
}

impl Dropout {
    /// Masks of rows, one seed a row; `rate` of hidden units, half of it of inputs.
    pub fn new(seeds: impl IntoIterator<Item = u64>, rate: f32) -> Self {
        let rows = seeds.into_iter().map(Noise::new).collect();
        Self { rows, hidden: rate, statics: rate / 2.0, patches: rate / 2.0 }
    }

    /// `n` numbers, each 1 with probability `share`, else 0. Shape `[rows, n / rows]`.
    pub(crate) fn chosen(&mut self, share: f32, n: usize) -> Vec<f32> {
        self.of_rows(n, |uniform| f32::from(uniform < share))
    }

    /// `n` numbers, each 0 with probability `rate`, else 1 / (1 - rate). Shape `[rows, n / rows]`.
    pub(crate) fn drawn(&mut self, rate: f32, n: usize) -> Vec<f32> {
        let kept = 1.0 / (1.0 - rate);
        self.of_rows(n, |uniform| if uniform < rate { 0.0 } else { kept })
    }

    /// A mask of 0 with probability `rate`, else 1 / (1 - rate); its first dimension is the rows.
    pub(crate) fn mask<const D: usize>(
        &mut self,
        rate: f32,
        shape: [usize; D],
        device: &Device,
    ) -> Tensor<D> {
        let values = self.drawn(rate, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn of_rows(&mut self, n: usize, of: impl Fn(f32) -> f32) -> Vec<f32> {
        let n_each = n / self.rows.len().max(1);
        assert_eq!(n_each * self.rows.len(), n, "one seed a row");
        let rows = self.rows.iter_mut();
        rows.flat_map(|row| (0..n_each).map(|_| of(row.uniform())).collect::<Vec<f32>>()).collect()
    }
}
