//! Hashing files that are larger than memory, with a progress bar where somebody watches.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::limits::IMAGE_BYTES_MAX;
use lazaret_repo_keys_signing::durable::FileError;
use sha2::{Digest as _, Sha256};

/// Bytes hashed between two looks at the progress bar.
const CHUNK_BYTES: usize = 256 * 1024;

/// Files below this are hashed before a bar could be drawn, in bytes.
const BAR_FROM_BYTES: u64 = 16 * 1024 * 1024;

/// Length and digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// In bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// Hashes an image.
///
/// # Errors
/// It cannot be read, or is larger than any image.
pub fn measure(path: &Path) -> Result<Measured, FileError> {
    let io = |source| FileError::Io { what: "read", path: path.to_path_buf(), source };
    let mut file = File::open(path).map_err(io)?;
    let expected = file.metadata().map_err(io)?.len();
    if expected > IMAGE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_path_buf(), max: IMAGE_BYTES_MAX });
    }
    let bar = bar(path, expected);
    let mut hash = Sha256::new();
    let mut length: u64 = 0;
    let mut buffer = vec![0u8; CHUNK_BYTES];
    loop {
        let read = file.read(&mut buffer).map_err(io)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        hash.update(chunk);
        length = length.saturating_add(u64::try_from(read).unwrap_or(0));
        bar.set_position(length);
    }
    bar.finish_and_clear();
    Ok(Measured { length, sha256: Sha256Digest::from_bytes(hash.finalize().into()) })
}

fn bar(path: &Path, length: u64) -> indicatif::ProgressBar {
    if length < BAR_FROM_BYTES || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(length);
    let form = "{prefix} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.set_prefix(format!("hashing {}", path.display()));
    bar
}
