//! Local files: listed, digested, written so that they survive a crash.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use lifecycle::{Digest, Hasher};

use crate::Error;

/// Bytes read and written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Runs blocking work on tokio's threads for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Io {
                action: "finish, for the program is stopping, work on",
                path: PathBuf::from("the store"),
                source: io::ErrorKind::Interrupted.into(),
            }),
        },
    }
}

/// Name (parts joined by `/`) and path of each file below a directory, sorted by name.
///
/// Whatever an artifact cannot hold is an error: links, pipes, names that are not UTF-8.
pub(crate) fn list(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), directory.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::io("list", &folder))? {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let path = entry.path();
            let refuse = |reason: &str| Error::Unpublishable {
                path: path.clone(),
                reason: reason.to_owned(),
            };
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?;
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(Error::io("look at", &path))?;
            if kind.is_dir() {
                open.push((format!("{name}/"), path));
            } else if kind.is_file() {
                found.push((name, path));
            } else {
                return Err(refuse("it is neither a file nor a folder"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Length and digest of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, Digest), Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    copy(file, &mut io::sink(), path)
}

/// Copies to a new file, makes it durable, and answers length and digest of what was copied.
pub(crate) fn copy_durably(source: &Path, to: &Path) -> Result<(u64, Digest), Error> {
    let from = fs::File::open(source).map_err(Error::io("open", source))?;
    let mut file = fs::File::create(to).map_err(Error::io("create", to))?;
    let copied = copy(from, &mut file, to)?;
    file.sync_all().map_err(Error::io("write", to))?;
    Ok(copied)
}

/// Writes a new file and makes it durable.
pub(crate) fn write_durably(to: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = fs::File::create(to).map_err(Error::io("create", to))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", to))
}

/// Makes durable which names a folder holds. (Windows has no such call, and does so by itself.)
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io("make durable", folder))?;
    }
    Ok(())
}

/// Copies in pieces, counting and digesting. `path` is for the error.
fn copy(mut from: impl Read, to: &mut impl Write, path: &Path) -> Result<(u64, Digest), Error> {
    let mut hasher = Hasher::default();
    let mut length = 0;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = match from.read(&mut chunk) {
            Ok(0) => return Ok((length, hasher.finish())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("copy", path)(error)),
        };
        hasher.update(&chunk[..n]);
        to.write_all(&chunk[..n]).map_err(Error::io("copy", path))?;
        length += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_name_over_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("panel/deep")).unwrap();
        for name in ["z", "panel/b", "panel/deep/a", "a"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names: Vec<_> =
            list(folder.path()).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "panel/b", "panel/deep/a", "z"]);
    }

    #[cfg(unix)]
    #[test]
    fn refuses_links() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let error = list(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("link`: it is neither a file nor a folder"), "{error}");
    }

    #[test]
    fn a_copy_has_the_digest_of_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 17).map(|i| (i % 251) as u8).collect();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, &bytes).unwrap();
        let copied = copy_durably(&from, &to).unwrap();
        assert_eq!(copied, (bytes.len() as u64, Digest::of(&bytes)));
        assert_eq!(copied, digest(&to).unwrap());
    }
}
