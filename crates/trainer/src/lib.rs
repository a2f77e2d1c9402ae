//! Trains models and publishes them.
//!
//! | file | what |
//! |---|---|
//! | `config` | what is trained, and how |
//! | `rows` | windows and targets of training and validation, masked by the split |
//! | `losses` | losses of raw outputs, and their gradients in closed form |
//! | `adaptation` | what of a base model is trained: heads, adapters, updates of low rank |
//! | `boosting` | trees for turns and stages |
//! | `optimiser` | AdamW on flat vectors, schedule, clipping, averaged weights |
//! | `start` | weights before the first step |
//! | `training` | the loop |
//! | `validation` | the combined validation loss; calibration and dependence afterwards |
//! | `sums` | how tightly steps hang together, by the losses of their sums |
//! | `wrong` | targets that are wrong on purpose, for guards |
//! | `checkpoint` | all that a training is, on disk, exactly |
//! | `server` | `lifecast.v1.Trainer` |
//! | `scatter` | true against predicted units of the dense baseline |

mod adaptation;
mod boosting;
mod checkpoint;
mod config;
mod losses;
mod optimiser;
mod rows;
mod scatter;
mod server;
mod stage;
mod start;
mod sums;
mod training;
mod validation;
mod wrong;

pub use config::{Adapt, Config, LossWeights, OptimiserKind, Start};
pub use rows::{Row, Rows, Source, Target};
pub use scatter::{Scatter, ScatterPoint};
pub use server::server;
pub use stage::{Error, Inputs, Summary, run, run_wrong};
pub use training::{Outcome, train};
pub use wrong::Wrong;
