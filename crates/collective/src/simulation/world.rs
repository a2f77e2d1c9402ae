//! The world: what happens when, and what must hold whenever something happened.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::faults::{self, Farewell, Fault};
use super::worker::{Content, Job, Packet, Skew, Worker};
use super::{OPERATION_MAX, RECOVERY_MAX, Tally, Violation};
use crate::frame::FrameError;
use crate::rendezvous::{Coordinator, Event, Member, Reply, Request, Terms};

/// Without a packet, an operation is given up after that.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Between two looks of a worker at its clock.
const WAKE: Duration = Duration::from_millis(250);

/// Looks at its clock between two signs of life.
const N_WAKES_ALIVE: u128 = 4;

/// Operations after which a worker makes room for those who wait.
const CHECKPOINT: u32 = 5;

#[derive(Debug)]
pub(super) enum Happening {
    /// A worker looks at its clock.
    Wake {
        slot: usize,
        id: u64,
    },
    /// A worker begins its next operation.
    Begin {
        slot: usize,
        id: u64,
        generation: u64,
    },
    /// Something came over a worker's link.
    Packet {
        slot: usize,
        packet: Packet,
    },
    /// An answer of the coordinator came.
    Reply {
        slot: usize,
        id: u64,
        number: u64,
        reply: Reply,
    },
    /// A request came to the coordinator.
    Request {
        slot: usize,
        request: Request,
    },
    Fault(Fault),
    Restart {
        slot: usize,
    },
    RestartCoordinator,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rng: ChaCha8Rng,
    pub(super) now: Duration,
    pub(super) queue: BTreeMap<(Duration, u64), Happening>,
    pub(super) n_queued: u64,
    pub(super) terms: Terms,
    pub(super) coordinator: Option<Coordinator>,
    pub(super) coordinator_skew: Skew,
    pub(super) workers: Vec<Worker>,
    /// From where, to where, until when.
    pub(super) cuts: Vec<(usize, usize, Duration)>,
    /// When the last packet of a link arrives: sender, generation, receiving place.
    pub(super) links: BTreeMap<(u64, u64, usize), Duration>,
    pub(super) calm_at: Duration,
    /// The last generation that a worker began.
    pub(super) latest: u64,
    /// The last one that the coordinator started: all that outlives it.
    pub(super) stored: u64,
    pub(super) tally: Tally,
    pub(super) lines: Option<Vec<String>>,
}

type Outcome = Result<(), String>;

impl World {
    pub(super) fn new(seed: u64, is_traced: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let n = rng.random_range(2..=5);
        let terms = Terms::new(rng.random_range(1..=n), n);
        let (faults, calm_at) = faults::plan(&mut rng, n);
        let skew = skew(&mut rng);
        let mut world = Self {
            seed,
            rng,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            n_queued: 0,
            terms,
            coordinator: Coordinator::new(terms).ok(),
            coordinator_skew: skew,
            workers: Vec::new(),
            cuts: Vec::new(),
            links: BTreeMap::new(),
            calm_at,
            latest: 0,
            stored: 0,
            tally: Tally::default(),
            lines: is_traced.then(Vec::new),
        };
        for slot in 0..n {
            let worker = world.worker(slot, slot as u64 + 1);
            world.workers.push(worker);
            world.at(Duration::ZERO, Happening::Wake { slot, id: slot as u64 + 1 });
        }
        for (at, fault) in faults {
            world.at(at, Happening::Fault(fault));
        }
        world
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    pub(super) fn run(&mut self) -> Result<Tally, Violation> {
        let end = self.calm_at + RECOVERY_MAX;
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            self.happen(happening)
                .and_then(|()| self.check_one_generation())
                .map_err(|what| self.violation(what))?;
        }
        let recent = end.saturating_sub(Duration::from_secs(3));
        for (slot, worker) in self.workers.iter().enumerate() {
            if worker.completed_at < recent {
                return Err(self.violation(format!("worker {slot} is not at work again")));
            }
        }
        Ok(self.tally)
    }

    fn violation(&self, what: String) -> Violation {
        Violation { seed: self.seed, at: self.now, what }
    }

    fn worker(&mut self, slot: usize, id: u64) -> Worker {
        let skew = skew(&mut self.rng);
        let member = Member::new(self.terms, id, slot as u32, None);
        let mut member = member.expect("the terms are checked");
        member.join(skew.read(self.now), slot.to_string());
        Worker {
            id,
            is_alive: true,
            paused_until: Duration::ZERO,
            skew,
            member,
            job: None,
            early: Vec::new(),
            completed_at: Duration::ZERO,
        }
    }

    pub(super) fn at(&mut self, at: Duration, happening: Happening) {
        self.queue.insert((at, self.n_queued), happening);
        self.n_queued += 1;
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// The worker's own time.
    pub(super) fn local(&self, slot: usize) -> Duration {
        self.workers[slot].skew.read(self.now)
    }

    fn happen(&mut self, happening: Happening) -> Outcome {
        let slot = match &happening {
            Happening::Wake { slot, id }
            | Happening::Begin { slot, id, .. }
            | Happening::Reply { slot, id, .. } => {
                if self.workers[*slot].id != *id || !self.workers[*slot].is_alive {
                    return Ok(());
                }
                Some(*slot)
            }
            Happening::Packet { slot, .. } => Some(*slot),
            _ => None,
        };
        // Who is stopped finds all that came when it goes on.
        let paused_until = slot.map_or(Duration::ZERO, |slot| self.workers[slot].paused_until);
        if paused_until >= self.now && !paused_until.is_zero() {
            // Just after, so that what comes at that very moment comes behind it.
            self.at(paused_until + Duration::from_nanos(1), happening);
            return Ok(());
        }
        match happening {
            Happening::Wake { slot, id } => {
                self.at(self.now + WAKE, Happening::Wake { slot, id });
                self.wake(slot)
            }
            Happening::Begin { slot, generation, .. } => self.begin(slot, generation),
            Happening::Packet { slot, packet } => self.take(slot, packet),
            Happening::Reply { slot, number, reply, .. } => {
                let local = self.local(slot);
                let event = self.workers[slot].member.receive(local, number, reply);
                self.follow(slot, event)
            }
            Happening::Request { slot, request } => {
                self.answer(slot, request);
                Ok(())
            }
            Happening::Fault(fault) => {
                self.suffer(fault);
                Ok(())
            }
            Happening::Restart { slot } => {
                let id = self.workers[slot].id + 100;
                self.say(|| format!("worker {slot} starts as {id}"));
                self.workers[slot] = self.worker(slot, id);
                self.at(self.now, Happening::Wake { slot, id });
                Ok(())
            }
            Happening::RestartCoordinator => {
                let (after, now) = (self.stored, self.coordinator_skew.read(self.now));
                self.say(|| format!("the coordinator is back after generation {after}"));
                self.coordinator = Coordinator::recovered(self.terms, after, now).ok();
                Ok(())
            }
        }
    }

    fn suffer(&mut self, fault: Fault) {
        self.say(|| format!("{fault:?}"));
        match fault {
            Fault::Kill { slot, farewell, back } => {
                if !self.workers[slot].is_alive {
                    return;
                }
                if farewell == Farewell::Left {
                    let local = self.local(slot);
                    let request = self.workers[slot].member.leave(local);
                    self.ask(slot, &request);
                }
                if farewell != Farewell::Nothing {
                    self.close(slot);
                }
                self.workers[slot].is_alive = false;
                self.workers[slot].job = None;
                self.at(back, Happening::Restart { slot });
            }
            Fault::Pause { slot, until } => {
                let worker = &mut self.workers[slot];
                // Who is stopped already is not stopped again: what waits for it would lose its order.
                if worker.paused_until < self.now {
                    worker.paused_until = until;
                }
            }
            Fault::Cut { from, to, until } => self.cuts.push((from, to, until)),
            Fault::Coordinator { back } => {
                if self.coordinator.take().is_some() {
                    self.at(back, Happening::RestartCoordinator);
                }
            }
        }
    }

    fn wake(&mut self, slot: usize) -> Outcome {
        let local = self.local(slot);
        let event = self.workers[slot].member.stop_due(local);
        self.follow(slot, event)?;
        let worker = &mut self.workers[slot];
        let n_waiting = worker.member.n_waiting();
        if let Some(job) = &worker.job {
            let is_idle = job.exchange.is_none();
            let is_silent = !is_idle && local.saturating_sub(job.heard) > SILENCE_MAX;
            let makes_room = is_idle && n_waiting > 0 && job.sequence >= CHECKPOINT;
            if is_silent || makes_room {
                self.rejoin(slot, if is_silent { "silence" } else { "room" });
            } else if !is_idle && self.now > job.began + OPERATION_MAX {
                return Err(format!("an operation of worker {slot} hangs"));
            }
        }
        let is_alive_due = (self.now.as_millis() / WAKE.as_millis()).is_multiple_of(N_WAKES_ALIVE);
        if is_alive_due {
            self.send(slot, Content::Alive);
        }
        if let Some(request) = self.workers[slot].member.request_due(local) {
            self.ask(slot, &request);
        }
        Ok(())
    }

    fn follow(&mut self, slot: usize, event: Option<Event>) -> Outcome {
        match event {
            None => Ok(()),
            Some(Event::Refused(refusal)) => Err(format!("worker {slot} is refused: {refusal}")),
            Some(Event::Stop(stop)) => {
                self.say(|| format!("worker {slot} stops: {stop:?}"));
                self.rejoin(slot, "stopped");
                Ok(())
            }
            Some(Event::Start(assignment)) => {
                let (generation, local) = (assignment.generation, self.local(slot));
                self.say(|| format!("worker {slot} starts {assignment:?}"));
                if generation < self.latest {
                    return Err(format!("{generation} begins after {}", self.latest));
                }
                self.tally.n_generations += u64::from(generation > self.latest);
                self.latest = generation;
                let worker = &mut self.workers[slot];
                worker.job = Some(Job::new(&assignment, local));
                for packet in std::mem::take(&mut worker.early) {
                    self.take(slot, packet)?;
                }
                self.begin_soon(slot, generation);
                Ok(())
            }
        }
    }

    /// A worker computes, mostly not for long, and does not look at its links meanwhile.
    fn begin_soon(&mut self, slot: usize, generation: u64) {
        let is_long = self.now < self.calm_at && self.rng.random_range(0..30) == 0;
        let longest = if is_long { 9_000 } else { 400 };
        let at = self.now + Duration::from_millis(self.rng.random_range(10..longest));
        self.at(at, Happening::Begin { slot, id: self.workers[slot].id, generation });
    }

    fn begin(&mut self, slot: usize, generation: u64) -> Outcome {
        let local = self.local(slot);
        let event = self.workers[slot].member.stop_due(local);
        self.follow(slot, event)?;
        let now = self.now;
        if let Some(job) = &mut self.workers[slot].job
            && job.session.generation == generation
            && job.exchange.is_none()
        {
            job.exchange = Some(job.operation());
            (job.began, job.heard) = (now, local);
        }
        self.pump(slot)
    }

    /// A packet comes: what is of a generation that this worker is not in yet is kept, as the
    /// handshake keeps who connects early.
    fn take(&mut self, slot: usize, packet: Packet) -> Outcome {
        let local = self.local(slot);
        let worker = &mut self.workers[slot];
        let Packet { generation, content } = &packet;
        match &mut worker.job {
            Some(job) if *generation <= job.session.generation => {
                let is_ours = *generation == job.session.generation;
                if is_ours {
                    job.heard = local;
                }
                if is_ours || matches!(content, Content::Frame(_)) {
                    job.inbox.push_back(packet.content);
                }
                self.pump(slot)
            }
            _ if worker.is_alive => {
                worker.early.push(packet);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sends what can be sent, and takes what came, as far as it goes.
    fn pump(&mut self, slot: usize) -> Outcome {
        let mut frame = Vec::new();
        loop {
            let Some(job) = &mut self.workers[slot].job else { return Ok(()) };
            let Some(exchange) = &mut job.exchange else { return Ok(()) };
            if exchange.send(&mut frame) {
                let content = Content::Frame(std::mem::take(&mut frame));
                self.send(slot, content);
                continue;
            }
            if exchange.is_done() {
                return self.complete(slot);
            }
            match job.inbox.pop_front() {
                None => return Ok(()),
                Some(Content::Alive) => {}
                Some(Content::Closed) => {
                    self.rejoin(slot, "closed");
                    return Ok(());
                }
                Some(Content::Frame(frame)) => match exchange.receive(&frame) {
                    Ok(()) => {}
                    Err(FrameError::Generation { .. }) => self.tally.n_refused += 1,
                    Err(FrameError::Rank { .. }) => {
                        // A request of a dead worker came late, so that its place has two ranks.
                        self.rejoin(slot, "two ranks in one place");
                        return Ok(());
                    }
                    Err(error) => return Err(format!("worker {slot} was sent nonsense: {error}")),
                },
            }
        }
    }

    fn complete(&mut self, slot: usize) -> Outcome {
        let local = self.local(slot);
        let event = self.workers[slot].member.stop_due(local);
        if event.is_some() {
            return self.follow(slot, event); // what it did does not count
        }
        let latest = self.latest;
        let worker = &mut self.workers[slot];
        let Some(job) = &mut worker.job else { return Ok(()) };
        let Some(exchange) = job.exchange.take() else { return Ok(()) };
        let (generation, sequence) = (job.session.generation, job.sequence);
        if exchange.into_values() != job.expected() {
            return Err(format!("operation {sequence} of generation {generation} came out wrong"));
        }
        if generation < latest {
            return Err(format!("worker {slot} completes in {generation}, after {latest} began"));
        }
        job.sequence += 1;
        worker.completed_at = self.now;
        self.tally.n_operations += 1;
        self.begin_soon(slot, generation);
        Ok(())
    }

    /// A worker stops, and asks for a rank in the next generation.
    fn rejoin(&mut self, slot: usize, why: &str) {
        self.say(|| format!("worker {slot} joins anew: {why}"));
        self.tally.n_failures += u64::from(self.workers[slot].job.is_some());
        self.close(slot);
        let local = self.local(slot);
        self.workers[slot].member.join(local, slot.to_string());
    }

    fn check_one_generation(&self) -> Outcome {
        let mut held = None;
        for (slot, worker) in self.workers.iter().enumerate() {
            let Some(generation) = worker.member.holds(self.local(slot)) else { continue };
            if !worker.is_alive || worker.job.is_none() {
                continue;
            }
            match held {
                Some((other, theirs)) if theirs != generation => {
                    return Err(format!(
                        "worker {other} holds a lease of {theirs}, worker {slot} of {generation}"
                    ));
                }
                _ => held = Some((slot, generation)),
            }
        }
        Ok(())
    }
}

/// A clock up to 2 % wrong, begun at another time.
fn skew(rng: &mut ChaCha8Rng) -> Skew {
    let offset = Duration::from_millis(rng.random_range(0..100_000));
    Skew { offset, rate: rng.random_range(0.98..1.02) }
}
