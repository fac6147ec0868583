//! The tar file of a bundle (POSIX.1-1988 and ustar). It comes from whoever held it, so all that is
//! odd is refused: every reader must see the same files, and nothing may hide between them. Nothing
//! is unpacked onto the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::limits::{BUNDLE_BYTES_MAX, ENVELOPE_BYTES_MAX};
use lazaret_protocol_evidence::bundle::{FileFound, is_looked_into};
use lazaret_protocol_evidence::manifest::{
    ARTIFACTS_MAX, DEVICE_FILE, MANIFEST_FILE, SUMS_FILE, SUMS_SIGNATURE_FILE, is_bundle_path,
    log_path,
};
use lazaret_protocol_evidence::sums::SUMS_BYTES_MAX;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

/// A tar block, in bytes.
const BLOCK: u64 = 512;

/// Largest `device.pem`, in bytes.
const DEVICE_BYTES_MAX: u64 = 64 * 1024;

/// Largest file of a log, in bytes: a bundle of 256 records of the longest kind.
const LOG_FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Bytes of all files of the log together: as much as a device may keep.
const LOG_BYTES_MAX: u64 = 80 * 1024 * 1024;

/// Files of one bundle: the artifacts, the fixed ones, and the tiles of a log of that size.
const FILES_MAX: usize = ARTIFACTS_MAX + 8192;

/// What the archive holds. The artifacts are only hashed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// The content of what the verdict looks into, by path.
    pub(crate) content: BTreeMap<String, Vec<u8>>,
    /// Every file.
    pub(crate) files: Vec<FileFound>,
}

impl Bundle {
    /// The bytes of `device.pem`.
    pub(crate) fn device(&self) -> Option<&[u8]> {
        self.content.get(DEVICE_FILE).map(Vec::as_slice)
    }
}

/// Why an archive is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The file cannot be read, or is no tar archive.
    #[error("not a readable tar archive")]
    Unreadable(#[from] io::Error),
    /// More bytes than any bundle has, unpacked.
    #[error("expected an archive of at most {} bytes, got {got}", 4 * BUNDLE_BYTES_MAX)]
    TooLarge { got: u64 },
    /// More files than any bundle has.
    #[error("expected at most {FILES_MAX} files")]
    TooManyFiles,
    /// A folder, a link, a device, an extension header.
    #[error("expected nothing but files, got {name:?} of the tar type {kind:?}")]
    NotAFile { name: String, kind: char },
    /// A path that no bundle has: absolute, with `..`, in a folder of its own.
    #[error("{name:?} is no path of a bundle")]
    OddPath { name: String },
    /// A path that is there twice.
    #[error("{name} is there twice")]
    Twice { name: String },
    /// A file larger than it may be.
    #[error("expected {name} to have at most {max} bytes, got {got}")]
    FileTooLarge { name: String, max: u64, got: u64 },
    /// The archive ends in the middle of a file.
    #[error("the archive ends after {got} of the {expected} bytes of {name}")]
    Truncated { name: String, expected: u64, got: u64 },
    /// Bytes where an archive has none.
    #[error("expected zeros {place}, got something else")]
    Hidden { place: String },
}

/// Reads the archive of a bundle.
pub(crate) fn read(file: File) -> Result<Bundle, ArchiveError> {
    let length = file.metadata()?.len();
    if length > 4 * BUNDLE_BYTES_MAX {
        return Err(ArchiveError::TooLarge { got: length });
    }
    let mut archive = Archive::new(file);
    let mut reading = Reading::default();
    // Raw, so that extension headers, which rename what follows them, are seen and refused.
    for entry in archive.entries()?.raw(true) {
        reading.take(&mut entry?)?;
    }
    let Reading { bundle, paddings, end, .. } = reading;
    let mut file = archive.into_inner();
    for (name, start, length) in paddings {
        check_zeros(&mut file, start, length, || format!("after {name}"))?;
    }
    check_zeros(&mut file, end, length.saturating_sub(end), || "after the last file".to_owned())?;
    Ok(bundle)
}

#[derive(Debug, Default)]
struct Reading {
    bundle: Bundle,
    seen: BTreeSet<String>,
    /// After which file, from which byte, how many.
    paddings: Vec<(String, u64, u64)>,
    /// Where the last file's padding ends.
    end: u64,
    /// Bytes of the log so far.
    log: u64,
}

impl Reading {
    fn take(&mut self, entry: &mut Entry<'_, File>) -> Result<(), ArchiveError> {
        let name = path_of(entry)?;
        if self.seen.len() >= FILES_MAX {
            return Err(ArchiveError::TooManyFiles);
        }
        if !self.seen.insert(name.clone()) {
            return Err(ArchiveError::Twice { name });
        }
        let (start, length) = (entry.raw_file_position(), entry.size());
        check_size(&name, length)?;
        if log_path(&name).is_some() {
            self.log = self.log.saturating_add(length);
            if self.log > LOG_BYTES_MAX {
                let max = LOG_BYTES_MAX;
                return Err(ArchiveError::FileTooLarge { name, max, got: self.log });
            }
        }
        let (kept, found) = read_file(entry, name, length)?;
        let data_end = start.saturating_add(length);
        self.end = data_end.next_multiple_of(BLOCK);
        let padding = (found.name.clone(), data_end, self.end.saturating_sub(data_end));
        self.paddings.push(padding);
        if let Some(kept) = kept {
            self.bundle.content.insert(found.name.clone(), kept);
        }
        self.bundle.files.push(found);
        Ok(())
    }
}

fn path_of(entry: &Entry<'_, File>) -> Result<String, ArchiveError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).chars().take(128).collect::<String>();
    let kind = entry.header().entry_type();
    // The old form writes a regular file as zero.
    if kind != EntryType::Regular {
        return Err(ArchiveError::NotAFile { name, kind: char::from(kind.as_byte()) });
    }
    if !is_bundle_path(&name) {
        return Err(ArchiveError::OddPath { name });
    }
    Ok(name)
}

fn check_size(name: &str, got: u64) -> Result<(), ArchiveError> {
    let max = match name {
        MANIFEST_FILE => ENVELOPE_BYTES_MAX as u64,
        DEVICE_FILE | SUMS_SIGNATURE_FILE => DEVICE_BYTES_MAX,
        SUMS_FILE => SUMS_BYTES_MAX as u64,
        name if log_path(name).is_some() => LOG_FILE_BYTES_MAX,
        _ => BUNDLE_BYTES_MAX,
    };
    if got > max {
        return Err(ArchiveError::FileTooLarge { name: name.to_owned(), max, got });
    }
    Ok(())
}

/// Hashes a file, and keeps it where the verdict looks into it.
fn read_file(
    entry: &mut impl Read,
    name: String,
    expected: u64,
) -> Result<(Option<Vec<u8>>, FileFound), ArchiveError> {
    let mut kept = is_looked_into(&name).then(Vec::new);
    let mut hash = Sha256::new();
    let mut length = 0u64;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = entry.read(&mut buffer)?;
        let Some(read @ [_, ..]) = buffer.get(..count) else { break };
        hash.update(read);
        length = length.saturating_add(read.len() as u64);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(read);
        }
    }
    if length != expected {
        return Err(ArchiveError::Truncated { name, expected, got: length });
    }
    let sha256 = Sha256Digest::from_bytes(hash.finalize().into());
    Ok((kept, FileFound { name, sha256, length }))
}

/// Bytes that no file owns must be zeros, or something could travel with a bundle that nobody
/// signed.
fn check_zeros(
    file: &mut File,
    start: u64,
    length: u64,
    place: impl FnOnce() -> String,
) -> Result<(), ArchiveError> {
    file.seek(SeekFrom::Start(start))?;
    let mut rest = file.take(length);
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let count = rest.read(&mut buffer)?;
        let Some(read @ [_, ..]) = buffer.get(..count) else { return Ok(()) };
        if read.iter().any(|&byte| byte != 0) {
            return Err(ArchiveError::Hidden { place: place() });
        }
    }
}

#[cfg(test)]
mod tests;
