//! [`Collective`] over links: drives the [`Exchange`] of each operation.

use std::fmt;
use std::sync::Arc;

use crate::exchange::{Exchange, Session};
use crate::{Collective, Error, GATHERED_MAX, Precision, Reduction};

/// A connection to the next rank, and one from the previous one.
pub trait Link: Send {
    /// An operation begins: its time starts to run.
    fn begin(&mut self);

    /// A buffer for a frame. `wait` says that nothing is to be received, so that a rank that is ahead
    /// of the next one may be made to wait.
    fn buffer(&mut self, wait: bool) -> Result<Vec<u8>, Error>;

    /// Sends a frame to the next rank, in order, without waiting for it to arrive.
    fn send(&mut self, frame: Vec<u8>) -> Result<(), Error>;

    /// Waits for the next frame from the previous rank, and writes it over `frame`.
    fn receive(&mut self, frame: &mut Vec<u8>) -> Result<(), Error>;

    /// Closes both connections at once, so that the neighbours learn that this rank is out.
    fn abort(&mut self);

    /// Ends the operation under way from another thread.
    fn aborter(&self) -> Aborter;
}

/// Ends the operation under way, and the group with it, from another thread: for whoever hears
/// from the rendezvous that the generation is over.
#[derive(Clone)]
pub struct Aborter(Arc<dyn Fn() + Send + Sync>);

impl Aborter {
    /// From what closes a link.
    pub fn new(close: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(close))
    }

    /// The operation under way, or the next one, fails.
    pub fn abort(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Aborter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aborter")
    }
}

/// A rank of a ring. Dropping it closes its connections, after what was handed on is sent.
#[derive(Debug)]
pub struct Ring<L: Link> {
    session: Session,
    link: L,
    sequence: u32,
    is_broken: bool,
    n_bytes_sent: u64,
    /// The frame received last; its room is used again.
    frame: Vec<u8>,
}

impl<L: Link> Ring<L> {
    /// A rank whose links stand. Of a single rank the link is never used.
    pub fn new(session: Session, link: L) -> Self {
        Self { session, link, sequence: 0, is_broken: false, n_bytes_sent: 0, frame: Vec::new() }
    }

    /// Its place in the group.
    pub fn session(&self) -> Session {
        self.session
    }

    /// What ends operations from another thread.
    pub fn aborter(&self) -> Aborter {
        self.link.aborter()
    }

    /// Runs one operation, which `begin` makes, to its end.
    fn run<'a>(
        &mut self,
        begin: impl FnOnce(Session, u32) -> Exchange<&'a mut [f32]>,
    ) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::Broken);
        }
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let outcome = self.drive(begin(self.session, sequence));
        if outcome.is_err() {
            self.is_broken = true;
            self.link.abort();
        }
        outcome
    }

    /// Sends whatever can be sent, and only then waits: were all ranks to wait for buffers before
    /// they read, each would wait for the next one for ever.
    fn drive(&mut self, mut exchange: Exchange<&mut [f32]>) -> Result<(), Error> {
        if exchange.is_done() {
            return Ok(());
        }
        self.link.begin();
        while !exchange.is_done() {
            while exchange.can_send() {
                let mut frame = self.link.buffer(!exchange.is_receiving())?;
                exchange.send(&mut frame);
                self.n_bytes_sent += frame.len() as u64;
                self.link.send(frame)?;
            }
            if exchange.is_receiving() {
                self.link.receive(&mut self.frame)?;
                exchange
                    .receive(&self.frame)
                    .map_err(|source| Error::Frame { rank: self.session.previous(), source })?;
            }
        }
        Ok(())
    }
}

impl<L: Link> Collective for Ring<L> {
    fn rank(&self) -> usize {
        self.session.rank
    }

    fn n_ranks(&self) -> usize {
        self.session.n_ranks
    }

    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        precision: Precision,
    ) -> Result<(), Error> {
        self.run(|session, sequence| {
            Exchange::all_reduce(session, sequence, &mut *values, precision)
        })?;
        if reduction == Reduction::Mean && self.n_ranks() > 1 {
            let n_ranks = self.n_ranks() as f32;
            for value in values {
                *value /= n_ranks;
            }
        }
        Ok(())
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        if root >= self.n_ranks() {
            let reason = format!("root {root} is none of {} ranks", self.n_ranks());
            return Err(Error::Usage { reason });
        }
        self.run(|session, sequence| Exchange::broadcast(session, sequence, values, root))
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        // Lengths travel as the bits of floats, which nothing is computed with on the way.
        let length = u32::try_from(values.len()).unwrap_or(u32::MAX);
        let mut lengths = vec![0.0; self.n_ranks()];
        lengths[self.rank()] = f32::from_bits(length);
        self.run(|session, sequence| Exchange::lengths(session, sequence, &mut lengths[..]))?;
        let lengths: Vec<usize> = lengths.iter().map(|length| length.to_bits() as usize).collect();
        let n_values: usize = lengths.iter().sum();
        if n_values > GATHERED_MAX {
            let reason = format!("cannot gather {n_values} values, at most {GATHERED_MAX}");
            return Err(Error::Usage { reason }); // on all ranks alike, so the group stands
        }
        let mut end = 0;
        let segments: Vec<_> = lengths
            .iter()
            .map(|length| {
                end += length;
                end - length..end
            })
            .collect();
        let mut gathered = vec![0.0; n_values];
        gathered[segments[self.rank()].clone()].copy_from_slice(values);
        let cuts = segments.clone();
        self.run(|session, sequence| {
            Exchange::all_gather(session, sequence, &mut gathered[..], cuts)
        })?;
        Ok(segments.into_iter().map(|segment| gathered[segment].to_vec()).collect())
    }

    fn barrier(&mut self) -> Result<(), Error> {
        let mut values = vec![0.0; self.n_ranks()];
        self.run(|session, sequence| Exchange::barrier(session, sequence, &mut values[..]))
    }

    fn n_bytes_sent(&self) -> u64 {
        self.n_bytes_sent
    }
}
