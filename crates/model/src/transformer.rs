//! A patch Transformer: context, statics and what is known of the horizon as tokens of one encoder.
//!
//! Patches of a channel-mixed context follow Nie et al. (2023, "A time series is worth 64 words"),
//! horizon tokens Das et al. (2023, `TiDE`) and Ansari et al. (2024). Layers are pre-norm with RMS
//! norms (Zhang & Sennrich 2019), learned positions, and `ReLU` inside (an exponential for each
//! hidden unit of each token costs a tenth of the time; the heads' `SiLU` costs nothing). Turns and stages are mostly a
//! function of the statics, and rows are few and correlated, so heads also see the statics through
//! a residual multi-layer perceptron of their own (the wide path).

use burn::module::{Module, Param, ParamId};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{relu, silu, softmax};
use burn::tensor::{Device, Tensor};

use crate::architecture::{Architecture, N_STATIC_TOKENS};
use crate::batch::Batch;
use crate::heads::{N_STAGE_LOGITS, N_TURN_LOGITS, N_UNIT_OUTPUTS};
use crate::noise::Noise;

/// The network. Field names are the paths in the weights file.
#[derive(Module, Debug)]
pub(crate) struct Transformer {
    patch_in: Linear,
    horizon_in: Linear,
    wide_in: Linear,
    wide_up: Linear,
    wide_down: Linear,
    wide_norm: Norm,
    static_tokens: Linear,
    positions: Param<Tensor<2>>,
    layers: Vec<Layer>,
    norm: Norm,
    step_in: Linear,
    step_wide: Linear,
    step_positions: Param<Tensor<2>>,
    units_head: Linear,
    outlook_in: Linear,
    turns_head: Linear,
    stages_head: Linear,
}

/// Raw outputs on the device: units `[windows, horizon, N_UNIT_OUTPUTS]`, turns
/// `[windows, N_TURN_LOGITS]`, stages `[windows, N_STAGE_LOGITS]`.
pub(crate) type Raw = (Tensor<3>, Tensor<2>, Tensor<2>);

impl Transformer {
    /// A network of zeros; weights come from [`crate::initial_weights`] or a file.
    pub(crate) fn new(architecture: &Architecture, device: &Device) -> Self {
        let Architecture { dimensions, patch, d_model, d_wide, .. } = *architecture;
        let linear = |n_in, n_out| linear(n_in, n_out, device);
        let positions = |n| zeros(vec![n, d_model], device);
        Self {
            patch_in: linear(patch * dimensions.n_context_inputs, d_model),
            horizon_in: linear(patch * dimensions.n_horizon_inputs, d_model),
            wide_in: linear(dimensions.n_static_inputs, d_wide),
            wide_up: linear(d_wide, d_wide),
            wide_down: linear(d_wide, d_wide),
            wide_norm: Norm::new(d_wide, device),
            static_tokens: linear(d_wide, N_STATIC_TOKENS * d_model),
            positions: positions(architecture.n_tokens()),
            layers: (0..architecture.n_layers).map(|_| Layer::new(architecture, device)).collect(),
            norm: Norm::new(d_model, device),
            step_in: linear(dimensions.n_horizon_inputs, d_model),
            step_wide: linear(d_wide, d_model),
            step_positions: positions(dimensions.horizon),
            units_head: linear(d_model + dimensions.n_horizon_inputs, N_UNIT_OUTPUTS),
            outlook_in: linear(d_model, d_wide),
            turns_head: linear(d_wide + dimensions.n_static_inputs, N_TURN_LOGITS),
            stages_head: linear(d_wide + dimensions.n_static_inputs, N_STAGE_LOGITS),
        }
    }

    /// Raw outputs for a batch; with dropout if `noise` is given.
    pub(crate) fn forward(
        &self,
        batch: &Batch,
        n_heads: usize,
        mut noise: Option<&mut Noise>,
    ) -> Raw {
        let [n_windows, n_patches, _] = batch.context.dims();
        let [_, n_groups, _] = batch.horizon.dims();
        let device = batch.context.device();
        let (mut statics, mut hidden) = (batch.statics.clone(), batch.hidden.clone());
        if let Some(noise) = noise.as_deref_mut() {
            statics = statics.clone() * noise.mask(noise.static_dropout, statics.dims(), &device);
            let seen = noise.mask(noise.patch_dropout, hidden.dims(), &device);
            // Only context tokens are hidden; statics and horizon always stay.
            let patches = seen.slice([0..n_windows, 0..1, 0..1, 0..n_patches]);
            let context = hidden.clone().slice([0..n_windows, 0..1, 0..1, 0..n_patches]);
            let context = context + patches.equal_elem(0.0).float() * -1e4;
            hidden = hidden.slice_assign([0..n_windows, 0..1, 0..1, 0..n_patches], context);
        }
        let wide = silu(self.wide_in.forward(statics.clone()));
        let update = self.wide_down.forward(silu(self.wide_up.forward(wide.clone())));
        let mut wide = self.wide_norm.forward(wide + update);
        if let Some(noise) = noise.as_deref_mut() {
            wide = wide.clone() * noise.mask(noise.dropout, wide.dims(), &device);
        }

        let [_, d_model] = self.positions.dims();
        let static_tokens = self.static_tokens.forward(wide.clone());
        let static_tokens = static_tokens.reshape([n_windows, N_STATIC_TOKENS, d_model]);
        let mut tokens = Tensor::cat(
            vec![
                self.patch_in.forward(batch.context.clone()),
                static_tokens,
                self.horizon_in.forward(batch.horizon.clone()),
            ],
            1,
        ) + self.positions.val().unsqueeze::<3>();
        for layer in &self.layers {
            tokens = layer.forward(tokens, &hidden, n_heads, noise.as_deref_mut());
        }
        let tokens = self.norm.forward(tokens);

        let first_group = n_patches + N_STATIC_TOKENS;
        let groups = tokens.clone().narrow(1, first_group, n_groups);
        let units = self.units(groups, batch.steps.clone(), wide.clone());
        let outlook = tokens.narrow(1, n_patches, 1).reshape([n_windows, d_model]);
        let outlook = silu(self.outlook_in.forward(outlook)) + wide;
        let outlook = Tensor::cat(vec![outlook, statics], 1);
        (units, self.turns_head.forward(outlook.clone()), self.stages_head.forward(outlook))
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

/// A pre-norm encoder layer: attention, then a feed-forward part, each added to its input.
#[derive(Module, Debug)]
struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    attention_out: Linear,
    hidden_norm: Norm,
    hidden_in: Linear,
    hidden_out: Linear,
}

impl Layer {
    fn new(architecture: &Architecture, device: &Device) -> Self {
        let Architecture { d_model, d_hidden, .. } = *architecture;
        Self {
            attention_norm: Norm::new(d_model, device),
            qkv: linear(d_model, 3 * d_model, device),
            attention_out: linear(d_model, d_model, device),
            hidden_norm: Norm::new(d_model, device),
            hidden_in: linear(d_model, d_hidden, device),
            hidden_out: linear(d_hidden, d_model, device),
        }
    }

    fn forward(
        &self,
        tokens: Tensor<3>,
        hidden: &Tensor<4>,
        n_heads: usize,
        mut noise: Option<&mut Noise>,
    ) -> Tensor<3> {
        let [n_windows, _, d_model] = tokens.dims();
        let device = tokens.device();
        let mut drop = |update: Tensor<3>| match noise.as_deref_mut() {
            None => update,
            Some(noise) => update * noise.mask(noise.dropout, [n_windows, 1, d_model], &device),
        };
        let update = self.attention(self.attention_norm.forward(tokens.clone()), hidden, n_heads);
        let tokens = tokens + drop(update);
        let update = self.hidden_in.forward(self.hidden_norm.forward(tokens.clone()));
        let update = self.hidden_out.forward(relu(update));
        tokens + drop(update)
    }

    fn attention(&self, tokens: Tensor<3>, hidden: &Tensor<4>, n_heads: usize) -> Tensor<3> {
        let [n_windows, n_tokens, d_model] = tokens.dims();
        let d_head = d_model / n_heads;
        let qkv = self.qkv.forward(tokens).reshape([n_windows, n_tokens, 3 * n_heads, d_head]);
        let qkv = qkv.swap_dims(1, 2);
        let query = qkv.clone().narrow(1, 0, n_heads).mul_scalar((d_head as f32).sqrt().recip());
        let key = qkv.clone().narrow(1, n_heads, n_heads);
        let value = qkv.narrow(1, 2 * n_heads, n_heads);
        let scores = query.matmul(key.swap_dims(2, 3)) + hidden.clone();
        let mixed = softmax(scores, 3).matmul(value);
        self.attention_out.forward(mixed.swap_dims(1, 2).reshape([n_windows, n_tokens, d_model]))
    }
}

/// Division by the root of the mean square, then a learned scale (Zhang & Sennrich 2019).
#[derive(Module, Debug)]
struct Norm {
    scale: Param<Tensor<1>>,
}

impl Norm {
    fn new(d_model: usize, device: &Device) -> Self {
        Self { scale: zeros(vec![d_model], device) }
    }

    fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let size = input.clone().square().mean_dim(D - 1).add_scalar(1e-5).sqrt();
        input / size * self.scale.val().unsqueeze()
    }
}

fn linear(n_in: usize, n_out: usize, device: &Device) -> Linear {
    LinearConfig::new(n_in, n_out).with_initializer(Initializer::Zeros).init(device)
}

fn zeros<const D: usize>(shape: Vec<usize>, device: &Device) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), Tensor::zeros(shape, device))
}
