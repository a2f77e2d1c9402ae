//! A folder for half-written files, which the next process clears away if its owner is killed.
//!
//! Each owner has a folder of its own below a shared one, and holds a lock on a file in it for as
//! long as it lives; the operating system frees the lock of a killed process. Whoever opens a
//! scratch folder first removes those whose lock it can take. No clock and no process table is
//! asked, so it works between containers that share a volume too.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Name of the lock file, in the shared folder and in each owner's.
const LOCK: &str = "lock";

/// A private folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    n_files: AtomicU64,
    /// Held, never read.
    _lock: fs::File,
}

impl Scratch {
    /// Makes a new folder below `shared`, and removes what killed processes left there.
    pub(crate) fn open(shared: &Path) -> Result<Self, Error> {
        fs::create_dir_all(shared).map_err(Error::io("create", shared))?;
        // Only who holds this lock makes or sweeps folders, so a folder is never seen unlocked
        // between its making and its locking. Where locks are not to be had, nothing is swept.
        let gate = create(&shared.join(LOCK))?;
        match gate.lock() {
            Ok(()) => sweep(shared)?,
            Err(error) => tracing::debug!(%error, "no file locks here: scratch is not swept"),
        }
        let folder = own_folder(shared)?;
        let lock = create(&folder.join(LOCK))?;
        if let Err(TryLockError::Error(error)) = lock.try_lock() {
            tracing::debug!(%error, "scratch folder is not locked");
        }
        Ok(Self { folder, n_files: AtomicU64::new(0), _lock: lock })
    }

    /// A path in the folder that nobody else was given.
    pub(crate) fn path(&self) -> PathBuf {
        // Somebody may have cleared it away; whoever writes hears if it cannot be made again.
        let _ = fs::create_dir_all(&self.folder);
        self.folder.join(self.n_files.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // else the next to open sweeps it
    }
}

/// Makes the first folder of this process's names that is free.
fn own_folder(shared: &Path) -> Result<PathBuf, Error> {
    let process = std::process::id();
    let mut n = 0_u64;
    loop {
        let folder = shared.join(format!("{process}-{n}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n += 1,
            Err(error) => return Err(Error::io("create", &folder)(error)),
        }
    }
}

/// Removes the folders whose owners are gone.
fn sweep(shared: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(shared).map_err(Error::io("list", shared))? {
        let folder = entry.map_err(Error::io("list", shared))?.path();
        if folder.is_dir() && is_abandoned(&folder) {
            tracing::debug!(folder = %folder.display(), "removed what a killed process left");
            let _ = fs::remove_dir_all(&folder); // it is only disk space
        }
    }
    Ok(())
}

/// Whether nobody holds the folder's lock.
fn is_abandoned(folder: &Path) -> bool {
    match fs::OpenOptions::new().write(true).open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn create(path: &Path) -> Result<fs::File, Error> {
    fs::File::create(path).map_err(Error::io("create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(shared: &Path) -> usize {
        fs::read_dir(shared).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count()
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_in_use_stays() {
        let shared = tempfile::tempdir().unwrap();
        let left = shared.path().join("4711-0");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("0"), "half a file").unwrap();

        let first = Scratch::open(shared.path()).unwrap();
        assert!(!left.exists());
        fs::write(first.path(), "in use").unwrap();
        let second = Scratch::open(shared.path()).unwrap();
        assert_eq!(folders(shared.path()), 2);
        assert_ne!(first.path(), first.path());
        assert_ne!(first.folder, second.folder);
        drop((first, second));
        assert_eq!(folders(shared.path()), 0);
    }
}
