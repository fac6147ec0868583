//! Every fact that the store's event log can hold. Events are only ever added; reconcilers read
//! them from a cursor.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

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

impl Fact {
    fn fmt_evidence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvidenceOrdered { device, bundle, by, .. } => {
                write!(f, "{by} ordered evidence of {device} as {bundle}")
            }
            Self::EvidenceReceived { device, bundle, length, .. } => {
                write!(f, "evidence {bundle} of {device} is here, {length} bytes")
            }
            Self::EvidencePulled { bundle, by } => {
                write!(f, "{by} took a copy of evidence {bundle}")
            }
            Self::LogForked { device, ring, .. } => {
                write!(
                    f,
                    "INDICATOR: the {} log of {device} was rewritten; both checkpoints are here",
                    ring.as_str()
                )
            }
            Self::LogAccepted { device, ring, by, reason, .. } => {
                let ring = ring.as_str();
                write!(f, "{by} accepted that the {ring} log of {device} begins anew: {reason}")
            }
            Self::EvidenceHeld { bundle, by, reason } => {
                write!(f, "{by} placed a legal hold on {bundle}: {reason}")
            }
            Self::EvidenceFreed { bundle, by, reason } => {
                write!(f, "{by} lifted a legal hold on {bundle}: {reason}")
            }
            Self::EvidenceDeleted { bundle, kept_days, .. } => {
                write!(f, "evidence {bundle} was deleted after {kept_days} days")
            }
            Self::EvidenceDamaged { bundle, why } => {
                write!(f, "DAMAGED: evidence {bundle}: {why}")
            }
            Self::EvidenceWhole { bundle } => write!(f, "evidence {bundle} is whole again"),
            _ => self.fmt_identity(f),
        }
    }

    fn fmt_identity(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FactoryReused { serial, device } => write!(
                f,
                "INDICATOR: the used factory certificate of serial {serial} ({device}) was shown \
                 again"
            ),
            Self::MeasurementUnexpected { serial, model, got, refused, .. } => {
                let end = if *refused { ", and was refused" } else { "" };
                write!(
                    f,
                    "INDICATOR: serial {serial} measured {got}, which is not on the list for \
                     {model}{end}"
                )
            }
            Self::NumberChanged { device, kind, expected, got, held } => {
                let short = |digest: &Sha256Digest| digest.to_string().chars().take(12).collect();
                let expected: String = expected.as_ref().map_or_else(|| "none".into(), short);
                let got: String = short(got);
                let end = if *held { "; it is held" } else { "" };
                write!(
                    f,
                    "INDICATOR: the {kind} of {device} changed: expected keyed {expected}, got \
                     keyed {got}{end}"
                )
            }
            Self::NumberShared { device, with, kind, .. } => {
                write!(f, "INDICATOR: {with} says the {kind} that {device} is bound to")
            }
            Self::SwapAccepted { device, kinds, by, reason } => {
                write!(f, "{by} accepted another {kinds} of {device}: {reason}")
            }
            Self::Retired { device, by, reason } => {
                write!(f, "{by} retired {device}: {reason}")
            }
            _ => self.fmt_rollout(f),
        }
    }

    fn fmt_rollout(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolloutPlanned { rollout, model, version, devices, by, .. } => {
                write!(f, "{by} planned {rollout}: {model} {version} for {devices} devices")
            }
            Self::RolloutApproved { rollout, by, have, need } => {
                write!(f, "{by} approved {rollout}, {have} of {need}")
            }
            Self::RolloutWithdrawn { rollout, by, reason } => {
                write!(f, "{by} withdrew {rollout}: {reason}")
            }
            Self::RolloutPaused { rollout, by, reason } => {
                write!(f, "{by} paused {rollout}: {reason}")
            }
            Self::RolloutResumed { rollout, by, reason, accepted } => {
                write!(f, "{by} resumed {rollout}: {reason}; accepts")?;
                for ReasonCount { code, count } in accepted {
                    write!(f, " {code}={count}")?;
                }
                if accepted.is_empty() { f.write_str(" no failures") } else { Ok(()) }
            }
            Self::GroupPassed { rollout, group } => write!(f, "{rollout}: group {group} passed"),
            Self::TurnAwaited { device, rollout } => {
                write!(f, "{device} waits for its turn in {rollout}")
            }
            Self::TurnGiven { device, rollout } => {
                write!(f, "{device} has its turn in {rollout}")
            }
            Self::Overtaken { device, rollout, by_rollout } => {
                write!(f, "EMERGENCY {by_rollout} takes {device} out of {rollout}")
            }
            Self::Regressed { device, rollout, code, reason } => {
                write!(f, "{device} confirmed {rollout} and then failed ({code}): {reason}")
            }
            Self::StepDone { device, rollout, version } => {
                write!(f, "{device} runs {version}, a step of {rollout}")
            }
            Self::CordPulled { number, by, reason } => {
                write!(f, "{by} HALTED THE WHOLE FLEET (halt {number}): {reason}")
            }
            Self::CordReleased { number, by, reason } => {
                write!(f, "{by} let the fleet go on (halt {number}): {reason}")
            }
            Self::InventoryEntered { added, replaced, by, reason } => {
                write!(f, "{by} listed {added} machines and replaced {replaced}: {reason}")
            }
            Self::Labelled { device, by } => write!(f, "{by} changed the labels of {device}"),
            Self::ApproverKeyEntered { by, fingerprint } => {
                write!(f, "{by} entered the key {fingerprint} for approvals")
            }
            Self::WebhookMade { webhook, url, by, .. } => {
                write!(f, "{by} has events delivered to {url} as {webhook}")
            }
            Self::WebhookStopped { webhook, by, reason } => {
                write!(f, "{by} stopped {webhook}: {reason}")
            }
            Self::WebhookGaveUp { webhook, first, last, why } => {
                write!(f, "NOT DELIVERED by {webhook}: events {first} to {last}: {why}")
            }
            _ => self.fmt_incident(f),
        }
    }

    fn fmt_incident(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IncidentOpened { incident, title, state, devices, by, .. } => {
                let state = state.as_str();
                write!(f, "{by} opened {incident} ({state}, {devices} devices): {title}")
            }
            Self::IncidentAdvanced { incident, from, to, by, reason, accepted } => {
                let (from, to) = (from.as_str(), to.as_str());
                write!(f, "{by} led {incident} from {from} to {to}: {reason}")?;
                for (number, ReasonCount { code, count }) in accepted.iter().enumerate() {
                    let before = if number == 0 { "; accepts " } else { " " };
                    write!(f, "{before}{code}={count}")?;
                }
                Ok(())
            }
            Self::IncidentNoted { incident, by, text } => {
                write!(f, "{by} noted in {incident}: {text}")
            }
            Self::IncidentLinked { incident, rollout, by, .. } => {
                write!(f, "{by} linked {rollout} to {incident} as its cure")
            }
            Self::IncidentStepEnded { incident, step, waived, by, text } => {
                let how = if *waived { "waived" } else { "ended" };
                write!(f, "{by} {how} step {step} of {incident}: {text}")
            }
            Self::IncidentFiled { incident, clock, by, reference } => {
                write!(f, "{by} filed the {clock} of {incident}: {reference}")
            }
            Self::IncidentDue { incident, what, due, state: ClockState::Late } => {
                write!(f, "LATE: {what} of {incident} was due {due}")
            }
            Self::IncidentDue { incident, what, due, .. } => {
                write!(f, "DUE SOON: {what} of {incident}, {due}")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClaimMade { serial, device, by, .. } => {
                write!(f, "{by} made a claim for serial {serial} to become {device}")
            }
            Self::ClaimReused { serial, device } => {
                write!(f, "INDICATOR: the used claim of serial {serial} ({device}) was shown again")
            }
            Self::Enrolled { device, serial, .. } => {
                write!(f, "{device} enrolled, serial {serial}")
            }
            Self::Renewed { device, .. } => write!(f, "{device} renewed its certificate"),
            Self::PollReplayed { device, expected_above, got } => {
                write!(
                    f,
                    "INDICATOR: {device} polled with number {got}, {expected_above} was already \
                     used"
                )
            }
            Self::CloneSuspected { device, sign, evidence } => {
                write!(f, "INDICATOR: {device} may have a copy ({sign}): {evidence}")
            }
            Self::ReleaseCreated { model, version, by, .. } => {
                write!(f, "{by} announced {model} {version}")
            }
            Self::ReleaseUploaded { model, version } => {
                write!(f, "image of {model} {version} is whole")
            }
            Self::DeltaMade { model, version, base, length } => {
                write!(f, "delta {model} {base} -> {version} is made, {length} bytes")
            }
            Self::Published { files, by } => write!(f, "{by} published {}", files.join(", ")),
            Self::RoleExpires { role, version, expires, urgency: Urgency::Expired } => {
                write!(f, "EXPIRED: {role} version {version} was good until {expires}")
            }
            Self::RoleExpires { role, version, expires, .. } => {
                write!(f, "EXPIRES SOON: {role} version {version}, {expires}")
            }
            Self::Resigned { files } => write!(f, "signed again: {}", files.join(", ")),
            Self::RolloutStarted { rollout, devices, by, .. } => {
                write!(f, "{by} started {rollout} for {devices} devices")
            }
            Self::GroupOpened { rollout, group } => write!(f, "{rollout}: group {group} opened"),
            Self::RolloutHalted { rollout, by, reason } => {
                write!(f, "{rollout} halted by {by}: {reason}")
            }
            Self::RolloutFinished { rollout } => write!(f, "{rollout} finished"),
            Self::Ordered { device, order, what, .. } => {
                write!(f, "order {order} to {device}: {what}")
            }
            Self::OrderEnded { device, order, outcome, .. } => {
                write!(f, "order {order} to {device} ended: {}", crate::report::in_words(outcome))
            }
            Self::AlreadyRunning { device, rollout } => {
                write!(f, "{device} runs the image of {rollout} already")
            }
            Self::NotOffered { device, rollout, code } => {
                write!(f, "{device} is left out of {rollout}: {code}")
            }
            Self::Quarantined { device, by, reason, level } => {
                write!(f, "{by} put {device} in quarantine ({level}): {reason}")
            }
            Self::NotContained { device, why } => write!(f, "NOT CONTAINED: {device}: {why}"),
            Self::SecondPersonAsked { act, devices, level, by, reason } => {
                write!(f, "{by} wants {devices} devices at {level} as {act}: {reason}")
            }
            Self::SecondPersonAgreed { act, by } => write!(f, "{by} agreed to {act}"),
            Self::ReleaseAsked { release, devices, by, reason } => {
                write!(f, "{by} wants {devices} devices out of quarantine as {release}: {reason}")
            }
            Self::ReleaseSigned { release, by } => write!(f, "{by} signed {release}"),
            Self::ReleaseOrdered { device, release } => {
                write!(f, "{device} is shown the signed {release}")
            }
            Self::Released { device, release } => {
                write!(f, "{device} left quarantine by {release}")
            }
            Self::QuarantineConfirmed { device } => write!(f, "{device} confirms its quarantine"),
            Self::LogRegressed { device, known, got } => {
                write!(f, "INDICATOR: the log of {device} went from {known} records to {got}")
            }
            // What is about evidence, and about plans, people and the cord.
            _ => self.fmt_evidence(f),
        }
    }
}
