//! Whether an image that offline keys signed may go into the inactive slot of this device. The
//! order of the checks is that of their weight: first what would be an attack, then what is only
//! too early.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::order::Outcome;

use crate::action::{Action, LogEvent};
use crate::event::{Offer, Situation};
use crate::journal::{Install, Journal, Route, Target, Update};
use crate::reason::Reason;
use crate::slot::{Content, Slot};
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
    if let Some((code, reason)) = refused(next, offer, at) {
        return refuse_install(next, &install, code, &Reason::new(&reason));
    }
    begin(next, install, offer, at)
}

fn refused(next: &Journal, offer: &Offer, at: &Situation<'_>) -> Option<(&'static str, String)> {
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
    if let Some(running) = running.filter(|running| release.counter <= running.counter) {
        let text = format!(
            "expected a release counter above {}, which runs, got {}",
            running.counter, release.counter
        );
        return Some(("not-newer", text));
    }
    if custom.floor > release.counter {
        let text = format!("its floor {} is above its counter {}", custom.floor, release.counter);
        return Some(("bad-release", text));
    }
    if next.failed.iter().any(|failed| failed.sha256 == release.sha256) {
        let text = format!("{} has failed its trial on this device", release.version);
        return Some(("failed-before", text));
    }
    if let Err(err) = custom.schedule.check() {
        return Some(("bad-release", format!("{err}")));
    }
    match custom.schedule.opens_for(at.device) {
        Some(opens) if opens <= at.now => {}
        Some(opens) => {
            let text =
                format!("the signed schedule opens for this device at {opens}, now is {}", at.now);
            return Some(("schedule-not-reached", text));
        }
        None => {
            let text = "the signed schedule never reaches this device".into();
            return Some(("schedule-not-reached", text));
        }
    }
    if release.length > offer.free_bytes {
        let text = format!(
            "expected {} bytes free for the slot, got {}",
            release.length, offer.free_bytes
        );
        return Some(("no-space", text));
    }
    None
}

/// The slot's content is unknown from here on: that is durable before its first byte changes.
fn begin(next: &mut Journal, install: Install, offer: &Offer, at: &Situation<'_>) -> Vec<Action> {
    let slot = Slot::inactive(at.booted);
    let release = offer.release.clone();
    let event = LogEvent::StageBegun {
        order: install.order,
        slot,
        version: release.version.clone(),
        sha256: release.sha256,
    };
    next.slots.set(slot, Content::Unknown);
    let target =
        Target { release, floor: offer.custom.floor, slot, fetched: 0, route: Route::Delta };
    next.update = Update::Staging { install, target, offset: 0 };
    alloc::vec![Action::Log(event), Action::WriteJournal, Action::MarkUnknown { slot }]
}

/// The wanted image is the one that runs and was kept: there is nothing left to do.
fn already_runs(next: &mut Journal, install: &Install) -> Vec<Action> {
    next.update = Update::Idle;
    next.settle(install.order, Outcome::Done, 0);
    let event = LogEvent::InstallDropped { order: install.order, code: "already-runs".into() };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}
