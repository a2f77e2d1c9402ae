//! Splits a prediction over its inputs, with errors.
//!
//! [`players`] says what is credited, [`background`] what stands in for what is absent;
//! [`estimator`] turns the outputs of coalitions into Shapley values, [`owen`] splits those of
//! families; [`counterfactual`] says what change would turn a forecast; [`explained`] is the one
//! trait behind which a model stands. [`importance`] says what moves many forecasts; [`surrogate`] and
//! [`gradients`] are other quantities, under their own names. [`rows`] explains models of others. The full
//! coalition is the untouched history, so base plus
//! values is the served answer: the *gap* in every explanation is measured against the table that
//! `predictor` published, not against a number of our own.

pub mod background;
mod beside;
pub mod coalition;
mod config;
pub mod counterfactual;
mod error;
pub mod estimator;
pub mod exact;
pub mod explained;
mod explanation;
pub mod game;
pub mod gradients;
pub mod importance;
mod method;
mod over_time;
pub mod owen;
pub mod players;
mod rollout;
pub mod rows;
mod server;
mod stage;
pub mod surrogate;
mod words;

pub use config::Config;
pub use error::Error;
pub use explanation::{Explanation, Quantity, Question, Watch};
pub use server::server;
pub use stage::{Inputs, Summary, run};
pub use words::{Words, words};
