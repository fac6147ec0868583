//! The device's key: one P-256 key that signs requests for certificates, TLS handshakes, reports
//! and manifests. Where it lives is behind [`KeyStore`]: in a file, or in a TPM or token behind
//! the pipe of a helper program. What is signed is not known to the stores.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use lazaret_protocol::attested::TpmStatement;
use lazaret_protocol::canonical::CanonicalError;
use lazaret_protocol::key::{KeyId, PublicKey};
use lazaret_protocol::signed::{Envelope, Message};
use rcgen::{CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::cli::chain;
use crate::config::KeyConfig;
use crate::durable::{Durable, DurableError};

mod file;
mod pipe;

use file::FileKey;
use pipe::Helper;

/// The key cannot be had or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's file cannot be read or kept.
    #[error("the key's file cannot be kept")]
    Durable(#[from] DurableError),
    /// The key's file is not a key.
    #[error("expected a P-256 key in {}: {why}", path.display())]
    BadFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the parser said.
        why: String,
    },
    /// The helper program cannot be started.
    #[error("the key helper {} cannot be started", program.display())]
    NotStarted {
        /// Which.
        program: std::path::PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The helper ended instead of answering; what it had to say stands on standard error.
    #[error("the key helper ended without an answer")]
    Ended,
    /// The helper took longer than `key.timeout_ms`, and was ended.
    #[error("expected an answer of the key helper within {ms} ms")]
    Late {
        /// The limit in milliseconds.
        ms: u64,
    },
    /// The helper, or the store behind it, said no.
    #[error("the key helper refused: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// The helper said something else than an answer.
    #[error("expected {expected} from the key helper")]
    Malformed {
        /// What.
        expected: &'static str,
    },
    /// The helper failed before, and is not started again yet.
    #[error("the key helper failed {failures} times in a row and rests for another {ms} ms")]
    Resting {
        /// How often.
        failures: u32,
        /// How long yet, in milliseconds.
        ms: u64,
    },
    /// The store holds another key than when the agent started.
    #[error("expected the key {wanted} in the store, found another")]
    Changed {
        /// The one that the agent started with.
        wanted: KeyId,
    },
    /// A message is longer than any that a device signs.
    #[error("expected a message of at most {max} bytes to sign, got {got}")]
    TooLong {
        /// The limit in bytes.
        max: usize,
        /// Its length in bytes.
        got: usize,
    },
    /// The store proves nothing of itself.
    #[error("expected a key in a TPM, which can say of itself where it is")]
    NoAttester,
    /// What was to be signed has no canonical form.
    #[error("the message cannot be written canonically")]
    Unspeakable(#[from] CanonicalError),
    /// A request for a certificate cannot be made.
    #[error("a request for a certificate cannot be made: {why}")]
    BadRequest {
        /// What the library said.
        why: String,
    },
}

/// Where the key lives.
trait KeyStore: std::fmt::Debug + Send + Sync {
    /// Signs: ECDSA over P-256 with SHA-256, DER.
    ///
    /// # Errors
    /// The store cannot be used at this moment.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// The same store as one that proves where its key is; none where it cannot.
    fn attester(&self) -> Option<&dyn Attester> {
        None
    }
}

/// What a TPM says it is, as it marshals it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmClaims {
    /// The endorsement key's public area.
    pub endorsement: Vec<u8>,
    /// The maker's certificate for it, DER; a TPM may have none.
    pub certificate: Option<Vec<u8>>,
    /// The attestation key's public area.
    pub attestation: Vec<u8>,
    /// The device key's public area.
    pub device: Vec<u8>,
}

/// A store that proves that its key never leaves it.
pub trait Attester {
    /// What it says it is.
    ///
    /// # Errors
    /// The store cannot be used at this moment.
    fn claims(&self) -> Result<TpmClaims, KeyError>;

    /// Opens a credential that was made for it: the secret inside.
    ///
    /// # Errors
    /// It was made for another, or the store cannot be used at this moment.
    fn activate(&self, blob: &[u8], seed: &[u8]) -> Result<Vec<u8>, KeyError>;

    /// States that it holds the device's key.
    ///
    /// # Errors
    /// The store cannot be used at this moment.
    fn certify(&self, nonce: &[u8]) -> Result<TpmStatement, KeyError>;

    /// States what was measured in these registers of the SHA-256 bank.
    ///
    /// # Errors
    /// There are no such registers, or the store cannot be used at this moment.
    fn quote(&self, nonce: &[u8], registers: &[u8]) -> Result<TpmStatement, KeyError>;
}

/// The device's key. Clones are the same key.
#[derive(Clone)]
pub struct DeviceKey {
    /// The uncompressed point (SEC 1, 2.3.3), 65 bytes.
    point: Vec<u8>,
    store: Arc<dyn KeyStore>,
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceKey")
            .field("key_id", &self.key_id())
            .field("store", &self.store)
            .finish()
    }
}

impl DeviceKey {
    /// The key in the store that the settings name; it is made on the first start.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn open(config: &KeyConfig, state_dir: &Path, durable: &Durable) -> Result<Self, KeyError> {
        match config {
            KeyConfig::File => Self::load_or_make(state_dir, durable),
            KeyConfig::Helper(config) => {
                let (helper, point) = Helper::start(config, state_dir)?;
                Ok(Self { point, store: Arc::new(helper) })
            }
        }
    }

    /// The key in a file of the state folder; it is made where there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key.
    pub fn load_or_make(state_dir: &Path, durable: &Durable) -> Result<Self, KeyError> {
        let key = FileKey::load_or_make(state_dir, durable)?;
        Ok(Self { point: key.point(), store: Arc::new(key) })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::EcdsaP256(self.point.clone())
    }

    /// The key's name.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.public().key_id()
    }

    /// Signs: ECDSA over P-256 with SHA-256, DER.
    ///
    /// # Errors
    /// The store cannot be used at this moment.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.store.sign(message)
    }

    /// The TPM with the key, where it lives in one.
    #[must_use]
    pub fn attester(&self) -> Option<&dyn Attester> {
        self.store.attester()
    }

    /// Wraps a message with the key's signature.
    ///
    /// # Errors
    /// The message has no canonical form, or the store cannot be used at this moment.
    pub fn seal<T: Message>(&self, message: &T) -> Result<Envelope, KeyError> {
        Envelope::seal(message, self.key_id(), |bytes| self.sign(bytes))
    }

    /// A request for a certificate, PEM. Its subject is empty: who the device is, the server
    /// decides.
    ///
    /// # Errors
    /// The store cannot be used at this moment.
    pub fn csr(&self) -> Result<String, KeyError> {
        let bad = |err: rcgen::Error| KeyError::BadRequest { why: err.to_string() };
        let mut params = CertificateParams::new(Vec::new()).map_err(bad)?;
        params.distinguished_name = DistinguishedName::new();
        let requester = Requester { key: self, failure: RefCell::new(None) };
        let request = params.serialize_request(&requester);
        if let Some(failure) = requester.failure.take() {
            return Err(failure);
        }
        request.and_then(|csr| csr.pem()).map_err(bad)
    }
}

/// The key as rcgen asks for it. Its own error has no room for ours.
pub(super) struct Requester<'a> {
    key: &'a DeviceKey,
    failure: RefCell<Option<KeyError>>,
}

impl PublicKeyData for Requester<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.key.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Requester<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.key.sign(message).map_err(|err| {
            self.failure.replace(Some(err));
            rcgen::Error::RemoteKeyError
        })
    }
}

/// In a handshake, the store may take as long as it may elsewhere, and no longer.
impl rustls::sign::SigningKey for DeviceKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let ours = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        ours.then(|| Box::new(self.clone()) as Box<dyn rustls::sign::Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl rustls::sign::Signer for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Self::sign(self, message).map_err(|err| rustls::Error::General(chain(&err)))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

#[cfg(test)]
impl DeviceKey {
    /// The key as something that a certificate can be made for.
    pub(super) const fn certified(&self) -> Requester<'_> {
        Requester { key: self, failure: RefCell::new(None) }
    }
}
