//! `lifecast serve` as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use sysinfo::{Pid, ProcessesToUpdate, Signal, System};
use tonic::transport::{Channel, Endpoint};

use crate::binary;

/// A running server. It stops, as on SIGTERM, when this is dropped or its owner dies.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    process: Child,
    /// Held open: the server lives as long as it is.
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts services on a free port and waits until they listen.
    pub fn start(services: &[&str], store: &Path, work: &Path) -> anyhow::Result<Self> {
        Self::start_with(services, store, work, &[])
    }

    /// The same with further arguments.
    pub fn start_with(
        services: &[&str],
        store: &Path,
        work: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("lifecast")?);
        command.arg("serve").args(services).arg("--json").arg("--until-stdin-ends");
        command.arg("--store").arg(store).arg("--work").arg(work).args(arguments);
        command.args(["--quiet", "--log", "warn"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("lifecast serve cannot be started")?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().context("lifecast serve has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "lifecast serve {services:?} ended: {}", process.wait()?);
        let listening: Value = serde_json::from_str(&line).context("lifecast serve --json")?;
        let address = listening["address"].as_str().context("no address")?.parse()?;
        Ok(Self { address, process, stdin })
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A connection to it.
    pub fn channel(&self) -> anyhow::Result<Channel> {
        Ok(Endpoint::from_shared(self.url())?.connect_lazy())
    }

    /// Kills it at once, as a crash would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Asks it to stop with SIGTERM, and waits for its end.
    pub fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        let pid = Pid::from_u32(self.process.id());
        let mut system = System::new();
        system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
        let process = system.process(pid).context("the server is gone already")?;
        let sent = process.kill_with(Signal::Term).context("no SIGTERM here")?;
        ensure!(sent, "SIGTERM was not sent");
        Ok(self.process.wait()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Nobody is left to tell if it fails.
        let _ = self.process.wait();
    }
}
