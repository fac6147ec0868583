//! One-time claims: how a machine that nobody knows becomes a device.

use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, OperatorName, SerialNumber};
use lazaret_protocol::operator::ClaimRequest;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Longest life of a claim, in milliseconds. Devices lie in stock for months, not for years.
pub const CLAIM_VALID_MS_MAX: u64 = 400 * DAY_MS;

/// A claim. The secret itself is never kept, only its SHA-256: it has 256 bits of its own, so that
/// no slow hash is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose it is; there is at most one claim for a serial number.
    pub serial: SerialNumber,
    /// Who the machine becomes.
    pub device: DeviceId,
    /// What it is.
    pub model: ModelName,
    /// SHA-256 of the secret.
    pub secret: Sha256Digest,
    /// When it lapses.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
    /// Who made it.
    pub by: OperatorName,
}

impl Record for Claim {
    const KIND: &'static str = "claim";
    fn name(&self) -> String {
        self.serial.to_string()
    }
}

/// Makes a claim. `secret` is the hash of fresh randomness that the caller hands out.
///
/// # Errors
/// The device exists, a live claim for the serial number exists, or the request makes no sense.
pub fn make(
    request: &ClaimRequest,
    (existing, device): (&Found<Claim>, &Found<Device>),
    secret: Sha256Digest,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Claim>, Refused> {
    if request.valid_ms == 0 || request.valid_ms > CLAIM_VALID_MS_MAX {
        let detail = format!(
            "expected a claim valid for 1 to {CLAIM_VALID_MS_MAX} ms, got {}",
            request.valid_ms
        );
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    if let Some(device) = &device.value {
        let detail =
            format!("device {} is enrolled already, with serial {}", device.id, device.serial);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    if let Some(claim) = &existing.value {
        // A lapsed claim that nobody used may be made anew; a used one is evidence and stays.
        if claim.used.is_some() || claim.expires > now {
            let state = if claim.used.is_some() { "used" } else { "not yet lapsed" };
            let detail = format!("a claim for serial {} exists and is {state}", claim.serial);
            return Err(Refused::because(RefusalCode::Conflict, detail));
        }
    }
    let claim = Claim {
        serial: request.serial.clone(),
        device: request.device.clone(),
        model: request.model.clone(),
        secret,
        expires: now.plus_ms(request.valid_ms),
        used: None,
        by: by.clone(),
    };
    let fact = Fact::ClaimMade {
        serial: claim.serial.clone(),
        device: claim.device.clone(),
        by: by.clone(),
        reason: request.reason.clone(),
    };
    Ok(Decision::reply(claim.clone())
        .resting_on(device)
        .replace(existing, &claim)
        .event(Event { at: now, fact }))
}
