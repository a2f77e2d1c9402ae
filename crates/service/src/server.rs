//! A gRPC server from start to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lifecycle::ErrorKind;
use tokio::signal;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{info, warn};
use wire::v1::runs_server::RunsServer;

use crate::guard::Guard;
use crate::{Flags, Runs, tls};

/// How often a silent connection is asked whether it still lives, and how long it may take.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long cancelled runs, and then their watchers, may take to end after the drain deadline.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a server could not start, or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// As given.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file named by a flag cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Certificate and key do not make a TLS server.
    #[error("certificate, key or client certificates are not usable")]
    Tls(#[source] tonic::transport::Error),
    /// The descriptors of the services contradict each other.
    #[error("cannot describe the services")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the server failed")]
    Transport(#[source] tonic::transport::Error),
}

impl Error {
    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen { .. } | Self::Read { .. } | Self::Tls(_) => ErrorKind::Usage,
            Self::Reflection(_) | Self::Transport(_) => ErrorKind::Internal,
        }
    }
}

/// A bound address. Clients that connect before [`serve`] begins wait for it.
#[derive(Debug)]
pub struct Listener {
    incoming: TcpIncoming,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address of the flags; needs a tokio runtime.
    pub fn bind(flags: &Flags) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: flags.listen, source };
        let incoming = TcpIncoming::bind(flags.listen).map_err(failed)?;
        let address = incoming.local_addr().map_err(failed)?;
        let incoming = incoming.with_nodelay(Some(true)).with_keepalive(Some(KEEP_ALIVE));
        Ok(Self { incoming, address })
    }

    /// Where it listens: the port that was taken, if the flags left it open.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The services of one server.
#[derive(Debug, Default)]
pub struct Services {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    runs: Option<Runs>,
}

impl Services {
    /// None yet; health and reflection come by themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a generated server, whose decoding limit the caller has set to
    /// [`Flags::max_message_size`].
    pub fn add<S>(&mut self, service: S) -> &mut Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Adds the `Runs` service; stopping the server then waits for its runs.
    pub fn add_runs(&mut self, runs: &Runs, flags: &Flags) -> &mut Self {
        self.runs = Some(runs.clone());
        let server = RunsServer::new(runs.clone());
        self.add(server.max_decoding_message_size(flags.max_message_size()))
    }

    /// Adds the encoded file descriptor set of services other than `lifecast.v1`, for reflection.
    pub fn describe(&mut self, file_descriptor_set: &'static [u8]) -> &mut Self {
        self.descriptors.push(file_descriptor_set);
        self
    }
}

/// Answers until `shutdown` ends, then drains: health says `NOT_SERVING`, nothing new is accepted,
/// requests and runs may end until the drain deadline; what then still runs is cancelled.
pub async fn serve(
    listener: Listener,
    services: Services,
    flags: &Flags,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let Services { mut routes, names, descriptors, runs } = services;
    let (health, health_server) = tonic_health::server::health_reporter();
    for name in &names {
        health.set_service_status(name, ServingStatus::Serving).await;
    }
    routes.add_service(health_server);
    add_reflection(&mut routes, &names, &descriptors)?;

    let Listener { incoming, address } = listener;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = server(flags)?
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(incoming, async move { drop(stopped.await) });
    let mut server = Box::pin(server);
    info!(%address, services = ?names, "listening");
    tokio::select! {
        ended = &mut server => return ended.map_err(Error::Transport),
        () = shutdown => {}
    }

    info!(%address, "draining");
    say_not_serving(health, &names).await;
    let runs = runs.as_ref();
    runs.inspect(|runs| runs.close());
    drop(stop);
    let mut ended = None;
    let idle = async {
        let server = async { ended = Some((&mut server).await) };
        let runs = async {
            if let Some(runs) = runs {
                runs.idle().await;
            }
        };
        tokio::join!(server, runs);
    };
    let is_idle = tokio::select! {
        drained = timeout(flags.drain_deadline(), idle) => drained.is_ok(),
        // Asked a second time: whoever asks cannot wait.
        () = terminated() => false,
    };
    if is_idle && let Some(ended) = ended {
        info!(%address, "stopped");
        return ended.map_err(Error::Transport);
    }
    warn!(%address, "the time to drain is over; what still runs is cancelled");
    if let Some(runs) = runs {
        runs.cancel_all();
        drop(timeout(LAST_WORDS, runs.idle()).await);
        runs.end_watches();
    }
    // A server without connections has ended already.
    let ended = match ended {
        Some(ended) => Some(ended),
        None => timeout(LAST_WORDS, &mut server).await.ok(),
    };
    ended.unwrap_or(Ok(())).map_err(Error::Transport)
}

/// Ends when the process is asked to stop: SIGTERM, or ctrl-c.
pub async fn terminated() {
    let interrupt = async {
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) else {
            return interrupt.await;
        };
        tokio::select! {
            () = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}

fn server(
    flags: &Flags,
) -> Result<Server<tower::layer::util::Stack<Guard, tower::layer::util::Identity>>, Error> {
    let guard = Guard::new(flags.max_concurrent_requests as usize, flags.request_timeout());
    let server = Server::builder()
        .max_concurrent_streams(flags.max_concurrent_streams)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .load_shed(true);
    let server = match tls::config(flags)? {
        Some(tls) => server.tls_config(tls).map_err(Error::Tls)?,
        None => server,
    };
    Ok(server.layer(guard))
}

/// Reflection in the current and the older version, which most tools still ask for.
fn add_reflection(
    routes: &mut RoutesBuilder,
    names: &[&'static str],
    descriptors: &[&'static [u8]],
) -> Result<(), Error> {
    let builder = || {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health")
            .with_service_name("grpc.reflection.v1.ServerReflection");
        for descriptors in descriptors {
            builder = builder.register_encoded_file_descriptor_set(descriptors);
        }
        names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
    };
    routes.add_service(builder().build_v1().map_err(Error::Reflection)?);
    routes.add_service(builder().build_v1alpha().map_err(Error::Reflection)?);
    Ok(())
}

/// Tells those who check and those who watch; the watches then end, or they would hold the drain.
async fn say_not_serving(mut health: HealthReporter, names: &[&'static str]) {
    for name in names.iter().chain(&[""]) {
        health.set_service_status(name, ServingStatus::NotServing).await;
    }
    for name in names.iter().chain(&[""]) {
        health.clear_service_status(name).await;
    }
}
