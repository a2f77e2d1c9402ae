//! Stages at servers: a run is started, watched to its end, and taken up again where a connection
//! breaks.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use backon::{ExponentialBuilder, Retryable};
use lifecycle::{Digest, ErrorKind, Invalid, Progress};
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use wire::v1::{self, runs_client::RunsClient};
use wire::{Outcome, Run, RunState, Start, StartIngest};

use crate::failure::Failure;
use crate::flags::{ClientTlsFlags, UrlFlags};

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server may take to begin an answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// How often a silent server is asked whether it still lives, and how long it may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A server that may be restarting is tried again so often, after ever longer pauses.
const N_RETRIES: usize = 6;

/// A server of stages.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    url: String,
    channel: Channel,
}

/// Long work of one stage, but for its request id.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Stage name, as in keys.
    pub(crate) stage: &'static str,
    /// Its configuration.
    pub(crate) config_toml: String,
    /// Content digests of the artifacts to read, by name.
    pub(crate) inputs: BTreeMap<String, Digest>,
}

/// What a server is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    work: Work,
    /// Path or URI of the mapping, where the stage is ingest.
    mapping: Option<String>,
}

impl From<Work> for Request {
    fn from(work: Work) -> Self {
        Self { work, mapping: None }
    }
}

impl Request {
    /// Work for ingest, by a mapping that lies where the server can read it.
    pub(crate) fn with_mapping(work: Work, mapping: &Path) -> Self {
        // The server has another working directory; where it has another disk, the path is its own.
        let path = std::fs::canonicalize(mapping).unwrap_or_else(|_| mapping.to_owned());
        Self { work, mapping: Some(path.display().to_string()) }
    }
}

impl Remote {
    /// The server at an address; it is connected to when it is first needed.
    pub(crate) fn new(url: &str, flags: &UrlFlags) -> Result<Self, Failure> {
        Self::at(url, &flags.tls)
    }

    /// The same where no server of ours is meant.
    pub(crate) fn at(url: &str, tls: &ClientTlsFlags) -> Result<Self, Failure> {
        let endpoint = endpoint(url, tls).map_err(Failure::usage)?;
        Ok(Self { url: url.to_owned(), channel: endpoint.connect_lazy() })
    }

    /// The connection.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What an answer other than OK means to the caller.
    pub(crate) fn refused(&self, status: &tonic::Status) -> Failure {
        let kind = service::kind_of(status);
        let error = if status.code() == Code::Unimplemented {
            anyhow::anyhow!("{} does not serve this; see --url and its kin in --help", self.url)
        } else if kind == ErrorKind::Unreachable {
            let mut cause = std::error::Error::source(status);
            while let Some(deeper) = cause.and_then(std::error::Error::source) {
                cause = Some(deeper);
            }
            let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
            anyhow::anyhow!("{} does not answer: {}{cause}", self.url, status.message())
        } else {
            anyhow::anyhow!("{}", status.message())
        };
        Failure { kind, error }
    }

    /// What a malformed answer means to the caller.
    pub(crate) fn malformed(&self, invalid: &Invalid) -> Failure {
        Failure::internal(anyhow::anyhow!("{}: malformed answer: {invalid}", self.url))
    }

    /// Starts the work, or joins it, and waits until it is done. A server that is away for some
    /// seconds is waited for: started again, it finds what it had published.
    pub(crate) async fn make(
        &self,
        request: Request,
        progress: &dyn Progress,
    ) -> Result<Outcome, Failure> {
        let request_id = request_id(&request);
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_times(N_RETRIES);
        (|| self.make_once(&request, &request_id, progress))
            .retry(pauses)
            .when(|failure: &Failure| failure.kind == ErrorKind::Unreachable)
            .await
    }

    async fn make_once(
        &self,
        request: &Request,
        request_id: &str,
        progress: &dyn Progress,
    ) -> Result<Outcome, Failure> {
        let run = self.start(request, request_id).await?;
        let request = v1::WatchRunRequest { run_id: run.id, after_sequence: 0 };
        let mut runs = RunsClient::new(self.channel());
        let watch = runs.watch_run(request).await.map_err(|status| self.refused(&status))?;
        let mut watch = watch.into_inner();
        while let Some(event) = watch.message().await.map_err(|status| self.refused(&status))? {
            let run = Run::try_from(event.run).map_err(|invalid| self.malformed(&invalid))?;
            if let Some(part) = run.parts.last() {
                progress.report(&part.part, part.done, part.total);
            }
            match run.state {
                RunState::Queued | RunState::Running => {}
                RunState::Succeeded(outcome) => return Ok(outcome),
                RunState::Failed(failure) | RunState::Cancelled(failure) => {
                    let wire::Failure { kind, message } = failure;
                    return Err(Failure { kind, error: anyhow::anyhow!(message) });
                }
            }
        }
        let error = anyhow::anyhow!("{}: the watch ended before the run", self.url);
        Err(Failure { kind: ErrorKind::Unreachable, error })
    }

    async fn start(&self, request: &Request, request_id: &str) -> Result<Run, Failure> {
        let Request { work: Work { stage, config_toml, inputs }, mapping } = request.clone();
        let channel = self.channel();
        let start = Start { request_id: request_id.to_owned(), config_toml, inputs };
        let started = match stage {
            "ingest" => {
                let mapping_uri = mapping.unwrap_or_default();
                let start = StartIngest { start, mapping_uri, mapping_toml: None };
                let mut client = v1::ingest_client::IngestClient::new(channel);
                client
                    .start_ingest(v1::StartIngestRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "features" => {
                let mut client = v1::features_client::FeaturesClient::new(channel);
                client
                    .start_features(v1::StartFeaturesRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "train" => {
                let mut client = v1::trainer_client::TrainerClient::new(channel);
                client
                    .start_training(v1::StartTrainingRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "predict" => {
                let mut client = v1::predictor_client::PredictorClient::new(channel);
                client
                    .start_prediction(v1::StartPredictionRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "evaluate" => {
                let mut client = v1::evaluator_client::EvaluatorClient::new(channel);
                client
                    .start_evaluation(v1::StartEvaluationRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "explain" => {
                let mut client = v1::explainer_client::ExplainerClient::new(channel);
                client
                    .start_explanation(v1::StartExplanationRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            "plan" => {
                let mut client = v1::planner_client::PlannerClient::new(channel);
                client
                    .start_planning(v1::StartPlanningRequest::from(start))
                    .await
                    .map(|started| started.into_inner().run)
            }
            other => {
                return Err(Failure::internal(anyhow::anyhow!("`{other}` is no service")));
            }
        };
        let run = started.map_err(|status| self.refused(&status))?;
        Run::try_from(run).map_err(|invalid| self.malformed(&invalid))
    }
}

/// How to reach an address.
pub(crate) fn endpoint(url: &str, tls: &ClientTlsFlags) -> anyhow::Result<Endpoint> {
    let wrong = || format!("`{url}` is no address such as http://127.0.0.1:7700");
    let endpoint = Endpoint::from_shared(url.to_owned()).with_context(wrong)?;
    let is_tls = url.starts_with("https://");
    ensure!(is_tls || url.starts_with("http://"), wrong());
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .tcp_keepalive(Some(KEEP_ALIVE))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    if !is_tls {
        return Ok(endpoint);
    }
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))
    };
    let mut config = ClientTlsConfig::new();
    if let Some(ca) = &tls.ca {
        config = config.ca_certificate(Certificate::from_pem(read(ca)?));
    }
    if let (Some(certificate), Some(key)) = (&tls.client_cert, &tls.client_key) {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    endpoint.tls_config(config).context("--tls-ca, --tls-client-cert or --tls-client-key")
}

/// A name for this piece of work of this process. It says what is asked for, so that a repeat joins
/// it, and who asks, so that a later command may try again what failed.
fn request_id(request: &Request) -> String {
    let asked = Digest::of(format!("{request:?}")).short();
    let now = crate::clock::unix_millis();
    format!("{}-{asked}-{}-{now}", request.work.stage, std::process::id())
}
