//! After a start: what the journal says is brought into line with what the bootloader did. The
//! booted slot is the truth.

use alloc::vec::Vec;

use lazaret_protocol::poll::SlotHealth;

use crate::action::{Action, LogEvent};
use crate::event::Situation;
use crate::journal::{Install, Journal, Target, Update};
use crate::reason::Reason;
use crate::slot::Slot;
use crate::update::{failed, keep, settle_failed_trial};

/// Counts the start and settles an update that it interrupted or that it is part of.
pub(crate) fn reconcile(
    next: &mut Journal,
    (a, b): (SlotHealth, SlotHealth),
    last_words: &str,
    at: &Situation<'_>,
) -> Vec<Action> {
    next.boot_count = next.boot_count.saturating_add(1);
    let health = |slot| match slot {
        Slot::A => a,
        Slot::B => b,
    };
    match next.update.clone() {
        Update::Idle | Update::Accepted(_) => alloc::vec![Action::WriteJournal],
        Update::Staging { install, target, .. } => not_yet_armed(next, &install, &target, at),
        Update::Staged { install, target } => {
            // What another run of the agent read back is read back again before it is armed.
            let offset = target.release.length;
            let actions = not_yet_armed(next, &install, &target, at);
            if next.update != Update::Idle {
                next.update = Update::Staging { install, target, offset };
            }
            actions
        }
        Update::Armed { install, target } | Update::Trial { install, target } => {
            if at.booted != Some(target.slot) {
                return not_on_trial(next, (install, target), health, last_words, at);
            }
            if health(target.slot) == SlotHealth::Good {
                // The power went between the bootloader and the journal while it was being kept.
                return keep(next, &install, &target);
            }
            let event = LogEvent::TrialBegun { order: install.order, slot: target.slot };
            next.update = Update::Trial { install, target };
            alloc::vec![Action::Log(event), Action::WriteJournal]
        }
        Update::RollingBack { install, target, reason } => {
            if at.booted == Some(target.slot) {
                let slot = target.slot;
                return alloc::vec![Action::WriteJournal, Action::Revert { slot }, Action::Restart];
            }
            settle_failed_trial(next, &install, &target, failed("probe-failed", &reason));
            alloc::vec![Action::WriteJournal]
        }
    }
}

/// Staging goes on, unless somebody has booted the very slot that it writes to: nothing may write
/// there.
fn not_yet_armed(
    next: &mut Journal,
    install: &Install,
    target: &Target,
    at: &Situation<'_>,
) -> Vec<Action> {
    let slot = target.slot;
    if at.booted != Some(slot) {
        // The power may have gone between the journal and the bootloader when staging began: no
        // byte is written into a slot that the bootloader takes for a good one.
        return alloc::vec![Action::MarkUnknown { slot }, Action::WriteJournal];
    }
    let event = LogEvent::UnexpectedSlot { booted: at.booted, state: next.update.name().into() };
    let reason = Reason::new("the slot that was being written to has been booted by somebody else");
    next.update = Update::Idle;
    next.settle_install(install, target, failed("slot-taken", &reason));
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

/// The device is on the old slot while the journal is armed or in trial: either the bootloader has
/// given the new image up and says so, or it was never told.
fn not_on_trial(
    next: &mut Journal,
    (install, target): (Install, Target),
    health: impl Fn(Slot) -> SlotHealth,
    last_words: &str,
    at: &Situation<'_>,
) -> Vec<Action> {
    let was_armed = matches!(next.update, Update::Armed { .. });
    if was_armed && health(target.slot) == SlotHealth::Unknown {
        let offset = target.release.length;
        next.update = Update::Staging { install, target, offset };
        return alloc::vec![Action::WriteJournal];
    }
    let text = alloc::format!(
        "slot {} was not confirmed within {} starts, and the bootloader went back",
        target.slot,
        at.tries
    );
    let reason = match last_words {
        "" => Reason::new(&text),
        words => Reason::with_tail(&text, words),
    };
    let (order, slot) = (install.order, target.slot);
    settle_failed_trial(next, &install, &target, failed("trial-not-survived", &reason));
    alloc::vec![Action::Log(LogEvent::RolledBack { order, slot, reason }), Action::WriteJournal]
}
