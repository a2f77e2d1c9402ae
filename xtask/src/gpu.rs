//! `cargo xtask test-gpu`, and the type check of the CUDA path: the GPU's code without a GPU.

use xshell::Shell;

use crate::cargo::cargo;
use crate::programs;

/// Trains on a Vulkan driver that is software, and holds losses, answers and gradients against the
/// CPU's. The driver (`deploy/ci/install.sh`) takes neither Burn's own Vulkan compiler nor its
/// autotuning, so this is feature `wgpu`, not `gpu`.
pub(crate) fn test(sh: &Shell) -> anyhow::Result<()> {
    let metadata = programs::metadata(sh)?;
    let target = metadata["target_directory"].as_str().unwrap_or("target");
    let test = cargo(sh, "test --workspace --locked --features tests/wgpu --test gpu");
    // Mesa wants a place for a session's files; servers and containers have none.
    Ok(test.env("XDG_RUNTIME_DIR", target).run()?)
}

/// Type-checks the network with CUDA. `DOCS_RS` tells Burn's build script not to fetch the LLVM
/// that linking would need.
pub(crate) fn check_cuda(sh: &Shell) -> anyhow::Result<()> {
    let check = cargo(sh, "check --package model --locked --features cuda");
    Ok(check.env("DOCS_RS", "1").run()?)
}
