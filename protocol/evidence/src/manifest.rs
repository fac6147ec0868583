//! The manifest of an evidence bundle: an in-toto Statement v1 that names the files of the bundle
//! with their SHA-256, sealed in a DSSE envelope by the device's own key. The tiles of the forensic
//! log are not among them, because a long log has more than an envelope may hold: they stand in
//! `SHA256SUMS`, which is. The device makes a manifest from a [`Manifest`]; whoever checks a bundle
//! reads it through [`Manifest::open`].

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId};
use lazaret_protocol::key::{KeyId, PublicKey};
use lazaret_protocol::limits::REASON_BYTES_MAX;
use lazaret_protocol::poll::{LogHead, LogRing};
use lazaret_protocol::signed::{Envelope, EnvelopeError, Message};
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::plain;
use crate::tlog::tile::Tile;

mod name;

pub use name::{ArtifactName, ArtifactNameError};

/// `_type` of the statement (in-toto attestation framework, Statement v1).
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// `predicateType` of the statement.
pub const PREDICATE_TYPE: &str = "https://lazaret.dev/evidence-bundle/v2";

/// The manifest's own name in a bundle.
pub const MANIFEST_FILE: &str = "manifest.dsse.json";

/// The device's certificate chain in a bundle.
pub const DEVICE_FILE: &str = "device.pem";

/// The digest of every file but the manifest, this one and its signature, as `sha256sum` writes
/// them.
pub const SUMS_FILE: &str = "SHA256SUMS";

/// The SSH signature over [`SUMS_FILE`] by the device's key, for `ssh-keygen -Y verify`.
pub const SUMS_SIGNATURE_FILE: &str = "SHA256SUMS.sig";

/// The namespace of that signature.
pub const SUMS_NAMESPACE: &str = "lazaret-evidence";

/// What the log records, one JSON object a line, in the order in which it happened.
pub const TIMELINE_FILE: &str = "timeline.jsonl";

/// Files that differ from the release or are watched, for `mactime` of The Sleuth Kit.
pub const BODY_FILE: &str = "bodyfile";

/// What the bundle holds in the words of CASE/UCO, JSON-LD.
pub const CASE_FILE: &str = "case.jsonld";

/// The folder of the forensic log's rings.
pub const LOG_FOLDER: &str = "log/";

/// The folder of the artifacts in a bundle.
pub const ARTIFACTS_FOLDER: &str = "artifacts/";

/// What follows the name of an artifact that failed.
pub const FAILED_SUFFIX: &str = ".failed";

/// Artifacts of one bundle. A manifest of that many, each failed with the longest reason, would be
/// larger than an envelope may be; [`Manifest::seal`] then refuses it.
pub const ARTIFACTS_MAX: usize = 64;

/// What a device says of a bundle it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The bundle that was ordered.
    pub bundle: BundleId,
    /// Who collected it.
    pub device: DeviceId,
    /// When, by the device's time.
    pub collected_at: Timestamp,
    /// Starts of its agent when it did.
    pub boot: u64,
    /// The profile that says what was to be collected.
    pub profile: ArtifactName,
    /// The rings of the forensic log in the bundle.
    pub logs: Vec<LogPart>,
    /// Why it was collected, where the device knows: the reason stands in the custody log.
    pub reason: Option<String>,
    /// The files that are no artifacts, in the order of the bundle; tiles are left out.
    pub fixed: Vec<(String, Sha256Digest)>,
    /// The artifacts, in the order they were collected: volatile first.
    pub artifacts: Vec<Artifact>,
}

/// One ring of the forensic log in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    /// Which ring.
    pub ring: LogRing,
    /// Its head as sealed.
    pub head: LogHead,
    /// The first record that is there; those before it were pruned.
    pub from: u64,
}

/// One artifact of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: ArtifactName,
    /// How it went.
    pub status: ArtifactStatus,
    /// The length of its file in the bundle (`NAME` or `NAME.failed`), in bytes.
    pub length: u64,
    /// The digest of that file.
    pub sha256: Sha256Digest,
    /// Why it failed or is not whole, in words; none where neither is so.
    pub reason: Option<String>,
}

/// How the collection of an artifact went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactStatus {
    /// Its content is in the bundle, whole.
    Collected,
    /// Part of its content is in the bundle; the reason says what is missing.
    Partial,
    /// A note with the reason is in its place.
    Failed,
}

impl Artifact {
    /// The path of its file in the bundle.
    #[must_use]
    pub fn path(&self) -> String {
        artifact_path(&self.name, self.status)
    }
}

fn artifact_path(name: &ArtifactName, status: ArtifactStatus) -> String {
    match status {
        ArtifactStatus::Collected | ArtifactStatus::Partial => format!("{ARTIFACTS_FOLDER}{name}"),
        ArtifactStatus::Failed => format!("{ARTIFACTS_FOLDER}{name}{FAILED_SUFFIX}"),
    }
}

/// Whether a bundle may hold a file of this path: the fixed ones, those of the log's rings,
/// artifacts and their failures.
#[must_use]
pub fn is_bundle_path(path: &str) -> bool {
    if matches!(path, MANIFEST_FILE | SUMS_FILE | SUMS_SIGNATURE_FILE) || is_fixed(path) {
        return true;
    }
    if let Some((_, rest)) = log_path(path) {
        return rest.parse::<Tile>().is_ok();
    }
    path.strip_prefix(ARTIFACTS_FOLDER)
        .map(|name| name.strip_suffix(FAILED_SUFFIX).unwrap_or(name))
        .is_some_and(|name| name.parse::<ArtifactName>().is_ok())
}

/// The ring that a path is of, and the path within it; none for other paths.
#[must_use]
pub fn log_path(path: &str) -> Option<(LogRing, &str)> {
    let (ring, rest) = path.strip_prefix(LOG_FOLDER)?.split_once('/')?;
    let ring = LogRing::ALL.into_iter().find(|known| known.as_str() == ring)?;
    Some((ring, rest))
}

/// The files that the manifest names beside the artifacts.
fn is_fixed(path: &str) -> bool {
    let of_log = |rest: &str| matches!(rest, "checkpoint" | "base" | "witnessed");
    matches!(path, SUMS_FILE | DEVICE_FILE | TIMELINE_FILE | BODY_FILE | CASE_FILE)
        || log_path(path).is_some_and(|(_, rest)| of_log(rest))
}

/// The statement as it stands in the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: DigestSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DigestSet {
    sha256: Sha256Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Predicate {
    bundle: BundleId,
    device: DeviceId,
    collected_at: Timestamp,
    boot: u64,
    profile: ArtifactName,
    logs: Vec<LogPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    artifacts: Vec<PredicateArtifact>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PredicateArtifact {
    name: ArtifactName,
    status: ArtifactStatus,
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Message for Statement {
    const PAYLOAD_TYPE: &'static str = "application/vnd.in-toto+json";
}

/// A manifest that cannot be sealed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError<E: core::error::Error + 'static> {
    /// The manifest says what a reader would refuse.
    #[error("manifest would be refused by its readers")]
    Refused(#[source] ManifestError),
    /// The device's key did not sign.
    #[error("signing the manifest")]
    Signer(#[source] E),
}

impl<E: core::error::Error + 'static> From<CanonicalError> for SealError<E> {
    fn from(err: CanonicalError) -> Self {
        Self::Refused(ManifestError::Unspeakable(err))
    }
}

/// A manifest that proves nothing or contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The envelope is malformed, of another kind, or not signed by the device's key.
    #[error("the envelope proves nothing")]
    Envelope(#[source] EnvelopeError),
    /// The envelope is not spelt as devices spell it, so some of its bytes are nobody's word.
    #[error("expected the envelope in canonical JSON, got another spelling of it")]
    NotCanonical,
    /// It holds what has no canonical form.
    #[error("manifest has no canonical form")]
    Unspeakable(#[source] CanonicalError),
    /// Another statement or predicate than ours.
    #[error("expected a statement of the type {expected}, got {got:?}")]
    WrongType {
        /// The type wanted.
        expected: &'static str,
        /// The type that came, cut after 128 characters.
        got: String,
    },
    /// More than [`ARTIFACTS_MAX`] artifacts.
    #[error("expected at most {ARTIFACTS_MAX} artifacts, got {got}")]
    TooManyArtifacts {
        /// How many it names.
        got: usize,
    },
    /// A file is named twice.
    #[error("{name:?} is named twice")]
    NamedTwice {
        /// Which, cut after 128 characters.
        name: String,
    },
    /// An artifact or a fixed file without a digest among the subjects.
    #[error("{name:?} has no digest")]
    NoDigest {
        /// Its path in the bundle.
        name: String,
    },
    /// A digest for a file that no bundle of these artifacts has.
    #[error("{name:?} has a digest, but is none of the bundle's files")]
    StrayDigest {
        /// Which, cut after 128 characters.
        name: String,
    },
    /// A reason longer than `REASON_BYTES_MAX`.
    #[error("expected a reason of at most {REASON_BYTES_MAX} bytes, got {got}")]
    ReasonTooLong {
        /// Its length in bytes.
        got: usize,
    },
}

impl Manifest {
    /// The bytes of `manifest.dsse.json`, signed by `sign` with the device's key. Reasons are made
    /// plain and cut to `REASON_BYTES_MAX` by [`plain`], so that a bundle never fails for words.
    ///
    /// # Errors
    /// The manifest is beyond a limit or contradicts itself, or the key did not sign.
    pub fn seal<E: core::error::Error + 'static>(
        &self,
        keyid: KeyId,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, SealError<E>> {
        let statement = self.statement();
        Self::from_statement(statement.clone()).map_err(SealError::Refused)?;
        let envelope = Envelope::seal::<_, SealError<E>>(&statement, keyid, |bytes| {
            sign(bytes).map_err(SealError::Signer)
        })?;
        let bytes = canonical::to_bytes(&envelope)?;
        // An envelope larger than readers take is not sealed.
        Envelope::parse(&bytes).map_err(|err| SealError::Refused(ManifestError::Envelope(err)))?;
        Ok(bytes)
    }

    /// Reads `manifest.dsse.json` and checks that `key` signed it.
    ///
    /// # Errors
    /// It is not signed by `key`, not spelt canonically, or contradicts itself.
    pub fn open(bytes: &[u8], key: &PublicKey) -> Result<Self, ManifestError> {
        let envelope = Envelope::parse(bytes).map_err(ManifestError::Envelope)?;
        if canonical::to_bytes(&envelope).map_err(ManifestError::Unspeakable)? != bytes {
            return Err(ManifestError::NotCanonical);
        }
        let verified = envelope
            .verify::<Statement>(core::slice::from_ref(key))
            .map_err(ManifestError::Envelope)?;
        Self::from_statement(verified.into_message())
    }

    /// Every file beside the manifest with its digest, in the order of the bundle.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Sha256Digest)> {
        let artifacts = self.artifacts.iter().map(|artifact| (artifact.path(), artifact.sha256));
        self.fixed.iter().cloned().chain(artifacts).collect()
    }

    fn statement(&self) -> Statement {
        let reason =
            |text: &Option<String>| text.as_ref().map(|text| plain(text, REASON_BYTES_MAX));
        let subject = |(name, sha256)| Subject { name, digest: DigestSet { sha256 } };
        let artifacts = self.artifacts.iter().map(|artifact| PredicateArtifact {
            name: artifact.name.clone(),
            status: artifact.status,
            length: artifact.length,
            reason: reason(&artifact.reason),
        });
        Statement {
            statement_type: STATEMENT_TYPE.into(),
            subject: self.files().into_iter().map(subject).collect(),
            predicate_type: PREDICATE_TYPE.into(),
            predicate: Predicate {
                bundle: self.bundle.clone(),
                device: self.device.clone(),
                collected_at: self.collected_at,
                boot: self.boot,
                profile: self.profile.clone(),
                logs: self.logs.clone(),
                reason: reason(&self.reason),
                artifacts: artifacts.collect(),
            },
        }
    }

    fn from_statement(statement: Statement) -> Result<Self, ManifestError> {
        check_type(STATEMENT_TYPE, &statement.statement_type)?;
        check_type(PREDICATE_TYPE, &statement.predicate_type)?;
        let said = statement.predicate;
        if said.artifacts.len() > ARTIFACTS_MAX {
            return Err(ManifestError::TooManyArtifacts { got: said.artifacts.len() });
        }
        check_reason(said.reason.as_deref())?;
        check_rings(&said.logs)?;
        let order: Vec<String> = statement.subject.iter().map(|it| it.name.clone()).collect();
        let mut digests = digests_by_name(statement.subject)?;
        let mut fixed = Vec::new();
        for name in order.into_iter().filter(|name| is_fixed(name)) {
            let digest = take_digest(&mut digests, &name)?;
            fixed.push((name, digest));
        }
        for wanted in [SUMS_FILE, DEVICE_FILE] {
            if !fixed.iter().any(|(name, _)| name == wanted) {
                return Err(ManifestError::NoDigest { name: wanted.to_string() });
            }
        }
        let mut artifacts: Vec<Artifact> = Vec::new();
        for PredicateArtifact { name, status, length, reason } in said.artifacts {
            check_reason(reason.as_deref())?;
            if artifacts.iter().any(|before| before.name == name) {
                return Err(ManifestError::NamedTwice { name: name.into() });
            }
            let sha256 = take_digest(&mut digests, &artifact_path(&name, status))?;
            artifacts.push(Artifact { name, status, length, sha256, reason });
        }
        if let Some(name) = digests.into_keys().next() {
            return Err(ManifestError::StrayDigest { name: name.chars().take(128).collect() });
        }
        let Predicate { bundle, device, collected_at, boot, profile, logs, reason, .. } = said;
        Ok(Self { bundle, device, collected_at, boot, profile, logs, reason, fixed, artifacts })
    }
}

fn check_type(expected: &'static str, got: &str) -> Result<(), ManifestError> {
    if got == expected {
        return Ok(());
    }
    Err(ManifestError::WrongType { expected, got: got.chars().take(128).collect() })
}

fn check_rings(logs: &[LogPart]) -> Result<(), ManifestError> {
    let again = |(at, part): (usize, &LogPart)| {
        let twice = logs.iter().take(at).any(|before| before.ring == part.ring);
        twice.then(|| part.ring.as_str().to_string())
    };
    let twice = logs.iter().enumerate().find_map(again);
    twice.map_or(Ok(()), |name| Err(ManifestError::NamedTwice { name }))
}

fn check_reason(reason: Option<&str>) -> Result<(), ManifestError> {
    let got = reason.map_or(0, str::len);
    if got > REASON_BYTES_MAX {
        return Err(ManifestError::ReasonTooLong { got });
    }
    Ok(())
}

fn digests_by_name(
    subjects: Vec<Subject>,
) -> Result<BTreeMap<String, Sha256Digest>, ManifestError> {
    let mut digests = BTreeMap::new();
    for Subject { name, digest } in subjects {
        if digests.insert(name.clone(), digest.sha256).is_some() {
            return Err(ManifestError::NamedTwice { name: name.chars().take(128).collect() });
        }
    }
    Ok(digests)
}

fn take_digest(
    digests: &mut BTreeMap<String, Sha256Digest>,
    name: &str,
) -> Result<Sha256Digest, ManifestError> {
    digests.remove(name).ok_or_else(|| ManifestError::NoDigest { name: name.to_string() })
}

#[cfg(test)]
mod tests;
