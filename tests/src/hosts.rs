//! Trainings over hosts, which are network namespaces of this machine: the link between them is cut,
//! workers are killed and come back, that of rank 0 with the rendezvous among them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use model::Noise;
use serde::Serialize;

use crate::answer;
use crate::chaos::{Crew, Ground};
use crate::gpu::now;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Blow {
    /// The link is down for some seconds.
    Cut,
    /// The worker of rank 1 gets SIGKILL and is started again.
    KillOther,
    /// That of rank 0 does, and the rendezvous with it.
    KillFirst,
}

/// What a training over two hosts went through.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    chaos: &'static str,
    /// In order, with the seconds that links were down.
    blows: Vec<(Blow, f32)>,
    /// Both workers ended and answered one model.
    pub finished: bool,
    /// The model has the bytes of a training that nothing happened to.
    pub bytes_equal: bool,
    seconds: f64,
}

/// Two hosts and a link between them; they go when this is dropped.
#[derive(Debug)]
pub struct Hosts {
    names: [String; 2],
}

/// Addresses of the two hosts.
const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

impl Hosts {
    /// Makes them; an error where this user may not.
    pub fn new() -> anyhow::Result<Self> {
        let names = [0, 1].map(|host| format!("lifecast-{}-{host}", std::process::id()));
        let hosts = Self { names };
        let [one, other] = &hosts.names;
        ip(&["netns", "add", one])?;
        ip(&["netns", "add", other])?;
        let pair = ["link", "add", "eth0", "netns", one, "type", "veth", "peer", "name", "eth0"];
        ip(&[&pair[..], &["netns", other]].concat())?;
        for (name, address) in hosts.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        Ok(hosts)
    }

    fn link(&self, state: &str) -> anyhow::Result<()> {
        ip(&["-n", &self.names[1], "link", "set", "eth0", state])
    }

    /// Starts the worker of a rank on its host.
    fn start(&self, ground: &Ground, name: &str, rank: usize) -> anyhow::Result<Child> {
        let worker = ground.worker(name, rank)?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[rank]]);
        command.arg(worker.get_program()).args(worker.get_args());
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2").env("LOCAL_WORLD_SIZE", "2");
        command.env("MASTER_ADDR", ADDRESSES[0]).env("MASTER_PORT", "29500");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("ip netns exec")
    }

    /// A training over both, to which something happens `n_blows` times, or until it ends.
    pub fn disturbed(
        &self,
        ground: &Ground,
        (seed, n_blows): (u64, usize),
        wanted: &str,
    ) -> anyhow::Result<Trial> {
        let name = format!("hosts-{seed}");
        ground.make_store(&name)?;
        let started = now();
        let mut noise = Noise::new(seed);
        let mut workers = [self.start(ground, &name, 0)?, self.start(ground, &name, 1)?];
        let mut blows = Vec::new();
        for _ in 0..n_blows {
            thread::sleep(Duration::from_secs_f32(2.0 + 5.0 * noise.uniform()));
            if workers.iter_mut().any(|worker| !matches!(worker.try_wait(), Ok(None))) {
                break;
            }
            let blow = match noise.uniform() {
                x if x < 0.5 => Blow::Cut,
                x if x < 0.75 => Blow::KillOther,
                _ => Blow::KillFirst,
            };
            let rank = match blow {
                Blow::Cut => {
                    let seconds = 1.0 + 9.0 * noise.uniform();
                    self.link("down")?;
                    thread::sleep(Duration::from_secs_f32(seconds));
                    self.link("up")?;
                    blows.push((blow, seconds));
                    continue;
                }
                Blow::KillOther => 1,
                Blow::KillFirst => 0,
            };
            workers[rank].kill()?;
            workers[rank].wait()?;
            workers[rank] = self.start(ground, &name, rank)?;
            blows.push((blow, 0.0));
        }
        let answers = workers.map(|worker| answer(&worker.wait_with_output()?));
        let mut made = Vec::new();
        for answer in answers {
            made.push(answer?["artifact"].as_str().context("an artifact")?.to_owned());
        }
        Ok(Trial {
            chaos: "hosts",
            blows,
            finished: made[0] == made[1],
            bytes_equal: made[0] == wanted,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            // One that could not be made is not there.
            drop(ip(&["netns", "del", name]));
        }
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip: install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {said}", arguments.join(" "));
    Ok(())
}

/// Disturbs trainings over two hosts until so much has happened.
pub fn run(
    folder: &Path,
    pipeline: &Path,
    (seed, n_blows): (u64, usize),
) -> anyhow::Result<Vec<Trial>> {
    let hosts = Hosts::new().context("network namespaces: who may make them is root")?;
    let ground = Ground::prepare(folder, pipeline)?;
    let crew = Crew { n_workers: 2, n_workers_min: 2 };
    let wanted = ground.undisturbed(crew)?;
    let mut trials: Vec<Trial> = Vec::new();
    let count = |trials: &[Trial]| trials.iter().map(|trial| trial.blows.len()).sum::<usize>();
    while count(&trials) < n_blows {
        let seed = seed * 1_000 + trials.len() as u64;
        let n_left = n_blows - count(&trials);
        trials.push(hosts.disturbed(&ground, (seed, n_left.min(6)), &wanted)?);
    }
    Ok(trials)
}
