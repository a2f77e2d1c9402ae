//! The peers: other people's forecasters, run in Python from the exchange.
//!
//! `tests/peers/run.py --list` says which there are. Each writes the table of forecasts that ours
//! writes; its output is an artifact under the exchange's content, its name, its seed and the bytes
//! of its scripts. The environment is made on first use under `target/peers` from
//! `tests/peers/requirements.txt`; without Python ours is measured alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use artifacts::Order;
use lifecycle::Digest;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::workshop::{Made, Workshop, code_of, files_below, finish};
use crate::workspace_root;

/// What a peer costs to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// Seconds to a minute.
    Cheap,
    /// Minutes.
    Medium,
    /// As long as it is given.
    Heavy,
}

/// One entry of `run.py --list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Name in every table.
    pub name: String,
    /// How long it takes.
    pub cost: Cost,
    /// What it forecasts: `units`, `turns`, `stages`.
    pub gives: Vec<String>,
    /// Whether another seed makes it forecast otherwise; left out: all but cheap peers.
    #[serde(default)]
    seeded: Option<bool>,
    /// Whether it is made of the other peers' forecasts.
    #[serde(default)]
    pub needs_inputs: bool,
    /// Scripts that it is made of, beside `run.py`; left out: all.
    #[serde(default)]
    scripts: Option<Vec<String>>,
}

impl Peer {
    /// The first of these that it can say.
    pub fn says(&self, asked: &[&'static str]) -> Option<&'static str> {
        asked.iter().copied().find(|asked| self.gives.iter().any(|given| given == asked))
    }

    /// The seed that it runs with.
    pub fn seed(&self, seed: u64) -> u64 {
        if self.seeded.unwrap_or(self.cost != Cost::Cheap) { seed } else { 1 }
    }
}

/// A peer's run, as its key has it.
#[derive(Debug, Clone, Serialize)]
struct Run {
    peer: String,
    seed: u64,
    /// What it says, of what it could.
    only: String,
}

/// Python with what the peers need.
#[derive(Debug, Clone)]
pub struct Environment {
    python: PathBuf,
    scripts: PathBuf,
}

/// Threads of each peer; ours has as many.
const N_THREADS: &str = "2";

impl Environment {
    /// Makes the environment if it is not there. An error says why there are no peers.
    pub async fn prepare(time: Duration) -> anyhow::Result<Self> {
        Self::made(("peers", "requirements.txt"), &["python3"], time).await
    }

    /// The environment of those who explain, whose packages need Python 3.12 or later.
    pub async fn of_explainers(time: Duration) -> anyhow::Result<Self> {
        let pythons = ["python3.14", "python3.13", "python3.12", "python3"];
        Self::made(("peers-explain", "requirements-explain.txt"), &pythons, time).await
    }

    /// An environment of these requirements in a folder of `target`, by the first Python that makes
    /// one.
    async fn made(
        (folder, requirements): (&str, &str),
        pythons: &[&str],
        time: Duration,
    ) -> anyhow::Result<Self> {
        let scripts = workspace_root().join("tests/peers");
        let requirements = scripts.join(requirements);
        ensure!(scripts.join("run.py").is_file(), "there is no tests/peers/run.py");
        let folder = workspace_root().join("target").join(folder);
        let wanted = Digest::of(std::fs::read(&requirements).context("requirements.txt")?);
        let stamp = folder.join("made-from");
        let environment = Self { python: folder.join("bin/python"), scripts };
        let made_from = std::fs::read_to_string(&stamp).unwrap_or_default();
        if made_from.trim() != wanted.to_string() {
            let mut made = Err(anyhow::anyhow!("no Python was tried"));
            for python in pythons {
                let mut make = Command::new(python);
                make.args(["-m", "venv"]).arg(&folder);
                let output = finish(make, time).await;
                made =
                    output.with_context(|| format!("{python} is not here")).and_then(|o| said(&o));
                if made.is_ok() {
                    break;
                }
            }
            made?;
            let mut install = environment.python();
            install.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements);
            said(&finish(install, time).await?)?;
            std::fs::write(&stamp, wanted.to_string())?;
        }
        Ok(environment)
    }

    /// The peers, in the order of the list.
    pub async fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        let mut command = self.python();
        command.arg(self.scripts.join("run.py")).arg("--list");
        let text = said(&finish(command, Duration::from_mins(1)).await?)?;
        let peers: Vec<Peer> = serde_json::from_str(&text).context("run.py --list")?;
        let names: std::collections::BTreeSet<&str> =
            peers.iter().map(|peer| peer.name.as_str()).collect();
        ensure!(names.len() == peers.len(), "run.py --list: a name stands twice");
        Ok(peers)
    }

    /// The interpreter that has what the peers need.
    pub fn interpreter(&self) -> &Path {
        &self.python
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.env("PYTHONHASHSEED", "0");
        command
    }

    /// The scripts that decide what a peer says.
    fn code(&self, peer: &Peer) -> anyhow::Result<Digest> {
        let all = files_below(&self.scripts, &[".py", "requirements.txt"])?;
        let is_own = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let always = ["run.py", "requirements.txt"].contains(&name.as_ref());
            let scripts = peer.scripts.as_ref();
            always || scripts.is_none_or(|scripts| scripts.iter().any(|own| *own == name))
        };
        code_of(&all.into_iter().filter(is_own).collect::<Vec<_>>())
    }

    /// A peer's forecasts of an exchange, `only` of this, found or made; `inputs` are other peers'
    /// forecasts for one that combines them.
    pub async fn forecasts(
        &self,
        workshop: &Workshop,
        (peer, seed, only): (&Peer, u64, &str),
        exchange: Digest,
        (inputs, time): (&[(String, Digest)], Duration),
    ) -> anyhow::Result<Made> {
        let mut order = Order::new(Run {
            peer: peer.name.clone(),
            seed: peer.seed(seed),
            only: only.to_owned(),
        });
        order.inputs.insert(EXCHANGE.to_owned(), exchange);
        for (name, digest) in inputs {
            order.inputs.insert(format!("{INPUTS}{name}"), *digest);
        }
        let (here, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let make = move |run: &Run, folders: &artifacts::Folders, output: &Path| {
            let command = here.command(run, folders, output)?;
            let made = runtime.block_on(finish(command, time))?;
            said(&made)?;
            let part = output.join("forecasts/part-000.parquet");
            ensure!(part.is_file(), "{} wrote no forecasts", run.peer);
            Ok(())
        };
        workshop.publish(("peer", &self.code(peer)?), order, make).await
    }

    fn command(
        &self,
        run: &Run,
        folders: &artifacts::Folders,
        output: &Path,
    ) -> anyhow::Result<Command> {
        std::fs::create_dir_all(output.join("forecasts"))?;
        let mut command = self.python();
        command.arg(self.scripts.join("run.py")).arg(&run.peer);
        command.arg(&folders[EXCHANGE]).arg(output);
        command.args(["--seed", &run.seed.to_string(), "--threads", N_THREADS]);
        command.args(["--only", &run.only]);
        let is_input = |name: &String| name.starts_with(INPUTS);
        let inputs = folders.iter().filter(|(name, _)| is_input(name)).map(|(_, folder)| folder);
        if folders.keys().any(is_input) {
            command.arg("--inputs").args(inputs);
        }
        Ok(command)
    }
}

/// The exchange among a peer's inputs.
const EXCHANGE: &str = "exchange";

/// Before the name of a peer, the name of its forecasts.
const INPUTS: &str = "forecasts/";

/// What a program printed, or the end of what it complained of.
fn said(output: &std::process::Output) -> anyhow::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = complaint.lines().rev().take(6).collect();
    let last: Vec<&str> = lines.into_iter().rev().collect();
    bail!("{}: {}", output.status, last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(text: &str) -> Result<Vec<Peer>, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_list_says_what_a_peer_costs_and_gives() {
        let list = r#"[
            {"name": "auto-ets", "cost": "cheap", "gives": ["units"]},
            {"name": "lightgbm-ours", "cost": "medium", "gives": ["units", "turns", "stages"]},
            {"name": "stack", "cost": "cheap", "gives": ["turns"], "seeded": true, "needs_inputs": true}
        ]"#;
        let peers = peers(list).expect("a list");
        assert_eq!(peers.iter().map(|peer| peer.seed(3)).collect::<Vec<_>>(), [1, 3, 3]);
        assert_eq!(
            peers.iter().map(|peer| peer.needs_inputs).collect::<Vec<_>>(),
            [false, false, true]
        );
        assert!(Cost::Cheap < Cost::Medium && Cost::Medium < Cost::Heavy);
        let says = |asked: &[&'static str]| -> Vec<Option<&str>> {
            peers.iter().map(|peer| peer.says(asked)).collect()
        };
        let (units, turns) = (Some("units"), Some("turns"));
        assert_eq!(says(&["turns", "units"]), [units, turns, turns]);
        assert_eq!(says(&["stages"]), [None, Some("stages"), None]);
    }

    #[test]
    fn a_list_with_other_words_is_refused() {
        assert!(peers(r#"[{"name": "a", "cost": "free", "gives": []}]"#).is_err());
        assert!(peers(r#"[{"name": "a", "cost": "cheap", "gives": [], "price": 1}]"#).is_err());
    }
}
