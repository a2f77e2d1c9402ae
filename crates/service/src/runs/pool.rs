//! A few threads that take jobs from a bounded queue.
//!
//! Threads of our own rather than tokio's blocking pool: a runtime waits for its blocking tasks when
//! it is dropped, so a job that never looks whether it is cancelled would keep a stopped server
//! from exiting. These threads die with the process.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Work for one thread; it catches its own panics.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The queue and its threads, which end when the pool is dropped.
pub(super) struct Pool {
    queue: SyncSender<Job>,
}

/// The queue is full.
#[derive(Debug)]
pub(super) struct Full;

impl Pool {
    pub(super) fn new(n_threads: usize, n_queued_max: usize) -> Self {
        let (queue, jobs) = sync_channel(n_queued_max);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..n_threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name("run".to_owned())
                .spawn(move || work(&jobs))
                .expect("a process that starts has room for its threads");
        }
        Self { queue }
    }

    /// Queues a job; never blocks.
    pub(super) fn submit(&self, job: Job) -> Result<(), Full> {
        self.queue.try_send(job).map_err(|_| Full)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
