//! The recurrent network of patches on a CPU, forward and backward by hand.
//!
//! What [`crate::patches`] says in Burn's tensors, this says in loops over slices: the same
//! parameters and the same numbers, which a test holds together. An eager training step of the default
//! network makes many small tensors for each patch and remembers them in a graph that all threads share;
//! here it is some thirty products and a loop. Burn remains what GPUs, attention and pretraining compute with.

use std::ops::Range;

use panel::Window;

use self::kernels::{
    Affine, Normed, Scale, add, add_rows, beside, firsts, place, scale, silu, through_silu,
};
use self::memory_cell::{Reading, Shape};
use crate::architecture::{Architecture, N_STATIC_TOKENS};
use crate::batch::Stacked;
use crate::heads::Outputs;
use crate::noise::Dropout;
use crate::weights::Layout;

mod kernels;
mod memory_cell;

/// Where the parameters of each part stand in the flat vector.
#[derive(Debug, Clone)]
pub(crate) struct HostNetwork {
    architecture: Architecture,
    n_values: usize,
    patch_in: Affine,
    horizon_in: Affine,
    wide_in: Affine,
    wide_up: Affine,
    wide_down: Affine,
    wide_norm: Scale,
    static_tokens: Affine,
    positions: Range<usize>,
    layers: Vec<Layer>,
    norm: Scale,
    step_in: Affine,
    step_wide: Affine,
    step_positions: Range<usize>,
    units_head: Affine,
    outlook_in: Affine,
    turns_head: Affine,
    stages_head: Affine,
}

/// A recurrent layer.
#[derive(Debug, Clone)]
struct Layer {
    norm: Scale,
    gates: Affine,
    back: Range<usize>,
}

/// A forward pass, with what its gradient needs.
#[derive(Debug)]
pub(crate) struct Pass {
    inputs: Stacked,
    wide: Wide,
    read: Vec<Read>,
    /// The tokens of the outlook and of the groups. Shape `[windows, 1 + groups, d_model]`.
    tokens: Normed,
    /// Before and after the activation. Shape `[windows, horizon, d_model]`, then `.. + inputs]`.
    steps: (Vec<f32>, Vec<f32>),
    /// Before the activation, shape `[windows, d_wide]`; what the heads see.
    outlook: (Vec<f32>, Vec<f32>),
    pub(crate) outputs: Outputs,
}

/// The direct path of the statics. Shapes `[windows, d_wide]`.
#[derive(Debug)]
struct Wide {
    entered: (Vec<f32>, Vec<f32>),
    up: (Vec<f32>, Vec<f32>),
    normed: Normed,
    mask: Option<Vec<f32>>,
    out: Vec<f32>,
}

/// A layer's pass over the context.
#[derive(Debug)]
struct Read {
    normed: Normed,
    reading: Reading,
    /// Shape `[windows, d_model]`.
    mask: Option<Vec<f32>>,
}

impl HostNetwork {
    /// The network of this shape and layout.
    pub(crate) fn new(architecture: &Architecture, layout: &Layout) -> Self {
        let affine = |path: &str| Affine::at(layout, path);
        let layer = |number: usize| Layer {
            norm: Scale::at(layout, &format!("recurrences.{number}.norm")),
            gates: affine(&format!("recurrences.{number}.gates")),
            back: place(layout, &format!("recurrences.{number}.back.weight")).0,
        };
        Self {
            architecture: *architecture,
            n_values: layout.n_values(),
            patch_in: affine("patch_in"),
            horizon_in: affine("horizon_in"),
            wide_in: affine("wide_in"),
            wide_up: affine("wide_up"),
            wide_down: affine("wide_down"),
            wide_norm: Scale::at(layout, "wide_norm"),
            static_tokens: affine("static_tokens"),
            positions: place(layout, "positions").0,
            layers: (0..architecture.n_layers).map(layer).collect(),
            norm: Scale::at(layout, "norm"),
            step_in: affine("step_in"),
            step_wide: affine("step_wide"),
            step_positions: place(layout, "step_positions").0,
            units_head: affine("units_head"),
            outlook_in: affine("outlook_in"),
            turns_head: affine("turns_head"),
            stages_head: affine("stages_head"),
        }
    }

    /// Its shape.
    pub(crate) fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Some windows' outputs; with dropout if `noise` is given.
    pub(crate) fn forward(
        &self,
        weights: &[f32],
        windows: &[&Window],
        mut noise: Option<&mut Dropout>,
    ) -> Pass {
        let mut inputs = Stacked::new(windows, &self.architecture);
        if let Some(noise) = noise.as_deref_mut() {
            let mask = noise.drawn(noise.statics, inputs.statics.len());
            scale(&mut inputs.statics, &mask);
        }
        let wide = self.wide(weights, &inputs.statics, noise.as_deref_mut());
        let (context, others) = self.tokens(weights, &inputs, &wide.out);
        let (read, others) = self.read(weights, context, others, noise);
        let tokens = self.norm.forward(weights, self.told(&others));
        let steps = self.steps(weights, &inputs, &tokens.outputs, &wide.out);
        let outlook = self.outlook(weights, &inputs, &tokens.outputs, &wide.out);
        let outputs = Outputs {
            horizon: self.architecture.dimensions.horizon,
            units: self.units_head.forward(weights, &steps.1),
            turns: self.turns_head.forward(weights, &outlook.1),
            stages: self.stages_head.forward(weights, &outlook.1),
        };
        Pass { inputs, wide, read, tokens, steps, outlook, outputs }
    }

    fn wide(&self, weights: &[f32], statics: &[f32], noise: Option<&mut Dropout>) -> Wide {
        let entering = self.wide_in.forward(weights, statics);
        let entered = silu(&entering);
        let raised = self.wide_up.forward(weights, &entered);
        let up = silu(&raised);
        let mut sum = self.wide_down.forward(weights, &up);
        add(&mut sum, &entered);
        let normed = self.wide_norm.forward(weights, sum);
        let mut out = normed.outputs.clone();
        let mask = noise.map(|noise| noise.drawn(noise.hidden, out.len()));
        if let Some(mask) = &mask {
            scale(&mut out, mask);
        }
        Wide { entered: (entering, entered), up: (raised, up), normed, mask, out }
    }

    /// Tokens of the context, shape `[windows, patches, d_model]`, and of statics and groups.
    fn tokens(&self, weights: &[f32], inputs: &Stacked, wide: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Sizes { n_patches, n_others, d_model, .. } = self.sizes();
        let positions = &weights[self.positions.clone()];
        let (of_context, of_others) = positions.split_at(n_patches * d_model);
        let mut context = self.patch_in.forward(weights, &inputs.context);
        context.chunks_exact_mut(of_context.len()).for_each(|window| add(window, of_context));
        let statics = self.static_tokens.forward(weights, wide);
        let groups = self.horizon_in.forward(weights, &inputs.horizon);
        let n_statics = N_STATIC_TOKENS * d_model;
        let mut others = beside((&statics, n_statics), (&groups, n_others * d_model - n_statics));
        others.chunks_exact_mut(of_others.len()).for_each(|window| add(window, of_others));
        (context, others)
    }

    /// What each layer read, and the other tokens after all of them.
    fn read(
        &self,
        weights: &[f32],
        mut context: Vec<f32>,
        mut others: Vec<f32>,
        mut noise: Option<&mut Dropout>,
    ) -> (Vec<Read>, Vec<f32>) {
        let Sizes { n_patches, n_others, d_model, .. } = self.sizes();
        let n_windows = others.len() / (n_others * d_model);
        let shape = Shape { n_windows, n_steps: n_patches, width: d_model };
        let mut all = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let normed = layer.norm.forward(weights, context.clone());
            let gates = layer.gates.forward(weights, &normed.outputs);
            let reading = Reading::new(shape, gates, &weights[layer.back.clone()]);
            let mask =
                noise.as_deref_mut().map(|noise| noise.drawn(noise.hidden, n_windows * d_model));
            let mut update = reading.said.clone();
            if let Some(mask) = &mask {
                let windows = update.chunks_exact_mut(n_patches * d_model);
                for (update, mask) in windows.zip(mask.chunks_exact(d_model)) {
                    update.chunks_exact_mut(d_model).for_each(|row| scale(row, mask));
                }
            }
            add(&mut context, &update);
            let windows = others.chunks_exact_mut(n_others * d_model);
            for (others, update) in windows.zip(update.chunks_exact(n_patches * d_model)) {
                let last = &update[(n_patches - 1) * d_model..];
                others.chunks_exact_mut(d_model).for_each(|token| add(token, last));
            }
            all.push(Read { normed, reading, mask });
        }
        (all, others)
    }

    /// The tokens that heads read: the first of the statics, and the groups.
    fn told(&self, others: &[f32]) -> Vec<f32> {
        let Sizes { n_others, d_model, .. } = self.sizes();
        let windows = others.chunks_exact(n_others * d_model);
        let told =
            |window: &[f32]| [&window[..d_model], &window[N_STATIC_TOKENS * d_model..]].concat();
        windows.flat_map(told).collect()
    }

    fn steps(
        &self,
        weights: &[f32],
        inputs: &Stacked,
        tokens: &[f32],
        wide: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let Sizes { n_told, d_model, horizon, group, .. } = self.sizes();
        let n_known = self.architecture.dimensions.n_horizon_inputs;
        let mut entering = self.step_in.forward(weights, &inputs.steps);
        let of_wide = self.step_wide.forward(weights, wide);
        let positions = &weights[self.step_positions.clone()];
        let windows = entering.chunks_exact_mut(horizon * d_model);
        let tokens = tokens.chunks_exact(n_told * d_model).zip(of_wide.chunks_exact(d_model));
        for (steps, (tokens, of_wide)) in windows.zip(tokens) {
            add(steps, positions);
            for (step, row) in steps.chunks_exact_mut(d_model).enumerate() {
                add(row, &tokens[(1 + step / group) * d_model..]);
                add(row, of_wide);
            }
        }
        let seen = beside((&silu(&entering), d_model), (&inputs.steps, n_known));
        (entering, seen)
    }

    fn outlook(
        &self,
        weights: &[f32],
        inputs: &Stacked,
        tokens: &[f32],
        wide: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let d_wide = self.architecture.d_wide;
        let n_statics = self.architecture.dimensions.n_static_inputs;
        let entering = self.outlook_in.forward(weights, &self.first_tokens(tokens));
        let mut entered = silu(&entering);
        add(&mut entered, wide);
        let seen = beside((&entered, d_wide), (&inputs.statics, n_statics));
        (entering, seen)
    }

    fn first_tokens(&self, tokens: &[f32]) -> Vec<f32> {
        let Sizes { n_told, d_model, .. } = self.sizes();
        firsts(tokens, n_told * d_model, d_model)
    }

    fn sizes(&self) -> Sizes {
        let n_groups = self.architecture.n_horizon_tokens();
        let horizon = self.architecture.dimensions.horizon;
        Sizes {
            n_patches: self.architecture.n_patches(),
            n_others: N_STATIC_TOKENS + n_groups,
            n_told: 1 + n_groups,
            d_model: self.architecture.d_model,
            horizon,
            group: horizon.div_ceil(n_groups),
        }
    }
}

/// Numbers of tokens and steps of a window.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    n_patches: usize,
    /// Tokens after the context.
    n_others: usize,
    /// Of these, those that heads read.
    n_told: usize,
    d_model: usize,
    horizon: usize,
    /// Steps of a group.
    group: usize,
}

/// The gradient.
impl HostNetwork {
    /// The gradient of a loss with respect to all parameters, from that with respect to the outputs.
    pub(crate) fn gradient(&self, weights: &[f32], pass: &Pass, of_outputs: &Outputs) -> Vec<f32> {
        self.slopes(weights, pass, of_outputs).0
    }

    /// The same with respect to the contexts. Shape `[windows, patches, patch * inputs]`.
    pub(crate) fn context_gradient(
        &self,
        weights: &[f32],
        pass: &Pass,
        of_outputs: &Outputs,
    ) -> Vec<f32> {
        self.patch_in.backward(weights, &self.slopes(weights, pass, of_outputs).1)
    }

    /// Slopes of the parameters, and of the context's tokens.
    fn slopes(&self, weights: &[f32], pass: &Pass, of_outputs: &Outputs) -> (Vec<f32>, Vec<f32>) {
        let mut gradient = vec![0.0; self.n_values];
        let n_windows = pass.inputs.n_windows;
        let mut of_wide = vec![0.0; pass.wide.out.len()];
        let Sizes { n_told, d_model, .. } = self.sizes();
        let mut of_tokens = vec![0.0; n_windows * n_told * d_model];
        let slopes = (&mut gradient[..], &mut of_wide[..], &mut of_tokens[..]);
        self.outlook_slopes(weights, pass, of_outputs, slopes);
        let slopes = (&mut gradient[..], &mut of_wide[..], &mut of_tokens[..]);
        self.step_slopes(weights, pass, of_outputs, slopes);
        let of_told = self.norm.backward(weights, &pass.tokens, of_tokens, &mut gradient);
        let of_others = self.untold(&of_told);
        let of_context = self.read_slopes(weights, pass, &of_others, &mut gradient);
        self.token_slopes(weights, pass, (&of_context, &of_others), (&mut gradient, &mut of_wide));
        self.wide_slopes(weights, pass, of_wide, &mut gradient);
        (gradient, of_context)
    }

    fn outlook_slopes(
        &self,
        weights: &[f32],
        pass: &Pass,
        of_outputs: &Outputs,
        (gradient, of_wide, of_tokens): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let (entering, seen) = &pass.outlook;
        let Sizes { n_told, d_model, .. } = self.sizes();
        let d_wide = self.architecture.d_wide;
        self.turns_head.learn(seen, &of_outputs.turns, gradient);
        self.stages_head.learn(seen, &of_outputs.stages, gradient);
        let mut of_seen = self.turns_head.backward(weights, &of_outputs.turns);
        add(&mut of_seen, &self.stages_head.backward(weights, &of_outputs.stages));
        let row = d_wide + self.architecture.dimensions.n_static_inputs;
        let mut of_entered = firsts(&of_seen, row, d_wide);
        add(of_wide, &of_entered);
        through_silu(&mut of_entered, entering);
        let first = self.first_tokens(&pass.tokens.outputs);
        self.outlook_in.learn(&first, &of_entered, gradient);
        let of_first = self.outlook_in.backward(weights, &of_entered);
        let windows = of_tokens.chunks_exact_mut(n_told * d_model);
        for (tokens, first) in windows.zip(of_first.chunks_exact(d_model)) {
            add(&mut tokens[..d_model], first);
        }
    }

    fn step_slopes(
        &self,
        weights: &[f32],
        pass: &Pass,
        of_outputs: &Outputs,
        (gradient, of_wide, of_tokens): (&mut [f32], &mut [f32], &mut [f32]),
    ) {
        let (entering, seen) = &pass.steps;
        let Sizes { n_told, d_model, horizon, group, .. } = self.sizes();
        self.units_head.learn(seen, &of_outputs.units, gradient);
        let of_seen = self.units_head.backward(weights, &of_outputs.units);
        let row = d_model + self.architecture.dimensions.n_horizon_inputs;
        let mut of_steps = firsts(&of_seen, row, d_model);
        through_silu(&mut of_steps, entering);
        self.step_in.learn(&pass.inputs.steps, &of_steps, gradient);
        add_rows(&of_steps, &mut gradient[self.step_positions.clone()]);
        let mut of_rows = vec![0.0; pass.inputs.n_windows * d_model];
        let windows = of_steps.chunks_exact(horizon * d_model);
        let sums =
            of_tokens.chunks_exact_mut(n_told * d_model).zip(of_rows.chunks_exact_mut(d_model));
        for (steps, (tokens, of_row)) in windows.zip(sums) {
            for (step, slopes) in steps.chunks_exact(d_model).enumerate() {
                add(&mut tokens[(1 + step / group) * d_model..], slopes);
                add(of_row, slopes);
            }
        }
        self.step_wide.learn(&pass.wide.out, &of_rows, gradient);
        add(of_wide, &self.step_wide.backward(weights, &of_rows));
    }

    /// Slopes of all tokens after the context, from those that heads read.
    fn untold(&self, of_told: &[f32]) -> Vec<f32> {
        let Sizes { n_told, d_model, .. } = self.sizes();
        let rest = vec![0.0; (N_STATIC_TOKENS - 1) * d_model];
        let windows = of_told.chunks_exact(n_told * d_model);
        let window = |told: &[f32]| [&told[..d_model], &rest, &told[d_model..]].concat();
        windows.flat_map(window).collect()
    }

    /// Slopes of the context's tokens before all layers.
    fn read_slopes(
        &self,
        weights: &[f32],
        pass: &Pass,
        of_others: &[f32],
        gradient: &mut [f32],
    ) -> Vec<f32> {
        let Sizes { n_patches, n_others, d_model, .. } = self.sizes();
        // What every layer adds to the other tokens, it adds to each of them.
        let mut of_last = vec![0.0; pass.inputs.n_windows * d_model];
        let windows = of_others.chunks_exact(n_others * d_model);
        for (sum, others) in of_last.chunks_exact_mut(d_model).zip(windows) {
            add_rows(others, sum);
        }
        let mut of_context = vec![0.0; pass.inputs.n_windows * n_patches * d_model];
        for (layer, read) in self.layers.iter().zip(&pass.read).rev() {
            let mut of_said = of_context.clone();
            let windows = of_said.chunks_exact_mut(n_patches * d_model);
            for (window, (said, last)) in windows.zip(of_last.chunks_exact(d_model)).enumerate() {
                add(&mut said[(n_patches - 1) * d_model..], last);
                if let Some(mask) = &read.mask {
                    let mask = &mask[window * d_model..][..d_model];
                    said.chunks_exact_mut(d_model).for_each(|row| scale(row, mask));
                }
            }
            let slopes = read.reading.slopes(&of_said, &weights[layer.back.clone()]);
            add(&mut gradient[layer.back.clone()], &slopes.back);
            layer.gates.learn(&read.normed.outputs, &slopes.inputs, gradient);
            let of_normed = layer.gates.backward(weights, &slopes.inputs);
            let of_inputs = layer.norm.backward(weights, &read.normed, of_normed, gradient);
            add(&mut of_context, &of_inputs);
        }
        of_context
    }

    fn token_slopes(
        &self,
        weights: &[f32],
        pass: &Pass,
        (of_context, of_others): (&[f32], &[f32]),
        (gradient, of_wide): (&mut [f32], &mut [f32]),
    ) {
        let Sizes { n_patches, n_others, d_model, .. } = self.sizes();
        let positions = &mut gradient[self.positions.clone()];
        let (context, others) = positions.split_at_mut(n_patches * d_model);
        add_rows(of_context, context);
        add_rows(of_others, others);
        self.patch_in.learn(&pass.inputs.context, of_context, gradient);
        let (mut of_statics, mut of_groups) = (Vec::new(), Vec::new());
        for window in of_others.chunks_exact(n_others * d_model) {
            let (statics, groups) = window.split_at(N_STATIC_TOKENS * d_model);
            of_statics.extend_from_slice(statics);
            of_groups.extend_from_slice(groups);
        }
        self.horizon_in.learn(&pass.inputs.horizon, &of_groups, gradient);
        self.static_tokens.learn(&pass.wide.out, &of_statics, gradient);
        add(of_wide, &self.static_tokens.backward(weights, &of_statics));
    }

    fn wide_slopes(
        &self,
        weights: &[f32],
        pass: &Pass,
        mut of_wide: Vec<f32>,
        gradient: &mut [f32],
    ) {
        let Wide { entered, up, normed, mask, .. } = &pass.wide;
        if let Some(mask) = mask {
            scale(&mut of_wide, mask);
        }
        let mut of_entered = self.wide_norm.backward(weights, normed, of_wide, gradient);
        self.wide_down.learn(&up.1, &of_entered, gradient);
        let mut of_up = self.wide_down.backward(weights, &of_entered);
        through_silu(&mut of_up, &up.0);
        self.wide_up.learn(&entered.1, &of_up, gradient);
        add(&mut of_entered, &self.wide_up.backward(weights, &of_up));
        through_silu(&mut of_entered, &entered.0);
        self.wide_in.learn(&pass.inputs.statics, &of_entered, gradient);
    }
}
