//! Ranks that are threads of one process, linked by channels: for tests, and for what runs
//! several ranks in one process.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::exchange::Session;
use crate::ring::{Aborter, Link, Ring};
use crate::{CHUNK_LEN, Error};

/// What travels: a frame, or why none will follow.
enum Letter {
    Frame(Vec<u8>),
    Closed,
    Aborted,
}

/// A rank in this process.
pub type InProcess = Ring<Channels>;

/// Channels to the next rank and from the previous one.
#[derive(Debug)]
pub struct Channels {
    previous: usize,
    limit: Duration,
    outbox: Sender<Letter>,
    inbox: Receiver<Letter>,
    /// The other end of `inbox`, to call this rank itself.
    own: Sender<Letter>,
    spare: Vec<Vec<u8>>,
}

/// A group of `n_ranks`, by rank. A rank that is dropped is lost to the others; one that is not
/// heard of for `limit` within an operation is taken for lost.
///
/// # Panics
///
/// If `n_ranks` is 0.
pub fn group(n_ranks: usize, generation: u64, limit: Duration) -> Vec<InProcess> {
    assert!(n_ranks > 0, "a group has a rank");
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..n_ranks).map(|_| channel()).unzip();
    receivers
        .into_iter()
        .enumerate()
        .map(|(rank, inbox)| {
            let session = Session { generation, rank, n_ranks, chunk_len: CHUNK_LEN };
            let outbox = senders[session.next()].clone();
            let (own, previous) = (senders[rank].clone(), session.previous());
            Ring::new(session, Channels { previous, limit, outbox, inbox, own, spare: Vec::new() })
        })
        .collect()
}

impl Link for Channels {
    fn begin(&mut self) {}

    fn buffer(&mut self, _wait: bool) -> Result<Vec<u8>, Error> {
        Ok(self.spare.pop().unwrap_or_default())
    }

    fn send(&mut self, frame: Vec<u8>) -> Result<(), Error> {
        // A next rank that is gone is told of by the previous one, as the news goes round.
        drop(self.outbox.send(Letter::Frame(frame)));
        Ok(())
    }

    fn receive(&mut self, frame: &mut Vec<u8>) -> Result<(), Error> {
        match self.inbox.recv_timeout(self.limit) {
            Ok(Letter::Frame(received)) => {
                self.spare.push(std::mem::replace(frame, received));
                Ok(())
            }
            Ok(Letter::Aborted) => Err(Error::Aborted),
            Ok(Letter::Closed) | Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Closed { rank: self.previous, source: None })
            }
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::Silent { rank: self.previous, limit: self.limit })
            }
        }
    }

    fn abort(&mut self) {
        drop(self.outbox.send(Letter::Closed));
    }

    fn aborter(&self) -> Aborter {
        let own = self.own.clone();
        Aborter::new(move || drop(own.send(Letter::Aborted)))
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.abort();
    }
}
