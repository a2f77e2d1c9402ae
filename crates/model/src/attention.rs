//! Layers of attention: pre-norm with RMS norms (Zhang & Sennrich 2019), and `ReLU` inside (an
//! exponential for each hidden unit of each token costs a tenth of the time).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};

use crate::architecture::Architecture;
use crate::noise::Dropout;
use crate::patches::{Norm, linear};

/// A pre-norm encoder layer: attention, then a feed-forward part, each added to its input.
#[derive(Module, Debug)]
pub(crate) struct Layer {
    attention_norm: Norm,
    qkv: Linear,
    attention_out: Linear,
    hidden_norm: Norm,
    hidden_in: Linear,
    hidden_out: Linear,
    /// A bottleneck on the layer's output (Houlsby et al. 2019), where a model was adapted so.
    adapter_in: Option<Linear>,
    adapter_out: Option<Linear>,
}

impl Layer {
    pub(crate) fn new(architecture: &Architecture, device: &Device) -> Self {
        let Architecture { d_model, d_hidden, d_adapter, .. } = *architecture;
        let adapter = |n_in, n_out| (d_adapter > 0).then(|| linear(n_in, n_out, device));
        Self {
            attention_norm: Norm::new(d_model, device),
            qkv: linear(d_model, 3 * d_model, device),
            attention_out: linear(d_model, d_model, device),
            hidden_norm: Norm::new(d_model, device),
            hidden_in: linear(d_model, d_hidden, device),
            hidden_out: linear(d_hidden, d_model, device),
            adapter_in: adapter(d_model, d_adapter),
            adapter_out: adapter(d_adapter, d_model),
        }
    }

    /// The tokens after this layer; `hidden` is added to the scores of attention.
    pub(crate) fn forward(
        &self,
        tokens: Tensor<3>,
        hidden: &Tensor<4>,
        n_heads: usize,
        mut noise: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let [n_windows, _, d_model] = tokens.dims();
        let device = tokens.device();
        let mut drop = |update: Tensor<3>| match noise.as_deref_mut() {
            None => update,
            Some(noise) => update * noise.mask(noise.hidden, [n_windows, 1, d_model], &device),
        };
        let update = self.attention(self.attention_norm.forward(tokens.clone()), hidden, n_heads);
        let tokens = tokens + drop(update);
        let update = self.hidden_in.forward(self.hidden_norm.forward(tokens.clone()));
        let update = self.hidden_out.forward(relu(update));
        let tokens = tokens + drop(update);
        match (&self.adapter_in, &self.adapter_out) {
            (Some(down), Some(up)) => tokens.clone() + up.forward(relu(down.forward(tokens))),
            _ => tokens,
        }
    }

    /// How much each token attends to each, mean of the heads; rows add up to 1. Shape
    /// `[windows, tokens, tokens]`.
    pub(crate) fn attended(
        &self,
        tokens: Tensor<3>,
        hidden: &Tensor<4>,
        n_heads: usize,
    ) -> Tensor<3> {
        let [n_windows, n_tokens, _] = tokens.dims();
        let (weights, _) = self.weighed(self.attention_norm.forward(tokens), hidden, n_heads);
        weights.mean_dim(1).reshape([n_windows, n_tokens, n_tokens])
    }

    fn attention(&self, tokens: Tensor<3>, hidden: &Tensor<4>, n_heads: usize) -> Tensor<3> {
        let shape = tokens.dims();
        let (weights, value) = self.weighed(tokens, hidden, n_heads);
        self.attention_out.forward(weights.matmul(value).swap_dims(1, 2).reshape(shape))
    }

    /// Weights of attention, `[windows, heads, tokens, tokens]`, and the values that they weigh.
    fn weighed(
        &self,
        tokens: Tensor<3>,
        hidden: &Tensor<4>,
        n_heads: usize,
    ) -> (Tensor<4>, Tensor<4>) {
        let [n_windows, n_tokens, d_model] = tokens.dims();
        let d_head = d_model / n_heads;
        let qkv = self.qkv.forward(tokens).reshape([n_windows, n_tokens, 3 * n_heads, d_head]);
        let qkv = qkv.swap_dims(1, 2);
        let query = qkv.clone().narrow(1, 0, n_heads).mul_scalar((d_head as f32).sqrt().recip());
        let key = qkv.clone().narrow(1, n_heads, n_heads);
        let value = qkv.narrow(1, 2 * n_heads, n_heads);
        let scores = query.matmul(key.swap_dims(2, 3)) + hidden.clone();
        (softmax(scores, 3), value)
    }
}
