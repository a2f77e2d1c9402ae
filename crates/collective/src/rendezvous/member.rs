//! A worker's side: what to ask next, and until when it may work.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Ask, Assignment, Refusal, Reply, Request, Stop, Terms};
use crate::Error;

/// Requests that are remembered while no answer came; older ones grant nothing.
const N_ASKED_MAX: usize = 16;

/// What a worker has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Connect to the others and work, as long as [`Member::holds`] says so.
    Start(Assignment),
    /// Stop at once; then [`Member::join`] again, or [`Member::leave`].
    Stop(Stop),
    /// Give up.
    Refused(Refusal),
}

/// A worker of the group.
#[derive(Debug)]
pub struct Member {
    terms: Terms,
    worker: u64,
    order: u32,
    n_ranks: Option<usize>,
    phase: Phase,
    /// The last generation that it worked in.
    after: u64,
    number: u64,
    /// Requests without an answer: number, and when sent.
    asked: VecDeque<(u64, Duration)>,
    next_at: Duration,
}

#[derive(Debug)]
enum Phase {
    /// Asks for nothing.
    Out,
    Joining {
        address: String,
    },
    Working {
        until: Duration,
        n_waiting: usize,
    },
}

impl Member {
    /// Worker `worker`, a number that no other process has (drawn at random at its start). It is
    /// the `order`th of its launcher, which may have promised a world size.
    pub fn new(
        terms: Terms,
        worker: u64,
        order: u32,
        n_ranks: Option<usize>,
    ) -> Result<Self, Error> {
        terms.check()?;
        Ok(Self {
            terms,
            worker,
            order,
            n_ranks,
            phase: Phase::Out,
            after: 0,
            number: 0,
            asked: VecDeque::new(),
            next_at: Duration::ZERO,
        })
    }

    /// Asks for a rank from now on. Whoever calls it works no more: others rely on that.
    pub fn join(&mut self, now: Duration, address: String) {
        self.enter(now, Phase::Joining { address });
    }

    /// The last request of a worker that ends; it may get lost, and its lease run out instead.
    pub fn leave(&mut self, now: Duration) -> Request {
        self.enter(now, Phase::Out);
        self.request(now, Ask::Leave)
    }

    /// The next request, when it is due. To be called more often than heartbeats are.
    pub fn request_due(&mut self, now: Duration) -> Option<Request> {
        if now < self.next_at {
            return None;
        }
        let ask = match &self.phase {
            Phase::Out => return None,
            Phase::Joining { address } => Ask::Join {
                address: address.clone(),
                order: self.order,
                n_ranks: self.n_ranks,
                after: self.after,
            },
            Phase::Working { .. } => Ask::Heartbeat { generation: self.after },
        };
        // Who waits asks more often: the others may have been told already.
        let is_joining = matches!(self.phase, Phase::Joining { .. });
        let pause = if is_joining { self.terms.heartbeat / 5 } else { self.terms.heartbeat };
        self.next_at = now + pause;
        Some(self.request(now, ask))
    }

    /// Takes the answer to request `number`.
    pub fn receive(&mut self, now: Duration, number: u64, reply: Reply) -> Option<Event> {
        let at = self.asked.iter().position(|(asked, _)| *asked == number)?;
        let (_, sent_at) = self.asked.remove(at)?;
        let lease_until = sent_at + self.terms.lease;
        match (&mut self.phase, reply) {
            (Phase::Joining { .. }, Reply::Assigned(assignment)) => {
                if now >= lease_until || assignment.generation <= self.after {
                    return None; // too late; the coordinator will give this rank up
                }
                self.after = assignment.generation;
                self.enter(now, Phase::Working { until: lease_until, n_waiting: 0 });
                Some(Event::Start(assignment))
            }
            (Phase::Joining { .. }, Reply::Refused(refusal)) => {
                self.enter(now, Phase::Out);
                Some(Event::Refused(refusal))
            }
            (Phase::Working { until, n_waiting }, Reply::Renewed { n_waiting: reported }) => {
                // What ran out cannot be renewed: the coordinator may have given it up.
                if now < *until {
                    *until = lease_until.max(*until);
                }
                *n_waiting = reported;
                self.stop_due(now)
            }
            (Phase::Joining { address }, Reply::Ended { generation }) => {
                // A rank in it that comes late is forgotten with what was asked before.
                let address = std::mem::take(address);
                self.after = self.after.max(generation);
                self.enter(now, Phase::Joining { address });
                None
            }
            (Phase::Working { .. }, Reply::Ended { .. }) => {
                self.enter(now, Phase::Out);
                Some(Event::Stop(Stop::Ended))
            }
            _ => None,
        }
    }

    /// Whether the lease ran out: said once. To be asked before each operation and more often than
    /// leases last.
    pub fn stop_due(&mut self, now: Duration) -> Option<Event> {
        match self.phase {
            Phase::Working { until, .. } if now >= until => {
                self.enter(now, Phase::Out);
                Some(Event::Stop(Stop::LeaseOver))
            }
            _ => None,
        }
    }

    /// The generation that this worker may work in now. What it did counts only if it holds the
    /// lease when it is done.
    pub fn holds(&self, now: Duration) -> Option<u64> {
        match self.phase {
            Phase::Working { until, .. } if now < until => Some(self.after),
            _ => None,
        }
    }

    /// How long the lease lasts from `now`; `None` of a worker that has none.
    pub fn lease_left(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Working { until, .. } => Some(until.saturating_sub(now)),
            _ => None,
        }
    }

    /// Workers that wait, as far as heard: if there are some, the generation may as well end where
    /// that costs little.
    pub fn n_waiting(&self) -> usize {
        if let Phase::Working { n_waiting, .. } = self.phase { n_waiting } else { 0 }
    }

    /// Answers to what was asked before are of no use any more.
    fn enter(&mut self, now: Duration, phase: Phase) {
        self.phase = phase;
        self.asked.clear();
        self.next_at = now;
    }

    fn request(&mut self, now: Duration, ask: Ask) -> Request {
        self.number += 1;
        if self.asked.len() == N_ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((self.number, now));
        Request { worker: self.worker, number: self.number, ask }
    }
}
