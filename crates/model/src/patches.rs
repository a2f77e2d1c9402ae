//! The network of patches: context, statics and what is known of the horizon as tokens of one
//! encoder, and the heads that read them.
//!
//! Patches of a channel-mixed context follow Nie et al. (2023, "A time series is worth 64 words"),
//! horizon tokens Das et al. (2023, `TiDE`) and Ansari et al. (2024), masked patches for learning
//! without labels again Nie et al. What mixes the tokens is a choice: layers of attention or of
//! recurrence. Turns and stages are mostly a function of the statics, and rows are few and
//! correlated, so heads also see the statics through a residual multi-layer perceptron of their own
//! (the wide path).

use burn::module::{Module, Param, ParamId};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

use crate::architecture::{Architecture, Kind, N_STATIC_TOKENS};
use crate::attention::Layer;
use crate::batch::Batch;
use crate::heads::{N_STAGE_LOGITS, N_TURN_LOGITS, N_UNIT_OUTPUTS};
use crate::noise::Dropout;
use crate::recurrence::Recurrence;

/// The network. Field names are the paths in the weights file.
#[derive(Module, Debug)]
pub(crate) struct Patches {
    patch_in: Linear,
    horizon_in: Linear,
    wide_in: Linear,
    wide_up: Linear,
    wide_down: Linear,
    wide_norm: Norm,
    static_tokens: Linear,
    positions: Param<Tensor<2>>,
    layers: Vec<Layer>,
    recurrences: Vec<Recurrence>,
    norm: Norm,
    step_in: Linear,
    step_wide: Linear,
    step_positions: Param<Tensor<2>>,
    units_head: Linear,
    outlook_in: Linear,
    turns_head: Linear,
    stages_head: Linear,
    masked_positions: Param<Tensor<2>>,
    context_head: Linear,
}

/// Raw outputs on the device: units `[windows, horizon, N_UNIT_OUTPUTS]`, turns
/// `[windows, N_TURN_LOGITS]`, stages `[windows, N_STAGE_LOGITS]`.
pub(crate) type Raw = (Tensor<3>, Tensor<2>, Tensor<2>);

impl Patches {
    /// A network of zeros; weights come from [`crate::initial_weights`] or a file.
    pub(crate) fn new(architecture: &Architecture, device: &Device) -> Self {
        let Architecture { kind, dimensions, patch, d_model, n_layers, d_wide, .. } = *architecture;
        let linear = |n_in, n_out| linear(n_in, n_out, device);
        let positions = |n| zeros(vec![n, d_model], device);
        let n_of = |wanted| if (kind == Kind::Lstm) == wanted { n_layers } else { 0 };
        Self {
            patch_in: linear(patch * dimensions.n_context_inputs, d_model),
            horizon_in: linear(patch * dimensions.n_horizon_inputs, d_model),
            wide_in: linear(dimensions.n_static_inputs, d_wide),
            wide_up: linear(d_wide, d_wide),
            wide_down: linear(d_wide, d_wide),
            wide_norm: Norm::new(d_wide, device),
            static_tokens: linear(d_wide, N_STATIC_TOKENS * d_model),
            positions: positions(architecture.n_tokens()),
            layers: (0..n_of(false)).map(|_| Layer::new(architecture, device)).collect(),
            recurrences: (0..n_of(true)).map(|_| Recurrence::new(architecture, device)).collect(),
            norm: Norm::new(d_model, device),
            step_in: linear(dimensions.n_horizon_inputs, d_model),
            step_wide: linear(d_wide, d_model),
            step_positions: positions(dimensions.horizon),
            units_head: linear(d_model + dimensions.n_horizon_inputs, N_UNIT_OUTPUTS),
            outlook_in: linear(d_model, d_wide),
            turns_head: linear(d_wide + dimensions.n_static_inputs, N_TURN_LOGITS),
            stages_head: linear(d_wide + dimensions.n_static_inputs, N_STAGE_LOGITS),
            masked_positions: positions(1),
            context_head: linear(d_model, patch),
        }
    }

    /// Raw outputs for a batch; with dropout if `noise` is given.
    pub(crate) fn forward(
        &self,
        batch: &Batch,
        n_heads: usize,
        mut noise: Option<&mut Dropout>,
    ) -> Raw {
        let [n_windows, n_patches, _] = batch.context.dims();
        let [_, n_groups, _] = batch.horizon.dims();
        let [_, d_model] = self.positions.dims();
        let device = batch.context.device();
        let (mut statics, mut hidden) = (batch.statics.clone(), batch.hidden.clone());
        if let Some(noise) = noise.as_deref_mut() {
            statics = statics.clone() * noise.mask(noise.statics, statics.dims(), &device);
            // Only attention can leave out a token, and only those of the context.
            if !self.layers.is_empty() {
                let context = [0..n_windows, 0..1, 0..1, 0..n_patches];
                let seen = noise.mask(noise.patches, [n_windows, 1, 1, n_patches], &device);
                let left_out = seen.equal_elem(0.0).float() * -1e4;
                let left = hidden.clone().slice(context.clone()) + left_out;
                hidden = hidden.slice_assign(context, left);
            }
        }
        let mut wide = self.wide(statics.clone());
        if let Some(noise) = noise.as_deref_mut() {
            wide = wide.clone() * noise.mask(noise.hidden, wide.dims(), &device);
        }
        let context = self.patch_in.forward(batch.context.clone());
        let tokens = self.tokens(context, wide.clone(), batch.horizon.clone());
        let tokens = self.mixed(tokens, &hidden, (n_patches, n_heads), noise);

        let first_group = n_patches + N_STATIC_TOKENS;
        let groups = tokens.clone().narrow(1, first_group, n_groups);
        let units = self.units(groups, batch.steps.clone(), wide.clone());
        let outlook = tokens.narrow(1, n_patches, 1).reshape([n_windows, d_model]);
        let outlook = silu(self.outlook_in.forward(outlook)) + wide;
        let outlook = Tensor::cat(vec![outlook, statics], 1);
        (units, self.turns_head.forward(outlook.clone()), self.stages_head.forward(outlook))
    }

    /// How far turns and stages look at each token through all layers (attention roll-out, Abnar &
    /// Zuidema 2020); `None` without attention. Shape `[windows, 1, tokens]`.
    pub(crate) fn rollout(&self, batch: &Batch, n_heads: usize) -> Option<Tensor<3>> {
        let ([n_windows, n_patches, _], device) = (batch.context.dims(), batch.context.device());
        let wide = self.wide(batch.statics.clone());
        let context = self.patch_in.forward(batch.context.clone());
        let mut tokens = self.tokens(context, wide, batch.horizon.clone());
        let mut rollout: Option<Tensor<3>> = None;
        for layer in &self.layers {
            let attended = layer.attended(tokens.clone(), &batch.hidden, n_heads);
            // What is added to its input passes half of it on.
            let [_, n_tokens, _] = attended.dims();
            let own = Tensor::eye(n_tokens, &device).unsqueeze::<3>();
            let passed = (attended + own.expand([n_windows, n_tokens, n_tokens])) * 0.5;
            rollout = Some(match rollout {
                Some(below) => passed.matmul(below),
                None => passed,
            });
            tokens = layer.forward(tokens, &batch.hidden, n_heads, None);
        }
        rollout.map(|rollout| rollout.narrow(1, n_patches, 1))
    }

    /// Units of the context's periods, told from the patches that are not masked (`masked` is 1
    /// where they are; shape `[windows, patches, 1]`) and from nothing else. Shape
    /// `[windows, patches, patch]`.
    pub(crate) fn reconstruction(
        &self,
        batch: &Batch,
        n_heads: usize,
        masked: Tensor<3>,
    ) -> Tensor<3> {
        let [n_windows, n_patches, _] = batch.context.dims();
        let seen = masked.clone().neg().add_scalar(1.0);
        let context = self.patch_in.forward(batch.context.clone()) * seen
            + self.masked_positions.val().unsqueeze::<3>() * masked;
        let wide = self.wide(batch.statics.zeros_like());
        let tokens = self.tokens(context, wide, batch.horizon.zeros_like());
        let mut hidden = batch.hidden.clone();
        let [_, _, _, n_tokens] = hidden.dims();
        // What is known in advance of the horizon tells of the context, too.
        let after = n_patches + N_STATIC_TOKENS..n_tokens;
        let none = hidden.clone().slice([0..n_windows, 0..1, 0..1, after.clone()]) - 1e4;
        hidden = hidden.slice_assign([0..n_windows, 0..1, 0..1, after], none);
        let tokens = self.mixed(tokens, &hidden, (n_patches, n_heads), None);
        self.context_head.forward(tokens.narrow(1, 0, n_patches))
    }

    fn wide(&self, statics: Tensor<2>) -> Tensor<2> {
        let wide = silu(self.wide_in.forward(statics));
        let update = self.wide_down.forward(silu(self.wide_up.forward(wide.clone())));
        self.wide_norm.forward(wide + update)
    }

    /// Context, statics and groups of steps as one sequence.
    fn tokens(&self, context: Tensor<3>, wide: Tensor<2>, horizon: Tensor<3>) -> Tensor<3> {
        let ([n_windows, _, _], [_, d_model]) = (context.dims(), self.positions.dims());
        let statics = self.static_tokens.forward(wide);
        let statics = statics.reshape([n_windows, N_STATIC_TOKENS, d_model]);
        let tokens = Tensor::cat(vec![context, statics, self.horizon_in.forward(horizon)], 1);
        tokens + self.positions.val().unsqueeze::<3>()
    }

    /// The tokens after all layers.
    fn mixed(
        &self,
        mut tokens: Tensor<3>,
        hidden: &Tensor<4>,
        (n_patches, n_heads): (usize, usize),
        mut noise: Option<&mut Dropout>,
    ) -> Tensor<3> {
        for layer in &self.layers {
            tokens = layer.forward(tokens, hidden, n_heads, noise.as_deref_mut());
        }
        for layer in &self.recurrences {
            tokens = layer.forward(tokens, n_patches, noise.as_deref_mut());
        }
        self.norm.forward(tokens)
    }

    /// From the tokens of groups of steps to raw numbers of single steps.
    fn units(&self, groups: Tensor<3>, steps: Tensor<3>, wide: Tensor<2>) -> Tensor<3> {
        let [n_windows, n_groups, d_model] = groups.dims();
        let [_, horizon, _] = steps.dims();
        let patch = horizon.div_ceil(n_groups);
        let of_steps = groups.unsqueeze_dim::<4>(2).expand([n_windows, n_groups, patch, d_model]);
        let of_steps = of_steps.reshape([n_windows, n_groups * patch, d_model]);
        let hidden = of_steps.narrow(1, 0, horizon)
            + self.step_in.forward(steps.clone())
            + self.step_wide.forward(wide).unsqueeze_dim::<3>(1)
            + self.step_positions.val().unsqueeze::<3>();
        self.units_head.forward(Tensor::cat(vec![silu(hidden), steps], 2))
    }
}

/// Division by the root of the mean square, then a learned scale (Zhang & Sennrich 2019).
#[derive(Module, Debug)]
pub(crate) struct Norm {
    scale: Param<Tensor<1>>,
}

impl Norm {
    pub(crate) fn new(d_model: usize, device: &Device) -> Self {
        Self { scale: zeros(vec![d_model], device) }
    }

    pub(crate) fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let size = input.clone().square().mean_dim(D - 1).add_scalar(1e-5).sqrt();
        input / size * self.scale.val().unsqueeze()
    }
}

/// A layer of zeros.
pub(crate) fn linear(n_in: usize, n_out: usize, device: &Device) -> Linear {
    LinearConfig::new(n_in, n_out).with_initializer(Initializer::Zeros).init(device)
}

fn zeros<const D: usize>(shape: Vec<usize>, device: &Device) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), Tensor::zeros(shape, device))
}
