//! A channel to a service of this very process, over memory: no port, no certificates.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::rt::TokioIo;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};

use crate::tasks::spawn;

/// Bytes on their way between the two ends.
const PIPE_BYTES: usize = 64 * 1024;

/// Serves `service` at the other end of the channel, until the channel is dropped. Needs a tokio
/// runtime.
pub fn in_process<S>(service: S) -> Channel
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: NamedService + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let (client, server) = tokio::io::duplex(PIPE_BYTES);
    let connection = tokio_stream::once(Ok::<_, io::Error>(server));
    spawn("in process", Server::builder().add_service(service).serve_with_incoming(connection));
    let client = Arc::new(Mutex::new(Some(client)));
    let connect = move |_: Uri| {
        let client = client.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { client.map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::BrokenPipe)) }
    };
    // Nobody resolves this name; a channel must have one.
    Endpoint::from_static("http://in.process")
        .connect_with_connector_lazy(tower::service_fn(connect))
}
