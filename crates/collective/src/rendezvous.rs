//! How ranks meet: who takes part in which generation, and when it is over.
//!
//! One [`Coordinator`], and a [`Member`] in each worker. Both are state machines without IO or
//! clock: the caller carries [`Request`]s to the coordinator and [`Reply`]s back, over whatever it
//! speaks, and passes the time along. Everything is asked by members and may be lost, late or
//! asked twice.
//!
//! 1. A worker *joins* with its address, and asks again until it is assigned a rank. The
//!    coordinator starts a generation when `n_workers_max` wait, or when `n_workers_min` do and
//!    nobody new came for [`Terms::settle`].
//! 2. A member holds a *lease* (C. G. Gray and D. R. Cheriton, "Leases: an efficient
//!    fault-tolerant mechanism for distributed file cache consistency", SOSP 1989) and renews it
//!    by heartbeats. Its own lease runs from when it *sent* the request that was answered; the
//!    coordinator's copy from when it *received* that request, and longer by [`Terms::margin`]. So
//!    a member that is cut off knows that it must stop before the coordinator gives it up, as long
//!    as clocks run equally fast to within `margin / lease`; they need not agree on the time.
//! 3. A generation ends when one member is lost (its lease ran out), leaves, or joins anew because
//!    an operation failed. The others learn from their next heartbeat, mostly earlier from closed
//!    connections, stop, and join anew. The next one starts only when every member of the last
//!    has either said that it stopped, by joining anew or leaving, or is out of its lease: **no two
//!    generations hold leases at one time**.
//! 4. Whoever comes while a generation runs waits. Members hear of it with their heartbeats
//!    ([`Member::n_waiting`]) and may end the generation where it costs little, such as after a
//!    checkpoint; newcomers never take a step's work from others.
//!
//! A coordinator that restarts keeps quiet for a lease, in which whatever it knew before runs out.
//! All that has to outlive it is [`Coordinator::generation`], stored before an answer is sent.

mod coordinator;
mod member;

use std::time::Duration;

pub use coordinator::Coordinator;
pub use member::{Event, Member};

/// Longest address, in bytes.
pub const ADDRESS_LEN_MAX: usize = 256;

/// Times and numbers that members and coordinator agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Between two requests of a member.
    pub heartbeat: Duration,
    /// How long a member may work without hearing from the coordinator.
    pub lease: Duration,
    /// What the coordinator adds to a lease.
    pub margin: Duration,
    /// How long the coordinator waits for more workers when there are enough.
    pub settle: Duration,
    /// Fewest workers of a generation.
    pub n_workers_min: usize,
    /// Most workers of a generation.
    pub n_workers_max: usize,
}

impl Terms {
    /// Heartbeats of 1 s, leases of 5 s and half a second of margin.
    pub fn new(n_workers_min: usize, n_workers_max: usize) -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            margin: Duration::from_millis(500),
            settle: Duration::from_secs(1),
            n_workers_min,
            n_workers_max,
        }
    }

    /// What is wrong with them, if anything.
    pub fn check(&self) -> Result<(), crate::Error> {
        let reason = if self.n_workers_min == 0 || self.n_workers_min > self.n_workers_max {
            "n_workers_min is from 1 to n_workers_max".to_owned()
        } else if self.n_workers_max > crate::N_RANKS_MAX {
            format!("n_workers_max is at most {}", crate::N_RANKS_MAX)
        } else if self.heartbeat.is_zero() || self.lease < self.heartbeat * 3 {
            "a lease is at least three heartbeats".to_owned()
        } else if self.margin < self.lease / 100 {
            "margin is at least a hundredth of the lease".to_owned()
        } else {
            return Ok(());
        };
        Err(crate::Error::Usage { reason })
    }
}

/// A member's question, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The worker: a number that no other process has, nor the same one after a restart.
    pub worker: u64,
    /// Counts the worker's requests; one that was overtaken by a later one says nothing any more.
    pub number: u64,
    /// What it asks for.
    pub ask: Ask,
}

/// What a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A rank in a generation after `after`. It works in none now.
    Join {
        /// Where the previous rank can connect to it.
        address: String,
        /// Its place among others; ranks follow it. Launchers number their workers.
        order: u32,
        /// The world size that its launcher promised, if it did.
        n_ranks: Option<usize>,
        /// The last generation that it worked in; 0 if none.
        after: u64,
    },
    /// Its lease renewed.
    Heartbeat {
        /// The generation that it works in.
        generation: u64,
    },
    /// Nothing more: it ends.
    Leave,
}

/// What the coordinator answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Wait and ask again.
    Waiting,
    /// Work, with a lease.
    Assigned(Assignment),
    /// Go on; the lease is renewed.
    Renewed {
        /// Workers that wait and would find room.
        n_waiting: usize,
    },
    /// Stop, or do not begin: the generation is over.
    Ended {
        /// The last one that started.
        generation: u64,
    },
    /// No: asking again will not help.
    Refused(Refusal),
}

/// A rank in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which generation, from 1; each is higher than the one before.
    pub generation: u64,
    /// This worker's rank, from 0.
    pub rank: usize,
    /// All workers' addresses, by rank; their number is the world size.
    pub addresses: Vec<String>,
}

/// Why a worker cannot take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was promised a world size that will not be.
    #[error("the group has {min} to {max} workers")]
    WorldSize {
        /// `n_workers_min`.
        min: usize,
        /// `n_workers_max`.
        max: usize,
    },
    /// Too many wait.
    #[error("{n_waiting} workers wait already")]
    Full {
        /// How many.
        n_waiting: usize,
    },
    /// Its address is empty, or longer than [`ADDRESS_LEN_MAX`].
    #[error("an address has 1 to {ADDRESS_LEN_MAX} bytes")]
    Address,
}

/// Why a member must stop at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The coordinator says that the generation is over.
    Ended,
    /// The lease ran out.
    LeaseOver,
}

#[cfg(test)]
mod tests;
