//! Tasks that keep their span and report their panics, and a bounded way to leave the async threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use tracing::{Instrument, Span, error};

use crate::status::status;

/// Starts a task in the current span. If it panics, that is logged under `name` even where nobody
/// awaits the handle.
#[allow(clippy::disallowed_methods, reason = "everybody else starts tasks here")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let watched = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
        ended.unwrap_or_else(|panic| {
            error!(task = name, reason = panic_text(panic.as_ref()), "task panicked");
            resume_unwind(panic)
        })
    });
    tokio::spawn(watched.in_current_span())
}

/// Runs blocking work away from the async threads, at most so many at once.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    permits: Arc<Semaphore>,
}

impl BlockingPool {
    /// A pool of at most `n_threads` threads at work.
    pub fn new(n_threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(n_threads.max(1))) }
    }

    /// Waits for a thread, then for the work; a panic in it is an `INTERNAL` status. Dropping the
    /// future gives up a place in the queue; work that has begun goes on to its end.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| panicked())?;
        let span = Span::current();
        let work = move || {
            let _permit = permit;
            span.in_scope(work)
        };
        tokio::task::spawn_blocking(work).await.map_err(|ended| {
            error!(reason = %ended, "blocking work ended early");
            panicked()
        })
    }
}

/// The status of a request whose handler panicked.
pub(crate) fn panicked() -> Status {
    status(Code::Internal, "the server failed at this request; see its log", "PANIC")
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocking_work_answers_or_fails_alone() {
        let pool = BlockingPool::new(1);
        let failed = pool.run(|| -> u32 { panic!("oh") }).await.expect_err("panics");
        assert_eq!(failed.code(), Code::Internal);
        assert_eq!(pool.run(|| 2 + 2).await.expect("works"), 4);
    }

    #[tokio::test]
    async fn a_task_passes_its_panic_on() {
        assert_eq!(spawn("works", async { 4 }).await.expect("works"), 4);
        let ended = spawn("fails", async { panic!("oh") }).await.expect_err("panics");
        assert!(ended.is_panic());
    }
}
