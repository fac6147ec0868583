//! Numbers of modems and SIMs: a device is bound to those that it was listed with, or else to the
//! first that it says, and any other is a swap. Numbers come here under a key of the server's and
//! never in the clear. A device that says none says nothing: what a stolen device would say is not
//! to be relied on, and a modem may be off.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::{NumberChange, NumberKind, NumberView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clone::TOLD_AGAIN_MS;
use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// What becomes of a number that is not the one that was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// Nothing: numbers of that kind are neither kept nor compared.
    Off,
    /// It is an event.
    #[default]
    Alert,
    /// It is an event, and the device is held until an operator accepts it.
    Enforce,
}

/// That of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Of modems.
    pub imei: Binding,
    /// Of SIM cards.
    pub iccid: Binding,
    /// Of subscribers.
    pub imsi: Binding,
}

impl Bindings {
    /// That of one kind.
    #[must_use]
    pub const fn of(self, kind: NumberKind) -> Binding {
        match kind {
            NumberKind::Imei => self.imei,
            NumberKind::Iccid => self.iccid,
            NumberKind::Imsi => self.imsi,
        }
    }
}

/// What the registry keeps of one number of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The number, keyed; none where another device had the first that it said.
    pub number: Option<Sha256Digest>,
    /// Another number that it says it has.
    pub swap: Option<Swap>,
}

/// A number that is not the one that was bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// What the device says.
    pub got: Sha256Digest,
    /// Since when it says another than the one that was bound.
    pub since: Timestamp,
    /// When it was an event last.
    pub told: Timestamp,
    /// The device that the number is bound to, where it is another's.
    pub bound_to: Option<DeviceId>,
    /// The device is held for it.
    pub held: bool,
}

impl Bound {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> NumberView {
        let changed = self.swap.as_ref().map(|swap| NumberChange {
            got: swap.got,
            since: swap.since,
            bound_to: swap.bound_to.clone(),
            held: swap.held,
        });
        NumberView { bound: self.number, changed }
    }
}

/// Who has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Which kind of number.
    pub kind: NumberKind,
    /// The number, keyed.
    pub number: Sha256Digest,
    /// The device that is bound to it.
    pub device: DeviceId,
}

impl Holder {
    /// The name of the record for a number.
    #[must_use]
    pub fn name_of(kind: NumberKind, number: &Sha256Digest) -> String {
        format!("{}-{number}", kind.as_str())
    }
}

impl Record for Holder {
    const KIND: &'static str = "number";
    fn name(&self) -> String {
        Self::name_of(self.kind, &self.number)
    }
}

/// A number that a device says it has, and who is bound to it.
#[derive(Debug, Clone)]
pub struct Said {
    /// Which kind of number.
    pub kind: NumberKind,
    /// The number, keyed.
    pub number: Sha256Digest,
    /// Who is bound to it.
    pub holder: Found<Holder>,
}

/// What comes of the numbers that a device says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What is to be told.
    pub facts: Vec<Fact>,
    /// Numbers that the device is bound to from here on.
    pub bound: Vec<Holder>,
}

/// Holds what a device says against what it is bound to.
pub fn judge(device: &mut Device, said: &[Said], bindings: Bindings, now: Timestamp) -> Judged {
    let mut judged = Judged::default();
    for kind in NumberKind::ALL {
        let binding = bindings.of(kind);
        if let Some(swap) = device.numbers.get_mut(&kind).and_then(|bound| bound.swap.as_mut()) {
            swap.held &= binding == Binding::Enforce;
        }
        let said = said.iter().find(|said| said.kind == kind);
        if let Some(said) = said.filter(|_| binding != Binding::Off) {
            one(device, said, (binding, now), &mut judged);
        }
    }
    judged
}

fn one(
    device: &mut Device,
    said: &Said,
    (binding, now): (Binding, Timestamp),
    judged: &mut Judged,
) {
    let id = device.id.clone();
    let bound = device.numbers.entry(said.kind).or_default();
    let held = bound.swap.as_ref().is_some_and(|swap| swap.held);
    let holder = said.holder.value.as_ref().map(|holder| &holder.device);
    let bound_to = holder.filter(|other| **other != id).cloned();
    let is_own = bound.number.is_none_or(|number| number == said.number) && bound_to.is_none();
    // A device that is held stays so when the number comes back: somebody had hands on it.
    if is_own && !held {
        bound.number = Some(said.number);
        bound.swap = None;
        if holder.is_none() {
            judged.bound.push(Holder { kind: said.kind, number: said.number, device: id });
        }
        return;
    }
    let before = bound.swap.take();
    let told = before.as_ref().map(|swap| swap.told);
    let is_news = told.is_none_or(|told| now.since_ms(told) >= TOLD_AGAIN_MS)
        || (binding == Binding::Enforce && !held);
    bound.swap = Some(Swap {
        got: said.number,
        since: before.as_ref().map_or(now, |swap| swap.since),
        told: if is_news { now } else { told.unwrap_or(now) },
        bound_to: bound_to.clone(),
        held: held || binding == Binding::Enforce,
    });
    if !is_news {
        return;
    }
    let kind = said.kind.as_str().to_string();
    judged.facts.push(Fact::NumberChanged {
        device: id.clone(),
        kind: kind.clone(),
        expected: bound.number,
        got: said.number,
        held: binding == Binding::Enforce,
    });
    if let Some(other) = bound_to {
        judged.facts.push(Fact::NumberShared { device: other, with: id, kind, got: said.number });
    }
}

/// Accepts the numbers that a device says it has in place of those that it was bound to.
///
/// # Errors
/// No such device, or nothing to accept.
pub fn accept(
    found: &Found<Device>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Device>, Refused> {
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    let mut changed = device.clone();
    let mut kinds: Vec<&str> = Vec::new();
    let mut holders = Vec::new();
    for (kind, bound) in &mut changed.numbers {
        let Some(swap) = bound.swap.take() else { continue };
        bound.number = Some(swap.got);
        kinds.push(kind.as_str());
        holders.push(Holder { kind: *kind, number: swap.got, device: device.id.clone() });
    }
    if kinds.is_empty() {
        let detail = format!("no number of {} has changed", device.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let fact = Fact::SwapAccepted {
        device: device.id.clone(),
        kinds: kinds.join(", "),
        by: by.clone(),
        reason: reason.into(),
    };
    let decision =
        Decision::reply(changed.clone()).replace(found, &changed).event(Event { at: now, fact });
    // Whoever had the number is told when they say it again.
    Ok(holders.iter().fold(decision, Decision::put))
}

/// The numbers that a list names for a machine.
pub(crate) fn listed(
    numbers: [(NumberKind, Option<Sha256Digest>); 3],
) -> BTreeMap<NumberKind, Bound> {
    let named = numbers.into_iter().filter_map(|(kind, number)| Some((kind, number?)));
    named.map(|(kind, number)| (kind, Bound { number: Some(number), swap: None })).collect()
}

#[cfg(test)]
mod tests;
