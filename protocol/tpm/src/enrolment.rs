//! When a device key is believed to live in a certain TPM: what the machine claims, and what its
//! TPM states over a nonce. Whether that TPM is welcome is not asked here.

use alloc::vec::Vec;

use lazaret_protocol::key::PublicKey;

use crate::attest::{self, Attested, ClockInfo, Statement};
use crate::public::Public;
use crate::reader::TpmError;

/// A machine that is not believed, by the name of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// The endorsement key is none.
    #[error("expected an endorsement key: a restricted decryption key that never leaves its TPM")]
    Endorsement(#[source] Option<TpmError>),
    /// The attestation key is none.
    #[error("expected an attestation key: a restricted signing key that never leaves its TPM")]
    Attestation(#[source] Option<TpmError>),
    /// The device key could be outside of the TPM.
    #[error(
        "expected a device key that was made in its TPM and never leaves it (fixedTPM, \
         fixedParent, sensitiveDataOrigin)"
    )]
    DeviceKey(#[source] Option<TpmError>),
    /// The request for a certificate is over another key than the one in the TPM.
    #[error("expected a request for the device key that the TPM holds, it is for another")]
    OtherKey,
    /// A statement that the attestation key did not make.
    #[error("the TPM's statement over {what} is not believed")]
    Statement {
        /// Over what.
        what: &'static str,
        /// Why not.
        #[source]
        source: TpmError,
    },
    /// A statement that answers another challenge.
    #[error("expected a statement over {what} with this challenge in it, it has another")]
    Stale {
        /// Over what.
        what: &'static str,
    },
    /// A statement that says something else.
    #[error("expected a statement over {what}, it is over something else")]
    OffTopic {
        /// Over what.
        what: &'static str,
    },
}

/// The three keys that a machine says it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Says which TPM it is.
    pub endorsement: Public,
    /// Signs what that TPM states.
    pub attestation: Public,
    /// The device's.
    pub device: Public,
}

/// What the TPM proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The TPM's clock and resets.
    pub clock: ClockInfo,
    /// The registers that were quoted.
    pub registers: Vec<u8>,
    /// The digest over their values.
    pub digest: Vec<u8>,
}

impl Claimed {
    /// Reads three public areas. Nothing is proved by them.
    ///
    /// # Errors
    /// One of them is not of its kind.
    pub fn parse(
        endorsement: &[u8],
        attestation: &[u8],
        device: &[u8],
    ) -> Result<Self, EnrolmentError> {
        let endorsement =
            Public::parse(endorsement).map_err(|err| EnrolmentError::Endorsement(Some(err)))?;
        if !endorsement.attributes.endorses() || !endorsement.attributes.never_leaves() {
            return Err(EnrolmentError::Endorsement(None));
        }
        let attestation =
            Public::parse(attestation).map_err(|err| EnrolmentError::Attestation(Some(err)))?;
        if !attestation.attributes.attests() || !attestation.attributes.never_leaves() {
            return Err(EnrolmentError::Attestation(None));
        }
        let device = Public::parse(device).map_err(|err| EnrolmentError::DeviceKey(Some(err)))?;
        // A restricted key signs no handshake.
        if !device.attributes.never_leaves() || device.attributes.attests() {
            return Err(EnrolmentError::DeviceKey(None));
        }
        Ok(Self { endorsement, attestation, device })
    }

    /// Whether the TPM holds the key of the request, by its own statements.
    ///
    /// # Errors
    /// By name, what is not as it should be.
    pub fn prove(
        &self,
        key: &PublicKey,
        (nonce, wanted): (&[u8], &[u8]),
        certified: (&[u8], &[u8]),
        quote: (&[u8], &[u8]),
    ) -> Result<Proof, EnrolmentError> {
        const KEY: &str = "the device key";
        let stated = self.stated(KEY, nonce, certified)?;
        match stated.statement {
            Statement::Certified { name } if name == self.device.name() => {}
            _ => return Err(EnrolmentError::OffTopic { what: KEY }),
        }
        const REGISTERS: &str = "the registers";
        let stated = self.stated(REGISTERS, nonce, quote)?;
        let Statement::Quoted { registers, digest } = stated.statement else {
            return Err(EnrolmentError::OffTopic { what: REGISTERS });
        };
        if registers != wanted {
            return Err(EnrolmentError::OffTopic { what: REGISTERS });
        }
        if self.device.verifier().as_ref() != Some(key) {
            return Err(EnrolmentError::OtherKey);
        }
        Ok(Proof { clock: stated.clock, registers, digest })
    }

    fn stated(
        &self,
        what: &'static str,
        nonce: &[u8],
        (statement, signature): (&[u8], &[u8]),
    ) -> Result<Attested, EnrolmentError> {
        let stated = attest::verify(statement, signature, &self.attestation)
            .map_err(|source| EnrolmentError::Statement { what, source })?;
        if stated.nonce == nonce { Ok(stated) } else { Err(EnrolmentError::Stale { what }) }
    }
}
