//! How fast the trainer trains on this CPU, beside `PyTorch` eager with the same network, batch and
//! threads.
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
}

/// What either program prints of a case.
#[derive(Debug, Clone, Deserialize)]
struct Measured {
    kind: String,
    size: String,
    batch: usize,
    samples_per_second: f64,
    #[serde(default)]
    torch: Option<String>,
}

/// Rounds, seconds of a case in each, and rows of a step, in parts of 64 as the trainer has them.
fn plan(effort: Effort) -> (usize, &'static str, &'static str) {
    match effort {
        Effort::Quick => (2, "2", "256x4"),
        Effort::Plain => (5, "4", "256x4,1024x16"),
        Effort::Full => (9, "10", "256x4,1024x16"),
    }
}

/// Measures both in turn.
pub fn run(effort: Effort, environment: &Environment) -> anyhow::Result<Vec<Pace>> {
    let (rounds, seconds, batches) = plan(effort);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("ours.jsonl");
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut command = Command::new(binary("training-pace")?);
        command.args(["--device", "cpu", "--sizes", "small", "--batches", batches]);
        command.args(["--seconds", seconds]);
        let text = output(command)?;
        std::fs::write(&said, &text)?;
        ours.push(measured(&text)?);
        let mut command = Command::new(environment.interpreter());
        command.arg(workspace_root().join("tests/peers/training_pace.py")).arg(&said);
        command.args(["--device", "cpu", "--seconds", seconds, "--threads", &threads.to_string()]);
        peers.push(measured(&output(command)?)?);
    }
    let case = |at: usize| {
        let of = |all: &[Vec<Measured>]| -> Option<Vec<Measured>> {
            all.iter().map(|round| round.get(at).cloned()).collect()
        };
        pace(&of(&ours)?, &of(&peers)?, threads)
    };
    (0..ours[0].len()).map(|at| case(at).context("a round has another case")).collect()
}

/// One case over all rounds; nothing where the two did not measure the same.
fn pace(ours: &[Measured], peers: &[Measured], threads: usize) -> Option<Pace> {
    let name = |one: &Measured| {
        format!("1 rank of {threads} threads, {} {}, {} rows a step", one.kind, one.size, one.batch)
    };
    let case = name(ours.first()?);
    if ours.len() != peers.len() || ours.iter().chain(peers).any(|one| name(one) != case) {
        return None;
    }
    let speeds = |all: &[Measured]| all.iter().map(|one| one.samples_per_second).collect();
    let ratios: Vec<f64> = ours
        .iter()
        .zip(peers)
        .map(|(ours, peer)| ours.samples_per_second / peer.samples_per_second)
        .collect();
    Some(Pace {
        bench: "training",
        case,
        metric: "samples_per_second",
        ours: median(speeds(ours)),
        peer: median(speeds(peers)),
        peer_name: format!("PyTorch {} eager", peers[0].torch.clone().unwrap_or_default()),
        better: "higher",
        low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        high: ratios.iter().copied().fold(0.0, f64::max),
        ratio: median(ratios),
        threads,
        rounds: ours.len(),
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
        Measured { kind, size, batch, samples_per_second, torch: Some("2.9".to_owned()) }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let ours: Vec<Measured> = [300.0, 100.0, 220.0].map(|speed| measured(256, speed)).to_vec();
        let peers: Vec<Measured> = [200.0, 100.0, 200.0].map(|speed| measured(256, speed)).to_vec();
        let found = pace(&ours, &peers, 2).expect("the same case");
        assert_eq!((found.ratio, found.low, found.high), (1.1, 1.0, 1.5));
        assert_eq!((found.ours, found.peer, found.rounds), (220.0, 200.0, 3));
        assert_eq!(found.peer_name, "PyTorch 2.9 eager");
        assert_eq!(pace(&ours, &[measured(512, 1.0)], 2), None);
    }
}
