//! The history of each series by period, and the one way to cut what a model may see.
//!
//! [`Cutter::windows`] is the only path from histories to inputs: for training, live events, inline
//! requests and an explainer's altered inputs alike. It sees nothing that became known after the
//! origin. [`Cutter::targets`] is the only function that looks further.

mod binning;
mod calendar;
mod category;
mod cutter;
mod digest;
mod fitted;
mod history;
mod known;
mod launch;
mod life;
#[cfg(test)]
mod marketplace;
mod meta;
mod numbers;
mod path;
mod scale;
mod series_inputs;
mod standards;
mod statics;
mod targets;
mod view;
mod window;

pub use binning::{Coverage, DatedRows, Given, Offered, Sold, SoldKind, Stocked, Watched, bin};
pub use category::{CategoryUnits, category_units};
pub use cutter::{Cutter, Plan, Variants};
pub use fitted::Fitted;
pub use history::{Channel, Correction, History, Panel, Statics};
pub use launch::Launches;
pub use meta::{PanelMeta, Settings};
pub use standards::Standards;
pub use statics::{LEVEL_INPUTS, STATIC_INPUTS};
pub use targets::{Targets, TurnRow};
pub use window::{CONTEXT_INPUTS, FilterOutlook, HORIZON_INPUTS, Window};

use path::{nearest, parent_key, path_key};
