//! The committed Rust under `crates/wire/src/generated` is what `proto/` gives.
//!
//! protox parses, so nobody needs protoc, and neither does a build: generated code is read from git.
//! Three files come out: the Rust of all messages, clients and servers, the file descriptor set
//! (without comments) that servers answer reflection with, and a client of the Open Inference Protocol. `cargo xtask codegen` runs this test with
//! `UPDATE_EXPECT=1`, and then it writes them. It is a test, so that only those who test build the
//! generator; and a test of xtask, because `wire` may not compile while its proto is changed.

#![allow(clippy::unwrap_used, reason = "a test may panic, in its helper functions too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The file descriptor set among the generated files.
const DESCRIPTORS: &str = "lifecast.v1.bin";

#[test]
fn generated_code_is_what_proto_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let committed = root.join("crates/wire/src/generated");
    let fresh = tempfile::tempdir().unwrap();
    generate(&root.join("proto"), fresh.path());

    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).ok();
    let mut names = file_names(fresh.path());
    names.extend(file_names(&committed));
    names.retain(|name| read(fresh.path(), name) != read(&committed, name));
    if std::env::var_os("UPDATE_EXPECT").is_none() {
        assert!(names.is_empty(), "{names:?} are not as proto/ gives them: cargo xtask codegen");
    }
    for name in names {
        let to = committed.join(&name);
        match read(fresh.path(), &name) {
            Some(bytes) => fs::write(to, bytes).unwrap(),
            None => fs::remove_file(to).unwrap(),
        }
    }
}

/// Generates everything into an empty directory.
fn generate(proto: &Path, out: &Path) {
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    let sources = proto_files(&proto.join("lifecast/v1"));
    compiler.include_imports(true).include_source_info(true).open_files(&sources).unwrap();
    tonic_prost_build::configure()
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
    compiler.include_source_info(false);
    fs::write(out.join(DESCRIPTORS), compiler.encode_file_descriptor_set()).unwrap();

    // Other people's protocol, whose client we are: no server of ours answers reflection with it.
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    let sources = proto_files(&proto.join("inference"));
    compiler.include_imports(true).include_source_info(true).open_files(&sources).unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .emit_rerun_if_changed(false)
        .out_dir(out)
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
}

/// Every `.proto` of a package, sorted, so that the output does not depend on the file system.
fn proto_files(folder: &Path) -> Vec<PathBuf> {
    let paths = file_names(folder).into_iter().map(|name| folder.join(name));
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "proto")).collect()
}

fn file_names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
