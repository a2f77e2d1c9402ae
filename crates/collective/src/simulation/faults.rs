//! What goes wrong in a world, and when.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A worker's process ends, and another takes its place.
    Kill { slot: usize, farewell: Farewell, back: Duration },
    /// It is stopped and goes on later, as if nothing had been.
    Pause { slot: usize, until: Duration },
    /// What is sent from one place to another waits. The place after the last worker is the
    /// coordinator's.
    Cut { from: usize, to: usize, until: Duration },
    /// The coordinator's process ends, and another takes its place.
    Coordinator { back: Duration },
}

/// What others have of a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The power went.
    Nothing,
    /// The system closed its connections.
    Closed,
    /// It said that it leaves.
    Left,
}

/// Draws what goes wrong among `n` workers, by time; and when all is well again.
pub(super) fn plan(rng: &mut ChaCha8Rng, n: usize) -> (Vec<(Duration, Fault)>, Duration) {
    let mut faults = Vec::new();
    let mut calm_at = Duration::from_secs(10);
    for _ in 0..rng.random_range(1..10) {
        let at = Duration::from_millis(rng.random_range(500..40_000));
        let until = at + Duration::from_millis(rng.random_range(100..15_000));
        let slot = rng.random_range(0..n);
        match rng.random_range(0..6) {
            0 | 1 => {
                let farewell = [Farewell::Nothing, Farewell::Closed, Farewell::Left];
                let farewell = farewell[rng.random_range(0..3)];
                faults.push((at, Fault::Kill { slot, farewell, back: until }));
            }
            2 => faults.push((at, Fault::Pause { slot, until })),
            3 => faults.push((at, Fault::Coordinator { back: until })),
            4 => {
                let (from, to) = (rng.random_range(0..=n), rng.random_range(0..=n));
                faults.push((at, Fault::Cut { from, to, until }));
                if rng.random() {
                    faults.push((at, Fault::Cut { from: to, to: from, until }));
                }
            }
            _ => {
                // Two sides that do not hear each other.
                let sides: Vec<bool> = (0..=n).map(|_| rng.random()).collect();
                for (from, to) in (0..=n).flat_map(|from| (0..=n).map(move |to| (from, to))) {
                    if sides[from] != sides[to] {
                        faults.push((at, Fault::Cut { from, to, until }));
                    }
                }
            }
        }
        calm_at = calm_at.max(until);
    }
    (faults, calm_at)
}
