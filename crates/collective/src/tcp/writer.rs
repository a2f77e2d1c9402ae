//! The thread that writes to the next rank: frames in their order, and signs of life in between.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Frames on their way at a time of a rank that only sends. One is written, one waits, two are filled.
const N_BUFFERS: usize = 4;

/// A socket to write to with patience: a next rank that computes does not read for a while, and that
/// it lives is not seen from here. Only when its own rank has gone is one write timeout enough.
pub(super) struct Patient {
    socket: TcpStream,
    is_closing: Arc<AtomicBool>,
    n_tries_max: u32,
}

impl Patient {
    /// Writes to `socket` for `n_tries_max` times its write timeout, or until `is_closing`.
    pub(super) fn new(socket: TcpStream, is_closing: Arc<AtomicBool>, n_tries_max: u32) -> Self {
        Self { socket, is_closing, n_tries_max }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut n_tries = 1;
        loop {
            let error = match self.socket.write(bytes) {
                Ok(n) => return Ok(n),
                Err(error) => error,
            };
            let is_slow =
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            let is_closing = self.is_closing.load(Ordering::Acquire);
            if !is_slow || is_closing || n_tries >= self.n_tries_max {
                return Err(error);
            }
            n_tries += 1;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.read(bytes)
    }
}

/// The caller's end of the thread. Dropping it ends the thread when all was written.
pub(super) struct Writer {
    /// `None` while it is dropped.
    frames: Option<Sender<Vec<u8>>>,
    buffers: Receiver<Vec<u8>>,
    failure: Arc<Mutex<Option<io::Error>>>,
    is_closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. It writes `alive` when it had no frame for `interval`, and calls
    /// `on_error` once when it cannot write a frame. Setting `is_closing` ends its patience.
    pub(super) fn start(
        (stream, is_closing): (Box<dyn Write + Send>, Arc<AtomicBool>),
        alive: Vec<u8>,
        interval: Duration,
        on_error: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (frames, to_write) = channel();
        let (written, buffers) = channel();
        for _ in 0..N_BUFFERS {
            drop(written.send(Vec::new()));
        }
        let failure = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&failure);
        let thread = thread::Builder::new().name("collective-writer".into()).spawn(move || {
            let ended = write_all(stream, &to_write, &written, (&alive, interval));
            let Err((error, is_needed)) = ended else { return };
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            if is_needed {
                on_error();
            }
        })?;
        Ok(Self { frames: Some(frames), buffers, failure, is_closing, thread: Some(thread) })
    }

    /// A buffer: one that is free now, else a new one.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.try_recv().unwrap_or_default()
    }

    /// A buffer, when one is free: not if the thread ended, nor if none was within `limit`.
    pub(super) fn wait_for_buffer(&self, limit: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        self.buffers.recv_timeout(limit)
    }

    /// Has a frame written after those before it; whether there is someone to write it.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.send(frame).is_ok())
    }

    /// Why the thread ended, once.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.frames = None;
        self.is_closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // bounded by the socket's write timeout
        }
    }
}

/// An error says whether what could not be written is needed: a next rank that had all it needed
/// and went takes no signs of life any more, and this one may still complete its operation.
fn write_all(
    mut stream: Box<dyn Write + Send>,
    frames: &Receiver<Vec<u8>>,
    written: &Sender<Vec<u8>>,
    (alive, interval): (&[u8], Duration),
) -> Result<(), (io::Error, bool)> {
    loop {
        match frames.recv_timeout(interval) {
            Ok(frame) => {
                stream.write_all(&frame).and_then(|()| stream.flush()).map_err(|e| (e, true))?;
                drop(written.send(frame)); // the caller may be gone already
            }
            Err(RecvTimeoutError::Timeout) => {
                stream.write_all(alive).and_then(|()| stream.flush()).map_err(|e| (e, false))?;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
