//! Ranks of an MPI job, by MPI's own operations: for clusters whose engine and network it is.
//!
//! The world is fixed. When a rank is lost MPI ends the whole job, and whoever started it starts it
//! again; the training goes on from its checkpoint. Sums are taken in 32 bits whatever precision is
//! asked for, and MPI chooses their order.
//!
//! MPI stays on the thread that initialised it, which therefore is one of its own: operations are sent
//! there, and their values come back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{CommunicatorCollectives, Root};

use crate::{Collective, Error, GATHERED_MAX, Precision, Reduction};

/// An operation, on the thread of MPI.
type Work = Box<dyn FnOnce(&SimpleCommunicator) + Send>;

/// This process as a rank of its MPI job.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    n_ranks: usize,
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    n_bytes_sent: u64,
}

impl Mpi {
    /// Initialises MPI, once in a process; dropping it finalises MPI.
    ///
    /// # Errors
    ///
    /// MPI was initialised before, or the system gives no thread.
    pub fn new() -> Result<Self, Error> {
        let (work, orders) = channel::<Work>();
        let (tell, told) = channel();
        let serve = move |orders: Receiver<Work>| {
            // All calls come from this thread.
            let Some((universe, _)) = mpi::initialize_with_threading(mpi::Threading::Serialized)
            else {
                return;
            };
            let world = universe.world();
            let _ = tell.send((world.rank() as usize, world.size() as usize));
            for work in orders {
                work(&world);
            }
        };
        let usage = |reason: &str| Error::Usage { reason: reason.to_owned() };
        let thread = thread::Builder::new().name("mpi".to_owned()).spawn(move || serve(orders));
        let thread = thread.map_err(|_| usage("MPI needs a thread of its own"))?;
        let told = told.recv();
        let (rank, n_ranks) = told.map_err(|_| usage("MPI is initialised once in a process"))?;
        Ok(Self { rank, n_ranks, work: Some(work), thread: Some(thread), n_bytes_sent: 0 })
    }

    /// Runs an operation on MPI's thread; a lost rank ends this process before it returns.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SimpleCommunicator) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = channel();
        let work: Work = Box::new(move |world| drop(tell.send(work(world))));
        let sender = self.work.as_ref().ok_or(Error::Broken)?;
        sender.send(work).map_err(|_| Error::Broken)?;
        told.recv().map_err(|_| Error::Broken)
    }

    /// What a ring sends of so many values; MPI does not tell what it sends.
    fn count(&mut self, n_values: usize) {
        let n_bytes = 2 * 4 * n_values as u64;
        self.n_bytes_sent += n_bytes * (self.n_ranks as u64 - 1) / self.n_ranks as u64;
    }
}

impl Collective for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_ranks(&self) -> usize {
        self.n_ranks
    }

    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        _precision: Precision,
    ) -> Result<(), Error> {
        self.count(values.len());
        let own = values.to_vec();
        let sums = self.run(move |world| {
            let mut sums = vec![0.0_f32; own.len()];
            world.all_reduce_into(&own[..], &mut sums[..], SystemOperation::sum());
            sums
        })?;
        let scale = match reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / self.n_ranks as f32,
        };
        for (value, sum) in values.iter_mut().zip(sums) {
            *value = sum * scale;
        }
        Ok(())
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        if root >= self.n_ranks {
            let reason = format!("root {root} of {} ranks", self.n_ranks);
            return Err(Error::Usage { reason });
        }
        self.count(values.len() / 2);
        // As whole numbers: every bit counts.
        let mut bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let bits = self.run(move |world| {
            world.process_at_rank(root as i32).broadcast_into(&mut bits[..]);
            bits
        })?;
        for (value, bits) in values.iter_mut().zip(bits) {
            *value = f32::from_bits(bits);
        }
        Ok(())
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        self.count(values.len() * self.n_ranks / 2);
        let own: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        let n_ranks = self.n_ranks;
        let (lengths, all) = self.run(move |world| {
            let mut lengths = vec![0_i32; n_ranks];
            world.all_gather_into(&(own.len() as i32), &mut lengths[..]);
            let n_values: usize = lengths.iter().map(|length| *length as usize).sum();
            if n_values > GATHERED_MAX {
                return (lengths, Vec::new());
            }
            let mut all = vec![0_u32; n_values];
            let starts: Vec<i32> = lengths
                .iter()
                .scan(0, |end, length| {
                    let start = *end;
                    *end += length;
                    Some(start)
                })
                .collect();
            let mut parts = PartitionMut::new(&mut all[..], &lengths[..], &starts[..]);
            world.all_gather_varcount_into(&own[..], &mut parts);
            (lengths, all)
        })?;
        let n_values: usize = lengths.iter().map(|length| *length as usize).sum();
        if n_values > GATHERED_MAX {
            let reason = format!("{n_values} values: at most {GATHERED_MAX} are gathered");
            return Err(Error::Usage { reason });
        }
        let mut all = all.into_iter().map(f32::from_bits);
        Ok(lengths.iter().map(|length| all.by_ref().take(*length as usize).collect()).collect())
    }

    fn barrier(&mut self) -> Result<(), Error> {
        self.run(|world| world.barrier())
    }

    fn n_bytes_sent(&self) -> u64 {
        self.n_bytes_sent
    }
}

impl Drop for Mpi {
    /// Ends MPI on its own thread.
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
