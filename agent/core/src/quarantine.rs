//! Going into quarantine, up in it, and out of it. Going in needs a signed order; going down or out
//! needs a proof that the shell has weighed, and nothing else does it.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::containment::Terms;
use lazaret_protocol::order::{Order, Outcome};
use lazaret_protocol_evidence::release::ProvedRelease;

use crate::action::{Action, LogEvent};
use crate::event::Situation;
use crate::journal::{Journal, Quarantine, Update};
use crate::order::{accepted, at_the_door, refuse};
use crate::reason::Reason;
use crate::update::{drop_install, failed};

/// The record is durable before anything else is done about it: a device that loses power here
/// comes back in quarantine. Where the device has to close its network, the order is reported once
/// that was tried.
pub(crate) fn enter(
    next: &mut Journal,
    order: &Order,
    reason: &Reason,
    terms: &Terms,
) -> Vec<Action> {
    if let Err(err) = terms.check() {
        return refuse(next, order, "bad-terms", Reason::new(&err.to_string()));
    }
    if let Some(held) = next.quarantine.level()
        && terms.level < held
    {
        let text = alloc::format!("the device is held at {held}; going down takes a release");
        return refuse(next, order, "needs-release", Reason::new(&text));
    }
    let (sequence, level) = (order.sequence, terms.level);
    // An order whose measures were never tried ends with the one that takes its place.
    if let Quarantine::Held { order: before, pending: true, .. } = next.quarantine {
        let text = alloc::format!("order {sequence} took its place");
        next.settle(before, failed("superseded", &Reason::new(&text)), 0);
    }
    // Whatever else the order asks of the device has to be tried before it is done.
    let pending = level.closes_network() || !terms.stop.is_empty();
    next.quarantine = Quarantine::Held { order: sequence, reason: reason.clone(), level, pending };
    let mut actions = accepted(order, "quarantine");
    let event = LogEvent::Quarantined { order: sequence, reason: reason.clone(), level };
    actions.push(Action::Log(event));
    if level.holds_rollouts()
        && let Update::Accepted(install)
        | Update::Staging { install, .. }
        | Update::Staged { install, .. } = next.update.clone()
        && !(install.cure && level.lets_cures_in())
    {
        let outcome = Outcome::Refused {
            code: "quarantined".into(),
            reason: alloc::format!("order {sequence} put the device in quarantine"),
        };
        let dropped = drop_install(next, &install, "quarantined", outcome);
        actions.extend(dropped.into_iter().filter(|action| *action != Action::WriteJournal));
    }
    if !pending {
        next.settle(sequence, Outcome::Done, 0);
    }
    actions
}

/// Notes what came of the measures. *Contained* is said only where every one was tried and holds;
/// a measure that failed is tried again by the shell, but the order ends once.
pub(crate) fn contained(next: &mut Journal, order: u64, why_not: Option<&Reason>) -> Vec<Action> {
    let Quarantine::Held { order: held, pending, .. } = &mut next.quarantine else {
        return Vec::new();
    };
    if *held != order || !*pending {
        return Vec::new();
    }
    *pending = false;
    let (event, outcome) = match why_not {
        None => (LogEvent::Contained { order }, Outcome::Done),
        Some(reason) => {
            let event = LogEvent::NotContained { order, reason: reason.clone() };
            (event, failed("not-contained", reason))
        }
    };
    next.settle(order, outcome, 0);
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

/// Takes an order to leave quarantine whose proof was weighed.
pub(crate) fn leave(
    next: &mut Journal,
    order: &Order,
    proved: &Result<ProvedRelease, (String, Reason)>,
    at: &Situation<'_>,
) -> Vec<Action> {
    if let Some(actions) = at_the_door(next, order, at) {
        return actions;
    }
    if next.quarantine == Quarantine::Free {
        return refuse(next, order, "not-quarantined", Reason::new("the device is free"));
    }
    let proof = match proved {
        Ok(proof) if proof.device() == at.device => proof,
        Ok(_) => {
            let reason = Reason::new("the proof is another device's");
            return refuse(next, order, "release-not-proved", reason);
        }
        Err((code, reason)) => return refuse(next, order, code, reason.clone()),
    };
    if let Quarantine::Held { order: before, pending: true, .. } = next.quarantine {
        let text = alloc::format!("order {} let the device out", order.sequence);
        next.settle(before, failed("superseded", &Reason::new(&text)), 0);
    }
    next.quarantine = Quarantine::Free;
    next.settle_release(order.sequence, *proof.challenge());
    let signers: Vec<&str> = proof.signers().iter().map(|name| name.as_str()).collect();
    let event = LogEvent::Released {
        order: order.sequence,
        statement: Reason::new(&proof.statement().id).as_str().to_string(),
        signers: signers.join(", "),
    };
    let mut actions = accepted(order, "release");
    actions.insert(1, Action::Log(event));
    actions
}

#[cfg(test)]
mod tests;
