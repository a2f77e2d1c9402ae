//! The one place of this program that reads the clock; no digest holds what it says.

use std::time::Instant;

/// Now, for measuring how long something takes.
#[allow(clippy::disallowed_methods, reason = "the command line tells people how long work took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
