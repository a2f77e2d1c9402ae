//! Losses: whoever is left learns in time.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::on_all;
use crate::{Clock, Collective, Error, Precision, Reduction};

/// Values of an all-reduce that no socket's buffers hold: whoever is left is in the middle of it.
const LEN: usize = 4_000_000;

/// What the last rank of a group does while the others call an operation.
type Death<C> = fn(C);

/// Groups of 2 to 4 ranks, made by `group`, lose the last one; the others have an error within
/// `limit`, told by `clock`, and each further operation has one at once.
///
/// # Panics
///
/// If a rank does not notice, or not in time.
pub fn failure<C: Collective>(group: impl Fn(usize) -> Vec<C>, limit: Duration, clock: &Clock) {
    let at_once: Death<C> = drop;
    let after_a_barrier: Death<C> = |mut rank| {
        rank.barrier().expect("the group is whole");
    };
    let in_a_panic: Death<C> = |rank| {
        let died = thread::scope(|scope| {
            // Unwinds without the message that a panic prints.
            scope
                .spawn(move || {
                    let _rank = rank;
                    std::panic::resume_unwind(Box::new("dies"));
                })
                .join()
        });
        assert!(died.is_err());
    };
    for n_ranks in 2..=4 {
        for death in [at_once, in_a_panic] {
            lose(group(n_ranks), death, (limit, clock), |rank| {
                rank.all_reduce(&mut vec![1.0; LEN], Reduction::Sum, Precision::Full)
            });
            lose(group(n_ranks), death, (limit, clock), C::barrier);
            lose(group(n_ranks), death, (limit, clock), |rank| rank.all_gather(&[1.0]).map(|_| ()));
        }
        lose(group(n_ranks), after_a_barrier, (limit, clock), |rank| {
            rank.barrier()?;
            rank.all_reduce(&mut vec![1.0; LEN], Reduction::Mean, Precision::Half)
        });
    }
}

fn lose<C: Collective>(
    mut ranks: Vec<C>,
    death: Death<C>,
    (limit, clock): (Duration, &Clock),
    operation: impl Fn(&mut C) -> Result<(), Error> + Sync,
) {
    let dying = Mutex::new(ranks.pop());
    thread::scope(|scope| {
        scope.spawn(|| {
            let dying = dying.lock().expect("nobody else takes it").take();
            death(dying.expect("it is taken once"));
        });
        let began = clock();
        let outcomes = on_all(&mut ranks, |rank| {
            let outcome = operation(rank);
            (outcome, clock().saturating_sub(began), rank.barrier())
        });
        for (rank, (outcome, took, further)) in outcomes.into_iter().enumerate() {
            let error = outcome.expect_err("a lost rank is missed");
            assert!(!matches!(error, Error::Overdue { .. }), "rank {rank}: {error}");
            assert!(took <= limit, "rank {rank} noticed after {took:?} only: {error}");
            assert!(matches!(further, Err(Error::Broken)), "rank {rank} goes on");
        }
    });
}
