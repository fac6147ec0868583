//! What is known of a device's identity beside its certificate: its TPM, and signs of copies.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::attested::Octets;
use crate::digest::Sha256Digest;
use crate::id::DeviceId;
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

/// What is known of one number of a device's modem or SIM. The digests are under a key of the
/// server's.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberView {
    /// The number that the device is bound to; none before it was listed or said.
    pub bound: Option<Sha256Digest>,
    /// Another number that it says it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<NumberChange>,
}

/// A number that is not the one that was bound.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberChange {
    /// What the device says.
    pub got: Sha256Digest,
    /// Since when.
    pub since: Timestamp,
    /// The device that the number is bound to, where it is another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<DeviceId>,
    /// The device is held until an operator accepts it.
    pub held: bool,
}
