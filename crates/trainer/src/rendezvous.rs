//! Ranks in processes of their own: where they meet, and how one is there.
//!
//! [`server`](fn@server) answers the calls of all workers from one [`Group`], the state machine of
//! `collective` with a lock and a clock; [`Membership`] asks on behalf of a worker, from a thread of
//! its own, so that a lease is renewed whatever its rank computes.

mod server;
mod upstream;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use collective::Clock;
use collective::rendezvous::{Coordinator, Reply, Request, Terms};
use wire::PartProgress;

pub use server::server;
pub use upstream::{Membership, Place};

/// The workers of one training, as whoever forms their generations knows them. A clone is another
/// handle on the same group.
#[derive(Clone)]
pub struct Group {
    shared: Arc<Mutex<Shared>>,
    clock: Clock,
    /// Told each generation before anybody works in it.
    started: Arc<dyn Fn(u64) + Send + Sync>,
}

struct Shared {
    coordinator: Coordinator,
    progress: BTreeMap<u64, PartProgress>,
    /// When each worker called last, whatever it does: those of the last minute.
    heard: BTreeMap<u64, Duration>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("coordinator", &self.shared().coordinator).finish()
    }
}

impl Group {
    /// A group whose last generation, if there was one, was `after`; `started` is told each new one
    /// before anybody works in it, to remember it.
    pub fn new(
        terms: Terms,
        after: Option<u64>,
        clock: Clock,
        started: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, collective::Error> {
        let coordinator = match after {
            Some(after) => Coordinator::recovered(terms, after, clock())?,
            None => Coordinator::new(terms)?,
        };
        let (progress, heard) = (BTreeMap::new(), BTreeMap::new());
        let shared = Shared { coordinator, progress, heard };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), clock, started: Arc::new(started) })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request) -> Reply {
        let mut shared = self.shared();
        let now = (self.clock)();
        shared.heard.retain(|_, heard| now.saturating_sub(*heard) < REMEMBERED);
        shared.heard.insert(request.worker, now);
        let before = shared.coordinator.generation();
        let reply = shared.coordinator.answer(now, request);
        let generation = shared.coordinator.generation();
        if generation != before {
            (self.started)(generation);
            shared.progress.clear();
        }
        reply
    }

    fn note(&self, worker: u64, progress: PartProgress) {
        self.shared().progress.insert(worker, progress);
    }

    /// How many work, and how far the one is that is least far; `None` while nobody says.
    pub fn progress(&self) -> (usize, Option<PartProgress>) {
        let mut shared = self.shared();
        let now = (self.clock)();
        shared.coordinator.tick(now);
        let least = shared.progress.values().min_by_key(|progress| progress.done);
        (shared.coordinator.n_working(), least.cloned())
    }

    /// When this worker called last; `None` if it has not within the last minute.
    pub fn heard_of(&self, worker: u64) -> Option<Duration> {
        self.shared().heard.get(&worker).copied()
    }
}

/// How long a worker that calls no more is remembered.
const REMEMBERED: Duration = Duration::from_mins(1);

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
