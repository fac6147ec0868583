//! Enrolment and renewal: who gets a certificate, and what stands in it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, SerialNumber};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;

use crate::claim::Claim;
use crate::clone::Watch;
use crate::device::Device;
use crate::event::{Event, Fact};
use crate::inventory::Item;
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// A claim that may be used, which alone lets a certificate be issued.
#[derive(Debug)]
pub struct Admitted<'a> {
    claim: &'a Claim,
}

impl Admitted<'_> {
    /// Who the machine becomes: the claim says so, never the CSR.
    #[must_use]
    pub const fn device(&self) -> &DeviceId {
        &self.claim.device
    }
}

/// What showing a claim comes to.
#[derive(Debug)]
pub enum Shown<'a> {
    /// It may be used.
    Admitted(Admitted<'a>),
    /// It was used by the very key that shows it again: the answer was lost, and is given once
    /// more.
    Again(Admitted<'a>),
    /// It may not, and the attempt is to be recorded before it is answered.
    Recorded(Decision<Refused>),
    /// It may not.
    Refused(Refused),
}

/// A claim that is shown, and the key that the machine has proved to hold.
#[derive(Debug)]
pub struct Showing<'a> {
    /// What is printed on the machine.
    pub serial: &'a SerialNumber,
    /// SHA-256 of the claim.
    pub secret: Sha256Digest,
    /// The key that signed the CSR.
    pub key: &'a PublicKey,
}

/// Whether the claim that was shown may be used at `now`. The same words for an unknown serial
/// number, a wrong secret and a lapsed claim, so that nobody learns which serial numbers exist.
///
/// The power may go on the device between our commit and its own, and then it shows the claim
/// again, with the same key. It gets a certificate once more, or it would be stranded; any other
/// key is an indicator.
#[must_use]
pub fn show<'a>(
    found: &'a Found<Claim>,
    device: Option<&Device>,
    showing: &Showing<'_>,
    now: Timestamp,
) -> Shown<'a> {
    let serial = showing.serial;
    let refused = || {
        let detail = format!("no claim for serial {serial} with this secret can be used");
        Refused::because(RefusalCode::ClaimRefused, detail)
    };
    let Some(claim) = &found.value else { return Shown::Refused(refused()) };
    if claim.secret != showing.secret {
        return Shown::Refused(refused());
    }
    if device.is_some_and(|device| device.retired.is_some()) {
        let detail = format!("serial {serial} is retired");
        return Shown::Refused(Refused::because(RefusalCode::Retired, detail));
    }
    if claim.used.is_some() && device.is_some_and(|device| device.key == *showing.key) {
        return Shown::Again(Admitted { claim });
    }
    if claim.used.is_some() {
        let detail = format!("the claim of serial {serial} was used before; this is recorded");
        let fact = Fact::ClaimReused { serial: serial.clone(), device: claim.device.clone() };
        let refused = Refused::because(RefusalCode::ClaimUsed, detail);
        return Shown::Recorded(Decision::reply(refused).event(Event { at: now, fact }));
    }
    if claim.expires <= now {
        return Shown::Refused(refused());
    }
    Shown::Admitted(Admitted { claim })
}

/// A certificate that was issued, as far as the registry cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The key in it.
    pub key: PublicKey,
    /// SHA-256 of its DER.
    pub certificate: Sha256Digest,
    /// When it ends.
    pub ends: Timestamp,
}

/// Who a machine becomes.
pub(crate) struct Entry {
    pub(crate) device: DeviceId,
    pub(crate) serial: SerialNumber,
    pub(crate) model: ModelName,
}

/// A device of which nothing is known yet but who it is.
pub(crate) fn entered(entry: Entry, issued: Issued, now: Timestamp) -> Device {
    Device {
        id: entry.device,
        serial: entry.serial,
        model: entry.model,
        key: issued.key,
        certificates: vec![issued.certificate],
        certificate_ends: issued.ends,
        enrolled: now,
        quarantine: None,
        poll_sequence: 0,
        polls: 0,
        last_seen: None,
        running: None,
        update_state: "enrolled".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::new(),
        group: None,
        utc_offset_min: None,
        battery_percent: None,
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    }
}

/// Uses the claim up and enters the device in the registry, both or neither. Its group and its
/// numbers are those that the inventory names.
///
/// # Errors
/// The device exists already.
pub fn enroll(
    admitted: &Admitted<'_>,
    (claim, device): (&Found<Claim>, &Found<Device>),
    (issued, item): (Issued, Option<&Item>),
    now: Timestamp,
) -> Result<Decision<Device>, Refused> {
    if device.value.is_some() {
        let detail = format!("device {} is enrolled already", admitted.device());
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let used = Claim { used: Some(now), ..admitted.claim.clone() };
    let entry = Entry {
        device: used.device.clone(),
        serial: used.serial.clone(),
        model: used.model.clone(),
    };
    let mut entered = entered(entry, issued, now);
    if let Some(item) = item {
        entered.take_listing(item);
    }
    let fact = Fact::Enrolled {
        device: used.device.clone(),
        serial: used.serial.clone(),
        key: key_digest(&entered.key),
    };
    Ok(Decision::reply(entered.clone())
        .replace(claim, &used)
        .replace(device, &entered)
        .event(Event { at: now, fact }))
}

/// Enters a renewed certificate. The one that was shown stays good until it ends by itself, so that
/// a reply lost on a bad link does not lock the device out; any other does not. None is shown where
/// a claim stands for it.
///
/// # Errors
/// There is no such device.
pub fn renew(
    found: &Found<Device>,
    issued: Issued,
    shown: Option<Sha256Digest>,
    now: Timestamp,
) -> Result<Decision<Device>, Refused> {
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    let mut renewed = device.clone();
    // The one that was shown stays: however many answers are lost, the device can always ask again.
    renewed.certificates = core::iter::once(issued.certificate).chain(shown).collect();
    renewed.certificate_ends = issued.ends;
    renewed.key = issued.key;
    let fact = Fact::Renewed { device: device.id.clone(), key: key_digest(&renewed.key) };
    Ok(Decision::reply(renewed.clone()).replace(found, &renewed).event(Event { at: now, fact }))
}

pub(crate) fn key_digest(key: &PublicKey) -> Sha256Digest {
    key.key_id().as_str().parse().unwrap_or_else(|_| Sha256Digest::of(&[]))
}

#[cfg(test)]
mod tests;
