//! The domain's words as types, and the pure functions that all crates share.
//!
//! | word | meaning |
//! |---|---|
//! | units sold | what was sold, never "demand": a stock-out hides demand |
//! | observed | the period is known and not censored by a stock-out |
//! | period | a day, an ISO week or a month, by the panel's frequency |
//! | forecast origin | the last period whose data may be used |
//! | context, horizon | the periods up to the origin that a model sees; those after it that it forecasts |
//! | launch, age | first period on sale; periods since |
//! | stage | introduction, growth, maturity, decline; *ended* after the last sale |
//! | turn | a series' share of its category's units halves, doubles, or falls silent |
//! | quantile level | probability of selling at most the quantile |
//! | player | a group of inputs that an explanation credits together |

pub mod accuracy;
mod attribution;
mod calendar;
mod digest;
mod forecast;
mod level_rule;
pub mod paths;
mod progress;
mod score;
pub mod season;
mod series;
mod split;
mod stage;
pub mod trapezoid;
mod turn;

pub use attribution::{Attribution, EstimateEnd, InteractionSource};
pub use calendar::{Day, Frequency, Period};
pub use digest::{Digest, Hasher};
pub use forecast::{Forecast, LEVELS, N_LEVELS, Outlook, UnitsForecast, WQL_LEVELS};
pub use level_rule::{ENDED_LEVEL, level_rule};
pub use progress::{Progress, Unwatched};
pub use score::{Score, better, cost};
pub use series::{LocationId, ProductId, Series};
pub use split::{Part, Split, unseen_products};
pub use stage::{Stage, StageProbabilities};
pub use turn::{OUTLOOK_WEEKS, SHARE_WEEKS, Stretch, Turn, TurnLimits, turns};

/// A value that breaks its type's promise: which field, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field, column or key, as its user writes it.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Invalid {
    /// An invalid field and the reason.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Who has to act on an error; decides the exit code and the gRPC status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command or configuration is wrong: exit code 2, `INVALID_ARGUMENT`.
    Usage,
    /// The data is wrong: exit code 3, `FAILED_PRECONDITION`.
    Data,
    /// A store or service cannot be reached now: exit code 4, `UNAVAILABLE`.
    Unreachable,
    /// A fault of ours: exit code 5, `INTERNAL`.
    Internal,
}
