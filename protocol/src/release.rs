//! Leaving quarantine: what people sign, what an order to leave carries, and the receipt that is
//! kept of it. Whether all of it holds is checked in `lazaret-protocol-evidence`, by the device
//! first and by anybody later.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256Digest;
use crate::id::{DeviceId, OperatorName};
use crate::key::{PublicKey, base64_bytes};
use crate::signed::{Envelope, Message};
use crate::sshsig::SshKey;
use crate::time::Timestamp;

/// Namespace of a signature on a release from quarantine. It keeps one that was made for anything
/// else, such as the approval of a rollout, from setting a device free.
pub const NAMESPACE_RELEASE: &str = "lazaret-release@lazaret";

/// The only action of a [`ReleaseStatement`].
pub const ACTION_RELEASE: &str = "release-from-quarantine";

/// Largest statement, in bytes. An honest one has about 400.
pub const STATEMENT_BYTES_MAX: usize = 4096;

/// Signatures on one statement.
pub const RELEASE_SIGNATURES_MAX: usize = 8;

/// Longest signature on it, in bytes: eight of them fit into the answer to a poll.
pub const RELEASE_SIGNATURE_BYTES_MAX: usize = 2048;

/// Devices of one statement: their proof has at most 16 hashes.
pub const RELEASE_DEVICES_MAX: usize = 50_000;

/// Approvers that anchors may name.
pub const APPROVERS_MAX: usize = 64;

/// Who may set devices free, and how many of them it takes: part of `trust/anchors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvers {
    /// How many different people must have signed.
    pub threshold: u64,
    /// Their keys. One person may have several, and still counts once.
    pub keys: Vec<ApproverEntry>,
}

/// A person's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverEntry {
    /// Who.
    pub name: OperatorName,
    /// The SSH public key that they sign with.
    pub key: SshKey,
}

/// What people sign, as canonical JSON: one statement for any number of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStatement {
    /// [`ACTION_RELEASE`].
    pub action: String,
    /// Its name on the server.
    pub id: String,
    /// Who asks for it.
    pub author: OperatorName,
    /// Why.
    pub reason: String,
    /// When it was written.
    pub issued: Timestamp,
    /// When it is good no more.
    pub expires: Timestamp,
    /// How many devices.
    pub devices: u64,
    /// The root of the tree (RFC 6962) whose leaves are [`leaf`]s, by device.
    pub root: Sha256Digest,
}

impl ReleaseStatement {
    /// The bytes that people sign.
    ///
    /// # Errors
    /// It has no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_json(self)
    }
}

/// The entry of one device: its name and the nonce that it made when it was shut in.
#[must_use]
pub fn leaf(device: &DeviceId, nonce: &Sha256Digest) -> Vec<u8> {
    alloc::format!("lazaret release v1\n{device}\n{nonce}\n").into_bytes()
}

/// What a device is shown, so that it lets itself out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseProof {
    /// The statement's bytes, as they were signed.
    #[serde(with = "base64_bytes")]
    pub statement: Vec<u8>,
    /// Signatures over them, in the armoured form of OpenSSH.
    pub signatures: Vec<String>,
    /// The device's place among the leaves.
    pub index: u64,
    /// The way from its leaf to the root.
    pub path: Vec<Sha256Digest>,
    /// Fresh randomness of the server, which the device's answer has to contain.
    pub challenge: Sha256Digest,
}

/// The receipt of a release: an [`Envelope`] by the server's order key, in which everything lies
/// that is needed to check it without the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseReceipt {
    /// Who was let out.
    pub device: DeviceId,
    /// Its key.
    pub key: PublicKey,
    /// The nonce that it had made when it was shut in.
    pub nonce: Sha256Digest,
    /// What it was shown.
    pub proof: ReleaseProof,
    /// Its own report: an envelope by its key, with the challenge and what runs.
    pub answer: Envelope,
    /// When the server took the answer.
    pub at: Timestamp,
}

impl Message for ReleaseReceipt {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.release-receipt.v1+json";
}
