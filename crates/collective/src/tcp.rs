//! Ranks that are processes, linked by TCP.
//!
//! Each rank listens, connects to the next one and is connected to by the previous one, so a
//! connection carries frames in one direction only. The first frame says who connects and of which
//! generation; what does not belong here is turned away and the listener waits on. Where [`Tls`] is
//! given, both ends show a certificate.
//!
//! A thread of its own writes, so that sending never waits for reading; it has a few buffers, and
//! no more. When it has nothing to send it says so every [`Limits::alive`], also while its rank
//! computes: silence therefore means a process or a network that is gone, and a rank that is slow
//! is not taken for one that is lost. What is detected, and when:
//!
//! - a process that ends: its connections close, and the neighbours know at once;
//! - a process that is stopped, or a network that is cut: no bytes for [`Limits::silence_max`];
//! - a rank that lives and never comes: [`Limits::operation_max`].
//!
//! A rank that meets an error closes its connections, so all others learn within moments.
//!
//! Nothing here outlives a generation: each has new listeners and connections, whose addresses the
//! rendezvous hands round.

mod handshake;
mod tls;
mod writer;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::exchange::Session;
use crate::frame::{FrameError, HEADER_LEN, Header, Kind};
use crate::rendezvous::Assignment;
use crate::ring::{Aborter, Link, Ring};
use crate::{CHUNK_LEN, Clock, Error, N_RANKS_MAX};

pub use tls::Tls;
use writer::Writer;

/// A rank in a process of its own.
pub type Tcp = Ring<Connections>;

/// How long what may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Closing the ring: connecting, being connected to, shaking hands.
    pub connect_max: Duration,
    /// Without a byte from the previous rank.
    pub silence_max: Duration,
    /// One operation, however slow the slowest rank is in coming to it. At most 1,000 times
    /// `alive`, or what is sent meanwhile would fill the buffers of a rank that does not read.
    pub operation_max: Duration,
    /// Between signs of life; well below `silence_max`.
    pub alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(10),
            silence_max: Duration::from_secs(5),
            operation_max: Duration::from_mins(10),
            alive: Duration::from_secs(1),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), Error> {
        let reason = if self.connect_max.is_zero() || self.alive.is_zero() {
            "connect_max and alive are above 0"
        } else if self.silence_max < self.alive * 2 {
            "silence_max is at least twice alive"
        } else if self.operation_max > self.alive * 1_000 {
            "operation_max is at most 1,000 times alive"
        } else if self.operation_max < self.silence_max {
            "operation_max is at least silence_max"
        } else {
            return Ok(());
        };
        Err(Error::Usage { reason: reason.into() })
    }
}

/// How ranks of this process speak to others.
#[derive(Clone)]
pub struct Config {
    /// How long what may take; the same on all ranks.
    pub limits: Limits,
    /// Certificates, if connections are to be encrypted; on all ranks or on none.
    pub tls: Option<Tls>,
    /// Reads the clock.
    pub clock: Clock,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, tls, clock: _ } = self;
        f.debug_struct("Config").field("limits", limits).field("tls", tls).finish_non_exhaustive()
    }
}

/// Where this rank waits for the previous one, before it knows which rank it is.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens at `address`; port 0 takes a free one.
    pub fn bind(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where others find it, if its host is one that they reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Closes the ring of a generation: connects to the next rank and waits for the previous one.
pub fn connect(listener: Listener, assignment: &Assignment, config: &Config) -> Result<Tcp, Error> {
    let Listener { listener, .. } = listener; // it goes with this function
    let Assignment { generation, rank, addresses } = assignment;
    let n_ranks = addresses.len();
    if *rank >= n_ranks || n_ranks > N_RANKS_MAX {
        let reason = format!("rank {rank} of {n_ranks}: at most {N_RANKS_MAX} ranks, from 0");
        return Err(Error::Usage { reason });
    }
    config.limits.check()?;
    let session = Session { generation: *generation, rank: *rank, n_ranks, chunk_len: CHUNK_LEN };
    if n_ranks == 1 {
        return Ok(Ring::new(session, Connections::alone(config)));
    }
    let (incoming, outgoing) = handshake::close_ring(&listener, session, addresses, config)?;
    Ok(Ring::new(session, Connections::new(session, incoming, outgoing, config)?))
}

/// The connection from the previous rank: as TCP has it, to set limits and to close it, and to read.
struct Incoming {
    socket: TcpStream,
    stream: Box<dyn Read + Send>,
}

/// The connection to the next rank, to close it and to write.
struct Outgoing {
    socket: TcpStream,
    stream: Box<dyn Write + Send>,
    /// Set when it is to end soon.
    is_closing: Arc<AtomicBool>,
}

/// The connections of a rank: from the previous one, and to the next one.
pub struct Connections {
    session: Session,
    limits: Limits,
    clock: Clock,
    deadline: Duration,
    /// `None` of a rank that is alone.
    ends: Option<Ends>,
    is_aborted: Arc<AtomicBool>,
}

struct Ends {
    incoming: Incoming,
    outgoing: TcpStream,
    /// `None` while it is dropped.
    writer: Option<Writer>,
}

impl Drop for Ends {
    /// What was handed on is sent first; then the neighbours learn, whoever still holds sockets.
    fn drop(&mut self) {
        self.writer = None;
        close(&self.incoming.socket);
        close(&self.outgoing);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Connections {
    fn alone(config: &Config) -> Self {
        Self {
            session: Session { generation: 0, rank: 0, n_ranks: 1, chunk_len: CHUNK_LEN },
            limits: config.limits,
            clock: Arc::clone(&config.clock),
            deadline: Duration::ZERO,
            ends: None,
            is_aborted: Arc::default(),
        }
    }

    fn new(
        session: Session,
        incoming: Incoming,
        outgoing: Outgoing,
        config: &Config,
    ) -> Result<Self, Error> {
        let limits = config.limits;
        let ends = || -> io::Result<Ends> {
            incoming.socket.set_read_timeout(Some(limits.silence_max))?;
            outgoing.socket.set_write_timeout(Some(limits.silence_max))?;
            let to_close = incoming.socket.try_clone()?;
            let alive = session.header(Kind::Alive).frame(&[]);
            let stream = (outgoing.stream, outgoing.is_closing);
            let writer = Writer::start(stream, alive, limits.alive, move || close(&to_close))?;
            Ok(Ends { incoming, outgoing: outgoing.socket, writer: Some(writer) })
        };
        let lost = |source| Error::Closed { rank: session.next(), source: Some(source) };
        Ok(Self { ends: Some(ends().map_err(lost)?), session, ..Self::alone(config) })
    }

    fn writer(&self) -> Result<&Writer, Error> {
        self.ends.as_ref().and_then(|ends| ends.writer.as_ref()).ok_or(Error::Broken)
    }

    /// Why a connection is of no use any more.
    fn lost(&self, rank: usize, source: Option<io::Error>) -> Error {
        if self.is_aborted.load(Ordering::Acquire) {
            return Error::Aborted;
        }
        // Where the next rank went first, its writer closed the connection from the previous one.
        let failure = self.writer().ok().and_then(Writer::take_failure);
        match failure {
            Some(source) => Error::Closed { rank: self.session.next(), source: Some(source) },
            None => Error::Closed { rank, source },
        }
    }

    /// Fills `bytes` from the previous rank, in time. `expected` is what the whole frame has.
    fn fill(&mut self, bytes: &mut [u8], expected: usize) -> Result<(), Error> {
        let rank = self.session.previous();
        let n_bytes = bytes.len();
        let mut n_read = 0;
        while n_read < n_bytes {
            let Some(ends) = &mut self.ends else { return Err(Error::Broken) };
            match ends.incoming.stream.read(&mut bytes[n_read..]) {
                Ok(0) if n_read + expected - n_bytes > 0 => {
                    let source =
                        FrameError::Length { expected, found: n_read + expected - n_bytes };
                    return Err(match self.lost(rank, None) {
                        Error::Closed { rank: from, source: None } if from == rank => {
                            Error::Frame { rank, source }
                        }
                        error => error,
                    });
                }
                Ok(0) => return Err(self.lost(rank, None)),
                Ok(n) => n_read += n,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Err(Error::Silent { rank, limit: self.limits.silence_max });
                    }
                    _ => return Err(self.lost(rank, Some(error))),
                },
            }
            if (self.clock)() > self.deadline {
                return Err(Error::Overdue { limit: self.limits.operation_max });
            }
        }
        Ok(())
    }
}

impl Link for Connections {
    fn begin(&mut self) {
        self.deadline = (self.clock)() + self.limits.operation_max;
    }

    fn buffer(&mut self, wait: bool) -> Result<Vec<u8>, Error> {
        let writer = self.writer()?;
        if !wait {
            // Never none: a rank that went to read with something left to send would not hear that a
            // buffer came free, and with all ranks so nothing would be sent any more. What is on its
            // way then is at most the operation's own values.
            return Ok(writer.buffer());
        }
        let limit = self.limits.operation_max;
        writer.wait_for_buffer(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => Error::Overdue { limit },
            RecvTimeoutError::Disconnected => self.lost(self.session.next(), None),
        })
    }

    fn send(&mut self, frame: Vec<u8>) -> Result<(), Error> {
        let is_sent = self.writer()?.send(frame);
        if is_sent { Ok(()) } else { Err(self.lost(self.session.next(), None)) }
    }

    fn receive(&mut self, frame: &mut Vec<u8>) -> Result<(), Error> {
        let rank = self.session.previous();
        let wrong = |source| Error::Frame { rank, source };
        let mut bytes = [0; HEADER_LEN];
        loop {
            self.fill(&mut bytes, HEADER_LEN)?;
            let (header, length) =
                Header::read(&bytes, self.session.payload_max()).map_err(wrong)?;
            // Only grows, up to the longest frame: no byte is cleared twice.
            if frame.len() < HEADER_LEN + length {
                frame.resize(HEADER_LEN + length, 0);
            } else {
                frame.truncate(HEADER_LEN + length);
            }
            frame[..HEADER_LEN].copy_from_slice(&bytes);
            self.fill(&mut frame[HEADER_LEN..], HEADER_LEN + length)?;
            if header.kind != Kind::Alive {
                return Ok(());
            }
            crate::frame::decode(frame, 0).map_err(wrong)?;
            self.session.check(&header).map_err(wrong)?;
        }
    }

    fn abort(&mut self) {
        if let Some(ends) = &self.ends {
            close(&ends.incoming.socket);
            close(&ends.outgoing);
        }
    }

    fn aborter(&self) -> Aborter {
        let sockets: Vec<TcpStream> = self
            .ends
            .iter()
            .flat_map(|ends| [ends.incoming.socket.try_clone(), ends.outgoing.try_clone()])
            .flatten()
            .collect();
        let is_aborted = Arc::clone(&self.is_aborted);
        Aborter::new(move || {
            is_aborted.store(true, Ordering::Release);
            sockets.iter().for_each(close);
        })
    }
}

/// Both ends of the connection learn that it is over; one that is over already stays so.
fn close(socket: &TcpStream) {
    drop(socket.shutdown(Shutdown::Both));
}
