//! A stage that does what each request asks for, on a server of its own.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lifecycle::{Digest, ErrorKind, Progress};
use service::{Flags, Listener, RunProgress, Runs, Services, serve};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use wire::v1::ingest_client::IngestClient;
use wire::v1::ingest_server::{self, IngestServer};
use wire::v1::runs_client::RunsClient;
use wire::{Failure, Outcome, StartIngest, invalid_argument, request_digest, v1};

/// What a request makes the stage do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// A run that ends well at once.
    Finish,
    /// A run that ends well once the gate is open.
    Wait,
    /// A run that ends when it is cancelled.
    UntilCancelled,
    /// A run that meets bad data.
    Fail,
    /// A run that panics.
    PanicInRun,
    /// The call itself panics.
    Panic,
    /// The call itself answers once the gate is open.
    Slow,
}

impl Behaviour {
    const ALL: [Self; 7] = [
        Self::Finish,
        Self::Wait,
        Self::UntilCancelled,
        Self::Fail,
        Self::PanicInRun,
        Self::Panic,
        Self::Slow,
    ];

    pub(crate) fn request(self, request_id: &str) -> v1::StartIngestRequest {
        ingest_request(request_id, &format!("{self:?}"))
    }

    fn of(config_toml: &str) -> Self {
        let named = |behaviour: &Self| format!("{behaviour:?}") == config_toml;
        Self::ALL.into_iter().find(named).unwrap_or(Self::Finish)
    }
}

pub(crate) fn ingest_request(request_id: &str, config_toml: &str) -> v1::StartIngestRequest {
    v1::StartIngestRequest {
        request_id: request_id.to_owned(),
        config_toml: config_toml.to_owned(),
        mapping_uri: "mapping.toml".to_owned(),
        ..Default::default()
    }
}

/// Holds requests and runs back until it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    fn new() -> Self {
        Self { open: watch::Sender::new(false), waiting: watch::Sender::new(0) }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        self.waiting.send_modify(|n| *n += 1);
        self.open.subscribe().wait_for(|open| *open).await.expect("the gate stands");
    }

    async fn somebody_waits(&self) {
        self.waiting.subscribe().wait_for(|n| *n > 0).await.expect("the gate stands");
    }
}

struct Stage {
    runs: Runs,
    gate: Gate,
}

#[tonic::async_trait]
impl ingest_server::Ingest for Stage {
    async fn start_ingest(
        &self,
        request: Request<v1::StartIngestRequest>,
    ) -> Result<Response<v1::StartIngestResponse>, Status> {
        let message = request.into_inner();
        let digest = request_digest(&message);
        let StartIngest { start, .. } = StartIngest::try_from(message).map_err(invalid_argument)?;
        let behaviour = Behaviour::of(&start.config_toml);
        assert_ne!(behaviour, Behaviour::Panic, "lost count");
        let (gate, runtime) = (self.gate.clone(), Handle::current());
        let job = move |progress| work(behaviour, &progress, &gate, &runtime);
        let run = self.runs.start("ingest", &start.request_id, digest, job)?;
        if behaviour == Behaviour::Slow {
            self.gate.pass().await;
        }
        Ok(Response::new(v1::StartIngestResponse { run: Some(run.into()) }))
    }
}

fn work(
    behaviour: Behaviour,
    progress: &RunProgress,
    gate: &Gate,
    runtime: &Handle,
) -> Result<Outcome, Failure> {
    let failure = |kind, message: &str| Failure { kind, message: message.to_owned() };
    match behaviour {
        Behaviour::Wait => runtime.block_on(gate.pass()),
        Behaviour::PanicInRun => panic!("lost count"),
        Behaviour::Fail => {
            let message = "orders.csv: column `price` is missing";
            return Err(failure(ErrorKind::Data, message));
        }
        Behaviour::UntilCancelled => {
            while !progress.is_cancelled() {
                thread::park_timeout(Duration::from_millis(1));
            }
            return Err(failure(ErrorKind::Internal, "stopped between two files"));
        }
        Behaviour::Finish | Behaviour::Panic | Behaviour::Slow => {}
    }
    for done in 0..=10 {
        progress.report("rows", done, 10);
    }
    Ok(Outcome {
        artifact: Digest::of("artifact"),
        key: Digest::of("key"),
        cached: false,
        summary_json: "{}".to_owned(),
    })
}

/// The stage on a free port.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), service::Error>>,
}

impl Server {
    pub(crate) async fn start(flags: Flags) -> Self {
        let listener = Listener::bind(&flags).expect("a free port");
        let address = listener.address();
        let (gate, runs) = (Gate::new(), Runs::new(&flags.runs));
        let mut services = Services::new();
        let stage = IngestServer::new(Stage { runs: runs.clone(), gate: gate.clone() });
        services.add(stage.max_decoding_message_size(flags.max_message_size()));
        services.add_runs(&runs, &flags);
        let (stop, stopped) = oneshot::channel();
        let served = service::spawn("server", async move {
            serve(listener, services, &flags, async move { drop(stopped.await) }).await
        });
        tokio::task::yield_now().await;
        Self { address, gate, stop: Some(stop), served }
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops, which must succeed.
    pub(crate) async fn stop(mut self) {
        self.begin_stop();
        self.served.await.expect("no panic").expect("stops cleanly");
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).expect("an address")
    }

    pub(crate) fn channel(&self) -> Channel {
        self.endpoint().connect_lazy()
    }

    pub(crate) fn ingest(&self) -> IngestClient<Channel> {
        IngestClient::new(self.channel())
    }

    pub(crate) fn runs(&self) -> RunsClient<Channel> {
        RunsClient::new(self.channel())
    }

    /// A request that is under way, and stays so until the gate is opened.
    pub(crate) async fn slow_request(
        &self,
        request_id: &str,
    ) -> JoinHandle<Result<Response<v1::StartIngestResponse>, Status>> {
        let (mut client, request) = (self.ingest(), Behaviour::Slow.request(request_id));
        let call = service::spawn("call", async move { client.start_ingest(request).await });
        self.gate.somebody_waits().await;
        call
    }

    pub(crate) async fn started(&self, behaviour: Behaviour, request_id: &str) -> v1::Run {
        let started = self.ingest().start_ingest(behaviour.request(request_id)).await;
        started.expect("started").into_inner().run.expect("a run")
    }

    pub(crate) async fn run(&self, run_id: &str) -> Result<v1::Run, Status> {
        let request = v1::GetRunRequest { run_id: run_id.to_owned() };
        Ok(self.runs().get_run(request).await?.into_inner().run.expect("a run"))
    }

    pub(crate) async fn cancel(&self, run_id: &str) -> v1::Run {
        let request = v1::CancelRunRequest { run_id: run_id.to_owned() };
        let answer = self.runs().cancel_run(request).await.expect("known");
        answer.into_inner().run.expect("a run")
    }

    pub(crate) async fn watch(
        &self,
        run_id: &str,
        after_sequence: u64,
    ) -> Streaming<v1::WatchRunResponse> {
        let request = v1::WatchRunRequest { run_id: run_id.to_owned(), after_sequence };
        self.runs().watch_run(request).await.expect("known").into_inner()
    }
}

/// All that is left of a watch.
pub(crate) async fn events(watch: &mut Streaming<v1::WatchRunResponse>) -> Vec<v1::Run> {
    let mut events = Vec::new();
    while let Some(event) = watch.message().await.expect("no error") {
        events.push(event.run.expect("a run"));
    }
    events
}

/// How a watched run ends.
pub(crate) async fn last(watch: &mut Streaming<v1::WatchRunResponse>) -> v1::Run {
    events(watch).await.pop().expect("at least one event")
}
