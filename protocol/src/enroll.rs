//! Enrolment and renewal: a device makes its own key and gets a short-lived certificate. The server
//! decides the subject; the CSR gives nothing but the public key and proof of the private one.

use alloc::string::String;
#[cfg(feature = "schema")]
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, SerialNumber};
use crate::time::Timestamp;

/// `POST /v1/enroll`, TLS without a client certificate; the claim is the credential.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// What is printed on the machine.
    pub serial: SerialNumber,
    /// The one-time claim bound to that serial number: `lzc_` and 64 hexadecimal digits.
    pub claim: String,
    /// PKCS#10 in PEM (RFC 2986), signed by the device's own P-256 key.
    pub csr: String,
}

impl core::fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The claim is a secret until it is used.
        f.debug_struct("EnrollRequest").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// `POST /v1/renew`, over the certificate that is about to end. Same key or a new one.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// PKCS#10 in PEM.
    pub csr: String,
}

/// The certificate.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollReply {
    /// Who the device is from here on.
    pub device: DeviceId,
    /// Its certificate in PEM, then the issuing CA's.
    pub certificate_chain: String,
    /// When it ends.
    pub not_after: Timestamp,
}
