//! The place of an image: a file, which is made and cut as needed, or a block device, which has its
//! length and is written raw.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{SlotError, io_err};
use crate::durable::{Disk, Durable};
use crate::probes::free_bytes;

/// The open image of a slot.
#[derive(Debug)]
pub struct SlotFile {
    file: File,
    path: PathBuf,
    disk: Disk,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Device,
}

impl SlotFile {
    /// Opens it, and makes a file where nothing is. A block device that is mounted, or that
    /// somebody else has opened for themselves, is refused by the kernel (`O_EXCL`).
    ///
    /// # Errors
    /// The file system said no.
    pub fn open(path: &Path, durable: &Durable) -> Result<Self, SlotError> {
        let disk = durable.disk().clone();
        let is_device = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device());
        let (file, kind) = if is_device {
            let exclusive = i32::try_from(rustix::fs::OFlags::EXCL.bits()).unwrap_or_default();
            let mut options = OpenOptions::new();
            options.read(true).write(true).custom_flags(exclusive);
            (options.open(path).map_err(io_err("open for itself alone", path))?, Kind::Device)
        } else {
            let there = path.exists();
            let file = disk.open(path).map_err(io_err("open", path))?;
            if let (false, Some(folder)) = (there, path.parent()) {
                durable.sync_folder(folder)?;
            }
            (file, Kind::File)
        };
        Ok(Self { file, path: path.to_owned(), disk, kind })
    }

    /// Bytes that are there: of a device, all that it has.
    pub(crate) fn length(&self) -> io::Result<u64> {
        match self.kind {
            Kind::File => Ok(self.file.metadata()?.len()),
            Kind::Device => (&self.file).seek(SeekFrom::End(0)),
        }
    }

    /// Where an image of so many bytes ends when it is read back: a device goes on behind it, a
    /// file must not.
    pub(crate) const fn end_of(&self, image_length: u64) -> u64 {
        match self.kind {
            Kind::File => u64::MAX,
            Kind::Device => image_length,
        }
    }

    /// Leaves only the first `length` bytes, durably. Those of a device stay, and are not read.
    pub(crate) fn cut(&self, length: u64) -> io::Result<()> {
        if self.kind == Kind::Device || self.length()? == length {
            return Ok(());
        }
        self.disk.set_length(&self.file, &self.path, length)?;
        self.sync()
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.write_at(&self.file, &self.path, bytes, at)
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(bytes, at)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file, &self.path)
    }

    /// Has the system forget what it has of it in memory, so that it is read from the disk. Advice
    /// only: where it is not taken, the bytes come from memory, and have been synced all the same.
    pub(crate) fn forget_cached(&self) {
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// Another handle, for reading.
    pub(crate) fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// Bytes that an image at `path` could take.
pub(super) fn room(path: &Path) -> Result<u64, SlotError> {
    let (there, is_device) = match fs::metadata(path) {
        Ok(meta) => (meta.len(), meta.file_type().is_block_device()),
        Err(_) => (0, false),
    };
    if is_device {
        let end = File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0)));
        return end.map_err(io_err("look at", path));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let free = free_bytes(folder).map_err(io_err("look at", folder))?;
    Ok(free.saturating_add(there))
}
