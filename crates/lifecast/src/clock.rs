//! The one place of this program that reads the clock; no digest holds what it says.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, for measuring how long something takes.
#[allow(clippy::disallowed_methods, reason = "the command line tells people how long work took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for names that no other process has.
#[allow(clippy::disallowed_methods, reason = "it is part of a request's name and of nothing made")]
pub(crate) fn unix_millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// Reads the time since it was made, for leases and shares of time.
pub(crate) fn since_start() -> Arc<dyn Fn() -> Duration + Send + Sync> {
    let start = now();
    Arc::new(move || start.elapsed())
}
