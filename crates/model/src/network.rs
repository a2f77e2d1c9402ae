//! What a forecast and a training loop need of a network, whichever it is.

use burn::tensor::{Device, Tensor};
use panel::Window;

use crate::architecture::{Architecture, Kind};
use crate::batch::{Batch, tensor};
use crate::dense::{Dense, DenseScaling};
use crate::heads::{N_STAGE_LOGITS, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs};
use crate::noise::Noise;
use crate::patches::{Patches, Raw};
use crate::weights::{Layout, flat_gradients, to_floats, with_weights};

/// A network's shape; weights are added by [`Network::with_weights`].
#[derive(Debug, Clone)]
pub struct Network {
    backbone: Backbone,
    device: Device,
}

#[derive(Debug, Clone)]
enum Backbone {
    Patches { module: Box<Patches>, architecture: Architecture },
    Dense { module: Box<Dense>, scaling: DenseScaling, horizon: usize },
}

/// Gradients of a loss with respect to the raw outputs, shaped as [`Outputs`].
type OutputGradients = Outputs;

impl Network {
    /// A network of patches, of zeros, on the CPU.
    pub fn patches(architecture: Architecture) -> Self {
        let device = Device::flex();
        let module = Box::new(Patches::new(&architecture, &device));
        Self { backbone: Backbone::Patches { module, architecture }, device }
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
            Backbone::Patches { architecture, .. } => architecture.kind,
            Backbone::Dense { .. } => Kind::Dense,
        }
    }

    /// Means and deviations of the dense network.
    pub fn dense_scaling(&self) -> Option<DenseScaling> {
        match self.backbone {
            Backbone::Patches { .. } => None,
            Backbone::Dense { scaling, .. } => Some(scaling),
        }
    }

    /// Paths and shapes of the parameters.
    pub fn layout(&self) -> Layout {
        match &self.backbone {
            Backbone::Patches { module, .. } => Layout::of(module.as_ref()),
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
            Backbone::Patches { module, architecture } => {
                let module = Box::new(with_weights(*module, weights, device));
                Backbone::Patches { module, architecture }
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
            Backbone::Patches { module, architecture } => {
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
            Backbone::Patches { module, architecture } => {
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

    /// The gradient of a loss of what a network of patches says of patches that it does not see,
    /// each of which is masked with this probability; `None` from another network. It learns without
    /// labels. `judge` answers the loss's gradient with respect to [`Masked::units`], as in
    /// [`Network::gradient`].
    pub fn reconstruction_gradient<R>(
        &self,
        weights: &[f32],
        windows: &[&Window],
        (noise, share): (&mut Noise, f32),
        judge: impl FnOnce(&Masked) -> (Vec<f32>, R),
    ) -> Option<(Vec<f32>, R)> {
        let device = self.device.clone().autodiff();
        let leaf = self.placed(weights, &device);
        let Backbone::Patches { module, architecture } = &leaf.backbone else { return None };
        let batch = Batch::new(windows, architecture, &device);
        let shape = [windows.len(), architecture.n_patches(), 1];
        let drawn = (0..shape[0] * shape[1]).map(|_| f32::from(noise.uniform() < share));
        let masked: Vec<f32> = drawn.collect();
        let truth = masked_units(windows, architecture, &masked);
        let raw = module.reconstruction(
            &batch,
            architecture.n_heads,
            tensor(masked, shape, &device),
        );
        let (gradient, report) = judge(&Masked { units: to_floats(raw.clone()), truth });
        let loss = (raw.clone() * tensor(gradient, raw.dims(), &device)).sum();
        Some((flat_gradients(module.as_ref(), &mut loss.backward()), report))
    }
}

/// What a network says of the units of contexts some of whose patches it did not see.
#[derive(Debug, Clone, PartialEq)]
pub struct Masked {
    /// Scaled units as the context holds them. Shape `[windows, patches, patch]`.
    pub units: Vec<f32>,
    /// What they are; NaN where they were seen or nobody knows. Shape as `units`.
    pub truth: Vec<f32>,
}

/// Units of the masked patches, NaN elsewhere. Shape `[windows, patches, patch]`.
fn masked_units(windows: &[&Window], architecture: &Architecture, masked: &[f32]) -> Vec<f32> {
    let place = |wanted: &str| panel::CONTEXT_INPUTS.iter().position(|name| *name == wanted);
    let (units, observed) = (place("units").unwrap_or(0), place("observed").unwrap_or(0));
    let (n_patches, patch) = (architecture.n_patches(), architecture.patch);
    let mut truth = Vec::with_capacity(masked.len() * patch);
    for (window, masked) in windows.iter().zip(masked.chunks_exact(n_patches)) {
        let mut periods = window.context.rchunks_exact(panel::CONTEXT_INPUTS.len());
        let begin = truth.len();
        truth.resize(begin + n_patches * patch, f32::NAN);
        for (value, period) in truth[begin..].iter_mut().rev().zip(&mut periods) {
            *value = if period[observed] > 0.0 { period[units] } else { f32::NAN };
        }
        for (values, masked) in truth[begin..].chunks_exact_mut(patch).zip(masked) {
            if *masked == 0.0 {
                values.fill(f32::NAN);
            }
        }
    }
    truth
}

fn on_host((units, turns, stages): Raw) -> Outputs {
    let [_, horizon, n_outputs] = units.dims();
    assert_eq!(
        [n_outputs, turns.dims()[1], stages.dims()[1]],
        [N_UNIT_OUTPUTS, N_TURN_LOGITS, N_STAGE_LOGITS]
    );
    Outputs { horizon, units: to_floats(units), turns: to_floats(turns), stages: to_floats(stages) }
}
