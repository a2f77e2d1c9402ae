//! The protobuf messages as Rust, and their mapping to the domain.
//!
//! [`v1`] is generated from `proto/` by `cargo xtask codegen` and committed. Everything else maps a
//! message to a domain type and back: `TryFrom` where a message may be malformed, `From` where a
//! value is always a good message. Each mapping names every field, so that a new one does not
//! compile until it is mapped, and each failure is one [`lifecycle::Invalid`] whose field is the
//! path in the message, such as `histories[3].units`; [`invalid_argument`] makes it a gRPC status.
//!
//! What `lifecycle` has no word for, because only calls need it, is a plain struct here: queries,
//! [`InlineHistory`], [`ServedForecast`], [`Explanation`], [`Counterfactuals`], [`Plan`], [`Run`]. Wire types stop at a
//! stage's `server.rs` and `upstream.rs`.

/// Messages, clients and servers of package `lifecast.v1`.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr,
    clippy::disallowed_types,
    clippy::allow_attributes_without_reason,
    reason = "generated: its style is the generator's"
)]
pub mod v1 {
    include!("generated/lifecast.v1.rs");
}

/// Messages and client of the Open Inference Protocol: other people's models.
#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr,
    clippy::disallowed_types,
    clippy::allow_attributes_without_reason,
    reason = "generated: its style is the generator's"
)]
pub mod inference {
    include!("generated/inference.rs");
}

/// The encoded file descriptor set of `proto/`, with imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/lifecast.v1.bin");

mod counterfactuals;
mod evaluator;
mod explainer;
mod fields;
mod forecast;
mod history;
mod planner;
mod predictor;
mod runs;
mod series;
mod start;

pub use counterfactuals::{ChangeableInput, Counterfactual, Counterfactuals, CounterfactualsQuery};
pub use evaluator::ScoresQuery;
pub use explainer::{ExplainQuery, ExplainedOutput, Explanation};
pub use fields::invalid_argument;
pub use forecast::ServedForecast;
pub use history::InlineHistory;
pub use planner::{Plan, PlanItem, PlanQuery};
pub use predictor::{ForecastQuery, HistoryQuery, InputsQuery, ServedInputs};
pub use runs::{Failure, Outcome, PartProgress, Run, RunState};
pub use start::{Start, StartIngest, check_input, read_start, request_digest};
