//! Reading and putting together signed metadata, on tough's schema: one way from bytes to a
//! document whose signatures are counted against a keyring. What the contents may say stands in
//! [`rules`].

pub mod make;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet};

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::limits::{METADATA_BYTES_MAX, SIGNATURES_MAX};
use lazaret_protocol::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::schema::{self, Role, RoleType, Root, Snapshot, Targets};

use crate::role::{OfflineRole, OnlineRole, RoleName};

/// A TUF key id: the SHA-256 of the key object's canonical form, as 64 hexadecimal digits (TUF
/// 4.2.1).
pub type TufKeyId = String;

/// Why metadata is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Larger than `METADATA_BYTES_MAX`.
    #[error("expected metadata of at most {METADATA_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// More signatures than any ceremony makes.
    #[error("expected at most {SIGNATURES_MAX} signatures, got {got}")]
    TooManySignatures {
        /// How many came.
        got: usize,
    },
    /// Not signed metadata of the type wanted.
    #[error("expected {expected} metadata: {why}")]
    Malformed {
        /// The type wanted.
        expected: &'static str,
        /// What the parser said.
        why: String,
    },
    /// No canonical form.
    #[error("metadata has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// A role without which there is no repository.
    #[error("expected {role} metadata, there is none")]
    Missing {
        /// The role.
        role: String,
    },
    /// The document that delegates does not know this role.
    #[error("nothing says who may sign {role}")]
    UnknownRole {
        /// The role.
        role: String,
    },
    /// Fewer good signatures than the threshold.
    #[error("expected {threshold} signatures on {role}, {valid} hold")]
    ThresholdNotMet {
        /// The role.
        role: String,
        /// How many are needed.
        threshold: u64,
        /// How many different keys have signed well.
        valid: u64,
    },
    /// A rule about the contents was broken.
    #[error("{role} says what it may not say: {what}")]
    OutOfScope {
        /// The role.
        role: String,
        /// What is wrong, in plain words.
        what: String,
    },
    /// A key of another algorithm than Ed25519 and ECDSA over P-256.
    #[error("expected an Ed25519 or ECDSA P-256 key for {role}")]
    KeyAlgorithm {
        /// The role it stands under.
        role: String,
    },
}

/// A type of metadata that can be read.
pub trait Metadata: Role + DeserializeOwned {
    /// The value of `_type`, which tough's own reader does not look at.
    const TYPE_NAME: &'static str;
}

impl Metadata for Root {
    const TYPE_NAME: &'static str = "root";
}
impl Metadata for Targets {
    const TYPE_NAME: &'static str = "targets";
}
impl Metadata for Snapshot {
    const TYPE_NAME: &'static str = "snapshot";
}
impl Metadata for schema::Timestamp {
    const TYPE_NAME: &'static str = "timestamp";
}

/// One signature over a document's canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Which key is said to have made it.
    pub keyid: TufKeyId,
    /// The signature's bytes.
    pub sig: Vec<u8>,
}

/// Metadata that is parsed and not yet believed.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// What it says.
    pub signed: T,
    /// The bytes that are signed: the canonical form of what came, unknown fields included.
    pub payload: Vec<u8>,
    /// Who says it.
    pub signatures: Vec<Signature>,
}

impl<T: Metadata> Document<T> {
    /// Reads a signed file `{"signed": ..., "signatures": [...]}`.
    ///
    /// # Errors
    /// Too large, too many signatures, or not metadata of this type.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        check_length(bytes)?;
        let malformed = |why: String| MetadataError::Malformed { expected: T::TYPE_NAME, why };
        let file: schema::Signed<Value> =
            serde_json::from_slice(bytes).map_err(|err| malformed(err.to_string()))?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(MetadataError::TooManySignatures { got: file.signatures.len() });
        }
        let signatures = file.signatures.iter().map(|signature| Signature {
            keyid: hex::encode(&*signature.keyid),
            sig: signature.sig.to_vec(),
        });
        let signatures = signatures.collect();
        let (signed, payload) = read_signed(file.signed)?;
        Ok(Self { signed, payload, signatures })
    }

    /// Reads the bytes that are to be signed, as a ceremony hands them round.
    ///
    /// # Errors
    /// Too large, not metadata of this type, or not canonical.
    pub fn parse_payload(bytes: &[u8]) -> Result<Self, MetadataError> {
        check_length(bytes)?;
        let malformed =
            |why: &str| MetadataError::Malformed { expected: T::TYPE_NAME, why: why.to_owned() };
        let value: Value =
            serde_json::from_slice(&as_json(bytes)).map_err(|err| malformed(&err.to_string()))?;
        let (signed, payload): (T, _) = read_signed(value)?;
        if payload != bytes {
            return Err(malformed("the payload is not canonical JSON"));
        }
        Ok(Self { signed, payload, signatures: Vec::new() })
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.signed.version().get()
    }

    /// When it expires. Dates that no clock of ours can show count as long past.
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_ms(u64::try_from(self.signed.expires().as_millisecond()).unwrap_or(0))
    }
}

fn check_length(bytes: &[u8]) -> Result<(), MetadataError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= METADATA_BYTES_MAX) {
        return Ok(());
    }
    Err(MetadataError::TooLarge { got: bytes.len() })
}

fn read_signed<T: Metadata>(value: Value) -> Result<(T, Vec<u8>), MetadataError> {
    let malformed = |why: String| MetadataError::Malformed { expected: T::TYPE_NAME, why };
    let type_name = value.get("_type").and_then(Value::as_str).unwrap_or("nothing");
    if type_name != T::TYPE_NAME {
        return Err(malformed(format!("its type is {type_name:.60}")));
    }
    let spec = value.get("spec_version").and_then(Value::as_str).unwrap_or("none");
    if !spec.starts_with("1.") {
        return Err(malformed(format!("its TUF version is {spec:.20}, and not 1.x")));
    }
    let payload = canonical::value_to_bytes(&value)?;
    let signed: T = serde_json::from_value(value).map_err(|err| malformed(err.to_string()))?;
    Ok((signed, payload))
}

/// The canonical bytes of a role, which are what is signed.
///
/// # Errors
/// It holds a float.
pub fn payload_of<T: Role>(role: &T) -> Result<Vec<u8>, MetadataError> {
    Ok(canonical::to_bytes(role)?)
}

/// Puts a payload and its signatures together into one compact file. Signatures come in the order
/// of their key ids, so that the same signatures always give the same bytes.
#[must_use]
pub fn assemble(payload: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let ordered: BTreeMap<&str, String> = signatures
        .iter()
        .map(|signature| (signature.keyid.as_str(), hex::encode(&signature.sig)))
        .collect();
    let listed: Vec<String> = ordered
        .into_iter()
        .map(|(keyid, sig)| format!(r#"{{"keyid":"{keyid}","sig":"{sig}"}}"#))
        .collect();
    let mut file = format!(r#"{{"signatures":[{}],"signed":"#, listed.join(",")).into_bytes();
    file.extend_from_slice(&as_json(payload));
    file.push(b'}');
    file
}

/// OLPC canonical JSON writes a line feed within a string, as PEM keys have it, as it is, which no
/// reader of JSON takes. Outside of strings it has no such bytes, so they can be escaped one by
/// one.
#[must_use]
pub fn as_json(payload: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(payload.len());
    for byte in payload {
        match byte {
            0..0x20 => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => json.push(*byte),
        }
    }
    json
}

/// Who may sign a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// The role, for errors.
    pub role: String,
    /// Its keys.
    pub keys: BTreeMap<TufKeyId, PublicKey>,
    /// How many of them must sign.
    pub threshold: u64,
}

impl Keyring {
    /// The keys that `root` lists for one of the four top-level roles.
    ///
    /// # Errors
    /// Root does not list the role, or lists a key of another algorithm.
    pub fn of_root(root: &Root, role: RoleType) -> Result<Self, MetadataError> {
        let name = role.to_string();
        let keys = root.roles.get(&role);
        let keys = keys.ok_or_else(|| MetadataError::UnknownRole { role: name.clone() })?;
        Self::collect(name, &root.keys, &keys.keyids, keys.threshold.get())
    }

    /// The keys that `targets` delegates a role to.
    ///
    /// # Errors
    /// Targets does not delegate to it, or lists a key of another algorithm.
    pub fn of_delegation(targets: &Targets, role: &RoleName) -> Result<Self, MetadataError> {
        let name = role.to_string();
        let unknown = || MetadataError::UnknownRole { role: name.clone() };
        let delegations = targets.delegations.as_ref().ok_or_else(unknown)?;
        let delegated = delegations.roles.iter().find(|listed| listed.name == name);
        let delegated = delegated.ok_or_else(unknown)?;
        let threshold = delegated.threshold.get();
        Self::collect(name.clone(), &delegations.keys, &delegated.keyids, threshold)
    }

    /// The keys of any role, from the root and the targets that are trusted.
    ///
    /// # Errors
    /// As [`Self::of_root`] and [`Self::of_delegation`].
    pub fn of(role: &RoleName, root: &Root, targets: &Targets) -> Result<Self, MetadataError> {
        match role {
            RoleName::Offline(OfflineRole::Root) => Self::of_root(root, RoleType::Root),
            RoleName::Offline(OfflineRole::Targets) => Self::of_root(root, RoleType::Targets),
            RoleName::Online(OnlineRole::Snapshot) => Self::of_root(root, RoleType::Snapshot),
            RoleName::Online(OnlineRole::Timestamp) => Self::of_root(root, RoleType::Timestamp),
            RoleName::Offline(OfflineRole::Release(_) | OfflineRole::Emergency)
            | RoleName::Online(OnlineRole::Deltas) => Self::of_delegation(targets, role),
        }
    }

    fn collect(
        role: String,
        keys: &std::collections::HashMap<Decoded<Hex>, Key>,
        keyids: &[Decoded<Hex>],
        threshold: u64,
    ) -> Result<Self, MetadataError> {
        let mut ring = BTreeMap::new();
        for keyid in keyids {
            let Some(key) = keys.get(keyid) else {
                continue;
            };
            let public = make::public_key(key)
                .ok_or_else(|| MetadataError::KeyAlgorithm { role: role.clone() })?;
            ring.insert(hex::encode(&**keyid), public);
        }
        Ok(Self { role, keys: ring, threshold })
    }

    /// The id under which this keyring lists `key`.
    #[must_use]
    pub fn id_of(&self, key: &PublicKey) -> Option<&TufKeyId> {
        self.keys.iter().find(|(_, listed)| *listed == key).map(|(id, _)| id)
    }

    /// The different keys that have signed `payload` well. One key under two ids counts once.
    #[must_use]
    pub fn signers(&self, payload: &[u8], signatures: &[Signature]) -> BTreeSet<PublicKey> {
        let holds = |signature: &Signature| {
            let key = self.keys.get(&signature.keyid)?;
            key.verify(payload, &signature.sig).ok().map(|()| key.clone())
        };
        signatures.iter().filter_map(holds).collect()
    }

    /// Checks that enough of its keys have signed.
    ///
    /// # Errors
    /// Fewer than the threshold.
    pub fn check<T>(&self, document: &Document<T>) -> Result<(), MetadataError> {
        let signers = self.signers(&document.payload, &document.signatures);
        let valid = u64::try_from(signers.len()).unwrap_or(u64::MAX);
        if valid >= self.threshold.max(1) {
            return Ok(());
        }
        let (role, threshold) = (self.role.clone(), self.threshold);
        Err(MetadataError::ThresholdNotMet { role, threshold, valid })
    }
}

#[cfg(test)]
mod tests;
