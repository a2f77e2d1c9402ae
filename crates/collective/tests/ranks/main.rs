//! Ranks among themselves: each implementation, losses between processes, simulated years.

#![allow(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

mod faults;
mod groups;
mod implementations;
mod processes;
mod simulated;
mod weighted;
