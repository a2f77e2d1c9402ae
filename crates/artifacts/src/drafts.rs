//! Unfinished work that a process on another machine may take up: the last checkpoints of a training.
//!
//! A draft is a folder of files. Those of one key lie below `drafts/<key>/`, each file under its
//! digest, and `index` names the last ones; it is written after their files, so a process that dies
//! while it uploads leaves the drafts before. Two that write at one time may lose each other's latest
//! draft, never tear one.

use std::fs;
use std::path::Path;

use lifecycle::Digest;
use serde::{Deserialize, Serialize};

use crate::backend::DRAFTS;
use crate::files::{blocking, digest, list};
use crate::manifest::{File, Manifest};
use crate::{Error, Store};

/// Drafts that are kept of a key, of those below one folder.
const N_KEPT: usize = 2;

/// What `index` says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    /// The latest last.
    drafts: Vec<Draft>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Draft {
    /// Folder, below that of the key's work.
    name: String,
    files: Manifest,
}

impl Draft {
    /// The folder of its name: drafts of one are kept apart from those of another.
    fn parent(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(parent, _)| parent)
    }
}

impl Store {
    /// Keeps a folder of unfinished work, in place of the oldest that is kept under this key.
    pub async fn keep_draft(&self, key: &Digest, name: &str, folder: &Path) -> Result<(), Error> {
        let below = format!("{DRAFTS}/{key}");
        let path = folder.to_owned();
        let mut files = Vec::new();
        for (file, path) in blocking(move || list(&path)).await? {
            let (length, sha256) = self.backend.store_blob(&below, &path).await?;
            files.push(File { name: file, length, sha256 });
        }
        let files = Manifest::new(files).map_err(|invalid| Error::Unpublishable {
            path: folder.to_owned(),
            reason: invalid.to_string(),
        })?;
        let new = Draft { name: name.to_owned(), files };
        let (mut old, mut n_kept) = (Vec::new(), 1);
        let mut index = Index::default();
        for draft in self.index(&below).await?.drafts.into_iter().rev() {
            let is_sibling = draft.parent() == new.parent();
            if draft.name == new.name || (is_sibling && n_kept == N_KEPT) {
                old.push(draft);
            } else {
                n_kept += usize::from(is_sibling);
                index.drafts.push(draft);
            }
        }
        index.drafts.reverse();
        index.drafts.push(new);
        let bytes = serde_json::to_vec(&index).expect("names and digests are plain data");
        self.backend.write(&format!("{below}/index"), bytes).await?;
        let is_kept = |sha256: &Digest| {
            let files = index.drafts.iter().flat_map(|draft| draft.files.files());
            files.into_iter().any(|file| file.sha256 == *sha256)
        };
        for file in old.iter().flat_map(|draft| draft.files.files()) {
            if !is_kept(&file.sha256) {
                self.backend.delete(&format!("{below}/{}", file.sha256)).await?;
            }
        }
        Ok(())
    }

    /// Puts the drafts of a key into `into/<name>`, each whole or not at all; those that are there
    /// already stay. Answers how many were fetched.
    pub async fn fetch_drafts(&self, key: &Digest, into: &Path) -> Result<usize, Error> {
        let below = format!("{DRAFTS}/{key}");
        let mut n_fetched = 0;
        for Draft { name, files } in self.index(&below).await?.drafts {
            let folder = into.join(&name);
            let is_below = name.split('/').all(|part| !["", ".", ".."].contains(&part));
            if !is_below || folder.exists() {
                continue;
            }
            match self.fetch_draft(&below, files.files(), &folder).await {
                Ok(()) => n_fetched += 1,
                // Replaced meanwhile, or damaged: there is another one, or work begins anew.
                Err(error) => tracing::warn!(%error, name, "draft cannot be fetched"),
            }
        }
        Ok(n_fetched)
    }

    async fn fetch_draft(&self, below: &str, files: &[File], folder: &Path) -> Result<(), Error> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let partial = folder.with_file_name(format!(".partial-{name}"));
        let _ = fs::remove_dir_all(&partial);
        for file in files {
            let to = partial.join(&file.name);
            let parent = to.parent().unwrap_or(&partial);
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
            let object = format!("{below}/{}", file.sha256);
            let is_there = self.backend.load(&object, &to).await?;
            let found = if is_there { Some(digest(&to)?) } else { None };
            if found != Some((file.length, file.sha256)) {
                let reason = "is missing, or has other bytes than its name says".to_owned();
                return Err(Error::CorruptRecord { record: object, reason });
            }
        }
        fs::rename(&partial, folder).map_err(Error::io("create", folder))
    }

    /// Forgets the drafts of work that is done.
    pub async fn drop_drafts(&self, key: &Digest) -> Result<(), Error> {
        let below = format!("{DRAFTS}/{key}");
        let index = self.index(&below).await?;
        if index.drafts.is_empty() {
            return Ok(());
        }
        self.backend.delete(&format!("{below}/index")).await?;
        for file in index.drafts.iter().flat_map(|draft| draft.files.files()) {
            self.backend.delete(&format!("{below}/{}", file.sha256)).await?;
        }
        Ok(())
    }

    /// An index that cannot be read is none: what it named is made again.
    async fn index(&self, below: &str) -> Result<Index, Error> {
        let bytes = self.backend.read(&format!("{below}/index")).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_drafts_are_kept_whole_and_forgotten_when_the_work_is_done() {
        let home = tempfile::tempdir().expect("a folder");
        for uri in [format!("{}/store", home.path().display()), "memory://".to_owned()] {
            let store = Store::open(&uri).expect("opens");
            let key = Digest::of("a training");
            let folder = home.path().join("step");
            fs::create_dir_all(&folder).expect("a folder");
            for step in 1..=3 {
                fs::write(folder.join("state.json"), format!("step {step}")).expect("written");
                fs::write(folder.join("same"), "in all of them").expect("written");
                let name = format!("member-0/step-{step}");
                store.keep_draft(&key, &name, &folder).await.expect("kept");
            }
            let into = home.path().join(format!("into-{}", uri.len()));
            assert_eq!(store.fetch_drafts(&key, &into).await.expect("fetched"), 2);
            assert!(!into.join("member-0/step-1").exists());
            for step in 2..=3 {
                let file = into.join(format!("member-0/step-{step}/state.json"));
                assert_eq!(fs::read_to_string(file).expect("there"), format!("step {step}"));
                assert!(into.join(format!("member-0/step-{step}/same")).exists());
            }
            assert_eq!(store.fetch_drafts(&key, &into).await.expect("nothing new"), 0);
            store.drop_drafts(&key).await.expect("dropped");
            let empty = home.path().join("empty");
            assert_eq!(store.fetch_drafts(&key, &empty).await.expect("none"), 0);
        }
    }
}
