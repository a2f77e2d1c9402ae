//! `cargo xtask codegen [--check]`: the Rust of `proto/`, committed under `crates/wire/src/generated`.
//!
//! `tests/generated.rs` does it, so that its dependencies are a test's: the program xtask, which
//! everyone builds first, stays light, and who runs no tests never builds them.

use xshell::Shell;

use crate::cargo::cargo;

/// Writes the generated files; with `check`, changes nothing and fails where they would change.
pub(crate) fn run(sh: &Shell, check: bool) -> anyhow::Result<()> {
    let test = cargo(sh, "test --workspace --locked --quiet --test generated");
    let test =
        if check { test.env_remove("UPDATE_EXPECT") } else { test.env("UPDATE_EXPECT", "1") };
    Ok(test.run()?)
}
