//! Making a delta between two images that both lie in files. Which deltas are worth their bytes to
//! a fleet is decided elsewhere; that one is shorter than what it replaces is seen to here.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::DeltaCustom;
use lazaret_protocol_delta_encode::{EncodeError, EncodeOptions, encode};
use lazaret_repo_keys_signing::durable::{self, Access, FileError};
use sha2::{Digest as _, Sha256};

/// The name of the format (`lazaret-protocol-delta`).
pub const DELTA_FORMAT: &str = "lazaret-delta-1";

/// A delta is kept if it is at most this share of the image, in percent: below that the full image,
/// which needs no base and no memory for decoding, is the better offer.
const WORTH_PERCENT: u64 = 80;

/// A delta in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaMade {
    /// Length of the delta in bytes.
    pub length: u64,
    /// Digest of the delta.
    pub sha256: Sha256Digest,
    /// What its target says of it.
    pub custom: DeltaCustom,
}

/// Why there is no delta.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeDeltaError {
    /// The two images differ too much. This is no fault: devices take the image.
    #[error("delta would be longer than {allowed} bytes and saves too little")]
    NotWorthIt {
        /// The longest delta that is worth it, in bytes.
        allowed: u64,
    },
    /// An image cannot be read.
    #[error("cannot read the image {}", .path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The delta cannot be written.
    #[error("delta cannot be written")]
    File(#[from] FileError),
    /// The encoder failed.
    #[error("delta cannot be encoded")]
    Encode(#[source] EncodeError),
}

/// Makes the delta from `base` to `result` in the file `out`, in the place of one that may be
/// there. Takes minutes for large images; `progress` hears bytes of work done and in all, from any
/// thread.
///
/// # Errors
/// Not worth it, an image cannot be read, or the delta cannot be written.
pub fn make_delta(
    base: &Path,
    result: &Path,
    out: &Path,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<DeltaMade, MakeDeltaError> {
    let open = |path: &Path| {
        let image = |source| MakeDeltaError::Image { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(image)?;
        let length = file.metadata().map_err(image)?.len();
        Ok::<_, MakeDeltaError>((file, length))
    };
    let ((base, _), (result, length)) = (open(base)?, open(result)?);
    let allowed = (length / 100).saturating_mul(WORTH_PERCENT);
    let options = EncodeOptions { delta_bytes_max: allowed, ..EncodeOptions::default() };
    durable::replace_with(out, Access::Public, |file| {
        let mut writer = Hashing { inner: io::BufWriter::new(file), hash: Sha256::new() };
        let summary = encode(&base, &result, &options, progress, &mut writer);
        let summary = summary.map_err(|err| match err {
            EncodeError::SavesTooLittle { allowed } => MakeDeltaError::NotWorthIt { allowed },
            other => MakeDeltaError::Encode(other),
        })?;
        let flushed = writer.inner.flush();
        flushed.map_err(|source| MakeDeltaError::Encode(EncodeError::Write(source)))?;
        let custom = DeltaCustom {
            format: DELTA_FORMAT.to_owned(),
            base_sha256: Sha256Digest::from_bytes(summary.base.sha256),
            result_sha256: Sha256Digest::from_bytes(summary.result.sha256),
            result_length: summary.result.length,
            ram_bytes: summary.ram_bytes,
        };
        let sha256 = Sha256Digest::from_bytes(writer.hash.finalize().into());
        Ok(DeltaMade { length: summary.delta_bytes, sha256, custom })
    })
}

/// Hashes what it passes on.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
