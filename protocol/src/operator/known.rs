//! What is known of a device's identity beside its certificate: its TPM, and signs of copies.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::attested::Octets;
use crate::digest::Sha256Digest;
use crate::time::Timestamp;

/// The TPM of a device, by what it stated when the device enrolled.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareView {
    /// SHA-256 of its endorsement key's SubjectPublicKeyInfo.
    pub endorsement: Sha256Digest,
    /// How often it was reset.
    pub resets: u32,
    /// Registers of the SHA-256 bank that were quoted.
    pub registers: Vec<u8>,
    /// The digest over their values.
    pub digest: Octets,
    /// When.
    pub at: Timestamp,
}

/// A sign that two machines share one identity, which is no verdict.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspicionView {
    /// How often it was seen.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// What was expected and what came, the last time.
    pub evidence: String,
}
