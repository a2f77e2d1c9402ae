//! The key under which customer ids are hashed: given by its owner, or made once and kept.

use std::io::{Read, Write};
use std::path::Path;

use crate::failure::Failure;

/// The key in `folder`, made from the system's random source on first use and readable by its owner
/// alone. Another key gives other hashes, so it is part of what names a data set.
pub(crate) fn read_or_make(folder: &Path) -> Result<Vec<u8>, Failure> {
    let path = folder.join("customer.key");
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    let mut key = vec![0; 32];
    let random = Path::new("/dev/urandom");
    std::fs::File::open(random)
        .and_then(|mut source| source.read_exact(&mut key))
        .map_err(|error| Failure::file(random, error))?;
    write_private(&path, &key).map_err(|error| Failure::file(&path, error))?;
    // Another process may have been first: what stands on disk is the key.
    let gone = || Failure::usage(anyhow::anyhow!("{}: was removed meanwhile", path.display()));
    read(&path)?.ok_or_else(gone)
}

/// The key of a file, if there is one.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match std::fs::read(path) {
        Ok(key) if key.len() >= ingest::KEY_BYTES_MIN => Ok(Some(key)),
        Ok(_) => {
            let least = ingest::KEY_BYTES_MIN;
            let path = path.display();
            Err(Failure::usage(anyhow::anyhow!(
                "{path}: must hold {least} bytes or more; remove it"
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file(path, error)),
    }
}

/// Gives a key its name once all of it is on disk; where the name is taken, that one stays.
fn write_private(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(key).and_then(|()| file.sync_all())?;
    let linked = std::fs::hard_link(&unfinished, path);
    let _ = std::fs::remove_file(&unfinished);
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
