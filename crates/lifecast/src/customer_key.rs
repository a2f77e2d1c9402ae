//! The key under which customer ids are hashed: given by its owner, or made once and kept.

use std::io::{Read, Write};
use std::path::Path;

use crate::failure::Failure;

/// The key in `folder`, made from the system's random source on first use and readable by its owner
/// alone. Another key gives other hashes, so it is part of what names a data set.
pub(crate) fn read_or_make(folder: &Path) -> Result<Vec<u8>, Failure> {
    let path = folder.join("customer.key");
    match std::fs::read(&path) {
        Ok(key) if key.len() >= 16 => return Ok(key),
        Ok(_) => {
            let reason = format!("{}: must hold at least 16 bytes; remove it", path.display());
            return Err(Failure::usage(anyhow::anyhow!(reason)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::file(&path, error)),
    }
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    let mut key = vec![0; 32];
    let random = Path::new("/dev/urandom");
    std::fs::File::open(random)
        .and_then(|mut source| source.read_exact(&mut key))
        .map_err(|error| Failure::file(random, error))?;
    write_private(&path, &key).map_err(|error| Failure::file(&path, error))?;
    // Another process may have been first: what stands on disk is the key.
    std::fs::read(&path).map_err(|error| Failure::file(&path, error))
}

fn write_private(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => file.write_all(key).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
