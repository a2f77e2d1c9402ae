//! A worker's side of `lifecast.v1.Rendezvous`.
//!
//! One thread asks, as the state machine of `collective` says when; it keeps the lease, and ends the
//! operation under way when the lease is over. The thread that trains waits in [`Meeting::meet`].

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use collective::rendezvous::{Ask, Assignment, Event, Member, Reply, Request, Terms};
use collective::{Aborter, Clock, Collective, tcp};
use lifecycle::Progress;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use wire::v1::rendezvous_client::RendezvousClient;
use wire::v1::{self, heartbeat_response, join_response};

use crate::ranks::{Meeting, NoMeeting};

/// Between looks at what is due; shorter than any pause of the state machine.
const TICK: Duration = Duration::from_millis(50);

/// How long a call may take, if no lease ends before.
const CALL_MAX: Duration = Duration::from_secs(2);

/// Ranks that do not come are given up in less time than a lease lasts.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// When people are told that the rendezvous does not answer, and when it is given up.
const AWAY: [Duration; 2] = [Duration::from_secs(10), Duration::from_mins(5)];

/// Where a worker stands among others.
#[derive(Debug, Clone)]
pub struct Place {
    /// A number that no other process has, nor the same one after a restart.
    pub worker: u64,
    /// Its place among others: ranks follow it.
    pub order: u32,
    /// The world size that its launcher promised, if it did.
    pub n_ranks: Option<usize>,
    /// The host at which the others reach it.
    pub host: IpAddr,
    /// Threads that it may compute gradients with.
    pub n_threads: usize,
}

/// A worker's membership in a group; dropping it leaves.
pub struct Membership {
    host: IpAddr,
    n_threads: usize,
    config: tcp::Config,
    wishes: Option<Sender<String>>,
    news: Receiver<News>,
    shared: Arc<Shared>,
    asking: Option<JoinHandle<()>>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What the thread that asks tells the one that trains.
enum News {
    Start(Assignment),
    Refused(String),
}

/// What both threads look at.
#[derive(Default)]
struct Shared {
    n_waiting: AtomicUsize,
    /// The generation that was told last is over.
    is_over: AtomicBool,
    /// The work of the group is done.
    is_finished: AtomicBool,
    aborter: Mutex<Option<Aborter>>,
    progress: Mutex<Option<v1::PartProgress>>,
}

impl Shared {
    /// Ends what this rank does with the others, now or as soon as it begins.
    fn abort(&self) {
        self.is_over.store(true, Ordering::Release);
        let aborter = self.aborter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(aborter) = aborter {
            aborter.abort();
        }
    }
}

/// The way to a group at an address such as `http://127.0.0.1:29500`, inside of a tokio runtime.
pub fn channel(url: &str) -> Result<Channel, NoMeeting> {
    let endpoint = Endpoint::from_shared(url.to_owned());
    endpoint.map(|to| to.connect_lazy()).map_err(|error| NoMeeting(Box::new(error)))
}

impl Membership {
    /// Becomes a member of the group at the other end of a channel. Ranks are linked by TCP, encrypted
    /// if all have certificates.
    ///
    /// # Errors
    ///
    /// Terms that contradict each other, or no thread for asking.
    pub fn new(
        channel_to_group: Channel,
        place: &Place,
        terms: Terms,
        (tls, clock): (Option<tcp::Tls>, Clock),
    ) -> Result<Self, NoMeeting> {
        let limits = tcp::Limits { connect_max: CONNECT_MAX, ..tcp::Limits::default() };
        let config = tcp::Config { limits, tls, clock };
        let wrong = |error: collective::Error| NoMeeting(Box::new(error));
        let member = Member::new(terms, place.worker, place.order, place.n_ranks).map_err(wrong)?;
        let (wish, wishes) = mpsc::channel();
        let (tell, news) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let asking = Asking {
            client: RendezvousClient::new(channel_to_group),
            member,
            worker: place.worker,
            heartbeat: terms.heartbeat,
            answered_at: (config.clock)(),
            is_told: false,
            clock: Arc::clone(&config.clock),
            wishes,
            tell,
            shared: Arc::clone(&shared),
        };
        let failed = |error: std::io::Error| NoMeeting(Box::new(error));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let thread = thread::Builder::new().name("rendezvous".to_owned());
        let asking = thread.spawn(move || runtime.block_on(asking.ask())).map_err(failed)?;
        let Place { host, n_threads, .. } = *place;
        let (wishes, asking) = (Some(wish), Some(asking));
        Ok(Self { host, n_threads, config, wishes, news, shared, asking })
    }

    /// Ends without leaving, which the others would take for a loss: for a rank whose work is done.
    pub fn finish(self) {
        self.shared.is_finished.store(true, Ordering::Release);
    }

    /// Progress that also tells the group.
    pub fn telling<'a>(&self, progress: &'a dyn Progress) -> impl Progress + use<'a> {
        Telling { progress, shared: Arc::clone(&self.shared) }
    }
}

impl Meeting for Membership {
    fn meet(&mut self) -> Result<Box<dyn Collective>, NoMeeting> {
        loop {
            let failed = |error: std::io::Error| NoMeeting(Box::new(error));
            let listener = tcp::Listener::bind(&format!("{}:0", bracketed(self.host)));
            let listener = listener.map_err(failed)?;
            let address = listener.address().to_string();
            let gone = || NoMeeting("the thread that asks has ended".into());
            self.wishes.as_ref().ok_or_else(gone)?.send(address).map_err(|_| gone())?;
            let assignment = match self.news.recv().map_err(|_| gone())? {
                News::Start(assignment) => assignment,
                News::Refused(reason) => return Err(NoMeeting(reason.into())),
            };
            match tcp::connect(listener, &assignment, &self.config) {
                Ok(ranks) => {
                    let aborter = ranks.aborter();
                    *self.shared.aborter.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(aborter);
                    if self.shared.is_over.load(Ordering::Acquire) {
                        self.shared.abort();
                    }
                    return Ok(Box::new(ranks));
                }
                // Some of the others did not come: the group forms another generation.
                Err(error) => {
                    let generation = assignment.generation;
                    let error = service::error_chain(&error);
                    tracing::warn!(generation, error, "not all ranks came, asking again");
                }
            }
        }
    }

    fn is_awaited(&self) -> bool {
        self.shared.n_waiting.load(Ordering::Relaxed) > 0
    }

    fn n_threads(&self) -> usize {
        self.n_threads
    }

    fn clock(&self) -> Clock {
        Arc::clone(&self.config.clock)
    }
}

fn bracketed(host: IpAddr) -> String {
    match host {
        IpAddr::V4(host) => host.to_string(),
        IpAddr::V6(host) => format!("[{host}]"),
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.wishes = None;
        if let Some(asking) = self.asking.take() {
            drop(asking.join());
        }
    }
}

/// Progress that also tells the group.
struct Telling<'a> {
    progress: &'a dyn Progress,
    shared: Arc<Shared>,
}

impl Progress for Telling<'_> {
    fn report(&self, part: &str, done: u64, total: u64) {
        let told = v1::PartProgress { part: part.to_owned(), done, total };
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        self.progress.report(part, done, total);
    }

    fn is_cancelled(&self) -> bool {
        self.progress.is_cancelled()
    }
}

/// The thread that asks.
struct Asking {
    client: RendezvousClient<Channel>,
    member: Member,
    worker: u64,
    heartbeat: Duration,
    clock: Clock,
    /// When the rendezvous answered last, and whether people were told that it does not.
    answered_at: Duration,
    is_told: bool,
    /// Addresses at which this worker waits for a rank; closed when it leaves.
    wishes: Receiver<String>,
    tell: Sender<News>,
    shared: Arc<Shared>,
}

impl Asking {
    async fn ask(mut self) {
        let mut told_at = None;
        loop {
            match self.wishes.recv_timeout(Duration::ZERO) {
                Ok(address) => {
                    self.shared.is_over.store(false, Ordering::Release);
                    self.member.join((self.clock)(), address);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(event) = self.member.stop_due((self.clock)()) {
                self.take(event);
            }
            let now = (self.clock)();
            if let Some(request) = self.member.request_due(now) {
                told_at = Some(now);
                self.send(request).await;
            } else if told_at.is_none_or(|told_at| now >= told_at + self.heartbeat) {
                told_at = Some(now);
                self.tell_alive().await;
            } else {
                tokio::time::sleep(TICK).await;
            }
        }
        if self.shared.is_finished.load(Ordering::Acquire) {
            return;
        }
        let leave = self.member.leave((self.clock)());
        let leave = v1::LeaveRequest { worker: leave.worker, number: leave.number };
        // It may get lost: the lease then runs out.
        drop(tokio::time::timeout(CALL_MAX, self.client.leave(leave)).await);
    }

    /// Says that this worker lives, though it asks for nothing: it prepares, or computes what needs
    /// no others.
    async fn tell_alive(&mut self) {
        let worker = self.worker;
        let alive = v1::HeartbeatRequest { worker, number: 0, generation: 0, progress: None };
        drop(tokio::time::timeout(CALL_MAX, self.client.heartbeat(alive)).await);
    }

    /// Tells people, and after a while the thread that trains, that the rendezvous does not answer.
    fn note_silence(&mut self) {
        let silent = (self.clock)().saturating_sub(self.answered_at);
        let [warn, give_up] = AWAY;
        if silent > warn && !self.is_told {
            self.is_told = true;
            tracing::warn!(seconds = silent.as_secs(), "the rendezvous does not answer");
        }
        if silent > give_up {
            let reason = format!("the rendezvous did not answer for {} s", silent.as_secs());
            drop(self.tell.send(News::Refused(reason)));
            self.answered_at = (self.clock)();
        }
    }

    async fn send(&mut self, request: Request) {
        let number = request.number;
        // A lease that ends meanwhile is to be seen at once.
        let limit = self.member.lease_left((self.clock)()).map_or(CALL_MAX, |l| l.min(CALL_MAX));
        let reply = match tokio::time::timeout(limit, self.call(request)).await {
            Ok(Ok(reply)) => {
                (self.answered_at, self.is_told) = ((self.clock)(), false);
                reply
            }
            Ok(Err(status)) if is_final(&status) => {
                let message = status.message().to_owned();
                drop(self.tell.send(News::Refused(message)));
                return;
            }
            Ok(Err(status)) => {
                tracing::debug!(%status, "the rendezvous does not answer, asking again");
                self.note_silence();
                return tokio::time::sleep(TICK).await;
            }
            Err(_) => return self.note_silence(),
        };
        if let Some(event) = self.member.receive((self.clock)(), number, reply) {
            self.take(event);
        }
        self.shared.n_waiting.store(self.member.n_waiting(), Ordering::Relaxed);
    }

    fn take(&self, event: Event) {
        match event {
            Event::Start(assignment) => drop(self.tell.send(News::Start(assignment))),
            Event::Refused(refusal) => drop(self.tell.send(News::Refused(refusal.to_string()))),
            Event::Stop(reason) => {
                tracing::info!(?reason, "the generation is over for this rank");
                self.shared.abort();
            }
        }
    }

    async fn call(&mut self, request: Request) -> Result<Reply, Status> {
        let Request { worker, number, ask } = request;
        match ask {
            Ask::Join { address, order, n_ranks, after } => {
                let world_size = n_ranks.map(|n_ranks| n_ranks as u32);
                let join = v1::JoinRequest { worker, number, address, order, world_size, after };
                let answer = self.client.join(join).await?.into_inner().answer;
                Ok(match answer {
                    Some(join_response::Answer::Assigned(assignment)) => {
                        let v1::Assignment { generation, rank, addresses } = assignment;
                        let rank = rank as usize;
                        Reply::Assigned(Assignment { generation, rank, addresses })
                    }
                    Some(join_response::Answer::Ended(v1::Ended { generation })) => {
                        Reply::Ended { generation }
                    }
                    Some(join_response::Answer::Waiting(_)) | None => Reply::Waiting,
                })
            }
            Ask::Heartbeat { generation } => {
                let progress =
                    self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let beat = v1::HeartbeatRequest { worker, number, generation, progress };
                let answer = self.client.heartbeat(beat).await?.into_inner().answer;
                Ok(match answer {
                    Some(heartbeat_response::Answer::Renewed(v1::Renewed { n_waiting })) => {
                        Reply::Renewed { n_waiting: n_waiting as usize }
                    }
                    Some(heartbeat_response::Answer::Ended(v1::Ended { generation })) => {
                        Reply::Ended { generation }
                    }
                    Some(heartbeat_response::Answer::Waiting(_)) | None => Reply::Waiting,
                })
            }
            Ask::Leave => Ok(Reply::Waiting),
        }
    }
}

/// Whether asking again would bring the same answer.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::PermissionDenied
    )
}
