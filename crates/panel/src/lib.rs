//! The history of each series by period, and the one way to cut what a model may see.

mod binning;
mod history;

pub use binning::{Calendar, DatedRows, Given, Offered, Sold, SoldKind, Stocked, Watched, bin};
pub use history::{Channel, Correction, History, Panel, Statics};
