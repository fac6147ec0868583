//! The store's folder: who may open it, what format it has, and what must be synced before anybody
//! is answered. sled's own `flush` ends in `sync_file_range`, which does not reach through a disk's
//! cache, and it never syncs its blob files, its `conf` or any folder: all of that is done here.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::backends::OpenError;

/// The newest layout of the tree that this program reads, and the one it writes.
const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "lazaret-store sled ";
/// The longest format file worth reading, in bytes.
const FORMAT_BYTES_MAX: u64 = 64;

/// How often and how long to wait for an earlier store of this same process to let go of sled's
/// file: its background threads hold it for some milliseconds after it is dropped.
const RELEASE_TRIES: u32 = 250;
const RELEASE_WAIT: Duration = Duration::from_millis(20);

/// A folder that is ours alone for as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that is being spawned at this moment has a copy of
        // the descriptor until it execs, and the lock with it. If unlocking fails, closing remains.
        let _closed_anyway = self.lock.unlock();
    }
}

/// Whether a commit is followed by a real sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before every answer.
    Real,
    /// Never: sled's `flush` alone, which loses acknowledged records with the power.
    DangerSkipped,
}

/// What is synced after a group.
#[derive(Debug)]
pub(super) struct Durability {
    sync: Sync,
    log: File,
    blobs: PathBuf,
    blobs_synced: HashSet<OsString>,
}

impl Folder {
    /// Takes `dir` for this process, and makes it a store of the present format if it is empty.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let failed =
            |action| move |source| OpenError::Folder { dir: dir.to_owned(), action, source };
        make_folder(dir).map_err(failed("make a folder"))?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"));
        let lock = lock.map_err(failed("open the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("lock a file")(source)),
        }
        check_format(dir, failed)?;
        // A process that was killed may have left writes that only the kernel has. sled reads them
        // as facts and syncs a snapshot that rests on them, so they must be on disk before.
        sync_folder(dir).map_err(failed("sync the files"))?;
        wait_for_release(&dir.join("db")).map_err(|()| OpenError::InUse { dir: dir.to_owned() })?;
        forget_unfinished_snapshots(dir).map_err(failed("remove an unfinished snapshot"))?;
        Ok(Self { dir: dir.to_owned(), lock })
    }

    /// Syncs what opening the engine wrote, and says what to sync from now on.
    pub(super) fn durability(&self, sync: Sync) -> Result<Durability, OpenError> {
        let failed =
            |source| OpenError::Folder { dir: self.dir.clone(), action: "sync the files", source };
        sync_folder(&self.dir).map_err(failed)?;
        let log = File::open(self.dir.join("db")).map_err(failed)?;
        let blobs = self.dir.join("blobs");
        Ok(Durability { sync, log, blobs, blobs_synced: HashSet::new() })
    }
}

impl Durability {
    /// Returns when everything the engine has written is on disk. Blob files first: the log refers
    /// to them.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.sync == Sync::DangerSkipped {
            return Ok(());
        }
        self.sync_new_blobs()?;
        self.log.sync_data()
    }

    /// Pages of 128 KiB and more get a file of their own. Pieces of records are too small for that
    /// (see `layout`), but a page of 256 long keys is not.
    fn sync_new_blobs(&mut self) -> io::Result<()> {
        let mut present = HashSet::new();
        let mut found_new = false;
        for entry in fs::read_dir(&self.blobs)? {
            let name = entry?.file_name();
            if !self.blobs_synced.contains(&name) {
                sync_if_there(&self.blobs.join(&name))?;
                found_new = true;
            }
            present.insert(name);
        }
        self.blobs_synced = present;
        if found_new { File::open(&self.blobs)?.sync_all() } else { Ok(()) }
    }
}

/// The parent is synced also if the folder is there: whoever made it may not have come that far.
fn make_folder(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads the format record, or writes it where nothing else is. It is written before the engine
/// makes its first file, so a folder with files and no record is not a store.
fn check_format<F>(dir: &Path, failed: impl Fn(&'static str) -> F) -> Result<(), OpenError>
where
    F: FnOnce(io::Error) -> OpenError,
{
    let not_ours = |found| OpenError::NotThisStore { dir: dir.to_owned(), engine: "sled", found };
    let mut text = String::new();
    match File::open(dir.join("format")) {
        Ok(file) => file.take(FORMAT_BYTES_MAX).read_to_string(&mut text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let strangers = strangers(dir).map_err(failed("list the files"))?;
            if let Some(name) = strangers {
                return Err(not_ours(format!("{name:?} and no format record")));
            }
            return write_format(dir).map_err(failed("write the format record"));
        }
        Err(error) => Err(error),
    }
    .map_err(failed("read the format record"))?;
    let number = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.trim_end().parse().ok());
    match number {
        None => Err(not_ours(format!("the format record {text:?}"))),
        Some(found) if found > FORMAT => {
            Err(OpenError::NewerFormat { dir: dir.to_owned(), found, understood: FORMAT })
        }
        Some(_) => Ok(()),
    }
}

/// The first file that a store which was never opened does not have.
fn strangers(dir: &Path) -> io::Result<Option<OsString>> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name != "lock" && name != "format.new" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn write_format(dir: &Path) -> io::Result<()> {
    let new = dir.join("format.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&new, dir.join("format"))?;
    File::open(dir)?.sync_all()
}

/// Syncs every file in `dir` and in the folders in it, then the folders.
fn sync_folder(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_folder(&entry.path())?;
        } else if kind.is_file() {
            sync_if_there(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

/// The engine removes files it no longer needs at any time.
fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// sled takes a snapshot that it did not come to the end of for its newest one and then finds it
/// corrupt, so that a crash or a full disk while it opens would be the end of the store. Until a
/// snapshot is whole and loses the suffix, the log and the snapshot before it say all that it
/// would.
fn forget_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled locks its file in the same way. With our own lock held, whoever still has it is an earlier
/// store of this process on its way out, or a program that is not ours.
fn wait_for_release(log: &Path) -> Result<(), ()> {
    let Ok(file) = OpenOptions::new().write(true).open(log) else { return Ok(()) };
    for _ in 0..RELEASE_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(RELEASE_WAIT),
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    Err(())
}
