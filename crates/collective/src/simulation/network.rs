//! The network of a simulated world: what is sent, and when it comes.

use std::time::Duration;

use rand::RngExt;

use super::worker::{Content, Packet};
use super::world::{Happening, World};
use crate::rendezvous::Request;

impl World {
    /// When what is sent now arrives.
    pub(super) fn arrival(&mut self, from: usize, to: usize) -> Duration {
        let is_calm = self.now >= self.calm_at;
        let longest = match self.rng.random_range(0..500) {
            0 if !is_calm => 6_000,
            1..10 if !is_calm => 500,
            _ => 20,
        };
        let delay = Duration::from_millis(self.rng.random_range(1..=longest));
        let now = self.now;
        self.cuts.retain(|(_, _, until)| *until > now);
        let cut = self.cuts.iter().filter(|(a, b, _)| (*a, *b) == (from, to));
        cut.map(|(_, _, until)| *until).fold(now, Duration::max) + delay
    }

    /// Requests and replies keep no order among themselves, and take long at times.
    fn detour(&mut self) -> Duration {
        let is_long = self.now < self.calm_at && self.rng.random_range(0..30) == 0;
        Duration::from_millis(if is_long { self.rng.random_range(0..6_000) } else { 0 })
    }

    pub(super) fn ask(&mut self, slot: usize, request: &Request) {
        let coordinator = self.workers.len();
        for _ in 0..self.n_copies() {
            let at = self.arrival(slot, coordinator) + self.detour();
            self.at(at, Happening::Request { slot, request: request.clone() });
        }
    }

    pub(super) fn answer(&mut self, slot: usize, request: Request) {
        let now = self.coordinator_skew.read(self.now);
        let (id, number) = (request.worker, request.number);
        let Some(coordinator) = &mut self.coordinator else { return };
        let reply = coordinator.answer(now, request);
        self.stored = coordinator.generation();
        let from = self.workers.len();
        for _ in 0..self.n_copies() {
            let at = self.arrival(from, slot) + self.detour();
            self.at(at, Happening::Reply { slot, id, number, reply: reply.clone() });
        }
    }

    /// Requests and replies get lost at times, and come twice at times.
    pub(super) fn n_copies(&mut self) -> usize {
        match self.rng.random_range(0..50) {
            0 => 0,
            1 => 2,
            _ => 1,
        }
    }

    pub(super) fn send(&mut self, slot: usize, content: Content) {
        let worker = &self.workers[slot];
        let Some(job) = &worker.job else { return };
        let (next, generation, id) = (job.next, job.session.generation, worker.id);
        let at = self.arrival(slot, next);
        let last = self.links.entry((id, generation, next)).or_default();
        *last = at.max(*last);
        let at = *last;
        let packet = Packet { generation, content };
        self.at(at, Happening::Packet { slot: next, packet });
    }

    pub(super) fn close(&mut self, slot: usize) {
        self.send(slot, Content::Closed);
        self.workers[slot].job = None;
    }
}
