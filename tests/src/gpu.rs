//! Training on one device held against training on another: made-up rows, the same steps.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;
use lifecycle::{Period, Progress, Series, StageProbabilities, Unwatched};
use model::{Architecture, Device, Dimensions, Kind, Network, Noise, Size};
use panel::{CONTEXT_INPUTS, FilterOutlook, HORIZON_INPUTS, STATIC_INPUTS, Window};
use serde_json::{Value, json};
use trainer::{Config, Meeting, Row, Rows, Target, Task, train, train_with};

/// Weekly windows as `features` cuts them by default.
pub const DIMENSIONS: Dimensions = Dimensions {
    context: 104,
    horizon: 13,
    n_context_inputs: CONTEXT_INPUTS.len(),
    n_static_inputs: STATIC_INPUTS.len(),
    n_horizon_inputs: HORIZON_INPUTS.len(),
};

/// The network of a kind and named size, as a shape.
pub fn architecture(kind: Kind, size: Size) -> Architecture {
    Architecture::new(kind, size, DIMENSIONS)
}

/// A shape as programs in Python read it to build the same network.
pub fn shape(architecture: &Architecture) -> Value {
    let Architecture { dimensions, patch, d_model, n_layers, n_heads, d_hidden, d_wide, .. } =
        architecture;
    json!({
        "dimensions": dimensions, "patch": patch, "d_model": d_model, "n_layers": n_layers,
        "n_heads": n_heads, "d_hidden": d_hidden, "d_wide": d_wide, "kind": architecture.kind.name(),
        "flops_of_a_forward_pass": architecture.n_flops(),
    })
}

/// The network of a kind and named size on a device.
pub fn network((kind, size): (Kind, Size), device: &Device) -> Network {
    Network::patches(architecture(kind, size)).on(device)
}

/// Training rows of noise, whose targets follow from the statics; the younger ones have no past
/// before their launch.
pub fn rows(n_rows: usize) -> Rows {
    let mut noise = Noise::new(17);
    Rows { rows: (0..n_rows).map(|number| row(number, &mut noise)).collect() }
}

fn row(number: usize, noise: &mut Noise) -> Row {
    let mut draw = |n: usize| (0..n).map(|_| 2.0 * noise.uniform() - 1.0).collect::<Vec<f32>>();
    let Dimensions { context, horizon, n_context_inputs, n_static_inputs, n_horizon_inputs } =
        DIMENSIONS;
    let mut of_context = draw(context * n_context_inputs);
    let statics = draw(n_static_inputs);
    of_context[..(number % 5) * 16 * n_context_inputs].fill(0.0);
    let stage = StageProbabilities::from_weights([0.0, 0.0, 1.0, 0.0, 0.0]);
    let mut stages = [0.1; 5];
    stages[(number + usize::from(statics[1] > 0.0)) % 4] += 0.5;
    let units = draw(horizon).iter().map(|unit| (unit + 2.0 * statics[0]).max(0.0)).collect();
    let of_class =
        |class: usize| Some(std::array::from_fn(|other| f32::from(u8::from(other == class))));
    let target = Target {
        units,
        weight: 0.5 + (number % 3) as f32 / 2.0,
        turns: [of_class(number % 4), None, of_class(usize::from(statics[0] > 0.0))],
        stages: [Some((stages, 1.0)), None, Some((stages, 0.5)), None],
    };
    let window = Window {
        series: Series::of(format!("p{number}")),
        origin: Period(2000),
        scale: 1.0 + (number % 5) as f32,
        context: of_context,
        statics,
        horizon: draw(horizon * n_horizon_inputs),
        filter: FilterOutlook { stage_now: stage, stages: [stage; 3], expected: vec![1.0; 26] },
        age: 20,
        n_observed: 20,
        cold_start: false,
        far_from_training: false,
    };
    Row { window, train: Some(target), validation: None, known: Vec::new() }
}

/// The losses of each step of a training, by name.
pub fn losses(
    network: &Network,
    rows: &Rows,
    config: &Config,
) -> anyhow::Result<Vec<BTreeMap<String, f64>>> {
    let config = Config { validate_every: 1, ..config.clone() };
    let task = Task { network, base: None, rows, config: &config, checkpoints: None };
    let outcome = train(task, &Unwatched).context("training stopped")?;
    let line = |line: &String| {
        let line: BTreeMap<String, Value> = serde_json::from_str(line)?;
        let of_losses = line.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?)));
        let parts = ["quantiles", "mean", "turns", "stages"];
        Ok(of_losses.filter(|(name, _)| parts.contains(&name.as_str())).collect())
    };
    outcome.lines.iter().map(line).collect()
}

/// The greatest relative difference between the losses of two trainings, over steps and parts.
pub fn difference(left: &[BTreeMap<String, f64>], right: &[BTreeMap<String, f64>]) -> f64 {
    assert_eq!(left.len(), right.len(), "both have all steps");
    let pairs = left.iter().zip(right).flat_map(|(left, right)| left.values().zip(right.values()));
    pairs.map(|(left, right)| (left - right).abs() / left.abs().max(1e-9)).fold(0.0, f64::max)
}

/// How long steps took.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Until the first step was done: kernels are compiled and chosen.
    pub first: Duration,
    /// Steps in all, and the time that they took.
    pub n_steps: usize,
    /// From beginning to end.
    pub elapsed: Duration,
    /// Each step after those that were to warm up, ascending.
    pub steps: Vec<Duration>,
}

impl Pace {
    /// The middle step.
    pub fn median(&self) -> Option<Duration> {
        self.steps.get(self.steps.len() / 2).copied()
    }
}

/// Trains for at most `limit` as one of the ranks of a meeting, and answers the pace; the first
/// `n_warm` steps count as warming up.
pub fn pace(
    meeting: &mut dyn Meeting,
    (network, rows): (&Network, &Rows),
    config: &Config,
    n_warm: usize,
    limit: Duration,
) -> anyhow::Result<Pace> {
    let watch = Watch { started: now(), limit, steps: Mutex::default() };
    let task = Task { network, base: None, rows, config, checkpoints: None };
    // Cancelled at the limit, which is what is wanted.
    let _ = train_with(meeting, task, &watch);
    let elapsed = watch.started.elapsed();
    let ends = watch.steps.into_inner().context("a step panicked")?;
    let first = *ends.first().context("no step was done within the limit")? - watch.started;
    let after = ends.get(n_warm.saturating_sub(1)..).unwrap_or_default();
    let mut steps: Vec<Duration> = after.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort();
    Ok(Pace { first, n_steps: ends.len(), elapsed, steps })
}

/// Notes when steps end.
struct Watch {
    started: Instant,
    limit: Duration,
    steps: Mutex<Vec<Instant>>,
}

impl Progress for Watch {
    fn report(&self, part: &str, _done: u64, _total: u64) {
        if part == "train"
            && let Ok(mut steps) = self.steps.lock()
        {
            steps.push(now());
        }
    }

    fn is_cancelled(&self) -> bool {
        self.started.elapsed() > self.limit
    }
}

/// The clock by which steps are timed.
#[allow(clippy::disallowed_methods, reason = "a pace is measured by the clock")]
pub fn now() -> Instant {
    Instant::now()
}
