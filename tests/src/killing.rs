//! A server that is killed while it works on each stage, and started again.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::Command;
use wire::v1::runs_client::RunsClient;
use wire::v1::{self, RunState};

use crate::server::Server;
use crate::{answer, binary};

/// Stages in the order of the pipeline.
const STAGES: [&str; 7] = ["ingest", "features", "train", "predict", "evaluate", "explain", "plan"];

/// How often the server is asked what runs.
const POLL: Duration = Duration::from_millis(2);

/// Runs a pipeline against one server, which is killed in the middle of each stage and comes back
/// on the same port; answers what the run answered.
pub async fn run(pipeline: &Path, home: &Path) -> anyhow::Result<Value> {
    let (store, work) = (home.join("store"), home.join("work"));
    let mut server = Server::start(&["all"], &store, &work)?;
    let url = server.url();
    let listen = format!("127.0.0.1:{}", server.port());
    let mut command = Command::new(binary("lifecast")?);
    command.arg("run").arg(pipeline).args(["--json", "--quiet", "--url", &url]);
    command.arg("--store").arg(&store).arg("--work").arg(&work);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut client = command.spawn()?;
    for stage in STAGES {
        let is_running = async {
            while !is_running(&server, stage).await? {
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            seen = is_running => seen?,
            ended = client.wait() => bail!("the run ended before {stage} began: {}", ended?),
        }
        server.kill()?;
        server = Server::start_with(&["all"], &store, &work, &["--listen", &listen])
            .with_context(|| format!("restart after {stage}"))?;
    }
    let output = client.wait_with_output().await?;
    server.terminate()?;
    answer(&output)
}

/// Whether a run of the stage is at work.
async fn is_running(server: &Server, stage: &str) -> anyhow::Result<bool> {
    let request = v1::ListRunsRequest { stage: stage.to_owned(), ..Default::default() };
    let mut runs = RunsClient::new(server.channel()?);
    let listed = runs.list_runs(request).await?.into_inner();
    Ok(listed.runs.iter().any(|run| run.state() == RunState::Running))
}
