//! The files that a mapping names: paths and patterns become a sorted list.
//!
//! `*` and `?` match within one component of a path. A file is known by its path as the mapping
//! writes it, with patterns replaced by what they matched and `$NAME` for a variable.

use std::fs;
use std::path::{Path, PathBuf};

use lifecycle::{Digest, Hasher};
use serde::Serialize;

use crate::error::Error;
use crate::variables::Component;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct InputFile {
    /// What it is called in published tables.
    pub name: String,
    /// Where it lies on this machine.
    #[serde(skip)]
    pub path: PathBuf,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
}

impl InputFile {
    /// Reads the file once for its digest.
    pub(crate) fn open(name: String, path: PathBuf) -> Result<Self, Error> {
        let failed = |source| Error::File { path: path.clone(), source };
        let mut file = fs::File::open(&path).map_err(failed)?;
        let mut hasher = Digesting { hasher: Hasher::default(), bytes: 0 };
        std::io::copy(&mut file, &mut hasher).map_err(failed)?;
        Ok(Self { name, bytes: hasher.bytes, digest: hasher.hasher.finish(), path })
    }
}

struct Digesting {
    hasher: Hasher,
    bytes: u64,
}

impl std::io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file that was found, not yet read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// All files that match, sorted by name; empty where there is none.
pub(crate) fn matching(base: &Path, components: &[Component]) -> Result<Vec<Found>, Error> {
    let mut found = vec![(String::new(), base.to_owned())];
    for (position, component) in components.iter().enumerate() {
        let is_pattern = component.written.contains(['*', '?']);
        let mut next = Vec::new();
        for (name, path) in found {
            let joined = |part: &str| match position {
                0 => part.to_owned(),
                _ => format!("{name}/{part}"),
            };
            if is_pattern {
                for entry in entries(&path)?
                    .iter()
                    .filter(|entry| matches(component.expanded.as_bytes(), entry.as_bytes()))
                {
                    next.push((joined(entry), path.join(entry)));
                }
            } else if position == 0 && component.written.is_empty() {
                next.push((String::new(), PathBuf::from("/")));
            } else {
                next.push((joined(&component.written), path.join(&component.expanded)));
            }
        }
        found = next;
    }
    found.retain(|(_, path)| path.is_file());
    found.sort();
    Ok(found.into_iter().map(|(name, path)| Found { name, path }).collect())
}

fn entries(folder: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::File { path: folder.to_owned(), source };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Whether a name matches a pattern of `*` (any text) and `?` (one byte).
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.first(), name.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            matches(&pattern[1..], name) || (!name.is_empty() && matches(pattern, &name[1..]))
        }
        (Some(b'?'), Some(_)) => matches(&pattern[1..], &name[1..]),
        (Some(a), Some(b)) if a == b => matches(&pattern[1..], &name[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::{Variables, components};

    #[test]
    fn patterns_match_within_a_component() {
        assert!(matches(b"*.csv", b"a.csv"));
        assert!(matches(b"20??-*.csv", b"2010-w1.csv"));
        assert!(!matches(b"*.csv", b"a.csv.bak"));
        assert!(matches(b"*", b""));
    }

    #[test]
    fn names_keep_variables_and_are_sorted() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b/2.csv", "a/1.csv", "a/3.txt"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
        let root = folder.path().to_str().expect("text").to_owned();
        let parts = components("${ROOT}/*/?.csv", &Variables::from_iter([("ROOT", root)]));
        let found = matching(Path::new("/nowhere"), &parts.expect("a path")).expect("files");
        let names: Vec<_> = found.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["$ROOT/a/1.csv", "$ROOT/b/2.csv"]);
        assert!(found.iter().all(|found| found.path.is_file()));
    }
}
