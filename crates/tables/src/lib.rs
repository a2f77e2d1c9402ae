//! Every Parquet table that Lifecast publishes: schema, typed rows, writer and reader.
//!
//! A row type implements [`Table`]; [`write()`] and [`read`] do the rest. What a stage does with the
//! rows is the stage's own matter.

mod attributions;
mod counterfactuals;
mod dataset;
pub mod features;
mod forecasts;
mod frame;
mod histories;
mod interactions;
mod labels;
mod numbers;
mod plans;
mod reliability;
mod scores;
mod series;
mod truth;

pub use attributions::AttributionRow;
pub use counterfactuals::CounterfactualRow;
pub use dataset::{
    Dataset, EventCount, Half, Offer, PanelRow, Product, Quarantined, Sale, SaleKind, Stock,
    ThinnedBy,
};
pub use features::{FeaturesDir, IndexRow};
pub use forecasts::{latest_forecasts, parts};
pub use frame::{Error, Frame, Table, read, write};
pub use interactions::InteractionRow;
pub use labels::Label;
pub use numbers::{Numbers, numbers};
pub use plans::PlanRow;
pub use reliability::{
    Agreement, HalvesAgreement, LabelReliability, LambdaFit, LambdaLoss, Settled, Settling,
};
pub use truth::{MECHANISMS, Truth};
