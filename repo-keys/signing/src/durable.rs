//! The one way that this crate and `lazaret-keys` put bytes on a disk: write beside, sync, rename,
//! sync the folder. After a power cut a file is there whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Who may read what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only the owner: private keys.
    Private,
    /// Everybody: metadata, certificates, public keys.
    Public,
}

impl Access {
    fn permissions(self) -> Permissions {
        Permissions::from_mode(match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        })
    }
}

/// A file or folder that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is there, and nothing is ever overwritten.
    #[error("{} exists and is not overwritten", .path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Larger than what such a file can be.
    #[error("expected at most {max} bytes in {}", .path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
    },
    /// The system refused.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was being done, such as `read`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { what, path, source }
    }
}

/// Writes a new file.
///
/// # Errors
/// The file exists, or the system refused.
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let folder = folder_of(path);
    let temporary = prepare(folder, path, bytes, access)?;
    temporary.persist_noclobber(path).map_err(|err| {
        if err.error.kind() == io::ErrorKind::AlreadyExists {
            return FileError::Exists { path: path.to_path_buf() };
        }
        FileError::Io { what: "write", path: path.to_path_buf(), source: err.error }
    })?;
    sync_folder(folder)
}

/// Writes a new file, or finds the same bytes there: a step that is run again does no harm.
///
/// # Errors
/// The file exists with other bytes, or the system refused.
pub fn write_once(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    match write_new(path, bytes, access) {
        Err(FileError::Exists { path })
            if fs::read(&path).is_ok_and(|existing| existing == bytes) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Writes a file piece by piece, in the place of one that may be there: for what can be made again.
///
/// # Errors
/// `write` failed, or the system refused.
pub fn replace_with<T, E: From<FileError>>(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let folder = folder_of(path);
    create_folder(folder)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".lazaret-")
        .permissions(access.permissions())
        .tempfile_in(folder)
        .map_err(FileError::io("write", path))?;
    let made = write(temporary.as_file_mut())?;
    temporary.as_file().sync_all().map_err(FileError::io("sync", path))?;
    temporary.persist(path).map_err(|err| FileError::io("write", path)(err.error))?;
    sync_folder(folder)?;
    Ok(made)
}

/// Makes a folder with all of `files` in it, or nothing. A folder with something in it is refused.
///
/// # Errors
/// The folder is not empty, or the system refused.
pub fn write_folder(folder: &Path, files: &[(&str, &[u8], Access)]) -> Result<(), FileError> {
    let parent = folder_of(folder);
    create_folder(parent)?;
    let temporary = tempfile::Builder::new()
        .prefix(".lazaret-")
        .tempdir_in(parent)
        .map_err(FileError::io("make a folder in", parent))?;
    for (name, bytes, access) in files {
        write_new(&temporary.path().join(name), bytes, *access)?;
    }
    // rename(2) replaces an empty folder and refuses one that has something in it.
    fs::rename(temporary.path(), folder).map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
            FileError::Exists { path: folder.to_path_buf() }
        }
        _ => FileError::Io { what: "write", path: folder.to_path_buf(), source },
    })?;
    let _renamed_away = temporary.keep();
    sync_folder(parent)
}

/// Appends one line and syncs it.
///
/// # Errors
/// The system refused.
pub fn append_line(path: &Path, line: &str) -> Result<(), FileError> {
    let new = !path.exists();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(FileError::io("append to", path))?;
    // One write call, so that two ceremonies on one transcript do not mix within a line.
    let mut bytes = line.as_bytes().to_vec();
    bytes.push(b'\n');
    file.write_all(&bytes).map_err(FileError::io("append to", path))?;
    file.sync_all().map_err(FileError::io("sync", path))?;
    if new { sync_folder(folder_of(path)) } else { Ok(()) }
}

/// Makes a folder and its parents.
///
/// # Errors
/// The system refused.
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(FileError::io("make the folder", folder))?;
    sync_folder(folder_of(folder))
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// Larger, or the system refused.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io("read", path))?;
    read_open(file, path, max)
}

pub(crate) fn read_open(file: File, path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|got| got <= max) {
        return Ok(bytes);
    }
    Err(FileError::TooLarge { path: path.to_path_buf(), max })
}

fn prepare(
    folder: &Path,
    path: &Path,
    bytes: &[u8],
    access: Access,
) -> Result<tempfile::NamedTempFile, FileError> {
    create_folder(folder)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".lazaret-")
        .permissions(access.permissions())
        .tempfile_in(folder)
        .map_err(FileError::io("write", path))?;
    temporary.write_all(bytes).map_err(FileError::io("write", path))?;
    temporary.as_file().sync_all().map_err(FileError::io("sync", path))?;
    Ok(temporary)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(FileError::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        write_new(&path, b"one", Access::Private).unwrap();
        let refused = write_new(&path, b"two", Access::Private).unwrap_err();
        assert!(matches!(refused, FileError::Exists { .. }));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_comes_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        write_folder(&path, &[("a", b"1", Access::Public), ("b", b"2", Access::Private)]).unwrap();
        assert_eq!(fs::read(path.join("b")).unwrap(), b"2");
        let refused = write_folder(&path, &[("c", b"3", Access::Public)]).unwrap_err();
        assert!(matches!(refused, FileError::Exists { .. }));
        assert!(!path.join("c").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary folder is left");
    }
}
