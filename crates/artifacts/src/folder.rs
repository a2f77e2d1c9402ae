//! A store in a folder of this machine, or of a volume that machines share.
//!
//! `object_store` has a local store, but it never calls fsync: after a power cut a record could name
//! a blob that is empty. Here each object is written to a scratch file, made durable, and only then
//! given its name, in one step; so a name stands for all of its bytes or is not there.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lifecycle::Digest;

use crate::Error;
use crate::backend::{BLOBS, CONTENTS, DAMAGED, KEYS, RECORD_BYTES_MAX, too_large};
use crate::files::{copy_durably, sync_folder, write_durably};
use crate::scratch::Scratch;

/// The root folder, and one below it for half-written files (the same file system, to rename).
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    scratch: Scratch,
}

impl Folder {
    /// Opens the store, making its folders where they are missing.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        for below in [BLOBS, CONTENTS, KEYS, DAMAGED] {
            let folder = root.join(below);
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        }
        sync_folder(&root)?;
        let scratch = Scratch::open(&root.join("scratch"))?;
        Ok(Self { root, scratch })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn read(&self, record: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.root.join(record);
        let Some(file) = found(fs::File::open(&path)).map_err(Error::io("open", &path))? else {
            return self.missing();
        };
        let mut bytes = Vec::new();
        file.take(RECORD_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", &path))?;
        if bytes.len() as u64 > RECORD_BYTES_MAX { Err(too_large(record)) } else { Ok(Some(bytes)) }
    }

    pub(crate) fn create(&self, record: &str, bytes: &[u8]) -> Result<bool, Error> {
        self.present()?;
        let scratch = self.scratch.path();
        write_durably(&scratch, bytes)?;
        let path = self.root.join(record);
        let linked = fs::hard_link(&scratch, &path); // unlike a rename, fails where the name exists
        let _ = fs::remove_file(&scratch);
        match linked {
            Ok(()) => sync_parent(&path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("create", &path)(error)),
        }
    }

    pub(crate) fn write(&self, record: &str, bytes: &[u8]) -> Result<(), Error> {
        self.present()?;
        let scratch = self.scratch.path();
        write_durably(&scratch, bytes)?;
        self.replace(&scratch, record)
    }

    /// Stores a copy of the file as `below/<digest>`, in place of what may lie there damaged.
    pub(crate) fn store_blob(&self, below: &str, source: &Path) -> Result<(u64, Digest), Error> {
        self.present()?;
        let folder = self.root.join(below);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let scratch = self.scratch.path();
        let (length, digest) = copy_durably(source, &scratch)?;
        set_read_only(&scratch)?; // fetched files are links to the blob
        self.replace(&scratch, &format!("{below}/{digest}"))?;
        Ok((length, digest))
    }

    /// Gives the object a second name, or copies it to another file system. False if it is missing.
    pub(crate) fn load(&self, object: &str, to: &Path) -> Result<bool, Error> {
        let path = self.root.join(object);
        let copied = match fs::hard_link(&path, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                fs::copy(&path, to).map(|_| ())
            }
            linked => linked,
        };
        match found(copied).map_err(Error::io("read", &path))? {
            Some(()) => Ok(true),
            None => self.present().map(|()| false),
        }
    }

    pub(crate) fn length(&self, object: &str) -> Result<Option<u64>, Error> {
        let path = self.root.join(object);
        match found(fs::metadata(&path)).map_err(Error::io("look at", &path))? {
            Some(metadata) => Ok(Some(metadata.len())),
            None => self.missing(),
        }
    }

    pub(crate) fn set_aside(&self, object: &str) -> Result<(), Error> {
        let path = self.root.join(object);
        let name = path.file_name().expect("objects lie in folders of the store");
        let aside = self.root.join(DAMAGED).join(name);
        found(fs::rename(&path, &aside)).map(|_| ()).map_err(Error::io("move", &path))
    }

    pub(crate) fn delete(&self, object: &str) -> Result<(), Error> {
        let path = self.root.join(object);
        found(fs::remove_file(&path)).map_err(Error::io("delete", &path))?;
        sync_parent(&path)
    }

    /// Whether the store itself is there: what is not in a store that is gone may well exist.
    fn present(&self) -> Result<(), Error> {
        if self.root.join(KEYS).is_dir() {
            return Ok(());
        }
        Err(Error::Gone { root: self.root.clone() })
    }

    /// Nothing, of a store that is there.
    fn missing<T>(&self) -> Result<Option<T>, Error> {
        self.present().map(|()| None)
    }

    /// Gives a durable scratch file its name, which from then on stands for it, crash or not.
    fn replace(&self, scratch: &Path, object: &str) -> Result<(), Error> {
        let path = self.root.join(object);
        fs::rename(scratch, &path).map_err(Error::io("create", &path))?;
        sync_parent(&path)
    }
}

/// `None` for what is not there.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync_parent(path: &Path) -> Result<(), Error> {
    sync_folder(path.parent().expect("objects lie in folders of the store"))
}

fn set_read_only(path: &Path) -> Result<(), Error> {
    let mut permissions = fs::metadata(path).map_err(Error::io("look at", path))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).map_err(Error::io("protect", path))
}
