//! The ranks that train together: how they meet, agree on where they are, and share a batch.
//!
//! A training is the same on any number of ranks: the batch is that of the configuration, each rank
//! takes the gradient of a part of it, and the sum over ranks is the gradient of the whole. What
//! happens to one rank alone does not happen to the others, so whenever ranks meet they first
//! *agree*: the one that is furthest along gives its state to all. A rank that is lost costs the
//! step that was under way; with the same world size what follows is bit by bit what would have been.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use collective::{Clock, Collective, Precision, Reduction, in_process};
use lifecycle::Digest;

use crate::checkpoint;
use crate::stage::Error;
use crate::state::State;
use crate::training::Stopped;

/// Where a rank meets the others.
pub trait Meeting {
    /// The ranks of the next generation, once there is one; whoever asks works in none.
    fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting>;

    /// Whether workers wait for this generation to end.
    fn is_awaited(&self) -> bool;

    /// Threads that this rank may compute gradients with.
    fn n_threads(&self) -> usize;

    /// Reads the clock, for shares of time; no result depends on it.
    fn clock(&self) -> Clock;
}

/// A rank cannot meet the others, now or later.
#[derive(Debug, thiserror::Error)]
#[error("this rank cannot meet the others")]
pub struct NoMeeting(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A training of one rank.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Meeting for Alone {
    fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting> {
        let mut ranks = in_process::group(1, 1, Duration::MAX).into_iter();
        Ok(Box::new(ranks.next().expect("a group has a rank")))
    }

    fn is_awaited(&self) -> bool {
        false
    }

    fn n_threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn clock(&self) -> Clock {
        Arc::new(|| Duration::ZERO)
    }
}

/// Works with the ranks of a generation; after one was lost, or a new one came, with those of the
/// next.
pub(crate) fn together<T>(
    meeting: &mut dyn Meeting,
    mut work: impl FnMut(&mut Ranks<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    loop {
        let group = meeting.meet().map_err(|error| Error::Stopped(Stopped::Alone(error)))?;
        let (rank, n_ranks) = (group.rank(), group.n_ranks());
        if n_ranks > 1 {
            tracing::info!(rank, n_ranks, "met");
        }
        let clock = meeting.clock();
        let began = clock();
        let mut ranks = Ranks { group, meeting: &*meeting, clock, began, waited: Duration::ZERO };
        let worked = work(&mut ranks);
        if n_ranks > 1 {
            let (share, n_bytes) = (ranks.communication(), ranks.group.n_bytes_sent());
            tracing::info!(rank, n_ranks, communication = share, n_bytes, "parted");
        }
        match worked {
            Err(Error::Stopped(Stopped::Lost(error))) => {
                let error = service::error_chain(&error);
                tracing::warn!(rank, error, "a rank was lost, meeting again");
            }
            Err(Error::Stopped(Stopped::Awaited)) => {
                tracing::info!(rank, "workers wait to take part, meeting again");
            }
            done => return done,
        }
    }
}

/// This rank among those of its generation.
pub(crate) struct Ranks<'a> {
    group: Box<dyn Collective>,
    meeting: &'a dyn Meeting,
    clock: Clock,
    began: Duration,
    /// In operations.
    waited: Duration,
}

/// How often ranks that wait for the first one hear of it.
const SIGN: Duration = Duration::from_secs(20);

impl Ranks<'_> {
    /// Threads for gradients.
    pub(crate) fn n_threads(&self) -> usize {
        self.meeting.n_threads()
    }

    /// Whether this rank does what one does for all.
    pub(crate) fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    /// This rank's part of `n` things in order: parts differ by one at most.
    pub(crate) fn share(&self, n: usize) -> Range<usize> {
        share(n, self.group.rank(), self.group.n_ranks())
    }

    /// Share of the time since they met in which this rank communicated, waiting included.
    pub(crate) fn communication(&self) -> f64 {
        let all = (self.clock)().saturating_sub(self.began).as_secs_f64();
        if all > 0.0 { self.waited.as_secs_f64() / all } else { 0.0 }
    }

    /// Whether there are no others.
    pub(crate) fn is_alone(&self) -> bool {
        self.group.n_ranks() == 1
    }

    /// Sums the values over ranks.
    pub(crate) fn sum(&mut self, values: &mut [f32]) -> Result<(), Stopped> {
        self.timed(|group| group.all_reduce(values, Reduction::Sum, Precision::Full))
    }

    /// The values of all ranks, one after the other.
    pub(crate) fn gather(&mut self, values: Vec<f32>) -> Result<Vec<f32>, Stopped> {
        if self.group.n_ranks() == 1 {
            return Ok(values);
        }
        self.timed(|group| group.all_gather(&values)).map(|all| all.concat())
    }

    fn timed<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Collective) -> Result<T, collective::Error>,
    ) -> Result<T, Stopped> {
        let from = (self.clock)();
        let done = work(&mut *self.group).map_err(|error| match error {
            // The same on all ranks, and again in the next generation.
            collective::Error::Usage { .. } | collective::Error::Weightless { .. } => {
                Stopped::Impossible(error)
            }
            error => Stopped::Lost(error),
        });
        self.waited += (self.clock)().saturating_sub(from);
        done
    }

    /// Gives all ranks the state of the one that is furthest along in the training of this key.
    pub(crate) fn agree(&mut self, key: Digest, state: &mut State) -> Result<(), Stopped> {
        if self.group.n_ranks() == 1 {
            return Ok(());
        }
        let step = state.optimiser.step;
        let mut own = words(key.as_bytes());
        own.extend([step as u32, (step >> 32) as u32].map(f32::from_bits));
        let all = self.timed(|group| group.all_gather(&own))?;
        let (mut furthest, mut most) = (0, 0);
        for (rank, told) in all.iter().enumerate() {
            let (of_key, of_step) = told.split_at(told.len().saturating_sub(2));
            if bytes_of(of_key) != key.as_bytes() {
                return Err(Stopped::OtherTraining { rank });
            }
            let [low, high] = [0, 1].map(|place| u64::from(of_step[place].to_bits()));
            if low | high << 32 > most {
                (furthest, most) = (rank, low | high << 32);
            }
        }
        self.give(furthest, state)
    }

    /// Gives all ranks the state of one.
    fn give(&mut self, from: usize, state: &mut State) -> Result<(), Stopped> {
        let is_mine = from == self.group.rank();
        let numbers = if is_mine { checkpoint::numbers(state) } else { Vec::new() };
        let mut n_bytes = [f32::from_bits(numbers.len() as u32)];
        self.timed(|group| group.broadcast(&mut n_bytes, from))?;
        let n_bytes = n_bytes[0].to_bits() as usize;
        let mut words = words(&numbers);
        words.resize(n_bytes.div_ceil(4), 0.0);
        self.timed(|group| group.broadcast(&mut words, from))?;
        let mut fresh = state.clone();
        for values in fresh.vectors_mut() {
            self.timed(|group| group.broadcast(values, from))?;
        }
        if !is_mine {
            let bytes = bytes_of(&words);
            checkpoint::take_numbers(&bytes[..n_bytes.min(bytes.len())], &mut fresh)
                .map_err(|reason| Stopped::Unreadable { rank: from, reason })?;
            *state = fresh;
        }
        Ok(())
    }

    /// Holds what all ranks should have alike against each other.
    pub(crate) fn compare(&mut self, digest: Digest) -> Result<(), Stopped> {
        if self.group.n_ranks() == 1 {
            return Ok(());
        }
        let own = words(digest.as_bytes());
        let all = self.timed(|group| group.all_gather(&own))?;
        match all.iter().position(|other| bytes_of(other) != digest.as_bytes()) {
            None => Ok(()),
            Some(rank) => Err(Stopped::Diverged { rank }),
        }
    }

    /// Ends the generation on all ranks alike if any of them heard of workers that wait.
    pub(crate) fn part_if_awaited(&mut self) -> Result<(), Stopped> {
        if self.group.n_ranks() == 1 && !self.meeting.is_awaited() {
            return Ok(());
        }
        let mut heard = [f32::from(u8::from(self.meeting.is_awaited()))];
        self.sum(&mut heard)?;
        if heard[0] > 0.0 { Err(Stopped::Awaited) } else { Ok(()) }
    }

    /// Has the first rank work, while the others wait, however long it takes. `None` of the others.
    pub(crate) fn first_works<T: Send>(
        &mut self,
        work: impl FnOnce() -> T + Send,
    ) -> Result<Option<T>, Stopped> {
        if self.group.n_ranks() == 1 {
            return Ok(Some(work()));
        }
        if !self.is_first() {
            let mut is_done = [0.0];
            while is_done[0] == 0.0 {
                self.sum(&mut is_done)?;
            }
            return Ok(None);
        }
        thread::scope(|scope| {
            let (done, when_done) = channel();
            let working = scope.spawn(move || {
                let made = work();
                drop(done);
                made
            });
            let mut told: Result<(), Stopped> = Ok(());
            let mut is_done = false;
            while !is_done && told.is_ok() {
                let end: Result<(), _> = when_done.recv_timeout(SIGN);
                is_done = end != Err(RecvTimeoutError::Timeout);
                told = self.sum(&mut [f32::from(u8::from(is_done))]);
            }
            let made = working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            told.map(|()| Some(made))
        })
    }

    /// Ends when all ranks are here.
    pub(crate) fn wait_for_all(&mut self) -> Result<(), Stopped> {
        self.timed(|group| group.barrier())
    }
}

fn share(n: usize, rank: usize, n_ranks: usize) -> Range<usize> {
    rank * n / n_ranks..(rank + 1) * n / n_ranks
}

/// Bytes as values that travel bit by bit, the last one filled up with zeros.
fn words(bytes: &[u8]) -> Vec<f32> {
    let word = |chunk: &[u8]| {
        let mut four = [0; 4];
        four[..chunk.len()].copy_from_slice(chunk);
        f32::from_bits(u32::from_le_bytes(four))
    };
    bytes.chunks(4).map(word).collect()
}

fn bytes_of(words: &[f32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_bits().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests;
