//! Evidence bundles: ordered by a responder, sent by a device, pulled by a responder, held by
//! whoever needs them in court, deleted when their time is up; each act in the custody log, whose
//! head is signed with it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId, OperatorName};
use lazaret_protocol::operator::{BundleState, BundleView, CustodyEntry};
use lazaret_protocol::order::{OrderKind, Wanted};
use lazaret_protocol::receipt::Receipt;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_protocol_evidence::custody;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Entries of one custody record in this form, where it is kept whole in the record.
pub const CUSTODY_ENTRIES_MAX: usize = 1000;

/// Looks of one person within so many milliseconds are one look.
pub const VIEW_MS: u64 = 60 * 60 * 1000;

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its name.
    pub id: BundleId,
    /// Whose it is.
    pub device: DeviceId,
    /// Where it stands.
    pub state: BundleState,
    /// Digest of the whole, once it is here.
    pub sha256: Option<Sha256Digest>,
    /// Length in bytes.
    pub length: u64,
    /// Why it was asked for.
    pub reason: String,
    /// What is to be in it.
    #[serde(default)]
    pub wanted: Wanted,
    /// Who did what with it.
    pub custody: Vec<CustodyEntry>,
    /// The head of that under the server's signature.
    #[serde(default)]
    pub custody_seal: Option<String>,
    /// Who holds it.
    #[serde(default)]
    pub held_by: Vec<OperatorName>,
    /// What was wrong with its bytes when they were read last.
    #[serde(default)]
    pub damage: Option<String>,
    /// The receipt that the device got.
    #[serde(default)]
    pub receipt: Option<Envelope>,
    /// When it was whole; from then on retention counts.
    #[serde(default)]
    pub received: Option<Timestamp>,
}

/// Signs the text of a checkpoint with the server's key for custody: the whole note.
pub type Seal<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Record for Bundle {
    const KIND: &'static str = "bundle";
    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Bundle {
    /// As responders see it.
    #[must_use]
    pub fn view(&self) -> BundleView {
        BundleView {
            id: self.id.clone(),
            device: self.device.clone(),
            state: self.state,
            sha256: self.sha256,
            length: self.length,
            reason: self.reason.clone(),
            wanted: self.wanted.clone(),
            custody: self.custody.clone(),
            custody_seal: self.custody_seal.clone(),
            held_by: self.held_by.iter().map(ToString::to_string).collect(),
            damage: self.damage.clone(),
            receipt: self.receipt.clone(),
        }
    }

    /// Enters an act, and has the head over all of them signed. The list is kept whole in the
    /// record, so it has an end; what comes to that end is refused before it is done, but for what
    /// nobody asked for.
    fn note(
        &mut self,
        (at, who): (Timestamp, &str),
        act: &str,
        reason: Option<&str>,
        seal: Seal<'_>,
    ) {
        let (who, act, reason) = (who.into(), act.into(), reason.map(Into::into));
        self.custody.push(CustodyEntry { at, who, act, reason });
        let head = custody::head(&self.id, &self.custody).ok();
        self.custody_seal = head.and_then(|head| seal(&head.to_string()));
    }

    fn has_room(&self) -> Result<(), Refused> {
        if self.custody.len() < CUSTODY_ENTRIES_MAX {
            return Ok(());
        }
        let detail = format!("custody of {} has {CUSTODY_ENTRIES_MAX} entries, the most", self.id);
        Err(Refused::because(RefusalCode::Conflict, detail))
    }
}

/// Orders a collection. Its name is made of the device and the order's number, so it is never used
/// twice.
///
/// # Errors
/// No such device, too many open orders, or a journal that ends before it begins.
pub fn order(
    found: &Found<Device>,
    (reason, wanted): (&str, &Wanted),
    (by, now): (&OperatorName, Timestamp),
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && until <= since
    {
        let detail = format!("expected a journal from {since} to a later time, got {until}");
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    let Some(device) = &found.value else {
        return Err(Refused::because(RefusalCode::NotFound, "no such device"));
    };
    let sequence = now.as_ms().max(device.order_sequence.saturating_add(1));
    // 13 digits of time and a dash leave 50 bytes for the device's own name.
    let short: String = device.id.as_str().chars().take(48).collect();
    let id: BundleId = format!("{short}-{sequence}")
        .parse()
        .map_err(|err| Refused::because(RefusalCode::BadRequest, format!("{err}")))?;
    let mut changed = device.clone();
    let collect = OrderKind::Collect { bundle: id.clone(), wanted: wanted.clone() };
    let given = changed.give_order(collect, None, now)?;
    let mut bundle = Bundle {
        id: id.clone(),
        device: device.id.clone(),
        state: BundleState::Ordered,
        sha256: None,
        length: 0,
        reason: reason.into(),
        wanted: wanted.clone(),
        custody: vec![],
        custody_seal: None,
        held_by: vec![],
        damage: None,
        receipt: None,
        received: None,
    };
    bundle.note((now, by.as_str()), "ordered", Some(reason), seal);
    let ordered = Fact::Ordered {
        device: device.id.clone(),
        order: given,
        what: format!("collect evidence as {id}"),
        rollout: None,
    };
    let asked = Fact::EvidenceOrdered {
        device: device.id.clone(),
        bundle: id,
        by: by.clone(),
        reason: reason.into(),
    };
    Ok(Decision::reply(bundle.clone())
        .replace(found, &changed)
        .put(&bundle)
        .event(Event { at: now, fact: asked })
        .event(Event { at: now, fact: ordered }))
}

/// Whether `device` may send bytes of this bundle.
///
/// # Errors
/// No such bundle of this device, or it is whole already.
pub fn may_send<'a>(found: &'a Found<Bundle>, device: &DeviceId) -> Result<&'a Bundle, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle was ordered of you");
    let bundle = found.value.as_ref().filter(|b| b.device == *device).ok_or_else(unknown)?;
    if matches!(bundle.state, BundleState::Received | BundleState::Deleted) {
        let detail = format!("bundle {} was here, whole; evidence is never replaced", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    Ok(bundle)
}

/// The bundle, where all of it has come from this device: asking again changes nothing.
#[must_use]
pub fn whole<'a>(found: &'a Found<Bundle>, device: &DeviceId) -> Option<&'a Bundle> {
    let bundle = found.value.as_ref().filter(|bundle| bundle.device == *device)?;
    (bundle.state == BundleState::Received).then_some(bundle)
}

/// Notes that a bundle is whole.
///
/// # Errors
/// As [`may_send`].
pub fn receive(
    found: &Found<Bundle>,
    device: &DeviceId,
    receipt: &Receipt,
    (signed, seal): (Envelope, Seal<'_>),
) -> Result<Decision<Bundle>, Refused> {
    let Receipt { sha256, length, at: now, .. } = *receipt;
    if let Some(bundle) = whole(found, device)
        && bundle.sha256 == Some(sha256)
    {
        return Ok(Decision::reply(bundle.clone()));
    }
    let mut bundle = may_send(found, device)?.clone();
    bundle.state = BundleState::Received;
    bundle.sha256 = Some(sha256);
    bundle.length = length;
    bundle.received = Some(now);
    bundle.receipt = Some(signed);
    bundle.note((now, device.as_str()), "received", None, seal);
    let fact = Fact::EvidenceReceived {
        device: device.clone(),
        bundle: bundle.id.clone(),
        sha256,
        length,
    };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

/// Notes that somebody takes a copy, before the first byte goes out.
///
/// # Errors
/// No such bundle, not here, or the custody record is full.
pub fn pull(
    found: &Found<Bundle>,
    (by, now): (&OperatorName, Timestamp),
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let mut bundle = here(found)?;
    bundle.has_room()?;
    bundle.note((now, by.as_str()), "pulled", None, seal);
    let fact = Fact::EvidencePulled { bundle: bundle.id.clone(), by: by.clone() };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

/// Notes that a third party looks at what is known of a bundle, before it is shown. Looks of one
/// person within [`VIEW_MS`] are one look: else whoever waits for a bundle would fill its log.
///
/// # Errors
/// No such bundle, or the custody record is full.
pub fn view(
    found: &Found<Bundle>,
    (by, now): (&OperatorName, Timestamp),
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle");
    let mut bundle = found.value.clone().ok_or_else(unknown)?;
    let recent = bundle.custody.iter().rev().any(|entry| {
        entry.who == by.as_str() && entry.act == "viewed" && now.since_ms(entry.at) < VIEW_MS
    });
    if recent {
        return Ok(Decision::reply(bundle));
    }
    bundle.has_room()?;
    bundle.note((now, by.as_str()), "viewed", None, seal);
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle))
}

fn here(found: &Found<Bundle>) -> Result<Bundle, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle");
    let bundle = found.value.clone().ok_or_else(unknown)?;
    let why = match bundle.state {
        BundleState::Received => return Ok(bundle),
        BundleState::Deleted => "was deleted; its custody log is kept",
        BundleState::Failed => "could not be collected by the device",
        _ => "is not here yet",
    };
    Err(Refused::because(RefusalCode::Conflict, format!("bundle {} {why}", bundle.id)))
}

/// Places a legal hold, before the bundle is here too: nothing deletes it until everybody who holds
/// it has lifted theirs.
///
/// # Errors
/// No such bundle, it is deleted, or the custody record is full.
pub fn hold(
    found: &Found<Bundle>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle");
    let mut bundle = found.value.clone().ok_or_else(unknown)?;
    if bundle.state == BundleState::Deleted {
        let detail = format!("bundle {} was deleted already", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    if bundle.held_by.contains(by) {
        return Ok(Decision::reply(bundle));
    }
    bundle.has_room()?;
    bundle.held_by.push(by.clone());
    bundle.note((now, by.as_str()), "held", Some(reason), seal);
    let fact =
        Fact::EvidenceHeld { bundle: bundle.id.clone(), by: by.clone(), reason: reason.into() };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

/// Lifts one's own legal hold.
///
/// # Errors
/// No such bundle, or it is not held by `by`.
pub fn free(
    found: &Found<Bundle>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle");
    let mut bundle = found.value.clone().ok_or_else(unknown)?;
    if !bundle.held_by.contains(by) {
        let detail = format!("{by} does not hold bundle {}", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    bundle.held_by.retain(|holder| holder != by);
    bundle.note((now, by.as_str()), "freed", Some(reason), seal);
    let fact =
        Fact::EvidenceFreed { bundle: bundle.id.clone(), by: by.clone(), reason: reason.into() };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

/// Whether the time of a bundle is up: it has been here for so many days, and nobody holds it.
#[must_use]
pub fn is_due(bundle: &Bundle, kept_days: u64, now: Timestamp) -> bool {
    let since = bundle.received.map_or(0, |received| now.since_ms(received));
    let up = since >= kept_days.saturating_mul(DAY_MS);
    bundle.state == BundleState::Received
        && bundle.received.is_some()
        && up
        && bundle.held_by.is_empty()
}

/// Deletes a bundle whose time is up. Its record and its custody log stay; the bytes go once this
/// is committed.
///
/// # Errors
/// No such bundle, somebody holds it, or its time is not up.
pub fn delete(
    found: &Found<Bundle>,
    kept_days: u64,
    now: Timestamp,
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let mut bundle = here(found)?;
    let Some(sha256) = bundle.sha256.filter(|_| is_due(&bundle, kept_days, now)) else {
        let detail = format!("bundle {} is held, or its time is not up", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    };
    bundle.state = BundleState::Deleted;
    let why = format!("kept for {kept_days} days, held by nobody");
    bundle.note((now, "retention"), "deleted", Some(&why), seal);
    let fact = Fact::EvidenceDeleted { bundle: bundle.id.clone(), sha256, kept_days };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

/// Notes how the bytes of a bundle were found, where that is news.
///
/// # Errors
/// No such bundle, or not here.
pub fn looked_at(
    found: &Found<Bundle>,
    damage: Option<&str>,
    now: Timestamp,
    seal: Seal<'_>,
) -> Result<Decision<Bundle>, Refused> {
    let mut bundle = here(found)?;
    if bundle.damage.as_deref() == damage {
        return Ok(Decision::reply(bundle));
    }
    bundle.damage = damage.map(Into::into);
    let (act, id) = (if damage.is_some() { "damaged" } else { "whole" }, bundle.id.clone());
    bundle.note((now, "scrubber"), act, damage, seal);
    let fact = match damage {
        Some(why) => Fact::EvidenceDamaged { bundle: id, why: why.into() },
        None => Fact::EvidenceWhole { bundle: id },
    };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}

#[cfg(test)]
mod tests;
