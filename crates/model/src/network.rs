//! What a forecast and a training loop need of a network, whichever it is.

mod sensitivity;

use std::sync::Arc;

use burn::tensor::{Device as Backend, Tensor, Transaction};
use panel::Window;

use crate::architecture::{Architecture, Kind};
use crate::batch::{Batch, tensor};
use crate::dense::{Dense, DenseScaling};
use crate::devices::{Device, DeviceName, process_device};
use crate::heads::{N_STAGE_LOGITS, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs};
use crate::host::HostNetwork;
use crate::noise::Dropout;
use crate::patches::{Patches, Raw};
use crate::rollout::Rollout;
use crate::weights::{Layout, flat_gradients, floats, to_floats, with_weights};
use crate::workers::Workers;

/// A network's shape; weights are added by [`Network::with_weights`].
#[derive(Debug, Clone)]
pub struct Network {
    backbone: Backbone,
    device: Device,
}

#[derive(Debug, Clone)]
enum Backbone {
    Patches {
        module: Box<Patches>,
        architecture: Architecture,
    },
    /// The recurrent network of patches where it is computed without Burn; `module` is of zeros.
    Host {
        module: Box<Patches>,
        host: Arc<HostNetwork>,
        weights: Arc<[f32]>,
    },
    Dense {
        module: Box<Dense>,
        scaling: DenseScaling,
        horizon: usize,
    },
}

/// Gradients of a loss with respect to the raw outputs, shaped as [`Outputs`].
type OutputGradients = Outputs;

impl Network {
    /// A network of patches, of zeros, on the device of this process.
    pub fn patches(architecture: Architecture) -> Self {
        let device = process_device().clone();
        Self { backbone: Backbone::of_patches(architecture, &device), device }
    }

    /// The dense baseline, of zeros, on the device of this process.
    pub fn dense(scaling: DenseScaling, horizon: usize) -> Self {
        let device = process_device().clone();
        let module = Box::new(Dense::new(device.backend()));
        Self { backbone: Backbone::Dense { module, scaling, horizon }, device }
    }

    /// The same network, of zeros, on another device.
    #[must_use]
    pub fn on(&self, device: &Device) -> Self {
        let backbone = match self.backbone {
            Backbone::Patches { architecture, .. } => Backbone::of_patches(architecture, device),
            Backbone::Host { ref host, .. } => Backbone::of_patches(host.architecture(), device),
            Backbone::Dense { scaling, horizon, .. } => {
                let module = Box::new(Dense::new(device.backend()));
                Backbone::Dense { module, scaling, horizon }
            }
        };
        Self { backbone, device: device.clone() }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Windows of one forward pass that answers: on a CPU enough for full matrix products and few
    /// enough to stay in its cache, on a GPU as many as keep it busy.
    pub fn answer_batch(&self) -> usize {
        if self.device.name() == DeviceName::Cpu { 64 } else { 2048 }
    }

    /// Threads for its forward and backward passes: on a CPU one for each core; on a GPU two, so
    /// that one prepares a batch while the GPU works on the other's.
    pub fn workers(&self) -> Workers {
        self.workers_of(rayon::current_num_threads())
    }

    /// The same with at most so many on a CPU.
    pub fn workers_of(&self, n_threads: usize) -> Workers {
        match self.device.name() {
            DeviceName::Cpu => Workers::new(n_threads),
            DeviceName::Gpu(..) | DeviceName::OwnGpu(_) => Workers::new(2),
            DeviceName::Software => Workers::new(1),
        }
    }

    /// Which network this is.
    pub fn kind(&self) -> Kind {
        match self.backbone {
            Backbone::Patches { architecture, .. } => architecture.kind,
            Backbone::Host { .. } => Kind::Lstm,
            Backbone::Dense { .. } => Kind::Dense,
        }
    }

    /// Means and deviations of the dense network.
    pub fn dense_scaling(&self) -> Option<DenseScaling> {
        match self.backbone {
            Backbone::Patches { .. } | Backbone::Host { .. } => None,
            Backbone::Dense { scaling, .. } => Some(scaling),
        }
    }

    /// Paths and shapes of the parameters.
    pub fn layout(&self) -> Layout {
        match &self.backbone {
            Backbone::Patches { module, .. } | Backbone::Host { module, .. } => {
                Layout::of(module.as_ref())
            }
            Backbone::Dense { module, .. } => Layout::of(module.as_ref()),
        }
    }

    /// The network with these weights, for answering.
    #[must_use]
    pub fn with_weights(&self, weights: &[f32]) -> Self {
        let backend = self.device.backend();
        let backbone = match self.backbone.clone() {
            Backbone::Patches { module, architecture } => {
                let module = Box::new(with_weights(*module, weights, backend));
                Backbone::Patches { module, architecture }
            }
            Backbone::Host { module, host, .. } => {
                Backbone::Host { module, host, weights: weights.into() }
            }
            Backbone::Dense { module, scaling, horizon } => {
                let module = Box::new(with_weights(*module, weights, backend));
                Backbone::Dense { module, scaling, horizon }
            }
        };
        Self { backbone, device: self.device.clone() }
    }

    /// Raw outputs for some windows.
    pub fn outputs(&self, windows: &[&Window]) -> Outputs {
        match &self.backbone {
            Backbone::Patches { module, architecture } => {
                let batch = Batch::new(windows, architecture, self.device.backend());
                on_host(module.forward(&batch, architecture.n_heads, None))
            }
            Backbone::Host { host, weights, .. } => host.forward(weights, windows, None).outputs,
            Backbone::Dense { module, scaling, horizon } => Outputs {
                horizon: *horizon,
                units: to_floats(module.forward(dense_inputs(
                    windows,
                    scaling,
                    *horizon,
                    self.device.backend(),
                ))),
                turns: Vec::new(),
                stages: Vec::new(),
            },
        }
    }

    /// Where attention goes in one window; `None` from a network without attention.
    pub fn rollout(&self, window: &Window) -> Option<Rollout> {
        let Backbone::Patches { module, architecture } = &self.backbone else { return None };
        let batch = Batch::new(&[window], architecture, self.device.backend());
        let shares = to_floats(module.rollout(&batch, architecture.n_heads)?);
        let n_periods = window.context.len() / architecture.dimensions.n_context_inputs;
        Some(Rollout::new(&shares, architecture, n_periods))
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
        noise: Option<&mut Dropout>,
        judge: impl FnOnce(&Outputs) -> (OutputGradients, R),
    ) -> (Vec<f32>, R) {
        let backend = self.device.backend().clone().autodiff();
        let precision = self.device.name().precision();
        match &self.backbone {
            Backbone::Host { host, .. } => {
                let pass = host.forward(weights, windows, noise);
                let (of_outputs, report) = judge(&pass.outputs);
                (host.gradient(weights, &pass, &of_outputs), report)
            }
            Backbone::Patches { module, architecture } => {
                let module = with_weights(module.as_ref().clone(), weights, &backend);
                let batch = Batch::new(windows, architecture, &backend);
                let raw = module.forward(&batch, architecture.n_heads, noise);
                let (gradient, report) = judge(&on_host(raw.clone()));
                let OutputGradients { horizon: _, units, turns, stages } = gradient;
                let scale = precision.scale(units.iter().chain(&turns).chain(&stages).copied());
                let loss = product(raw.0, units, scale)
                    + product(raw.1, turns, scale)
                    + product(raw.2, stages, scale);
                (flat_gradients(&module, &mut loss.backward(), scale), report)
            }
            Backbone::Dense { module, scaling, horizon } => {
                let module = with_weights(module.as_ref().clone(), weights, &backend);
                let raw = module.forward(dense_inputs(windows, scaling, *horizon, &backend));
                let units = to_floats(raw.clone());
                let (turns, stages) = (Vec::new(), Vec::new());
                let outputs = Outputs { horizon: *horizon, units, turns, stages };
                let (gradient, report) = judge(&outputs);
                let scale = precision.scale(gradient.units.iter().copied());
                let loss = product(raw, gradient.units, scale);
                (flat_gradients(&module, &mut loss.backward(), scale), report)
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
        (masks, share): (&mut Dropout, f32),
        judge: impl FnOnce(&Masked) -> (Vec<f32>, R),
    ) -> Option<(Vec<f32>, R)> {
        let backend = self.device.backend().clone().autodiff();
        let (module, architecture) = match &self.backbone {
            Backbone::Patches { module, architecture } => (module, *architecture),
            Backbone::Host { module, host, .. } => (module, host.architecture()),
            Backbone::Dense { .. } => return None,
        };
        let module = &with_weights(module.as_ref().clone(), weights, &backend);
        let architecture = &architecture;
        let batch = Batch::new(windows, architecture, &backend);
        let shape = [windows.len(), architecture.n_patches(), 1];
        let masked = masks.chosen(share, shape[0] * shape[1]);
        let truth = masked_units(windows, architecture, &masked);
        let raw =
            module.reconstruction(&batch, architecture.n_heads, tensor(masked, shape, &backend));
        let (gradient, report) = judge(&Masked { units: to_floats(raw.clone()), truth });
        let scale = self.device.name().precision().scale(gradient.iter().copied());
        let loss = product(raw, gradient, scale);
        Some((flat_gradients(module, &mut loss.backward(), scale), report))
    }
}

impl Backbone {
    /// A network of patches, of zeros.
    fn of_patches(architecture: Architecture, device: &Device) -> Self {
        let module = Box::new(Patches::new(&architecture, device.backend()));
        if architecture.kind != Kind::Lstm || device.name() != DeviceName::Cpu {
            return Self::Patches { module, architecture };
        }
        let layout = Layout::of(module.as_ref());
        let host = Arc::new(HostNetwork::new(&architecture, &layout));
        Self::Host { module, host, weights: vec![0.0; layout.n_values()].into() }
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

fn dense_inputs(
    windows: &[&Window],
    scaling: &DenseScaling,
    horizon: usize,
    backend: &Backend,
) -> Tensor<2> {
    let inputs: Vec<f32> =
        windows.iter().flat_map(|window| scaling.inputs(window, horizon)).collect();
    tensor(inputs, [windows.len() * horizon, 2], backend)
}

/// The sum of raw outputs times the scaled gradients with respect to them: its gradient with
/// respect to a weight is the loss's, times `scale`.
fn product<const D: usize>(raw: Tensor<D>, mut gradients: Vec<f32>, scale: f32) -> Tensor<1> {
    if scale != 1.0 {
        for slope in &mut gradients {
            *slope *= scale;
        }
    }
    let gradients = tensor(gradients, raw.dims(), &raw.device());
    (raw * gradients).sum()
}

/// All raw outputs in one transfer.
fn on_host((units, turns, stages): Raw) -> Outputs {
    let [_, horizon, n_outputs] = units.dims();
    assert_eq!(
        [n_outputs, turns.dims()[1], stages.dims()[1]],
        [N_UNIT_OUTPUTS, N_TURN_LOGITS, N_STAGE_LOGITS]
    );
    let transfer = Transaction::default().register(units).register(turns).register(stages);
    let [units, turns, stages] =
        floats(transfer).try_into().expect("a transfer brings as many tensors as were registered");
    Outputs { horizon, units, turns, stages }
}

#[cfg(test)]
mod tests {
    use lifecycle::{Period, Series, StageProbabilities};
    use panel::{CONTEXT_INPUTS, FilterOutlook, HORIZON_INPUTS, STATIC_INPUTS};

    use super::*;
    use crate::architecture::{Dimensions, Size};
    use crate::noise::Noise;
    use crate::weights::initial_weights;

    fn drawn(n: usize, noise: &mut Noise) -> Vec<f32> {
        (0..n).map(|_| 2.0 * noise.uniform() - 1.0).collect()
    }

    fn windows(n: usize) -> Vec<Window> {
        let mut noise = Noise::new(5);
        let stage = StageProbabilities::from_weights([1.0; 5]);
        let window = |number: usize, noise: &mut Noise| Window {
            series: Series::of("a"),
            origin: Period(9),
            scale: 1.0,
            context: drawn((21 - number) * CONTEXT_INPUTS.len(), noise),
            statics: drawn(STATIC_INPUTS.len(), noise),
            horizon: drawn((7 - number % 3) * HORIZON_INPUTS.len(), noise),
            filter: FilterOutlook { stage_now: stage, stages: [stage; 3], expected: Vec::new() },
            age: 1,
            n_observed: 1,
            cold_start: false,
            far_from_training: false,
        };
        (0..n).map(|number| window(number, &mut noise)).collect()
    }

    /// The same network by Burn's operations.
    fn eager(architecture: Architecture) -> Network {
        let device = process_device().clone();
        let module = Box::new(Patches::new(&architecture, device.backend()));
        Network { backbone: Backbone::Patches { module, architecture }, device }
    }

    const DIMENSIONS: Dimensions = Dimensions {
        context: 18,
        horizon: 7,
        n_context_inputs: CONTEXT_INPUTS.len(),
        n_static_inputs: STATIC_INPUTS.len(),
        n_horizon_inputs: HORIZON_INPUTS.len(),
    };

    #[test]
    fn the_recurrent_network_by_hand_is_that_of_burn() {
        for size in [Size::Tiny, Size::Base] {
            let architecture = Architecture::new(Kind::Lstm, size, DIMENSIONS);
            let (ours, eager) = (Network::patches(architecture), eager(architecture));
            assert!(matches!(ours.backbone, Backbone::Host { .. }));
            let layout = ours.layout();
            assert_eq!(layout, eager.layout());
            let mut noise = Noise::new(3);
            let mut weights = initial_weights(&layout, 7);
            for weight in &mut weights {
                *weight += 0.1 * (noise.uniform() - 0.5);
            }
            let windows = windows(11);
            let windows: Vec<&Window> = windows.iter().collect();
            let of = |network: &Network, dropout: f32| {
                let mut noise = Dropout::new(0..windows.len() as u64, dropout);
                let noise = (dropout > 0.0).then_some(&mut noise);
                network.gradient(&weights, &windows, noise, |raw| (raw.clone(), raw.clone()))
            };
            let (_, raw) = of(&eager, 0.0);
            for dropout in [0.0, 0.2] {
                let ((ours, said), (right, right_said)) = (of(&ours, dropout), of(&eager, dropout));
                let size = right.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
                for ((path, _, range), at) in layout.places().zip(0..) {
                    let slopes = ours[range.clone()].iter().zip(&right[range]);
                    let gap = slopes.map(|(ours, right)| (ours - right).abs()).fold(0.0, f32::max);
                    assert!(gap < 1e-5 * size, "{path} ({at}), dropout {dropout}: {gap} of {size}");
                }
                let gap = |ours: &[f32], right: &[f32]| {
                    assert_eq!(ours.len(), right.len());
                    ours.iter().zip(right).all(|(ours, right)| (ours - right).abs() < 1e-5)
                };
                assert!(gap(&said.units, &right_said.units));
                assert!(gap(&said.turns, &right_said.turns));
                assert!(gap(&said.stages, &right_said.stages));
            }
            let (ours, eager) = (ours.with_weights(&weights), eager.with_weights(&weights));
            let slopes = |network: &Network| {
                let gradient = network.context_gradient(&weights, &windows, windows[0], &raw);
                gradient.expect("a network of patches").concat()
            };
            let (by_hand, right) = (slopes(&ours), slopes(&eager));
            let size = right.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
            let gaps = by_hand.iter().zip(&right).map(|(ours, right)| (ours - right).abs());
            assert!(size > 0.0 && gaps.fold(0.0, f32::max) < 1e-5 * size, "of contexts");
            let (answered, right) = (ours.outputs(&windows), eager.outputs(&windows));
            assert!(answered.units.iter().zip(&right.units).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn attention_looks_at_what_is_there() {
        let network = |kind| {
            let network = Network::patches(Architecture::new(kind, Size::Tiny, DIMENSIONS));
            network.with_weights(&initial_weights(&network.layout(), 7))
        };
        assert_eq!(network(Kind::Lstm).rollout(&windows(1)[0]), None);
        let mut window = windows(1).remove(0);
        let n_before = window.context.len() / CONTEXT_INPUTS.len() - 6;
        window.context[..n_before * CONTEXT_INPUTS.len()].fill(0.0);
        let rollout = network(Kind::Transformer).rollout(&window).expect("it attends");
        let all = rollout.context.iter().sum::<f32>() + rollout.statics + rollout.horizon;
        assert!((all - 1.0).abs() < 1e-4, "{rollout:?}");
        assert!(rollout.context[..n_before - 8].iter().all(|share| *share == 0.0), "{rollout:?}");
        assert!(rollout.context.iter().rev().take(6).all(|share| *share > 0.0), "{rollout:?}");
    }

    #[test]
    fn the_gradient_of_contexts_is_that_of_differences() {
        for kind in [Kind::Transformer, Kind::Lstm] {
            let network = Network::patches(Architecture::new(kind, Size::Tiny, DIMENSIONS));
            let weights = initial_weights(&network.layout(), 7);
            let network = network.with_weights(&weights);
            // Longer, as long and shorter than the network's context.
            for window in [&windows(1)[0], &windows(4)[3], &windows(9)[8]] {
                let raw = network.outputs_as(&[window], window);
                let of_outputs = Outputs {
                    units: vec![1.0; raw.units.len()],
                    turns: vec![1.0; raw.turns.len()],
                    stages: vec![-1.0; raw.stages.len()],
                    ..raw
                };
                let gradient = network
                    .context_gradient(&weights, &[window], window, &of_outputs)
                    .expect("a network of patches");
                let loss = |changed: &Window| {
                    let raw = network.outputs_as(&[changed], window);
                    let sum = |of: &[f32]| of.iter().copied().map(f64::from).sum::<f64>();
                    sum(&raw.units) + sum(&raw.turns) - sum(&raw.stages)
                };
                assert_eq!(gradient[0].len(), window.context.len());
                for at in (0..window.context.len()).step_by(17) {
                    let moved = |by: f32| {
                        let mut changed = window.clone();
                        changed.context[at] += by;
                        loss(&changed)
                    };
                    let slope = (moved(0.005) - moved(-0.005)) / 0.01;
                    let gap = (slope - f64::from(gradient[0][at])).abs();
                    assert!(gap < 0.01 + 0.02 * slope.abs(), "{kind:?}, {at}: {gap} of {slope}");
                }
            }
        }
    }
}
