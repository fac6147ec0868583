//! What the agent does to its disk, one function for each operation, so that a harness can see all
//! of them in their order. No decision lives here: which of them make a durable step, the other
//! rooms say.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

/// One operation, told once it is done. Paths are as the agent has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// An empty file is there. A longer one of that name was emptied.
    Create(&'a Path),
    /// Bytes were written into a file, from an offset on.
    Write(&'a Path, u64, &'a [u8]),
    /// A file has this length.
    SetLength(&'a Path, u64),
    /// What was written into a file, and its length, are on the disk.
    Sync(&'a Path),
    /// The names in a folder are on the disk.
    SyncFolder(&'a Path),
    /// All of the file system that a folder is on is on the disk.
    SyncAll(&'a Path),
    /// A file, a link or a folder has another name.
    Rename(&'a Path, &'a Path),
    /// A name is gone.
    Remove(&'a Path),
    /// A symbolic link is there, with this target.
    Link(&'a Path, &'a str),
    /// A folder is there.
    Folder(&'a Path),
}

type Tap = dyn Fn(&Op<'_>) + Send + Sync;

/// The disk.
#[derive(Clone, Default)]
pub struct Disk {
    tap: Option<Arc<Tap>>,
}

impl Disk {
    /// A disk that tells of each operation once it is done.
    pub fn telling(tap: impl Fn(&Op<'_>) + Send + Sync + 'static) -> Self {
        Self { tap: Some(Arc::new(tap)) }
    }

    fn told(&self, done: io::Result<()>, op: &Op<'_>) -> io::Result<()> {
        done.inspect(|()| {
            if let Some(tap) = &self.tap {
                tap(op);
            }
        })
    }

    /// Makes an empty file for writing; one that is there is emptied.
    ///
    /// # Errors
    /// The file system said no, as with each of these.
    pub fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
        self.told(Ok(()), &Op::Create(path))?;
        Ok(file)
    }

    /// Opens a file for reading and writing, and makes it where it is absent.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                let file = options.create_new(true).open(path)?;
                self.told(Ok(()), &Op::Create(path))?;
                Ok(file)
            }
            other => other,
        }
    }

    /// Writes a whole new file.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn fill(&self, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.told(file.write_all(bytes), &Op::Write(path, 0, bytes))
    }

    /// Writes bytes from an offset on.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn write_at(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        self.told(file.write_all_at(bytes, at), &Op::Write(path, at, bytes))
    }

    /// Gives a file another length.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn set_length(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.told(file.set_len(length), &Op::SetLength(path, length))
    }

    /// Has the disk write what was written into the file.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.told(file.sync_data(), &Op::Sync(path))
    }

    /// Has the disk write the names in a folder.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        self.told(synced, &Op::SyncFolder(path))
    }

    /// Has the disk write all of the file system that a folder is on.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn sync_all(&self, path: &Path) -> io::Result<()> {
        let synced = File::open(path).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
        self.told(synced, &Op::SyncAll(path))
    }

    /// Gives a file another name, in place of the one that has it.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.told(fs::rename(from, to), &Op::Rename(from, to))
    }

    /// Takes a file's name away.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.told(fs::remove_file(path), &Op::Remove(path))
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn link(&self, path: &Path, target: &str) -> io::Result<()> {
        self.told(symlink(target, path), &Op::Link(path, target))
    }

    /// Makes a folder in one that is there.
    ///
    /// # Errors
    /// See [`Disk::create`].
    pub fn folder(&self, path: &Path) -> io::Result<()> {
        self.told(fs::create_dir(path), &Op::Folder(path))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("telling", &self.tap.is_some()).finish()
    }
}
