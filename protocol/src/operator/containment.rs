//! Containing devices and letting them out, as operators ask for it and see it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::containment::{Level, UnitName};
use crate::id::{DeviceId, IncidentId, OperatorName};
use crate::time::Timestamp;

/// `POST /v1/devices/ID/quarantine`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineRequest {
    /// Why. Not empty; it lies in the log.
    pub reason: String,
    /// How far; `restrict` where nothing is said.
    #[serde(default)]
    pub level: Level,
    /// Units of systemd to stop and mask on the device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub stop: Vec<UnitName>,
}

/// `POST /v1/quarantines`: containment of many devices, resolved once.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainRequest {
    /// Why.
    pub reason: String,
    /// How far.
    #[serde(default)]
    pub level: Level,
    /// Units of systemd to stop and mask on the devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub stop: Vec<UnitName>,
    /// Devices by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// Or those that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Or those of an incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Say who it would be, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Containment of a set of devices, and where each of them stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainView {
    /// Its name; none of a preview.
    pub act: Option<String>,
    /// `preview`, `waiting` (for a second person), `begun` or `ordered`.
    pub state: String,
    /// Who asked for it.
    pub by: OperatorName,
    /// The second person, where there was one.
    #[serde(default)]
    pub confirmed_by: Option<OperatorName>,
    /// Why.
    pub reason: String,
    /// How far.
    pub level: Level,
    /// When it was asked for.
    pub at: Timestamp,
    /// How many devices.
    pub devices: u64,
    /// How many of them stand where; the counts add up to `devices`. Of an act: `contained`,
    /// `ordered`, `refused`, `failed`, `expired`, `never-seen`, `released`, `unknown`. Of a
    /// preview: `would-be-contained`, `already`, `unknown`, `needs-release`.
    pub counts: BTreeMap<String, u64>,
    /// Each device.
    pub members: Vec<MemberView>,
    /// Whether so many need a second person.
    pub needs_second_person: bool,
}

/// Where one device of a set stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Which.
    pub device: DeviceId,
    /// One of the words of the counts.
    pub state: String,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// `POST /v1/quarantine-releases`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveRequestBody {
    /// Why.
    pub reason: String,
    /// Devices by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// Or those that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// `POST /v1/quarantine-releases/ID/sign`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveSignRequest {
    /// An SSH signature over the statement, as `ssh-keygen -Y sign -n lazaret-release@lazaret`
    /// writes it.
    pub signature: String,
}

/// A release from quarantine that people sign, and where its devices stand.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveView {
    /// Its name.
    pub id: String,
    /// Who asked for it.
    pub author: OperatorName,
    /// Why.
    pub reason: String,
    /// When it is good no more.
    pub expires: Timestamp,
    /// What is signed: these bytes, without a line feed behind them.
    pub statement: String,
    /// Who has signed.
    pub signed_by: Vec<OperatorName>,
    /// How many different people have to; none where the anchors name nobody.
    pub threshold: Option<u64>,
    /// Whether the devices were shown it.
    pub ordered: bool,
    /// How many devices.
    pub devices: u64,
    /// How many of them stand where: `waiting`, `ordered`, `released`, `refused`, `failed`.
    pub counts: BTreeMap<String, u64>,
    /// Each device.
    pub members: Vec<MemberView>,
}
