//! Trainings under mpirun: to the bytes of workers over TCP, and, where a rank is lost and MPI has ended
//! the job, from the checkpoint on when it is started again. And the promises of every collective, of
//! MPI's.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use collective::conformance;
use serde::Serialize;
use serde_json::Value;
use sysinfo::{ProcessesToUpdate, Signal, System};

use crate::chaos::{Crew, Ground, children};
use crate::gpu::now;
use crate::proxies;

/// What a training under mpirun went through.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    chaos: &'static str,
    /// A rank got SIGKILL.
    pub killed: bool,
    /// The job ended with an error then.
    pub job_ended: bool,
    /// The model, of the job that was started again, has the bytes of workers over TCP.
    pub bytes_equal: bool,
    seconds: f64,
}

/// Runs one job undisturbed, and one whose rank is killed.
pub fn run(ground: &Ground) -> anyhow::Result<Vec<Trial>> {
    let crew = Crew { n_workers: 2, n_workers_min: 2 };
    let wanted = ground.undisturbed(crew)?;
    [false, true].into_iter().map(|is_killed| job(ground, is_killed, &wanted)).collect()
}

fn job(ground: &Ground, is_killed: bool, wanted: &str) -> anyhow::Result<Trial> {
    let name = format!("mpi-{is_killed}");
    ground.make_store(&name)?;
    let started = now();
    let mut job_ended = false;
    if is_killed {
        let mut first = start(ground, &name)?;
        // Past the first checkpoints, before the end.
        while !ground.has_checkpoint(&name) {
            ensure!(first.try_wait()?.is_none(), "the job ended before its first checkpoint");
            thread::sleep(Duration::from_millis(20));
        }
        ensure!(kill_a_rank(first.id()), "no rank was found");
        job_ended = !first.wait()?.success();
    }
    let output = start(ground, &name)?.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "mpirun: {}\n{said}", output.status);
    let made: Vec<String> = said
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line).ok()?["artifact"].as_str().map(str::to_owned)
        })
        .collect();
    Ok(Trial {
        chaos: "mpi",
        killed: is_killed,
        job_ended,
        bytes_equal: made.len() == 2 && made.iter().all(|made| made == wanted),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Holds groups of 1 to 5 ranks of MPI to what every implementation must do; panics where one does
/// not.
pub fn conform() {
    let job = |n_ranks: usize, address: &str| {
        let mut command = mpirun(n_ranks);
        command.arg(std::env::current_exe()?).args(["mpi", "--rank-of", address]);
        command.spawn().context(INSTALL)
    };
    #[allow(clippy::expect_used, reason = "the suite that calls it panics, too")]
    conformance::reduction(|n_ranks| {
        proxies::group(n_ranks, |address| job(n_ranks, address)).expect("mpirun starts ranks")
    });
}

/// Takes part in [`conform`] as a rank of an MPI job.
pub fn serve(address: &str) -> anyhow::Result<()> {
    proxies::serve(collective::mpi::Mpi::new()?, address)
}

const INSTALL: &str = "mpirun: install openmpi-bin";

/// A job of so many ranks, whatever cores there are; its program is to be added.
pub fn mpirun(n_ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &n_ranks.to_string()]);
    command.stdin(Stdio::null());
    command
}

fn start(ground: &Ground, name: &str) -> anyhow::Result<Child> {
    // Both ranks have one work folder: each takes a part of its own.
    let worker = ground.worker(name, 0)?;
    let mut command = mpirun(2);
    command.arg(worker.get_program()).args(worker.get_args()).args(["--collective", "mpi"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context(INSTALL)
}

/// Kills a rank that mpirun started; whether there was one.
fn kill_a_rank(mpirun: u32) -> bool {
    let ranks = children(mpirun);
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&ranks), true);
    let rank = ranks.first().and_then(|rank| system.process(*rank));
    rank.and_then(|rank| rank.kill_with(Signal::Kill)).unwrap_or(false)
}
