//! What an artifact is: the names, lengths and digests of its files.

use std::collections::BTreeSet;

use lifecycle::{Digest, Invalid};
use serde::{Deserialize, Serialize};

use crate::key::canonical;

/// Most files that one artifact may hold.
pub const FILES_MAX: usize = 100_000;

/// Most bytes of one file name. (S3 stops at 1,024 with the prefix.)
const NAME_BYTES_MAX: usize = 512;

/// The files of an artifact, sorted by name. Its digest is the artifact's content digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Manifest {
    files: Vec<File>,
}

/// One file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Path below the artifact's directory, parts joined by `/`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Digest of the bytes, and the name of the blob that holds them.
    pub sha256: Digest,
}

impl Manifest {
    /// A manifest of these files, in any order.
    ///
    /// Names come from a store that others may write to, and become paths: so none may leave the
    /// artifact's directory, hide, repeat, or lie below another file.
    pub fn new(mut files: Vec<File>) -> Result<Self, Invalid> {
        if files.len() > FILES_MAX {
            return Err(Invalid::new("files", format!("must be at most {FILES_MAX}")));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        for file in &files {
            check_name(&file.name)?;
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert(file.name.as_str())) {
            return Err(Invalid::new(&twice.name, "stands twice in the manifest"));
        }
        if let Some(below) =
            files.iter().find(|file| folders(&file.name).any(|f| names.contains(f)))
        {
            return Err(Invalid::new(&below.name, "lies below a file of the manifest"));
        }
        Ok(Self { files })
    }

    /// The files, sorted by name.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Bytes of all files together.
    pub fn length(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The content digest: SHA-256 of the canonical JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical_json())
    }

    /// The bytes whose digest is the content digest.
    pub(crate) fn canonical_json(&self) -> String {
        canonical(self)
    }
}

/// A manifest as it was read, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    files: Vec<File>,
}

impl TryFrom<Unchecked> for Manifest {
    type Error = Invalid;

    fn try_from(Unchecked { files }: Unchecked) -> Result<Self, Invalid> {
        Self::new(files)
    }
}

/// The folders that a file lies in: `a` and `a/b` of `a/b/c`.
fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

/// Whether the name can be a path below any directory, on any system and store.
fn check_name(name: &str) -> Result<(), Invalid> {
    let wrong = |reason: &str| Err(Invalid::new(name, format!("as a file name {reason}")));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return wrong("must have 1 to 512 bytes");
    }
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return wrong("must be relative, without empty parts and parts that start with a dot");
    }
    if name.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
        return wrong("must not contain backslashes, colons or control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn file(name: &str) -> File {
        File { name: name.into(), length: 4, sha256: Digest::of("data") }
    }

    #[test]
    fn canonical_json_is_sorted_by_name() {
        let manifest = Manifest::new(vec![file("b"), file("a/x.parquet")]).unwrap();
        expect![[r#"{"files":[{"length":4,"name":"a/x.parquet","sha256":"3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"},{"length":4,"name":"b","sha256":"3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"}]}"#]]
        .assert_eq(&manifest.canonical_json());
        let read: Manifest = serde_json::from_str(&manifest.canonical_json()).unwrap();
        assert_eq!(read, manifest);
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        for name in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".hidden", "a\\b", "c:x"]
        {
            assert!(Manifest::new(vec![file(name)]).is_err(), "{name:?}");
            let json = serde_json::json!({"files": [file(name)]});
            assert!(serde_json::from_value::<Manifest>(json).is_err(), "{name:?}");
        }
        assert!(Manifest::new(vec![file("panel/shard-000.parquet")]).is_ok());
    }

    #[test]
    fn a_name_stands_for_one_file() {
        assert!(Manifest::new(vec![file("a"), file("b"), file("a")]).is_err());
        assert!(Manifest::new(vec![file("a"), file("a-b"), file("a/b")]).is_err());
        assert!(Manifest::new(vec![file("a/c"), file("a-b"), file("a/b")]).is_ok());
    }
}
