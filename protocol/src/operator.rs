//! What operators and responders say to the server and hear from it: `/v1/...` of the operator
//! listener, mutual TLS with a certificate of the operators' CA. Readers ignore fields they do not
//! know.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::containment::{ContainmentWord, Level};
use crate::digest::Sha256Digest;
use crate::id::{
    BundleId, DeviceId, IncidentId, ModelName, OperatorName, RolloutId, SerialNumber, VersionName,
};
use crate::poll::RunningRelease;
use crate::time::Timestamp;

mod access;
mod anomaly;
mod audit;
mod containment;
mod evidence;
mod incident;
mod inventory;
mod known;
mod plan;
mod role;
mod sweep;
mod webhook;

pub use access::{
    BOOTSTRAP_PREFIX, INVITATION_PREFIX, INVITATION_VALID_MS_MAX, InvitationRequest,
    OperatorCertificate, OperatorMade, OperatorRequest, OperatorView, RenewOperatorRequest,
    SCOPE_NAME_BYTES_MAX, SCOPE_NAMES_MAX, Scope, SignInRequest, TOKEN_PREFIX, TOKEN_VALID_MS_MAX,
    TokenMade, TokenRequest, TokenView,
};
pub use anomaly::{AnomalyReasonView, AnomalyView};
pub use audit::{
    AUDIT_DONE, AUDIT_TEXT_BYTES_MAX, AuditAct, AuditCheckpointView, AuditEntry, AuditKeysView,
    AuditWho, AuditWhoKind,
};
pub use containment::{
    ContainRequest, ContainView, LeaveRequestBody, LeaveSignRequest, LeaveView, MemberView,
    QuarantineRequest,
};
pub use evidence::{
    AcceptLogReply, BundleState, BundleView, CollectionRequest, CustodyEntry, HoldRequest,
    ScrubReply,
};
pub use incident::{
    AdvanceRequest, ClockState, ClockView, CollectionCount, FilingRequest, IncidentRequest,
    IncidentState, IncidentStatus, IncidentView, LinkRequest, MomentView, NonResponder,
    NoteRequest, Obligation, PlaybookChoice, PlaybookView, ProofKind, Severity, Standing,
    StepRequest, StepView,
};
pub use inventory::{
    Endorsement, INVENTORY_ITEMS_MAX, InventoryItem, InventoryReply, InventoryRequest, LineProblem,
    NumberKind, number_in, problems as inventory_problems,
};
pub use known::{HardwareView, NumberChange, NumberView, SuspicionView};
pub use plan::{
    ApprovalRequest, ApprovalView, ApproverKeyRequest, ApproverKeyView, FleetHaltView,
    LabelRequest, PlanRequest, PlanView, PolicyChoice, ReleaseFleetRequest, ResumeRequest,
    RevertRequest, WhyView, approval_text,
};
pub use role::Role;
pub use sweep::{
    AdvisoryView, BillView, Radius, RadiusRow, SWEEP_FILE_BYTES_MAX, SweepQuery, SweepRequest,
    SweepView, SweptRelease,
};
pub use webhook::{
    Delivery, GivenUp, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, KINDS_MAX, NoticeFormat,
    URL_BYTES_MAX, WEBHOOKS_MAX, WebhookMade, WebhookRequest, WebhookView,
};

/// `POST /v1/claims`: a one-time claim for a machine that is to enrol.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The machine's serial number.
    pub serial: SerialNumber,
    /// Who it will be.
    pub device: DeviceId,
    /// Its hardware model.
    pub model: ModelName,
    /// Milliseconds until the claim lapses.
    pub valid_ms: u64,
    /// Why it is made.
    pub reason: String,
}

/// The claim. It is shown once; the server keeps its hash.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimReply {
    /// The secret, `lzc_` and 64 hexadecimal digits.
    pub claim: String,
    /// When it lapses.
    pub expires: Timestamp,
}

/// `POST /v1/releases`: an image that is about to be uploaded.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The digest of the image.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// A release, as `GET /v1/releases` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseView {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// The digest of the image.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
    /// How far it has come.
    pub state: ReleaseState,
    /// Bytes of the image that are on the server.
    pub uploaded: u64,
    /// Its deltas, made so far.
    pub deltas: Vec<DeltaView>,
    /// Bases whose delta is still to be made.
    pub deltas_pending: Vec<VersionName>,
    /// Its release counter, once signers have said so.
    pub counter: Option<u64>,
    /// Who created it.
    pub created_by: OperatorName,
}

/// How far a release has come.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReleaseState {
    /// The image is not whole yet.
    Uploading,
    /// The image is whole; release signers may sign it.
    Uploaded,
    /// It stands in the signed repository.
    Published,
}

/// A delta of a release.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaView {
    /// The version it starts from.
    pub base: VersionName,
    /// Its length in bytes.
    pub length: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// `POST /v1/repo/transactions` and `/v1/repo/rehearsals`: signed files that are activated together
/// or not at all.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationRequest {
    /// Signed metadata by name, such as `2.root.json`; TUF metadata is UTF-8.
    pub files: BTreeMap<String, String>,
    /// The anchors that new targets sign, where they are not the ones that are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<String>,
}

/// The answer to a publication.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishReply {
    /// The version of `timestamp.json` that says so.
    pub tuf_timestamp_version: u64,
    /// The files that were activated, in order.
    pub files: Vec<String>,
}

/// `POST /v1/rollouts`: start a staged deployment.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRequest {
    /// What to install.
    pub model: ModelName,
    /// What to install.
    pub version: VersionName,
    /// Whom it is for.
    pub scope: RolloutScope,
    /// Sizes of the groups in permille of the devices, in order; they add up to 1000.
    pub groups_permille: Vec<u16>,
    /// A group may end when at least this much of it succeeded, in percent.
    pub success_percent: u8,
    /// The rollout halts when at least this much of a group failed, in percent.
    pub error_percent: u8,
    /// Why it is done.
    pub reason: String,
}

/// Whom a rollout is for.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RolloutScope {
    /// Every device of the release's model.
    Model,
    /// These devices.
    Devices {
        /// Each once.
        devices: Vec<DeviceId>,
    },
}

/// A rollout, as `GET /v1/rollouts/ID` shows it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    /// Its name.
    pub id: RolloutId,
    /// What it installs.
    pub model: ModelName,
    /// What it installs.
    pub version: VersionName,
    /// How it stands.
    pub state: RolloutState,
    /// Why it halted, where it did.
    pub halt_reason: Option<String>,
    /// Its groups, in order.
    pub groups: Vec<GroupView>,
    /// Devices that have not taken back an offer although the rollout halted.
    pub halts_unacknowledged: u64,
    /// Devices that have: of both together, so many acknowledged.
    #[serde(default)]
    pub halts_acknowledged: u64,
    /// Who started it.
    pub started_by: OperatorName,
    /// When.
    pub started: Timestamp,
    /// The threshold above which a group halts the rollout, in percent.
    pub error_percent: u8,
    /// The threshold at which the next group opens, in percent.
    pub success_percent: u8,
    /// Where it is an emergency: what the emergency role signed.
    #[serde(default)]
    pub emergency: Option<EmergencyView>,
    /// Devices done over time, at most 64 points, where one rollout is asked for.
    #[serde(default)]
    pub progress: Vec<ProgressPoint>,
    /// The incident that it cures: quarantine lets it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cures: Option<IncidentId>,
}

/// A faster schedule that a rollout goes by.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyView {
    /// Why, in the incident team's words.
    pub reason: String,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// A moment of a rollout.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressPoint {
    /// When.
    pub at: Timestamp,
    /// Devices that had confirmed by then.
    pub done: u64,
}

/// How a rollout stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RolloutState {
    /// Planned, and not yet approved by as many people as its policy asks for.
    Planned,
    /// Approved, and not yet started.
    Approved,
    /// Groups are open and devices install.
    Running,
    /// Held by a person: nothing new is offered, what was taken goes on.
    Paused,
    /// Stopped, by a threshold, a statistic or a person. Only a person who names the failures sets
    /// it going again.
    Halted,
    /// Every device has ended.
    Finished,
    /// Given up before it began.
    Withdrawn,
}

/// A group of a rollout, with each of its devices counted in exactly one place.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// How it stands.
    pub state: GroupState,
    /// Devices in it.
    pub total: u64,
    /// Not offered yet.
    pub waiting: u64,
    /// Offered, no outcome yet.
    pub offered: u64,
    /// Confirmed by the new image itself.
    pub done: u64,
    /// Tried and failed, rollbacks included.
    pub failed: u64,
    /// Refused by a rule on the device.
    pub refused: u64,
    /// The offer lapsed or was taken back.
    pub expired: u64,
    /// Took the offer or the image and was not heard of since: neither success nor failure.
    #[serde(default)]
    pub unknown: u64,
    /// Did not call for as long as the policy waits.
    #[serde(default)]
    pub unreachable: u64,
    /// Reasons of failures and refusals with their counts, most frequent first, at most 10.
    pub reasons: Vec<ReasonCount>,
}

/// How often a reason was given.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The stable code.
    pub code: String,
    /// How many devices.
    pub count: u64,
}

/// How a group stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GroupState {
    /// Its turn has not come.
    #[default]
    Closed,
    /// Its devices are offered the release.
    Open,
    /// It passed its success threshold.
    Passed,
    /// It passed its error threshold.
    Tripped,
}

/// A body that is nothing but a reason: halts, quarantines, collections.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonRequest {
    /// Why it is done. Not empty; it lies in the log.
    pub reason: String,
}

/// A device, as `GET /v1/devices` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Who it is.
    pub id: DeviceId,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its hardware model.
    pub model: ModelName,
    /// Whether it is in quarantine, and why.
    pub quarantine: Option<String>,
    /// The device's own word that it is in quarantine.
    pub quarantine_confirmed: bool,
    /// How far it is shut in; none where it is free.
    #[serde(default)]
    pub quarantine_level: Option<Level>,
    /// What it last said of the measures that it has applied and tried.
    #[serde(default)]
    pub containment: Option<ContainmentWord>,
    /// What runs.
    pub running: Option<RunningRelease>,
    /// What its update machine does.
    pub update_state: String,
    /// Its last poll, none before the first.
    pub last_seen: Option<Timestamp>,
    /// Polls that were accepted.
    pub polls: u64,
    /// When its certificate ends.
    pub certificate_ends: Timestamp,
    /// The last order that ended, in words, none before the first.
    pub last_outcome: Option<String>,
    /// What the device says of itself.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What operators assigned.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The group that operators put it in.
    #[serde(default)]
    pub group: Option<String>,
    /// Its TPM, where it enrolled by one.
    #[serde(default)]
    pub hardware: Option<HardwareView>,
    /// Signs that it has a copy, by name.
    #[serde(default)]
    pub suspicions: BTreeMap<String, SuspicionView>,
    /// Numbers of its modem and SIM by kind, none of them in the clear.
    #[serde(default)]
    pub numbers: BTreeMap<String, NumberView>,
    /// It is out of service for good, and why.
    #[serde(default)]
    pub retired: Option<String>,
}

/// `POST /v1/devices/ID/evidence`: the collection that was ordered.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionReply {
    /// The bundle to ask for.
    pub bundle: BundleId,
}

/// An entry of the event log, as `GET /v1/events` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its place in the log.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What happened, in one line.
    pub what: String,
    /// The event itself.
    pub event: serde_json::Value,
}

/// A page of anything.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// At most as many as asked for.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page, none at the end.
    pub next: Option<String>,
}
