//! Trains models and publishes them.
//!
//! | file | what |
//! |---|---|
//! | `config` | what is trained, and how |
//! | `data` | the data sets of a training, and their rows |
//! | `ranks` | what the ranks of a training do together |
//! | `rendezvous` | ranks in processes of their own |
//! | `rows` | windows and targets of training and validation, masked by the split |
//! | `fit` | all members and trees, trained and calibrated |
//! | `launch` | workers on this machine, started, watched and replaced |
//! | `losses` | losses of raw outputs, and their gradients in closed form |
//! | `adaptation` | what of a base model is trained: heads, adapters, updates of low rank |
//! | `boosting` | trees for turns and stages |
//! | `optimiser` | AdamW on flat vectors, schedule, clipping, averaged weights |
//! | `pseudo_labels` | a model's own answers as targets of rows without labels |
//! | `state` | all that changes from step to step |
//! | `start` | weights before the first step |
//! | `unseen_inputs` | inputs that no training row has say nothing |
//! | `training` | the loop |
//! | `validation` | the combined validation loss; calibration and dependence afterwards |
//! | `suggest` | which products' labels would teach most |
//! | `sums` | how tightly steps hang together, by the losses of their sums |
//! | `wrong` | targets that are wrong on purpose, for guards |
//! | `checkpoint` | all that a training is, on disk, exactly |
//! | `search` | successive halving over settings |
//! | `server` | `lifecast.v1.Trainer` |
//! | `scatter` | true against predicted units of the dense baseline |

mod adaptation;
mod boosting;
mod checkpoint;
mod config;
mod data;
mod fit;
mod launch;
mod losses;
mod optimiser;
mod pseudo_labels;
mod ranks;
pub mod rendezvous;
mod rows;
mod scatter;
mod search;
mod server;
mod stage;
mod start;
mod state;
mod suggest;
mod sums;
mod training;
mod unseen_inputs;
mod validation;
mod wrong;

pub use config::{Adapt, Builtin, Config, LossWeights, OptimiserKind, Start};
pub use launch::{Job, Launcher, run_with_workers};
pub use ranks::{Alone, Meeting, NoMeeting};
pub use rows::{Row, Rows, Source, Target};
pub use scatter::{Scatter, ScatterPoint};
pub use search::{Rung, Search, Trial, best_of};
pub use server::server;
pub use stage::{Error, Inputs, Summary, run, run_rank, run_wrong, validation_of};
pub use suggest::{Suggestion, suggestions};
pub use training::{Outcome, Stopped, Task, train, train_with};
pub use validation::Validation;
pub use wrong::Wrong;
