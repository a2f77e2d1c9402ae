//! Lives of randomised mechanism: the prior that the built-in model is fitted to.
//!
//! A model that answers before any training must have seen every kind of shop. So nothing here is
//! one world: each shop (a group of lives that share a calendar, categories and habits) draws which
//! mechanisms act on it and how strongly, and each life draws around its shop. What is written is a
//! *panel*, a row a product and period, as a merchant would have it, with the true stage beside it.
//! How broad the prior is stands in one table, `ranges.rs`.
//!
//! | mechanism | file |
//! |---|---|
//! | the span of the panel | `calendar.rs` |
//! | what a shop's lives have in common | `shop.rs` |
//! | seasons, holidays, days of the week | `climate.rs` |
//! | trends of shop and category | `trend.rs` |
//! | shapes of lives | `shape.rs` |
//! | launches, relaunches, shifts, ends, true stages | `course.rs` |
//! | level, its wandering and its noise | `level.rs` |
//! | counts, lots, wholesale orders, intermittent buying | `counts.rs` |
//! | price drift, promotions, mark-downs, elasticity | `offers.rs` |
//! | stock-outs | `shortages.rs` |
//! | what is recorded, missing or scaled, slips | `books.rs` |
//! | one life, from its draws to its rows | `one.rs` |
//! | base rates of what was made | `summary.rs` |
//!
//! The idea of fitting to simulated series of random mechanism is that of prior-fitted networks
//! (Müller et al. 2022; Dooley et al. 2023, `ForecastPFN`).

mod books;
mod calendar;
mod climate;
mod config;
mod counts;
mod course;
mod level;
mod offers;
mod one;
mod ranges;
mod run;
mod shape;
mod shards;
mod shop;
mod shortages;
mod summary;
mod trend;

pub use config::{Config, LIVES_MAX};
pub use run::run;
pub use summary::{Quantiles, Summary, TurnRates};
