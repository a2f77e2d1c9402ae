//! How a stage starts, limits, reports, drains and stops.
//!
//! A stage brings its generated gRPC servers; this crate does what is the same for all of them:
//!
//! - [`Flags`] say where and within which limits; [`logging`] sets tracing up.
//! - [`serve`] answers on a [`Listener`] with health, reflection, limits and timeouts, and stops
//!   without losing a request: first it says `NOT_SERVING`, then it accepts nothing new, then it
//!   finishes what is under way, up to a deadline. A panic costs one request.
//! - [`Runs`] keeps long work: a bounded pool of threads, events by sequence number, watching,
//!   cancelling, idempotent starts.
//! - [`Stage`] turns a `Start...` request into a run that publishes an artifact; [`Cache`] keeps what
//!   live calls need in memory; [`Deadline`] tells them until when the client waits.
//! - [`spawn`] and [`BlockingPool`] are the only ways to start a task or to leave the async threads.
//! - [`status_of`] and [`kind_of`] map the four kinds of errors to gRPC and back.
//!
//! It knows no stage and nothing of the domain but [`lifecycle::ErrorKind`], artifacts and progress.

mod cache;
mod clock;
mod deadline;
mod flags;
mod guard;
mod in_process;
pub mod logging;
mod memory;
mod runs;
mod server;
mod stage;
mod status;
mod tasks;
mod tls;

pub use cache::Cache;
pub use deadline::Deadline;
pub use flags::{Flags, RunLimits};
pub use in_process::in_process;
pub use logging::LogFlags;
pub use memory::PeakMemory;
pub use runs::{RunProgress, Runs};
pub use server::{Error, Listener, Services, serve, terminated};
pub use stage::{Job, Stage, config, failure, produce};
pub use status::{error_chain, kind_of, status, status_of, status_of_store};
pub use tasks::{BlockingPool, spawn};
