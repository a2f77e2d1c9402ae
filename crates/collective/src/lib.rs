//! All-reduce, broadcast and barrier among ranks; the rendezvous state machine.
//!
//! A *rank* is a process that trains one part of each batch; `n_ranks`, the world size, of them
//! work together for a *generation*. When a rank is lost the generation is over, and the rest meet
//! again in the next one. This crate knows neither models nor data, only values and who is there.
//!
//! - [`Collective`] is what a rank can do with the others. [`Ring`] does it over any [`Link`]s:
//!   [`tcp`] between processes, [`in_process`] between threads. With feature `mpi`, the ranks of an MPI
//!   job do it by MPI's own operations.
//! - [`rendezvous`] forms generations: who is there, who is lost, who must stop. It speaks no
//!   protocol; its caller carries its requests and replies.
//! - State machines without IO stand below both ([`exchange`], [`rendezvous`]); time is an argument
//!   everywhere. [`simulation`] runs them against each other through delays, partitions, pauses
//!   and deaths, and [`conformance`] holds each implementation to the same promises.
//!
//! Sockets block and are served by threads, not by tokio: a training step waits for its result
//! anyway, each rank has one connection in each direction, and with one process for each core a
//! scheduler would only come between.

pub mod conformance;
mod error;
pub mod exchange;
pub mod frame;
pub mod in_process;
#[cfg(feature = "mpi")]
pub mod mpi;
mod payload;
pub mod rendezvous;
mod ring;
pub mod simulation;
pub mod tcp;

use std::sync::Arc;
use std::time::Duration;

pub use error::Error;
pub use payload::Precision;
pub use ring::{Aborter, Link, Ring};

/// Time since some fixed moment, never going back. Whoever may read the clock brings it along.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Most ranks of a group.
pub const N_RANKS_MAX: usize = 4_096;

/// Values of a chunk, 128 KiB: small enough for a core's own cache, large enough that headers and
/// system calls do not count.
pub const CHUNK_LEN: usize = 32 * 1024;

/// Most values that an all-gather returns: 1 GiB.
pub const GATHERED_MAX: usize = 1 << 28;

/// What comes of the ranks' values, place by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their sum, divided by the number of ranks.
    Mean,
}

/// What ranks can do together. All ranks call the same operations in the same order with the same
/// arguments but the values; an operation ends when this rank has what it is to get and has handed
/// on what others need, which does not say that they have it.
///
/// Results are equal to the bit on all ranks, and from run to run with the same world size.
///
/// # Errors
///
/// A lost or silent rank, wrong frames, or limits passed; see [`Error`]. The group is over then,
/// and what the values hold is not defined. Some ranks may have completed an operation that others
/// have an error from: whoever goes on goes back to what all ranks had, a checkpoint.
pub trait Collective: Send {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// World size.
    fn n_ranks(&self) -> usize;

    /// Reduces the values of all ranks; all get the result. `values` has the same length on all
    /// ranks; any will do, 0 included.
    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        precision: Precision,
    ) -> Result<(), Error>;

    /// Gives all ranks the values of `root`, bit by bit. `values` has the same length on all ranks.
    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error>;

    /// Gives all ranks the values of each, by rank, bit by bit. Lengths may differ; together they
    /// are at most [`GATHERED_MAX`].
    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error>;

    /// Ends when all ranks have called it.
    fn barrier(&mut self) -> Result<(), Error>;

    /// Bytes that this rank has sent for operations: headers with payloads, without what TCP and
    /// TLS add.
    fn n_bytes_sent(&self) -> u64;

    /// The mean of the ranks' values weighted by the ranks' `weight`, such as the number of rows
    /// that a rank's mean gradient is over: with it, shards of any sizes give the gradient of their
    /// union. `sum_k w_k g_k / sum_k w_k`, where the weights are summed first and each rank
    /// multiplies by its share, so that neither sums nor 16-bit values outgrow the gradients.
    ///
    /// A rank without rows takes part with weight 0 (its values then do not matter, if they are
    /// finite). Returns the sum of weights.
    fn weighted_mean(
        &mut self,
        values: &mut [f32],
        weight: f32,
        precision: Precision,
    ) -> Result<f32, Error> {
        let mut total = [weight];
        self.all_reduce(&mut total, Reduction::Sum, Precision::Full)?;
        let [total] = total;
        if !total.is_finite() || total <= 0.0 {
            return Err(Error::Weightless { total });
        }
        let share = weight / total;
        for value in &mut *values {
            *value *= share;
        }
        self.all_reduce(values, Reduction::Sum, precision)?;
        Ok(total)
    }
}
