//! The only way to persist. A file is written beside its place, synced, renamed over it, and the
//! folder is synced, so that a power cut leaves the old file or the new one. The journal is two
//! preallocated records instead, because it is written with every poll (`journal`).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use lazaret_agent_core::record::RecordError;

use crate::failpoint::{Failpoints, Step};

#[cfg(test)]
pub(crate) mod crash;
mod disk;
mod journal;
mod lock;

pub use disk::{Disk, Op};
pub use journal::{Copied, JournalFile};
pub use lock::StateLock;

/// Something could not be kept, or what was kept cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// The file system said no.
    #[error("failed to {what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is larger than anything this agent writes there.
    #[error("expected at most {max} bytes in {}, got {got}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        max: u64,
        /// Its size in bytes.
        got: u64,
    },
    /// The journal cannot be read or written.
    #[error("journal {} cannot be used", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// The journal is older than its own copy, which is always written first.
    #[error(
        "journal {} is of generation {got}, its copy of {copied}: somebody put an old one back",
        path.display()
    )]
    JournalWentBack {
        /// The file.
        path: PathBuf,
        /// The copy's generation.
        copied: u64,
        /// The journal's.
        got: u64,
    },
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: keys and claims.
    Owner,
    /// Whoever may enter the folder.
    Folder,
}

/// Adds what was being done, and to which file, to an error.
pub(crate) fn told(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    let path = path.to_owned();
    move |source| DurableError::Io { what, path, source }
}

/// The durable room.
#[derive(Debug, Clone, Default)]
pub struct Durable {
    points: Failpoints,
    disk: Disk,
}

impl Durable {
    /// A room whose steps pass these points.
    #[must_use]
    pub fn new(points: Failpoints) -> Self {
        Self { points, disk: Disk::default() }
    }

    /// A room whose steps pass these points, on this disk.
    #[must_use]
    pub const fn on(points: Failpoints, disk: Disk) -> Self {
        Self { points, disk }
    }

    /// The disk, for the rooms that write files of their own.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The points, for the rooms that sync files of their own.
    #[must_use]
    pub const fn points(&self) -> &Failpoints {
        &self.points
    }

    /// Replaces `path` by `bytes`, durably, as one step.
    ///
    /// # Errors
    /// The file system said no; the old file is still there then.
    pub fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        access: Access,
        step: Step,
    ) -> Result<(), DurableError> {
        self.points.before(step).map_err(told("write", path))?;
        let temporary = beside(path);
        let mode = if access == Access::Owner { 0o600 } else { 0o644 };
        let file = self.disk.create(&temporary, mode).map_err(told("create", &temporary))?;
        self.disk.fill(&file, &temporary, bytes).map_err(told("write", &temporary))?;
        self.disk.sync(&file, &temporary).map_err(told("sync", &temporary))?;
        drop(file);
        self.disk.rename(&temporary, path).map_err(told("rename to", path))?;
        self.sync_parent(path)?;
        self.points.after(step).map_err(told("write", path))
    }

    /// Writes `path` from a stream, durably, as one step: it is there whole or not at all, and what
    /// fails leaves nothing behind.
    ///
    /// # Errors
    /// What `write` returns, or the file system said no.
    pub fn stream(
        &self,
        path: &Path,
        step: Step,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), DurableError> {
        self.points.before(step).map_err(told("write", path))?;
        let temporary = beside(path);
        let streamed = self.disk.create(&temporary, 0o600).and_then(|file| {
            let to = Streamed { disk: &self.disk, file: &file, path: &temporary, at: 0 };
            let mut to = io::BufWriter::with_capacity(64 * 1024, to);
            write(&mut to)?;
            to.flush()?;
            self.disk.sync(&file, &temporary)
        });
        if let Err(err) = streamed {
            // A full disk must not stay full of half a file.
            let _ = self.disk.remove(&temporary);
            return Err(told("write", &temporary)(err));
        }
        self.disk.rename(&temporary, path).map_err(told("rename to", path))?;
        self.sync_parent(path)?;
        self.points.after(step).map_err(told("write", path))
    }

    /// Deletes `path`, durably. A file that is not there is as good as deleted.
    ///
    /// # Errors
    /// The file system said no.
    pub fn delete(&self, path: &Path, step: Step) -> Result<(), DurableError> {
        self.points.before(step).map_err(told("delete", path))?;
        match self.disk.remove(path) {
            Ok(()) => self.sync_parent(path)?,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(told("delete", path)(err)),
        }
        self.points.after(step).map_err(told("delete", path))
    }

    /// Makes the symbolic link `path` point to `target`, atomically and durably.
    ///
    /// # Errors
    /// The file system said no; the old link is still there then.
    pub fn link(&self, path: &Path, target: &str, step: Step) -> Result<(), DurableError> {
        self.points.before(step).map_err(told("link", path))?;
        let temporary = beside(path);
        match self.disk.remove(&temporary) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(told("delete", &temporary)(err));
            }
            _ => self.disk.link(&temporary, target).map_err(told("link", &temporary))?,
        }
        self.disk.rename(&temporary, path).map_err(told("rename to", path))?;
        self.sync_parent(path)?;
        self.points.after(step).map_err(told("link", path))
    }

    /// Makes a folder and all above it, durably.
    ///
    /// # Errors
    /// The file system said no.
    pub fn folder(&self, path: &Path) -> Result<(), DurableError> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            self.folder(above)?;
        }
        match self.disk.folder(path) {
            Err(err) if err.kind() != io::ErrorKind::AlreadyExists => {
                Err(told("make the folder", path)(err))
            }
            _ => self.sync_parent(path),
        }
    }

    /// Gives a file another name, in place of the one that has it, durably.
    ///
    /// # Errors
    /// The file system said no; both names are as they were then.
    pub fn rename(&self, from: &Path, to: &Path, step: Step) -> Result<(), DurableError> {
        self.points.before(step).map_err(told("rename", from))?;
        self.disk.rename(from, to).map_err(told("rename to", to))?;
        self.sync_parent(to)?;
        if from.parent() != to.parent() {
            self.sync_parent(from)?;
        }
        self.points.after(step).map_err(told("rename", from))
    }

    /// Syncs a folder, so that the names in it are durable.
    ///
    /// # Errors
    /// The file system said no.
    pub fn sync_folder(&self, path: &Path) -> Result<(), DurableError> {
        self.disk.sync_folder(path).map_err(told("sync the folder", path))
    }

    fn sync_parent(&self, path: &Path) -> Result<(), DurableError> {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_folder(parent),
            _ => self.sync_folder(Path::new(".")),
        }
    }
}

/// A file that is written from its beginning on.
struct Streamed<'a> {
    disk: &'a Disk,
    file: &'a File,
    path: &'a Path,
    at: u64,
}

impl io::Write for Streamed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write_at(self.file, self.path, bytes, self.at)?;
        self.at = self.at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The whole of a file of at most `max` bytes; none where there is no such file.
///
/// # Errors
/// It is larger, or the file system said no.
pub fn read(path: &Path, max: u64) -> Result<Option<Vec<u8>>, DurableError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(told("open", path)(err)),
    };
    let got = file.metadata().map_err(told("read", path))?.len();
    if got > max {
        return Err(DurableError::TooLarge { path: path.to_owned(), max, got });
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).map_err(told("read", path))?;
    Ok(Some(bytes))
}

/// The temporary place of a file. One per file and not a random one, so that a power cut leaves at
/// most one behind, which the next write takes over.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
pub(crate) mod tests;
