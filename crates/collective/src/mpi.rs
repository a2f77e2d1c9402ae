//! Ranks of an MPI job, by MPI's own operations: for clusters whose engine and network it is.
//!
//! The world is fixed. When a rank is lost MPI ends the whole job, and whoever started it starts it
//! again; the training goes on from its checkpoint. Sums of 32 bits are MPI's own, in the order that it
//! chooses; it knows none of 16 bits, so each rank then gets a part of all ranks' values, sums it in
//! their order, and gives it to all: the same traffic as a ring's.
//!
//! MPI stays on the thread that initialised it, which therefore is one of its own: operations are sent
//! there, and their values come back.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
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

    /// What a ring sends of so many bytes; MPI does not tell what it sends.
    fn count(&mut self, n_bytes: usize) {
        self.n_bytes_sent += 2 * n_bytes as u64 * (self.n_ranks as u64 - 1) / self.n_ranks as u64;
    }

    /// Sums by MPI's own all-reduce.
    fn sum(&mut self, values: &mut [f32]) -> Result<(), Error> {
        self.count(4 * values.len());
        let own = values.to_vec();
        let sums = self.run(move |world| {
            let mut sums = vec![0.0_f32; own.len()];
            world.all_reduce_into(&own[..], &mut sums[..], SystemOperation::sum());
            sums
        })?;
        values.copy_from_slice(&sums);
        Ok(())
    }

    /// Sums what each rank has rounded, a part by each rank.
    fn sum_rounded(&mut self, values: &mut [f32], precision: Precision) -> Result<(), Error> {
        let parts = parts(values.len(), self.n_ranks);
        let mut rounded = Vec::new();
        for part in &parts {
            precision.encode(&values[part.clone()], &mut rounded);
        }
        self.count(rounded.len());
        let lens: Vec<usize> = parts.iter().map(|part| precision.encoded_len(part.len())).collect();
        let own = vec![lens[self.rank]; self.n_ranks];
        let (of_parts, of_own) = (lens.clone(), own.clone());
        let given = self.run(move |world| {
            let mut given = vec![0_u8; of_own.iter().sum()];
            let (sent, received) = (counts(&of_parts), counts(&of_own));
            let sent = Partition::new(&rounded[..], sent.0, sent.1);
            let mut received = PartitionMut::new(&mut given[..], received.0, received.1);
            world.all_to_all_varcount_into(&sent, &mut received);
            given
        })?;
        let mut sum = vec![0.0; parts[self.rank].len()];
        for bytes in given.chunks(own[0].max(1)) {
            decoded(precision, bytes, &mut sum, |sum, value| *sum += value)?;
        }
        let mut summed = Vec::new();
        precision.encode(&sum, &mut summed);
        let of_parts = lens.clone();
        let all = self.run(move |world| {
            let mut all = vec![0_u8; of_parts.iter().sum()];
            let received = counts(&of_parts);
            let mut received = PartitionMut::new(&mut all[..], received.0, received.1);
            world.all_gather_varcount_into(&summed[..], &mut received);
            all
        })?;
        let mut rest = &all[..];
        for (part, len) in parts.into_iter().zip(lens) {
            let (bytes, others) = rest.split_at(len);
            decoded(precision, bytes, &mut values[part], |to, value| *to = value)?;
            rest = others;
        }
        Ok(())
    }
}

/// The places that each rank sums.
fn parts(n_values: usize, n_ranks: usize) -> Vec<Range<usize>> {
    (0..n_ranks).map(|rank| rank * n_values / n_ranks..(rank + 1) * n_values / n_ranks).collect()
}

/// Lengths of parts that follow each other, and where they begin, as MPI counts.
fn counts(lens: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let begins = lens.iter().scan(0, |end, len| {
        let begin = *end;
        *end += len;
        Some(begin as i32)
    });
    (lens.iter().map(|len| *len as i32).collect(), begins.collect())
}

/// Reads what this very type wrote on another rank.
fn decoded(
    precision: Precision,
    bytes: &[u8],
    values: &mut [f32],
    put: impl Fn(&mut f32, f32),
) -> Result<(), Error> {
    precision.decode(bytes, values, put).map_err(|_| Error::Broken)
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
        precision: Precision,
    ) -> Result<(), Error> {
        match precision {
            Precision::Full => self.sum(values)?,
            Precision::Half => self.sum_rounded(values, precision)?,
        }
        let scale = match reduction {
            Reduction::Sum => 1.0,
            Reduction::Mean => 1.0 / self.n_ranks as f32,
        };
        for value in values {
            *value *= scale;
        }
        Ok(())
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        if root >= self.n_ranks {
            let reason = format!("root {root} of {} ranks", self.n_ranks);
            return Err(Error::Usage { reason });
        }
        self.count(2 * values.len());
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
        self.count(2 * values.len() * self.n_ranks);
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
            let lens: Vec<usize> = lengths.iter().map(|len| *len as usize).collect();
            let (lens, starts) = counts(&lens);
            let mut parts = PartitionMut::new(&mut all[..], lens, starts);
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
