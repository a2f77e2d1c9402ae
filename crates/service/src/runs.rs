//! Long work: started once, watched by many, stopped on request.
//!
//! A run belongs to the server, not to the call that started it. Its events are whole snapshots
//! numbered from 1, of which the last are kept: a watcher reads them at its own pace from the
//! record itself, so that a slow one costs no memory and one that falls behind skips old progress,
//! and resuming is asking for what came after a number.

mod pool;
mod record;
mod rpc;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lifecycle::{Digest, ErrorKind, Progress};
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};
use tracing::{Span, error, info, info_span};
use wire::{Failure, Outcome, Run};

use self::pool::Pool;
use self::record::Record;
use crate::RunLimits;
use crate::status::status;
use crate::tasks::panic_text;

/// The runs of one server. A clone is another handle on the same runs.
#[derive(Clone)]
pub struct Runs {
    shared: Arc<Shared>,
}

struct Shared {
    limits: RunLimits,
    registry: Mutex<Registry>,
    pool: Pool,
    /// Runs that have not ended.
    n_active: watch::Sender<usize>,
    /// True once watches are to end whatever their runs do.
    ending: watch::Sender<bool>,
    watches: Arc<Semaphore>,
}

#[derive(Default)]
struct Registry {
    /// By order of acceptance.
    records: BTreeMap<u64, Arc<Record>>,
    order_by_id: BTreeMap<String, u64>,
    next: u64,
    closed: bool,
}

/// How a job tells how far it is, and hears that it should stop.
#[derive(Debug, Clone)]
pub struct RunProgress {
    record: Arc<Record>,
}

impl Progress for RunProgress {
    fn report(&self, part: &str, done: u64, total: u64) {
        self.record.report(part, done, total);
    }

    fn is_cancelled(&self) -> bool {
        self.record.is_cancelled()
    }
}

impl Runs {
    /// No runs yet, and the threads that will work on them.
    pub fn new(limits: &RunLimits) -> Self {
        let shared = Shared {
            pool: Pool::new(limits.max_running as usize, limits.max_queued as usize),
            registry: Mutex::default(),
            n_active: watch::Sender::new(0),
            ending: watch::Sender::new(false),
            watches: Arc::new(Semaphore::new(limits.max_watches as usize)),
            limits: limits.clone(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts a job on the pool and answers its run at once. Where `request_id` started one before,
    /// answers that one and drops the job; `request` is the digest by which a repeat is told from
    /// another request of the same id ([`wire::request_digest`]).
    ///
    /// The job runs on a thread of its own, outside of the async runtime, where it may block.
    ///
    /// Errors: `ALREADY_EXISTS`, `RESOURCE_EXHAUSTED`, and `UNAVAILABLE` while the server stops.
    pub fn start(
        &self,
        stage: &str,
        request_id: &str,
        request: Digest,
        job: impl FnOnce(RunProgress) -> Result<Outcome, Failure> + Send + 'static,
    ) -> Result<Run, Status> {
        let id = format!("{stage}-{}", Digest::of(format!("{stage}/{request_id}")).short());
        let mut registry = self.registry();
        if let Some(record) = registry.find(&id) {
            if !record.answers(request_id, request) {
                let message = format!("request_id `{request_id}` was used for another request");
                return Err(status(Code::AlreadyExists, &message, "REQUEST_ID_REUSED"));
            }
            return Ok(record.now());
        }
        if registry.closed {
            return Err(stopping());
        }
        registry.make_room(self.shared.limits.max_kept_runs as usize)?;
        let names = [id.as_str(), stage, request_id].map(ToOwned::to_owned);
        let n_events_max = self.shared.limits.max_kept_events as usize;
        let record = Arc::new(Record::new(names, request, n_events_max));
        let work = work(self.clone(), Arc::clone(&record), job);
        self.shared.n_active.send_modify(|n| *n += 1);
        self.shared.pool.submit(Box::new(work)).map_err(|_| {
            self.shared.n_active.send_modify(|n| *n -= 1);
            let message = "too many runs wait already; try again later";
            status(Code::ResourceExhausted, message, "RUN_QUEUE_FULL")
        })?;
        registry.insert(id, Arc::clone(&record));
        drop(registry);
        let run = record.now();
        info!(run = run.id, stage, request_id, "run accepted");
        Ok(run)
    }

    /// Accepts no more runs.
    pub(crate) fn close(&self) {
        self.registry().closed = true;
    }

    /// Ends when no run is active.
    pub(crate) async fn idle(&self) {
        let mut active = self.shared.n_active.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        drop(active.wait_for(|n| *n == 0).await);
    }

    /// Asks every run to stop.
    pub(crate) fn cancel_all(&self) {
        let records: Vec<_> = self.registry().records.values().cloned().collect();
        for record in records {
            self.cancel(&record, "the server stops");
        }
    }

    /// Ends every watch, whatever its run does.
    pub(crate) fn end_watches(&self) {
        self.shared.ending.send_replace(true);
    }

    fn cancel(&self, record: &Record, why: &str) {
        if record.cancel(why) {
            self.shared.n_active.send_modify(|n| *n -= 1);
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_kept = self.registry().records.len();
        let n_active = *self.shared.n_active.borrow();
        f.debug_struct("Runs").field("n_kept", &n_kept).field("n_active", &n_active).finish()
    }
}

impl Registry {
    fn find(&self, id: &str) -> Option<&Arc<Record>> {
        self.records.get(self.order_by_id.get(id)?)
    }

    fn insert(&mut self, id: String, record: Arc<Record>) {
        self.order_by_id.insert(id, self.next);
        self.records.insert(self.next, record);
        self.next += 1;
    }

    /// Forgets the oldest ended runs until one more may be kept.
    fn make_room(&mut self, n_kept_max: usize) -> Result<(), Status> {
        while self.records.len() >= n_kept_max {
            let ended = self.records.iter().find(|(_, record)| record.has_ended());
            let Some((&order, _)) = ended else {
                let message = "too many runs are active; try again later";
                return Err(status(Code::ResourceExhausted, message, "TOO_MANY_RUNS"));
            };
            self.records.remove(&order);
            self.order_by_id.retain(|_, kept| *kept != order);
        }
        Ok(())
    }
}

/// What a thread of the pool does with a job.
fn work(
    runs: Runs,
    record: Arc<Record>,
    job: impl FnOnce(RunProgress) -> Result<Outcome, Failure> + Send + 'static,
) -> impl FnOnce() + Send + 'static {
    let caller = Span::current();
    move || {
        if !record.begin() {
            return;
        }
        let run = record.now();
        let span = info_span!(parent: &caller, "run", id = run.id);
        let progress = RunProgress { record: Arc::clone(&record) };
        let result = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| job(progress))));
        let result = result.unwrap_or_else(|panic| {
            error!(run = run.id, reason = panic_text(panic.as_ref()), "run panicked");
            let message = format!("the stage panicked: {}", panic_text(panic.as_ref()));
            Err(Failure { kind: ErrorKind::Internal, message })
        });
        record.end(result);
        info!(run = run.id, state = record.now().state.name(), "run ended");
        runs.shared.n_active.send_modify(|n| *n -= 1);
    }
}

fn stopping() -> Status {
    status(Code::Unavailable, "the server stops; try again where it runs", "DRAINING")
}
