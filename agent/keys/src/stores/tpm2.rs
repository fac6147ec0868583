//! Keys in a TPM 2.0: made inside, wrapped by the TPM's own storage key, loaded to sign and flushed
//! again, because TPMs have room for three. The wrapped keys stand in a file, and are of no use to
//! any other TPM.

mod attest;
mod wrapped;

use std::path::Path;
use std::str::FromStr as _;

use lazaret_protocol::key::PublicKey;
use sha2::{Digest as _, Sha256};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Digest, EccPoint, EccScheme, HashScheme, HashcheckTicket, KeyDerivationFunctionScheme, Private,
    Public, PublicBuilder, PublicEccParametersBuilder, Signature, SignatureScheme,
    SymmetricDefinitionObject,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;
use tss_esapi::{Context, Error};

use self::wrapped::{Wrapped, WrappedKey, WrappedKeys};
use super::{Attester, KeyStore, KeyStoreError, der};

const COORDINATE_BYTES: usize = 32;

/// A connection to a TPM, and the file of its wrapped keys.
pub(crate) struct Tpm2 {
    context: Context,
    storage: KeyHandle,
    wrapped: Wrapped,
}

impl Tpm2 {
    /// Opens the TPM, and derives its storage key, which is the same each time.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) fn open(tcti: &str, folder: &Path) -> Result<Self, KeyStoreError> {
        let tcti = TctiNameConf::from_str(tcti).map_err(cannot("be reached by that name"))?;
        let mut context = Context::new(tcti).map_err(cannot("be opened"))?;
        let template = template(Purpose::Storage).map_err(cannot("have a storage key"))?;
        let storage = context
            .execute_with_nullauth_session(|context| {
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })
            .map_err(cannot("derive its storage key"))?;
        Ok(Self { context, storage: storage.key_handle, wrapped: Wrapped::in_folder(folder) })
    }

    fn make(&mut self, purpose: Purpose) -> Result<WrappedKey, KeyStoreError> {
        let storage = self.storage;
        let template = template(purpose).map_err(cannot("have such a key"))?;
        let made = self
            .with_password(|context| context.create(storage, template, None, None, None, None))
            .map_err(cannot("make a key"))?;
        WrappedKey::of(&made.out_public, &made.out_private)
    }

    fn keys(&self) -> Result<WrappedKeys, KeyStoreError> {
        self.wrapped.load()?.ok_or(KeyStoreError::NoKey)
    }

    /// Runs `work` with the key loaded, and makes room again, however it ends.
    fn with_key<T>(
        &mut self,
        key: &WrappedKey,
        what: &'static str,
        work: impl FnOnce(&mut Self, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, KeyStoreError> {
        let (public, private): (Public, Private) = key.parts()?;
        let storage = self.storage;
        let handle = self
            .with_password(|context| context.load(storage, private, public))
            .map_err(cannot("load that key: it was wrapped by another TPM"))?;
        let outcome = work(self, handle);
        let flushed = self.context.flush_context(ObjectHandle::from(handle));
        let outcome = outcome.map_err(cannot(what))?;
        flushed.map_err(cannot("flush the key"))?;
        Ok(outcome)
    }

    /// Our keys have no password: who may talk to the TPM may use them, and nobody can take them.
    fn with_password<T>(
        &mut self,
        work: impl FnOnce(&mut Context) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.context.execute_with_session(Some(AuthSession::Password), work)
    }
}

impl KeyStore for Tpm2 {
    fn public(&mut self) -> Result<Option<PublicKey>, KeyStoreError> {
        self.wrapped.load()?.map(|keys| point(&keys.device)).transpose()
    }

    fn create(&mut self) -> Result<PublicKey, KeyStoreError> {
        let device = self.make(Purpose::Device)?;
        let attestation = self.make(Purpose::Attestation)?;
        let public = point(&device)?;
        self.wrapped.keep(&WrappedKeys { device, attestation })?;
        Ok(public)
    }

    fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        let key = self.keys()?.device;
        let digest = Digest::try_from(Sha256::digest(message).to_vec())
            .map_err(cannot("take a digest of 32 bytes"))?;
        let signature = self.with_key(&key, "sign with that key", |tpm, key| {
            tpm.with_password(|context| {
                context.sign(key, digest, SignatureScheme::Null, no_ticket()?)
            })
        })?;
        let Signature::EcDsa(signature) = signature else {
            return Err(KeyStoreError::Malformed { expected: "an ECDSA signature" });
        };
        let halves = [signature.signature_r().value(), signature.signature_s().value()];
        der(&halves.map(padded).concat())
    }

    fn attester(&mut self) -> Option<&mut dyn Attester> {
        Some(self)
    }
}

/// A digest that was made outside the TPM has no ticket (TPM 2.0 library, part 3, 20.2).
fn no_ticket() -> Result<HashcheckTicket, Error> {
    let ticket = TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: tss_esapi::tss2_esys::TPM2B_DIGEST::default(),
    };
    ticket.try_into()
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Wraps the others.
    Storage,
    /// Is the device's: requests, handshakes, reports.
    Device,
    /// Signs what the TPM states, and nothing else.
    Attestation,
}

/// A P-256 key of that purpose, which never leaves its TPM.
fn template(purpose: Purpose) -> Result<Public, Error> {
    let storage = purpose == Purpose::Storage;
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_restricted(purpose != Purpose::Device)
        .with_decrypt(storage)
        .with_sign_encrypt(!storage)
        .build()?;
    let ecdsa = EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256));
    let (scheme, cipher) = if storage {
        (EccScheme::Null, SymmetricDefinitionObject::AES_128_CFB)
    } else {
        (ecdsa, SymmetricDefinitionObject::Null)
    };
    let parameters = PublicEccParametersBuilder::new()
        .with_ecc_scheme(scheme)
        .with_curve(EccCurve::NistP256)
        .with_symmetric(cipher)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(!storage)
        .with_is_decryption_key(storage)
        .with_restricted(purpose != Purpose::Device)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// The uncompressed point (SEC 1, 2.3.3).
fn point(key: &WrappedKey) -> Result<PublicKey, KeyStoreError> {
    let (Public::Ecc { unique, .. }, _) = key.parts()? else {
        return Err(KeyStoreError::Malformed { expected: "a P-256 key" });
    };
    let (x, y) = (padded(unique.x().value()), padded(unique.y().value()));
    Ok(PublicKey::EcdsaP256([vec![4], x, y].concat()))
}

/// A number in 32 bytes: a TPM may leave leading zeroes out.
fn padded(number: &[u8]) -> Vec<u8> {
    let missing = COORDINATE_BYTES.saturating_sub(number.len());
    [vec![0; missing], number.to_vec()].concat()
}

fn cannot(what: &'static str) -> impl Fn(Error) -> KeyStoreError {
    move |source| KeyStoreError::Tpm2 { what, source: Box::new(source) }
}
