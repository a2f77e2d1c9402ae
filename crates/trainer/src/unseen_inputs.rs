//! What no training row says must not speak: weights of inputs that are 0 in all rows.
//!
//! Training never moves such weights, so they stay at random, and a model that is asked about other
//! data would read noise into orders or views that it never learnt to read. Begun at nothing they stay
//! nothing, and a later training on data that has these inputs learns them as any others.

use model::Layout;

use crate::rows::Rows;

/// Which inputs of each kind any window has.
struct Seen {
    context: Vec<bool>,
    statics: Vec<bool>,
    horizon: Vec<bool>,
}

impl Seen {
    fn of(rows: &Rows) -> Self {
        let [n_context, n_statics, n_horizon] =
            [panel::CONTEXT_INPUTS.len(), panel::STATIC_INPUTS.len(), panel::HORIZON_INPUTS.len()];
        let mut seen = Self {
            context: vec![false; n_context],
            statics: vec![false; n_statics],
            horizon: vec![false; n_horizon],
        };
        for row in rows.rows.iter().filter(|row| row.train.is_some()) {
            mark(&mut seen.context, &row.window.context);
            mark(&mut seen.statics, &row.window.statics);
            mark(&mut seen.horizon, &row.window.horizon);
        }
        seen
    }
}

/// Marks the inputs that are not 0 in any period.
fn mark(seen: &mut [bool], values: &[f32]) {
    for period in values.chunks_exact(seen.len()) {
        for (seen, value) in seen.iter_mut().zip(period) {
            *seen |= *value != 0.0;
        }
    }
}

/// Sets the weights of inputs that no training row has to 0.
pub(crate) fn silence(layout: &Layout, weights: &mut [f32], rows: &Rows) {
    let seen = Seen::of(rows);
    for (path, shape, range) in layout.places() {
        // Heads read hidden units first, then the inputs themselves.
        let inputs = match path {
            "patch_in.weight" => &seen.context,
            "horizon_in.weight" | "step_in.weight" | "units_head.weight" => &seen.horizon,
            "wide_in.weight" | "turns_head.weight" | "stages_head.weight" => &seen.statics,
            _ => continue,
        };
        let n_hidden = if path.ends_with("_in.weight") { 0 } else { shape[0] - inputs.len() };
        let of_inputs = weights[range].chunks_exact_mut(shape[1]).skip(n_hidden);
        for (row, weights) in of_inputs.enumerate() {
            if !inputs[row % inputs.len()] {
                weights.fill(0.0);
            }
        }
    }
}
