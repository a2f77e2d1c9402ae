//! Trainings of several processes, some of which are killed or stopped at random moments.
//!
//! Whatever happens to a worker or to the command that started it, each training ends; where lost
//! workers are replaced it ends in the very bytes of one that nothing happened to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use model::Noise;
use serde::Serialize;
use serde_json::Value;
use sysinfo::{Pid, ProcessesToUpdate, Signal, System};

use crate::gpu::now;
use crate::{answer, binary};

/// What happens to processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blow {
    /// A worker gets SIGKILL.
    Killed,
    /// A worker gets SIGSTOP: it lives, and does nothing.
    Stopped,
    /// All workers get SIGKILL while one of them writes a checkpoint.
    Checkpoint,
    /// The command that started the workers gets SIGKILL, and is started again.
    Command,
}

/// How the workers of a training make up for lost ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    /// Workers.
    pub n_workers: usize,
    /// Fewest that train on.
    pub n_workers_min: usize,
}

/// What a training went through.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// `training`.
    pub chaos: &'static str,
    /// Workers, and fewest that train on.
    pub workers: (usize, usize),
    /// How often what happened.
    pub blows: BTreeMap<Blow, usize>,
    /// Blows that met a worker while a checkpoint was being written, and left it unfinished.
    pub unfinished_checkpoints: usize,
    /// Milliseconds until a lost worker was replaced: median and most.
    pub replaced_ms: (u64, u64),
    /// It ended.
    pub finished: bool,
    /// With the bytes of a training that nothing happened to; nothing where the number of workers
    /// changed meanwhile.
    pub bytes_equal: Option<bool>,
    /// From start to end.
    pub seconds: f64,
}

impl Trial {
    fn of(crew: Crew) -> Self {
        Self {
            chaos: "training",
            workers: (crew.n_workers, crew.n_workers_min),
            blows: BTreeMap::new(),
            unfinished_checkpoints: 0,
            replaced_ms: (0, 0),
            finished: false,
            bytes_equal: None,
            seconds: 0.0,
        }
    }
}

/// What is trained, where.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    features: String,
    config: PathBuf,
}

/// Settings of the training: many short steps and many checkpoints.
const CONFIG: &str = "size = \"small\"\nsteps_max = 1200\nbatch = 128\nmicro_batch = 64\n\
                      validate_every = 100\ncheckpoint_every = 10\ntrees = false\n";

impl Ground {
    /// Simulates a small marketplace in a folder, and makes its features.
    pub fn prepare(folder: &Path, pipeline: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("lifecast")?);
        command.arg("run").arg(pipeline).args(["--json", "--quiet"]);
        command.arg("--store").arg(folder.join("store")).arg("--work").arg(folder.join("work"));
        let outcome = answer(&command.output()?)?;
        let stages = outcome["stages"].as_array().context("a run has stages")?;
        let features = stages.iter().find(|stage| stage["name"] == "features");
        let features = features.and_then(|stage| stage["artifact"].as_str());
        let config = folder.join("train.toml");
        fs::write(&config, CONFIG)?;
        Ok(Self {
            folder: folder.to_owned(),
            features: features.context("features were made")?.to_owned(),
            config,
        })
    }

    /// A store of its own with the features in it.
    fn store(&self, name: &str) -> anyhow::Result<PathBuf> {
        let store = self.folder.join(name).join("store");
        copy(&self.folder.join("store"), &store)?;
        Ok(store)
    }

    /// Makes a store of its own for a training.
    pub fn make_store(&self, name: &str) -> anyhow::Result<()> {
        self.store(name).map(drop)
    }

    /// Whether a training over hosts has written a checkpoint.
    pub fn has_checkpoint(&self, name: &str) -> bool {
        let steps = steps(&self.folder.join(name).join("work-0/worker-0/checkpoints"));
        steps.iter().any(|step| step.join("manifest.json").exists())
    }

    /// The worker of one rank of a training, with a work folder of its own.
    pub fn worker(&self, name: &str, rank: usize) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("lifecast")?);
        command.arg("worker").arg(format!("features={}", self.features));
        command.arg("--config").arg(&self.config);
        command.arg("--store").arg(self.folder.join(name).join("store"));
        command.arg("--work").arg(self.folder.join(name).join(format!("work-{rank}")));
        command.args(["--json", "--quiet", "--log", "error"]);
        Ok(command)
    }

    fn command(&self, name: &str, store: &Path, crew: Crew) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("lifecast")?);
        command.arg("train").arg(format!("features={}", self.features));
        command.arg("--config").arg(&self.config).arg("--store").arg(store);
        command.arg("--work").arg(self.folder.join(name).join("work"));
        command.args(["--workers", &crew.n_workers.to_string()]);
        command.args(["--min-workers", &crew.n_workers_min.to_string()]);
        command.args(["--json", "--quiet", "--log", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// The model of a training that nothing happens to.
    pub fn undisturbed(&self, crew: Crew) -> anyhow::Result<String> {
        let name = format!("undisturbed-{}", crew.n_workers);
        let store = self.store(&name)?;
        artifact(&answer(&self.command(&name, &store, crew)?.output()?)?)
    }

    /// A training to whose processes something happens `n_blows` times, or until it ends.
    pub fn disturbed(
        &self,
        crew: Crew,
        (seed, n_blows): (u64, usize),
        wanted: &str,
    ) -> anyhow::Result<Trial> {
        let name = format!("disturbed-{seed}");
        let store = self.store(&name)?;
        let checkpoints = self.folder.join(&name).join("work/checkpoints");
        let mut noise = Noise::new(seed);
        let mut trial = Trial::of(crew);
        let started = now();
        let mut command = self.command(&name, &store, crew)?.spawn()?;
        let mut replaced = Vec::new();
        for _ in 0..n_blows {
            let Some(workers) = all_there(&mut command, crew.n_workers)? else { break };
            let blow = match noise.uniform() {
                x if x < 0.45 => Blow::Killed,
                x if x < 0.6 => Blow::Stopped,
                x if x < 0.88 => Blow::Checkpoint,
                _ => Blow::Command,
            };
            let pause = Duration::from_secs_f32(0.3 + 2.0 * noise.uniform());
            let victim = workers[(noise.uniform() * workers.len() as f32) as usize];
            // Looked up before: a checkpoint is written in milliseconds.
            let mut system = System::new();
            system.refresh_processes(ProcessesToUpdate::Some(&workers), true);
            // One that has just ended is not there to hear it.
            let signal = |pid: Pid, signal: Signal| {
                let _ = system.process(pid).and_then(|process| process.kill_with(signal));
            };
            if blow == Blow::Checkpoint {
                wait_for_a_checkpoint(&checkpoints, pause * 4);
            } else {
                thread::sleep(pause);
            }
            if command.try_wait()?.is_some() {
                break;
            }
            let from = now();
            match blow {
                Blow::Killed => signal(victim, Signal::Kill),
                Blow::Stopped => signal(victim, Signal::Stop),
                Blow::Checkpoint => {
                    for worker in &workers {
                        signal(*worker, Signal::Kill);
                    }
                    trial.unfinished_checkpoints += usize::from(unfinished(&checkpoints));
                }
                Blow::Command => {
                    command.kill()?;
                    command.wait()?;
                    command = self.command(&name, &store, crew)?.spawn()?;
                }
            }
            *trial.blows.entry(blow).or_default() += 1;
            if blow != Blow::Command && is_replaced(&mut command, &workers, crew.n_workers)? {
                replaced.push(from.elapsed().as_millis() as u64);
            }
        }
        let output = command.wait_with_output()?;
        trial.seconds = started.elapsed().as_secs_f64();
        trial.finished = output.status.success();
        let made = artifact(&answer(&output)?)?;
        trial.bytes_equal = (crew.n_workers == crew.n_workers_min).then(|| made == wanted);
        replaced.sort_unstable();
        if let Some(most) = replaced.last() {
            trial.replaced_ms = (replaced[replaced.len() / 2], *most);
        }
        fs::remove_dir_all(self.folder.join(&name))?;
        Ok(trial)
    }
}

fn artifact(outcome: &Value) -> anyhow::Result<String> {
    Ok(outcome["artifact"].as_str().context("a training answers an artifact")?.to_owned())
}

/// How long processes may take to come and go.
const PATIENCE: Duration = Duration::from_mins(1);

/// The workers of a command once so many live; nothing once it has ended.
fn all_there(command: &mut Child, n_workers: usize) -> anyhow::Result<Option<Vec<Pid>>> {
    let started = now();
    loop {
        if command.try_wait()?.is_some() {
            return Ok(None);
        }
        let workers = children(command.id());
        if workers.len() == n_workers {
            return Ok(Some(workers));
        }
        ensure!(started.elapsed() < PATIENCE, "{} of {n_workers} workers live", workers.len());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether lost workers were replaced; not where the training ended meanwhile.
fn is_replaced(command: &mut Child, before: &[Pid], n_workers: usize) -> anyhow::Result<bool> {
    let started = now();
    while command.try_wait()?.is_none() {
        let workers = children(command.id());
        if workers.len() == n_workers && workers.iter().any(|pid| !before.contains(pid)) {
            return Ok(true);
        }
        if started.elapsed() > PATIENCE {
            bail!("a lost worker was not replaced within {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(false)
}

/// Processes that this one started and that are not dead.
pub(crate) fn children(parent: u32) -> Vec<Pid> {
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::All, true);
    let is_child = |process: &sysinfo::Process| {
        process.parent() == Some(Pid::from_u32(parent))
            && process.thread_kind().is_none()
            && process.status() != sysinfo::ProcessStatus::Zombie
    };
    let mut children: Vec<Pid> = system
        .processes()
        .iter()
        .filter(|(_, process)| is_child(process))
        .map(|(pid, _)| *pid)
        .collect();
    children.sort();
    children
}

/// Waits until a checkpoint is being written, but not longer than `limit`.
fn wait_for_a_checkpoint(checkpoints: &Path, limit: Duration) {
    let started: Instant = now();
    while !unfinished(checkpoints) && started.elapsed() < limit {
        thread::sleep(Duration::from_micros(200));
    }
}

/// Whether the latest checkpoint of any training has no manifest.
fn unfinished(checkpoints: &Path) -> bool {
    steps(checkpoints).last().is_some_and(|latest| !latest.join("manifest.json").exists())
}

/// Folders of the checkpoints of all trainings, the latest last.
fn steps(checkpoints: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).collect()
    };
    let mut steps: Vec<PathBuf> =
        below(checkpoints).iter().flat_map(|key| below(&key.join("member-0"))).collect();
    steps.sort();
    steps
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
