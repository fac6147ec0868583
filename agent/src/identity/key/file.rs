//! A key in a file of the state folder, PKCS#8 in PEM, which whoever reads the disk can copy.

use std::path::Path;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use super::{KeyError, KeyStore};
use crate::durable::{self, Access, Durable};

/// Largest key file, in bytes; one has some 240.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key in memory, and in a file.
pub(super) struct FileKey(SigningKey);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey")
    }
}

impl FileKey {
    /// Reads the key, or makes it on the first start.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key.
    pub(super) fn load_or_make(state_dir: &Path, durable: &Durable) -> Result<Self, KeyError> {
        let folder = state_dir.join("identity");
        let path = folder.join("key.pem");
        let bad = |why: String| KeyError::BadFile { path: path.clone(), why };
        let parse = |pem: &str| SigningKey::from_pkcs8_pem(pem).map_err(|e| bad(e.to_string()));
        if let Some(bytes) = durable::read(&path, FILE_BYTES_MAX)? {
            let pem = String::from_utf8(bytes).map_err(|err| bad(err.to_string()))?;
            return parse(&pem).map(Self);
        }
        let pair =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| bad(e.to_string()))?;
        let pem = pair.serialize_pem();
        let key = parse(&pem)?;
        durable.folder(&folder)?;
        durable.write(&path, pem.as_bytes(), Access::Owner, "identity-key")?;
        Ok(Self(key))
    }

    /// The public half as an uncompressed point.
    pub(super) fn point(&self) -> Vec<u8> {
        self.0.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }
}

impl KeyStore for FileKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature: DerSignature = self.0.sign(message);
        Ok(signature.as_bytes().to_vec())
    }
}
