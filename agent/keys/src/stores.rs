//! The port of key stores, and the stores behind it. A store makes exactly one P-256 key, never
//! gives it out, and signs with it. What is signed is not known here.

pub(crate) mod pkcs11;
pub(crate) mod tpm2;

use std::path::PathBuf;

use lazaret_protocol::key::PublicKey;

/// A key cannot be had or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyStoreError {
    /// None was made yet.
    #[error("there is no key")]
    NoKey,
    /// The token, or its module, said no.
    #[error("the PKCS#11 token cannot {what}")]
    Pkcs11 {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<cryptoki::error::Error>,
    },
    /// There is no token of that label.
    #[error("expected a token with the label {wanted:?}, found {found}")]
    NoToken {
        /// The label asked for.
        wanted: String,
        /// The labels that there are.
        found: String,
    },
    /// More than one key has the label: which one is the device's cannot be known.
    #[error("expected one key with the label {label:?}, found {found}")]
    Ambiguous {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
    /// The TPM said no.
    #[error("the TPM cannot {what}")]
    Tpm2 {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: Box<tss_esapi::Error>,
    },
    /// A file cannot be read or kept.
    #[error("{} cannot be read or kept", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something has another form than it should.
    #[error("expected {expected}")]
    Malformed {
        /// What.
        expected: &'static str,
    },
}

/// Where one device's key lives.
pub(crate) trait KeyStore {
    /// The public half; none where no key was made yet.
    ///
    /// # Errors
    /// The store cannot be used.
    fn public(&mut self) -> Result<Option<PublicKey>, KeyStoreError>;

    /// Makes the key, in the store, durably.
    ///
    /// # Errors
    /// The store cannot be used.
    fn create(&mut self) -> Result<PublicKey, KeyStoreError>;

    /// Signs a message: ECDSA over P-256 with SHA-256, DER (RFC 3279, 2.2.3).
    ///
    /// # Errors
    /// There is no key, or the store cannot be used.
    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError>;

    /// The public half of the key, which is made only if there is none.
    ///
    /// # Errors
    /// The store cannot be used.
    fn load_or_create(&mut self) -> Result<PublicKey, KeyStoreError> {
        match self.public()? {
            Some(public) => Ok(public),
            None => self.create(),
        }
    }
}

/// A signature of two numbers of 32 bytes each, in DER.
fn der(signature: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
    let signature = p256::ecdsa::Signature::from_slice(signature)
        .map_err(|_| KeyStoreError::Malformed { expected: "a signature of 64 bytes" })?;
    Ok(signature.to_der().as_bytes().to_vec())
}
