//! Ranks for a measurement: this process, and copies of it that it starts, or that mpirun has started.
//!
//! Each copy that it starts tells on stdout where it listens and reads on stdin where all do, once for
//! each training. Ranks of an MPI job have met for good.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use collective::rendezvous::Assignment;
use collective::{Clock, Collective, Error, Precision, Reduction, tcp};
use trainer::{Alone, Meeting, NoMeeting};

use crate::gpu::now;

/// Ranks that meet once, and what they sent.
pub struct Once {
    ranks: Option<Box<dyn Collective>>,
    clock: Clock,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl Meeting for Once {
    fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting> {
        self.ranks.take().ok_or_else(|| NoMeeting("the measurement is over".into()))
    }

    fn is_awaited(&self) -> bool {
        false
    }

    fn n_threads(&self) -> usize {
        1
    }

    fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }
}

/// What operations cost.
#[derive(Debug, Default)]
pub struct Costs {
    /// Bytes that this rank sent to reduce gradients.
    pub n_bytes: AtomicU64,
    /// Nanoseconds in operations, waiting for slower ranks included.
    pub nanoseconds: AtomicU64,
}

/// Ranks that several trainings of this process share, one after the other.
type Shared = Arc<Mutex<Box<dyn Collective>>>;

/// A rank whose operations are measured.
struct Measured {
    ranks: Shared,
    costs: Arc<Costs>,
}

impl Measured {
    fn measured<T>(
        &self,
        work: impl FnOnce(&mut dyn Collective) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = now();
        let done = work(self.ranks.lock().map_err(|_| Error::Broken)?.as_mut());
        self.costs.nanoseconds.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }

    fn asked<T: Default>(&self, question: impl FnOnce(&dyn Collective) -> T) -> T {
        self.ranks.lock().map(|ranks| question(ranks.as_ref())).unwrap_or_default()
    }
}

impl Collective for Measured {
    fn rank(&self) -> usize {
        self.asked(|ranks| ranks.rank())
    }

    fn n_ranks(&self) -> usize {
        self.asked(|ranks| ranks.n_ranks())
    }

    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        precision: Precision,
    ) -> Result<(), Error> {
        let before = self.n_bytes_sent();
        let done = self.measured(|ranks| ranks.all_reduce(values, reduction, precision));
        self.costs.n_bytes.fetch_add(self.n_bytes_sent() - before, Ordering::Relaxed);
        done
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        self.measured(|ranks| ranks.broadcast(values, root))
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        self.measured(|ranks| ranks.all_gather(values))
    }

    fn barrier(&mut self) -> Result<(), Error> {
        self.measured(|ranks| ranks.barrier())
    }

    fn n_bytes_sent(&self) -> u64 {
        self.asked(|ranks| ranks.n_bytes_sent())
    }
}

fn clock() -> Clock {
    let started = now();
    Arc::new(move || started.elapsed())
}

fn connected(
    listener: tcp::Listener,
    (rank, addresses): (usize, Vec<String>),
) -> anyhow::Result<(Once, Arc<Costs>)> {
    let clock = clock();
    let config =
        tcp::Config { limits: tcp::Limits::default(), tls: None, clock: Arc::clone(&clock) };
    let ranks = tcp::connect(listener, &Assignment { generation: 1, rank, addresses }, &config)?;
    let ranks: Shared = Arc::new(Mutex::new(Box::new(ranks)));
    Ok(once(&ranks, clock))
}

/// A meeting of ranks that are there, and what its operations cost.
fn once(ranks: &Shared, clock: Clock) -> (Once, Arc<Costs>) {
    let costs = Arc::new(Costs::default());
    let measured = Measured { ranks: Arc::clone(ranks), costs: Arc::clone(&costs) };
    (Once { ranks: Some(Box::new(measured)), clock }, costs)
}

/// With whom this process trains.
#[derive(Debug)]
pub enum Others {
    /// With nobody.
    Nobody,
    /// As the first, with copies of itself.
    Copies(Copies),
    /// As a copy that the first has started, by its rank.
    First(usize),
    /// As a rank of an MPI job.
    #[cfg(feature = "mpi")]
    Job(Job),
}

impl Others {
    /// The meeting of the next training, and what its operations cost.
    pub fn meet(&mut self) -> anyhow::Result<(Box<dyn Meeting>, Arc<Costs>)> {
        let (meeting, costs) = match self {
            Self::Nobody => return Ok((Box::new(Alone), Arc::default())),
            Self::Copies(copies) => copies.lead()?,
            Self::First(rank) => follow(*rank)?,
            #[cfg(feature = "mpi")]
            Self::Job(job) => once(&job.0, clock()),
        };
        Ok((Box::new(meeting), costs))
    }

    /// How many train together, as the first knows it.
    pub fn n_ranks(&self) -> usize {
        match self {
            Self::Nobody | Self::First(_) => 1,
            Self::Copies(copies) => copies.all.len() + 1,
            #[cfg(feature = "mpi")]
            Self::Job(job) => job.0.lock().map_or(1, |ranks| ranks.n_ranks()),
        }
    }

    /// Whether this process leads, and tells what it measures.
    pub fn is_first(&self) -> bool {
        match self {
            Self::Nobody | Self::Copies(_) => true,
            Self::First(_) => false,
            #[cfg(feature = "mpi")]
            Self::Job(job) => job.0.lock().is_ok_and(|ranks| ranks.rank() == 0),
        }
    }
}

/// The ranks of the MPI job that this process is of.
#[cfg(feature = "mpi")]
pub struct Job(Shared);

#[cfg(feature = "mpi")]
impl Job {
    /// Joins it, which a process does once.
    pub fn join() -> Result<Self, Error> {
        Ok(Self(Arc::new(Mutex::new(Box::new(collective::mpi::Mpi::new()?)))))
    }
}

#[cfg(feature = "mpi")]
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// Where a rank that a measurement started meets the others.
fn follow(rank: usize) -> anyhow::Result<(Once, Arc<Costs>)> {
    let listener = tcp::Listener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.address())?;
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    ensure!(!line.is_empty(), "the measurement is over");
    let addresses = line.split_whitespace().map(str::to_owned).collect();
    connected(listener, (rank, addresses))
}

/// Copies of this process that are the other ranks.
#[derive(Debug)]
pub struct Copies {
    all: Vec<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Copies {
    /// Starts ranks from 1 to `n_ranks - 1` with the arguments of this process.
    pub fn start(n_ranks: usize) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for rank in 1..n_ranks {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(std::env::args().skip(1)).args(["--rank", &rank.to_string()]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let stdin = child.stdin.take().context("stdin is piped")?;
            let stdout = child.stdout.take().context("stdout is piped")?;
            all.push((child, stdin, BufReader::new(stdout)));
        }
        Ok(Self { all })
    }

    /// The meeting of the next training, for rank 0, and what its operations cost.
    fn lead(&mut self) -> anyhow::Result<(Once, Arc<Costs>)> {
        let listener = tcp::Listener::bind("127.0.0.1:0")?;
        let mut addresses = vec![listener.address().to_string()];
        for (_, _, stdout) in &mut self.all {
            let mut line = String::new();
            stdout.read_line(&mut line)?;
            ensure!(!line.is_empty(), "a rank ended early");
            addresses.push(line.trim().to_owned());
        }
        for (_, stdin, _) in &mut self.all {
            writeln!(stdin, "{}", addresses.join(" "))?;
        }
        connected(listener, (0, addresses))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        for (child, _, _) in &mut self.all {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Milliseconds, bytes and share of the time, by step.
pub fn by_step(costs: &Costs, n_steps: usize, elapsed: Duration) -> (f64, u64, f64) {
    let seconds = Duration::from_nanos(costs.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
    let n_bytes = costs.n_bytes.load(Ordering::Relaxed) / n_steps.max(1) as u64;
    (1e3 * seconds / n_steps.max(1) as f64, n_bytes, seconds / elapsed.as_secs_f64())
}
