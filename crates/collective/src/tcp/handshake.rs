//! How a ring is closed: connecting to the next rank while waiting for the previous one.
//!
//! Who connects says hello with its generation, rank and world size, and is welcomed or refused.
//! Whoever is not the previous rank of this generation is refused and forgotten, and costs the one
//! who waits [`STRANGER_MAX`] at most: it may come from an earlier generation, or from nowhere.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::writer::Patient;
use super::{Config, Incoming, Outgoing};
use crate::Error;
use crate::exchange::Session;
use crate::frame::{self, HEADER_LEN, Header, Kind};

/// What a connection may take to say hello, at most.
const STRANGER_MAX: Duration = Duration::from_secs(1);

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(20);

/// Between two looks at the listener.
const POLL: Duration = Duration::from_millis(2);

/// Bytes of a hello: world size and chunk length.
const HELLO_LEN: usize = 8;

/// What the handshake needs of a stream.
trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// Both connections of a rank, at the latest when `connect_max` has passed.
pub(super) fn close_ring(
    listener: &TcpListener,
    session: Session,
    addresses: &[String],
    config: &Config,
) -> Result<(Incoming, Outgoing), Error> {
    let deadline = (config.clock)() + config.limits.connect_max;
    thread::scope(|scope| {
        let address = &addresses[session.next()];
        let outgoing = scope.spawn(move || connect(session, address, deadline, config));
        let incoming = accept(listener, session, deadline, config);
        let outgoing = outgoing.join().map_err(|_| Error::Broken)?;
        // A refusal says more than that nobody came.
        let outgoing = outgoing?;
        let incoming = incoming.map_err(|source| Error::Unreachable {
            rank: session.previous(),
            address: addresses[session.previous()].clone(),
            limit: config.limits.connect_max,
            source,
        })?;
        Ok((incoming, outgoing))
    })
}

/// Connects to the next rank and is welcomed.
fn connect(
    session: Session,
    address: &str,
    deadline: Duration,
    config: &Config,
) -> Result<Outgoing, Error> {
    let mut last = None;
    loop {
        let Some(left) = left(deadline, config) else {
            return Err(Error::Unreachable {
                rank: session.next(),
                address: address.to_owned(),
                limit: config.limits.connect_max,
                source: last,
            });
        };
        match try_connect(session, address, left, config) {
            Ok(Answer::Welcome(outgoing)) => return Ok(outgoing),
            Ok(Answer::Refusal { theirs }) if theirs > session.generation => {
                let (rank, ours) = (session.next(), session.generation);
                return Err(Error::Stale { rank, ours, theirs });
            }
            // Something of an earlier generation still listens there: it will go.
            Ok(Answer::Refusal { .. }) => {}
            Err(error) => last = Some(error),
        }
        thread::sleep(RETRY.min(left));
    }
}

enum Answer {
    Welcome(Outgoing),
    Refusal { theirs: u64 },
}

fn try_connect(
    session: Session,
    address: &str,
    left: Duration,
    config: &Config,
) -> io::Result<Answer> {
    let resolved = address.to_socket_addrs()?.next();
    let resolved = resolved.ok_or_else(|| io::Error::other("the name has no address"))?;
    let socket = TcpStream::connect_timeout(&resolved, left)?;
    prepare(&socket, left)?;
    let limits = &config.limits;
    let n_tries = limits.operation_max.as_millis() / limits.silence_max.as_millis().max(1);
    let is_closing = Arc::new(AtomicBool::new(false));
    let patient = Patient::new(socket.try_clone()?, Arc::clone(&is_closing), n_tries as u32);
    let mut stream: Box<dyn Stream> = match &config.tls {
        Some(tls) => Box::new(tls.connected(patient).map_err(io::Error::other)?),
        None => Box::new(patient),
    };
    stream.write_all(&session.header(Kind::Hello).frame(&hello(session)))?;
    stream.flush()?;
    let mut answer = [0; HEADER_LEN];
    stream.read_exact(&mut answer)?;
    let (answer, _) = frame::decode(&answer, 0).map_err(io::Error::other)?;
    match answer.kind {
        Kind::Welcome if answer.generation == session.generation => {
            Ok(Answer::Welcome(Outgoing { socket, stream: Box::new(stream), is_closing }))
        }
        Kind::Refusal => Ok(Answer::Refusal { theirs: answer.generation }),
        _ => Err(io::Error::other("it answered neither welcome nor refusal")),
    }
}

/// Waits for the previous rank; the error is what happened last.
fn accept(
    listener: &TcpListener,
    session: Session,
    deadline: Duration,
    config: &Config,
) -> Result<Incoming, Option<io::Error>> {
    listener.set_nonblocking(true).map_err(Some)?;
    let mut last = None;
    while let Some(left) = left(deadline, config) {
        match listener.accept() {
            Ok((socket, _)) => match try_accept(session, socket, left.min(STRANGER_MAX), config) {
                Ok(incoming) => return Ok(incoming),
                Err(error) => last = Some(error),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(POLL),
            Err(error) => {
                last = Some(error);
                thread::sleep(POLL);
            }
        }
    }
    Err(last)
}

fn try_accept(
    session: Session,
    socket: TcpStream,
    left: Duration,
    config: &Config,
) -> io::Result<Incoming> {
    socket.set_nonblocking(false)?; // some systems hand on what the listener is set to
    prepare(&socket, left)?;
    let mut stream: Box<dyn Stream> = match &config.tls {
        Some(tls) => Box::new(tls.accepted(socket.try_clone()?).map_err(io::Error::other)?),
        None => Box::new(socket.try_clone()?),
    };
    let mut frame = [0; HEADER_LEN + HELLO_LEN];
    stream.read_exact(&mut frame)?;
    let (header, payload) = frame::decode(&frame, HELLO_LEN).map_err(io::Error::other)?;
    let is_expected = header.kind == Kind::Hello && payload == hello(session);
    let checked = session.check(&header).map_err(io::Error::other);
    let is_welcome = is_expected && checked.is_ok();
    let kind = if is_welcome { Kind::Welcome } else { Kind::Refusal };
    let answer: Header = session.header(kind);
    stream.write_all(&answer.frame(&[]))?;
    stream.flush()?;
    checked?;
    if !is_welcome {
        return Err(io::Error::other("it said no hello, or belongs to a group of another size"));
    }
    Ok(Incoming { socket, stream: Box::new(stream) })
}

/// What both ends of a connection must agree on.
fn hello(session: Session) -> [u8; HELLO_LEN] {
    let mut hello = [0; HELLO_LEN];
    hello[..4].copy_from_slice(&(session.n_ranks as u32).to_le_bytes());
    hello[4..].copy_from_slice(&(session.chunk_len as u32).to_le_bytes());
    hello
}

/// Small frames leave at once, and shaking hands has a limit.
fn prepare(socket: &TcpStream, limit: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(limit))?;
    socket.set_write_timeout(Some(limit))
}

/// What is left of the time, if any.
fn left(deadline: Duration, config: &Config) -> Option<Duration> {
    deadline.checked_sub((config.clock)()).filter(|left| *left > Duration::ZERO)
}
