//! Every fact that the store's event log can hold. Events are only ever added; reconcilers read
//! them from a cursor.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{
    BundleId, DeviceId, IncidentId, ModelName, OperatorName, RolloutId, SerialNumber, VersionName,
};
use lazaret_protocol::operator::{ClockState, IncidentState, ReasonCount, Severity};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::poll::LogRing;
use lazaret_protocol::target::Urgency;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

mod words;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The server's time.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What can happen. Names travel and are stored; they are never reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are identifiers whose types say what they are")]
pub enum Fact {
    /// An operator made a claim for a machine.
    ClaimMade { serial: SerialNumber, device: DeviceId, by: OperatorName, reason: String },
    /// Somebody showed a claim that was used before: an indicator.
    ClaimReused { serial: SerialNumber, device: DeviceId },
    /// Somebody showed a factory certificate that was used before: an indicator.
    FactoryReused { serial: SerialNumber, device: DeviceId },
    /// A machine's TPM measured what is not on the list for its model: an indicator.
    MeasurementUnexpected {
        serial: SerialNumber,
        model: ModelName,
        registers: Vec<u8>,
        got: String,
        refused: bool,
    },
    /// A device says another number of its modem or SIM than the one that it is bound to: an
    /// indicator. The digests are under a key of the server's.
    NumberChanged {
        device: DeviceId,
        kind: String,
        expected: Option<Sha256Digest>,
        got: Sha256Digest,
        held: bool,
    },
    /// The number that this device is bound to is said by another: an indicator.
    NumberShared { device: DeviceId, with: DeviceId, kind: String, got: Sha256Digest },
    /// An operator accepted that numbers of a device have changed.
    SwapAccepted { device: DeviceId, kinds: String, by: OperatorName, reason: String },
    /// A device was taken out of service for good.
    Retired { device: DeviceId, by: OperatorName, reason: String },
    /// An operator listed machines that may enrol.
    InventoryEntered { added: u64, replaced: u64, by: OperatorName, reason: String },
    /// A device enrolled.
    Enrolled { device: DeviceId, serial: SerialNumber, key: Sha256Digest },
    /// A device renewed its certificate.
    Renewed { device: DeviceId, key: Sha256Digest },
    /// A poll came with a number that was used before: an indicator of a clone.
    PollReplayed { device: DeviceId, expected_above: u64, got: u64 },
    /// A sign that two machines share one identity: an indicator.
    CloneSuspected { device: DeviceId, sign: String, evidence: String },
    /// Something speaks against a device, and people are told: an indicator.
    AnomalySuspected { device: DeviceId, rule: String, score: u32, why: String },
    /// Somebody looked at that.
    AnomalyDismissed { device: DeviceId, by: OperatorName, reason: String },
    /// An image is announced.
    ReleaseCreated {
        model: ModelName,
        version: VersionName,
        sha256: Sha256Digest,
        by: OperatorName,
    },
    /// The image is whole.
    ReleaseUploaded { model: ModelName, version: VersionName },
    /// A delta is made.
    DeltaMade { model: ModelName, version: VersionName, base: VersionName, length: u64 },
    /// What is in a release was said.
    BillImported {
        model: ModelName,
        version: VersionName,
        components: u64,
        file: Sha256Digest,
        by: OperatorName,
    },
    /// An advisory was taken in.
    AdvisoryImported { advisory: String, affected: u64, by: OperatorName },
    /// Signed metadata is active.
    Published { files: Vec<String>, by: OperatorName },
    /// A role of the repository has to be signed again soon, or is late.
    RoleExpires { role: String, version: u64, expires: Timestamp, urgency: Urgency },
    /// Online metadata was signed again before it lapsed.
    Resigned { files: Vec<String> },
    /// A rollout began.
    RolloutStarted {
        rollout: RolloutId,
        model: ModelName,
        version: VersionName,
        devices: u64,
        by: OperatorName,
        reason: String,
    },
    /// A rollout was planned and waits for approval.
    RolloutPlanned {
        rollout: RolloutId,
        model: ModelName,
        version: VersionName,
        devices: u64,
        plan: Sha256Digest,
        by: OperatorName,
        reason: String,
    },
    /// Somebody approved a plan.
    RolloutApproved { rollout: RolloutId, by: OperatorName, have: u64, need: u64 },
    /// A planned rollout was given up.
    RolloutWithdrawn { rollout: RolloutId, by: String, reason: String },
    /// A person holds a rollout.
    RolloutPaused { rollout: RolloutId, by: String, reason: String },
    /// A person set a rollout going again, and accepted these failures.
    RolloutResumed { rollout: RolloutId, by: String, reason: String, accepted: Vec<ReasonCount> },
    /// A group has what it needs to pass.
    GroupPassed { rollout: RolloutId, group: u64 },
    /// A group's turn came.
    GroupOpened { rollout: RolloutId, group: u64 },
    /// A rollout stopped, by a threshold or by a person.
    RolloutHalted { rollout: RolloutId, by: String, reason: String },
    /// Every device of a rollout has ended.
    RolloutFinished { rollout: RolloutId },
    /// A device waits for its turn under the caps of its group.
    TurnAwaited { device: DeviceId, rollout: RolloutId },
    /// A device is offered what cures it once its evidence is here.
    EvidenceAwaited { device: DeviceId, rollout: RolloutId, incident: IncidentId },
    /// It is a device's turn.
    TurnGiven { device: DeviceId, rollout: RolloutId },
    /// An emergency took a device out of another rollout.
    Overtaken { device: DeviceId, rollout: RolloutId, by_rollout: RolloutId },
    /// A device had confirmed the image of a rollout, and then that went bad.
    Regressed { device: DeviceId, rollout: RolloutId, code: String, reason: String },
    /// A device runs a step that a rollout asks for before its release.
    StepDone { device: DeviceId, rollout: RolloutId, version: VersionName },
    /// Somebody halted the whole fleet.
    CordPulled { number: u64, by: OperatorName, reason: String },
    /// Somebody let the fleet go on.
    CordReleased { number: u64, by: OperatorName, reason: String },
    /// An operator changed what a device is labelled with.
    Labelled { device: DeviceId, by: OperatorName },
    /// An operator entered a key with which they approve.
    ApproverKeyEntered { by: OperatorName, fingerprint: String },
    /// Somebody wants events delivered.
    WebhookMade { webhook: String, url: String, by: OperatorName, reason: String },
    /// Nothing is delivered there any more.
    WebhookStopped { webhook: String, by: OperatorName, reason: String },
    /// A delivery was given up after every try.
    WebhookGaveUp { webhook: String, first: u64, last: u64, why: String },
    /// An order was given.
    Ordered { device: DeviceId, order: u64, what: String, rollout: Option<RolloutId> },
    /// An order ended.
    OrderEnded {
        device: DeviceId,
        order: u64,
        outcome: Outcome,
        rollout: Option<RolloutId>,
        #[serde(default)]
        bytes_fetched: u64,
    },
    /// A device runs the rollout's image already.
    AlreadyRunning { device: DeviceId, rollout: RolloutId },
    /// A device is left out of a rollout.
    NotOffered { device: DeviceId, rollout: RolloutId, code: String },
    /// A device was put in quarantine.
    Quarantined {
        device: DeviceId,
        by: OperatorName,
        reason: String,
        #[serde(default)]
        level: Level,
    },
    /// The device itself says that it is in quarantine.
    QuarantineConfirmed { device: DeviceId },
    /// The device says that a measure of its quarantine does not hold.
    NotContained { device: DeviceId, why: String },
    /// More devices were to be contained than one person may within an hour.
    SecondPersonAsked { act: String, devices: u64, level: Level, by: OperatorName, reason: String },
    /// A second person had them contained.
    SecondPersonAgreed { act: String, by: OperatorName },
    /// Somebody wants devices out of quarantine.
    ReleaseAsked { release: String, devices: u64, by: OperatorName, reason: String },
    /// Somebody signed that.
    ReleaseSigned { release: String, by: OperatorName },
    /// A device was shown the signed release.
    ReleaseOrdered { device: DeviceId, release: String },
    /// A device has left quarantine, and proved it.
    Released { device: DeviceId, release: String },
    /// A collection of evidence was ordered.
    EvidenceOrdered { device: DeviceId, bundle: BundleId, by: OperatorName, reason: String },
    /// A bundle is on the server.
    EvidenceReceived { device: DeviceId, bundle: BundleId, sha256: Sha256Digest, length: u64 },
    /// Somebody took a copy of a bundle.
    EvidencePulled { bundle: BundleId, by: OperatorName },
    /// The device's forensic log is shorter than it was: an indicator.
    LogRegressed { device: DeviceId, known: u64, got: u64 },
    /// The device signed two checkpoints of one log of which neither goes on from the other: it was
    /// cut, rewritten or forked. An indicator, with both of them as its proof.
    LogForked { device: DeviceId, ring: LogRing, held: String, came: String },
    /// Somebody accepted that a disputed log begins anew; `held` is what was witnessed of it last.
    LogAccepted { device: DeviceId, ring: LogRing, held: String, by: OperatorName, reason: String },
    /// Somebody placed a legal hold on a bundle.
    EvidenceHeld { bundle: BundleId, by: OperatorName, reason: String },
    /// Somebody lifted their legal hold.
    EvidenceFreed { bundle: BundleId, by: OperatorName, reason: String },
    /// A bundle was deleted because its time was up and nobody held it.
    EvidenceDeleted { bundle: BundleId, sha256: Sha256Digest, kept_days: u64 },
    /// A bundle's bytes are gone or are not those that came: an indicator.
    EvidenceDamaged { bundle: BundleId, why: String },
    /// A bundle's bytes are as they came again.
    EvidenceWhole { bundle: BundleId },
    /// Somebody opened an incident.
    IncidentOpened {
        incident: IncidentId,
        title: String,
        severity: Severity,
        state: IncidentState,
        devices: u64,
        by: OperatorName,
        reason: String,
    },
    /// An incident changed its state; `accepted` are devices without proof.
    IncidentAdvanced {
        incident: IncidentId,
        from: IncidentState,
        to: IncidentState,
        by: OperatorName,
        reason: String,
        accepted: Vec<ReasonCount>,
    },
    /// A line of an incident's timeline.
    IncidentNoted { incident: IncidentId, by: OperatorName, text: String },
    /// A rollout is an incident's corrective measure.
    IncidentLinked { incident: IncidentId, rollout: RolloutId, by: OperatorName, reason: String },
    /// A step of an incident's playbook ended.
    IncidentStepEnded {
        incident: IncidentId,
        step: String,
        waived: bool,
        by: OperatorName,
        text: String,
    },
    /// Something was filed with an authority.
    IncidentFiled { incident: IncidentId, clock: String, by: OperatorName, reference: String },
    /// A clock or a step of an incident is due soon, or late.
    IncidentDue { incident: IncidentId, what: String, due: Timestamp, state: ClockState },
}

impl Fact {
    /// The rollout whose counts this changes, if any.
    #[must_use]
    pub const fn rollout(&self) -> Option<&RolloutId> {
        match self {
            Self::RolloutStarted { rollout, .. }
            | Self::GroupOpened { rollout, .. }
            | Self::RolloutHalted { rollout, .. }
            | Self::RolloutFinished { rollout }
            | Self::RolloutPlanned { rollout, .. }
            | Self::RolloutApproved { rollout, .. }
            | Self::RolloutWithdrawn { rollout, .. }
            | Self::RolloutPaused { rollout, .. }
            | Self::RolloutResumed { rollout, .. }
            | Self::GroupPassed { rollout, .. }
            | Self::TurnAwaited { rollout, .. }
            | Self::EvidenceAwaited { rollout, .. }
            | Self::TurnGiven { rollout, .. }
            | Self::Overtaken { rollout, .. }
            | Self::Regressed { rollout, .. }
            | Self::StepDone { rollout, .. }
            | Self::AlreadyRunning { rollout, .. }
            | Self::NotOffered { rollout, .. } => Some(rollout),
            Self::Ordered { rollout, .. } | Self::OrderEnded { rollout, .. } => rollout.as_ref(),
            _ => None,
        }
    }
}
