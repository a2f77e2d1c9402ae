//! `lifecast run` as its user sees it: a tiny shop, the real program, what it says and what it keeps.

#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them so")]
#![allow(clippy::needless_pass_by_value, reason = "a case reads better without a borrow")]
#![allow(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

mod alone;
mod bad_input;
mod damaged;
mod killed;
mod lives;
mod reported;
mod searched;
mod shop;
mod threads;
mod workers;
