//! What stands before every handler: admission, a time limit, one log line, and a net for panics.
//!
//! One layer of ours instead of tonic's, because tonic limits requests by connection, answers a
//! timeout with `CANCELLED`, and has no net: a panic there resets the stream without a status.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument, debug, error, info, info_span};

use crate::deadline::Deadline;
use crate::status::status;
use crate::tasks::{panic_text, panicked};

/// Health checks are answered however busy the server is.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Asked each second by every worker: not worth a log line, as health checks are not.
const RENDEZVOUS: &str = "/lifecast.v1.Rendezvous/";

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    admitted: Arc<Semaphore>,
    time_limit: Duration,
}

impl Guard {
    /// Admits `n_requests_max` at once, over all connections, each for at most `time_limit`.
    pub(crate) fn new(n_requests_max: usize, time_limit: Duration) -> Self {
        Self { admitted: Arc::new(Semaphore::new(n_requests_max)), time_limit }
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.clone() }
    }
}

/// A service behind the guard.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    guard: Guard,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let is_health = path.starts_with(HEALTH);
        let permit = Arc::clone(&self.guard.admitted).try_acquire_owned();
        if permit.is_err() && !is_health {
            let message = "too many requests are under way; try again later";
            let refused = status(Code::ResourceExhausted, message, "OVERLOADED");
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        // The service that was polled ready is the one to call; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let time_limit = self.guard.time_limit;
        let deadline = Deadline::after(time_limit, request.headers());
        request.extensions_mut().insert(deadline);
        let span = info_span!("request", path);
        let answer = async move {
            let _permit = permit.ok();
            let begun = Instant::now();
            let handled = async move { inner.call(request).await };
            let handled = AssertUnwindSafe(timeout(time_limit, handled)).catch_unwind();
            let response = match handled.await {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(_)) => too_late(time_limit).into_http(),
                Err(panic) => {
                    error!(reason = panic_text(panic.as_ref()), "handler panicked");
                    panicked().into_http()
                }
            };
            log(&response, begun.elapsed(), is_health || path.starts_with(RENDEZVOUS));
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

fn too_late(time_limit: Duration) -> Status {
    let message = format!("no answer within {} s", time_limit.as_secs());
    status(Code::DeadlineExceeded, &message, "REQUEST_TIMEOUT")
}

fn log(response: &Response<Body>, elapsed: Duration, is_routine: bool) {
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    let elapsed_ms = elapsed.as_secs_f64() * 1e3;
    if is_routine {
        debug!(?code, elapsed_ms, "answered");
    } else {
        info!(?code, elapsed_ms, "answered");
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_handler_has_limited_time() {
        let never = service_fn(|_: Request<Body>| std::future::pending());
        let guard = Guard::new(1, Duration::from_millis(5));
        let response = guard.layer(never).oneshot(Request::new(Body::empty())).await;
        let headers = response.expect("an answer").headers().clone();
        let status = Status::from_header_map(&headers).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}
