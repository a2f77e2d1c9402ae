//! Answers forecasts from published models: tables of forecasts, or live.
//!
//! Both ways cut a window by [`panel::Cutter`] with the model's own fitted state and answer it by
//! [`model::forecast`].

mod alone;
mod config;
mod error;
mod live;
mod origins;
mod server;
mod stage;

pub use alone::Alone;
pub use config::Config;
pub use error::Error;
pub use live::{LoadedPanel, Predictor};
pub use origins::origins;
pub use server::server;
pub use stage::{Inputs, Manifest, Summary, run};
