//! A bundle of evidence: made once into a file, and uploaded from wherever the server has it. What
//! belongs in it is in docs/PROTOCOL.md; what the manifest says, in
//! `lazaret_protocol_evidence::manifest`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::BundleId;
use lazaret_protocol::poll::LogHead;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::manifest::{
    Artifact, ArtifactStatus, DEVICE_FILE, LOG_FILE, MANIFEST_FILE, Manifest, SealError,
};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::artifacts::{ARTIFACTS, Scene};
use crate::durable::{Access, Durable, DurableError, told};
use crate::identity::{Certificate, DeviceKey, KeyError};
use crate::transport::{EVIDENCE_CHUNK_BYTES_MAX, Transport, TransportError};

/// A bundle that cannot be made or uploaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("bundle cannot be kept")]
    Durable(#[from] DurableError),
    /// The server could not be asked, or said no.
    #[error("bundle could not be uploaded")]
    Transport(#[from] TransportError),
    /// The manifest cannot be sealed.
    #[error("manifest cannot be sealed")]
    Seal(#[source] SealError<KeyError>),
    /// It is larger than it may be.
    #[error("expected a bundle of at most {max} bytes, got {got}")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
        /// Its size in bytes.
        got: u64,
    },
    /// The server says that it has more of the bundle than there is.
    #[error("expected an offset of at most {length}, got {got}")]
    BadOffset {
        /// The bundle's length in bytes.
        length: u64,
        /// What the server says that it has.
        got: u64,
    },
}

/// Who makes the bundle, and what has happened.
#[derive(Debug)]
pub struct Witness<'a> {
    /// The device's key.
    pub key: &'a DeviceKey,
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// The log's head.
    pub log_head: LogHead,
    /// The log.
    pub log: Vec<u8>,
    /// When.
    pub now: Timestamp,
}

/// Where a bundle is kept until the server has it.
#[must_use]
pub fn path(state_dir: &Path, bundle: &BundleId) -> PathBuf {
    state_dir.join("bundles").join(format!("{bundle}.tar"))
}

/// Makes the bundle and keeps it. A bundle that is there already is left as it is: after a power
/// cut the same bytes go on to the server.
///
/// # Errors
/// It cannot be kept, or is too large.
pub fn make(
    bundle: &BundleId,
    scene: &Scene<'_>,
    witness: Witness<'_>,
    durable: &Durable,
) -> Result<(), BundleError> {
    let path = path(&scene.config.state_dir, bundle);
    if path.exists() {
        return Ok(());
    }
    let (artifacts, files) = collect(scene);
    let device_pem = witness.certificate.reply.certificate_chain.clone().into_bytes();
    let manifest = Manifest {
        bundle: bundle.clone(),
        device: witness.certificate.device().clone(),
        collected_at: witness.now,
        log_head: witness.log_head,
        reason: None,
        device_pem: Sha256Digest::of(&device_pem),
        log: Sha256Digest::of(&witness.log),
        artifacts,
    };
    let sealed = manifest
        .seal(witness.key.key_id(), |bytes| witness.key.sign(bytes))
        .map_err(BundleError::Seal)?;
    let mut tar = Builder::new(Vec::new());
    let fixed = [(MANIFEST_FILE, &sealed), (DEVICE_FILE, &device_pem), (LOG_FILE, &witness.log)];
    let seconds = witness.now.as_ms() / 1000;
    for (name, bytes) in fixed {
        add(&mut tar, name, bytes, seconds).map_err(told("make", &path))?;
    }
    for (artifact, bytes) in manifest.artifacts.iter().zip(&files) {
        add(&mut tar, &artifact.path(), bytes, seconds).map_err(told("make", &path))?;
    }
    let bytes = tar.into_inner().map_err(told("make", &path))?;
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let max = scene.config.bundle_bytes_max;
    if got > max {
        return Err(BundleError::TooLarge { max, got });
    }
    if let Some(folder) = path.parent() {
        durable.folder(folder)?;
    }
    durable.write(&path, &bytes, Access::Owner, "bundle-write")?;
    Ok(())
}

/// Collects every artifact; one that fails leaves a note in its place.
fn collect(scene: &Scene<'_>) -> (Vec<Artifact>, Vec<Vec<u8>>) {
    let mut artifacts = Vec::new();
    let mut files = Vec::new();
    for (name, collect) in ARTIFACTS {
        // The names are literals; the contract test holds them to the form.
        let Ok(name) = name.parse() else { continue };
        let (status, bytes, reason) = match collect(scene) {
            Ok(bytes) => (ArtifactStatus::Collected, bytes, None),
            Err(why) => (ArtifactStatus::Failed, why.clone().into_bytes(), Some(why)),
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        artifacts.push(Artifact { name, status, length, sha256: Sha256Digest::of(&bytes), reason });
        files.push(bytes);
    }
    (artifacts, files)
}

fn add(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8], seconds: u64) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    header.set_mode(0o600);
    header.set_mtime(seconds);
    tar.append_data(&mut header, name, bytes)
}

/// How an upload went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// The time is up; call again.
    Paused,
    /// The server has all of it, and its digest is right.
    Complete,
}

/// Uploads from where the server has it, until the end or until `time_is_up`.
///
/// # Errors
/// The server, or the file.
pub fn upload(
    state_dir: &Path,
    bundle: &BundleId,
    transport: &Transport,
    time_is_up: &dyn Fn() -> bool,
) -> Result<Upload, BundleError> {
    let path = path(state_dir, bundle);
    let file = File::open(&path).map_err(told("open", &path))?;
    let length = file.metadata().map_err(told("read", &path))?.len();
    let mut offset = transport.evidence_offset(bundle)?;
    let mut chunk = vec![0; EVIDENCE_CHUNK_BYTES_MAX / 4];
    loop {
        let left =
            length.checked_sub(offset).ok_or(BundleError::BadOffset { length, got: offset })?;
        let most = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let want = usize::try_from(left.min(most)).unwrap_or(usize::MAX);
        let piece = chunk.get_mut(..want).unwrap_or_default();
        file.read_exact_at(piece, offset).map_err(told("read", &path))?;
        if left <= most {
            let digest = digest_of(&file, length).map_err(told("read", &path))?;
            return match transport.evidence_put(bundle, offset, piece, Some(&digest.to_string())) {
                // All of it was there before: the last answer was lost on its way.
                Err(err) if left == 0 && err.refused_code() == Some("conflict") => {
                    Ok(Upload::Complete)
                }
                outcome => outcome.map(|_| Upload::Complete).map_err(BundleError::from),
            };
        }
        offset = transport.evidence_put(bundle, offset, piece, None)?;
        if time_is_up() {
            return Ok(Upload::Paused);
        }
    }
}

/// Forgets a bundle that the server has.
///
/// # Errors
/// The file system said no.
pub fn forget(state_dir: &Path, bundle: &BundleId, durable: &Durable) -> Result<(), BundleError> {
    Ok(durable.delete(&path(state_dir, bundle), "bundle-delete")?)
}

fn digest_of(file: &File, length: u64) -> std::io::Result<Sha256Digest> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    let mut offset = 0;
    while offset < length {
        let read = file.read_at(&mut piece, offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hash.update(piece.get(..read).unwrap_or_default());
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok(Sha256Digest::from_bytes(hash.finalize().into()))
}

#[cfg(test)]
mod tests;
