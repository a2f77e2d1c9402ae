//! How good weights are on validation rows, in one number for early stopping; and, after training,
//! what is fitted there: temperatures, width at cold start, dependence over steps.

use lifecycle::{LEVELS, WQL_LEVELS};
use model::{
    Beside, Blend, Calibration, DenseScaling, Dependence, Dropout, Judged, Masked, Model,
    N_TURN_CLASSES, N_UNIT_OUTPUTS, Network, Noise, Outputs, Workers, blend, loss_at, placed,
    probability_of, quantiles, stage_logits, temperature,
};
use panel::Window;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::losses::{dense_gradients, pinball, reconstruction_gradient};
use crate::ranks::Ranks;
use crate::rows::{Row, Target};
use crate::sums;
use crate::training::Stopped;

/// Rows in one forward pass.
const BATCH: usize = 64;

/// Forward passes whose outputs ranks gather at a time: what travels is bounded.
const GATHERED_BATCHES: usize = 128;

/// Losses on validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Validation {
    /// Weighted quantile loss: large series count as they sell.
    pub wql: f64,
    /// The same with the training weights, so that small series count too.
    pub wql_even: f64,
    /// Cross-entropy of turns, mean over horizons and rows that have them.
    pub turns: f64,
    /// Cross-entropy of stages, mean over heads and rows by weight.
    pub stages: f64,
    /// Mean squared error of standardised units (dense network).
    pub squared: f64,
    /// Mean squared error of the units of masked patches, where they are learnt.
    pub reconstruction: f64,
    /// What early stopping looks at.
    pub combined: f64,
}

impl Validation {
    /// What diverged as the largest number: JSON has no other.
    pub(crate) fn finite(self) -> Self {
        let of = |loss: f64| if loss.is_finite() { loss } else { f64::MAX };
        let Self { wql, wql_even, turns, stages, squared, reconstruction, combined } = self;
        Self {
            wql: of(wql),
            wql_even: of(wql_even),
            turns: of(turns),
            stages: of(stages),
            squared: of(squared),
            reconstruction: of(reconstruction),
            combined: of(combined),
        }
    }
}

/// Sums that add up over rows: values and weights.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    wql: [f64; 2],
    wql_even: [f64; 2],
    squared: [f64; 2],
}

impl Sums {
    fn add(&mut self, other: &Self) {
        let mine = [&mut self.wql, &mut self.wql_even, &mut self.squared];
        let others = [other.wql, other.wql_even, other.squared];
        for (sum, term) in mine.into_iter().zip(others) {
            sum[0] += term[0];
            sum[1] += term[1];
        }
    }
}

/// Raw outputs for rows, in chunks, in order.
fn outputs(
    rows: &[&Row],
    workers: &Workers,
    answer: &(dyn Fn(&[&Window]) -> Outputs + Sync),
) -> Vec<Outputs> {
    let chunks: Vec<&[&Row]> = rows.chunks(BATCH).collect();
    workers
        .map(&chunks, |_, chunk| answer(&chunk.iter().map(|row| &row.window).collect::<Vec<_>>()))
}

/// Losses of these weights on validation rows, of which each rank asks the network about its part.
pub(crate) fn validate(
    (network, weights): (&Network, &[f32]),
    (rows, config): (&[&Row], &Config),
    workers: &Workers,
    ranks: &mut Ranks<'_>,
) -> Result<Validation, Stopped> {
    let reconstruction = reconstruction((network, weights), (rows, config), workers, ranks)?;
    if config.losses.is_reconstruction_alone() {
        let combined = reconstruction;
        return Ok(Validation { reconstruction, combined, ..Validation::default() });
    }
    let network = network.with_weights(weights);
    let mut all = Vec::with_capacity(rows.len().div_ceil(BATCH));
    for rows in rows.chunks(GATHERED_BATCHES * BATCH) {
        let chunks = ranks.share(rows.len().div_ceil(BATCH));
        let [start, end] = [chunks.start, chunks.end].map(|end| (end * BATCH).min(rows.len()));
        let own = outputs(&rows[start..end], workers, &|windows| network.outputs(windows));
        all.extend(gathered(own, (rows.len(), network.dense_scaling().is_some()), ranks)?);
    }
    Ok(Validation { reconstruction, ..judged(&all, rows, network.dense_scaling()) })
}

/// The outputs of all ranks in chunks of [`BATCH`] rows, as one rank would have them.
fn gathered(
    own: Vec<Outputs>,
    (n_rows, is_dense): (usize, bool),
    ranks: &mut Ranks<'_>,
) -> Result<Vec<Outputs>, Stopped> {
    if ranks.is_alone() {
        return Ok(own);
    }
    let mut gather =
        |of: &dyn Fn(&Outputs) -> &[f32]| ranks.gather(own.iter().flat_map(of).copied().collect());
    let units = gather(&|outputs| &outputs.units)?;
    let turns = gather(&|outputs| &outputs.turns)?;
    let stages = gather(&|outputs| &outputs.stages)?;
    let of_chunk = |first: usize| {
        let part = |all: &[f32]| {
            let width = all.len() / n_rows;
            all[first * width..(first + BATCH).min(n_rows) * width].to_vec()
        };
        let width = units.len() / n_rows;
        let horizon = if is_dense { width } else { width / N_UNIT_OUTPUTS };
        Outputs { horizon, units: part(&units), turns: part(&turns), stages: part(&stages) }
    };
    Ok((0..n_rows).step_by(BATCH).map(of_chunk).collect())
}

/// Losses of the mean of all members of a model on validation rows.
pub(crate) fn validate_model(model: &Model, rows: &[&Row], workers: &Workers) -> Validation {
    let all = outputs(rows, workers, &|windows| model.outputs(windows));
    judged(&all, rows, model.members()[0].dense_scaling())
}

/// Losses of the raw outputs for rows, which come in chunks.
fn judged(all: &[Outputs], rows: &[&Row], dense: Option<DenseScaling>) -> Validation {
    let (mut sums, mut heads) = (Sums::default(), Heads::default());
    for (outputs, chunk) in all.iter().zip(rows.chunks(BATCH)) {
        match dense {
            None => {
                for (raw, row) in outputs.rows().zip(chunk) {
                    let Some(target) = &row.validation else { continue };
                    unit_sums(raw.units, target, &row.window, &mut sums);
                    heads.add(raw.turns, raw.stages, target);
                }
            }
            Some(scaling) => {
                let targets: Vec<(&Target, f32)> = chunk
                    .iter()
                    .filter_map(|row| Some((row.validation.as_ref()?, row.window.scale)))
                    .collect();
                let (_, losses) = dense_gradients(outputs, &targets, &scaling, 1);
                let squared = [losses.mean, targets.len() as f64];
                sums.add(&Sums { squared, ..Sums::default() });
            }
        }
    }
    let mean = |[sum, weight]: [f64; 2]| if weight > 0.0 { sum / weight } else { 0.0 };
    let (wql, wql_even) = (mean(sums.wql), mean(sums.wql_even));
    let (turns, stages) = (Heads::loss(&heads.turns), Heads::loss(&heads.stages));
    let squared = mean(sums.squared);
    let combined = f64::midpoint(wql, wql_even) + turns + 0.5 * stages + squared;
    Validation { wql, wql_even, turns, stages, squared, reconstruction: 0.0, combined }
}

/// Mean squared error of the units of masked patches, the same ones in every call; 0 where the
/// training does not learn them.
fn reconstruction(
    (network, weights): (&Network, &[f32]),
    (rows, config): (&[&Row], &Config),
    workers: &Workers,
    ranks: &mut Ranks<'_>,
) -> Result<f64, Stopped> {
    if config.losses.reconstruction <= 0.0 || rows.is_empty() {
        return Ok(0.0);
    }
    let chunks: Vec<(usize, &[&Row])> = rows.chunks(BATCH).enumerate().collect();
    let losses = workers.map(&chunks[ranks.share(chunks.len())], |_, (index, chunk)| {
        let windows: Vec<&Window> = chunk.iter().map(|row| &row.window).collect();
        let first = (index * BATCH) as u64;
        let mut masks = Dropout::new(first..first + windows.len() as u64, 0.0);
        let masks = (&mut masks, config.masked as f32);
        let judge =
            |answer: &Masked| reconstruction_gradient(answer, windows.len(), 0.0, rows.len());
        let judged = network.reconstruction_gradient(weights, &windows, masks, judge);
        judged.map_or(0.0, |(_, losses)| losses.reconstruction as f32)
    });
    Ok(ranks.gather(losses)?.into_iter().map(f64::from).sum())
}

fn unit_sums(raw: &[f32], target: &Target, window: &Window, sums: &mut Sums) {
    let steps = raw.chunks_exact(N_UNIT_OUTPUTS).zip(&target.units);
    for (raw, units) in steps.filter(|(_, units)| !units.is_nan()) {
        let quantiles = quantiles(raw);
        let loss: f32 = WQL_LEVELS
            .map(|level| 2.0 * pinball(*units, quantiles[level].max(0.0), LEVELS[level] as f32))
            .sum();
        let loss = f64::from(loss) / WQL_LEVELS.len() as f64;
        for (sum, weight) in [(&mut sums.wql, window.scale), (&mut sums.wql_even, target.weight)] {
            sum[0] += f64::from(weight) * loss;
            sum[1] += f64::from(weight * units);
        }
    }
}

/// Rows of every head of probabilities: turns at each horizon, stage now and at each horizon. Beside
/// them the logits of the trees and of the built-in model, of a model that has them.
#[derive(Debug, Default)]
struct Heads {
    turns: [Vec<Judged>; 3],
    stages: [Vec<Judged>; 4],
    turns_beside: [[Vec<Vec<f32>>; 2]; 3],
    stages_beside: [[Vec<Vec<f32>>; 2]; 4],
}

impl Heads {
    fn add(&mut self, turns: &[f32], stages: &[f32], target: &Target) {
        let of_turns = turns.chunks_exact(N_TURN_CLASSES).zip(target.turns).zip(&mut self.turns);
        for ((logits, truth), rows) in of_turns {
            if let Some(truth) = truth {
                rows.push((logits.to_vec(), truth.to_vec(), 1.0));
            }
        }
        for (head, (label, rows)) in target.stages.iter().zip(&mut self.stages).enumerate() {
            if let Some((truth, weight)) = label {
                let logits = stage_logits(stages, head.checked_sub(1));
                rows.push((logits.to_vec(), truth[..logits.len()].to_vec(), *weight));
            }
        }
    }

    fn add_beside(&mut self, beside: &Beside, target: &Target) {
        let keep = |of: &mut [Vec<Vec<f32>>; 2], logits: [&[f32]; 2]| {
            for (rows, logits) in of.iter_mut().zip(logits).filter(|(_, l)| !l.is_empty()) {
                rows.push(logits.to_vec());
            }
        };
        let Beside { trees, builtin } = beside;
        for (horizon, of_head) in self.turns_beside.iter_mut().enumerate() {
            if target.turns[horizon].is_some() {
                keep(of_head, [trees, builtin].map(|logits| logits.turns_at(horizon)));
            }
        }
        for (head, of_head) in self.stages_beside.iter_mut().enumerate() {
            if target.stages[head].is_some() {
                let horizon = head.checked_sub(1);
                keep(of_head, [trees, builtin].map(|logits| logits.stages_at(horizon)));
            }
        }
    }

    /// Mean loss of the heads from `first` on (turns are 0 to 2) as blended.
    fn blended_loss(&self, blends: &[Blend], first: usize) -> f64 {
        let heads = self.turns.iter().chain(&self.stages);
        let beside = self.turns_beside.iter().chain(&self.stages_beside);
        let (mut loss, mut weight) = (0.0, 0.0);
        for ((rows, beside), blend) in heads.zip(beside).skip(first).zip(blends) {
            let mixed = rows.iter().enumerate().map(|(row, (network, truth, weight))| {
                let of_row = |all: &'_ Vec<Vec<f32>>| all.get(row).cloned().unwrap_or_default();
                let [trees, builtin] = [of_row(&beside[0]), of_row(&beside[1])];
                (blend.of(network, [&trees, &builtin]), truth.clone(), *weight)
            });
            let [more, rows] = loss_at(1.0, &mixed.collect::<Vec<_>>());
            (loss, weight) = (loss + more, weight + rows);
        }
        if weight > 0.0 { loss / weight } else { 0.0 }
    }

    /// Mean loss of some heads as they will be served: each at its best temperature.
    fn loss(heads: &[Vec<Judged>]) -> f64 {
        let sums = heads.iter().map(|rows| loss_at(temperature(rows), rows));
        let [loss, weight] =
            sums.fold([0.0; 2], |[loss, total], [more, weight]| [loss + more, total + weight]);
        if weight > 0.0 { loss / weight } else { 0.0 }
    }
}

/// What is fitted on validation rows once the weights are chosen: on the answer of all members.
pub(crate) fn calibrate(
    model: &Model,
    rows: &[&Row],
    is_whole: bool,
    workers: &Workers,
) -> Calibration {
    let outputs = outputs(rows, workers, &|windows| model.outputs(windows));
    let raws: Vec<_> = outputs.iter().flat_map(Outputs::rows).collect();
    let mut heads = Heads::default();
    for (raw, row) in raws.iter().zip(rows) {
        if let Some(target) = &row.validation {
            heads.add(raw.turns, raw.stages, target);
        }
    }
    let chunks: Vec<&[&Row]> = rows.chunks(BATCH).collect();
    let beside = workers.map(&chunks, |_, chunk| {
        model.beside(&chunk.iter().map(|row| &row.window).collect::<Vec<_>>())
    });
    for (beside, row) in beside.iter().flatten().zip(rows) {
        if let Some(target) = &row.validation {
            heads.add_beside(beside, target);
        }
    }
    let of_head = |rows: &[Judged], [trees, builtin]: &[Vec<Vec<f32>>; 2]| {
        if trees.is_empty() && builtin.is_empty() {
            Blend { network: temperature(rows).recip(), ..Blend::default() }
        } else {
            blend(rows, [trees, builtin])
        }
    };
    let turns = |outlook: usize| of_head(&heads.turns[outlook], &heads.turns_beside[outlook]);
    let stages = |head: usize| of_head(&heads.stages[head], &heads.stages_beside[head]);
    let calibration = Calibration {
        turns: std::array::from_fn(turns),
        stage_now: stages(0),
        stages: std::array::from_fn(|outlook| stages(outlook + 1)),
        cold_start_width: cold_start_width(
            raws.iter().map(|raw| raw.units).zip(rows.iter().copied()),
        ),
        correlations: Vec::new(),
    };
    tracing::info!(
        turns = heads.blended_loss(&calibration.turns, 0),
        stages =
            heads.blended_loss(&[&[calibration.stage_now], &calibration.stages[..]].concat(), 3),
        "blended"
    );
    let horizon = model.description().dimensions.horizon;
    let mut noise = Noise::new(7);
    let ranks: Vec<(Vec<f32>, f32)> = raws
        .iter()
        .zip(rows)
        .filter(|(_, row)| !row.known.is_empty())
        .map(|(raw, row)| {
            let weight = row.validation.as_ref().map_or(0.0, |target| target.weight);
            (probabilities(raw.units, row, &mut noise), weight)
        })
        .collect();
    let fitted = Dependence::fit(horizon, &ranks);
    let units: Vec<(&[f32], &Row)> =
        raws.iter().map(|raw| raw.units).zip(rows.iter().copied()).collect();
    let tightened = sums::tightened(&fitted, &units, is_whole, workers);
    Calibration { correlations: tightened.correlations().to_vec(), ..calibration }
}

/// A base model's calibration for other data: its probabilities as they fit all that came in the
/// past of that data. What says nothing stays as it was.
pub(crate) fn calibrate_placed(model: &Model, base: &Calibration, rows: &[&Row]) -> Calibration {
    let outputs = outputs(rows, model.workers(), &|windows| model.outputs(windows));
    let mut heads = Heads::default();
    for (raw, row) in outputs.iter().flat_map(Outputs::rows).zip(rows) {
        for target in [&row.train, &row.validation].into_iter().flatten() {
            heads.add(raw.turns, raw.stages, target);
        }
    }
    let of_head = |rows: &[Judged], base: Blend| if rows.is_empty() { base } else { placed(rows) };
    Calibration {
        turns: std::array::from_fn(|at| of_head(&heads.turns[at], base.turns[at])),
        stage_now: of_head(&heads.stages[0], base.stage_now),
        stages: std::array::from_fn(|at| of_head(&heads.stages[at + 1], base.stages[at])),
        ..base.clone()
    }
}

/// The probability of what came at each step, drawn at random within a whole number's width, since
/// counts have no density. Shape `[horizon]`, NaN where not known.
fn probabilities(raw: &[f32], row: &Row, noise: &mut Noise) -> Vec<f32> {
    let steps = raw.chunks_exact(N_UNIT_OUTPUTS).zip(&row.known);
    let of_step = |(raw, units): (&[f32], &f32)| {
        if units.is_nan() {
            return f32::NAN;
        }
        let quantiles = quantiles(raw).map(|quantile| quantile * row.window.scale);
        let half = if units.fract() == 0.0 { 0.5 } else { 0.0 };
        let (low, high) = (
            if *units > 0.0 { probability_of(units - half, &quantiles) } else { 0.0 },
            probability_of(units + half, &quantiles),
        );
        low + (high - low) * noise.uniform()
    };
    steps.map(of_step).collect()
}

/// The width of quantiles at cold start that loses least on such rows; 1 with fewer than 30.
fn cold_start_width<'a>(rows: impl Iterator<Item = (&'a [f32], &'a Row)>) -> f32 {
    let rows: Vec<_> =
        rows.filter(|(_, row)| row.window.cold_start && row.validation.is_some()).collect();
    if rows.len() < 30 {
        return 1.0;
    }
    let loss = |width: f32| -> f64 {
        let mut loss = 0.0;
        for (raw, row) in &rows {
            let Some(target) = &row.validation else { continue };
            let steps = raw.chunks_exact(N_UNIT_OUTPUTS).zip(&target.units);
            for (raw, units) in steps.filter(|(_, units)| !units.is_nan()) {
                let quantiles = quantiles(raw);
                let median = quantiles[LEVELS.len() / 2];
                for (quantile, level) in quantiles.iter().zip(LEVELS) {
                    let wider = (median + width * (quantile - median)).max(0.0);
                    loss += f64::from(target.weight * pinball(*units, wider, level as f32));
                }
            }
        }
        loss
    };
    let widths = [1.0, 0.85, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0];
    let losses = widths.map(loss);
    let best = (0..widths.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b]));
    best.map_or(1.0, |best| widths[best])
}
