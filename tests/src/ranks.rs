//! Ranks for a measurement: this process, and copies of it that it starts.
//!
//! Each copy tells on stdout where it listens and reads on stdin where all do, once for each
//! training.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use collective::rendezvous::Assignment;
use collective::{Clock, Collective, Error, Precision, Reduction, tcp};
use trainer::{Meeting, NoMeeting};

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

/// A rank whose operations are measured.
struct Measured {
    ranks: tcp::Tcp,
    costs: Arc<Costs>,
}

impl Measured {
    fn measured<T>(
        &mut self,
        work: impl FnOnce(&mut tcp::Tcp) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = now();
        let done = work(&mut self.ranks);
        self.costs.nanoseconds.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }
}

impl Collective for Measured {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn n_ranks(&self) -> usize {
        self.ranks.n_ranks()
    }

    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        precision: Precision,
    ) -> Result<(), Error> {
        let before = self.ranks.n_bytes_sent();
        let done = self.measured(|ranks| ranks.all_reduce(values, reduction, precision));
        self.costs.n_bytes.fetch_add(self.ranks.n_bytes_sent() - before, Ordering::Relaxed);
        done
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        self.measured(|ranks| ranks.broadcast(values, root))
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        self.measured(|ranks| ranks.all_gather(values))
    }

    fn barrier(&mut self) -> Result<(), Error> {
        self.measured(Collective::barrier)
    }

    fn n_bytes_sent(&self) -> u64 {
        self.ranks.n_bytes_sent()
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
    let costs = Arc::new(Costs::default());
    let ranks: Box<dyn Collective> = Box::new(Measured { ranks, costs: Arc::clone(&costs) });
    Ok((Once { ranks: Some(ranks), clock }, costs))
}

/// Where a rank that a measurement started meets the others.
pub fn follow(rank: usize) -> anyhow::Result<Once> {
    let listener = tcp::Listener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "{}", listener.address())?;
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    ensure!(!line.is_empty(), "the measurement is over");
    let addresses = line.split_whitespace().map(str::to_owned).collect();
    Ok(connected(listener, (rank, addresses))?.0)
}

/// Copies of this process that are the other ranks.
#[derive(Debug)]
pub struct Followers {
    all: Vec<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Followers {
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
    pub fn lead(&mut self) -> anyhow::Result<(Once, Arc<Costs>)> {
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

impl Drop for Followers {
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
