//! Ours beside its peers: `cargo xtask bench`.
//!
//! Every forecaster gets the same rows and writes the same table, and `evaluator` scores them all in
//! one go. Data sets, models, the exchange, each peer's forecasts and each evaluation are artifacts
//! in a store of the bench's own, so a run makes only what is not there yet. `tests/bench/README.md`
//! says what is compared and how.

pub mod backtest;
pub mod budget;
pub mod data;
pub mod exchange;
pub mod explain;
pub mod guards;
pub mod lines;
pub mod peers;
pub mod record;
pub mod run;
pub mod sets;
pub mod shown;
pub mod training;
pub mod workshop;
