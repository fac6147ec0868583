//! Public keys as they travel, and checking a signature with one. Private keys never come here.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Sha256Digest;

/// A public key with its algorithm. On the wire: `{"algorithm": "...", "public": base64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "algorithm", content = "public")]
#[non_exhaustive]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), 32 bytes: our own signatures.
    #[serde(rename = "ed25519", with = "base64_bytes")]
    Ed25519(Vec<u8>),
    /// ECDSA over P-256 with SHA-256, the uncompressed point of 65 bytes (SEC 1, 2.3.3): device
    /// keys, because TPMs and secure elements rarely have Ed25519.
    #[serde(rename = "ecdsa-p256-sha256", with = "base64_bytes")]
    EcdsaP256(Vec<u8>),
}

/// Names a key: the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The key id as 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for KeyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key's bytes are not a key of its algorithm.
    #[error("public key is not a valid point")]
    BadKey,
    /// The signature is not one over these bytes by this key.
    #[error("signature does not hold")]
    DoesNotHold,
}

impl PublicKey {
    /// The name of this key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        // A key serialises to two strings, which always have a canonical form.
        let bytes = canonical::to_bytes(self).unwrap_or_default();
        KeyId(Sha256Digest::of(&bytes).to_string())
    }

    /// Checks `signature` over `message`: 64 bytes for Ed25519 (strict, RFC 8032 with small-order
    /// keys refused), DER for ECDSA.
    ///
    /// # Errors
    /// The key is malformed or the signature does not hold.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match self {
            Self::Ed25519(bytes) => {
                let bytes: &[u8; 32] =
                    bytes.as_slice().try_into().map_err(|_| SignatureError::BadKey)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
                    .map_err(|_| SignatureError::BadKey)?;
                let signature = ed25519_dalek::Signature::from_slice(signature)
                    .map_err(|_| SignatureError::DoesNotHold)?;
                key.verify_strict(message, &signature).map_err(|_| SignatureError::DoesNotHold)
            }
            Self::EcdsaP256(bytes) => {
                use p256::ecdsa::signature::Verifier as _;
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                    .map_err(|_| SignatureError::BadKey)?;
                let signature = p256::ecdsa::Signature::from_der(signature)
                    .map_err(|_| SignatureError::DoesNotHold)?;
                key.verify(message, &signature).map_err(|_| SignatureError::DoesNotHold)
            }
        }
    }
}

/// Serialises bytes as standard base64 with padding (RFC 4648, 4).
pub(crate) mod base64_bytes {
    use alloc::string::{String, ToString as _};
    use alloc::vec::Vec;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map_err(|err| D::Error::custom(err.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer as _, SigningKey};

    #[test]
    fn an_ed25519_signature_holds_only_over_its_own_message() {
        let signer = SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::Ed25519(signer.verifying_key().as_bytes().to_vec());
        let signature = signer.sign(b"message").to_bytes();
        assert_eq!(key.verify(b"message", &signature), Ok(()));
        assert_eq!(key.verify(b"massage", &signature), Err(SignatureError::DoesNotHold));
        assert_eq!(key.verify(b"message", &signature[..63]), Err(SignatureError::DoesNotHold));
        assert_eq!(
            PublicKey::Ed25519(alloc::vec![1]).verify(b"m", &signature),
            Err(SignatureError::BadKey)
        );
    }

    #[test]
    fn a_small_order_key_verifies_nothing() {
        // The identity point with an all-zero s would pass a lax verifier for any message.
        let mut point = [0u8; 32];
        point[0] = 1;
        let mut signature = [0u8; 64];
        signature[0] = 1;
        let key = PublicKey::Ed25519(point.to_vec());
        assert_eq!(key.verify(b"anything", &signature), Err(SignatureError::DoesNotHold));
    }
}
