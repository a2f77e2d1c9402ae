//! `cargo xtask tidy`: what rustc and clippy cannot check, and readers rely on.
//!
//! Each check is a function from what it looks at to complaints, so that its tests need no files.
//! The whole of it is a test as well.

mod graph;
mod layout;
mod sources;

use anyhow::bail;
use xshell::{Shell, cmd};

use crate::programs;

/// Runs all checks, and fails with all complaints.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    let complaints = complaints(sh)?;
    if !complaints.is_empty() {
        bail!("{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
    }
    Ok(())
}

fn complaints(sh: &Shell) -> anyhow::Result<Vec<String>> {
    let files = files(sh)?;
    let mut complaints = graph::check(&programs::metadata(sh)?)?;
    complaints.extend(layout::check_top_level(&files));
    complaints.extend(layout::check_dependency_comments(&sh.read_file("Cargo.toml")?));
    for file in &files {
        let Ok(text) = String::from_utf8(sh.read_binary_file(file)?) else {
            continue; // a picture, weights, descriptors
        };
        complaints.extend(layout::check_paths(file, &text));
        match file.rsplit_once('.') {
            Some((_, "proto")) => complaints.extend(layout::check_proto(file, &text)),
            Some((_, "rs")) => complaints.extend(sources::check(file, &text)),
            _ => {}
        }
    }
    Ok(complaints)
}

/// The repository's files, from its root, `/` between folders: those in git or about to be.
fn files(sh: &Shell) -> anyhow::Result<Vec<String>> {
    let listed = cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet().read()?;
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|file| !file.is_empty() && sh.path_exists(file))
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let sh = Shell::new().unwrap();
        sh.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert_eq!(complaints(&sh).unwrap(), Vec::<String>::new());
    }
}
