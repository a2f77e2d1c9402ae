//! How long work tells how far it is, and hears that it should stop.

/// Somebody who watches a stage at work: a terminal's progress bar, or the subscribers of a run.
pub trait Progress: Sync {
    /// `done` of `total` steps of the named part are done; `total` 0 means unknown.
    fn report(&self, part: &str, done: u64, total: u64);

    /// Whether the work is to stop at the next convenient point with an error.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _part: &str, _done: u64, _total: u64) {}
}
