//! Splits a prediction over its inputs, with errors.
//!
//! [`players`] says what is credited and what stands in for what is absent; [`estimator`] turns the
//! outputs of coalitions into Shapley values; [`explained`] is the one trait behind which a model
//! stands. The full coalition is the untouched history, so base plus
//! values is the served answer: the *gap* in every explanation is measured against the table that
//! `predictor` published, not against a number of our own.

pub mod coalition;
mod config;
mod error;
pub mod estimator;
pub mod exact;
pub mod explained;
mod method;
pub mod players;
mod server;
mod stage;

pub use config::Config;
pub use error::Error;
pub use server::server;
pub use stage::{Explanation, Inputs, Summary, explain, run};
