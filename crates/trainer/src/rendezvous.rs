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

pub use server::{host, server};
pub use upstream::{Membership, Place, channel};

/// The workers of one training, as whoever forms their generations knows them. A clone is another
/// handle on the same group.
#[derive(Clone)]
pub struct Group {
    shared: Arc<Mutex<Shared>>,
    clock: Clock,
}

/// How far a worker is in one part of its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Name of the part.
    pub part: String,
    /// Steps done.
    pub done: u64,
    /// Steps in all; 0: unknown.
    pub total: u64,
}

struct Shared {
    coordinator: Coordinator,
    /// Of the workers of this generation.
    progress: BTreeMap<u64, Told>,
    /// When each worker called last, whatever it does: those of the last minute.
    heard: BTreeMap<u64, Duration>,
    /// The work is done: nobody gets a rank any more.
    is_closed: bool,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("coordinator", &self.shared().coordinator).finish()
    }
}

impl Group {
    /// A group that never met before.
    pub fn new(terms: Terms, clock: Clock) -> Result<Self, collective::Error> {
        Ok(Self::of(Coordinator::new(terms)?, clock))
    }

    /// A group that may have met before, at another process: it starts nothing before leases that were
    /// granted there are over. How many generations there were, its workers say.
    pub fn taken_over(terms: Terms, clock: Clock) -> Result<Self, collective::Error> {
        Ok(Self::of(Coordinator::recovered(terms, 0, clock())?, clock))
    }

    fn of(coordinator: Coordinator, clock: Clock) -> Self {
        let (progress, heard) = (BTreeMap::new(), BTreeMap::new());
        let shared = Shared { coordinator, progress, heard, is_closed: false };
        Self { shared: Arc::new(Mutex::new(shared)), clock }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the coordinator, which may start a generation meanwhile.
    fn with<T>(&self, work: impl FnOnce(&mut Shared, Duration) -> T) -> T {
        let mut shared = self.shared();
        let before = shared.coordinator.generation();
        let done = work(&mut shared, (self.clock)());
        let generation = shared.coordinator.generation();
        if generation != before {
            shared.progress.clear();
            tracing::info!(generation, n_workers = shared.coordinator.n_working(), "workers met");
        }
        done
    }

    fn answer(&self, request: Request) -> Reply {
        self.with(|shared, now| {
            shared.heard.retain(|_, heard| now.saturating_sub(*heard) < REMEMBERED);
            if shared.heard.len() < HEARD_MAX {
                shared.heard.insert(request.worker, now);
            }
            if shared.is_closed { Reply::Waiting } else { shared.coordinator.answer(now, request) }
        })
    }

    fn note(&self, worker: u64, progress: Told) {
        self.shared().progress.insert(worker, progress);
    }

    /// How many work, and how far the one is that is least far; `None` while nobody says.
    pub fn progress(&self) -> (usize, Option<Told>) {
        self.with(|shared, now| {
            if !shared.is_closed {
                shared.coordinator.tick(now);
            }
            let least = shared.progress.values().min_by_key(|progress| progress.done);
            (shared.coordinator.n_working(), least.cloned())
        })
    }

    /// When this worker called last; `None` if it has not within the last minute.
    pub fn heard_of(&self, worker: u64) -> Option<Duration> {
        self.shared().heard.get(&worker).copied()
    }

    /// Lets nobody begin any more: the work is done.
    pub fn close(&self) {
        self.shared().is_closed = true;
    }
}

/// How long a worker that calls no more is remembered.
const REMEMBERED: Duration = Duration::from_mins(1);

/// Most workers that are remembered so.
const HEARD_MAX: usize = 16_384;

#[cfg(test)]
mod tests;
