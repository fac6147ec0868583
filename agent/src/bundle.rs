//! A bundle of evidence: collected once, encrypted to the responders before a byte of it is on the
//! disk, and uploaded from wherever the server has it until the server's receipt is here. What
//! belongs in it is in docs/PROTOCOL.md; what the manifest says, in
//! `lazaret_protocol_evidence::manifest`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::BundleId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::LogRing;
use lazaret_protocol::sshsig::{SshError, SshSignature};
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::age::Recipient;
use lazaret_protocol_evidence::manifest::{
    Artifact, ArtifactName, BODY_FILE, CASE_FILE, DEVICE_FILE, LOG_FOLDER, LogPart, MANIFEST_FILE,
    Manifest, SUMS_FILE, SUMS_NAMESPACE, SUMS_SIGNATURE_FILE, SealError, TIMELINE_FILE,
};
use lazaret_protocol_evidence::sums;

use crate::artifacts::{self, Collected, Scene};
use crate::durable::{Durable, DurableError, told};
use crate::forensic_log::{ForensicLog, ForensicLogError};
use crate::identity::{Certificate, DeviceKey, KeyError};
use crate::transport::TransportError;

mod age;
mod case;
mod content;
mod ocsf;
mod timeline;
mod upload;

pub use content::Content;
pub use upload::{Link, Upload, upload};

use age::Encryptor;

/// A bundle that cannot be made or uploaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("bundle cannot be kept")]
    Durable(#[from] DurableError),
    /// The forensic log cannot be read.
    #[error("the forensic log cannot go into the bundle")]
    Log(#[from] ForensicLogError),
    /// The server could not be asked, or said no.
    #[error("bundle could not be uploaded")]
    Transport(#[from] TransportError),
    /// The manifest cannot be sealed.
    #[error("manifest cannot be sealed")]
    Seal(#[source] SealError<KeyError>),
    /// The sums cannot be signed.
    #[error("{SUMS_FILE} cannot be signed")]
    Sums(#[source] SumsError),
    /// The anchors name nobody who could read it.
    #[error("expected responders' age recipients in the anchors, found none that can be used")]
    NoRecipient,
    /// The order names a profile that this device does not have.
    #[error("expected a profile that this device has, got {name:?}")]
    NoProfile {
        /// What it names.
        name: String,
    },
    /// There is no room for it.
    #[error("there is no room on the disk for a bundle")]
    DiskFull,
    /// It is larger than it may be.
    #[error("expected a bundle of at most {max} bytes, got more")]
    TooLarge {
        /// The limit in bytes.
        max: u64,
    },
    /// The server says that it has more of the bundle than there is.
    #[error("expected an offset of at most {length}, got {got}")]
    BadOffset {
        /// The bundle's length in bytes.
        length: u64,
        /// What the server says that it has.
        got: u64,
    },
    /// The server took the last byte and gave no receipt for these bytes that one of its keys has
    /// signed.
    #[error("expected the server's signed receipt for the bundle: {why}")]
    NoReceipt {
        /// What came.
        why: String,
    },
}

/// Why `SHA256SUMS` cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SumsError {
    /// The key cannot be used.
    #[error("the device's key did not sign")]
    Key(#[from] KeyError),
    /// What the key made is no signature of its kind.
    #[error("the signature has no form for OpenSSH")]
    Ssh(#[from] SshError),
}

/// Who makes the bundle, and for whom.
#[derive(Debug)]
pub struct Witness<'a> {
    /// The device's key.
    pub key: &'a DeviceKey,
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// Starts of the agent.
    pub boot: u64,
    /// When.
    pub now: Timestamp,
    /// The responders, as the anchors name them.
    pub responders: &'a [String],
}

/// Where a bundle is kept until the server's receipt is here.
#[must_use]
pub fn path(state_dir: &Path, bundle: &BundleId) -> PathBuf {
    state_dir.join("bundles").join(file_name(bundle))
}

/// The name of its file.
#[must_use]
pub fn file_name(bundle: &BundleId) -> String {
    format!("{bundle}.tar.zst.age")
}

/// Makes the bundle and keeps it. A bundle that is there already is left as it is: after a power
/// cut the same bytes go on to the server.
///
/// # Errors
/// It cannot be kept, is too large, or nobody could read it.
pub fn make(
    bundle: &BundleId,
    scene: &Scene<'_>,
    (log, witness): (&mut ForensicLog, &Witness<'_>),
    durable: &Durable,
) -> Result<(), BundleError> {
    let path = path(&scene.config.state_dir, bundle);
    if path.exists() {
        return Ok(());
    }
    let recipients = recipients(witness.responders)?;
    // What is gone first comes first: the log is on the disk anyway.
    let collected = artifacts::collect(scene);
    let files = files((bundle, scene), collected, log, witness).map_err(full)?;
    if let Some(folder) = path.parent() {
        durable.folder(folder)?;
    }
    let seconds = witness.now.as_ms() / 1000;
    let max = scene.config.bundle_bytes_max;
    let mut over = false;
    let written = durable.stream(&path, "bundle-write", |to| {
        let limited = Limited { to, left: max, over: &mut over };
        let encrypted = Encryptor::begin(limited, &recipients)?;
        content::pack(&files, seconds, encrypted)?.finish()?;
        Ok(())
    });
    if over {
        return Err(BundleError::TooLarge { max });
    }
    written.map_err(|err| full(err.into()))
}

/// A full disk has a name of its own: it is the one fault that the responder can do something
/// about.
fn full(err: BundleError) -> BundleError {
    match &err {
        BundleError::Durable(DurableError::Io { source, .. })
            if source.kind() == io::ErrorKind::StorageFull =>
        {
            BundleError::DiskFull
        }
        _ => err,
    }
}

/// The recipients that can be used: one that cannot does not keep evidence from the others.
fn recipients(responders: &[String]) -> Result<Vec<Recipient>, BundleError> {
    let most = lazaret_protocol_evidence::age::RECIPIENTS_MAX;
    let read = responders.iter().take(most).filter_map(|text| {
        let read: Result<Recipient, _> = text.parse();
        read.inspect_err(|err| tracing::warn!("a responder of the anchors is passed over: {err}"))
            .ok()
    });
    let read: Vec<Recipient> = read.collect();
    if read.is_empty() { Err(BundleError::NoRecipient) } else { Ok(read) }
}

/// Everything that goes into the archive, the manifest first.
fn files(
    (bundle, scene): (&BundleId, &Scene<'_>),
    collected: Vec<Collected>,
    log: &mut ForensicLog,
    witness: &Witness<'_>,
) -> Result<Vec<(String, Content)>, BundleError> {
    let device_pem = witness.certificate.reply.certificate_chain.clone().into_bytes();
    let mut rest = vec![(DEVICE_FILE.to_owned(), Content::Bytes(device_pem))];
    let mut logs = Vec::new();
    for ring in LogRing::ALL {
        let folder = format!("{LOG_FOLDER}{}/", ring.as_str());
        rest.extend(log.files(ring)?.into_iter().map(|(name, it)| (format!("{folder}{name}"), it)));
        logs.push(LogPart { ring, head: log.head_of(ring), from: log.from(ring) });
    }
    let timeline = timeline::timeline(log.records()?);
    rest.push((TIMELINE_FILE.to_owned(), Content::Bytes(timeline)));
    rest.push((BODY_FILE.to_owned(), Content::Bytes(artifacts::body_file(scene))));
    let mut artifacts = Vec::new();
    let mut fixed = Vec::new();
    let mut digests = Vec::new();
    for (name, content) in &rest {
        let digest = content.digest().map_err(told("read", Path::new(name)))?;
        digests.push((name.clone(), digest));
        if !name.contains("/tile/") {
            fixed.push((name.clone(), digest));
        }
    }
    for Collected { name, status, bytes, reason } in collected {
        let (length, sha256) = (u64::try_from(bytes.len()).unwrap_or(0), Sha256Digest::of(&bytes));
        let artifact = Artifact { name, status, length, sha256, reason };
        digests.push((artifact.path(), sha256));
        rest.push((artifact.path(), Content::Bytes(bytes)));
        artifacts.push(artifact);
    }
    let named: Vec<case::Named> = digests
        .iter()
        .zip(&rest)
        .map(|((name, digest), (_, content))| (name.clone(), *digest, content.length()))
        .collect();
    let act = case::Act {
        bundle,
        device: witness.certificate.device(),
        serial: scene.config.serial.as_str(),
        at: witness.now,
    };
    let case = case::document(&act, &named);
    let digest = Sha256Digest::of(&case);
    digests.push((CASE_FILE.to_owned(), digest));
    fixed.push((CASE_FILE.to_owned(), digest));
    rest.push((CASE_FILE.to_owned(), Content::Bytes(case)));
    let text = sums::write(digests.iter().map(|(name, digest)| (name.as_str(), *digest)));
    fixed.insert(0, (SUMS_FILE.to_owned(), Sha256Digest::of(text.as_bytes())));
    let manifest = Manifest {
        bundle: bundle.clone(),
        device: witness.certificate.device().clone(),
        collected_at: witness.now,
        boot: witness.boot,
        profile: profile_name(scene),
        logs,
        reason: None,
        fixed,
        artifacts,
    };
    let key = witness.key;
    let sealed = manifest.seal(key.key_id(), |bytes| key.sign(bytes)).map_err(BundleError::Seal)?;
    let signature = ssh_signature(key, &text).map_err(BundleError::Sums)?;
    let first = [
        (MANIFEST_FILE, sealed),
        (SUMS_FILE, text.into_bytes()),
        (SUMS_SIGNATURE_FILE, signature.into_bytes()),
    ];
    let first = first.map(|(name, bytes)| (name.to_owned(), Content::Bytes(bytes)));
    Ok(first.into_iter().chain(rest).collect())
}

/// Names of profiles have the form of names of artifacts, but for one ending.
fn profile_name(scene: &Scene<'_>) -> ArtifactName {
    let usual = ArtifactName::known(artifacts::profile::USUAL);
    scene.profile.name.as_str().parse().unwrap_or(usual)
}

fn ssh_signature(key: &DeviceKey, text: &str) -> Result<String, SumsError> {
    let public: PublicKey = key.public();
    SshSignature::sign(&public, SUMS_NAMESPACE, text.as_bytes(), |bytes| Ok(key.sign(bytes)?))
}

/// A writer that takes so many bytes and says when there were more.
struct Limited<'a> {
    to: &'a mut dyn Write,
    left: u64,
    over: &'a mut bool,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(length) else {
            *self.over = true;
            return Err(io::Error::other("the bundle is larger than it may be"));
        };
        let written = self.to.write(bytes)?;
        self.left = left.saturating_add(length).saturating_sub(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Forgets a bundle that the server has, or that nobody wants any more.
///
/// # Errors
/// The file system said no.
pub fn forget(state_dir: &Path, bundle: &BundleId, durable: &Durable) -> Result<(), BundleError> {
    Ok(durable.delete(&path(state_dir, bundle), "bundle-delete")?)
}

#[cfg(test)]
mod tests;
