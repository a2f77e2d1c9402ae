//! Where a server runs, and its limits. What a stage computes is configured elsewhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::value_parser;

use crate::server::Error;
use crate::tls;

/// Where a server runs, and its limits.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Flags {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "LIFECAST_LISTEN", default_value_t = Flags::default().listen)]
    pub listen: SocketAddr,
    /// Largest request in bytes; a larger one is refused with `OUT_OF_RANGE`
    #[arg(long, env = "LIFECAST_MAX_MESSAGE_BYTES", value_parser = value_parser!(u32).range(1..=1 << 30),
        default_value_t = Flags::default().max_message_bytes)]
    pub max_message_bytes: u32,
    /// Requests under way at once; more are refused with `RESOURCE_EXHAUSTED`
    #[arg(long, env = "LIFECAST_MAX_CONCURRENT_REQUESTS", value_parser = value_parser!(u32).range(1..=65_536),
        default_value_t = Flags::default().max_concurrent_requests)]
    pub max_concurrent_requests: u32,
    /// Streams at once on one connection
    #[arg(long, env = "LIFECAST_MAX_CONCURRENT_STREAMS", value_parser = value_parser!(u32).range(1..=65_536),
        default_value_t = Flags::default().max_concurrent_streams)]
    pub max_concurrent_streams: u32,
    /// Seconds until a request is given up with `DEADLINE_EXCEEDED`
    #[arg(long, env = "LIFECAST_REQUEST_TIMEOUT_S", value_parser = value_parser!(u32).range(1..=86_400),
        default_value_t = Flags::default().request_timeout_s)]
    pub request_timeout_s: u32,
    /// Seconds that requests and runs may take to end after SIGTERM
    #[arg(long, env = "LIFECAST_DRAIN_DEADLINE_S", default_value_t = Flags::default().drain_deadline_s)]
    pub drain_deadline_s: u32,
    /// Certificate chain of this server, PEM; without it, connections are not encrypted
    #[arg(long, env = "LIFECAST_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, env = "LIFECAST_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Certificates, PEM, one of which must have signed each client's
    #[arg(long, env = "LIFECAST_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Limits of long work
    #[command(flatten)]
    pub runs: RunLimits,
}

/// Limits of long work.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct RunLimits {
    /// Runs at work at once
    #[arg(long, env = "LIFECAST_MAX_RUNNING", value_parser = value_parser!(u32).range(1..=256),
        default_value_t = RunLimits::default().max_running)]
    pub max_running: u32,
    /// Runs that wait for their turn; more are refused with `RESOURCE_EXHAUSTED`
    #[arg(long, env = "LIFECAST_MAX_QUEUED", value_parser = value_parser!(u32).range(1..=65_536),
        default_value_t = RunLimits::default().max_queued)]
    pub max_queued: u32,
    /// Runs that are remembered; the oldest that have ended are forgotten first
    #[arg(long, env = "LIFECAST_MAX_KEPT_RUNS", value_parser = value_parser!(u32).range(1..=65_536),
        default_value_t = RunLimits::default().max_kept_runs)]
    pub max_kept_runs: u32,
    /// Events that are remembered of each run
    #[arg(long, env = "LIFECAST_MAX_KEPT_EVENTS", value_parser = value_parser!(u32).range(1..=4_096),
        default_value_t = RunLimits::default().max_kept_events)]
    pub max_kept_events: u32,
    /// Watches of runs at once; more are refused with `RESOURCE_EXHAUSTED`
    #[arg(long, env = "LIFECAST_MAX_WATCHES", value_parser = value_parser!(u32).range(1..=65_536),
        default_value_t = RunLimits::default().max_watches)]
    pub max_watches: u32,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_message_bytes: 4 * 1024 * 1024,
            max_concurrent_requests: 256,
            max_concurrent_streams: 128,
            request_timeout_s: 60,
            drain_deadline_s: 30,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            runs: RunLimits::default(),
        }
    }
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            max_running: 2,
            max_queued: 64,
            max_kept_runs: 256,
            max_kept_events: 64,
            max_watches: 1024,
        }
    }
}

impl Flags {
    /// The decoding limit of every generated server: `X::new(..).max_decoding_message_size(..)`.
    pub fn max_message_size(&self) -> usize {
        self.max_message_bytes as usize
    }

    /// Reads what the flags name, so that a mistake shows before anybody is told of the server.
    pub fn check(&self) -> Result<(), Error> {
        tls::config(self).map(drop)
    }

    /// Until a request is given up.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s.into())
    }

    /// How long a server that stops waits for what is under way.
    pub fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_deadline_s.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(arguments: &[&str]) -> Result<Flags, clap::Error> {
        Ok(Command::try_parse_from([&["serve"], arguments].concat())?.flags)
    }

    #[test]
    fn flags_are_parsed_and_limited() {
        let flags = parse(&["--listen", "0.0.0.0:7001", "--max-kept-runs", "3"]).expect("good");
        assert_eq!(flags.listen.port(), 7001);
        assert_eq!(flags.runs.max_kept_runs, 3);
        assert_eq!(flags.max_message_size(), 4 << 20);
        for wrong in [
            ["--max-running", "0"],
            ["--max-message-bytes", "0"],
            ["--listen", "nowhere"],
            ["--tls-cert", "cert.pem"],
            ["--tls-client-ca", "ca.pem"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
