//! Long short-term memory over a sequence, with its gradient in closed form.
//!
//! Windows go through the whole sequence a tile at a time, within the nearest cache. All arrays are
//! row-major; gates lie in the order input, forget, output, candidate.

use std::ops::Range;

use super::kernels::{TILE, View, add, add_product, logistic, tanh, transposed};

/// How long the sequences are and how wide what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) n_windows: usize,
    pub(super) n_steps: usize,
    pub(super) width: usize,
}

/// A forward pass, with what its gradient needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    shape: Shape,
    /// What the cell says after each step. Shape `[n_windows, n_steps, width]`.
    pub(super) said: Vec<f32>,
    /// What it remembers then. Shape as `said`.
    memory: Vec<f32>,
    /// Opened gates, and the candidate. Shape `[n_windows, n_steps, 4 width]`.
    gates: Vec<f32>,
}

/// The gradient of a loss with respect to both inputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slopes {
    /// Shape `[n_windows, n_steps, 4 width]`.
    pub(super) inputs: Vec<f32>,
    /// Shape `[width, 4 width]`.
    pub(super) back: Vec<f32>,
}

impl Shape {
    /// The gates of a window's step.
    fn gates(self, window: usize, step: usize) -> Range<usize> {
        let from = (window * self.n_steps + step) * 4 * self.width;
        from..from + 4 * self.width
    }

    /// What is said or remembered at a window's step.
    fn cell(self, window: usize, step: usize) -> Range<usize> {
        let from = (window * self.n_steps + step) * self.width;
        from..from + self.width
    }

    /// A step of some windows, of an array of so many numbers a step.
    fn at(self, numbers: &[f32], (windows, step): (Range<usize>, usize), width: usize) -> View<'_> {
        let from = (windows.start * self.n_steps + step) * width;
        let numbers = &numbers[from..];
        View { numbers, row: self.n_steps * width, column: 1, n_rows: windows.len() }
    }

    /// Windows by tiles.
    fn tiles(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.n_windows).step_by(TILE).map(move |from| from..(from + TILE).min(self.n_windows))
    }
}

impl Reading {
    /// Reads sequences of what comes to the gates from outside, shape `[n_windows, n_steps, 4 width]`,
    /// with the weights from what was last said, shape `[width, 4 width]`.
    pub(super) fn new(shape: Shape, mut inputs: Vec<f32>, back: &[f32]) -> Self {
        let Shape { n_windows, n_steps, width } = shape;
        assert_eq!(inputs.len(), n_windows * n_steps * 4 * width, "gates of all steps");
        let mut said = vec![0.0; n_windows * n_steps * width];
        let mut memory = said.clone();
        for tile in shape.tiles() {
            for step in 0..n_steps {
                if step > 0 {
                    let last = shape.at(&said, (tile.clone(), step - 1), width);
                    let gates = &mut inputs[shape.gates(tile.start, step).start..];
                    add_product(last, (back, 4 * width), gates, n_steps * 4 * width);
                }
                for window in tile.clone() {
                    let gates = &mut inputs[shape.gates(window, step)];
                    open(gates, width);
                    let at = shape.cell(window, step);
                    let (before, now) = memory.split_at_mut(at.start);
                    let last = if step > 0 { &before[at.start - width..] } else { &[][..] };
                    remember(gates, last, &mut now[..width], &mut said[at]);
                }
            }
        }
        Self { shape, said, memory, gates: inputs }
    }

    /// The gradient, from that with respect to what is said. Shape of `of_said` as [`Self::said`].
    pub(super) fn slopes(&self, of_said: &[f32], back: &[f32]) -> Slopes {
        let Shape { n_windows, n_steps, width } = self.shape;
        let turned = transposed(back, 4 * width);
        let mut inputs = vec![0.0; n_windows * n_steps * 4 * width];
        let mut of_back = vec![0.0; width * 4 * width];
        for tile in self.shape.tiles() {
            // With respect to what was said and remembered, from all later steps.
            let mut said = vec![0.0; tile.len() * width];
            let mut memory = said.clone();
            for step in (0..n_steps).rev() {
                for (row, window) in tile.clone().enumerate() {
                    let own = row * width..(row + 1) * width;
                    let of_said = &of_said[self.shape.cell(window, step)];
                    add(&mut said[own.clone()], of_said);
                    let gates = &mut inputs[self.shape.gates(window, step)];
                    self.step_slopes((window, step), &said[own.clone()], &mut memory[own], gates);
                }
                if step == 0 {
                    break;
                }
                let gates = self.shape.at(&inputs, (tile.clone(), step), 4 * width);
                said.fill(0.0);
                add_product(gates, (&turned, width), &mut said, width);
            }
        }
        // What was said before each step but the first, beside the slopes of that step.
        for step in 1..n_steps {
            let last = self.shape.at(&self.said, (0..n_windows, step - 1), width);
            let last = View { row: last.column, column: last.row, n_rows: width, ..last };
            let of_gates: Vec<f32> = (0..n_windows)
                .flat_map(|window| &inputs[self.shape.gates(window, step)])
                .copied()
                .collect();
            add_product(last, (&of_gates, 4 * width), &mut of_back, 4 * width);
        }
        Slopes { inputs, back: of_back }
    }

    /// One window's step: writes the slopes of its gates; `of_memory` goes from those after the step
    /// to those before it.
    fn step_slopes(
        &self,
        (window, step): (usize, usize),
        of_said: &[f32],
        of_memory: &mut [f32],
        out: &mut [f32],
    ) {
        let width = self.shape.width;
        let at = self.shape.cell(window, step);
        let gates = &self.gates[self.shape.gates(window, step)];
        let (input, rest) = gates.split_at(width);
        let (forget, rest) = rest.split_at(width);
        let (output, candidate) = rest.split_at(width);
        let memory = &self.memory[at.clone()];
        let nothing = vec![0.0; if step == 0 { width } else { 0 }];
        let before = if step > 0 { &self.memory[at.start - width..at.start] } else { &nothing[..] };
        let (of_input, rest) = out.split_at_mut(width);
        let (of_forget, rest) = rest.split_at_mut(width);
        let (of_output, of_candidate) = rest.split_at_mut(width);
        for unit in 0..width {
            let told = tanh(memory[unit]);
            let slope = of_memory[unit] + of_said[unit] * output[unit] * (1.0 - told * told);
            of_output[unit] = of_said[unit] * told * output[unit] * (1.0 - output[unit]);
            of_input[unit] = slope * candidate[unit] * input[unit] * (1.0 - input[unit]);
            of_forget[unit] = slope * before[unit] * forget[unit] * (1.0 - forget[unit]);
            of_candidate[unit] = slope * input[unit] * (1.0 - candidate[unit] * candidate[unit]);
            of_memory[unit] = slope * forget[unit];
        }
    }
}

/// Three gates by the logistic function, the candidate by the hyperbolic tangent.
fn open(gates: &mut [f32], width: usize) {
    let (gates, candidate) = gates.split_at_mut(3 * width);
    for gate in gates {
        *gate = logistic(*gate);
    }
    for value in candidate {
        *value = tanh(*value);
    }
}

/// What is remembered and said after a step; `last` is empty at the first.
fn remember(gates: &[f32], last: &[f32], memory: &mut [f32], said: &mut [f32]) {
    let width = said.len();
    let (input, rest) = gates.split_at(width);
    let (forget, rest) = rest.split_at(width);
    let (output, candidate) = rest.split_at(width);
    for unit in 0..width {
        memory[unit] = input[unit] * candidate[unit];
    }
    for (unit, last) in last.iter().enumerate() {
        memory[unit] += forget[unit] * last;
    }
    for unit in 0..width {
        said[unit] = output[unit] * tanh(memory[unit]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    const SHAPE: Shape = Shape { n_windows: 11, n_steps: 5, width: 6 };

    fn drawn(n: usize, seed: u64) -> Vec<f32> {
        let mut noise = Noise::new(seed);
        (0..n).map(|_| 2.0 * noise.uniform() - 1.0).collect()
    }

    fn inputs() -> (Vec<f32>, Vec<f32>) {
        let Shape { n_windows, n_steps, width } = SHAPE;
        (drawn(n_windows * n_steps * 4 * width, 1), drawn(width * 4 * width, 2))
    }

    /// What is said, step by step in double precision.
    fn reference(inputs: &[f64], back: &[f64]) -> Vec<f64> {
        let Shape { n_windows, n_steps, width } = SHAPE;
        let mut said = Vec::new();
        for window in 0..n_windows {
            let (mut last, mut memory) = (vec![0.0; width], vec![0.0; width]);
            for step in 0..n_steps {
                let mut gates = inputs[SHAPE.gates(window, step)].to_vec();
                for (gate, value) in gates.iter_mut().enumerate() {
                    let of_last = (0..width).map(|unit| last[unit] * back[unit * 4 * width + gate]);
                    *value += of_last.sum::<f64>();
                }
                let gate = |n: usize, unit: usize| 1.0 / (1.0 + (-gates[n * width + unit]).exp());
                for unit in 0..width {
                    memory[unit] = gate(1, unit) * memory[unit]
                        + gate(0, unit) * gates[3 * width + unit].tanh();
                    last[unit] = gate(2, unit) * f64::tanh(memory[unit]);
                }
                said.extend_from_slice(&last);
            }
        }
        said
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|value| f64::from(*value)).collect()
    }

    #[test]
    fn what_is_said_is_the_cell_s() {
        let (inputs, back) = inputs();
        let said = Reading::new(SHAPE, inputs.clone(), &back).said;
        for (ours, right) in said.iter().zip(reference(&wide(&inputs), &wide(&back))) {
            assert!((f64::from(*ours) - right).abs() < 1e-6, "{ours} {right}");
        }
    }

    #[test]
    fn slopes_are_those_of_differences() {
        let (inputs, back) = inputs();
        let weights = drawn(SHAPE.n_windows * SHAPE.n_steps * SHAPE.width, 3);
        let slopes = Reading::new(SHAPE, inputs.clone(), &back).slopes(&weights, &back);
        let (inputs, back) = (wide(&inputs), wide(&back));
        let loss = |inputs: &[f64], back: &[f64]| -> f64 {
            reference(inputs, back).iter().zip(&weights).map(|(x, w)| x * f64::from(*w)).sum()
        };
        let difference = |of: &[f64], at: usize, loss: &dyn Fn(&[f64]) -> f64| {
            let mut moved = of.to_vec();
            moved[at] += 1e-5;
            let above = loss(&moved);
            moved[at] -= 2e-5;
            (above - loss(&moved)) / 2e-5
        };
        for at in (0..inputs.len()).step_by(37) {
            let right = difference(&inputs, at, &|inputs| loss(inputs, &back));
            assert!((f64::from(slopes.inputs[at]) - right).abs() < 1e-5, "input {at}");
        }
        for at in (0..back.len()).step_by(7) {
            let right = difference(&back, at, &|back| loss(&inputs, back));
            assert!((f64::from(slopes.back[at]) - right).abs() < 2e-5, "weight {at}");
        }
    }
}
