//! How fast networks train on one device, and whether they train as on the CPU: a JSON line a case.
//!
//! `tests/peers/training_pace.py` reads these lines, trains the same networks in `PyTorch` on the same
//! GPU, and prints its own. All data lies on the host at the start of a step, for both.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use lifecycle::Digest;
use model::{Device, DeviceName, Dropout, Kind, Size, initial_weights};
use serde_json::{Value, json};
use tests::gpu::{architecture, difference, losses, network, now, pace, rows, shape};
#[cfg(feature = "mpi")]
use tests::ranks::Job;
use tests::ranks::{Copies, Others, by_step};
use trainer::{Config, Rows};

/// As in `lifecast`, whose training this is.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps that are not timed: kernels are compiled and chosen, memory is taken.
const N_WARM: usize = 5;

/// Training on a device, a JSON line a case on stdout
#[derive(Debug, Parser)]
#[command(name = "training-pace")]
struct Flags {
    /// Where networks compute: `cpu`, `gpu:N`, `gpu:N/f16`, `gpu:N/bf16` or `gpu:software`
    #[arg(long, default_value = "gpu:0")]
    device: DeviceName,
    /// Kinds of networks
    #[arg(long, value_delimiter = ',', default_value = "lstm,transformer")]
    kinds: Vec<String>,
    /// Sizes of networks
    #[arg(long, value_delimiter = ',', default_value = "small,base,large")]
    sizes: Vec<String>,
    /// Rows of a step, each N, or `NxM` for M micro-batches of a step
    #[arg(long, value_delimiter = ',', default_value = "4096,1024,256,4096x2")]
    batches: Vec<String>,
    /// Seconds for each case
    #[arg(long, default_value_t = 12.0)]
    seconds: f64,
    /// No case begins after so many seconds
    #[arg(long, default_value_t = 600.0)]
    total_seconds: f64,
    /// Processes of one thread each that train together; 1: this process with all threads
    #[arg(long, default_value_t = 1)]
    ranks: usize,
    /// Which of them this is: set by the first
    #[arg(long, hide = true)]
    rank: Option<usize>,
    /// Train as one of the processes that mpirun has started
    #[cfg(feature = "mpi")]
    #[arg(long, conflicts_with_all = ["ranks", "rank"])]
    mpi: bool,
    /// Only hold the device against the CPU
    #[arg(long)]
    only_equivalence: bool,
    /// Do not hold the device against the CPU
    #[arg(long)]
    no_equivalence: bool,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(std::io::stderr(), &format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let started = now();
    let device = Device::open(flags.device)?;
    let about = json!({
        "case": "device", "device": device.name().to_string(), "hardware": device.hardware(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
        "opened_in_seconds": started.elapsed().as_secs_f64(),
    });
    let mut others = others(flags)?;
    if others.is_first() {
        print(&about);
    }
    let kinds: Vec<Kind> = flags.kinds.iter().map(|kind| named(kind)).collect::<Result<_, _>>()?;
    let sizes: Vec<Size> = flags.sizes.iter().map(|size| named(size)).collect::<Result<_, _>>()?;
    let networks: Vec<(Kind, Size)> =
        sizes.iter().flat_map(|size| kinds.iter().map(|kind| (*kind, *size))).collect();
    let batches: Vec<(usize, usize)> =
        flags.batches.iter().map(|batch| batch_of(batch)).collect::<Result<_, _>>()?;
    if !flags.no_equivalence && flags.device != DeviceName::Cpu {
        for which in &networks {
            print(&equivalence(*which, &device)?);
        }
    }
    if flags.only_equivalence {
        return Ok(());
    }
    let most = batches.iter().map(|(batch, _)| *batch).max().context("no batch is given")?;
    let rows = rows(2 * most);
    for (batch, n_parts) in &batches {
        for (kind, size) in &networks {
            if started.elapsed().as_secs_f64() > flags.total_seconds {
                anyhow::bail!("stopped before {batch} rows of {kind:?} {size:?}: the time is over");
            }
            device.release_memory();
            let config = Config {
                members: vec![*kind],
                size: *size,
                steps_max: 1_000_000,
                validate_every: 10_000_000,
                batch: *batch,
                micro_batch: batch.div_ceil(*n_parts),
                ..Config::default()
            };
            if !others.is_first() {
                // Ends when the first rank does.
                let network = network((*kind, *size), &device);
                let limit = Duration::from_hours(1);
                let (mut meeting, _) = others.meet()?;
                drop(pace(meeting.as_mut(), (&network, &rows), &config, N_WARM, limit));
                continue;
            }
            match case(&config, (&device, &rows), &mut others, flags) {
                Ok(line) => print(&line),
                // One case that does not fit must not end the others.
                Err(error) => {
                    say(std::io::stderr(), &format!("{kind:?} {size:?} {batch}: {error:#}"));
                }
            }
        }
    }
    Ok(())
}

fn others(flags: &Flags) -> anyhow::Result<Others> {
    #[cfg(feature = "mpi")]
    if flags.mpi {
        return Ok(Others::Job(Job::join()?));
    }
    Ok(match (flags.rank, flags.ranks) {
        (Some(rank), _) => Others::First(rank),
        (None, 0 | 1) => Others::Nobody,
        (None, n_ranks) => Others::Copies(Copies::start(n_ranks)?),
    })
}

/// Ten steps here and on the CPU, at one batch and with dropout: masks come from the host.
fn equivalence((kind, size): (Kind, Size), device: &Device) -> anyhow::Result<Value> {
    let rows = rows(1024);
    let config = Config {
        members: vec![kind],
        size,
        steps_max: 10,
        batch: 64,
        micro_batch: 64,
        learning_rate: 1e-3,
        patience: 1000,
        ..Config::default()
    };
    let cpu = losses(&network((kind, size), &Device::cpu()), &rows, &config)?;
    let ours = losses(&network((kind, size), device), &rows, &config)?;
    let again = losses(&network((kind, size), device), &rows, &config)?;
    let network = network((kind, size), device);
    let weights = initial_weights(&network.layout(), 7);
    let windows: Vec<_> = rows.rows.iter().map(|row| &row.window).collect();
    let gradient_of = |from: usize, to: usize| {
        network.gradient(&weights, &windows[from..to], None, |raw| (raw.clone(), ())).0
    };
    let (whole, left, right) = (gradient_of(0, 256), gradient_of(0, 128), gradient_of(128, 256));
    let largest = whole.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
    let halves = left.iter().zip(&right).map(|(left, right)| left + right);
    let gap = whole.iter().zip(halves).map(|(whole, halves)| (whole - halves).abs());
    let bytes: Vec<u8> = whole.iter().flat_map(|slope| slope.to_le_bytes()).collect();
    Ok(json!({
        "case": "equivalence", "kind": kind.name(), "size": name_of(size), "device": device.name().to_string(),
        "steps": cpu.len(), "loss_difference_max": difference(&cpu, &ours),
        "repeated_difference_max": difference(&ours, &again),
        "halves_difference_max": gap.fold(0.0_f32, f32::max) / largest,
        "gradient": Digest::of(&bytes).to_string(),
        "cpu_last": cpu.last(), "device_last": ours.last(),
    }))
}

/// The pace of one training, and where a step's time goes.
fn case(
    config: &Config,
    (device, rows): (&Device, &Rows),
    others: &mut Others,
    flags: &Flags,
) -> anyhow::Result<Value> {
    let kind = config.members[0];
    let network = network((kind, config.size), device);
    let first = parts(config, device, rows, 1, true)?;
    // Kernels are compiled by now, yet a slow device needs room for its first steps.
    let limit = Duration::from_secs_f64(flags.seconds) + first.total().mul_f64(0.5);
    let (mut meeting, costs) = others.meet()?;
    let pace = pace(meeting.as_mut(), (&network, rows), config, N_WARM, limit)?;
    let (communication_ms, sent, share) = by_step(&costs, pace.n_steps, pace.elapsed);
    let median = pace.median().context("no step was timed within the limit")?;
    let dropped = parts(config, device, rows, 4, true)?;
    let plain = parts(config, device, rows, 4, false)?;
    let precision = device.name().precision();
    Ok(json!({
        "case": "training", "who": "lifecast", "device": device.name().to_string(),
        "hardware": device.hardware(), "precision": precision.to_string(),
        "kind": kind.name(), "size": name_of(config.size), "batch": config.batch, "micro_batch": config.micro_batch,
        "n_parameters": network.layout().n_values(), "shape": shape(&architecture(kind, config.size)),
        "samples_per_second": config.batch as f64 / median.as_secs_f64(),
        "ranks": others.n_ranks(), "communication_ms": communication_ms, "communication_share": share,
        "bytes_sent_a_step": sent,
        "step_ms": ms(median), "n_steps": pace.steps.len(), "first_step_seconds": pace.first.as_secs_f64(),
        "compile_seconds": first.total().as_secs_f64(),
        "of_a_micro_batch_ms": {
            "upload_forward_download": ms(plain.forward), "backward_download": ms(plain.backward),
            "with_dropout": [ms(dropped.forward), ms(dropped.backward)],
        },
        "memory_bytes": device.memory_bytes(),
    }))
}

/// Times of one micro-batch's gradient.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// From windows on the host to raw outputs on the host.
    forward: Duration,
    /// From gradients of outputs on the host to the gradient of the weights there.
    backward: Duration,
}

impl Parts {
    fn total(self) -> Duration {
        self.forward + self.backward
    }
}

/// The shortest of some calls, with or without dropout, whose masks are drawn on the host.
fn parts(
    config: &Config,
    device: &Device,
    rows: &Rows,
    n_calls: usize,
    has_dropout: bool,
) -> anyhow::Result<Parts> {
    let network = network((config.members[0], config.size), device);
    let weights = initial_weights(&network.layout(), 7);
    let windows: Vec<_> =
        rows.rows.iter().take(config.micro_batch).map(|row| &row.window).collect();
    let mut all = Vec::new();
    for call in 0..n_calls {
        let seeds = (0..windows.len()).map(|row| (call * windows.len() + row) as u64);
        let mut noise = Dropout::new(seeds, config.dropout as f32);
        let noise = has_dropout.then_some(&mut noise);
        let begin = now();
        let judged = Cell::new(begin);
        let (gradient, ()) = network.gradient(&weights, &windows, noise, |raw| {
            judged.set(now());
            (raw.clone(), ())
        });
        let end = now();
        anyhow::ensure!(gradient.iter().all(|slope| slope.is_finite()), "a slope is not finite");
        all.push(Parts { forward: judged.get() - begin, backward: end - judged.get() });
    }
    all.into_iter().min_by_key(|parts| parts.total()).context("no call was asked for")
}

/// A kind or a size by its name in a configuration.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> anyhow::Result<T> {
    serde_json::from_value(json!(name)).with_context(|| format!("there is no `{name}`"))
}

fn name_of(size: Size) -> Value {
    serde_json::to_value(size).unwrap_or_default()
}

/// Rows of a step, and in how many parts.
fn batch_of(text: &str) -> anyhow::Result<(usize, usize)> {
    let (batch, n_parts) = text.split_once('x').unwrap_or((text, "1"));
    let numbers = batch.parse().and_then(|batch| Ok((batch, n_parts.parse()?)));
    numbers.with_context(|| format!("batch `{text}` is neither N nor NxM"))
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn print(line: &Value) {
    say(std::io::stdout(), &line.to_string());
}

fn say(mut to: impl std::io::Write, text: &str) {
    // Nobody may be listening.
    let _ = writeln!(to, "{text}").and_then(|()| to.flush());
}
