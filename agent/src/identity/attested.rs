//! Enrolment by what the TPM with the device's key states: the server makes a credential that only
//! this TPM opens, and the TPM certifies the key and quotes its registers over the server's nonce.

use lazaret_protocol::attested::{AttestedRequest, ChallengeRequest, Octets};
use lazaret_protocol::enroll::EnrollReply;
use lazaret_protocol::id::SerialNumber;

use super::{DeviceKey, IdentityError, KeyError};
use crate::transport::Transport;

/// Asks for a challenge and answers it.
///
/// # Errors
/// The key lives in no TPM, the TPM or the server said no, or nobody answers.
pub(super) fn enroll(
    serial: &SerialNumber,
    key: &DeviceKey,
    transport: &Transport,
) -> Result<EnrollReply, IdentityError> {
    let attester = key.attester().ok_or(KeyError::NoAttester)?;
    let claims = attester.claims()?;
    let challenge = transport.challenge(&ChallengeRequest {
        serial: serial.clone(),
        endorsement: Octets(claims.endorsement),
        certificate: claims.certificate.map(Octets),
        attestation: Octets(claims.attestation),
        device: Octets(claims.device),
    })?;
    let secret = attester.activate(&challenge.blob.0, &challenge.seed.0)?;
    let nonce = challenge.challenge.as_bytes();
    let request = AttestedRequest {
        serial: serial.clone(),
        challenge: challenge.challenge,
        secret: Octets(secret),
        csr: key.csr()?,
        certified: attester.certify(nonce)?,
        quote: attester.quote(nonce, &challenge.registers)?,
    };
    Ok(transport.enroll_attested(&request)?)
}
