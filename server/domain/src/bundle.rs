//! Evidence bundles: ordered by a responder, sent by a device, pulled by a responder; each act in
//! the custody record.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{BundleId, DeviceId, OperatorName};
use lazaret_protocol::operator::{BundleState, BundleView, CustodyEntry};
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Entries of one custody record in this form, where it is kept whole in the record.
pub const CUSTODY_ENTRIES_MAX: usize = 1000;

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
    /// Who did what with it.
    pub custody: Vec<CustodyEntry>,
}

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
            custody: self.custody.clone(),
        }
    }

    fn note(&mut self, at: Timestamp, who: &str, act: &str) {
        self.custody.push(CustodyEntry { at, who: who.into(), act: act.into() });
    }
}

/// Orders a collection. Its name is made of the device and the order's number, so it is never used
/// twice.
///
/// # Errors
/// No such device, or too many open orders.
pub fn order(
    found: &Found<Device>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Bundle>, Refused> {
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
    let given = changed.give_order(OrderKind::Collect { bundle: id.clone() }, None, now)?;
    let mut bundle = Bundle {
        id: id.clone(),
        device: device.id.clone(),
        state: BundleState::Ordered,
        sha256: None,
        length: 0,
        reason: reason.into(),
        custody: vec![],
    };
    bundle.note(now, by.as_str(), "ordered");
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
    if bundle.state == BundleState::Received {
        let detail = format!("bundle {} is here, whole; evidence is never replaced", bundle.id);
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
    (sha256, length): (Sha256Digest, u64),
    now: Timestamp,
) -> Result<Decision<Bundle>, Refused> {
    if let Some(bundle) = whole(found, device)
        && bundle.sha256 == Some(sha256)
    {
        return Ok(Decision::reply(bundle.clone()));
    }
    let mut bundle = may_send(found, device)?.clone();
    bundle.state = BundleState::Received;
    bundle.sha256 = Some(sha256);
    bundle.length = length;
    bundle.note(now, device.as_str(), "received");
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
/// No such bundle, not here yet, or the custody record is full.
pub fn pull(
    found: &Found<Bundle>,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Bundle>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such bundle");
    let mut bundle = found.value.clone().ok_or_else(unknown)?;
    if bundle.state != BundleState::Received {
        let detail = format!("bundle {} is not here yet", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    if bundle.custody.len() >= CUSTODY_ENTRIES_MAX {
        let detail =
            format!("custody of {} has {CUSTODY_ENTRIES_MAX} entries, the most", bundle.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    bundle.note(now, by.as_str(), "pulled");
    let fact = Fact::EvidencePulled { bundle: bundle.id.clone(), by: by.clone() };
    Ok(Decision::reply(bundle.clone()).replace(found, &bundle).event(Event { at: now, fact }))
}
