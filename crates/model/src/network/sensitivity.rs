//! How the outputs of a network move with the contexts of its windows: the gradient with respect to
//! inputs, where training takes that with respect to weights.

use panel::Window;

use super::{Backbone, Network, on_host, product};
use crate::architecture::Architecture;
use crate::batch::Batch;
use crate::heads::Outputs;
use crate::weights::{to_floats, with_weights};

impl Network {
    /// Raw outputs for some windows, of which attention sees the patches that it sees of another
    /// window of the same shape. Attention hides what is 0 throughout, so between two windows of
    /// different age outputs would jump; so they do not.
    pub fn outputs_as(&self, windows: &[&Window], seen_as: &Window) -> Outputs {
        let Backbone::Patches { module, architecture } = &self.backbone else {
            return self.outputs(windows);
        };
        let mut batch = Batch::new(windows, architecture, self.device.backend());
        let as_many = vec![seen_as; windows.len()];
        batch.hidden = Batch::new(&as_many, architecture, self.device.backend()).hidden;
        on_host(module.forward(&batch, architecture.n_heads, None))
    }

    /// The gradient of a loss with respect to each window's context, from that with respect to the
    /// outputs that [`Network::outputs_as`] answers; `None` from the dense network, which sees no
    /// context. Shapes `[windows][context, inputs]`, as the windows hold them; periods before the
    /// network's longest context have no influence.
    pub fn context_gradient(
        &self,
        weights: &[f32],
        windows: &[&Window],
        seen_as: &Window,
        of_outputs: &Outputs,
    ) -> Option<Vec<Vec<f32>>> {
        let (padded, architecture) = match &self.backbone {
            Backbone::Dense { .. } => return None,
            Backbone::Host { host, .. } => {
                let pass = host.forward(weights, windows, None);
                (host.context_gradient(weights, &pass, of_outputs), host.architecture())
            }
            Backbone::Patches { module, architecture } => {
                let backend = self.device.backend().clone().autodiff();
                let module = with_weights(module.as_ref().clone(), weights, &backend);
                let mut batch = Batch::new(windows, architecture, &backend);
                let as_many = vec![seen_as; windows.len()];
                batch.hidden = Batch::new(&as_many, architecture, &backend).hidden;
                batch.context = batch.context.require_grad();
                let context = batch.context.clone();
                let raw = module.forward(&batch, architecture.n_heads, None);
                let Outputs { horizon: _, units, turns, stages } = of_outputs.clone();
                let slopes = units.iter().chain(&turns).chain(&stages).copied();
                let scale = self.device.name().precision().scale(slopes);
                let loss = product(raw.0, units, scale)
                    + product(raw.1, turns, scale)
                    + product(raw.2, stages, scale);
                let gradient = context.grad_remove(&mut loss.backward())?;
                let slopes = to_floats(gradient).into_iter().map(|slope| slope / scale);
                (slopes.collect(), *architecture)
            }
        };
        Some(as_held(&padded, windows, &architecture))
    }
}

/// The rows of padded contexts that the windows hold themselves.
fn as_held(padded: &[f32], windows: &[&Window], architecture: &Architecture) -> Vec<Vec<f32>> {
    let n_inputs = architecture.dimensions.n_context_inputs;
    let padded = padded.chunks_exact(architecture.n_patches() * architecture.patch * n_inputs);
    let of_window = |(padded, window): (&[f32], &&Window)| {
        let n_longest = architecture.dimensions.context * n_inputs;
        let n_seen = window.context.len().min(n_longest);
        let mut held = vec![0.0; window.context.len() - n_seen];
        held.extend_from_slice(&padded[padded.len() - n_seen..]);
        held
    };
    padded.zip(windows).map(of_window).collect()
}
