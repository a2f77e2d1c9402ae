//! End to end: all stages as processes of their own, driven, asked, killed and stopped.
//!
//! Started by `cargo xtask e2e`. Each step says what it shows; the first that fails ends it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::live::{self, Served};
use tests::server::Server;
use tests::{answer, batch, binary, killing, workspace_root};

/// Names of the services, each of which runs as a process of its own.
const SERVICES: [&str; 7] =
    ["ingest", "features", "trainer", "evaluator", "explainer", "predictor", "planner"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let alone = step("one process runs the pipeline", || run(&folder.path().join("alone"), &[]))?;
    let wanted = artifacts(&alone)?;

    step("each stage is a command of its own", || {
        batch::check(&folder.path().join("alone"), &wanted)
    })?;

    step("two workers train to the bytes of one", || {
        let home = folder.path().join("workers");
        share_key(&folder.path().join("alone"), &home)?;
        compare(&wanted, &artifacts(&run(&home, &["--workers".to_owned(), "2".to_owned()])?)?)
    })?;

    let home = folder.path().join("apart");
    share_key(&folder.path().join("alone"), &home)?;
    let servers = step("each stage listens as a process of its own", || start_all(&home))?;
    let urls: Vec<String> =
        servers.iter().flat_map(|(name, server)| [format!("--{name}-url"), server.url()]).collect();
    let apart = step("they make the same artifacts over gRPC", || {
        let outcome = run(&home, &urls)?;
        compare(&wanted, &artifacts(&outcome)?)?;
        Ok(outcome)
    })?;
    let served = Served::new(&apart, &home.join("store"), &servers).await?;
    say(
        "live answers are those of the tables, explanations add up to them, bad requests are refused",
    );
    live::check(&served).await?;

    step("SIGTERM stops each of them cleanly", || {
        for (name, server) in servers {
            let status = server.terminate()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    })?;

    say("a server that is killed at every stage and comes back loses nothing");
    let home = folder.path().join("killed");
    share_key(&folder.path().join("alone"), &home)?;
    let outcome = killing::run(&pipeline(), &home).await?;
    compare(&wanted, &artifacts(&outcome)?)?;
    say("end to end: all steps passed");
    Ok(())
}

fn pipeline() -> PathBuf {
    workspace_root().join("tests/pipelines/e2e.toml")
}

/// `lifecast run` with store and work below `home`.
fn run(home: &Path, urls: &[String]) -> anyhow::Result<Value> {
    let mut command = Command::new(binary("lifecast")?);
    command.arg("run").arg(pipeline()).args(["--json", "--quiet"]);
    command.arg("--store").arg(home.join("store")).arg("--work").arg(home.join("work"));
    answer(&command.args(urls).output()?)
}

/// Customer ids are hashed under a key of the work folder: equal artifacts need an equal key.
fn share_key(from: &Path, to: &Path) -> anyhow::Result<()> {
    let work = to.join("work");
    std::fs::create_dir_all(&work)?;
    std::fs::copy(from.join("work/customer.key"), work.join("customer.key"))?;
    Ok(())
}

/// One server a service; the planner, which comes last, knows where the predictor is.
fn start_all(home: &Path) -> anyhow::Result<BTreeMap<&'static str, Server>> {
    let mut servers: BTreeMap<&'static str, Server> = BTreeMap::new();
    for name in SERVICES {
        let predictor = servers.get("predictor").map(Server::url);
        let arguments = match (name, &predictor) {
            ("planner", Some(url)) => vec!["--predictor-url", url],
            _ => Vec::new(),
        };
        let (store, work) = (home.join("store"), home.join("work"));
        servers.insert(name, Server::start_with(&[name], &store, &work, &arguments)?);
    }
    Ok(servers)
}

/// Content digests by stage.
fn artifacts(outcome: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    let stages = outcome["stages"].as_array().context("no stages")?;
    let text = |stage: &Value, field: &str| {
        stage[field].as_str().map(str::to_owned).with_context(|| format!("a stage has no {field}"))
    };
    stages.iter().map(|stage| Ok((text(stage, "name")?, text(stage, "artifact")?))).collect()
}

fn compare(
    wanted: &BTreeMap<String, String>,
    made: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    for (stage, artifact) in wanted {
        let other = made.get(stage).with_context(|| format!("{stage} made nothing"))?;
        ensure!(artifact == other, "{stage} made {other} where one process made {artifact}");
    }
    Ok(())
}

fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(what);
    let start = now();
    let result = work().with_context(|| format!("end to end: {what}"))?;
    say(&format!("  {:.1} s", start.elapsed().as_secs_f64()));
    Ok(result)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // nobody may be listening
}

#[allow(clippy::disallowed_methods, reason = "how long each step takes is for the reader alone")]
fn now() -> Instant {
    Instant::now()
}
