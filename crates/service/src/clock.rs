//! The wall clock. This crate is one of the few that may read it; nothing read here enters a digest.

use std::time::SystemTime;

/// Now.
#[allow(clippy::disallowed_methods, reason = "when a run was accepted is for people to read")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
