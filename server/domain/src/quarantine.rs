//! Putting devices in quarantine, how far, and what stays open to them there. Going up needs
//! nobody's leave but, for many devices at once, a second person's; going down or out is a release
//! on proof ([`leave`]) and never stands here.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::containment::{Level, Terms};
use lazaret_protocol::id::{DeviceId, IncidentId, OperatorName};
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{HOUR_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::device::{Device, Quarantine, order_in_words};
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

pub mod leave;

/// What a device asks the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Polls and reports: how it learns of orders and answers them.
    Talk,
    /// Certificate renewal and the signed repository: the cure.
    Cure,
    /// Sending evidence.
    Evidence,
    /// Anything else.
    Other,
}

/// Whether the registry lets this device have `access`.
///
/// # Errors
/// It is retired; or held, and this is neither evidence nor cure; or in quarantine, and its level
/// closes this.
pub fn allows(device: &Device, access: Access) -> Result<(), Refused> {
    if let Some(retired) = &device.retired {
        let detail = alloc::format!("{} is retired since {}", device.id, retired.at);
        return Err(Refused::because(RefusalCode::Retired, detail));
    }
    if access == Access::Other && device.quarantine.is_none() && device.awaits_acceptance() {
        let detail = alloc::format!(
            "a number of the modem or SIM of {} has changed, and nobody has accepted it",
            device.id
        );
        return Err(Refused::because(RefusalCode::Held, detail));
    }
    let Some(quarantine) = &device.quarantine else { return Ok(()) };
    let level = quarantine.terms.level;
    let open = match level {
        Level::Observe | Level::Hold => true,
        Level::Restrict | Level::Isolate => access != Access::Other,
        Level::Revoke => matches!(access, Access::Talk | Access::Evidence),
    };
    if open {
        return Ok(());
    }
    let since = quarantine.since;
    let detail = match level {
        Level::Revoke => format!(
            "the certificate of {} is revoked since {since}: it is good for polls, reports and \
             evidence alone",
            device.id
        ),
        _ => format!("{} is in quarantine since {since}", device.id),
    };
    Err(Refused::because(RefusalCode::Quarantined, detail))
}

/// Puts a device in quarantine, or further in. Doing it twice changes nothing and is no error: the
/// second responder must not be told that containment failed.
///
/// # Errors
/// No such device, terms that no rule can hold, or a level below the one it has.
pub fn quarantine(
    found: &Found<Device>,
    (reason, terms): (&str, &Terms),
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Device>, Refused> {
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    terms.check().map_err(|err| Refused::because(RefusalCode::BadRequest, err.to_string()))?;
    if let Some(held) = &device.quarantine {
        let (has, wanted) = (held.terms.level, terms.level);
        if wanted < has {
            let detail = format!(
                "{} is held at {has}; going down to {wanted} is a release: lazaret device \
                 release-request {}",
                device.id, device.id
            );
            return Err(Refused::because(RefusalCode::Conflict, detail));
        }
        if wanted == has && terms.stop.iter().all(|unit| held.terms.stop.contains(unit)) {
            return Ok(Decision::reply(device.clone()));
        }
    }
    let mut changed = device.clone();
    let mut terms = terms.clone();
    // What was stopped before stays so.
    for unit in device.quarantine.iter().flat_map(|held| &held.terms.stop) {
        if !terms.stop.contains(unit) && terms.stop.len() < lazaret_protocol::containment::STOP_MAX
        {
            terms.stop.push(unit.clone());
        }
    }
    let word = device.quarantine.as_ref().and_then(|held| held.word.clone());
    changed.quarantine = Some(Quarantine {
        by: by.clone(),
        reason: reason.into(),
        since: now,
        confirmed: false,
        terms: terms.clone(),
        word,
        ended: None,
    });
    // Containment is never refused for want of room: the server's own refusal holds without the
    // order.
    let kind = OrderKind::Quarantine { reason: reason.into(), terms };
    let what = order_in_words(&kind);
    let order = changed.give_order(kind, None, now);
    let level = changed.level().unwrap_or_default();
    let fact = Fact::Quarantined {
        device: device.id.clone(),
        by: by.clone(),
        reason: reason.into(),
        level,
    };
    let mut decision =
        Decision::reply(changed.clone()).replace(found, &changed).event(Event { at: now, fact });
    if let Ok(order) = order {
        let fact = Fact::Ordered { device: device.id.clone(), order, what, rollout: None };
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision)
}

/// How many devices one operator may contain within an hour without a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At least so many.
    pub devices: u64,
    /// Or so many of a thousand of the fleet, where that is more.
    pub permille: u64,
}

impl Allowance {
    /// The allowance in a fleet of so many.
    #[must_use]
    pub fn of(self, fleet: u64) -> u64 {
        self.devices.max(fleet.saturating_mul(self.permille) / 1000)
    }
}

/// What one operator has contained within the last hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Who.
    pub operator: OperatorName,
    /// When, and how many.
    pub taken: Vec<(Timestamp, u64)>,
}

impl Record for Spent {
    const KIND: &'static str = "containment-spent";
    fn name(&self) -> String {
        self.operator.to_string()
    }
}

/// How many an operator has contained within the hour before `now`.
#[must_use]
pub fn spent(found: &Found<Spent>, now: Timestamp) -> u64 {
    let taken = found.value.iter().flat_map(|spent| &spent.taken);
    let recent = taken.filter(|(at, _)| now.since_ms(*at) < HOUR_MS);
    recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// The record with `count` more.
#[must_use]
pub fn spend(found: &Found<Spent>, count: u64, (by, now): (&OperatorName, Timestamp)) -> Spent {
    let taken = found.value.iter().flat_map(|spent| &spent.taken);
    let mut taken: Vec<(Timestamp, u64)> =
        taken.filter(|(at, _)| now.since_ms(*at) < HOUR_MS).copied().collect();
    taken.push((now, count));
    // Many small ones within an hour are added up, so that the record stays small.
    if taken.len() > 128 {
        let sum = taken.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        taken = alloc::vec![(now, sum)];
    }
    Spent { operator: by.clone(), taken }
}

/// Containment of a set of devices, as it was asked for: the set is resolved once and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Its name.
    pub id: String,
    /// Who asked for it.
    pub by: OperatorName,
    /// Why.
    pub reason: String,
    /// How far, and what is stopped; the addresses are the server's and go with each order.
    pub terms: Terms,
    /// Which devices.
    pub devices: Vec<DeviceId>,
    /// When it was asked for.
    pub at: Timestamp,
    /// The incident whose devices they are, where they were named so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Where it stands.
    pub state: ActState,
}

/// Where an [`Act`] stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ActState {
    /// It waits for a second person.
    Waiting,
    /// It is being carried out, device by device.
    Begun {
        /// The second person, where one was needed.
        confirmed_by: Option<OperatorName>,
    },
    /// Every device has its order.
    Ordered {
        /// The second person, where one was needed.
        confirmed_by: Option<OperatorName>,
    },
}

impl Record for Act {
    const KIND: &'static str = "containment-act";
    fn name(&self) -> String {
        self.id.clone()
    }
}

/// How long an act waits for a second person, in milliseconds: past that, nobody knows any more
/// what the set was for.
pub const WAITING_MS: u64 = 24 * HOUR_MS;

/// A second person's word.
///
/// # Errors
/// There is no such act, it does not wait, waited too long, or the same person asks.
pub fn confirm(
    found: &Found<Act>,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Act>, Refused> {
    let Some(act) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such containment"));
    };
    if act.state != ActState::Waiting {
        return Ok(Decision::reply(act.clone()));
    }
    if act.by == *by {
        let detail = format!("{by} asked for {} and cannot be the second person as well", act.id);
        return Err(Refused::because(RefusalCode::SecondPersonNeeded, detail));
    }
    if now.since_ms(act.at) > WAITING_MS {
        let detail = format!("{} has waited since {}: ask for it anew", act.id, act.at);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let begun = Act { state: ActState::Begun { confirmed_by: Some(by.clone()) }, ..act.clone() };
    Ok(Decision::reply(begun.clone()).replace(found, &begun))
}

#[cfg(test)]
mod tests;
