//! The history of each series by period, and the one way to cut what a model may see.

mod history;

pub use history::{Channel, Correction, History, Panel, Statics};
