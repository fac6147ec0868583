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
    /// The store proves nothing of itself.
    #[error("expected a store that can attest, such as a TPM")]
    NoAttester,
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

    /// The same store as one that proves where its key is; none where it cannot.
    fn attester(&mut self) -> Option<&mut dyn Attester> {
        None
    }

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

/// What a TPM says it is, believed by nobody before it has opened a credential.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The endorsement key's public area (TPMT_PUBLIC).
    pub(crate) endorsement: Vec<u8>,
    /// The maker's certificate for it, DER; a TPM may have none.
    pub(crate) certificate: Option<Vec<u8>>,
    /// The attestation key's public area.
    pub(crate) attestation: Vec<u8>,
    /// The device key's public area.
    pub(crate) device: Vec<u8>,
}

/// A statement of the TPM (TPMS_ATTEST), and the attestation key's signature (TPMT_SIGNATURE).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) statement: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A store that proves that its key never leaves it.
pub(crate) trait Attester {
    /// What it says it is.
    ///
    /// # Errors
    /// There is no key, or the store cannot be used.
    fn claims(&mut self) -> Result<Claims, KeyStoreError>;

    /// Opens a credential that was made for it: the secret inside.
    ///
    /// # Errors
    /// It was made for another, or the store cannot be used.
    fn activate(&mut self, blob: &[u8], seed: &[u8]) -> Result<Vec<u8>, KeyStoreError>;

    /// States that it holds the device's key.
    ///
    /// # Errors
    /// There is no key, or the store cannot be used.
    fn certify(&mut self, nonce: &[u8]) -> Result<Statement, KeyStoreError>;

    /// States what was measured in these registers of the SHA-256 bank.
    ///
    /// # Errors
    /// There are no such registers, or the store cannot be used.
    fn quote(&mut self, nonce: &[u8], registers: &[u8]) -> Result<Statement, KeyStoreError>;
}

/// A signature of two numbers of 32 bytes each, in DER.
fn der(signature: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
    let signature = p256::ecdsa::Signature::from_slice(signature)
        .map_err(|_| KeyStoreError::Malformed { expected: "a signature of 64 bytes" })?;
    Ok(signature.to_der().as_bytes().to_vec())
}
