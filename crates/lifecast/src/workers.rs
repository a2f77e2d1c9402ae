//! Workers of this machine: how many, and how this program becomes one.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use artifacts::Workplace;
use lifecycle::Progress;
use model::DeviceName;
use trainer::{Job, Launcher};

use crate::clock;
use crate::failure::Failure;

/// How many processes train together.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkersFlags {
    /// Processes of this machine that train together, each on its share of the cores; without a
    /// number one for each core, or for each GPU with `--device gpu`
    #[arg(long, env = "LIFECAST_WORKERS", value_name = "N", num_args = 0..=1,
        default_value_t = 1, default_missing_value = "0", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) workers: u32,
    /// Train on with no fewer than these while lost workers are replaced; without it all wait
    #[arg(long, env = "LIFECAST_MIN_WORKERS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) min_workers: Option<u32>,
}

impl WorkersFlags {
    /// How workers are started, if there are to be several.
    pub(crate) fn launcher(&self, device: DeviceName) -> Result<Option<Launcher>, Failure> {
        let n_workers_max = match self.workers {
            0 => n_workers_of(device),
            n_workers => n_workers as usize,
        };
        let n_workers_min = self.min_workers.map_or(n_workers_max, |least| least as usize);
        if n_workers_min > n_workers_max {
            let reason = format!("--min-workers {n_workers_min} is over --workers {n_workers_max}");
            return Err(Failure::usage(anyhow::Error::msg(reason)));
        }
        if n_workers_max == 1 {
            return Ok(None);
        }
        let program = std::env::current_exe().context("this program's file is not known");
        let arguments = ["worker", "--job-from-stdin", "--device", &device.to_string()];
        Ok(Some(Launcher {
            program: program.map_err(Failure::internal)?,
            arguments: arguments
                .map(str::to_owned)
                .into_iter()
                .chain(service::logging::arguments())
                .collect(),
            n_workers_min,
            n_workers_max,
            clock: clock::since_start(),
            draw: rand::random,
        }))
    }
}

/// How many workers fill this machine.
fn n_workers_of(device: DeviceName) -> usize {
    match device {
        DeviceName::OwnGpu(_) => {
            let gpus = model::devices();
            gpus.iter().filter(|(name, _)| matches!(name, DeviceName::Gpu(..))).count().max(1)
        }
        DeviceName::Cpu | DeviceName::Gpu(..) | DeviceName::Software => {
            thread::available_parallelism().map_or(1, usize::from)
        }
    }
}

/// Names the number of workers in keys: the order of sums follows it.
pub(crate) fn with_world_size(mut place: Workplace, world_size: &str) -> Workplace {
    place.execution.insert("world_size".to_owned(), world_size.to_owned());
    place
}

/// The number of workers as keys name it.
pub(crate) fn world_size(n_workers_min: usize, n_workers_max: usize) -> String {
    if n_workers_min == n_workers_max {
        n_workers_max.to_string()
    } else {
        format!("{n_workers_min} to {n_workers_max}")
    }
}

/// The number of workers that are started.
pub(crate) fn world_size_of(launcher: &Launcher) -> String {
    world_size(launcher.n_workers_min, launcher.n_workers_max)
}

/// How long a worker whose command is gone may take to write a checkpoint.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Heard by whoever trains: the command that started this worker is gone.
#[derive(Debug, Clone, Default)]
struct Abandoned(Arc<AtomicBool>);

impl Progress for Abandoned {
    fn report(&self, _part: &str, _done: u64, _total: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does the job that the command which started this process writes to its stdin, and says what came
/// of it.
pub(crate) fn work_from_stdin() -> Result<(), Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.context("stdin").map_err(Failure::internal)?;
    let job: Job = serde_json::from_str(&line)
        .context(
            "stdin must bring a worker's job: workers are started by `lifecast train --workers N`",
        )
        .map_err(Failure::usage)?;
    let abandoned = Abandoned::default();
    let heard = abandoned.clone();
    #[allow(clippy::exit, reason = "nobody is left to hear of an error")]
    thread::spawn(move || {
        drop(io::stdin().lock().read_to_end(&mut Vec::new()));
        heard.0.store(true, Ordering::Relaxed);
        thread::sleep(LAST_WORDS);
        std::process::exit(5);
    });
    match job.work(clock::since_start(), &abandoned)? {
        Some(summary) => crate::answer(&summary),
        None => Ok(()),
    }
}
