//! What root, timestamp and snapshot say (TUF 4.3, 4.4, 4.6), and how a listed file is recognised.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::digest::Sha256Digest;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha512};

use crate::envelope::{Envelope, Header};
use crate::error::{Mismatch, TufError};
use crate::keys::{self, RoleKeys};
use crate::name::{ROOT, SNAPSHOT, TARGETS, TIMESTAMP};

/// Root metadata (TUF 4.3).
#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(crate) header: Header,
    /// Whether file names carry versions and hashes (TUF 6.2).
    pub(crate) consistent_snapshot: bool,
    pub(crate) root: RoleKeys,
    pub(crate) timestamp: RoleKeys,
    pub(crate) snapshot: RoleKeys,
    pub(crate) targets: RoleKeys,
    /// Names the keys of timestamp and snapshot, to see that they were rotated (TUF 5.3.11).
    pub(crate) online_keys: Sha256Digest,
}

impl Root {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let header = envelope.header(ROOT)?;
        let refused = |why: String| envelope.refused(&why);
        let known = envelope.field("keys").unwrap_or(&Value::Null);
        let known = keys::read_keys(known).map_err(refused)?;
        let roles = envelope.object("roles")?;
        let role = |name: &str| {
            let role = roles.get(name).and_then(Value::as_object);
            let role = role.ok_or_else(|| refused(format!("expected a role {name}")))?;
            RoleKeys::read(role, &known).map_err(|why| refused(format!("role {name}: {why}")))
        };
        let consistent_snapshot = match envelope.field("consistent_snapshot") {
            None => false,
            Some(Value::Bool(consistent)) => *consistent,
            Some(_) => return Err(refused("expected consistent_snapshot to be a boolean".into())),
        };
        let (timestamp, snapshot) = (role(TIMESTAMP)?, role(SNAPSHOT)?);
        let online_keys = keys::online_keys(&timestamp, &snapshot).map_err(refused)?;
        let (root, targets) = (role(ROOT)?, role(TARGETS)?);
        Ok(Self { header, consistent_snapshot, root, timestamp, snapshot, targets, online_keys })
    }
}

/// Timestamp metadata (TUF 4.6).
#[derive(Debug, Clone)]
pub(crate) struct TimestampMetadata {
    pub(crate) header: Header,
    pub(crate) snapshot: Listed,
}

impl TimestampMetadata {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let header = envelope.header(TIMESTAMP)?;
        let listed = envelope.object("meta")?.get("snapshot.json");
        let listed = listed.ok_or_else(|| envelope.refused("expected meta of snapshot.json"))?;
        let snapshot = Listed::read(listed).map_err(|why| envelope.refused(&why))?;
        Ok(Self { header, snapshot })
    }
}

/// Snapshot metadata (TUF 4.4).
#[derive(Debug, Clone)]
pub(crate) struct SnapshotMetadata {
    pub(crate) header: Header,
    /// By role. Files that are not named as a role's are no concern of a client.
    pub(crate) roles: BTreeMap<String, Listed>,
}

impl SnapshotMetadata {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, TufError> {
        let header = envelope.header(SNAPSHOT)?;
        let mut roles = BTreeMap::new();
        for (file, listed) in envelope.object("meta")? {
            let listed =
                Listed::read(listed).map_err(|why| envelope.refused(&format!("{file}: {why}")))?;
            if let Some(role) = file.strip_suffix(".json") {
                roles.insert(role.to_string(), listed);
            }
        }
        Ok(Self { header, roles })
    }
}

/// One entry of METAFILES (TUF 4.4): what a metadata file must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) version: u64,
    pub(crate) length: Option<u64>,
    pub(crate) hashes: Option<Hashes>,
}

impl Listed {
    fn read(from: &Value) -> Result<Self, String> {
        let from = from.as_object().ok_or("expected an object for each file")?;
        let version = from.get("version").and_then(Value::as_u64).filter(|v| *v > 0);
        let version = version.ok_or("expected a version of at least 1 for each file")?;
        let length = from.get("length").map(|l| l.as_u64().ok_or("expected a length in bytes"));
        let hashes = from.get("hashes").map(Hashes::read);
        Ok(Self { version, length: length.transpose()?, hashes: hashes.transpose()? })
    }

    /// How many bytes to read at most: what is listed, and never more than the limit.
    pub(crate) fn length_max(&self, limit: u64) -> u64 {
        self.length.map_or(limit, |length| length.min(limit))
    }

    /// Checks length and hashes where they are listed (TUF 5.5.2, 5.6.2).
    pub(crate) fn check_bytes(&self, role: &str, bytes: &[u8]) -> Result<(), TufError> {
        let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mismatch = match (self.length, &self.hashes) {
            (Some(expected), _) if expected != got => Some(Mismatch::Length { expected, got }),
            (_, Some(hashes)) => hashes.mismatch(bytes),
            _ => None,
        };
        mismatch
            .map_or(Ok(()), |mismatch| Err(TufError::MixAndMatch { role: role.into(), mismatch }))
    }

    /// Checks the version (TUF 5.5.4, 5.6.4).
    pub(crate) fn check_version(&self, role: &str, got: u64) -> Result<(), TufError> {
        if got == self.version {
            return Ok(());
        }
        let mismatch = Mismatch::Version { expected: self.version, got };
        Err(TufError::MixAndMatch { role: role.into(), mismatch })
    }
}

/// Hashes of a file (TUF 4.4, HASHES). Those of unknown algorithms are left aside, but one that is
/// known there must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256, where listed.
    pub sha256: Option<[u8; 32]>,
    /// SHA-512, where listed.
    pub sha512: Option<[u8; 64]>,
}

impl Hashes {
    pub(crate) fn read(from: &Value) -> Result<Self, String> {
        let from = from.as_object().ok_or("expected an object of hashes")?;
        let hashes = Self { sha256: digest(from, "sha256")?, sha512: digest(from, "sha512")? };
        if hashes.sha256.is_none() && hashes.sha512.is_none() {
            return Err("expected a hash of sha256 or sha512".into());
        }
        Ok(hashes)
    }

    /// The hash that the repository has in file names, in hexadecimal (TUF 5.7.3: any of them).
    #[must_use]
    pub fn hex(&self) -> String {
        self.sha256.map(hex::encode).or(self.sha512.map(hex::encode)).unwrap_or_default()
    }

    fn mismatch(&self, bytes: &[u8]) -> Option<Mismatch> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.mismatch(self)
    }
}

/// Computes those hashes that are listed, piece by piece.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Hasher {
    pub(crate) fn new(hashes: &Hashes) -> Self {
        Self {
            sha256: hashes.sha256.map(|_| Sha256::new()),
            sha512: hashes.sha512.map(|_| Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.sha256 {
            hash.update(bytes);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(bytes);
        }
    }

    pub(crate) fn mismatch(self, listed: &Hashes) -> Option<Mismatch> {
        let sha256 = self.sha256.map(|hash| <[u8; 32]>::from(hash.finalize()));
        let sha512 = self.sha512.map(|hash| <[u8; 64]>::from(hash.finalize()));
        differs("sha256", listed.sha256.as_ref(), sha256.as_ref())
            .or_else(|| differs("sha512", listed.sha512.as_ref(), sha512.as_ref()))
    }
}

fn differs<const N: usize>(
    algorithm: &'static str,
    expected: Option<&[u8; N]>,
    got: Option<&[u8; N]>,
) -> Option<Mismatch> {
    let (expected, got) = (expected?, got?);
    (expected != got).then(|| Mismatch::Hash {
        algorithm,
        expected: hex::encode(expected),
        got: hex::encode(got),
    })
}

fn digest<const N: usize>(
    hashes: &Map<String, Value>,
    algorithm: &str,
) -> Result<Option<[u8; N]>, String> {
    let Some(text) = hashes.get(algorithm) else { return Ok(None) };
    let mut bytes = [0; N];
    let decoded = hex::decode_to_slice(text.as_str().unwrap_or_default(), &mut bytes);
    decoded.map_err(|_| {
        format!("expected {algorithm} in {} hexadecimal digits", N.saturating_mul(2))
    })?;
    Ok(Some(bytes))
}
