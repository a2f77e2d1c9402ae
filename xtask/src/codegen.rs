//! `cargo xtask codegen [--check]`: the Rust of `proto/`, committed under `crates/wire/src/generated`.
//!
//! protox parses, so nobody needs protoc, and neither does a build: generated code is read from git.
//! Two files come out: the Rust of all messages, clients and servers, and the file descriptor set
//! (without comments) that servers answer reflection with.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use xshell::Shell;

/// Where the generated files live, from the root of the repository.
const GENERATED: &str = "crates/wire/src/generated";

/// The file descriptor set among the generated files.
const DESCRIPTORS: &str = "lifecast.v1.bin";

/// Writes the generated files; with `check`, changes nothing and fails where they would change.
pub(crate) fn run(sh: &Shell, check: bool) -> anyhow::Result<()> {
    let fresh = sh.create_temp_dir()?;
    generate(sh, fresh.path())?;
    let changes = changes(sh, fresh.path())?;
    if check && !changes.is_empty() {
        bail!("{} not as `proto` gives them; run `cargo xtask codegen`", changes.join(", "));
    }
    for name in changes {
        let (from, to) = (fresh.path().join(&name), Path::new(GENERATED).join(&name));
        if from.exists() {
            sh.create_dir(GENERATED)?;
            sh.copy_file(from, to)?;
        } else {
            sh.remove_path(to)?;
        }
    }
    Ok(())
}

/// Generates everything into an empty directory.
fn generate(sh: &Shell, out: &Path) -> anyhow::Result<()> {
    let root = sh.current_dir().join("proto");
    let sources = proto_files(sh, &root)?;
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&sources)?;
    tonic_prost_build::configure()
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(compiler.file_descriptor_set())
        .context("cannot generate Rust from proto")?;
    compiler.include_source_info(false);
    sh.write_file(out.join(DESCRIPTORS), compiler.encode_file_descriptor_set())?;
    Ok(())
}

/// Every `.proto` of our package, sorted, so that the output does not depend on the file system.
fn proto_files(sh: &Shell, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_proto = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "proto");
    let mut files: Vec<PathBuf> =
        sh.read_dir(root.join("lifecast/v1"))?.into_iter().filter(is_proto).collect();
    files.sort();
    Ok(files)
}

/// Names of the files that differ between the fresh directory and the committed one.
fn changes(sh: &Shell, fresh: &Path) -> anyhow::Result<Vec<String>> {
    let names = |folder: &Path| -> anyhow::Result<Vec<String>> {
        let files = if sh.path_exists(folder) { sh.read_dir(folder)? } else { Vec::new() };
        Ok(files.iter().filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect())
    };
    let committed = Path::new(GENERATED);
    let mut all = names(fresh)?;
    all.extend(names(committed)?);
    all.sort();
    all.dedup();
    let read = |path: PathBuf| sh.read_binary_file(path).ok();
    Ok(all
        .into_iter()
        .filter(|name| read(fresh.join(name)) != read(committed.join(name)))
        .collect())
}
