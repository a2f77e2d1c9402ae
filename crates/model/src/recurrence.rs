//! A layer of long short-term memory in the place of attention: it reads the context patch by
//! patch, and what it remembers at the end is added to every token after the context.

use burn::module::Module;
use burn::nn::{Initializer, Lstm, LstmConfig};
use burn::tensor::{Device, Tensor};

use crate::architecture::Architecture;
use crate::noise::Noise;
use crate::patches::Norm;

/// A pre-norm recurrent layer, added to its input.
#[derive(Module, Debug)]
pub(crate) struct Recurrence {
    norm: Norm,
    lstm: Lstm,
}

impl Recurrence {
    pub(crate) fn new(architecture: &Architecture, device: &Device) -> Self {
        let d_model = architecture.d_model;
        let lstm = LstmConfig::new(d_model, d_model, true).with_initializer(Initializer::Zeros);
        Self { norm: Norm::new(d_model, device), lstm: lstm.init(device) }
    }

    /// The tokens after this layer, of which the first `n_patches` are the context.
    pub(crate) fn forward(
        &self,
        tokens: Tensor<3>,
        n_patches: usize,
        noise: Option<&mut Noise>,
    ) -> Tensor<3> {
        let [n_windows, n_tokens, d_model] = tokens.dims();
        let device = tokens.device();
        let context = self.norm.forward(tokens.clone()).narrow(1, 0, n_patches);
        let (read, _) = self.lstm.forward(context, None);
        let last = read.clone().narrow(1, n_patches - 1, 1);
        let n_others = n_tokens - n_patches;
        let update = Tensor::cat(vec![read, last.expand([n_windows, n_others, d_model])], 1);
        match noise {
            None => tokens + update,
            Some(noise) => {
                tokens + update * noise.mask(noise.dropout, [n_windows, 1, d_model], &device)
            }
        }
    }
}
