//! Events as people read them, one line each.

use alloc::string::{String, ToString as _};
use core::fmt;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{ClockState, ReasonCount};
use lazaret_protocol::target::Urgency;

use super::Fact;

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
            Self::AnomalySuspected { device, rule, score, why } => {
                write!(f, "SUSPICION of {device}, score {score} ({rule}): {why}")
            }
            Self::AnomalyDismissed { device, by, reason } => {
                write!(f, "{by} dismissed what was suspected of {device}: {reason}")
            }
            Self::BillImported { model, version, components, by, .. } => {
                write!(f, "{by} said what is in {model} {version}: {components} components")
            }
            Self::AdvisoryImported { advisory, affected, by } => {
                write!(f, "{by} took in {advisory}, which names {affected} packages")
            }
            Self::TurnAwaited { device, rollout } => {
                write!(f, "{device} waits for its turn in {rollout}")
            }
            Self::EvidenceAwaited { device, rollout, incident } => {
                write!(f, "{device} waits in {rollout} for the evidence that {incident} wants")
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
