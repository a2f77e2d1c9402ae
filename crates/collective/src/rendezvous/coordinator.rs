//! The coordinator's side: who waits, who works, and when the next generation may start.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ADDRESS_LEN_MAX, Ask, Assignment, Refusal, Reply, Request, Terms};
use crate::Error;

/// Forms generations. One for a group; if there were two, each would form its own.
#[derive(Debug)]
pub struct Coordinator {
    terms: Terms,
    /// The last one that started.
    generation: u64,
    /// Its addresses, by rank.
    addresses: Vec<String>,
    /// Its members, but those that stopped or are out of their lease.
    working: BTreeMap<u64, Seat>,
    /// Whether it is over, though some may not know yet.
    is_ended: bool,
    waiting: BTreeMap<u64, Seat>,
    /// When the first and the last of those who wait came.
    came: Option<(Duration, Duration)>,
    /// Until then members of which this coordinator does not know may hold leases.
    quiet_until: Duration,
}

/// What is known of a worker.
#[derive(Debug, Clone)]
struct Seat {
    address: String,
    order: u32,
    /// Of those who work.
    rank: usize,
    /// Its last request.
    number: u64,
    /// When it is given up.
    until: Duration,
}

impl Coordinator {
    /// Of a group that never met before.
    pub fn new(terms: Terms) -> Result<Self, Error> {
        terms.check()?;
        Ok(Self {
            terms,
            generation: 0,
            addresses: Vec::new(),
            working: BTreeMap::new(),
            is_ended: true,
            waiting: BTreeMap::new(),
            came: None,
            quiet_until: Duration::ZERO,
        })
    }

    /// Of a group whose coordinator was lost at or after generation `after`, `now`. It starts
    /// nothing before leases that the lost one may have granted are over.
    pub fn recovered(terms: Terms, after: u64, now: Duration) -> Result<Self, Error> {
        let coordinator = Self::new(terms)?;
        let quiet_until = now + terms.lease + terms.margin;
        Ok(Self { generation: after, quiet_until, ..coordinator })
    }

    /// The last generation that started; 0 if none has.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Workers that may still work in it.
    pub fn n_working(&self) -> usize {
        self.working.len()
    }

    /// Workers that wait for the next one.
    pub fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Gives up whom nothing was heard of, and starts a generation if one can start.
    pub fn tick(&mut self, now: Duration) {
        let n_working = self.working.len();
        self.working.retain(|_, seat| now <= seat.until);
        self.is_ended |= self.working.len() < n_working;
        self.waiting.retain(|_, seat| now <= seat.until);
        if self.waiting.is_empty() {
            self.came = None;
        }
        if self.can_start(now) {
            self.start();
        }
    }

    /// Answers a request that arrived `now`.
    pub fn answer(&mut self, now: Duration, request: Request) -> Reply {
        self.tick(now);
        let Request { worker, number, ask } = request;
        let known = self.working.get(&worker).or_else(|| self.waiting.get(&worker));
        if known.is_some_and(|seat| number < seat.number) {
            return Reply::Waiting; // overtaken: no member still listens for this answer
        }
        let until = now + self.terms.lease + self.terms.margin;
        match ask {
            Ask::Join { address, order, n_ranks, after } => {
                if let Some(refusal) = self.refusal(worker, &address, n_ranks) {
                    return Reply::Refused(refusal);
                }
                if after > self.generation {
                    // There was a coordinator that got further than this one was told.
                    (self.generation, self.is_ended) = (after, true);
                }
                let seat = Seat { address, order, rank: 0, number, until };
                self.join(now, worker, after, seat)
            }
            Ask::Heartbeat { generation } => self.renew(worker, number, generation, until),
            Ask::Leave => {
                self.waiting.remove(&worker);
                self.is_ended |= self.working.remove(&worker).is_some();
                self.ended()
            }
        }
    }

    fn refusal(&self, worker: u64, address: &str, n_ranks: Option<usize>) -> Option<Refusal> {
        let Terms { n_workers_min: min, n_workers_max: max, .. } = self.terms;
        let n_waiting = self.waiting.len();
        if n_ranks.is_some_and(|n_ranks| n_ranks < min || n_ranks > max) {
            Some(Refusal::WorldSize { min, max })
        } else if address.is_empty() || address.len() > ADDRESS_LEN_MAX {
            Some(Refusal::Address)
        } else if n_waiting >= 2 * max && !self.waiting.contains_key(&worker) {
            Some(Refusal::Full { n_waiting })
        } else {
            None
        }
    }

    fn join(&mut self, now: Duration, worker: u64, after: u64, seat: Seat) -> Reply {
        if let Some(working) = self.working.get_mut(&worker) {
            if after < self.generation {
                // It has not heard of its rank yet. Once it is too late it shall not: its lease
                // then stays what it was, for an earlier answer may still be on its way to it.
                working.number = seat.number;
                if !self.is_ended {
                    working.until = seat.until;
                }
                return self.assigned(worker);
            }
            self.working.remove(&worker); // it stopped
            self.is_ended = true;
        }
        // Two at one address: the other one has died, or will ask again.
        self.waiting.retain(|other, known| *other == worker || known.address != seat.address);
        if self.waiting.insert(worker, seat).is_none() {
            self.came = Some((self.came.map_or(now, |(first, _)| first), now));
        }
        self.tick(now);
        self.assigned(worker)
    }

    fn renew(&mut self, worker: u64, number: u64, generation: u64, until: Duration) -> Reply {
        if generation != self.generation || self.is_ended {
            return self.ended();
        }
        let room = self.terms.n_workers_max.saturating_sub(self.working.len());
        let Some(seat) = self.working.get_mut(&worker) else {
            return Reply::Ended { generation: self.generation };
        };
        (seat.number, seat.until) = (number, until);
        Reply::Renewed { n_waiting: self.waiting.len().min(room) }
    }

    fn ended(&self) -> Reply {
        Reply::Ended { generation: self.generation }
    }

    fn assigned(&self, worker: u64) -> Reply {
        match self.working.get(&worker) {
            Some(_) if self.is_ended => self.ended(),
            Some(seat) => Reply::Assigned(Assignment {
                generation: self.generation,
                rank: seat.rank,
                addresses: self.addresses.clone(),
            }),
            None => Reply::Waiting,
        }
    }

    fn can_start(&self, now: Duration) -> bool {
        let Some((first, last)) = self.came else { return false };
        let Terms { settle, lease, n_workers_min, n_workers_max, .. } = self.terms;
        // Workers that die and come back again and again do not keep the rest waiting.
        let is_settled = now >= (last + settle).min(first + settle + lease);
        let n_waiting = self.waiting.len();
        let is_enough = n_waiting >= n_workers_max || n_waiting >= n_workers_min && is_settled;
        is_enough && self.working.is_empty() && now >= self.quiet_until
    }

    fn start(&mut self) {
        let mut workers: Vec<(u32, u64)> =
            self.waiting.iter().map(|(worker, seat)| (seat.order, *worker)).collect();
        workers.sort_unstable();
        workers.truncate(self.terms.n_workers_max);
        self.generation += 1;
        self.is_ended = false;
        self.addresses.clear();
        for (rank, (_, worker)) in workers.into_iter().enumerate() {
            if let Some(seat) = self.waiting.remove(&worker) {
                self.addresses.push(seat.address.clone());
                self.working.insert(worker, Seat { rank, ..seat });
            }
        }
        if self.waiting.is_empty() {
            self.came = None;
        }
    }
}
