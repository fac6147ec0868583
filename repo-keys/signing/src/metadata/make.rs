//! Values of tough's schema, made from ours. Nothing here signs or checks.

use std::collections::HashMap;
use std::num::NonZeroU64;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::target::ANCHORS_TARGET;
use lazaret_protocol::time::{TIMESTAMP_MS_MAX, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tough::TargetName;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::{EcdsaKey, EcdsaScheme, Ed25519Key, Ed25519Scheme, Key};
use tough::schema::{Hashes, Metafile, RoleKeys, Target};

use super::{MetadataError, TufKeyId};

/// The TUF version that we write, the one that tough supports.
pub const SPEC_VERSION: &str = "1.0.0";

/// A moment for `expires`, cut to the second (TUF 4.2.1 has no fractions).
#[must_use]
pub fn moment(at: Timestamp) -> jiff::Timestamp {
    let seconds = at.as_ms().min(TIMESTAMP_MS_MAX) / 1000;
    jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// A version or threshold number, which TUF starts at 1.
///
/// # Errors
/// It is zero.
pub fn number(role: &str, value: u64) -> Result<NonZeroU64, MetadataError> {
    NonZeroU64::new(value).ok_or_else(|| MetadataError::OutOfScope {
        role: role.to_owned(),
        what: "a version or threshold of 0".to_owned(),
    })
}

/// The TUF key object of a public key.
///
/// # Errors
/// Neither Ed25519 nor ECDSA over P-256.
pub fn key(role: &str, public: &PublicKey) -> Result<Key, MetadataError> {
    let _extra = HashMap::new();
    match public {
        PublicKey::Ed25519(bytes) => Ok(Key::Ed25519 {
            keyval: Ed25519Key { public: bytes.clone().into(), _extra: HashMap::new() },
            scheme: Ed25519Scheme::Ed25519,
            _extra,
        }),
        PublicKey::EcdsaP256(point) => Ok(Key::Ecdsa {
            keyval: EcdsaKey { public: point.clone().into(), _extra: HashMap::new() },
            scheme: EcdsaScheme::EcdsaSha2Nistp256,
            _extra,
        }),
        _ => Err(MetadataError::KeyAlgorithm { role: role.to_owned() }),
    }
}

/// The public key in a TUF key object, where it is Ed25519 or ECDSA over P-256.
#[must_use]
pub fn public_key(key: &Key) -> Option<PublicKey> {
    match key {
        Key::Ed25519 { keyval, .. } => Some(PublicKey::Ed25519(keyval.public.to_vec())),
        Key::Ecdsa { keyval, .. } => Some(PublicKey::EcdsaP256(keyval.public.to_vec())),
        _ => None,
    }
}

/// The id of a public key in TUF metadata.
///
/// # Errors
/// Neither Ed25519 nor ECDSA over P-256.
pub fn key_id(role: &str, public: &PublicKey) -> Result<TufKeyId, MetadataError> {
    let id = key(role, public)?.key_id();
    let id = id.map_err(|_| MetadataError::KeyAlgorithm { role: role.to_owned() })?;
    Ok(hex::encode(&*id))
}

/// Adds `publics` to `keys` and names them with their threshold.
///
/// # Errors
/// A key of another algorithm, or a threshold that is zero or larger than the number of keys.
pub fn role_keys(
    role: &str,
    publics: &[PublicKey],
    threshold: u64,
    keys: &mut HashMap<Decoded<Hex>, Key>,
) -> Result<RoleKeys, MetadataError> {
    let mut keyids: Vec<Decoded<Hex>> = Vec::new();
    for public in publics {
        let key = key(role, public)?;
        let keyid = key.key_id();
        let keyid = keyid.map_err(|_| MetadataError::KeyAlgorithm { role: role.to_owned() })?;
        if !keyids.contains(&keyid) {
            keyids.push(keyid.clone());
        }
        keys.insert(keyid, key);
    }
    if threshold == 0 || u64::try_from(keyids.len()).is_ok_and(|count| count < threshold) {
        let what = format!("a threshold of {threshold} over {} different keys", keyids.len());
        return Err(MetadataError::OutOfScope { role: role.to_owned(), what });
    }
    // The order of holders on the command line must not change the bytes that are signed.
    keyids.sort();
    Ok(RoleKeys { keyids, threshold: number(role, threshold)?, _extra: HashMap::new() })
}

/// A target entry.
///
/// # Errors
/// `custom` is not a JSON object.
pub fn target<C: Serialize>(
    length: u64,
    sha256: &Sha256Digest,
    custom: Option<&C>,
) -> Result<Target, MetadataError> {
    let malformed =
        |why: String| MetadataError::Malformed { expected: "a target's custom fields in", why };
    let custom = match custom.map(serde_json::to_value).transpose() {
        Ok(None) => HashMap::new(),
        Ok(Some(Value::Object(map))) => map.into_iter().collect(),
        Ok(Some(_)) => return Err(malformed("not an object".to_owned())),
        Err(err) => return Err(malformed(err.to_string())),
    };
    let hashes = Hashes { sha256: sha256.as_bytes().to_vec().into(), _extra: HashMap::new() };
    Ok(Target { length, hashes, custom, _extra: HashMap::new() })
}

/// A target's name.
///
/// # Errors
/// tough calls it unsafe.
pub fn target_name(name: &str) -> Result<TargetName, MetadataError> {
    TargetName::new(name).map_err(|err| MetadataError::Malformed {
        expected: "a target name in",
        why: err.to_string(),
    })
}

/// A line of a snapshot or a timestamp. Both say versions only: what they list is signed itself,
/// and a poll without news is the smaller for it (TUF 4.3, length and hashes are optional).
///
/// # Errors
/// A version of zero.
pub fn metafile(version: u64) -> Result<Metafile, MetadataError> {
    Ok(Metafile {
        length: None,
        hashes: None,
        version: number("snapshot", version)?,
        _extra: HashMap::new(),
    })
}

/// The SHA-256 of a target, where it is one.
#[must_use]
pub fn sha256_of(target: &Target) -> Option<Sha256Digest> {
    let bytes: [u8; 32] = target.hashes.sha256.as_ref().try_into().ok()?;
    Some(Sha256Digest::from_bytes(bytes))
}

/// The anchors' target name, as tough wants it.
///
/// # Errors
/// Never, while [`ANCHORS_TARGET`] is a plain path.
pub fn anchors_name() -> Result<TargetName, MetadataError> {
    target_name(ANCHORS_TARGET)
}
