//! Pseudo-labels (Lee 2013), soft and with noise as in noisy students (Xie et al. 2020): where few
//! products have labels, a model trained on those answers for the others, and trains on from its own
//! answers where it is sure of them.
//!
//! The answers are those that would be served: of all networks and the trees, calibrated on
//! validation rows.

use lifecycle::Frequency;
use model::{
    Calibration, Model, N_TURN_CLASSES, Outputs, TreeLogits, Workers, softmax_of, stage_logits,
};
use panel::Window;

use crate::rows::{Rows, Target};

/// Rows in one forward pass.
const BATCH: usize = 64;

/// Probabilities of the turns at each horizon, and of the stage now and at each horizon.
type Answer = ([[f32; N_TURN_CLASSES]; 3], [[f32; 5]; 4]);

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
    for ((row, mut target), (turns, stages)) in
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
fn answers(model: &Model, calibration: &Calibration, windows: &[&Window]) -> Vec<Answer> {
    let outputs: Outputs = model.outputs(windows);
    let trees = match model.trees() {
        Some(trees) => trees.logits(windows),
        None => vec![TreeLogits::default(); windows.len()],
    };
    let rows = outputs.rows().zip(trees).map(|(row, trees)| {
        let turns = std::array::from_fn(|outlook| {
            let place = outlook * N_TURN_CLASSES..(outlook + 1) * N_TURN_CLASSES;
            let of_trees = trees.turns.get(place.clone()).unwrap_or_default();
            padded(&calibration.turns[outlook].of(&row.turns[place], of_trees))
        });
        let stages = std::array::from_fn(|head: usize| {
            let index = head.checked_sub(1);
            let blend = index.map_or(calibration.stage_now, |index| calibration.stages[index]);
            let of_trees = match &trees.stages[..] {
                [] => &[][..],
                logits => stage_logits(logits, index),
            };
            padded(&blend.of(stage_logits(row.stages, index), of_trees))
        });
        (turns, stages)
    });
    rows.collect()
}

/// Probabilities of `N` classes; those that a head has not are 0.
fn padded<const N: usize>(logits: &[f32]) -> [f32; N] {
    let mut probabilities = [0.0; N];
    for (place, p) in probabilities.iter_mut().zip(softmax_of(logits)) {
        *place = p;
    }
    probabilities
}
