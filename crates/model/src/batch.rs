//! Windows as tensors.
//!
//! A window may be shorter than the network's largest: its context is padded in front, as if the
//! series had begun later, and its horizon behind. A longer context loses its oldest periods.

use burn::tensor::{Device, Tensor, TensorData};
use panel::Window;

use crate::architecture::{Architecture, N_STATIC_TOKENS};

/// What hides a token from attention: added to its score before the softmax.
const HIDDEN: f32 = -1e4;

/// Some windows on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stacked {
    pub(crate) n_windows: usize,
    /// Context, one row a patch, oldest first. Shape `[windows, patches, patch * inputs]`.
    pub(crate) context: Vec<f32>,
    /// Statics. Shape `[windows, inputs]`.
    pub(crate) statics: Vec<f32>,
    /// Known in advance, by step. Shape `[windows, horizon, inputs]`.
    pub(crate) steps: Vec<f32>,
    /// The same, one row a group of steps. Shape `[windows, groups, patch * inputs]`.
    pub(crate) horizon: Vec<f32>,
}

/// Some windows, as one forward pass of a network takes them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Context, one row a patch, oldest first. Shape `[windows, patches, patch * inputs]`.
    pub context: Tensor<3>,
    /// Statics. Shape `[windows, inputs]`.
    pub statics: Tensor<2>,
    /// Known in advance, by step. Shape `[windows, horizon, inputs]`.
    pub steps: Tensor<3>,
    /// The same, one row a group of steps. Shape `[windows, groups, patch * inputs]`.
    pub horizon: Tensor<3>,
    /// 0, or a large negative number for patches before the first period: added to the scores of
    /// attention. Shape `[windows, 1, 1, tokens]`.
    pub hidden: Tensor<4>,
}

impl Stacked {
    /// Stacks windows.
    ///
    /// # Panics
    ///
    /// If a window has other inputs or a longer horizon than the architecture; opening a model for
    /// a panel checks both.
    pub(crate) fn new(windows: &[&Window], architecture: &Architecture) -> Self {
        let shape = architecture.dimensions;
        let (n_windows, patch) = (windows.len(), architecture.patch);
        let (n_patches, n_groups) = (architecture.n_patches(), architecture.n_horizon_tokens());
        let (context_row, group_row) =
            (patch * shape.n_context_inputs, patch * shape.n_horizon_inputs);
        let mut context = Vec::with_capacity(n_windows * n_patches * context_row);
        let mut groups = Vec::with_capacity(n_windows * n_groups * group_row);
        let mut steps = Vec::with_capacity(n_windows * shape.horizon * shape.n_horizon_inputs);
        let mut statics = Vec::with_capacity(n_windows * shape.n_static_inputs);
        for window in windows {
            assert_eq!(window.context.len() % shape.n_context_inputs, 0);
            assert_eq!(window.statics.len(), shape.n_static_inputs);
            assert!(window.horizon.len() <= shape.horizon * shape.n_horizon_inputs);
            let begin = context.len();
            let n_longest = shape.context * shape.n_context_inputs;
            let recent = &window.context[window.context.len().saturating_sub(n_longest)..];
            context.resize(begin + n_patches * context_row - recent.len(), 0.0);
            context.extend_from_slice(recent);
            statics.extend_from_slice(&window.statics);
            let begin = steps.len();
            steps.extend_from_slice(&window.horizon);
            steps.resize(begin + shape.horizon * shape.n_horizon_inputs, 0.0);
            let begin = groups.len();
            groups.extend_from_slice(&window.horizon);
            groups.resize(begin + n_groups * group_row, 0.0);
        }
        Self { n_windows, context, statics, steps, horizon: groups }
    }
}

impl Batch {
    /// Stacks windows.
    ///
    /// # Panics
    ///
    /// If a window has other inputs or a longer horizon than the architecture.
    pub fn new(windows: &[&Window], architecture: &Architecture, device: &Device) -> Self {
        let shape = architecture.dimensions;
        let Stacked { n_windows, context, statics, steps, horizon } =
            Stacked::new(windows, architecture);
        let (n_patches, n_groups) = (architecture.n_patches(), architecture.n_horizon_tokens());
        let context_row = architecture.patch * shape.n_context_inputs;
        let group_row = architecture.patch * shape.n_horizon_inputs;
        let mut hidden = Vec::with_capacity(n_windows * architecture.n_tokens());
        let is_before_start = |row: &[f32]| row.iter().all(|input| *input == 0.0);
        for of_window in context.chunks_exact(n_patches * context_row) {
            let patches = of_window.chunks(context_row);
            hidden.extend(patches.map(|row| if is_before_start(row) { HIDDEN } else { 0.0 }));
            hidden.resize(hidden.len() + N_STATIC_TOKENS + n_groups, 0.0);
        }
        let (n_statics, n_known) = (shape.n_static_inputs, shape.n_horizon_inputs);
        let n_tokens = architecture.n_tokens();
        Self {
            context: tensor(context, [n_windows, n_patches, context_row], device),
            statics: tensor(statics, [n_windows, n_statics], device),
            steps: tensor(steps, [n_windows, shape.horizon, n_known], device),
            horizon: tensor(horizon, [n_windows, n_groups, group_row], device),
            hidden: tensor(hidden, [n_windows, 1, 1, n_tokens], device),
        }
    }
}

/// A tensor of these values.
pub(crate) fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
