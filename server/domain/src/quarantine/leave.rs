//! Leaving quarantine: the statement that people sign, when they are enough, what a device has to
//! answer, and when that is believed. Whether a signature holds is the shell's to check before it
//! comes here, and once more the device's.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::operator::ReleaseState;
use lazaret_protocol::order::{OrderKind, Outcome};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::release::{
    ACTION_RELEASE, RELEASE_DEVICES_MAX, RELEASE_SIGNATURES_MAX, ReleaseProof, ReleaseStatement,
};
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::Envelope;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use lazaret_protocol_evidence::release::ReleaseTree;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;
use crate::release::Release;
use crate::witness::Witnessed;

/// How long a statement is good, in milliseconds: long enough for people in different places.
pub const STATEMENT_VALID_MS: u64 = 3 * DAY_MS;

/// A release that is being signed, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveRequest {
    /// Its name.
    pub id: String,
    /// What people sign.
    pub statement: ReleaseStatement,
    /// The devices, in the order of the leaves, with their nonces.
    pub devices: Vec<(DeviceId, Sha256Digest)>,
    /// Who signed.
    pub signatures: Vec<LeaveSignature>,
    /// Whether the devices have their orders.
    pub ordered: bool,
}

/// One person's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveSignature {
    /// Who.
    pub by: OperatorName,
    /// The fingerprint of the key.
    pub key: String,
    /// The signature, armoured.
    pub signature: String,
    /// When.
    pub at: Timestamp,
}

impl Record for LeaveRequest {
    const KIND: &'static str = "leave-request";
    fn name(&self) -> String {
        self.id.clone()
    }
}

/// The receipt of one device's release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveReceipt {
    /// Whose.
    pub device: DeviceId,
    /// The receipt, sealed by the server's order key.
    pub receipt: Envelope,
}

impl Record for LeaveReceipt {
    const KIND: &'static str = "leave-receipt";
    fn name(&self) -> String {
        self.device.to_string()
    }
}

/// Writes the statement over `devices`.
///
/// # Errors
/// None, too many, or one that is not in quarantine or has not said its nonce.
pub fn request(
    id: String,
    devices: &[Found<Device>],
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<LeaveRequest>, Refused> {
    let conflict = |detail: String| Refused::because(RefusalCode::Conflict, detail);
    if devices.is_empty() || devices.len() > RELEASE_DEVICES_MAX {
        return Err(Refused::because(
            RefusalCode::BadRequest,
            format!("expected 1 to {RELEASE_DEVICES_MAX} devices, got {}", devices.len()),
        ));
    }
    let mut leaves = Vec::with_capacity(devices.len());
    for found in devices {
        let unknown = || Refused::because(RefusalCode::NotFound, format!("no {}", found.key));
        let device = found.value.as_ref().ok_or_else(unknown)?;
        let Some(quarantine) = &device.quarantine else {
            return Err(conflict(format!("{} is not in quarantine", device.id)));
        };
        let nonce = quarantine.word.as_ref().and_then(|word| word.nonce).ok_or_else(|| {
            conflict(format!(
                "{} has not said the nonce of its quarantine: it has to poll first, or is \
                 provisioned anew",
                device.id
            ))
        })?;
        leaves.push((device.id.clone(), nonce));
    }
    leaves.sort();
    leaves.dedup();
    let statement = ReleaseStatement {
        action: ACTION_RELEASE.into(),
        id: id.clone(),
        author: by.clone(),
        reason: reason.into(),
        issued: now,
        expires: now.plus_ms(STATEMENT_VALID_MS),
        devices: u64::try_from(leaves.len()).unwrap_or(u64::MAX),
        root: ReleaseTree::over(&leaves).root(),
    };
    let request = LeaveRequest {
        id: id.clone(),
        statement,
        devices: leaves,
        signatures: Vec::new(),
        ordered: false,
    };
    let fact = Fact::ReleaseAsked {
        release: id,
        devices: request.statement.devices,
        by: by.clone(),
        reason: reason.into(),
    };
    Ok(Decision::reply(request.clone()).put(&request).event(Event { at: now, fact }))
}

/// Takes a signature in. The same person's again changes nothing.
///
/// # Errors
/// There is no such release, it lapsed, or it has as many signatures as it can.
pub fn sign(
    found: &Found<LeaveRequest>,
    signature: LeaveSignature,
    now: Timestamp,
) -> Result<Decision<LeaveRequest>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such release from quarantine");
    let mut request = found.value.clone().ok_or_else(unknown)?;
    if request.statement.expires <= now {
        let detail = format!("{} lapsed at {}", request.id, request.statement.expires);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let same = |one: &LeaveSignature| one.by == signature.by || one.key == signature.key;
    if request.signatures.iter().any(same) {
        return Ok(Decision::reply(request));
    }
    if request.signatures.len() >= RELEASE_SIGNATURES_MAX {
        let detail = format!("{} has {RELEASE_SIGNATURES_MAX} signatures already", request.id);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let fact = Fact::ReleaseSigned { release: request.id.clone(), by: signature.by.clone() };
    request.signatures.push(signature);
    Ok(Decision::reply(request.clone()).replace(found, &request).event(Event { at: now, fact }))
}

/// The release, once its devices have their orders.
pub fn ordered(found: &Found<LeaveRequest>) -> Decision<()> {
    match &found.value {
        Some(request) if !request.ordered => {
            let request = LeaveRequest { ordered: true, ..request.clone() };
            Decision::reply(()).replace(found, &request)
        }
        _ => Decision::reply(()),
    }
}

/// Orders one device out, with its proof. A device that is free, was shut in anew meanwhile, or
/// has the order already is left as it is.
///
/// # Errors
/// Too many open orders.
pub fn order(
    found: &Found<Device>,
    request: &LeaveRequest,
    (tree, challenge): (&ReleaseTree, Sha256Digest),
    now: Timestamp,
) -> Result<Decision<()>, Refused> {
    let Some(device) = &found.value else { return Ok(Decision::reply(())) };
    let nonce = device.quarantine.as_ref().and_then(|held| held.word.as_ref()?.nonce);
    let place =
        request.devices.iter().position(|(id, known)| *id == device.id && Some(*known) == nonce);
    let (Some(place), Ok(statement)) = (place, request.statement.to_bytes()) else {
        return Ok(Decision::reply(()));
    };
    let is_one = |kind: &OrderKind| match kind {
        OrderKind::Release { proof } => proof.statement == statement,
        _ => false,
    };
    if device.open_orders.iter().any(|open| is_one(&open.order.kind)) {
        return Ok(Decision::reply(()));
    }
    let proof = ReleaseProof {
        statement,
        signatures: request.signatures.iter().map(|one| one.signature.clone()).collect(),
        index: u64::try_from(place).unwrap_or(u64::MAX),
        path: tree.path(place).unwrap_or_default(),
        challenge,
    };
    let mut changed = device.clone();
    let order = changed.give_order(OrderKind::Release { proof }, None, now)?;
    let (device, what) = (device.id.clone(), format!("leave quarantine by {}", request.id));
    let fact = Fact::Ordered { device: device.clone(), order, what, rollout: None };
    let told = Fact::ReleaseOrdered { device, release: request.id.clone() };
    let decision = Decision::reply(()).replace(found, &changed);
    Ok(decision.event(Event { at: now, fact }).event(Event { at: now, fact: told }))
}

/// What an answer is held against.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The release that the device says it runs.
    pub release: Option<Found<Release>>,
    /// What the server has witnessed of its log.
    pub witnessed: Option<Found<Witnessed>>,
}

/// Whether the answer to an order to leave is believed.
#[must_use]
pub fn judge(device: &Device, proof: &ReleaseProof, report: &Report, known: &Known) -> Outcome {
    let not = |reason: String| Outcome::Failed { code: "release-not-believed".into(), reason };
    if report.answers != Some(proof.challenge) {
        return not("the answer does not contain the challenge".to_string());
    }
    let running = report.running.as_ref();
    let signed = known.release.as_ref().and_then(|found| found.value.as_ref());
    if running.is_none() || running.map(|it| it.sha256) != signed.and_then(published) {
        return not("what it runs is no release that is published for it".to_string());
    }
    let size = device.log_head.as_ref().map_or(0, |head| head.size);
    if report.log_head.size < size {
        let got = report.log_head.size;
        return not(format!("its log went from {size} records to {got}"));
    }
    let witnessed = known.witnessed.as_ref().and_then(|found| found.value.as_ref());
    if witnessed.is_some_and(|log| log.rings.iter().any(|ring| ring.disputed)) {
        return not("it has told two pasts of its log".to_string());
    }
    Outcome::Done
}

/// The digest of a release that offline keys have signed and that is published.
const fn published(release: &Release) -> Option<Sha256Digest> {
    match release.state {
        ReleaseState::Published => Some(release.sha256),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
