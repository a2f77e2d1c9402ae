//! The bench's store and the programs that fill it.
//!
//! Stages are run as `lifecast STAGE`, the command that users have; what stages do not make (the
//! exchange, peers' forecasts) is published beside their artifacts.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use artifacts::{Order, Store, Workplace};
use lifecycle::{Digest, Hasher};
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessesToUpdate, System};
use tokio::process::Command;
use toml::Table;

use super::budget::Budget;
use crate::{answer, binary, workspace_root};

/// Where everything lies, and how long it may take.
#[derive(Debug)]
pub struct Workshop {
    home: PathBuf,
    store: Store,
    /// What is left of the time.
    pub budget: Budget,
}

/// An artifact, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Content digest.
    pub artifact: Digest,
    /// The store had it already.
    pub cached: bool,
    /// Wall time of this run.
    pub seconds: f64,
}

/// Customers of public data are hashed under a public key.
const PUBLIC_KEY: [u8; 32] = *b"the key of the bench's customers";

impl Workshop {
    /// Opens the store below a folder, for a run of so long.
    pub fn open(home: PathBuf, limit: Duration) -> anyhow::Result<Self> {
        let work = home.join("work");
        std::fs::create_dir_all(&work)?;
        // The data is public: with a key of its own, every machine would have digests of its own.
        let key = work.join("customer.key");
        if !key.exists() {
            std::fs::write(key, PUBLIC_KEY)?;
        }
        let store = home.join("store").display().to_string();
        Ok(Self { store: Store::open(&store)?, home, budget: Budget::start(limit) })
    }

    /// Runs one stage of ours with its settings, or finds what it made.
    pub async fn stage(
        &self,
        stage: &str,
        settings: &Table,
        arguments: &[String],
        time: Duration,
    ) -> anyhow::Result<Made> {
        let config = tempfile::Builder::new().suffix(".toml").tempfile_in(&self.home)?;
        std::fs::write(config.path(), toml::to_string(settings)?)?;
        let mut command = Command::new(binary("lifecast")?);
        command.arg(stage).args(arguments).arg("--config").arg(config.path());
        command.arg("--store").arg(self.home.join("store"));
        command.arg("--work").arg(self.home.join("work")).args(["--json", "--quiet"]);
        let output = finish(command, time).await.with_context(|| format!("lifecast {stage}"))?;
        let made = serde_json::from_value(answer(&output)?).context("no outcome of a stage");
        made.with_context(|| format!("lifecast {stage}"))
    }

    /// Publishes what `make` writes under what it is made from, or finds it.
    ///
    /// `code` names the version of what makes it.
    pub async fn publish<C: Serialize + Send + 'static>(
        &self,
        (stage, code): (&str, &Digest),
        order: Order<C>,
        make: impl FnOnce(&C, &artifacts::Folders, &Path) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Made> {
        let before = self.budget.seconds();
        let place = Workplace {
            stage: stage.to_owned(),
            code_version: code.to_string(),
            execution: [("device".to_owned(), "cpu".to_owned())].into(),
            store: self.store.clone(),
            folder: self.home.join("work"),
        };
        let produced = place.produce(order, make).await.map_err(|error| match error {
            artifacts::ProduceError::Store(error) => anyhow::Error::new(error),
            artifacts::ProduceError::Make(error) => error,
        })?;
        let seconds = self.budget.seconds() - before;
        Ok(Made { artifact: produced.artifact.digest, cached: produced.cached, seconds })
    }

    /// The folder of an artifact.
    pub async fn fetched(&self, artifact: Digest) -> anyhow::Result<PathBuf> {
        Ok(self.store.fetch(&artifact, &self.home.join("work/fetched")).await?)
    }
}

/// Waits for a program; it is killed when its time is over, and all that it has started with it.
pub async fn finish(mut command: Command, time: Duration) -> anyhow::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    let id = child.id();
    let mut waiting = Box::pin(child.wait_with_output());
    if let Ok(output) = tokio::time::timeout(time, &mut waiting).await {
        return Ok(output?);
    }
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::All, true);
    let offspring = id.map_or(Vec::new(), |id| offspring(&system, Pid::from_u32(id)));
    // First the parent, who might start others in their place.
    drop(waiting);
    for pid in offspring {
        system.process(pid).map(sysinfo::Process::kill);
    }
    bail!("not done in the {:.0} s that were left", time.as_secs_f64())
}

/// What a process has started, and what that has: pools of workers outlive who made them.
fn offspring(system: &System, of: Pid) -> Vec<Pid> {
    let mut family = vec![of];
    let mut at = 0;
    while at < family.len() {
        let is_child = |process: &&sysinfo::Process| process.parent() == Some(family[at]);
        let children: Vec<Pid> =
            system.processes().values().filter(is_child).map(sysinfo::Process::pid).collect();
        family.extend(children);
        at += 1;
    }
    family.split_off(1)
}

/// The version of what some files of the repository do: of their names and bytes, in order.
pub fn code_of(files: &[PathBuf]) -> anyhow::Result<Digest> {
    let mut files = files.to_vec();
    files.sort();
    let mut hasher = Hasher::default();
    for file in files {
        let bytes = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
        let name = file.strip_prefix(workspace_root()).unwrap_or(&file).display();
        hasher.update(format!("{name} {}\n", Digest::of(bytes)));
    }
    Ok(hasher.finish())
}

/// All files below a folder with one of these endings.
pub fn files_below(folder: &Path, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_an_error() {
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]);
        let error = finish(command, Duration::from_millis(20)).await.expect_err("too long");
        assert!(error.to_string().contains("not done"), "{error}");
        let mut command = Command::new("echo");
        command.arg("done");
        let output = finish(command, Duration::from_mins(1)).await.expect("in time");
        assert_eq!(output.stdout, b"done\n");
    }

    #[test]
    fn a_version_is_of_names_and_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.py"), "one").expect("written");
        std::fs::write(path("b.txt"), "two").expect("written");
        let version = || {
            let files = files_below(folder.path(), &[".py"]).expect("listed");
            code_of(&files).expect("read")
        };
        let before = version();
        std::fs::write(path("b.txt"), "three").expect("written");
        assert_eq!(version(), before);
        std::fs::write(path("a.py"), "four").expect("written");
        assert_ne!(version(), before);
    }
}
