//! What can go wrong among ranks.

use std::io;
use std::time::Duration;

use crate::frame::FrameError;

/// Why an operation did not complete, or a group was not formed.
///
/// After any error but [`Error::Usage`] and [`Error::Weightless`] the group is over: its links are
/// closed, so that the error reaches all ranks, and each further operation is [`Error::Broken`].
/// Ranks meet again in a new generation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for what cannot be.
    #[error("{reason}")]
    Usage {
        /// What would be right.
        reason: String,
    },
    /// A neighbour closed its connection: its process ended, or it met an error itself.
    #[error("rank {rank} closed its connection")]
    Closed {
        /// The neighbour.
        rank: usize,
        /// What the operating system said, if it was asked.
        #[source]
        source: Option<io::Error>,
    },
    /// Not a byte came from a neighbour for too long.
    #[error("rank {rank} was silent for {} ms", limit.as_millis())]
    Silent {
        /// The neighbour.
        rank: usize,
        /// The limit that was passed.
        limit: Duration,
    },
    /// The operation as a whole took too long, though neighbours live.
    #[error("the operation did not end within {} ms", limit.as_millis())]
    Overdue {
        /// The limit that was passed.
        limit: Duration,
    },
    /// A neighbour sent what is not the next frame.
    #[error("rank {rank} sent a wrong frame")]
    Frame {
        /// The neighbour.
        rank: usize,
        /// What is wrong with it.
        #[source]
        source: FrameError,
    },
    /// The ring was not closed within the time for it.
    #[error("cannot connect rank {rank} at `{address}` within {} ms", limit.as_millis())]
    Unreachable {
        /// The neighbour that was looked or waited for.
        rank: usize,
        /// Where it should be.
        address: String,
        /// The limit that was passed.
        limit: Duration,
        /// What happened at the last try.
        #[source]
        source: Option<io::Error>,
    },
    /// A neighbour knows of a later generation: this rank comes too late.
    #[error("rank {rank} is in generation {theirs} already, this one is {ours}")]
    Stale {
        /// The neighbour.
        rank: usize,
        /// This rank's generation.
        ours: u64,
        /// The neighbour's generation.
        theirs: u64,
    },
    /// Certificates or keys cannot be used.
    #[error("TLS: {reason}")]
    Tls {
        /// What would be right.
        reason: String,
        /// What rustls said, if it was asked.
        #[source]
        source: Option<rustls::Error>,
    },
    /// A weighted mean over no weight: on all ranks alike.
    #[error("the ranks' weights sum to {total}, of which there is no mean")]
    Weightless {
        /// The sum.
        total: f32,
    },
    /// The operation was ended from outside ([`crate::Aborter`]).
    #[error("the operation was aborted")]
    Aborted,
    /// An earlier operation failed.
    #[error("an earlier operation of this generation failed")]
    Broken,
}
