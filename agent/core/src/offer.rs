//! Whether an image that offline keys signed may go into the inactive slot of this device. The
//! order of the checks is that of their weight: first what would be an attack, then what is only
//! too early.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::order::Outcome;

use crate::action::{Action, LogEvent};
use crate::event::{Offer, Situation};
use crate::journal::{Direction, Install, Journal, Overrule, Pace, Route, Target, Update};
use crate::reason::Reason;
use crate::slot::{Content, Release, Slot};
use crate::update::{drop_install, refuse_install};

/// Begins staging, or ends the order with the rule that said no.
pub(crate) fn weigh(next: &mut Journal, offer: &Offer, at: &Situation<'_>) -> Vec<Action> {
    let Update::Accepted(install) = next.update.clone() else {
        return Vec::new();
    };
    if install.expires <= at.now {
        return drop_install(next, &install, "expired", Outcome::Expired);
    }
    let running = at.booted.and_then(|slot| next.slots.release(slot));
    if running.is_some_and(|running| running.sha256 == offer.release.sha256) {
        return already_runs(next, &install);
    }
    match judge(next, &install, offer, at) {
        Ok(pace) => begin(next, install, (offer, pace), at),
        Err((code, reason)) => refuse_install(next, &install, code, &Reason::new(&reason)),
    }
}

/// Whether an image may be staged for `install`, and by which schedule; or the code and the words
/// of the first rule that says no. It changes nothing, so that a rehearsal asks the very same.
///
/// # Errors
/// The rule that says no.
pub fn judge(
    next: &Journal,
    install: &Install,
    offer: &Offer,
    at: &Situation<'_>,
) -> Result<Pace, (&'static str, String)> {
    if let Some(refused) = never(next, install.direction, offer, at) {
        return Err(refused);
    }
    let (release, custom) = (&offer.release, &offer.custom);
    let failed = next.failed.iter().any(|failed| failed.sha256 == release.sha256);
    if failed && !install.overrules(Overrule::FailedBefore) {
        let text = format!("{} has failed its trial on this device", release.version);
        return Err(("failed-before", text));
    }
    if let Err(err) = custom.schedule.check() {
        return Err(("bad-release", format!("{err}")));
    }
    let pace = pace(install, offer, at)?;
    if release.length > offer.free_bytes {
        let text = format!(
            "expected {} bytes free for the slot, got {}",
            release.length, offer.free_bytes
        );
        return Err(("no-space", text));
    }
    Ok(pace)
}

/// Whether the image's own schedule leaves this device waiting, so that it is worth looking for an
/// emergency.
#[must_use]
pub fn waits_by_schedule(
    custom: &lazaret_protocol::target::ImageCustom,
    at: &Situation<'_>,
) -> bool {
    custom.schedule.opens_for(at.device).is_none_or(|opens| opens > at.now)
}

/// What either of the two schedules allows is allowed. The emergency counts for exactly the image
/// that it names, until it expires; it opens nothing that the release signers did not sign.
fn pace(
    install: &Install,
    offer: &Offer,
    at: &Situation<'_>,
) -> Result<Pace, (&'static str, String)> {
    let opens = offer.custom.schedule.opens_for(at.device);
    if opens.is_some_and(|opens| opens <= at.now) || install.overrules(Overrule::Schedule) {
        return Ok(Pace::Ordinary);
    }
    let emergency = offer.emergency.as_ref().filter(|emergency| emergency.check().is_ok());
    let faster = emergency.and_then(|e| e.schedule_for(offer.release.sha256, at.now));
    // The place in the rollout is that of the image's own salt: an emergency opens the doors wider
    // and shuffles nobody.
    let place = offer.custom.schedule.place(at.device);
    if faster.is_some_and(|faster| place < faster.permille_at(at.now)) {
        return Ok(Pace::Emergency);
    }
    let text = match opens {
        Some(opens) => {
            format!("the signed schedule opens for this device at {opens}, now is {}", at.now)
        }
        None => "the signed schedule never reaches this device".into(),
    };
    Err(("schedule-not-reached", text))
}

/// What no schedule and nobody at the device can set aside.
fn never(
    next: &Journal,
    direction: Direction,
    offer: &Offer,
    at: &Situation<'_>,
) -> Option<(&'static str, String)> {
    let (release, custom) = (&offer.release, &offer.custom);
    if custom.model != *at.model {
        let text = format!("expected an image for {}, got one for {}", at.model, custom.model);
        return Some(("wrong-model", text));
    }
    if release.counter < next.release_floor {
        let floor = next.release_floor;
        let text =
            format!("expected a release counter of {floor} or more, got {}", release.counter);
        return Some(("below-floor", text));
    }
    let running = at.booted.and_then(|slot| next.slots.release(slot));
    if let Some(refused) = running.and_then(|running| wrong_way(direction, running, release)) {
        return Some(refused);
    }
    if let Some(running) = running
        && running.counter < custom.needs
    {
        let (needs, runs) = (custom.needs, running.counter);
        let text =
            format!("expected to run a release of counter {needs} or more first, {runs} runs");
        return Some(("needs-step", text));
    }
    if custom.floor > release.counter {
        let text = format!("its floor {} is above its counter {}", custom.floor, release.counter);
        return Some(("bad-release", text));
    }
    None
}

/// An order that goes onwards never leads back, and one that goes back never leads onwards: what
/// the order says in words is what happens.
fn wrong_way(
    direction: Direction,
    running: &Release,
    release: &Release,
) -> Option<(&'static str, String)> {
    let (runs, got) = (running.counter, release.counter);
    match direction {
        Direction::Onwards if got <= runs => {
            let text = format!("expected a release counter above {runs}, which runs, got {got}");
            Some(("not-newer", text))
        }
        Direction::Back if got >= runs => {
            let text = format!("expected a release counter below {runs}, which runs, got {got}");
            Some(("not-older", text))
        }
        _ => None,
    }
}

/// The slot's content is unknown from here on: that is durable before its first byte changes. Where
/// the slot already holds what is wanted, it stays known until it is written to, so that a revert
/// that is called back costs nothing.
fn begin(
    next: &mut Journal,
    install: Install,
    (offer, pace): (&Offer, Pace),
    at: &Situation<'_>,
) -> Vec<Action> {
    let slot = Slot::inactive(at.booted);
    let release = offer.release.clone();
    let event = LogEvent::StageBegun {
        order: install.order,
        slot,
        version: release.version.clone(),
        sha256: release.sha256,
    };
    let mut actions = alloc::vec![Action::Log(event)];
    if let (Pace::Emergency, Some(emergency)) = (pace, &offer.emergency) {
        let (order, reason) = (install.order, Reason::new(&emergency.reason));
        let sha256 = release.sha256;
        actions.insert(0, Action::Log(LogEvent::EmergencyUsed { order, sha256, reason }));
    }
    let floor = offer.custom.floor;
    let kept = next.slots.release(slot).is_some_and(|held| held.sha256 == release.sha256);
    if install.direction == Direction::Back && kept {
        let offset = release.length;
        let target = Target { release, floor, slot, fetched: 0, route: Route::Kept, pace };
        next.update = Update::Staging { install, target, offset };
        actions.push(Action::WriteJournal);
        return actions;
    }
    next.slots.set(slot, Content::Unknown);
    let target = Target { release, floor, slot, fetched: 0, route: Route::Delta, pace };
    next.update = Update::Staging { install, target, offset: 0 };
    actions.extend([Action::WriteJournal, Action::MarkUnknown { slot }]);
    actions
}

/// The wanted image is the one that runs and was kept: there is nothing left to do.
fn already_runs(next: &mut Journal, install: &Install) -> Vec<Action> {
    next.update = Update::Idle;
    next.settle(install.order, Outcome::Done, 0);
    let event = LogEvent::InstallDropped { order: install.order, code: "already-runs".into() };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}
