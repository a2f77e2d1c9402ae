//! Ranks that live in other processes, driven from this one: so that a suite that runs its ranks in
//! threads holds those of an MPI job to the same promises.
//!
//! Each process connects to the one that drives it and does what it is told, a JSON line an operation;
//! values travel as the bits that they are.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use collective::{Collective, Error, Precision, Reduction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::gpu::now;

/// What a rank is told to do.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    AllReduce { bits: Vec<u32>, is_mean: bool, is_half: bool },
    Broadcast { bits: Vec<u32>, root: usize },
    AllGather { bits: Vec<u32> },
    Barrier,
}

/// What came of it; the first of a connection says who it is.
#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    rank: usize,
    n_ranks: usize,
    n_bytes_sent: u64,
    values: Result<Vec<Vec<u32>>, String>,
}

/// The processes of a group; the last of its proxies waits for their end.
#[derive(Debug)]
struct Processes(Child);

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.0.wait());
    }
}

/// A rank in another process.
#[derive(Debug)]
pub struct Proxy {
    last: Reply,
    socket: BufReader<TcpStream>,
    _processes: Arc<Processes>,
}

/// How long processes may take to start.
const START_MAX: Duration = Duration::from_mins(1);

/// Ranks that `start` starts as processes, which are to [`serve`] at the address that it gets.
pub fn group(
    n_ranks: usize,
    start: impl FnOnce(&str) -> anyhow::Result<Child>,
) -> anyhow::Result<Vec<Proxy>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let processes = Processes(start(&listener.local_addr()?.to_string())?);
    let processes = Arc::new(processes);
    let started = now();
    let mut proxies = Vec::new();
    while proxies.len() < n_ranks {
        ensure!(started.elapsed() < START_MAX, "only {} ranks came", proxies.len());
        let Ok((socket, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        let mut socket = BufReader::new(socket);
        let last = read(&mut socket)?.context("a rank left before it said who it is")?;
        proxies.push(Proxy { last, socket, _processes: Arc::clone(&processes) });
    }
    proxies.sort_by_key(|proxy| proxy.last.rank);
    Ok(proxies)
}

/// Does with `ranks` what the other side of the connection says, until it closes it.
pub fn serve(mut ranks: impl Collective, address: &str) -> anyhow::Result<()> {
    let socket = TcpStream::connect(address).with_context(|| format!("nobody at {address}"))?;
    socket.set_nodelay(true)?;
    let mut socket = BufReader::new(socket);
    let mut values = Ok(Vec::new());
    loop {
        let (rank, n_ranks) = (ranks.rank(), ranks.n_ranks());
        let n_bytes_sent = ranks.n_bytes_sent();
        write(&mut socket, &Reply { rank, n_ranks, n_bytes_sent, values })?;
        let Some(order) = read(&mut socket)? else { return Ok(()) };
        values = done(&mut ranks, order).map_err(|error| error.to_string());
    }
}

fn done(ranks: &mut impl Collective, order: Order) -> Result<Vec<Vec<u32>>, Error> {
    match order {
        Order::AllReduce { bits, is_mean, is_half } => {
            let mut values = of_bits(&bits);
            let reduction = if is_mean { Reduction::Mean } else { Reduction::Sum };
            let precision = if is_half { Precision::Half } else { Precision::Full };
            ranks.all_reduce(&mut values, reduction, precision)?;
            Ok(vec![to_bits(&values)])
        }
        Order::Broadcast { bits, root } => {
            let mut values = of_bits(&bits);
            ranks.broadcast(&mut values, root)?;
            Ok(vec![to_bits(&values)])
        }
        Order::AllGather { bits } => {
            Ok(ranks.all_gather(&of_bits(&bits))?.iter().map(|part| to_bits(part)).collect())
        }
        Order::Barrier => ranks.barrier().map(|()| Vec::new()),
    }
}

fn to_bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn of_bits(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|bits| f32::from_bits(*bits)).collect()
}

fn write(socket: &mut BufReader<TcpStream>, message: &impl Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(message)? + "\n";
    Ok(socket.get_mut().write_all(line.as_bytes())?)
}

/// The next message; nothing where the other side has closed.
fn read<T: DeserializeOwned>(socket: &mut BufReader<TcpStream>) -> anyhow::Result<Option<T>> {
    let mut line = String::new();
    socket.read_line(&mut line)?;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}

impl Proxy {
    fn tell(&mut self, order: &Order) -> Result<Vec<Vec<f32>>, Error> {
        let told = write(&mut self.socket, order);
        let reply = told.and_then(|()| read(&mut self.socket)?.context("the rank is gone"));
        self.last = reply.map_err(|_| Error::Broken)?;
        match &self.last.values {
            Ok(parts) => Ok(parts.iter().map(|bits| of_bits(bits)).collect()),
            Err(reason) => Err(Error::Usage { reason: reason.clone() }),
        }
    }

    fn tell_into(&mut self, order: &Order, values: &mut [f32]) -> Result<(), Error> {
        let parts = self.tell(order)?;
        let part = parts.first().filter(|part| part.len() == values.len()).ok_or(Error::Broken)?;
        values.copy_from_slice(part);
        Ok(())
    }
}

impl Collective for Proxy {
    fn rank(&self) -> usize {
        self.last.rank
    }

    fn n_ranks(&self) -> usize {
        self.last.n_ranks
    }

    fn all_reduce(
        &mut self,
        values: &mut [f32],
        reduction: Reduction,
        precision: Precision,
    ) -> Result<(), Error> {
        let is_mean = reduction == Reduction::Mean;
        let is_half = precision == Precision::Half;
        self.tell_into(&Order::AllReduce { bits: to_bits(values), is_mean, is_half }, values)
    }

    fn broadcast(&mut self, values: &mut [f32], root: usize) -> Result<(), Error> {
        self.tell_into(&Order::Broadcast { bits: to_bits(values), root }, values)
    }

    fn all_gather(&mut self, values: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        self.tell(&Order::AllGather { bits: to_bits(values) })
    }

    fn barrier(&mut self) -> Result<(), Error> {
        self.tell(&Order::Barrier).map(drop)
    }

    fn n_bytes_sent(&self) -> u64 {
        self.last.n_bytes_sent
    }
}
