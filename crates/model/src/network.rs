//! What a forecast and a training loop need of a network, whichever it is.

use burn::tensor::{Device, Tensor};
use panel::Window;

use crate::architecture::{Architecture, Kind};
use crate::batch::{Batch, tensor};
use crate::dense::{Dense, DenseScaling};
use crate::heads::{N_STAGE_LOGITS, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs};
use crate::noise::Noise;
use crate::transformer::{Raw, Transformer};
use crate::weights::{Layout, flat_gradients, to_floats, with_weights};

/// A network's shape; weights are added by [`Network::with_weights`].
#[derive(Debug, Clone)]
pub struct Network {
    backbone: Backbone,
    device: Device,
}

#[derive(Debug, Clone)]
enum Backbone {
    Transformer { module: Box<Transformer>, architecture: Architecture },
    Dense { module: Box<Dense>, scaling: DenseScaling, horizon: usize },
}

/// Gradients of a loss with respect to the raw outputs, shaped as [`Outputs`].
type OutputGradients = Outputs;

impl Network {
    /// A Transformer of zeros on the CPU.
    pub fn transformer(architecture: Architecture) -> Self {
        let device = Device::flex();
        let module = Box::new(Transformer::new(&architecture, &device));
        Self { backbone: Backbone::Transformer { module, architecture }, device }
    }

    /// The dense baseline, of zeros, on the CPU.
    pub fn dense(scaling: DenseScaling, horizon: usize) -> Self {
        let device = Device::flex();
        let module = Box::new(Dense::new(&device));
        Self { backbone: Backbone::Dense { module, scaling, horizon }, device }
    }

    /// Which network this is.
    pub fn kind(&self) -> Kind {
        match self.backbone {
            Backbone::Transformer { .. } => Kind::Transformer,
            Backbone::Dense { .. } => Kind::Dense,
        }
    }

    /// Means and deviations of the dense network.
    pub fn dense_scaling(&self) -> Option<DenseScaling> {
        match self.backbone {
            Backbone::Transformer { .. } => None,
            Backbone::Dense { scaling, .. } => Some(scaling),
        }
    }

    /// Paths and shapes of the parameters.
    pub fn layout(&self) -> Layout {
        match &self.backbone {
            Backbone::Transformer { module, .. } => Layout::of(module.as_ref()),
            Backbone::Dense { module, .. } => Layout::of(module.as_ref()),
        }
    }

    /// The network with these weights, for answering.
    #[must_use]
    pub fn with_weights(&self, weights: &[f32]) -> Self {
        self.placed(weights, &self.device)
    }

    fn placed(&self, weights: &[f32], device: &Device) -> Self {
        let backbone = match self.backbone.clone() {
            Backbone::Transformer { module, architecture } => {
                let module = Box::new(with_weights(*module, weights, device));
                Backbone::Transformer { module, architecture }
            }
            Backbone::Dense { module, scaling, horizon } => {
                let module = Box::new(with_weights(*module, weights, device));
                Backbone::Dense { module, scaling, horizon }
            }
        };
        Self { backbone, device: device.clone() }
    }

    /// Raw outputs for some windows.
    pub fn outputs(&self, windows: &[&Window]) -> Outputs {
        match &self.backbone {
            Backbone::Transformer { module, architecture } => {
                let batch = Batch::new(windows, architecture, &self.device);
                on_host(module.forward(&batch, architecture.n_heads, None))
            }
            Backbone::Dense { module, scaling, horizon } => Outputs {
                horizon: *horizon,
                units: to_floats(module.forward(self.dense_inputs(windows, scaling, *horizon))),
                turns: Vec::new(),
                stages: Vec::new(),
            },
        }
    }

    fn dense_inputs(
        &self,
        windows: &[&Window],
        scaling: &DenseScaling,
        horizon: usize,
    ) -> Tensor<2> {
        let inputs: Vec<f32> =
            windows.iter().flat_map(|window| scaling.inputs(window, horizon)).collect();
        tensor(inputs, [windows.len() * horizon, 2], &self.device)
    }

    /// The gradient, with respect to all parameters, of a loss that `judge` knows: from raw outputs
    /// it answers the loss's gradient with respect to them, and whatever it wants to report.
    ///
    /// Losses and their gradients in closed form on the host cost a tenth of the same in eager
    /// tensor operations, and are plain functions to test.
    pub fn gradient<R>(
        &self,
        weights: &[f32],
        windows: &[&Window],
        noise: Option<&mut Noise>,
        judge: impl FnOnce(&Outputs) -> (OutputGradients, R),
    ) -> (Vec<f32>, R) {
        let device = self.device.clone().autodiff();
        let leaf = self.placed(weights, &device);
        match &leaf.backbone {
            Backbone::Transformer { module, architecture } => {
                let batch = Batch::new(windows, architecture, &device);
                let raw = module.forward(&batch, architecture.n_heads, noise);
                let (gradient, report) = judge(&on_host(raw.clone()));
                let [units, turns, stages] = [gradient.units, gradient.turns, gradient.stages];
                let loss = (raw.0.clone() * tensor(units, raw.0.dims(), &device)).sum()
                    + (raw.1.clone() * tensor(turns, raw.1.dims(), &device)).sum()
                    + (raw.2.clone() * tensor(stages, raw.2.dims(), &device)).sum();
                (flat_gradients(module.as_ref(), &mut loss.backward()), report)
            }
            Backbone::Dense { module, scaling, horizon } => {
                let inputs = leaf.dense_inputs(windows, scaling, *horizon);
                let raw = module.forward(inputs);
                let units = to_floats(raw.clone());
                let (turns, stages) = (Vec::new(), Vec::new());
                let outputs = Outputs { horizon: *horizon, units, turns, stages };
                let (gradient, report) = judge(&outputs);
                let loss = (raw.clone() * tensor(gradient.units, raw.dims(), &device)).sum();
                (flat_gradients(module.as_ref(), &mut loss.backward()), report)
            }
        }
    }
}

fn on_host((units, turns, stages): Raw) -> Outputs {
    let [_, horizon, n_outputs] = units.dims();
    assert_eq!(
        [n_outputs, turns.dims()[1], stages.dims()[1]],
        [N_UNIT_OUTPUTS, N_TURN_LOGITS, N_STAGE_LOGITS]
    );
    Outputs { horizon, units: to_floats(units), turns: to_floats(turns), stages: to_floats(stages) }
}
