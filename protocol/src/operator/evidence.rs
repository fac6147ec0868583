//! Bundles of evidence as operators and responders see them, and what they ask of them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{BundleId, DeviceId};
use crate::order::Wanted;
use crate::poll::LogRing;
use crate::signed::Envelope;
use crate::time::Timestamp;

/// A bundle, as `GET /v1/bundles/ID` shows it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleView {
    /// Its name.
    pub id: BundleId,
    /// Where it comes from.
    pub device: DeviceId,
    /// Whether it is on the server.
    pub state: BundleState,
    /// Its digest, once it is.
    pub sha256: Option<Sha256Digest>,
    /// Its length in bytes; 0 before.
    pub length: u64,
    /// Why it was collected.
    pub reason: String,
    /// What is to be in it, where that is anything in particular.
    #[serde(default, skip_serializing_if = "Wanted::is_usual")]
    pub wanted: Wanted,
    /// Its custody log: who asked for it, and what was done with it since.
    pub custody: Vec<CustodyEntry>,
    /// The head of that log under the server's signature, a signed note; none of bundles older than
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody_seal: Option<String>,
    /// Who holds it: no retention deletes it while anybody does.
    #[serde(default)]
    pub held_by: Vec<String>,
    /// What is wrong with its bytes, as they were read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// The receipt that the device got, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Envelope>,
}

/// Asks a device for a bundle; the body of `POST /v1/devices/ID/evidence`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionRequest {
    /// Why. Not empty; it lies in the custody log.
    pub reason: String,
    /// What is to be in it; the device's `triage` where nothing is said.
    #[serde(default, skip_serializing_if = "Wanted::is_usual")]
    pub wanted: Wanted,
}

/// Where a bundle stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BundleState {
    /// The device has not sent it.
    Ordered,
    /// It is on the server, whole, and its digest is what the device said.
    Received,
    /// The device said that it could not.
    Failed,
    /// It was here and is deleted; its custody log says by whom and why.
    Deleted,
}

/// One act on a bundle.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyEntry {
    /// When.
    pub at: Timestamp,
    /// Who: an operator's name or a device id.
    pub who: String,
    /// What they did: `ordered`, `received`, `viewed` (by a third party), `pulled`, `held`,
    /// `freed`, `deleted`, `damaged`, `whole`.
    pub act: String,
    /// Why, where they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The rings of a device's log that begin anew; the answer of `POST /v1/devices/ID/accept-log`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptLogReply {
    /// Whose.
    pub device: DeviceId,
    /// Which were disputed, and are taken anew from the device's next poll.
    pub rings: Vec<LogRing>,
}

/// Places a legal hold on a bundle, or lifts one's own; the body of `POST /v1/bundles/ID/hold`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// Whether it is lifted.
    #[serde(default)]
    pub lift: bool,
    /// Why.
    pub reason: String,
}

/// What reading all evidence back came to.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReply {
    /// Bundles that were read.
    pub read: u64,
    /// Those that are missing or rotten.
    pub damaged: Vec<BundleView>,
}
