//! What is said of incidents: opened, led through their states, noted, linked, filed with
//! authorities, closed. Words for the states follow NIST SP 800-61r3 and the functions of CSF 2.0
//! (detect, respond, recover).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::ReasonCount;
use super::SweepQuery;
use crate::digest::Sha256Digest;
use crate::id::{ActId, BundleId, DeviceId, IncidentId, OperatorName, RolloutId};
use crate::time::Timestamp;

/// How an incident stands. They are passed in this order; a relapse goes back to *declared*, and
/// what was only suspected may be closed as a false alarm.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum IncidentState {
    /// An anomaly that somebody looks into.
    Suspected,
    /// It is one: a commander leads, the playbook runs.
    Declared,
    /// Every device of the scope has proved its quarantine, but for those named.
    Contained,
    /// What got in is gone: every device runs a release that cures it, but for those named.
    Eradicated,
    /// Devices come back into service.
    Recovering,
    /// It is over and written up.
    Closed,
}

impl IncidentState {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Declared => "declared",
            Self::Contained => "contained",
            Self::Eradicated => "eradicated",
            Self::Recovering => "recovering",
            Self::Closed => "closed",
        }
    }
}

/// How bad it is.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Looked at in working hours.
    Low,
    /// Looked at today.
    Medium,
    /// Looked at now.
    High,
    /// Everybody.
    Critical,
}

/// What the EU Cyber Resilience Act (Regulation (EU) 2024/2847, Article 14) asks for.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obligation {
    /// Nothing.
    #[default]
    None,
    /// An actively exploited vulnerability: 24 h, 72 h, 14 days after a corrective measure.
    ExploitedVulnerability,
    /// A severe incident: 24 h, 72 h, one month after the notification.
    SevereIncident,
}

/// What shows that a step is done.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofKind {
    /// Somebody's word, in writing.
    Word,
    /// Every device of the scope proved its quarantine.
    Contained,
    /// Every device's evidence is here and acknowledged.
    Collected,
    /// Every device runs what a linked rollout brought.
    Patched,
}

/// `POST /v1/incidents`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentRequest {
    /// What it is, in one line of at most 200 bytes.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Declared at once; otherwise it is suspected.
    #[serde(default)]
    pub declared: bool,
    /// Who leads; whoever opens it where nobody is named.
    #[serde(default)]
    pub commander: Option<OperatorName>,
    /// Who is in it: a filter over devices. It is resolved now and kept.
    #[serde(default)]
    pub filter: Option<String>,
    /// Who is in it: these devices. Together with a filter, who is in either.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
    /// Who is in it: whom this sweep finds affected now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepQuery>,
    /// What has to be filed.
    #[serde(default)]
    pub obligation: Obligation,
    /// When it began, as far as is known; the time to detect is counted from it.
    #[serde(default)]
    pub began: Option<Timestamp>,
    /// When one became aware of it; the clocks of the authorities run from it. Now, where nothing
    /// is said.
    #[serde(default)]
    pub aware: Option<Timestamp>,
    /// The playbook.
    #[serde(default)]
    pub playbook: Option<PlaybookChoice>,
    /// Why.
    pub reason: String,
    /// Only show who would be in it; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
}

/// A playbook.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaybookChoice {
    /// One that comes with the server.
    Shipped(String),
    /// The operator's own, as TOML of at most 64 KiB.
    Text(String),
}

/// `POST /v1/incidents/ID/advance`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvanceRequest {
    /// Where to.
    pub to: IncidentState,
    /// Why.
    pub reason: String,
    /// Devices without proof that are accepted, by what they lack, with at least as many as there
    /// are.
    #[serde(default)]
    pub accept: Vec<ReasonCount>,
}

/// `POST /v1/incidents/ID/notes`: a line of the timeline. Notes are added and never changed.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRequest {
    /// The note, of at most 4096 bytes.
    pub text: String,
}

/// `POST /v1/incidents/ID/links`: what belongs to it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRequest {
    /// A rollout that cures it: the corrective measure.
    pub rollout: RolloutId,
    /// Why.
    pub reason: String,
}

/// `POST /v1/incidents/ID/steps/NAME`: a step is done, or waived.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRequest {
    /// What was done, or why it is not.
    pub text: String,
    /// It is not done, and will not be.
    #[serde(default)]
    pub waive: bool,
}

/// `POST /v1/incidents/ID/filings`: something was filed with an authority.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilingRequest {
    /// The clock that it answers: `early-warning`, `notification` or `final-report`.
    pub clock: String,
    /// The authority's reference, or where the copy lies.
    pub reference: String,
    /// When it was filed; now, where nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// A moment of an incident.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentView {
    /// The state that began.
    pub state: IncidentState,
    /// When.
    pub at: Timestamp,
    /// Who said so.
    pub by: OperatorName,
    /// Why.
    pub reason: String,
}

/// How a clock stands.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockState {
    /// Filed in time.
    Met,
    /// Filed, too late.
    MetLate,
    /// It has not begun: what it counts from has not happened.
    NotBegun,
    /// There is time.
    Running,
    /// Less than a quarter of its time is left.
    Soon,
    /// It ran out.
    Late,
}

/// One clock.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockView {
    /// `early-warning`, `notification` or `final-report`.
    pub name: String,
    /// How it stands.
    pub state: ClockState,
    /// When it runs out; none where it has not begun.
    pub due: Option<Timestamp>,
    /// When it was filed.
    pub filed: Option<Timestamp>,
    /// The authority's reference.
    pub reference: Option<String>,
}

/// One step of the playbook.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// What is to be done.
    pub what: String,
    /// Whose it is.
    pub owner: String,
    /// When it is due; none where the incident is not declared yet.
    pub due: Option<Timestamp>,
    /// What shows that it is done.
    pub proof: ProofKind,
    /// When it was done or waived.
    pub ended: Option<Timestamp>,
    /// By whom.
    pub by: Option<OperatorName>,
    /// It was waived.
    pub waived: bool,
    /// What was said.
    pub text: Option<String>,
    /// It is due and not done.
    pub late: bool,
}

/// An incident, as `GET /v1/incidents` lists it.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Its name.
    pub id: IncidentId,
    /// What it is.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// How it stands.
    pub state: IncidentState,
    /// Who leads.
    pub commander: OperatorName,
    /// The filter that said who is in it.
    pub filter: Option<String>,
    /// Devices in it: those that matched when it was opened.
    pub devices: u64,
    /// SHA-256 over their names, each with a line feed, sorted.
    pub members: Sha256Digest,
    /// What has to be filed.
    pub obligation: Obligation,
    /// When it began, as far as is known.
    pub began: Option<Timestamp>,
    /// When one became aware of it.
    pub aware: Timestamp,
    /// When a corrective measure was available: the first linked rollout began.
    pub corrective: Option<Timestamp>,
    /// Its states, in the order in which they came.
    pub moments: Vec<MomentView>,
    /// Clocks of the authorities.
    pub clocks: Vec<ClockView>,
    /// The playbook's name.
    pub playbook: Option<String>,
    /// Its steps.
    pub steps: Vec<StepView>,
    /// Rollouts that cure it.
    pub rollouts: Vec<RolloutId>,
    /// Containments of its devices.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub quarantines: Vec<ActId>,
    /// Notes made.
    pub notes: u64,
}

/// How the devices of an incident stand. Each is counted exactly once in each of the three groups
/// of figures, so that each group adds up to `devices`.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Devices in the incident.
    pub devices: u64,
    /// Quarantine: the device itself says that it holds.
    pub contained: u64,
    /// Quarantine: ordered; the device has called since and not said so.
    pub waiting: u64,
    /// Quarantine: ordered; the device has not called since.
    pub never_seen: u64,
    /// Quarantine: none.
    pub free: u64,
    /// Evidence: whole, on the server, and acknowledged.
    pub collected: u64,
    /// Evidence: ordered.
    pub collecting: u64,
    /// Evidence: the device said that it could not.
    #[serde(default)]
    pub collect_failed: u64,
    /// Evidence: never ordered for this incident.
    pub uncollected: u64,
    /// Cure: runs what a linked rollout brought.
    pub patched: u64,
    /// Cure: runs something else.
    pub unpatched: u64,
    /// Who did not answer, by name: at most 500 of them.
    pub non_responders: Vec<NonResponder>,
}

/// A device that did not answer.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonResponder {
    /// Which.
    pub device: DeviceId,
    /// What it lacks: `waiting`, `never-seen`, `collecting`, `collect-failed`.
    pub lacks: Vec<String>,
    /// Its last call.
    pub last_seen: Option<Timestamp>,
    /// Its bundle for this incident.
    pub bundle: Option<BundleId>,
}

/// `GET /v1/incidents/ID`: an incident with how its devices stand.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStatus {
    /// The incident.
    pub incident: IncidentView,
    /// Its devices.
    pub standing: Standing,
}

/// What came of ordering the evidence of an incident. The three add up to its devices.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CollectionCount {
    /// Devices that are asked.
    pub ordered: u64,
    /// Devices that were asked before.
    pub before: u64,
    /// Devices that cannot be asked: gone, or with too many open orders.
    pub refused: Vec<DeviceId>,
}

/// A playbook that is shipped.
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybookView {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Its steps by name.
    pub steps: Vec<String>,
}
