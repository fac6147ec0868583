//! Orders: which are taken, which are refused, and what each one begins. Every order that is taken
//! ends in exactly one report.

use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::id::{ModelName, RolloutId, VersionName};
use lazaret_protocol::order::{Order, OrderKind, OrderRefused, Outcome};
use lazaret_protocol::time::DAY_MS;

use crate::action::{Action, LogEvent};
use crate::event::Situation;
use crate::journal::{
    BY_HAND, ByHand, Collection, Direction, Install, Journal, Overrule, Quarantine, Update,
};
use crate::quarantine;
use crate::reason::Reason;
use crate::update::drop_install;

/// Takes an order whose signature holds.
///
/// An order for another device and a replay change nothing and are only logged. While there is no
/// room for one more report nothing happens at all: the server sends the order again with the next
/// poll, by which time the reports that wait have gone.
pub(crate) fn take(next: &mut Journal, order: &Order, at: &Situation<'_>) -> Vec<Action> {
    if let Some(actions) = at_the_door(next, order, at) {
        return actions;
    }
    match &order.kind {
        OrderKind::Install { rollout, model, version } => {
            begin(next, order, (rollout, model, version, Purpose::Update), at)
        }
        OrderKind::Cure { rollout, model, version, .. } => {
            begin(next, order, (rollout, model, version, Purpose::Cure), at)
        }
        OrderKind::Revert { rollout, model, version } => {
            begin(next, order, (rollout, model, version, Purpose::GoBack), at)
        }
        OrderKind::Halt { install } => halt(next, order, *install),
        OrderKind::Quarantine { reason, terms } => {
            quarantine::enter(next, order, &Reason::new(reason), terms)
        }
        // Only the shell can weigh a proof; an order that comes here was not weighed.
        OrderKind::Release { .. } => {
            refuse(next, order, "release-not-proved", Reason::new("its proof was not weighed"))
        }
        OrderKind::Collect { bundle, wanted } => {
            if let Collection::Collecting { bundle: other, .. } = &next.collection {
                let reason =
                    Reason::new(&alloc::format!("bundle {other} is still being collected"));
                return refuse(next, order, "busy", reason);
            }
            next.collection = Collection::Collecting {
                order: order.sequence,
                expires: order.expires,
                bundle: bundle.clone(),
                wanted: wanted.clone(),
            };
            accepted(order, "collect")
        }
        _ => {
            refuse(next, order, "unknown-order", Reason::new("this agent does not know the order"))
        }
    }
}

/// What holds for every order; none where its kind decides. Where it is taken its number is.
pub(crate) fn at_the_door(
    next: &mut Journal,
    order: &Order,
    at: &Situation<'_>,
) -> Option<Vec<Action>> {
    let lapsed = match order.check(at.device, next.order_sequence, at.now) {
        Ok(()) => false,
        Err(OrderRefused::Expired { .. }) => true,
        Err(refused) => return Some(alloc::vec![Action::Log(unacceptable(order, &refused))]),
    };
    if !next.has_room_for_an_order() {
        return Some(Vec::new());
    }
    next.order_sequence = order.sequence;
    if lapsed {
        next.settle(order.sequence, Outcome::Expired, 0);
        let reason = Reason::new("it lapsed before this device could begin");
        return Some(refused_entry(order, "expired", reason));
    }
    None
}

/// What another release is put on the device for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Update,
    Cure,
    GoBack,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Update => "install",
            Self::Cure => "cure",
            Self::GoBack => "revert",
        }
    }

    const fn direction(self) -> Direction {
        match self {
            Self::Update | Self::Cure => Direction::Onwards,
            Self::GoBack => Direction::Back,
        }
    }
}

/// Takes up an order that puts another release on the device.
fn begin(
    next: &mut Journal,
    order: &Order,
    (rollout, model, version, purpose): (&RolloutId, &ModelName, &VersionName, Purpose),
    at: &Situation<'_>,
) -> Vec<Action> {
    let wanted = (order.sequence, purpose);
    if let Some((code, reason)) = install_refused(next, wanted, model, at) {
        return refuse(next, order, code, reason);
    }
    next.update = Update::Accepted(Install {
        order: order.sequence,
        expires: order.expires,
        rollout: rollout.clone(),
        version: version.clone(),
        direction: purpose.direction(),
        cure: purpose == Purpose::Cure,
        by_hand: None,
    });
    accepted(order, purpose.as_str())
}

/// Takes up what somebody at the device asks for; `order` of its install is [`BY_HAND`].
pub(crate) fn apply(
    next: &mut Journal,
    (model, version): (&ModelName, &VersionName),
    overrules: &[Overrule],
    at: &Situation<'_>,
) -> Vec<Action> {
    if apply_refused(next, model, at).is_some() {
        return Vec::new();
    }
    // A literal of the right form.
    let Ok(rollout) = "by-hand".parse() else { return Vec::new() };
    let words: Vec<&str> = overrules.iter().map(|rule| rule.as_str()).collect();
    let said = if words.is_empty() { "nothing".into() } else { words.join(", ") };
    next.update = Update::Accepted(Install {
        order: BY_HAND,
        expires: at.now.plus_ms(DAY_MS),
        rollout,
        version: version.clone(),
        direction: Direction::Onwards,
        cure: false,
        by_hand: Some(ByHand { overrules: overrules.to_vec() }),
    });
    let event = LogEvent::AppliedByHand { version: version.clone(), overrules: said };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

/// Why nothing can be installed by hand at this moment, or for this device at all.
#[must_use]
pub fn apply_refused(
    next: &Journal,
    model: &ModelName,
    at: &Situation<'_>,
) -> Option<(&'static str, Reason)> {
    if !next.has_room_by_hand() {
        let text = "expected room for one more report, but the server has not taken the last ones";
        return Some(("busy", Reason::new(text)));
    }
    install_refused(next, (BY_HAND, Purpose::Update), model, at)
}

fn install_refused(
    next: &Journal,
    (order, purpose): (u64, Purpose),
    model: &ModelName,
    at: &Situation<'_>,
) -> Option<(&'static str, Reason)> {
    if let Quarantine::Held { order: since, level, .. } = &next.quarantine
        && level.holds_rollouts()
        && !(purpose == Purpose::Cure && level.lets_cures_in())
    {
        let text = alloc::format!("the device is in quarantine since order {since}");
        return Some(("quarantined", Reason::new(&text)));
    }
    if model != at.model {
        let text = alloc::format!("expected the hardware model {}, got {model}", at.model);
        return Some(("wrong-model", Reason::new(&text)));
    }
    let busy = next.update.install()?;
    let text = alloc::format!(
        "order {} is still {}, so {order} cannot begin",
        busy.order,
        next.update.name(),
    );
    Some(("busy", Reason::new(&text)))
}

/// Takes an install back that has not begun its trial. The install's own report says `halted`; the
/// halt is done once nothing of that order can run any more, which is also so where it has ended
/// before.
fn halt(next: &mut Journal, order: &Order, install: u64) -> Vec<Action> {
    let mut actions = accepted(order, "halt");
    match next.update.clone() {
        Update::Accepted(i)
        | Update::Staging { install: i, .. }
        | Update::Staged { install: i, .. }
            if i.order == install =>
        {
            let outcome = Outcome::Refused {
                code: "halted".into(),
                reason: alloc::format!("order {} took it back", order.sequence),
            };
            let dropped = drop_install(next, &i, "halted", outcome);
            // One write makes both outcomes durable; two would allow a halt without its effect.
            actions.splice(1..1, dropped.into_iter().filter(|a| *a != Action::WriteJournal));
        }
        update if update.install().is_some_and(|i| i.order == install) => {
            let text = alloc::format!("order {install} is already in {}", update.name());
            return refuse(next, order, "trial-begun", Reason::new(&text));
        }
        _ => {}
    }
    next.settle(order.sequence, Outcome::Done, 0);
    actions
}

pub(crate) fn accepted(order: &Order, kind: &str) -> Vec<Action> {
    let event = LogEvent::OrderAccepted { order: order.sequence, kind: kind.into() };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

pub(crate) fn refuse(next: &mut Journal, order: &Order, code: &str, reason: Reason) -> Vec<Action> {
    let text = String::from(reason.as_str());
    next.settle(order.sequence, Outcome::Refused { code: code.into(), reason: text }, 0);
    refused_entry(order, code, reason)
}

fn refused_entry(order: &Order, code: &str, reason: Reason) -> Vec<Action> {
    let event = LogEvent::OrderRefused { order: order.sequence, code: code.into(), reason };
    alloc::vec![Action::Log(event), Action::WriteJournal]
}

fn unacceptable(order: &Order, refused: &OrderRefused) -> LogEvent {
    let code = match refused {
        OrderRefused::WrongDevice { .. } => "wrong-device",
        OrderRefused::Replay { .. } => "replay",
        OrderRefused::Leap { .. } => "leap",
        _ => "unacceptable",
    };
    let reason = Reason::new(&alloc::format!("{refused}"));
    LogEvent::OrderRefused { order: order.sequence, code: code.into(), reason }
}
