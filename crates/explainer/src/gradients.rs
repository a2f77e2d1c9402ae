//! Which periods and channels of the context move the network: integrated gradients (Sundararajan,
//! Taly & Yan 2017) and expected gradients (Erion et al. 2021), as maps of weeks and channels.
//!
//! What is explained here is *the network alone on its derived inputs*: no trees, no calibration, and
//! statics and what is known of the horizon stay the product's own. So a map adds up to the difference
//! between two answers of the network and not to the served answer, and is no Shapley value; each has
//! the name of its [`Gradient`].
//!
//! The integral runs along the straight line from a background's context to the product's, by the
//! midpoints of [`N_STEPS`] parts of the square root of the way: norms change fastest where a context
//! has just begun to be there. Expected gradients are its mean over the background with its
//! weights, where Erion et al. draw both the background and the point.

use lifecycle::{Period, Series, Stage};
use model::{
    Model, N_STAGE_LOGITS, N_TURN_CLASSES, N_TURN_LOGITS, N_UNIT_OUTPUTS, Outputs, Row, mean,
    softmax, stage_logits, turn_probabilities,
};
use panel::{CONTEXT_INPUTS, HORIZON_INPUTS, Window};
use serde::{Deserialize, Serialize};

use crate::explained::{Given, OUTLOOK, output_names};
use crate::rollout::RolloutMap;

/// Points of a path.
pub const N_STEPS: usize = 32;

/// What the numbers of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gradient {
    /// Along the path from one background series.
    Integrated,
    /// The mean of those over all background series.
    Expected,
}

/// How the context of one product moves one output of the network alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Whose.
    pub series: Series,
    /// From which origin: the last period of the map.
    pub origin: Period,
    /// What the numbers are.
    pub gradient: Gradient,
    /// Name of the output.
    pub output: String,
    /// What the network alone answers with the context of the background.
    pub base: f64,
    /// What the network alone answers; not the served answer.
    pub answer: f64,
    /// How far the map's sum is from the difference of the two: the error of the integral.
    pub gap: f64,
    /// Names of the channels that move anything.
    pub channels: Vec<String>,
    /// Oldest period first. Shape `[periods][channels]`.
    pub values: Vec<Vec<f32>>,
}

/// Maps of a run; `gradients.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Maps {
    /// What is explained, in words.
    pub explains: String,
    /// For each product, output and kind of gradient.
    pub maps: Vec<HeatMap>,
    /// Where attention goes, which is no gradient: one a product, where something attends.
    pub rollouts: Vec<RolloutMap>,
}

/// What is explained by maps, in words.
pub const EXPLAINS: &str = "the network alone on its derived inputs, without trees and calibration";

/// One path: what the network answers at both ends, and the integral. Shapes `[n_outputs]`, and
/// `[n_outputs][context * inputs]`.
struct Path {
    base: Vec<f64>,
    values: Vec<Vec<f64>>,
}

/// Maps of the named outputs of one product's window against background windows with weights that sum
/// to 1: expected gradients over all, and integrated ones from the heaviest. Empty from a network that
/// sees no context.
///
/// # Panics
///
/// If there is no background, or one's context is of another length.
pub fn heat_maps(
    model: &Model,
    (window, wanted): (&Window, &[String]),
    background: &[(Window, f64)],
) -> Vec<HeatMap> {
    let paths: Option<Vec<Path>> =
        background.iter().map(|(other, _)| path(model, window, other)).collect();
    let Some(paths) = paths else { return Vec::new() };
    let answer = answers(&model.outputs_as(&[window], window), window).remove(0);
    let names = output_names(window.horizon.len() / HORIZON_INPUTS.len(), Given::ALL);
    let weights: Vec<f64> = background.iter().map(|(_, weight)| *weight).collect();
    let heaviest = (0..weights.len()).rev().max_by(|a, b| weights[*a].total_cmp(&weights[*b]));
    let alone: Vec<f64> =
        (0..weights.len()).map(|at| f64::from(u8::from(Some(at) == heaviest))).collect();
    let mut maps = Vec::new();
    let names = names.iter().enumerate().filter(|(_, name)| wanted.contains(name));
    for (output, name) in names {
        for (gradient, weights) in [(Gradient::Expected, &weights), (Gradient::Integrated, &alone)]
        {
            let mut values = vec![0.0; window.context.len()];
            let mut base = 0.0;
            for (path, weight) in paths.iter().zip(weights) {
                base += weight * path.base[output];
                for (sum, value) in values.iter_mut().zip(&path.values[output]) {
                    *sum += weight * value;
                }
            }
            let gap = (values.iter().sum::<f64>() - (answer[output] - base)).abs();
            let (channels, values) = table(&values);
            maps.push(HeatMap {
                series: window.series.clone(),
                origin: window.origin,
                gradient,
                output: name.clone(),
                base,
                answer: answer[output],
                gap,
                channels,
                values,
            });
        }
    }
    maps
}

/// The integral from the context of another window to that of this one; none from a network that
/// sees no context.
fn path(model: &Model, window: &Window, other: &Window) -> Option<Path> {
    assert_eq!(window.context.len(), other.context.len(), "windows of one cutter");
    let between = |share: f32| {
        let contexts = window.context.iter().zip(&other.context);
        let context = contexts.map(|(own, other)| other + share * (own - other)).collect();
        Window { context, ..window.clone() }
    };
    let base = between(0.0);
    let base = answers(&model.outputs_as(&[&base], window), window).remove(0);
    let roots = (0..N_STEPS).map(|step| (step as f32 + 0.5) / N_STEPS as f32);
    let points: Vec<Window> = roots.clone().map(|root| between(root * root)).collect();
    let points: Vec<&Window> = points.iter().collect();
    let raw = model.outputs_as(&points, window);
    let values = (0..base.len()).map(|output| {
        let gradients = model.context_gradient(&points, window, &slopes(&raw, window, output))?;
        let mut values = vec![0.0; window.context.len()];
        for (gradient, root) in gradients.iter().zip(roots.clone()) {
            let length = f64::from(2.0 * root) / N_STEPS as f64;
            for (sum, slope) in values.iter_mut().zip(gradient) {
                *sum += length * f64::from(*slope);
            }
        }
        for (value, (own, other)) in
            values.iter_mut().zip(window.context.iter().zip(&other.context))
        {
            *value *= f64::from(own - other);
        }
        Some(values)
    });
    Some(Path { values: values.collect::<Option<_>>()?, base })
}

/// Channels that move anything, and their values by period, with four digits.
fn table(values: &[f64]) -> (Vec<String>, Vec<Vec<f32>>) {
    let n_channels = CONTEXT_INPUTS.len();
    let rows = values.chunks_exact(n_channels);
    let moves = |channel: &usize| rows.clone().any(|row| row[*channel] != 0.0);
    let moving: Vec<usize> = (0..n_channels).filter(moves).collect();
    let row = |row: &[f64]| moving.iter().map(|channel| short(row[*channel])).collect();
    (
        moving.iter().map(|at| CONTEXT_INPUTS[*at].to_owned()).collect(),
        rows.clone().map(row).collect(),
    )
}

/// Four digits: what is shown needs no more, and a file of it is half as long.
pub(crate) fn short(value: f64) -> f32 {
    format!("{value:.3e}").parse().unwrap_or_default()
}

/// The outputs that are explained, of the network alone. Shape `[windows][n_outputs]`.
fn answers(raw: &Outputs, window: &Window) -> Vec<Vec<f64>> {
    if raw.turns.is_empty() {
        // The dense network has no other outputs, and no map.
        return vec![vec![0.0; output_names(0, Given::ALL).len()]];
    }
    let answer = |row: Row<'_>| {
        let steps = row.units.chunks_exact(N_UNIT_OUTPUTS).take(n_steps(window));
        let units: f64 = steps.map(|step| f64::from(mean(step) * window.scale)).sum();
        let turns = turn_probabilities(softmax(turn_logits(row.turns))).map(f64::from);
        let stages: [f32; 4] = softmax(stage_logits(row.stages, None));
        let decline = f64::from(stages[Stage::Decline.index()]);
        [vec![units], turns.to_vec(), vec![decline]].concat()
    };
    raw.rows().map(answer).collect()
}

/// The gradient of one of these outputs with respect to the raw ones, shaped as they are.
fn slopes(raw: &Outputs, window: &Window, output: usize) -> Outputs {
    let mut slopes = Outputs {
        horizon: raw.horizon,
        units: vec![0.0; raw.units.len()],
        turns: vec![0.0; raw.turns.len()],
        stages: vec![0.0; raw.stages.len()],
    };
    // Classes that each turn is made of: silent, halved but not silent, neither, doubled.
    let turns =
        [[true, true, false, false], [false, false, false, true], [true, false, false, false]];
    for (at, row) in raw.rows().enumerate() {
        if output == 0 {
            let first = at * raw.horizon * N_UNIT_OUTPUTS;
            for step in 0..n_steps(window) {
                let mean = step * N_UNIT_OUTPUTS + N_UNIT_OUTPUTS - 1;
                slopes.units[first + mean] = window.scale / (1.0 + (-row.units[mean]).exp());
            }
        } else if let Some(classes) = turns.get(output - 1) {
            let first = at * N_TURN_LOGITS + OUTLOOK * N_TURN_CLASSES;
            let of_logits = probability_slopes(softmax(turn_logits(row.turns)), *classes);
            slopes.turns[first..][..N_TURN_CLASSES].copy_from_slice(&of_logits);
        } else {
            let classes = std::array::from_fn(|stage| stage == Stage::Decline.index());
            let of_logits = probability_slopes(softmax(stage_logits(row.stages, None)), classes);
            slopes.stages[at * N_STAGE_LOGITS..][..of_logits.len()].copy_from_slice(&of_logits);
        }
    }
    slopes
}

/// How the probability of some of four classes moves with the logits.
fn probability_slopes(probabilities: [f32; 4], is_one: [bool; 4]) -> [f32; 4] {
    let of = |class: usize| if is_one[class] { probabilities[class] } else { 0.0 };
    let whole: f32 = (0..4).map(of).sum();
    std::array::from_fn(|class| of(class) - probabilities[class] * whole)
}

fn turn_logits(turns: &[f32]) -> &[f32] {
    &turns[OUTLOOK * N_TURN_CLASSES..][..N_TURN_CLASSES]
}

fn n_steps(window: &Window) -> usize {
    window.horizon.len() / HORIZON_INPUTS.len()
}

#[cfg(test)]
mod tests {
    use lifecycle::{Frequency, StageProbabilities};
    use model::{Description, Dimensions, Kind, Member, Size, initial_weights};
    use panel::{FilterOutlook, Fitted, STATIC_INPUTS};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const CONTEXT: usize = 24;

    fn model(members: &[Kind]) -> Model {
        let dimensions = Dimensions {
            context: CONTEXT,
            horizon: 5,
            n_context_inputs: CONTEXT_INPUTS.len(),
            n_static_inputs: STATIC_INPUTS.len(),
            n_horizon_inputs: HORIZON_INPUTS.len(),
        };
        let members = members.iter().map(|kind| Member { kind: *kind, size: Size::Tiny }).collect();
        let description = Description::new(members, dimensions);
        let networks = description.networks().expect("networks of patches");
        let weights = (networks.iter().zip(0..))
            .flat_map(|(network, seed)| initial_weights(&network.layout(), seed))
            .map(|weight| 1.5 * weight);
        let fitted = Fitted::unfitted(Frequency::Week);
        Model::new(description, &networks, weights.collect(), fitted)
    }

    /// A series that began so many periods before the origin.
    fn window(seed: u64, age: usize) -> Window {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn =
            |n: usize| (0..n).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect::<Vec<f32>>();
        let stage = StageProbabilities::from_weights([1.0; 5]);
        let mut context = vec![0.0; (CONTEXT - age) * CONTEXT_INPUTS.len()];
        context.extend(drawn(age * CONTEXT_INPUTS.len()));
        Window {
            series: Series::of("mug"),
            origin: Period(30),
            scale: 3.0,
            context,
            statics: drawn(STATIC_INPUTS.len()),
            horizon: drawn(5 * HORIZON_INPUTS.len()),
            filter: FilterOutlook { stage_now: stage, stages: [stage; 3], expected: Vec::new() },
            age: age as u32,
            n_observed: age as u32,
            cold_start: false,
            far_from_training: false,
        }
    }

    #[test]
    fn maps_add_up_to_the_difference_of_two_answers() {
        for members in
            [&[Kind::Transformer][..], &[Kind::Lstm; 2], &[Kind::Lstm, Kind::Transformer]]
        {
            let model = model(members);
            let own = window(1, 15);
            // One that is older and one that is younger: attention sees neither differently.
            let background = [(window(2, 24), 0.25), (window(3, 6), 0.75)];
            let names = output_names(5, Given::ALL);
            let maps = heat_maps(&model, (&own, &names), &background);
            assert_eq!(maps.len(), 2 * names.len());
            for map in &maps {
                let HeatMap { output, gradient, base, answer, gap, .. } = map;
                let sum: f64 = map.values.iter().flatten().map(|value| f64::from(*value)).sum();
                let size: f64 =
                    map.values.iter().flatten().map(|value| f64::from(value.abs())).sum();
                assert!(size > 0.0, "{output}: nothing moves it");
                assert!(*gap < 0.02 * size, "{members:?}, {gradient:?}, {output}: {gap} of {size}");
                assert!((sum - (answer - base)).abs() < gap + 0.002 * size, "{output}");
                assert_eq!(map.values.len(), CONTEXT);
            }
            let heaviest = heat_maps(&model, (&own, &names), &[(window(3, 6), 1.0)]);
            for (map, alone) in maps.iter().zip(&heaviest) {
                let is_alone = map.gradient == Gradient::Integrated;
                assert_eq!(map.values == alone.values, is_alone, "{:?}", map.gradient);
            }
            let few = heat_maps(&model, (&own, &names[..1]), &background);
            assert_eq!(few, maps[..2], "an output that is not given has no map");
        }
    }

    #[test]
    fn answers_are_those_of_the_network_and_slopes_those_of_answers() {
        let model = model(&[Kind::Lstm]);
        let own = window(1, 24);
        let raw = model.outputs(&[&own]);
        let answered = answers(&raw, &own).remove(0);
        let forecast = model::expectations(&model, std::slice::from_ref(&own)).remove(0);
        let units: f32 = forecast.units.expect("units").means.iter().sum();
        assert!((answered[0] - f64::from(units)).abs() < 1e-3 * answered[0]);
        assert!(answered[1] >= answered[3], "silence implies halving");
        for output in 0..answered.len() {
            let slopes = slopes(&raw, &own, output);
            for (place, slope) in [
                (0, &slopes.units[2 * N_UNIT_OUTPUTS - 1]),
                (1, &slopes.turns[OUTLOOK * N_TURN_CLASSES]),
                (2, &slopes.stages[Stage::Decline.index()]),
            ] {
                let moved = |by: f32| {
                    let mut raw = raw.clone();
                    match place {
                        0 => raw.units[2 * N_UNIT_OUTPUTS - 1] += by,
                        1 => raw.turns[OUTLOOK * N_TURN_CLASSES] += by,
                        _ => raw.stages[Stage::Decline.index()] += by,
                    }
                    answers(&raw, &own)[0][output]
                };
                let expected = (moved(0.01) - moved(-0.01)) / 0.02;
                let gap = (f64::from(*slope) - expected).abs();
                assert!(gap < 1e-3, "{output}, {place}: {slope} is not {expected}");
            }
        }
    }
}
