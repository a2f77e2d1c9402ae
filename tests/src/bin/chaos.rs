//! Kills and stops processes of trainings at random moments, and prints what came of it: one JSON
//! object a training, and a last one of all.
//!
//! Started by `cargo xtask chaos training --kills N`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use serde_json::json;
use tests::chaos::{Blow, Crew, Ground, Trial};
#[cfg(feature = "mpi")]
use tests::{gpu::now, mpi};
use tests::{hosts, workspace_root};

/// Kills and stops processes of trainings at random moments
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos")]
struct Flags {
    /// What is disturbed
    #[arg(value_enum)]
    subject: Subject,
    /// How often something happens to a process, over all trainings
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Draws what happens when, and to whom
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take part as a rank of MPI in what is told from there: set by the program itself
    #[cfg(feature = "mpi")]
    #[arg(long, hide = true, value_name = "ADDRESS")]
    rank_of: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Trainings of several workers on this machine
    Training,
    /// Trainings over hosts that are network namespaces: links are cut, too
    Hosts,
    /// A training under mpirun, one of whose ranks is killed once; before it what every collective
    /// must do
    #[cfg(feature = "mpi")]
    Mpi,
}

/// Most that happens in one training: it would never end if it never came to a step.
const N_BLOWS_EACH: usize = 8;

/// Every third training goes on with fewer workers while one is replaced.
const CREWS: [Crew; 3] = [
    Crew { n_workers: 2, n_workers_min: 2 },
    Crew { n_workers: 3, n_workers_min: 3 },
    Crew { n_workers: 2, n_workers_min: 1 },
];

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    #[cfg(feature = "mpi")]
    if let Some(address) = &flags.rank_of {
        return mpi::serve(address);
    }
    let folder = tempfile::tempdir()?;
    let pipeline = workspace_root().join("tests/pipelines/e2e.toml");
    match flags.subject {
        Subject::Training => training(flags, folder.path(), &pipeline),
        #[cfg(feature = "mpi")]
        Subject::Mpi => under_mpirun(folder.path(), &pipeline),
        Subject::Hosts => over_hosts(flags, folder.path(), &pipeline),
    }
}

#[cfg(feature = "mpi")]
fn under_mpirun(folder: &Path, pipeline: &Path) -> anyhow::Result<()> {
    let started = now();
    mpi::conform();
    let seconds = started.elapsed().as_secs_f64();
    print(
        &json!({ "chaos": "mpi", "conformance": "reduction", "ranks": [1, 2, 3, 4, 5], "seconds": seconds }),
    );
    let trials = mpi::run(&Ground::prepare(folder, pipeline)?)?;
    for trial in &trials {
        print(&serde_json::to_value(trial)?);
    }
    let is_good = |trial: &mpi::Trial| trial.bytes_equal && trial.job_ended == trial.killed;
    ensure!(trials.iter().all(is_good), "a training did not end in the bytes of the others");
    Ok(())
}

fn over_hosts(flags: &Flags, folder: &Path, pipeline: &Path) -> anyhow::Result<()> {
    let trials = hosts::run(folder, pipeline, (flags.seed, flags.kills))?;
    for trial in &trials {
        print(&serde_json::to_value(trial)?);
    }
    let is_good = |trial: &hosts::Trial| trial.finished && trial.bytes_equal;
    ensure!(trials.iter().all(is_good), "a training did not end in the bytes of the others");
    Ok(())
}

fn training(flags: &Flags, folder: &Path, pipeline: &Path) -> anyhow::Result<()> {
    let ground = Ground::prepare(folder, pipeline).context("nothing to train on")?;
    let mut undisturbed = BTreeMap::new();
    let mut trials: Vec<Trial> = Vec::new();
    let count =
        |trials: &[Trial]| trials.iter().flat_map(|trial| trial.blows.values()).sum::<usize>();
    while count(&trials) < flags.kills {
        let crew = CREWS[trials.len() % CREWS.len()];
        if let std::collections::btree_map::Entry::Vacant(place) = undisturbed.entry(crew.n_workers)
        {
            let sure = Crew { n_workers_min: crew.n_workers, ..crew };
            place.insert(ground.undisturbed(sure).context("without any disturbance")?);
        }
        let seed = flags.seed * 1_000 + trials.len() as u64;
        let n_blows = (flags.kills - count(&trials)).min(N_BLOWS_EACH);
        let trial = ground
            .disturbed(crew, (seed, n_blows), &undisturbed[&crew.n_workers])
            .with_context(|| format!("training {} (seed {seed})", trials.len()))?;
        print(&serde_json::to_value(&trial)?);
        trials.push(trial);
    }
    let mut blows: BTreeMap<Blow, usize> = BTreeMap::new();
    for (blow, n) in trials.iter().flat_map(|trial| &trial.blows) {
        *blows.entry(*blow).or_default() += n;
    }
    let unequal = trials.iter().filter(|trial| trial.bytes_equal == Some(false)).count();
    print(&json!({
        "chaos": "training", "trainings": trials.len(), "kills": count(&trials), "blows": blows,
        "finished": trials.iter().filter(|trial| trial.finished).count(),
        "replaced_and_equal_to_the_byte": trials.iter().filter(|t| t.bytes_equal == Some(true)).count(),
        "replaced_and_different": unequal,
        "unfinished_checkpoints": trials.iter().map(|trial| trial.unfinished_checkpoints).sum::<usize>(),
        "replaced_ms_most": trials.iter().map(|trial| trial.replaced_ms.1).max(),
    }));
    ensure!(unequal == 0, "{unequal} trainings ended in other bytes");
    ensure!(trials.iter().all(|trial| trial.finished), "a training did not end");
    Ok(())
}

fn print(line: &serde_json::Value) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
