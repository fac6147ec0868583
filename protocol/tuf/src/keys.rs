//! Keys as metadata spells them (TUF 4.2.2), and the keys with the threshold of one role.

#[cfg(feature = "rsa")]
mod rsa;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use p256::pkcs8::DecodePublicKey as _;
use serde::Serialize;
use serde_json::{Map, Value};

/// A key that this client can use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub(crate) enum Key {
    /// Of a kind that our own repositories have.
    Ours(PublicKey),
    /// Of a kind that foreign repositories have.
    #[cfg(feature = "rsa")]
    Rsa(rsa::RsaKey),
}

/// The keys that a root or a delegator knows, by key id. Keys that this client cannot use (another
/// type or scheme, or not a key at all) are left out and so never count.
///
/// The key id is whatever the delegator says it is, as in python-tuf: it only finds the key. What
/// counts is the key.
pub(crate) type Keys = BTreeMap<String, Key>;

/// Who may sign for one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleKeys {
    keys: Keys,
    threshold: u64,
}

/// Reads the `keys` of a root or of delegations.
pub(crate) fn read_keys(keys: &Value) -> Result<Keys, String> {
    let keys = keys.as_object().ok_or("expected an object of keys")?;
    let usable = keys.iter().filter_map(|(id, key)| Some((id.clone(), read_key(key)?)));
    Ok(usable.collect())
}

/// TUF 4.2.2. The old key type `ecdsa-sha2-nistp256` still stands in roots in use.
fn read_key(key: &Value) -> Option<Key> {
    let text = |name: &str| key.get(name)?.as_str();
    let public = key.get("keyval")?.get("public")?.as_str()?;
    match (text("keytype")?, text("scheme")?) {
        ("ed25519", "ed25519") => {
            let bytes = hex::decode(public).ok()?;
            (bytes.len() == 32).then_some(Key::Ours(PublicKey::Ed25519(bytes)))
        }
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
            // One point has one uncompressed spelling, however its PEM is wrapped.
            let key = p256::PublicKey::from_public_key_pem(public).ok()?;
            let verifying = p256::ecdsa::VerifyingKey::from(key);
            let point = verifying.to_sec1_point(false).as_bytes().to_vec();
            Some(Key::Ours(PublicKey::EcdsaP256(point)))
        }
        #[cfg(feature = "rsa")]
        ("rsa", "rsassa-pss-sha256") => rsa::RsaKey::read(public).map(Key::Rsa),
        _ => None,
    }
}

impl Key {
    fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ours(key) => key.verify(message, signature).is_ok(),
            #[cfg(feature = "rsa")]
            Self::Rsa(key) => key.holds(message, signature),
        }
    }
}

impl RoleKeys {
    /// Reads `keyids` and `threshold` of a role, with the keys that its delegator lists.
    pub(crate) fn read(role: &Map<String, Value>, keys: &Keys) -> Result<Self, String> {
        let threshold = role.get("threshold").and_then(Value::as_u64).filter(|t| *t > 0);
        let threshold = threshold.ok_or("expected a threshold of at least 1")?;
        let ids =
            role.get("keyids").and_then(Value::as_array).ok_or("expected a list of keyids")?;
        let mut own = Keys::new();
        for id in ids {
            let id = id.as_str().ok_or("expected keyids to be strings")?;
            if let Some(key) = keys.get(id) {
                own.insert(id.into(), key.clone());
            }
        }
        Ok(Self { keys: own, threshold })
    }

    /// How many keys must sign.
    pub(crate) const fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How many distinct keys have a valid signature over `message`. A key counts once, however
    /// often it signs and under however many key ids it is listed (TUF 5.3.4, 5.4.2, 5.5.3, 5.6.3).
    pub(crate) fn count(&self, message: &[u8], signatures: &[Signature]) -> u64 {
        let mut signers = BTreeSet::new();
        for signature in signatures {
            let Some(key) = self.keys.get(&signature.key_id) else { continue };
            if !signers.contains(key) && key.holds(message, &signature.bytes) {
                signers.insert(key);
            }
        }
        u64::try_from(signers.len()).unwrap_or(u64::MAX)
    }
}

/// One signature as it came.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) key_id: String,
    /// Empty where the text was not hexadecimal: such a signature never holds.
    pub(crate) bytes: alloc::vec::Vec<u8>,
}

/// Names all that decides whether a timestamp or a snapshot verifies: key ids, keys and thresholds
/// of both roles. Where two roots agree in this, what verifies under one verifies under the other.
pub(crate) fn online_keys(
    timestamp: &RoleKeys,
    snapshot: &RoleKeys,
) -> Result<Sha256Digest, String> {
    let said = [timestamp, snapshot].map(|role| (&role.keys, role.threshold));
    let bytes = canonical::to_bytes(&said).map_err(|err| format!("{err}"))?;
    Ok(Sha256Digest::of(&bytes))
}
