//! The update machine: `Idle -> Accepted -> Staging -> Staged -> Armed -> Trial`, and from there to
//! a kept image or back. [`step`] is the only thing that changes a journal. Orders are judged in
//! `crate::order`, images in `crate::offer`, and the state after a start in `crate::boot`.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::order::Outcome;
use lazaret_protocol::target::release_role;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::Floors;

use crate::action::{Action, LogEvent};
use crate::clock::raised;
use crate::event::{Event, Situation};
use crate::journal::{
    Collection, FAILED_MAX, FailedRelease, Install, Journal, Route, Target, Update,
};
use crate::reason::Reason;
use crate::slot::Content;
use crate::{boot, offer, order, quarantine};

/// What becomes of the journal, and what to do about it, in order. [`Action::WriteJournal`] stands
/// where the returned journal has to be durable; where it is absent, the journal is only kept in
/// memory and goes to disk with the next one.
#[must_use]
pub fn step(journal: &Journal, event: &Event, at: &Situation<'_>) -> (Journal, Vec<Action>) {
    let mut next = journal.clone();
    let actions = match event {
        Event::Booted { a, b, last_words } => boot::reconcile(&mut next, (*a, *b), last_words, at),
        Event::PollDue => {
            next.poll_sequence = next.poll_sequence.saturating_add(1);
            alloc::vec![Action::WriteJournal]
        }
        Event::TimeTold { time } => {
            // Every poll writes the journal anyway, so this waits for the next one.
            next.time_floor = raised(next.time_floor, *time, next.time_horizon);
            Vec::new()
        }
        Event::TufAdvanced { floors, expires } => tuf_advanced(&mut next, floors, *expires, at),
        Event::AppliedByHand { model, version, overrules } => {
            order::apply(&mut next, (model, version), overrules, at)
        }
        Event::Ordered(order) => order::take(&mut next, order, at),
        Event::ReleaseWeighed { order, proved } => quarantine::leave(&mut next, order, proved, at),
        Event::Contained { order, failed } => {
            quarantine::contained(&mut next, *order, failed.as_ref())
        }
        Event::Woke => lapse(&mut next, at.now),
        Event::Resolved(offer) => offer::weigh(&mut next, offer, at),
        Event::Unresolved { code, reason } => match next.update.clone() {
            Update::Accepted(install) => refuse_install(&mut next, &install, code, reason),
            _ => Vec::new(),
        },
        Event::StageAdvanced { .. }
        | Event::DeltaDoubted { .. }
        | Event::StageEnded { .. }
        | Event::StageFailed { .. } => staging(&mut next, event),
        Event::ReadyToArm => arm(&mut next, at),
        Event::Healthy => match next.update.clone() {
            Update::Trial { install, target } => keep(&mut next, &install, &target),
            _ => Vec::new(),
        },
        Event::Unhealthy { reason } => match next.update.clone() {
            Update::Trial { install, target } => give_up(&mut next, install, target, reason),
            _ => Vec::new(),
        },
        Event::Collected | Event::CollectionFailed { .. } => collection_ended(&mut next, event),
        Event::Acknowledged { order } => acknowledged(&mut next, *order),
        Event::ReportRefused { order, code } => report_refused(&mut next, *order, code),
    };
    if actions.contains(&Action::WriteJournal) {
        next.generation = next.generation.saturating_add(1);
    }
    (next, actions)
}

/// Versions only rise, but for what the online keys vouched for: where a newer root has rotated
/// those keys, it falls (TUF 5.3.11), which is how a repository recovers from a fast-forward
/// attack. Only the refresh sees every root on the way, so with a newer root its word is taken as
/// it is. Only the roles that this device asks for are remembered, so that no signed file can fill
/// the journal.
fn tuf_advanced(
    next: &mut Journal,
    floors: &Floors,
    expires: Option<Timestamp>,
    at: &Situation<'_>,
) -> Vec<Action> {
    let (before, horizon) = (next.tuf.clone(), next.time_horizon);
    let mut actions = forget_time_of_old_keys(next, floors);
    let known = &mut next.tuf;
    if floors.root > known.root {
        *known = Floors { root: floors.root, ..Floors::default() };
    }
    known.online_keys = floors.online_keys.or(known.online_keys);
    known.timestamp = known.timestamp.max(floors.timestamp);
    known.snapshot = known.snapshot.max(floors.snapshot);
    let release = release_role(at.model);
    for role in ["targets", "deltas", "emergency", release.as_str()] {
        if let Some(&version) = floors.roles.get(role) {
            let known = known.roles.entry(role.into()).or_default();
            *known = version.max(*known);
        }
    }
    next.time_horizon = expires.unwrap_or(next.time_horizon);
    if next.tuf != before || next.time_horizon != horizon {
        actions.push(Action::WriteJournal);
    }
    actions
}

/// Whoever held the old online keys could sign timestamps that expire at any time before root does,
/// and so lead the time floor to there, where all honest metadata is expired. A root that rotates
/// those keys is the offline signers' word that they are not to be believed any more, and takes
/// the floor and the horizon back with them (docs/decisions/0005). Versions keep their own rules.
fn forget_time_of_old_keys(next: &mut Journal, floors: &Floors) -> Vec<Action> {
    let (Some(old), Some(new)) = (next.tuf.online_keys, floors.online_keys) else {
        return Vec::new();
    };
    if old == new || floors.root <= next.tuf.root {
        return Vec::new();
    }
    let from = next.time_floor.as_ms();
    (next.time_floor, next.time_horizon) = (Timestamp::default(), Timestamp::default());
    alloc::vec![Action::Log(LogEvent::TimeFloorFell { root: floors.root, from })]
}

/// Drops what has lapsed before it could begin: an install that is not in its trial, a collection.
fn lapse(next: &mut Journal, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Update::Accepted(install)
    | Update::Staging { install, .. }
    | Update::Staged { install, .. } = next.update.clone()
        && install.expires <= now
    {
        actions.extend(drop_install(next, &install, "expired", Outcome::Expired));
    }
    if let Collection::Collecting { order, expires, .. } = next.collection
        && expires <= now
    {
        next.collection = Collection::Idle;
        next.settle(order, Outcome::Expired, 0);
        let reason = Reason::new("the order lapsed before the bundle was with the server");
        let code = String::from("expired");
        actions.push(Action::Log(LogEvent::CollectionFailed { order, code, reason }));
        actions.push(Action::WriteJournal);
    }
    actions
}

/// Ends the install under way before its trial.
pub(crate) fn drop_install(
    next: &mut Journal,
    install: &Install,
    code: &str,
    outcome: Outcome,
) -> Vec<Action> {
    match core::mem::replace(&mut next.update, Update::Idle) {
        Update::Staging { target, .. } | Update::Staged { target, .. } => {
            next.settle_install(install, &target, outcome);
        }
        _ => next.settle(install.order, outcome, 0),
    }
    let event = LogEvent::InstallDropped { order: install.order, code: code.into() };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

/// Ends the accepted install with a refusal.
pub(crate) fn refuse_install(
    next: &mut Journal,
    install: &Install,
    code: &str,
    reason: &Reason,
) -> Vec<Action> {
    next.update = Update::Idle;
    let outcome = Outcome::Refused { code: code.into(), reason: reason.as_str().into() };
    next.settle(install.order, outcome, 0);
    let event =
        LogEvent::OrderRefused { order: install.order, code: code.into(), reason: reason.clone() };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

fn staging(next: &mut Journal, event: &Event) -> Vec<Action> {
    let Update::Staging { install, mut target, .. } = next.update.clone() else {
        return Vec::new();
    };
    let order = install.order;
    match event {
        Event::StageAdvanced { offset, fetched } => {
            target.fetched = *fetched;
            let mut actions = alloc::vec![Action::WriteJournal];
            if target.route == Route::Kept {
                // What was taken for the wanted image is something else and is written over now.
                target.route = Route::Image;
                next.slots.set(target.slot, Content::Unknown);
                actions.push(Action::MarkUnknown { slot: target.slot });
            }
            next.update = Update::Staging { install, target, offset: *offset };
            actions
        }
        Event::DeltaDoubted { reason, fetched } => {
            target.fetched = *fetched;
            target.route = Route::Image;
            next.update = Update::Staging { install, target, offset: 0 };
            let event = LogEvent::DeltaDoubted { order, reason: reason.clone() };
            alloc::vec![Action::Log(event), Action::WriteJournal]
        }
        Event::StageEnded { fetched } => {
            target.fetched = *fetched;
            next.slots.set(target.slot, Content::Holds(target.release.clone()));
            next.update = Update::Staged { install, target };
            let event = LogEvent::StageEnded { order, bytes_fetched: *fetched };
            alloc::vec![Action::Log(event), Action::WriteJournal]
        }
        Event::StageFailed { code, reason, fetched } => {
            next.update = Update::Idle;
            target.fetched = *fetched;
            next.settle_install(&install, &target, failed(code, reason));
            let (code, reason) = (code.clone(), reason.clone());
            let event = LogEvent::StageFailed { order, code, reason };
            alloc::vec![Action::Log(event), Action::WriteJournal]
        }
        _ => Vec::new(),
    }
}

/// The last moment at which the install can still be called back.
fn arm(next: &mut Journal, at: &Situation<'_>) -> Vec<Action> {
    let Update::Staged { install, target } = next.update.clone() else {
        return Vec::new();
    };
    if install.expires <= at.now {
        return drop_install(next, &install, "expired", Outcome::Expired);
    }
    let (order, slot, tries) = (install.order, target.slot, at.tries);
    next.update = Update::Armed { install, target };
    // Journal first, bootloader second. A power cut between the two leaves an armed journal on the
    // old slot, which the next start tells from a failed trial by asking the bootloader, and arms
    // again. That is why it forgets an earlier image's failed trial before. The other order could
    // start an image that the journal knows nothing of.
    alloc::vec![
        Action::Log(LogEvent::Armed { order, slot, tries }),
        Action::MarkUnknown { slot },
        Action::WriteJournal,
        Action::Arm { slot, tries },
        Action::Restart,
    ]
}

/// Keeps the image that runs.
pub(crate) fn keep(next: &mut Journal, install: &Install, target: &Target) -> Vec<Action> {
    next.release_floor = next.release_floor.max(target.floor);
    next.slots.set(target.slot, Content::Holds(target.release.clone()));
    next.failed.retain(|failed| failed.counter > target.release.counter);
    next.update = Update::Idle;
    next.settle_install(install, target, Outcome::Done);
    let (order, slot, floor) = (install.order, target.slot, next.release_floor);
    // Bootloader first, journal second. A power cut between the two leaves a good slot and a trial
    // journal, which the next start settles by asking the bootloader. The other order could report
    // a success that the bootloader then undoes.
    alloc::vec![
        Action::Log(LogEvent::Kept { order, slot, floor }),
        Action::MarkGood { slot },
        Action::WriteJournal,
    ]
}

/// Turns back from the image that runs. The reason is durable before the bootloader is told, so
/// that it outlives the restart.
fn give_up(next: &mut Journal, install: Install, target: Target, reason: &Reason) -> Vec<Action> {
    let (order, slot) = (install.order, target.slot);
    next.update = Update::RollingBack { install, target, reason: reason.clone() };
    alloc::vec![
        Action::Log(LogEvent::RolledBack { order, slot, reason: reason.clone() }),
        Action::WriteJournal,
        Action::Revert { slot },
        Action::Restart,
    ]
}

/// Settles an install whose image failed its trial, once the device is back on its former release.
pub(crate) fn settle_failed_trial(
    next: &mut Journal,
    install: &Install,
    target: &Target,
    outcome: Outcome,
) {
    let release = &target.release;
    let failed = FailedRelease { counter: release.counter, sha256: release.sha256 };
    next.failed.retain(|known| *known != failed);
    if next.failed.len() >= FAILED_MAX {
        next.failed.remove(0);
    }
    next.failed.push(failed);
    next.update = Update::Idle;
    next.settle_install(install, target, outcome);
}

pub(crate) fn failed(code: &str, reason: &Reason) -> Outcome {
    Outcome::Failed { code: code.into(), reason: reason.as_str().into() }
}

fn collection_ended(next: &mut Journal, event: &Event) -> Vec<Action> {
    let Collection::Collecting { order, bundle, .. } = next.collection.clone() else {
        return Vec::new();
    };
    next.collection = Collection::Idle;
    let event = match event {
        Event::CollectionFailed { code, reason } => {
            next.settle(order, failed(code, reason), 0);
            let (code, reason) = (code.clone(), reason.clone());
            LogEvent::CollectionFailed { order, code, reason }
        }
        _ => {
            next.settle(order, Outcome::Done, 0);
            LogEvent::Collected { order, bundle }
        }
    };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

fn acknowledged(next: &mut Journal, order: u64) -> Vec<Action> {
    let before = next.reports.len();
    next.reports.retain(|report| report.order != order);
    if next.reports.len() == before { Vec::new() } else { alloc::vec![Action::WriteJournal] }
}

fn report_refused(next: &mut Journal, order: u64, code: &str) -> Vec<Action> {
    let mut actions = acknowledged(next, order);
    if !actions.is_empty() {
        let event = LogEvent::ReportRefused { order, code: code.into() };
        actions.insert(0, Action::Log(event));
    }
    actions
}

#[cfg(test)]
mod tests;
