//! Groups over TCP on this machine, and what they need.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use collective::rendezvous::Assignment;
use collective::tcp::{Config, Limits, Listener, Tcp, Tls, connect};
use collective::{Clock, Error};

/// The clock of a test.
#[allow(clippy::disallowed_methods, reason = "tests bring the clock")]
pub(crate) fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || began.elapsed())
}

/// Limits short enough to wait for, and long enough for a machine that does other things as well.
pub(crate) fn quick_limits() -> Limits {
    Limits {
        connect_max: Duration::from_secs(20),
        silence_max: Duration::from_secs(2),
        operation_max: Duration::from_mins(1),
        alive: Duration::from_millis(200),
    }
}

/// Where no rank is lost, a loaded machine must not look like it.
pub(crate) fn patient_limits() -> Limits {
    Limits {
        connect_max: Duration::from_mins(2),
        silence_max: Duration::from_mins(1),
        operation_max: Duration::from_mins(10),
        alive: Duration::from_secs(1),
    }
}

pub(crate) fn config(limits: Limits, tls: Option<Tls>) -> Config {
    Config { limits, tls, clock: clock() }
}

/// Certificates of one authority, valid for a hundred years, whose name is `rank.test`. They were
/// made for these tests, and protect nothing.
pub(crate) fn tls() -> Tls {
    let authority = include_bytes!("certificates/authority.pem");
    let certificate = include_bytes!("certificates/rank.pem");
    Tls::new(certificate, include_bytes!("certificates/rank.key"), authority, "rank.test").unwrap()
}

/// What a rank shows that another authority certified, though it knows ours.
pub(crate) fn strange_tls() -> Tls {
    let authority = include_bytes!("certificates/authority.pem");
    let certificate = include_bytes!("certificates/strange-rank.pem");
    let key = include_bytes!("certificates/strange-rank.key");
    Tls::new(certificate, key, authority, "rank.test").unwrap()
}

/// Listeners on free ports, with their addresses.
pub(crate) fn listeners(n_ranks: usize) -> (Vec<Listener>, Vec<String>) {
    let listeners: Vec<_> = (0..n_ranks).map(|_| Listener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|listener| listener.address().to_string()).collect();
    (listeners, addresses)
}

/// A whole group, by rank.
pub(crate) fn tcp_group(n_ranks: usize, config: &Config) -> Vec<Tcp> {
    let (listeners, addresses) = listeners(n_ranks);
    let ranks: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(rank, listener)| {
                let addresses = addresses.clone();
                scope.spawn(move || {
                    connect(listener, &Assignment { generation: 1, rank, addresses }, config)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    ranks.into_iter().collect::<Result<_, Error>>().unwrap()
}
