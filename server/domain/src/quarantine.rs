//! Putting a device in quarantine, and what stays open to it there. Leaving needs proof and a
//! quorum, which this form does not know yet: nothing here sets a device free.

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use crate::device::{Device, Quarantine};
use crate::event::{Event, Fact};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// What a device asks the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Polls, reports, certificate renewal and the signed repository: the cure.
    Cure,
    /// Sending evidence.
    Evidence,
    /// Anything else.
    Other,
}

/// Whether the registry lets this device have `access`.
///
/// # Errors
/// It is retired; or it is in quarantine, or held, and this is neither evidence nor cure.
pub fn allows(device: &Device, access: Access) -> Result<(), Refused> {
    if let Some(retired) = &device.retired {
        let detail = alloc::format!("{} is retired since {}", device.id, retired.at);
        return Err(Refused::because(RefusalCode::Retired, detail));
    }
    if access == Access::Other && device.quarantine.is_none() && device.is_held() {
        let detail = alloc::format!(
            "a number of the modem or SIM of {} has changed, and nobody has accepted it",
            device.id
        );
        return Err(Refused::because(RefusalCode::Held, detail));
    }
    match (&device.quarantine, access) {
        (None, _) | (Some(_), Access::Cure | Access::Evidence) => Ok(()),
        (Some(quarantine), Access::Other) => Err(Refused::because(
            RefusalCode::Quarantined,
            alloc::format!("{} is in quarantine since {}", device.id, quarantine.since),
        )),
    }
}

/// Puts a device in quarantine. Doing it twice changes nothing and is no error: the second
/// responder must not be told that containment failed.
///
/// # Errors
/// No such device, no reason, or too many open orders.
pub fn quarantine(
    found: &Found<Device>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Device>, Refused> {
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    if device.quarantine.is_some() {
        return Ok(Decision::reply(device.clone()));
    }
    let mut changed = device.clone();
    changed.quarantine =
        Some(Quarantine { by: by.clone(), reason: reason.into(), since: now, confirmed: false });
    // Containment is never refused for want of room: the server's own refusal holds without the
    // order.
    let order = changed.give_order(OrderKind::Quarantine { reason: reason.into() }, None, now);
    let fact =
        Fact::Quarantined { device: device.id.clone(), by: by.clone(), reason: reason.into() };
    let mut decision =
        Decision::reply(changed.clone()).replace(found, &changed).event(Event { at: now, fact });
    if let Ok(order) = order {
        let fact = Fact::Ordered {
            device: device.id.clone(),
            order,
            what: "enter quarantine".into(),
            rollout: None,
        };
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision)
}
