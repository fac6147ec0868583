//! Enrolment with a TPM: the machine says which TPM it has, the server makes a credential that only
//! that TPM opens, and the machine answers with the secret in it and with the TPM's own statements
//! over the device's key. Structures of the TPM travel as the TPM marshals them, in base64; what is
//! to be thought of them, `lazaret-protocol-tpm` knows.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::SerialNumber;
use crate::key::base64_bytes;

/// Bytes, as standard base64 with padding (RFC 4648, 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Octets(#[serde(with = "base64_bytes")] pub Vec<u8>);

/// `POST /v1/enroll/challenge`, TLS without a client certificate: what the machine's TPM says that
/// it is.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// What is printed on the machine.
    pub serial: SerialNumber,
    /// The endorsement key's public area (TPMT_PUBLIC).
    pub endorsement: Octets,
    /// The maker's certificate for it, DER, where the TPM has one.
    #[serde(default)]
    pub certificate: Option<Octets>,
    /// The attestation key's public area.
    pub attestation: Octets,
    /// The device key's public area.
    pub device: Octets,
}

/// A credential, and what the TPM's statements have to contain.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// Names this challenge, and is the nonce in both statements: 32 bytes. It is good once.
    pub challenge: Sha256Digest,
    /// The wrapped secret (TPM2B_ID_OBJECT, without its length).
    pub blob: Octets,
    /// The seed (TPM2B_ENCRYPTED_SECRET, without its length).
    pub seed: Octets,
    /// Registers of the SHA-256 bank that are to be quoted.
    pub registers: Vec<u8>,
}

/// `POST /v1/enroll/attested`: the answer to a challenge.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestedRequest {
    /// What is printed on the machine.
    pub serial: SerialNumber,
    /// The challenge that this answers.
    pub challenge: Sha256Digest,
    /// What was in the credential.
    pub secret: Octets,
    /// PKCS#10 in PEM (RFC 2986), signed by the device key.
    pub csr: String,
    /// That the device key is in this TPM (TPM2_Certify).
    pub certified: TpmStatement,
    /// What was measured (TPM2_Quote).
    pub quote: TpmStatement,
}

impl core::fmt::Debug for AttestedRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AttestedRequest").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// A statement of a TPM, and the attestation key's signature over it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmStatement {
    /// TPMS_ATTEST.
    pub statement: Octets,
    /// TPMT_SIGNATURE.
    pub signature: Octets,
}
