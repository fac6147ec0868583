//! Signed envelopes (DSSE v1.0.2) and the proof types that only climb: bytes -> `Verified<T>`. The
//! one constructor of [`Verified`] for signatures and the one for TLS peers both stand in this
//! file.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::id::DeviceId;
use crate::key::{KeyId, PublicKey, base64_bytes};
use crate::limits::{ENVELOPE_BYTES_MAX, SIGNATURES_MAX};

/// A message that is signed in an envelope of its own.
pub trait Message: Serialize + DeserializeOwned {
    /// The DSSE payload type. It keeps a signature made for one kind of message from passing for
    /// another.
    const PAYLOAD_TYPE: &'static str;
}

/// A DSSE envelope. On the wire:
/// `{"payloadType", "payload": base64, "signatures": [{"keyid", "sig"}]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The bytes that are signed, as they are.
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
    /// Who signed.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature on an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// The name of the key.
    pub keyid: KeyId,
    /// The signature over the pre-authentication encoding.
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why an envelope proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Larger than [`ENVELOPE_BYTES_MAX`].
    #[error("expected an envelope of at most {ENVELOPE_BYTES_MAX} bytes, got {got}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("expected at most {SIGNATURES_MAX} signatures, got {got}")]
    TooManySignatures {
        /// How many came.
        got: usize,
    },
    /// Not an envelope, or the payload is not the message it should be.
    #[error("expected {expected}, got something else: {why}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
        /// What the parser said.
        why: String,
    },
    /// An envelope of another kind of message.
    #[error("expected the payload type {expected}, got {got:?}")]
    WrongType {
        /// The type wanted.
        expected: &'static str,
        /// The type that came.
        got: String,
    },
    /// None of the trusted keys signed it.
    #[error("no trusted key has signed this {payload_type}")]
    NotSigned {
        /// The kind of message.
        payload_type: &'static str,
    },
}

/// DSSE's pre-authentication encoding (PAE): the bytes that are really signed.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = alloc::format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len())
        .into_bytes();
    out.extend_from_slice(payload);
    out
}

impl Envelope {
    /// Wraps `message` with one signature that `sign` makes over the pre-authentication encoding.
    ///
    /// # Errors
    /// The message has no canonical form, or `sign` failed.
    pub fn seal<T: Message, E: From<CanonicalError>>(
        message: &T,
        keyid: KeyId,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let payload = canonical::to_json(message)?;
        let sig = sign(&pre_authentication_encoding(T::PAYLOAD_TYPE, &payload))?;
        Ok(Self {
            payload_type: T::PAYLOAD_TYPE.into(),
            payload,
            signatures: alloc::vec![EnvelopeSignature { keyid, sig }],
        })
    }

    /// Reads an envelope from JSON, its length checked first.
    ///
    /// # Errors
    /// Too large, or not an envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { got: bytes.len() });
        }
        serde_json::from_slice(bytes).map_err(|err| EnvelopeError::Malformed {
            expected: "a DSSE envelope",
            why: alloc::format!("{err}"),
        })
    }

    /// Checks that one of `keys` signed this envelope, and only then parses the payload.
    ///
    /// # Errors
    /// Wrong type, too large, not signed by any of `keys`, or signed but not a `T`.
    pub fn verify<T: Message>(&self, keys: &[PublicKey]) -> Result<Verified<T>, EnvelopeError> {
        if self.payload.len() > ENVELOPE_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { got: self.payload.len() });
        }
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures { got: self.signatures.len() });
        }
        if self.payload_type != T::PAYLOAD_TYPE {
            return Err(EnvelopeError::WrongType {
                expected: T::PAYLOAD_TYPE,
                got: self.payload_type.chars().take(128).collect(),
            });
        }
        let signed_bytes = pre_authentication_encoding(T::PAYLOAD_TYPE, &self.payload);
        // The key id only picks the key to try (DSSE: it is a hint and not trusted).
        let holds = |signature: &EnvelopeSignature| {
            keys.iter().any(|key| {
                key.key_id() == signature.keyid && key.verify(&signed_bytes, &signature.sig).is_ok()
            })
        };
        if !self.signatures.iter().any(holds) {
            return Err(EnvelopeError::NotSigned { payload_type: T::PAYLOAD_TYPE });
        }
        let message = serde_json::from_slice(&self.payload).map_err(|err| {
            EnvelopeError::Malformed { expected: T::PAYLOAD_TYPE, why: alloc::format!("{err}") }
        })?;
        Ok(Verified { message })
    }
}

/// A message whose origin is proved. There is no way to make one but through this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    message: T,
}

impl<T> Verified<T> {
    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message itself, its proof given up.
    pub fn into_message(self) -> T {
        self.message
    }
}

/// A device that has proved itself by its certificate on the connection that a request came over.
/// Made by the server's identity room alone (`cargo xtask arrows` fails on any other caller).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePeer {
    device: DeviceId,
}

impl DevicePeer {
    /// Says that the TLS peer is `device`. The caller has checked the certificate against the
    /// registry for this very request.
    #[must_use]
    pub const fn from_checked_certificate(device: DeviceId) -> Self {
        Self { device }
    }

    /// Who it is.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Ties a message to the connection it came over.
    pub fn vouch<T>(&self, message: T) -> Verified<FromDevice<T>> {
        Verified { message: FromDevice { device: self.device.clone(), message } }
    }
}

/// A message together with the device it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromDevice<T> {
    /// Who sent it.
    pub device: DeviceId,
    /// What it said.
    pub message: T,
}

#[cfg(test)]
mod tests;
