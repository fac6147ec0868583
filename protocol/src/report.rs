//! The report: how an order ended, signed by the device's own key so that it can be shown later.
//! `POST /v1/report` over mutual TLS, an [`Envelope`](crate::signed::Envelope) around a [`Report`].

#[cfg(feature = "schema")]
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::DeviceId;
use crate::order::Outcome;
use crate::poll::{LogHead, RunningRelease};
use crate::signed::Message;
use crate::time::Timestamp;

/// How one order ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who says so.
    pub device: DeviceId,
    /// The sequence of the order.
    pub order: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What runs now. For a done install it is the new release, or the server does not believe it.
    pub running: Option<RunningRelease>,
    /// The device's time.
    pub at: Timestamp,
    /// The head of its forensic log when it said so.
    pub log_head: LogHead,
    /// Bytes fetched for it over the network, deltas and images together. 0 where nothing was.
    #[serde(default)]
    pub bytes_fetched: u64,
    /// Which schedule let the image in, for an install.
    #[serde(default, skip_serializing_if = "Pace::is_ordinary")]
    pub pace: Pace,
    /// The challenge of an order to leave quarantine, which the device has answered by leaving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Sha256Digest>,
}

/// Which signed schedule let an image in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// That of its release signers, or none.
    #[default]
    Ordinary,
    /// A faster one that the incident team has signed.
    Emergency,
}

impl Pace {
    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        *self == Self::Ordinary
    }
}

impl Message for Report {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.report.v1+json";
}

/// What the server answers once the report is on disk.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReply {
    /// The order that is settled.
    pub order: u64,
}
