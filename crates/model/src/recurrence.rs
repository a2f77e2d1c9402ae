//! A layer of long short-term memory (Hochreiter & Schmidhuber 1997) in the place of attention: it
//! reads the context patch by patch, and what it remembers at the end is added to every token after
//! the context.
//!
//! A step makes two products for all gates; Burn's own layer makes eight. The context is cut into its
//! patches by halves: the gradient of a cut is as large as what was cut, so 26 cuts from the whole
//! would cost more than the layer.

use burn::module::Module;
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Device, Tensor};

use crate::architecture::Architecture;
use crate::noise::Dropout;
use crate::patches::{Norm, linear};

/// A pre-norm recurrent layer, added to its input.
#[derive(Module, Debug)]
pub(crate) struct Recurrence {
    norm: Norm,
    /// From a patch to the input, forget and output gates and the candidate.
    gates: Linear,
    /// From what was last said to the same.
    back: Linear,
}

impl Recurrence {
    pub(crate) fn new(architecture: &Architecture, device: &Device) -> Self {
        let d_model = architecture.d_model;
        let back = LinearConfig::new(d_model, 4 * d_model).with_bias(false);
        Self {
            norm: Norm::new(d_model, device),
            gates: linear(d_model, 4 * d_model, device),
            back: back.with_initializer(Initializer::Zeros).init(device),
        }
    }

    /// The tokens after this layer, of which the first `n_patches` are the context.
    pub(crate) fn forward(
        &self,
        tokens: Tensor<3>,
        n_patches: usize,
        noise: Option<&mut Dropout>,
    ) -> Tensor<3> {
        let [n_windows, n_tokens, d_model] = tokens.dims();
        let device = tokens.device();
        let context = tokens.clone().narrow(1, 0, n_patches);
        let said = self.read(patches_of(self.norm.forward(context)));
        let last: Tensor<2> = said.last().cloned().expect("a context has a patch");
        let n_others = n_tokens - n_patches;
        let others = last.unsqueeze_dim::<3>(1).expand([n_windows, n_others, d_model]);
        let update = Tensor::cat(vec![Tensor::stack::<3>(said, 1), others], 1);
        match noise {
            None => tokens + update,
            Some(noise) => {
                tokens + update * noise.mask(noise.hidden, [n_windows, 1, d_model], &device)
            }
        }
    }

    /// What is said after each patch. Shapes `[n_windows, d_model]`.
    fn read(&self, patches: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let mut said: Vec<Tensor<2>> = Vec::with_capacity(patches.len());
        let mut memory: Option<Tensor<2>> = None;
        for patch in patches {
            let [_, d_model] = patch.dims();
            let mut gates = self.gates.forward(patch);
            if let Some(last) = said.last() {
                gates = gates + self.back.forward(last.clone());
            }
            let open = sigmoid(gates.clone().narrow(1, 0, 3 * d_model));
            let gate = |n: usize| open.clone().narrow(1, n * d_model, d_model);
            let candidate = tanh(gates.narrow(1, 3 * d_model, d_model));
            let learnt = gate(0) * candidate;
            let kept = match memory {
                Some(memory) => learnt + gate(1) * memory,
                None => learnt,
            };
            said.push(gate(2) * tanh(kept.clone()));
            memory = Some(kept);
        }
        said
    }
}

/// The patches of a context of shape `[n_windows, n_patches, d_model]`, each `[n_windows, d_model]`.
fn patches_of(context: Tensor<3>) -> Vec<Tensor<2>> {
    let [_, n_patches, _] = context.dims();
    if n_patches == 1 {
        return vec![context.squeeze_dim(1)];
    }
    let half = n_patches / 2;
    let mut patches = patches_of(context.clone().narrow(1, 0, half));
    patches.extend(patches_of(context.narrow(1, half, n_patches - half)));
    patches
}
