//! Training with several workers on this machine: processes that are started, watched, and replaced
//! when they are lost.
//!
//! The command that starts workers hosts their rendezvous. Each worker reads its [`Job`] from stdin,
//! one line of JSON, and takes the end of stdin for its own: no worker outlives the command. What a
//! worker's exit code says to a shell it says here, too: a wrong configuration or wrong data is not
//! tried again.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use collective::Clock;
use collective::rendezvous::Terms;
use lifecycle::{ErrorKind, Progress};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::ranks::NoMeeting;
use crate::rendezvous::{self, Group, Membership, Place};
use crate::stage::{Error, Inputs, Summary, can_be_shared, run, run_rank};
use crate::training::Stopped;

/// How workers of this machine are started.
#[derive(Clone)]
pub struct Launcher {
    /// The program that becomes a worker, with its first arguments.
    pub program: PathBuf,
    /// What makes it a worker that reads its job from stdin.
    pub arguments: Vec<String>,
    /// Fewest workers that train.
    pub n_workers_min: usize,
    /// Most workers, and how many are started.
    pub n_workers_max: usize,
    /// Reads the clock.
    pub clock: Clock,
    /// Draws a number that no other process has.
    pub draw: fn() -> u64,
}

impl std::fmt::Debug for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launcher").field("program", &self.program).finish_non_exhaustive()
    }
}

/// What one worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    config: Config,
    features: Vec<PathBuf>,
    base: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    output: PathBuf,
    /// Address of the rendezvous.
    rendezvous: String,
    worker: u64,
    order: u32,
    n_workers: (usize, usize),
    n_threads: usize,
}

impl Job {
    /// Does it: trains as one rank among the others. `None` unless this worker is the one that
    /// writes the model.
    pub fn work(&self, clock: Clock, progress: &dyn Progress) -> Result<Option<Summary>, Error> {
        fs::create_dir_all(&self.output).map_err(|source| {
            let path = self.output.clone();
            Error::File { path, source }
        })?;
        let runtime = runtime()?;
        let channel = {
            let _inside = runtime.enter();
            rendezvous::channel(&self.rendezvous)
        };
        let channel = channel.map_err(|error| Error::Stopped(Stopped::Alone(error)))?;
        let (min, max) = self.n_workers;
        let place = Place {
            worker: self.worker,
            order: self.order,
            n_ranks: None,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            n_threads: self.n_threads,
        };
        let mut member = Membership::new(channel, &place, Terms::new(min, max), (None, clock))
            .map_err(|error| Error::Stopped(Stopped::Alone(error)))?;
        let inputs = Inputs {
            features: self.features.iter().map(PathBuf::as_path).collect(),
            base: self.base.as_deref(),
            checkpoint: self.checkpoint.as_deref(),
        };
        let telling = member.telling(progress);
        let done = run_rank(&self.config, &inputs, &self.output, &telling, &mut member)?;
        member.finish();
        Ok(done)
    }
}

fn alone(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Stopped(Stopped::Alone(NoMeeting(source)))
}

fn runtime() -> Result<Runtime, Error> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|error| alone(Box::new(error)))
}

/// Between looks at the workers.
const LOOK: Duration = Duration::from_millis(100);

/// How long a worker may not call before it is taken for stopped: a little more than its lease.
const SILENCE_MAX: Duration = Duration::from_secs(6);

/// How long a process may take to its first call.
const START_MAX: Duration = Duration::from_secs(30);

/// How often one worker is replaced while no step is done.
const N_REPLACED_MAX: usize = 10;

/// How long workers may take to write a checkpoint when training is cancelled.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Trains with several workers on this machine, to the artifact that [`crate::run`] would write, but
/// for the order of sums.
pub fn run_with_workers(
    config: &Config,
    inputs: &Inputs<'_>,
    output: &Path,
    progress: &dyn Progress,
    launcher: &Launcher,
) -> Result<Summary, Error> {
    if config.steps_max == 0 {
        return run(config, inputs, output, progress); // a model is published as it is
    }
    config.validate().map_err(Error::Config)?;
    can_be_shared(config)?;
    let terms = Terms::new(launcher.n_workers_min, launcher.n_workers_max);
    let group = Group::new(terms, Arc::clone(&launcher.clock));
    let group = group.map_err(|error| alone(Box::new(error)))?;
    let runtime = runtime()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let rendezvous = {
        let _inside = runtime.enter();
        let hosted = rendezvous::host(group.clone(), service::Flags::default(), stopped);
        format!("http://{}", hosted.map_err(|error| alone(Box::new(error)))?)
    };
    let job = |order: usize| {
        let worker = (launcher.draw)();
        Job {
            config: config.clone(),
            features: inputs.features.iter().map(|path| path.to_path_buf()).collect(),
            base: inputs.base.map(Path::to_owned),
            checkpoint: inputs.checkpoint.map(Path::to_owned),
            // Its own: one that was given up may wake and write.
            output: output.join(format!("{OUTPUTS}{worker}")),
            rendezvous: rendezvous.clone(),
            worker,
            order: order as u32,
            n_workers: (launcher.n_workers_min, launcher.n_workers_max),
            n_threads: (rayon::current_num_threads() / launcher.n_workers_max).max(1),
        }
    };
    if let Some(checkpoint) = inputs.checkpoint {
        let path = checkpoint.to_owned();
        fs::create_dir_all(checkpoint).map_err(|source| Error::File { path, source })?;
    }
    let crew = Crew { launcher, group, job: &job, seats: Vec::new() };
    let done = crew.work(progress);
    drop(stop);
    runtime.shutdown_background();
    let (summary, worker) = done?;
    deliver(output, worker).map_err(|source| Error::File { path: output.to_owned(), source })?;
    Ok(summary)
}

/// Workers write below the output folder, each into a folder of this name and its number.
const OUTPUTS: &str = ".worker-";

/// Moves what one worker wrote to where it belongs, and removes what others did.
fn deliver(output: &Path, worker: u64) -> io::Result<()> {
    let own = output.join(format!("{OUTPUTS}{worker}"));
    for entry in fs::read_dir(&own)? {
        let entry = entry?;
        fs::rename(entry.path(), output.join(entry.file_name()))?;
    }
    for entry in fs::read_dir(output)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(OUTPUTS) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The workers of a training.
struct Crew<'a> {
    launcher: &'a Launcher,
    group: Group,
    job: &'a dyn Fn(usize) -> Job,
    seats: Vec<Seat>,
}

/// One worker's process.
struct Seat {
    worker: u64,
    child: Child,
    /// Kept open as long as it is to work.
    stdin: Option<ChildStdin>,
    said: Option<JoinHandle<String>>,
    /// When it was started.
    since: Duration,
    /// It ended well.
    is_done: bool,
    /// How often it was replaced since a step was done.
    n_replaced: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Crew<'_> {
    fn work(mut self, progress: &dyn Progress) -> Result<(Summary, u64), Error> {
        for order in 0..self.launcher.n_workers_max {
            let seat = self.start(order, 0)?;
            self.seats.push(seat);
        }
        let mut furthest = 0;
        loop {
            thread::sleep(LOOK);
            let (n_working, told) = self.group.progress();
            if let Some(told) = told {
                let part = format!("{}, {n_working} workers", told.part);
                progress.report(&part, told.done, told.total);
                if told.part == "train" && told.done > furthest {
                    furthest = told.done;
                    self.seats.iter_mut().for_each(|seat| seat.n_replaced = 0);
                }
            }
            if progress.is_cancelled() {
                self.end();
                return Err(Error::Stopped(Stopped::Cancelled { step: furthest }));
            }
            if self.seats.iter().all(|seat| seat.is_done) {
                let reason = "and all others ended without a model".to_owned();
                return Err(Error::Worker { order: 0, reason, kind: ErrorKind::Internal });
            }
            for order in 0..self.seats.len() {
                if let Some(summary) = self.look_after(order)? {
                    return Ok((summary, self.seats[order].worker));
                }
            }
        }
    }

    /// Looks at one worker, and replaces it if it was lost. The summary of the one that wrote the
    /// model.
    fn look_after(&mut self, order: usize) -> Result<Option<Summary>, Error> {
        let seat = &mut self.seats[order];
        let waited = seat.child.try_wait().map_err(|error| alone(Box::new(error)))?;
        match waited {
            Some(status) if status.success() => {
                seat.is_done = true;
                let said = seat.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
                return Ok(serde_json::from_str(&said).ok());
            }
            Some(status) => {
                let (kind, n_lost) = (kind_of(status), seat.n_replaced + 1);
                if kind != ErrorKind::Internal || n_lost > N_REPLACED_MAX {
                    let reason = match kind {
                        ErrorKind::Internal => {
                            format!("was lost {n_lost} times without a step done: {status}")
                        }
                        _ => format!("ended, see what it said above: {status}"),
                    };
                    return Err(Error::Worker { order, reason, kind });
                }
                tracing::warn!(order, %status, "worker was lost, starting another");
            }
            None => {
                let now = (self.launcher.clock)();
                let (heard, patience) = match self.group.heard_of(seat.worker) {
                    Some(heard) => (heard, SILENCE_MAX),
                    None => (seat.since, START_MAX),
                };
                if now.saturating_sub(heard) <= patience {
                    return Ok(None);
                }
                tracing::warn!(order, "worker does not answer, starting another");
            }
        }
        self.replace(order)?;
        // Those that are done already are needed again.
        for order in 0..self.seats.len() {
            if self.seats[order].is_done {
                self.replace(order)?;
            }
        }
        Ok(None)
    }

    fn replace(&mut self, order: usize) -> Result<(), Error> {
        self.seats[order] = self.start(order, self.seats[order].n_replaced + 1)?;
        Ok(())
    }

    fn start(&self, order: usize, n_replaced: usize) -> Result<Seat, Error> {
        let job = (self.job)(order);
        let failed = |source| Error::File { path: self.launcher.program.clone(), source };
        let mut child = Command::new(&self.launcher.program)
            .args(&self.launcher.arguments)
            // As torchrun says which of this machine's workers a process is.
            .env("LOCAL_RANK", order.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take();
        let said = thread::spawn(move || {
            let mut said = String::new();
            // A worker that is killed while it speaks has said nothing.
            drop(stdout.map(|mut stdout| stdout.read_to_string(&mut said)));
            said
        });
        let mut seat = Seat {
            worker: job.worker,
            stdin: child.stdin.take(),
            child,
            said: Some(said),
            since: (self.launcher.clock)(),
            is_done: false,
            n_replaced,
        };
        let mut line = serde_json::to_string(&job).expect("a job is plain data");
        line.push('\n');
        let told = seat.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(line.as_bytes()));
        match told {
            // A worker that is dead already is seen to be so at the next look.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failed(error)),
            _ => Ok(seat),
        }
    }

    /// Lets all workers write a checkpoint and end, and ends those that do not.
    fn end(&mut self) {
        for seat in &mut self.seats {
            seat.stdin = None;
        }
        let mut left = LAST_WORDS;
        let is_over = |seat: &mut Seat| seat.is_done || !matches!(seat.child.try_wait(), Ok(None));
        while !left.is_zero() && !self.seats.iter_mut().all(is_over) {
            thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
        self.seats.clear();
    }
}

/// Who has to act, by the exit code that a program of ours ends with.
fn kind_of(status: ExitStatus) -> ErrorKind {
    match status.code() {
        Some(2) => ErrorKind::Usage,
        Some(3) => ErrorKind::Data,
        _ => ErrorKind::Internal,
    }
}
