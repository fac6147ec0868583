//! A key in a TPM 2.0: made inside, wrapped by the TPM's own storage key, loaded to sign. The
//! wrapped key stands in a file, and is of no use to any other TPM.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};
use tss_esapi::abstraction::transient::{
    KeyMaterial, KeyParams, TransientKeyContext, TransientKeyContextBuilder,
};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{Digest, EccScheme, HashScheme, Signature};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::utils::PublicKey as TpmPublicKey;

use super::{KeyStore, KeyStoreError, der};

/// Largest file of a wrapped key, in bytes; one has some 800.
const FILE_BYTES_MAX: u64 = 16 * 1024;

const COORDINATE_BYTES: usize = 32;

const PARAMS: KeyParams = KeyParams::Ecc {
    curve: EccCurve::NistP256,
    scheme: EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)),
};

/// A connection to a TPM, and the folder of its wrapped key.
pub(crate) struct Tpm2 {
    context: TransientKeyContext,
    file: PathBuf,
}

impl Tpm2 {
    /// Opens the TPM.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) fn open(tcti: &str, folder: &Path) -> Result<Self, KeyStoreError> {
        let tcti = TctiNameConf::from_str(tcti).map_err(cannot("be reached by that name"))?;
        let context = TransientKeyContextBuilder::new()
            .with_tcti(tcti)
            .build()
            .map_err(cannot("be opened"))?;
        Ok(Self { context, file: folder.join("tpm2-key.json") })
    }

    fn load(&self) -> Result<Option<KeyMaterial>, KeyStoreError> {
        let failed = |source| KeyStoreError::File { path: self.file.clone(), source };
        match fs::metadata(&self.file) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(failed(err)),
            Ok(found) if found.len() > FILE_BYTES_MAX => {
                return Err(KeyStoreError::Malformed {
                    expected: "a wrapped key of 16 KiB at most",
                });
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&self.file).map_err(failed)?;
        let malformed = |_| KeyStoreError::Malformed { expected: "a wrapped key in JSON" };
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }

    /// Keeps the wrapped key: whole or not at all, whenever the power goes.
    fn keep(&self, key: &KeyMaterial) -> Result<(), KeyStoreError> {
        let failed = |source| KeyStoreError::File { path: self.file.clone(), source };
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let bytes = serde_json::to_vec(key)
            .map_err(|_| KeyStoreError::Malformed { expected: "a key that can be written" })?;
        let new = self.file.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &self.file).map_err(failed)?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl KeyStore for Tpm2 {
    fn public(&mut self) -> Result<Option<PublicKey>, KeyStoreError> {
        self.load()?.map(|key| point(key.public())).transpose()
    }

    fn create(&mut self) -> Result<PublicKey, KeyStoreError> {
        let (key, _) = self.context.create_key(PARAMS, 0).map_err(cannot("make a key"))?;
        let public = point(key.public())?;
        self.keep(&key)?;
        Ok(public)
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        let key = self.load()?.ok_or(KeyStoreError::NoKey)?;
        let digest = Digest::try_from(Sha256::digest(message).to_vec())
            .map_err(cannot("take a digest of 32 bytes"))?;
        let signature =
            self.context.sign(key, PARAMS, None, digest).map_err(cannot("sign with that key"))?;
        let Signature::EcDsa(signature) = signature else {
            return Err(KeyStoreError::Malformed { expected: "an ECDSA signature" });
        };
        let halves = [signature.signature_r().value(), signature.signature_s().value()];
        der(&halves.map(padded).concat())
    }
}

/// The uncompressed point (SEC 1, 2.3.3).
fn point(public: &TpmPublicKey) -> Result<PublicKey, KeyStoreError> {
    let TpmPublicKey::Ecc { x, y } = public else {
        return Err(KeyStoreError::Malformed { expected: "a P-256 key" });
    };
    Ok(PublicKey::EcdsaP256([vec![4], padded(x), padded(y)].concat()))
}

/// A number in 32 bytes: a TPM may leave leading zeroes out.
fn padded(number: &[u8]) -> Vec<u8> {
    let missing = COORDINATE_BYTES.saturating_sub(number.len());
    [vec![0; missing], number.to_vec()].concat()
}

fn cannot(what: &'static str) -> impl Fn(tss_esapi::Error) -> KeyStoreError {
    move |source| KeyStoreError::Tpm2 { what, source: Box::new(source) }
}
