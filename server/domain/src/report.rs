//! What to make of a device's report of how an order ended.

use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, VersionName};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::limits::REASON_BYTES_MAX;
use lazaret_protocol::operator::BundleState;
use lazaret_protocol::order::{OrderKind, Outcome};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::release::ReleaseProof;
use lazaret_protocol::report::{Report, ReportReply};
use lazaret_protocol::signed::Verified;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::release::read_statement;

use crate::bundle::Bundle;
use crate::device::{Device, OpenOrder};
use crate::event::{Event, Fact};
use crate::quarantine::leave::{Known, judge};
use crate::record::{Decision, Found};
use crate::refused::Refused;
use crate::rollout::state::{Assignment, AssignmentState, Rollout, RolloutRelease};

/// All that a report rests on.
#[derive(Debug, Clone)]
pub struct ReportView {
    /// The device.
    pub device: Found<Device>,
    /// The rollout of the order, where it has one.
    pub rollout: Option<Found<Rollout>>,
    /// The device's part in it.
    pub assignment: Option<Found<Assignment>>,
    /// The bundle of the order, where it was to collect.
    pub bundle: Option<Found<Bundle>>,
    /// What an answer to an order to leave quarantine is held against.
    pub known: Known,
}

/// Decides a report. A report of an order that was settled before changes nothing and is
/// acknowledged, so that a lost answer is not reported for ever.
///
/// # Errors
/// Of another device, of an order that was never given, or too wordy.
pub fn decide(
    view: &ReportView,
    report: &Verified<Report>,
    now: Timestamp,
) -> Result<Decision<ReportReply>, Refused> {
    let report = report.message();
    let unknown = || Refused::because(RefusalCode::Unauthenticated, "no such device");
    let device = view.device.value.as_ref().ok_or_else(unknown)?;
    if report.device != device.id {
        let detail = format!("{} cannot report for {}", device.id, report.device);
        return Err(Refused::because(RefusalCode::Forbidden, detail));
    }
    check_words(&report.outcome)?;
    let reply = ReportReply { order: report.order };
    let mut changed = device.clone();
    let Some(open) = changed.close_order(report.order) else {
        if report.order > device.order_sequence {
            let detail = format!("order {} was never given to {}", report.order, device.id);
            return Err(Refused::because(RefusalCode::NotFound, detail));
        }
        return Ok(Decision::reply(reply));
    };
    let outcome = believed(&open, report, view);
    changed.running.clone_from(&report.running);
    changed.last_outcome = Some(in_words(&outcome));
    changed.note_containment(&open.order.kind, &outcome);
    let left = leave_on(&open.order.kind, &outcome, &mut changed);
    let mut decision = Decision::reply(reply).replace(&view.device, &changed);
    if let Some(fact) = left {
        decision = decision.event(Event { at: now, fact });
    }
    if let Some(found) = &view.assignment
        && let Some(assignment) = &found.value
    {
        let rollout = view.rollout.as_ref().and_then(|found| found.value.as_ref());
        let step = step_done(&open, &outcome, rollout);
        let state = match step {
            // Only the first of its ways is done: it is offered the next.
            Some(_) => AssignmentState::Waiting,
            None => AssignmentState::Ended { outcome: outcome.clone(), at: now },
        };
        if let Some(version) = step {
            let (device, rollout) = (device.id.clone(), assignment.rollout.clone());
            let fact = Fact::StepDone { device, rollout, version: version.clone() };
            decision = decision.event(Event { at: now, fact });
        }
        decision = decision.replace(found, &Assignment { state, ..assignment.clone() });
    }
    if let Some(found) = &view.bundle
        && let Some(bundle) = &found.value
        && outcome != Outcome::Done
        && bundle.state == BundleState::Ordered
    {
        let failed = Bundle { state: BundleState::Failed, ..bundle.clone() };
        decision = decision.replace(found, &failed);
    }
    let fact = Fact::OrderEnded {
        device: device.id.clone(),
        order: report.order,
        outcome,
        rollout: open.rollout,
        bytes_fetched: report.bytes_fetched,
    };
    Ok(decision.event(Event { at: now, fact }))
}

/// Settles what an order about quarantine has come to: an entry that is done is confirmed, and one
/// who has left on proof is free.
fn leave_on(kind: &OrderKind, outcome: &Outcome, device: &mut Device) -> Option<Fact> {
    if *outcome != Outcome::Done {
        return None;
    }
    match kind {
        OrderKind::Quarantine { terms, .. } => {
            let quarantine = device.quarantine.as_mut()?;
            let holds = terms.level >= quarantine.terms.level && !quarantine.confirmed;
            quarantine.confirmed |= holds;
            holds.then(|| Fact::QuarantineConfirmed { device: device.id.clone() })
        }
        OrderKind::Release { proof } => {
            device.quarantine = None;
            let statement = read_statement(&proof.statement).ok();
            let release = statement.map(|statement| statement.id).unwrap_or_default();
            Some(Fact::Released { device: device.id.clone(), release })
        }
        _ => None,
    }
}

/// What goes into the receipt of a release, where this report is a believed answer to one.
#[must_use]
pub fn lets_out(
    view: &ReportView,
    report: &Report,
) -> Option<(DeviceId, PublicKey, Sha256Digest, ReleaseProof)> {
    let device = view.device.value.as_ref()?;
    let open = device.open_orders.iter().find(|open| open.order.sequence == report.order)?;
    let OrderKind::Release { proof } = &open.order.kind else { return None };
    let nonce = device.quarantine.as_ref()?.word.as_ref()?.nonce?;
    let believed = believed(open, report, view) == Outcome::Done;
    believed.then(|| (device.id.clone(), device.key.clone(), nonce, proof.clone()))
}

/// "Done" of an install is believed only with the digest of the image that was to be installed.
fn believed(open: &OpenOrder, report: &Report, view: &ReportView) -> Outcome {
    if let OrderKind::Release { proof } = &open.order.kind
        && report.outcome == Outcome::Done
        && let Some(device) = &view.device.value
    {
        return judge(device, proof, report, &view.known);
    }
    let here = view.bundle.as_ref().and_then(|found| found.value.as_ref());
    if matches!(open.order.kind, OrderKind::Collect { .. })
        && report.outcome == Outcome::Done
        && here.is_none_or(|bundle| bundle.state != BundleState::Received)
    {
        let reason = "said done, but the bundle is not here".to_string();
        return Outcome::Failed { code: "no-bundle".into(), reason };
    }
    if !open.order.kind.installs() || report.outcome != Outcome::Done {
        return report.outcome.clone();
    }
    let rollout = view.rollout.as_ref().and_then(|found| found.value.as_ref());
    let wanted = rollout.and_then(|rollout| ordered(open, rollout)).map(|it| it.sha256);
    let runs = report.running.as_ref().map(|running| running.sha256);
    if wanted.is_some() && wanted == runs {
        return Outcome::Done;
    }
    let words = |digest: Option<_>| match digest {
        Some(digest) => format!("{digest}"),
        None => "nothing known".to_string(),
    };
    Outcome::Failed {
        code: "wrong-digest".into(),
        reason: format!("said done, but runs {} instead of {}", words(runs), words(wanted)),
    }
}

/// The release of a rollout that an order names.
fn ordered<'a>(open: &OpenOrder, rollout: &'a Rollout) -> Option<&'a RolloutRelease> {
    let (OrderKind::Install { version, .. }
    | OrderKind::Cure { version, .. }
    | OrderKind::Revert { version, .. }) = &open.order.kind
    else {
        return None;
    };
    let mut all = core::iter::once(&rollout.release).chain(&rollout.steps);
    all.find(|release| release.version == *version)
}

/// The step that is done, where the order was for one and not for the release itself.
fn step_done<'a>(
    open: &OpenOrder,
    outcome: &Outcome,
    rollout: Option<&'a Rollout>,
) -> Option<&'a VersionName> {
    let rollout = rollout?;
    let release = ordered(open, rollout)?;
    let step = *outcome == Outcome::Done && release.version != rollout.release.version;
    step.then_some(&release.version)
}

fn check_words(outcome: &Outcome) -> Result<(), Refused> {
    let (code, reason) = match outcome {
        Outcome::Refused { code, reason } | Outcome::Failed { code, reason } => (code, reason),
        _ => return Ok(()),
    };
    if code.len() > 64 || reason.len() > REASON_BYTES_MAX {
        let detail = format!(
            "expected a code of at most 64 and a reason of at most {REASON_BYTES_MAX} bytes, got \
             {} and {}",
            code.len(),
            reason.len()
        );
        return Err(Refused::because(RefusalCode::TooLarge, detail));
    }
    Ok(())
}

/// An outcome in words.
#[must_use]
pub fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_string(),
        Outcome::Refused { code, reason } => format!("refused ({code}): {reason}"),
        Outcome::Failed { code, reason } => format!("failed ({code}): {reason}"),
        Outcome::Expired => "expired".to_string(),
        _ => "an outcome of a newer kind".to_string(),
    }
}

#[cfg(test)]
mod tests;
