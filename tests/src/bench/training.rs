//! How fast the trainer trains on this CPU, beside `PyTorch` with the same network, batch and threads:
//! one rank, and ranks of one thread each beside DDP. With feature `mpi`, ranks of an MPI job beside those
//! over TCP, too.
//!
//! What no two machines here can measure is calculated, and says so: how efficient ranks of many hosts are,
//! from the pace of one, the bytes of a ring and a network's bandwidth and latency.
//!
//! The two take turns, so that what else the machine does meets both; a case's ratio is the median
//! over the rounds, its interval reaches from the least to the greatest.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::budget::Effort;
use super::peers::Environment;
use crate::{binary, workspace_root};

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pace {
    /// `training`.
    pub bench: &'static str,
    /// Ranks and threads, kind and size of the network, rows of a step.
    pub case: String,
    /// `samples_per_second`.
    pub metric: &'static str,
    /// Ours, the median over rounds.
    pub ours: f64,
    /// The peer's.
    pub peer: f64,
    /// Who that is, with its version.
    pub peer_name: String,
    /// `higher`.
    pub better: &'static str,
    /// Ours over the peer's: the median of the rounds' ratios.
    pub ratio: f64,
    /// The least ratio of a round.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Threads of each.
    pub threads: usize,
    /// How often each was measured.
    pub rounds: usize,
    /// Share of our time in which a rank communicates, waiting for slower ranks included.
    pub communication_share: Option<f64>,
}

/// What either program prints of a case.
#[derive(Debug, Clone, Deserialize)]
struct Measured {
    kind: String,
    size: String,
    batch: usize,
    samples_per_second: f64,
    #[serde(default = "one")]
    ranks: usize,
    n_parameters: Option<usize>,
    communication_share: Option<f64>,
    bytes_sent_a_step: Option<f64>,
    torch: Option<String>,
}

fn one() -> usize {
    1
}

/// Rounds, seconds of a case in each, and rows of a step, in parts of 64 as the trainer has them.
fn plan(effort: Effort) -> (usize, &'static str, &'static str) {
    match effort {
        Effort::Quick => (2, "2", "256x4"),
        Effort::Plain => (5, "4", "256x4,1024x16"),
        Effort::Full => (9, "10", "256x4,1024x16"),
    }
}

/// Measures all in turn: one rank with all threads and ranks of one thread each, ours and
/// `PyTorch`'s.
pub fn run(effort: Effort, environment: &Environment) -> anyhow::Result<Vec<Pace>> {
    let (rounds, seconds, batches) = plan(effort);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(2);
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("ours.jsonl");
    let mut all = [(1, Vec::new(), Vec::new()), (threads, Vec::new(), Vec::new())];
    let mut under_mpi = Vec::new();
    for _ in 0..rounds {
        for (n_ranks, ours, peers) in &mut all {
            let n_ranks = n_ranks.to_string();
            let cases = ["--device", "cpu", "--sizes", "small", "--batches", batches];
            let mut command = Command::new(binary("training-pace")?);
            command.args(cases).args(["--seconds", seconds, "--ranks", &n_ranks]);
            let text = output(command)?;
            std::fs::write(&said, &text)?;
            ours.push(measured(&text)?);
            let mut command = Command::new(environment.interpreter());
            command.arg(workspace_root().join("tests/peers/training_pace.py")).arg(&said);
            command.args(["--device", "cpu", "--seconds", seconds, "--ranks", &n_ranks]);
            command.args(["--threads", &threads.to_string()]);
            peers.push(measured(&output(command)?)?);
        }
        under_mpi.extend(ranks_of_mpi((threads, batches, seconds))?);
    }
    let [(_, one, one_peer), (_, several, several_peer)] = &all;
    let torch = one_peer[0][0].torch.clone().unwrap_or_default();
    let mut paces = Vec::new();
    for at in 0..one[0].len() {
        let of = |all: &[Vec<Measured>]| -> anyhow::Result<Vec<Measured>> {
            let case = |round: &Vec<Measured>| round.get(at).cloned();
            all.iter().map(case).collect::<Option<_>>().context("a round has another case")
        };
        let (one, several) = (of(one)?, of(several)?);
        let pairs = [
            (&one, &of(one_peer)?, format!("PyTorch {torch} eager")),
            (&several, &of(several_peer)?, format!("PyTorch {torch} DDP over Gloo")),
            (&several, &one, format!("lifecast, 1 rank of {threads} threads")),
        ];
        for (ours, peers, name) in pairs {
            let pace =
                pace((ours, peers), name, threads).context("the two measured other cases")?;
            paces.push(pace);
        }
        if !under_mpi.is_empty() {
            let mpi = format!("lifecast, {threads} ranks of 1 thread over TCP");
            let pace = pace((&of(&under_mpi)?, &several), mpi, threads);
            let pace = pace.context("the two measured other cases")?;
            paces.push(Pace { case: pace.case.replace("ranks", "ranks of MPI"), ..pace });
        }
        paces.extend(bytes_on_the_wire(&several, threads));
        paces.extend(expected(&one, threads));
    }
    Ok(paces)
}

/// The cases of a round by ranks of an MPI job, one thread each.
#[cfg(feature = "mpi")]
fn ranks_of_mpi(
    (n_ranks, batches, seconds): (usize, &str, &str),
) -> anyhow::Result<Option<Vec<Measured>>> {
    let mut command = crate::mpi::mpirun(n_ranks);
    command.arg(binary("training-pace")?).args(["--device", "cpu", "--sizes", "small"]);
    command.args(["--batches", batches, "--seconds", seconds, "--mpi"]);
    Ok(Some(measured(&output(command)?)?))
}

#[cfg(not(feature = "mpi"))]
#[allow(clippy::unnecessary_wraps, reason = "with MPI it may fail")]
fn ranks_of_mpi(_: (usize, &str, &str)) -> anyhow::Result<Option<Vec<Measured>>> {
    Ok(None)
}

/// What a rank sends in a step, beside what a ring has to send of the gradient.
fn bytes_on_the_wire(several: &[Measured], threads: usize) -> Option<Pace> {
    let first = several.first()?;
    let n_ranks = first.ranks as f64;
    let least = 2.0 * (n_ranks - 1.0) / n_ranks * 4.0 * first.n_parameters? as f64;
    let sent: Vec<f64> = several.iter().filter_map(|one| one.bytes_sent_a_step).collect();
    let ratios: Vec<f64> = sent.iter().map(|sent| sent / least).collect();
    Some(Pace {
        metric: "bytes_sent_a_step",
        ours: median(sent),
        peer: least,
        peer_name: "2 (N - 1) / N of the gradient".to_owned(),
        better: "lower",
        low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        high: ratios.iter().copied().fold(0.0, f64::max),
        ratio: median(ratios),
        ..pace((several, several), String::new(), threads)?
    })
}

/// Hosts of the calculated cases.
const HOSTS: [usize; 3] = [2, 8, 64];

/// Bytes a second of the network between them: 10 Gbit/s.
const BANDWIDTH: f64 = 1.25e9;

/// Seconds from host to host, of TCP in one data centre.
const LATENCY: f64 = 50e-6;

/// How efficient hosts are that each have one rank's rows of a step, calculated: a step is that of one
/// rank, and then a ring's `2 (N - 1)` messages, nothing of it at the same time.
fn expected(one: &[Measured], threads: usize) -> Vec<Pace> {
    let of = |n_hosts: usize| {
        let first = one.first()?;
        let (n, gradient) = (n_hosts as f64, 4.0 * first.n_parameters? as f64);
        let rows = first.batch as f64;
        let step = rows / median(one.iter().map(|one| one.samples_per_second).collect());
        let ring = 2.0 * (n - 1.0) * (gradient / n / BANDWIDTH + LATENCY);
        let (ours, peer) = (n * rows / (step + ring), n * rows / step);
        let measured = pace((one, one), String::new(), threads)?;
        Some(Pace {
            case: format!("{n_hosts} hosts of {}, calculated", measured.case),
            ours,
            peer,
            peer_name: "as many hosts without a network".to_owned(),
            ratio: ours / peer,
            low: ours / peer,
            high: ours / peer,
            communication_share: Some(ring / (step + ring)),
            ..measured
        })
    };
    HOSTS.into_iter().filter_map(of).collect()
}

/// One case over all rounds; nothing where the two did not measure the same.
fn pace(
    (ours, peers): (&[Measured], &[Measured]),
    peer_name: String,
    threads: usize,
) -> Option<Pace> {
    let name = |one: &Measured| format!("{} {}, {} rows a step", one.kind, one.size, one.batch);
    let first = ours.first()?;
    let case = name(first);
    if ours.len() != peers.len() || ours.iter().chain(peers).any(|one| name(one) != case) {
        return None;
    }
    let speeds = |all: &[Measured]| all.iter().map(|one| one.samples_per_second).collect();
    let ratios: Vec<f64> = ours
        .iter()
        .zip(peers)
        .map(|(ours, peer)| ours.samples_per_second / peer.samples_per_second)
        .collect();
    let n_ranks = first.ranks;
    let of_each = if n_ranks == 1 {
        format!("1 rank of {threads} threads")
    } else {
        format!("{n_ranks} ranks of 1 thread")
    };
    let shares: Vec<f64> = ours.iter().filter_map(|one| one.communication_share).collect();
    Some(Pace {
        bench: "training",
        case: format!("{of_each}, {case}"),
        metric: "samples_per_second",
        ours: median(speeds(ours)),
        peer: median(speeds(peers)),
        peer_name,
        better: "higher",
        low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        high: ratios.iter().copied().fold(0.0, f64::max),
        ratio: median(ratios),
        threads,
        rounds: ours.len(),
        communication_share: (n_ranks > 1 && !shares.is_empty()).then(|| median(shares)),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    f64::midpoint(low, high)
}

fn output(mut command: Command) -> anyhow::Result<String> {
    let said = command.stderr(Stdio::inherit()).output()?;
    ensure!(said.status.success(), "{command:?}: {}", said.status);
    Ok(String::from_utf8(said.stdout)?)
}

/// The lines of cases of training.
fn measured(text: &str) -> anyhow::Result<Vec<Measured>> {
    let is_case = |line: &&str| line.contains("\"case\":") && line.contains("samples_per_second");
    let lines = text.lines().filter(is_case).map(serde_json::from_str);
    let all: Vec<Measured> = lines.collect::<Result<_, _>>()?;
    ensure!(!all.is_empty(), "nothing was measured");
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(batch: usize, samples_per_second: f64) -> Measured {
        let (kind, size) = ("lstm".to_owned(), "small".to_owned());
        Measured {
            kind,
            size,
            batch,
            samples_per_second,
            ranks: 1,
            n_parameters: Some(1000),
            communication_share: None,
            bytes_sent_a_step: None,
            torch: Some("2.9".to_owned()),
        }
    }

    #[test]
    fn hosts_lose_what_a_ring_takes() {
        let speeds = [measured(256, 25_600.0)];
        let found = expected(&speeds, 2);
        // A step takes 10 ms, and rings of 2 hosts 2 messages of .05 ms and 2,000 bytes each.
        let wanted = 0.01 / (0.01 + 2.0 * (50e-6 + 2000.0 / 1.25e9));
        assert!((found[0].ratio - wanted).abs() < 1e-9, "{:?}", found[0]);
        assert!(found.is_sorted_by(|few, many| few.ratio > many.ratio));
        assert!(found.iter().all(|pace| pace.case.ends_with("calculated")));
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let ours: Vec<Measured> = [300.0, 100.0, 220.0].map(|speed| measured(256, speed)).to_vec();
        let peers: Vec<Measured> = [200.0, 100.0, 200.0].map(|speed| measured(256, speed)).to_vec();
        let found = pace((&ours, &peers), "PyTorch".to_owned(), 2).expect("the same case");
        assert_eq!((found.ratio, found.low, found.high), (1.1, 1.0, 1.5));
        assert_eq!((found.ours, found.peer, found.rounds), (220.0, 200.0, 3));
        assert_eq!(found.case, "1 rank of 2 threads, lstm small, 256 rows a step");
        assert_eq!(pace((&ours, &[measured(512, 1.0)]), String::new(), 2), None);
    }
}
