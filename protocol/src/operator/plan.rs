//! What is said of plans: made, approved, begun, given up, resumed and taken back; of the
//! fleet-wide cord; and of the one gate that holds a device.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{ReasonCount, RolloutView};
use crate::digest::Sha256Digest;
use crate::id::{DeviceId, IncidentId, ModelName, OperatorName, RolloutId, VersionName};
use crate::sshsig::SshKey;
use crate::time::Timestamp;

/// `POST /v1/plans`: a rollout to be looked at and approved before it begins.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// What to install.
    pub model: ModelName,
    /// What to install.
    pub version: VersionName,
    /// Whom: a filter over devices; none for every device of the model.
    #[serde(default)]
    pub filter: Option<String>,
    /// Whom: these devices; none for no list. Together with a filter, who is in both.
    #[serde(default)]
    pub devices: Option<Vec<DeviceId>>,
    /// How.
    pub policy: PolicyChoice,
    /// The incident that it cures: quarantine lets it in, and the evidence of devices of that
    /// incident is collected before it overwrites them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Versions that devices below them must run first, by rising release counter.
    #[serde(default)]
    pub via: Vec<VersionName>,
    /// Why.
    pub reason: String,
    /// Only show what it would be; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
}

/// A policy.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyChoice {
    /// One that comes with the server: `normal`, `slow`, `emergency`.
    Shipped(String),
    /// The operator's own, as TOML of at most 64 KiB.
    Text(String),
}

/// A plan, with what it looked like when it was made.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView<Preview> {
    /// The rollout.
    pub rollout: RolloutView,
    /// SHA-256 of `statement`: what approvals name. None for a rollout that was never planned.
    pub plan: Option<Sha256Digest>,
    /// What people approve: canonical JSON. Empty where there is no plan.
    pub statement: String,
    /// The policy's name.
    pub policy: String,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approvals: Vec<ApprovalView>,
    /// How many must.
    pub approvals_needed: u64,
    /// What it looked like when it was planned.
    pub preview: Option<Preview>,
}

/// One approval.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// Who.
    pub by: OperatorName,
    /// The fingerprint of the key.
    pub key: String,
    /// When.
    pub at: Timestamp,
}

/// The text that an approval signs: the plan's hash in hexadecimal digits, and a line feed.
#[must_use]
pub fn approval_text(plan: &Sha256Digest) -> String {
    alloc::format!("{plan}\n")
}

/// `POST /v1/rollouts/ID/approve`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// The plan's hash.
    pub plan: Sha256Digest,
    /// An SSH signature over [`approval_text`], as `ssh-keygen -Y sign -n lazaret-plan@lazaret`
    /// writes it.
    pub signature: String,
}

/// `POST /v1/rollouts/ID/resume`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeRequest {
    /// Why.
    pub reason: String,
    /// The failures that are accepted, by their code, with at least as many as there are.
    #[serde(default)]
    pub accept: Vec<ReasonCount>,
}

/// `POST /v1/rollouts/ID/revert`: a plan to take a rollout back.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevertRequest {
    /// The version to go back to; none for the newest below what the rollout brought.
    #[serde(default)]
    pub to: Option<VersionName>,
    /// How.
    pub policy: PolicyChoice,
    /// Why.
    pub reason: String,
    /// Only show what it would be; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
}

/// Whether the whole fleet is halted.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetHaltView {
    /// Whether it is.
    pub halted: bool,
    /// The number of the last halt, 0 before the first.
    pub number: u64,
    /// By whom.
    pub by: Option<OperatorName>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Devices that have taken back their offer, of `open_offers`.
    pub acknowledged: u64,
    /// Devices that had an offer open when it was halted.
    pub open_offers: u64,
}

/// `POST /v1/halt/release`: let the fleet go on.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFleetRequest {
    /// The number of the halt that is meant.
    pub number: u64,
    /// Why.
    pub reason: String,
}

/// `GET /v1/devices/ID/why`: the one gate that holds a device.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// The device.
    pub device: DeviceId,
    /// The rollout that is asked about, none where it is in none.
    pub rollout: Option<RolloutId>,
    /// A stable word for the gate, such as `group-closed`.
    pub gate: String,
    /// What holds it.
    pub holds: String,
    /// What would open it.
    pub opens: String,
    /// What its rollout brings it next: the release, or a step that it must run before.
    #[serde(default)]
    pub brings: Option<String>,
    /// What runs.
    pub running: Option<VersionName>,
    /// Its last poll.
    pub last_seen: Option<Timestamp>,
    /// How its last order ended.
    pub last_outcome: Option<String>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
}

/// `POST /v1/devices/ID/labels`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelRequest {
    /// Labels: a value sets one, null removes it; others stay.
    #[serde(default)]
    pub labels: BTreeMap<String, Option<String>>,
    /// The group to put it in; empty for none; absent to leave it.
    #[serde(default)]
    pub group: Option<String>,
}

/// `POST /v1/approvers/keys`: a key with which the operator who asks will approve.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverKeyRequest {
    /// A public key in a line, as in `id_ed25519.pub`.
    pub key: SshKey,
}

/// A key that may approve, as `GET /v1/approvers/keys` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverKeyView {
    /// Whose.
    pub operator: OperatorName,
    /// `SHA256:` and so on.
    pub fingerprint: String,
    /// The key.
    pub key: SshKey,
    /// When it was entered.
    pub added: Timestamp,
}
