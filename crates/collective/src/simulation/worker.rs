//! A worker of a simulated world: a member, what it works at, and what came for it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::exchange::{Exchange, Session};
use crate::payload::Precision;
use crate::rendezvous::{Assignment, Member};

/// A clock of its own: some offset, and some hundredths too fast or too slow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skew {
    pub(super) offset: Duration,
    pub(super) rate: f64,
}

impl Skew {
    pub(super) fn read(self, now: Duration) -> Duration {
        self.offset + now.mul_f64(self.rate)
    }
}

/// What comes over a link.
#[derive(Debug, Clone)]
pub(super) struct Packet {
    /// Of the connection that it came over.
    pub(super) generation: u64,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Frame(Vec<u8>),
    Alive,
    Closed,
}

/// The process in one of the world's places.
#[derive(Debug)]
pub(super) struct Worker {
    /// As the coordinator knows it: another one after each restart.
    pub(super) id: u64,
    pub(super) is_alive: bool,
    /// Until then it does nothing.
    pub(super) paused_until: Duration,
    pub(super) skew: Skew,
    pub(super) member: Member,
    pub(super) job: Option<Job>,
    /// Came over connections of generations that this worker has not heard of yet.
    pub(super) early: Vec<Packet>,
    /// When it last completed an operation.
    pub(super) completed_at: Duration,
}

/// Its part in a generation.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) session: Session,
    /// The place of the next rank.
    pub(super) next: usize,
    pub(super) sequence: u32,
    pub(super) exchange: Option<Exchange<Vec<f32>>>,
    /// When the operation under way began.
    pub(super) began: Duration,
    /// When something came over the link, by the worker's own clock.
    pub(super) heard: Duration,
    pub(super) inbox: VecDeque<Content>,
}

impl Job {
    /// From what a worker was assigned; addresses are places.
    pub(super) fn new(assignment: &Assignment, heard: Duration) -> Self {
        let Assignment { generation, rank, addresses } = assignment;
        let session = Session {
            generation: *generation,
            rank: *rank,
            n_ranks: addresses.len(),
            chunk_len: 4,
        };
        Self {
            next: addresses[session.next()].parse().unwrap_or(0),
            session,
            sequence: 0,
            exchange: None,
            began: Duration::ZERO,
            heard,
            inbox: VecDeque::new(),
        }
    }

    /// The next operation, which all ranks know from its number.
    pub(super) fn operation(&self) -> Exchange<Vec<f32>> {
        let (session, sequence) = (self.session, self.sequence);
        let values = contribution(session.generation, sequence, session.rank);
        match sequence % 4 {
            0 => Exchange::all_reduce(session, sequence, values, Precision::Full),
            1 => Exchange::all_reduce(session, sequence, values, Precision::Half),
            2 => Exchange::broadcast(session, sequence, values, root(session, sequence)),
            _ => Exchange::barrier(session, sequence, vec![0.0; session.n_ranks]),
        }
    }

    /// What the operation has to come to.
    pub(super) fn expected(&self) -> Vec<f32> {
        let (session, sequence) = (self.session, self.sequence);
        let of_rank = |rank| contribution(session.generation, sequence, rank);
        match sequence % 4 {
            0 | 1 => (1..session.n_ranks).map(of_rank).fold(of_rank(0), |sum, values| {
                sum.iter().zip(&values).map(|(sum, value)| sum + value).collect()
            }),
            2 => of_rank(root(session, sequence)),
            _ => vec![0.0; session.n_ranks],
        }
    }
}

fn root(session: Session, sequence: u32) -> usize {
    sequence as usize % session.n_ranks
}

/// What a rank brings to an operation: small integers, whose sums are exact in 16 bits too, and
/// which no other generation, operation or rank brings.
fn contribution(generation: u64, sequence: u32, rank: usize) -> Vec<f32> {
    let len = (generation * 13 + u64::from(sequence) * 29) % 40;
    let of_place = |i| (generation * 31 + u64::from(sequence) * 17 + rank as u64 * 7 + i * 3) % 101;
    (0..len).map(|i| of_place(i) as f32).collect()
}
