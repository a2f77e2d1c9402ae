//! `cargo xtask cuda-sdk`: the LLVM that linking the CUDA path needs, from wheels of `PyPI`.
//!
//! Burn's compiler for CUDA links LLVM, which its build script fetches from a place of its own. The same
//! version comes in two wheels: the libraries, and the targets beside the host's, NVIDIA's among
//! them. Laid out as that build script lays out what it fetched, they are taken for it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::ci::say;
use crate::programs;

/// The wheels, of the LLVM that the build script wants.
const WHEELS: [&str; 2] =
    ["mlc-llvm-static==23.1.1.post0", "mlc-llvm-static-extra-targets==23.1.1.post0"];

/// The crate whose build script looks for LLVM; its version names the folder.
const BUNDLER: &str = "tracel-llvm-bundler";

/// Fetches and lays out LLVM once, and says how to build with it.
pub(crate) fn prepare(sh: &Shell) -> anyhow::Result<()> {
    let metadata = programs::metadata(sh)?;
    let target = metadata["target_directory"].as_str().context("no target directory")?;
    let home = Path::new(target).join("cuda-sdk");
    let sdk = home.join("tracel").join(format!("tracel-llvm-{}", version(sh)?));
    // Written last by us, looked for first by the build script.
    let done = sdk.join(".tracel-llvm-installed");
    if !done.exists() {
        lay_out(sh, &home, &sdk)?;
        sh.write_file(&done, "")?;
    }
    say(&format!(
        "LLVM is in {}\nbuild with it:\n\n    XDG_DATA_HOME={} cargo build --workspace --features lifecast/cuda",
        sdk.display(),
        home.display()
    ));
    Ok(())
}

fn lay_out(sh: &Shell, home: &Path, sdk: &Path) -> anyhow::Result<()> {
    let wheels = home.join("wheels");
    let unpacked = home.join("unpacked");
    sh.remove_path(&wheels)?;
    sh.remove_path(&unpacked)?;
    cmd!(sh, "python3 -m pip download --quiet --no-deps --only-binary=:all: --dest {wheels}")
        .args(WHEELS)
        .run()?;
    for wheel in sh.read_dir(&wheels)? {
        cmd!(sh, "python3 -m zipfile -e {wheel} {unpacked}").run()?;
    }
    let found = unpacked.join("mlc_llvm_static/static");
    let programs: Vec<PathBuf> = sh.read_dir(found.join("bin"))?;
    // A wheel unpacked so has lost who may execute what.
    cmd!(sh, "chmod +x {programs...}").run()?;
    sh.create_dir(sdk.parent().context("a folder of the target directory")?)?;
    sh.remove_path(sdk)?;
    std::fs::rename(&found, sdk).with_context(|| format!("cannot make {}", sdk.display()))?;
    sh.remove_path(&wheels)?;
    Ok(sh.remove_path(&unpacked)?)
}

/// The version of the bundler in `Cargo.lock`.
fn version(sh: &Shell) -> anyhow::Result<String> {
    let lock = sh.read_file("Cargo.lock")?;
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{BUNDLER}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|version| version.strip_suffix('"'));
    Ok(version.with_context(|| format!("Cargo.lock has no {BUNDLER}"))?.to_owned())
}
