//! What a TPM says of itself, for a server that has never seen it: its endorsement key with the
//! maker's certificate, the answer to a credential, and statements over the device's key and the
//! measured registers. What is to be thought of them, `protocol/tpm` knows.

use tss_esapi::Error;
use tss_esapi::abstraction::AsymmetricAlgorithmSelection;
use tss_esapi::abstraction::ek;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, ObjectHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Attest, Data, Digest, EncryptedSecret, IdObject, Nonce, PcrSelectionListBuilder, PcrSlot,
    Signature, SignatureScheme, SymmetricDefinition,
};
use tss_esapi::traits::Marshall as _;

use super::{KeyStoreError, Tpm2, cannot};
use crate::stores::{Attester, Claims, Statement};

/// Every TPM 2.0 has this one (TCG EK credential profile, template L-1).
const ENDORSEMENT: AsymmetricAlgorithmSelection =
    AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048);

impl Attester for Tpm2 {
    fn claims(&mut self) -> Result<Claims, KeyStoreError> {
        let keys = self.keys()?;
        let (device, attestation) = (keys.device.public()?, keys.attestation.public()?);
        let endorsement = self.with_endorsement(|tpm, key| {
            let (public, _, _) =
                tpm.context.execute_without_session(|context| context.read_public(key))?;
            public.marshall()
        })?;
        // A TPM may have left its maker without one; the server then has only the key.
        let certificate = ek::retrieve_ek_pubcert(&mut self.context, ENDORSEMENT).ok();
        Ok(Claims { endorsement, certificate, attestation, device })
    }

    fn activate(&mut self, blob: &[u8], seed: &[u8]) -> Result<Vec<u8>, KeyStoreError> {
        let keys = self.keys()?;
        let blob = IdObject::try_from(blob.to_vec()).map_err(cannot("take that credential"))?;
        let seed = EncryptedSecret::try_from(seed.to_vec()).map_err(cannot("take that seed"))?;
        self.with_key(&keys.attestation, "open the credential", |tpm, attestation| {
            tpm.with_endorsement_handle(|tpm, endorsement| {
                tpm.with_policy(|tpm, policy| {
                    let sessions = (Some(AuthSession::Password), Some(policy), None);
                    let secret = tpm.context.execute_with_sessions(sessions, |context| {
                        context.activate_credential(attestation, endorsement, blob, seed)
                    })?;
                    Ok(secret.value().to_vec())
                })
            })
        })
    }

    fn certify(&mut self, nonce: &[u8]) -> Result<Statement, KeyStoreError> {
        let keys = self.keys()?;
        let nonce = Data::try_from(nonce.to_vec()).map_err(cannot("take that nonce"))?;
        let signed = self.with_key(&keys.attestation, "certify the key", |tpm, attestation| {
            let (public, private) = keys.device.parts().map_err(|_| not_ours())?;
            let storage = tpm.storage;
            let device = tpm.with_password(|context| context.load(storage, private, public))?;
            let password = Some(AuthSession::Password);
            let signed = tpm.context.execute_with_sessions((password, password, None), |context| {
                context.certify(device.into(), attestation, nonce, SignatureScheme::Null)
            });
            tpm.context.flush_context(ObjectHandle::from(device))?;
            signed
        })?;
        statement(&signed)
    }

    fn quote(&mut self, nonce: &[u8], registers: &[u8]) -> Result<Statement, KeyStoreError> {
        let keys = self.keys()?;
        let nonce = Data::try_from(nonce.to_vec()).map_err(cannot("take that nonce"))?;
        let slots: Result<Vec<PcrSlot>, Error> = registers
            .iter()
            .map(|register| PcrSlot::try_from(1_u32.checked_shl(u32::from(*register)).unwrap_or(0)))
            .collect();
        let slots = slots.map_err(cannot("quote that register"))?;
        let chosen = PcrSelectionListBuilder::new()
            .with_selection(HashingAlgorithm::Sha256, &slots)
            .build()
            .map_err(cannot("quote those registers"))?;
        let signed = self.with_key(&keys.attestation, "quote its registers", |tpm, key| {
            tpm.with_password(|context| context.quote(key, nonce, SignatureScheme::Null, chosen))
        })?;
        statement(&signed)
    }
}

fn statement((statement, signature): &(Attest, Signature)) -> Result<Statement, KeyStoreError> {
    Ok(Statement {
        statement: statement.marshall().map_err(cannot("write its statement"))?,
        signature: signature.marshall().map_err(cannot("write its signature"))?,
    })
}

/// The wrapped key cannot be read: said by the type that the TPM's errors have.
const fn not_ours() -> Error {
    Error::WrapperError(tss_esapi::WrapperErrorKind::InvalidParam)
}

impl Tpm2 {
    fn with_endorsement<T>(
        &mut self,
        work: impl FnOnce(&mut Self, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, KeyStoreError> {
        self.with_endorsement_handle(work).map_err(cannot("derive its endorsement key"))
    }

    /// Runs `work` with the endorsement key, which is derived each time and is always the same.
    fn with_endorsement_handle<T>(
        &mut self,
        work: impl FnOnce(&mut Self, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let key = ek::create_ek_object_2(&mut self.context, ENDORSEMENT, None)?;
        let outcome = work(self, key);
        self.context.flush_context(ObjectHandle::from(key))?;
        outcome
    }

    /// Runs `work` with the session that the endorsement key's policy asks for: whoever may use the
    /// endorsement hierarchy (TCG EK credential profile, B.3.3: PolicyA).
    fn with_policy<T>(
        &mut self,
        work: impl FnOnce(&mut Self, AuthSession) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.context.execute_without_session(|context| {
            let cipher = SymmetricDefinition::AES_128_CFB;
            let hash = HashingAlgorithm::Sha256;
            context.start_auth_session(None, None, None, SessionType::Policy, cipher, hash)
        })?;
        let session = session.ok_or(not_ours())?;
        let policy = PolicySession::try_from(session)?;
        let outcome = self
            .with_password(|context| {
                let (nonce, digest) = (Nonce::default(), Digest::default());
                context.policy_secret(
                    policy,
                    AuthHandle::Endorsement,
                    nonce,
                    digest,
                    Nonce::default(),
                    None,
                )
            })
            .and_then(|_| work(self, session));
        self.context.flush_context(SessionHandle::from(session).into())?;
        outcome
    }
}
