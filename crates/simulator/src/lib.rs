//! A marketplace with known truth, from a seed.
//!
//! Each product lives by a curve of one of several families; season, category trend, competitors,
//! price and promotion act on it as factors; noise, lots, customers and an imperfect stock keeper
//! turn it into orders. The shop's side is written as the raw files that a shop would have, dirt
//! included; the truth goes to `truth/truth.parquet`, which only `evaluator` reads.
//!
//! | mechanism | file |
//! |---|---|
//! | families of lives, relaunches, true stages | `life.rs` |
//! | season, holidays | `season.rs` |
//! | category trend, brands | `market.rs` |
//! | list price, markdown, promotion | `price.rs` |
//! | elasticity, competitors' shocks, noise, contributions | `demand.rs` |
//! | single units to wholesale lots | `lots.rs` |
//! | stock-outs | `stock.rs` |
//! | customers and their orders | `visits.rs` |
//! | views and carts | `behaviour.rs` |
//! | dirt | `dirt.rs` |
//!
//! The two worlds are tables of parameters in `world.rs` and `vocabulary.rs`.
//!
//! [`lives`] is another thing: no marketplace, but any number of lives of randomised mechanism as a
//! ready panel, the prior that the built-in model is fitted to.

mod behaviour;
mod config;
mod demand;
mod dirt;
mod draws;
mod files;
mod life;
pub mod lives;
mod lots;
mod market;
mod price;
mod product;
mod records;
mod run;
mod season;
mod stock;
mod visits;
mod vocabulary;
mod world;

pub use config::{Config, PRODUCTS_MAX, WEEKS_RANGE, World};
pub use dirt::{DUPLICATES, MISTAKES, OTHERS, SAMPLES, SLIPS};
pub use run::{Error, Summary, run};
