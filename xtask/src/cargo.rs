//! Calls of cargo from below cargo.
//!
//! `cargo xtask` is `cargo run`, which tells its program about the package xtask in the environment.
//! Some build scripts (ring's) ask to be run again when those variables change. Were they passed on,
//! a build by xtask would undo what a build by hand had made, up to polars, and the other way round.

use std::env;

use xshell::{Cmd, Shell};

/// What cargo tells a program that it runs, and a build script that it runs.
const TOLD: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "OUT_DIR"];

/// `cargo` with these arguments, as if called by hand.
pub(crate) fn cargo<'a>(sh: &'a Shell, arguments: &str) -> Cmd<'a> {
    let told = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    told.filter(|name| TOLD.iter().any(|told| name.starts_with(told)))
        .fold(sh.cmd("cargo"), Cmd::env_remove)
        .args(arguments.split_whitespace())
}
