//! Work on several threads with the same bits as on one.
//!
//! Each worker is a Rayon pool of one thread, so the kernels inside it run serially and split their
//! sums in the same way however many workers there are; results come back in the order of the
//! items. Measured on this backend, two workers beat two threads inside one product by 1.7 to 1
//! (small matrices). Plain `par_iter` would also let a thread that waits inside Burn's graph lock
//! steal another item that wants a lock.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that each run a share of the items of a call.
pub struct Workers {
    pools: Vec<rayon::ThreadPool>,
    next: AtomicUsize,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("n_workers", &self.pools.len()).finish_non_exhaustive()
    }
}

impl Default for Workers {
    /// As many workers as the current Rayon pool has threads.
    fn default() -> Self {
        Self::new(rayon::current_num_threads())
    }
}

impl Workers {
    /// `n_workers` threads, at least one.
    ///
    /// # Panics
    ///
    /// If the system gives no thread.
    pub fn new(n_workers: usize) -> Self {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pools = (0..n_workers.max(1)).map(|_| pool().expect("the system gives a thread"));
        Self { pools: pools.collect(), next: AtomicUsize::new(0) }
    }

    /// Number of threads.
    pub fn n_workers(&self) -> usize {
        self.pools.len()
    }

    /// `work` of each item, in the order of the items.
    pub fn map<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(usize, &T) -> R + Sync,
    ) -> Vec<R> {
        let n_workers = self.pools.len().min(items.len());
        // Callers on several threads with one item each do not queue at the first pool.
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let pool = |worker: usize| &self.pools[(first + worker) % self.pools.len()];
        let share = &|worker: usize| -> Vec<R> {
            let mine = || items.iter().enumerate().skip(worker).step_by(n_workers);
            pool(worker).install(|| mine().map(|(index, item)| work(index, item)).collect())
        };
        if n_workers <= 1 {
            return if n_workers == 0 { Vec::new() } else { share(0) };
        }
        let shares: Vec<Vec<R>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..n_workers).map(|worker| scope.spawn(move || share(worker))).collect();
            let joined = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        });
        let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
        (0..items.len()).filter_map(|index| shares[index % n_workers].next()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<usize> = (0..23).collect();
        for n_workers in [1, 2, 5, 40] {
            let squares = Workers::new(n_workers).map(&items, |index, item| index * item);
            assert_eq!(squares, items.iter().map(|item| item * item).collect::<Vec<_>>());
        }
        assert!(Workers::new(2).map(&[], |_, (): &()| 0).is_empty());
    }
}
