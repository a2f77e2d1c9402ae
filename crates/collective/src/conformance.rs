//! What every implementation must do: run by the tests of each, also of those that come later.
//!
//! [`reduction()`] holds results against what is computed serially; [`failure()`] takes ranks away and
//! waits for the others to notice. Both take a function that makes a group, whose ranks then run
//! in a thread each. They panic where a promise is broken.

#![allow(clippy::expect_used, reason = "these are assertions, for tests to run")]

mod failure;
mod reduction;

use std::thread;

use crate::Collective;

pub use failure::failure;
pub use reduction::reduction;

/// Runs `work` on all ranks at once; what they return, by rank.
fn on_all<C: Collective, T: Send>(ranks: &mut [C], work: impl Fn(&mut C) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            ranks.iter_mut().map(|rank| scope.spawn(move || work(rank))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank's thread ends")).collect()
    })
}
