//! Pseudo-labels (Lee 2013), soft and with noise as in noisy students (Xie et al. 2020): where few
//! products have labels, a model trained on those answers for the others, and trains on from its own
//! answers where it is sure of them.
//!
//! The answers are those that would be served: of all networks, the trees and the built-in model, calibrated on
//! validation rows.

use lifecycle::Frequency;
use model::{Calibration, Classes, Model, Workers};
use panel::Window;

use crate::rows::{Rows, Target};

/// Rows in one forward pass.
const BATCH: usize = 64;

/// Gives unlabelled rows, of one frequency, the model's own answers as targets wherever the
/// likeliest class has at least the probability `least`. Answers how many targets that are.
pub(crate) fn label(
    rows: &mut Rows,
    unlabelled: Vec<(usize, Target)>,
    (model, frequency): (&Model, Frequency),
    least: f64,
) -> usize {
    let calibration = model.description().calibrations.get(&frequency).cloned();
    let calibration = calibration.unwrap_or_default();
    let answers = {
        let chunks: Vec<&[(usize, Target)]> = unlabelled.chunks(BATCH).collect();
        let all = &rows.rows;
        let of_chunk = |_, chunk: &&[(usize, Target)]| {
            let windows: Vec<&Window> = chunk.iter().map(|(row, _)| &all[*row].window).collect();
            answers(model, &calibration, &windows)
        };
        Workers::default().map(&chunks, of_chunk)
    };
    let mut n_targets = 0;
    for ((row, mut target), Classes { turns, stages }) in
        unlabelled.into_iter().zip(answers.into_iter().flatten())
    {
        let is_sure = |p: &[f32]| p.iter().any(|p| f64::from(*p) >= least);
        target.turns = turns.map(|turns| is_sure(&turns).then_some(turns));
        target.stages = stages.map(|stages| is_sure(&stages).then_some((stages, 1.0)));
        let n_sure = target.turns.iter().flatten().count() + target.stages.iter().flatten().count();
        n_targets += n_sure;
        rows.rows[row].train = (n_sure > 0).then_some(target);
    }
    n_targets
}

/// The model's calibrated answers for some windows.
fn answers(model: &Model, calibration: &Calibration, windows: &[&Window]) -> Vec<Classes> {
    let outputs = model.outputs(windows);
    let beside = model.beside(windows);
    outputs.rows().zip(&beside).map(|(row, beside)| calibration.classes(row, beside)).collect()
}
