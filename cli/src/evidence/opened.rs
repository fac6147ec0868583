//! A bundle's file as it was pulled or as `age` and `zstd` left it: encrypted, packed, or a plain
//! archive. What comes out is read from a file without a name, which goes with this program.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lazaret_protocol_evidence::age::{FIRST_LINE, Identity, identities};

use super::age::{self, OpenError};
use super::archive::{self, ArchiveError, Bundle};

/// Largest archive that is unpacked, in bytes: a small file must not fill the disk.
const ARCHIVE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Largest file of identities, in bytes.
const IDENTITIES_BYTES_MAX: u64 = 64 * 1024;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a bundle cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is encrypted, and no identity was given.
    #[error("expected --identity with a responder's key: the bundle is encrypted")]
    Encrypted,
    /// It cannot be decrypted.
    #[error("the bundle cannot be decrypted")]
    Age(#[from] OpenError),
    /// It cannot be unpacked.
    #[error("the bundle cannot be unpacked")]
    Packed(#[source] io::Error),
    /// The archive is odd.
    #[error("the archive is odd")]
    Archive(#[from] ArchiveError),
    /// The disk failed.
    #[error("cannot read the bundle")]
    Unreadable(#[from] io::Error),
}

/// The identities in these files.
pub(crate) fn keys(paths: &[PathBuf]) -> anyhow::Result<Vec<Identity>> {
    let mut all = Vec::new();
    for path in paths {
        let cannot = || format!("cannot read {}", path.display());
        let mut text = String::new();
        let file = File::open(path).with_context(cannot)?;
        file.take(IDENTITIES_BYTES_MAX).read_to_string(&mut text).with_context(cannot)?;
        all.extend(identities(&text).with_context(cannot)?);
    }
    Ok(all)
}

/// Reads a bundle, however it is wrapped.
pub(crate) fn read(
    path: &Path,
    identities: &[Identity],
) -> anyhow::Result<Result<Bundle, ReadError>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(file.metadata()?.is_file(), "expected a file, got {}", path.display());
    Ok(unwrapped(file, identities))
}

fn unwrapped(mut file: File, identities: &[Identity]) -> Result<Bundle, ReadError> {
    if begins(&mut file, FIRST_LINE.as_bytes())? {
        if identities.is_empty() {
            return Err(ReadError::Encrypted);
        }
        let mut clear = tempfile::tempfile()?;
        age::open(io::BufReader::new(file), identities, &mut clear)?;
        file = clear;
    }
    if begins(&mut file, &ZSTD)? {
        let mut clear = tempfile::tempfile()?;
        let decoder = zstd::Decoder::new(file).map_err(ReadError::Packed)?;
        let mut limited = decoder.take(ARCHIVE_BYTES_MAX.saturating_add(1));
        let length = io::copy(&mut limited, &mut clear).map_err(ReadError::Packed)?;
        if length > ARCHIVE_BYTES_MAX {
            return Err(ArchiveError::TooLarge { got: length }.into());
        }
        clear.flush()?;
        file = clear;
    }
    file.rewind()?;
    Ok(archive::read(file)?)
}

/// Whether a file begins so; it stands at its beginning afterwards.
fn begins(file: &mut File, with: &[u8]) -> io::Result<bool> {
    file.rewind()?;
    let mut head = Vec::new();
    file.take(u64::try_from(with.len()).unwrap_or(0)).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == with)
}
