//! The poll: a device says how it is and gets time, orders and the moment of its next poll.
//! `POST /v1/poll` over mutual TLS.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::containment::ContainmentWord;
use crate::digest::Sha256Digest;
use crate::id::{DeviceId, ModelName, VersionName};
use crate::signed::Envelope;
use crate::time::Timestamp;

/// What a device says when it polls.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// Grows with each poll of this device, durably; two of a kind under one identity show a clone.
    pub sequence: u64,
    /// The hardware it is.
    pub model: ModelName,
    /// What runs, none on a device whose first image is still to come.
    pub running: Option<RunningRelease>,
    /// The state of the update machine, for people: `idle`, `staging`, `trial`, ...
    pub update_state: String,
    /// Whether the other slot holds a release that could run: good, bad or unknown.
    pub other_slot: SlotHealth,
    /// Starts of the agent since it was enrolled.
    pub boot_count: u64,
    /// The version of `timestamp.json` that it trusts, 0 for none.
    pub tuf_timestamp_version: u64,
    /// The highest order accepted.
    pub order_sequence: u64,
    /// The head of the security ring of its forensic log.
    pub log_head: LogHead,
    /// Whether it is in quarantine by its own records.
    pub quarantined: bool,
    /// How it is contained. None from a device that is not, and from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<ContainmentWord>,
    /// Milliseconds to hold the reply back while there is nothing to say (a long poll), 0 for none.
    #[serde(default)]
    pub hold_ms: u64,
    /// What else it says of itself. None from a device that says nothing of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posture: Option<Posture>,
    /// The nonce of the last answer that arrived: a copy of the device cannot have it as well. None
    /// before the first, and from a device that keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Sha256Digest>,
    /// The start of its machine that it speaks from. None from a device that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// The rings of its forensic log that have grown since the server last witnessed them: at most
    /// one of each, with the proof of how they grew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogGrowth>,
}

/// The start of a machine, and of the agent on it. Neither name comes back once another has taken
/// its place, unless there are two machines.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's name for the start, new at each (`/proc/sys/kernel/random/boot_id`).
    pub id: String,
    /// Milliseconds since then.
    pub uptime_ms: u64,
    /// The agent's own name for its start, new at each.
    pub agent: String,
}

/// Numbers of a device's modem and SIM. They travel here alone, are kept under a key of the
/// server's, and stand in no log.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscriber {
    /// The modem's (3GPP TS 23.003, 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<String>,
    /// The SIM card's (ITU-T E.118).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iccid: Option<String>,
    /// The subscriber's (3GPP TS 23.003, 2.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<String>,
}

impl core::fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Subscriber").finish_non_exhaustive()
    }
}

/// One of the two rings of a device's forensic log.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogRing {
    /// Orders, refusals, what runs, containment, tampering: no flood of anything else pushes them
    /// out.
    Security,
    /// Everything else.
    Operations,
}

impl LogRing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Security, Self::Operations];

    /// Its name, on the wire, on the disk and in bundles.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Operations => "operations",
        }
    }

    /// The name that the ring of a device signs under: the origin of its checkpoints.
    #[must_use]
    pub fn origin(self, device: &DeviceId) -> String {
        alloc::format!("lazaret.dev/device/{device}/{}", self.as_str())
    }
}

/// Growth of one ring of a forensic log, to be witnessed.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGrowth {
    /// Which ring.
    pub ring: LogRing,
    /// Its latest checkpoint, a signed note (c2sp.org/tlog-checkpoint), durable on the device.
    pub checkpoint: String,
    /// The size from which the proof leads there: that of the checkpoint witnessed last, 0 where
    /// the device knows of none.
    pub from: u64,
    /// The consistency proof (RFC 6962, 2.1.2).
    pub proof: Vec<Sha256Digest>,
    /// The record of the epoch whose key signed the checkpoint, in base64; left out where the
    /// server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
}

/// What the server, as a witness, has of one ring.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWitnessed {
    /// Which ring.
    pub ring: LogRing,
    /// The size from which the next proof has to lead.
    pub size: u64,
    /// The epoch whose record the server has, 0 for none.
    pub epoch: u64,
    /// The checkpoint of that size with the server's cosignature (c2sp.org/tlog-cosignature); none
    /// where what came was not witnessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// What a device says of itself beside what it runs. Rollouts are paced by it, filters name it; it
/// grants nothing.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Posture {
    /// Free attributes; `hardware` is the hardware revision. The server keeps 100 of 128 bytes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Minutes that its local time is ahead of UTC, for maintenance windows.
    #[serde(default)]
    pub utc_offset_min: Option<i16>,
    /// Its charge in percent; none without a battery, or on the mains.
    #[serde(default)]
    pub battery_percent: Option<u8>,
    /// Its probes by name, and whether each passed last time.
    #[serde(default)]
    pub probes: BTreeMap<String, bool>,
    /// What the other slot holds, where it could run.
    #[serde(default)]
    pub other_release: Option<RunningRelease>,
    /// The release counter below which nothing runs on it any more.
    #[serde(default)]
    pub release_floor: Option<u64>,
    /// Numbers of its modem and SIM. Attributes of these names are taken for them as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<Subscriber>,
}

/// The release that a device runs.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRelease {
    /// Its version.
    pub version: VersionName,
    /// Its release counter.
    pub counter: u64,
    /// The digest of its image.
    pub sha256: Sha256Digest,
}

/// What is known of a slot.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotHealth {
    /// It has run and its probes passed.
    Good,
    /// It failed its trial.
    Bad,
    /// It has not been tried, or nobody remembers.
    Unknown,
}

/// How far a device's forensic log has come.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Records so far.
    pub size: u64,
    /// The root of the Merkle tree over all of them (RFC 6962, 2.1).
    pub hash: Sha256Digest,
}

/// What the server answers.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollReply {
    /// The server's time. It came over an authenticated connection, so the device may move its
    /// floor.
    pub time: Timestamp,
    /// The version of `timestamp.json` that the server serves: where it differs, refresh.
    pub tuf_timestamp_version: u64,
    /// Orders that the device has not accepted yet, by rising sequence.
    pub orders: Vec<Envelope>,
    /// Milliseconds until the next poll is wanted.
    pub next_poll_ms: u64,
    /// The device should renew its certificate.
    #[serde(default)]
    pub renew: bool,
    /// To be kept, durably, and to be shown at the next poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Sha256Digest>,
    /// What came of the growth that the poll told of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogWitnessed>,
}
