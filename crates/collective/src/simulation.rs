//! Rendezvous and ring against each other, in a world that one seed decides.
//!
//! Up to five workers and a coordinator, each with a clock of its own rate, meet, reduce, broadcast,
//! and meet again, through messages that are late, lost, doubled or overtaken by those of other
//! links (within a link frames keep their order, as TCP keeps it), cut networks, pauses, deaths with
//! and without a word, restarts, and a coordinator that dies. Frames go to addresses, which a
//! worker keeps through all generations and restarts: late ones of an earlier generation do arrive,
//! which TCP's handshake would hardly let happen. It must hold that:
//!
//! 1. **No two generations at once.** At no moment do two workers hold leases of different
//!    generations, and no operation of a generation completes after a later one began anywhere.
//! 2. **Nobody hangs.** No operation lasts longer than [`OPERATION_MAX`], and once the world is
//!    calm all workers are at work again within [`RECOVERY_MAX`].
//! 3. **Results are right**: what an operation completes with is the sum, or the root's values, of
//!    that operation in that generation.
//!
//! A seed that breaks one of them is named, and `cargo run -p collective --example simulate -- SEED`
//! shows what happened.

mod faults;
mod network;
mod worker;
mod world;

use std::fmt;
use std::time::Duration;

use world::World;

/// Longest operation: a worker that computes for long, a few stalls in a row, each too short to be
/// noticed by its silence, and one that is.
pub const OPERATION_MAX: Duration = Duration::from_secs(30);

/// From calm to work: the coordinator's quiet time or a lost worker's lease, then settling, then
/// whoever came late is taken in.
pub const RECOVERY_MAX: Duration = Duration::from_secs(25);

/// What happened in one world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations that a worker completed.
    pub n_operations: u64,
    /// Generations that began.
    pub n_generations: u64,
    /// Operations that were given up.
    pub n_failures: u64,
    /// Frames of another generation that were refused.
    pub n_refused: u64,
}

/// What must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The world's seed.
    pub seed: u64,
    /// When, since its beginning.
    pub at: Duration,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, what } = self;
        let at = at.as_secs_f64();
        write!(
            f,
            "seed {seed}, {at:.3} s: {what}; replay: cargo run -p collective --example simulate -- {seed}"
        )
    }
}

impl std::error::Error for Violation {}

/// Lives through the world of `seed`.
pub fn run(seed: u64) -> Result<Tally, Violation> {
    World::new(seed, false).run()
}

/// The same, with what happened, line by line.
pub fn trace(seed: u64) -> (Vec<String>, Result<Tally, Violation>) {
    let mut world = World::new(seed, true);
    let outcome = world.run();
    (world.into_lines(), outcome)
}
