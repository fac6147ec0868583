//! The receipt: the server's signed word that a bundle of evidence is on its disk, whole. The
//! device keeps its own copy until it has one. An [`Envelope`](crate::signed::Envelope) around a
//! [`Receipt`], signed by the key that signs orders, which the anchors name.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{BundleId, DeviceId};
use crate::signed::Message;
use crate::time::Timestamp;

/// What the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The bundle.
    pub bundle: BundleId,
    /// Whose it is.
    pub device: DeviceId,
    /// The digest of its bytes as they were sent: encrypted.
    pub sha256: Sha256Digest,
    /// Their length.
    pub length: u64,
    /// When it was whole, by the server's time.
    pub at: Timestamp,
}

impl Message for Receipt {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.receipt.v1+json";
}
