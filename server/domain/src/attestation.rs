//! Enrolment with a TPM: whose TPM is welcome, challenges that are good once, and what the registry
//! keeps of the proof. Whether a TPM's statements hold is said by `lazaret-protocol-tpm`, and comes
//! here as a fact.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::attested::{Octets, TpmStatement};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::SerialNumber;
use lazaret_protocol::operator::{Endorsement, HardwareView};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::{MINUTE_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clone::{Sign, suspect, tpm_fell};
use crate::device::Device;
use crate::enroll::{Entry, Issued, entered, key_digest};
use crate::event::{Event, Fact};
use crate::inventory::Item;
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// How long a challenge may be answered, in milliseconds. Some TPMs take half a minute to derive
/// their endorsement key, twice.
pub const CHALLENGE_MS: u64 = 5 * MINUTE_MS;

/// A challenge, one per serial number: whoever asks anew replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The machine that it was made for.
    pub serial: SerialNumber,
    /// Its name, and the nonce of the statements.
    pub challenge: Sha256Digest,
    /// SHA-256 of the secret in the credential.
    pub secret: Sha256Digest,
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    pub endorsement: Sha256Digest,
    /// The public areas that were claimed: endorsement, attestation and device key.
    pub claimed: [Octets; 3],
    /// When it lapses.
    pub expires: Timestamp,
    /// It was answered.
    pub used: bool,
}

impl Record for Challenge {
    const KIND: &'static str = "challenge";
    fn name(&self) -> String {
        self.serial.to_string()
    }
}

/// What the registry keeps of a device's TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// SHA-256 of its endorsement key's SubjectPublicKeyInfo.
    pub endorsement: Sha256Digest,
    /// Its attestation key's public area.
    pub attestation: Octets,
    /// How often it was reset, when it last said so.
    pub resets: u32,
    /// For how long it has run in all, in milliseconds, when it last said so.
    pub clock_ms: u64,
    /// The quote, for whoever wants to check it again.
    pub quote: TpmStatement,
    /// The challenge in it.
    pub nonce: Sha256Digest,
    /// The registers of the SHA-256 bank that were quoted.
    pub registers: Vec<u8>,
    /// The digest over their values.
    pub digest: Octets,
    /// When.
    pub at: Timestamp,
}

impl Hardware {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> HardwareView {
        HardwareView {
            endorsement: self.endorsement,
            resets: self.resets,
            registers: self.registers.clone(),
            digest: self.digest.clone(),
            at: self.at,
        }
    }
}

/// Whether a maker that the server trusts has vouched for an endorsement key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// One has.
    ByMaker,
    /// Nobody has.
    No,
}

/// Whether a machine with that endorsement key may be that serial number. The same words for an
/// unknown serial number and for another TPM, so that nobody learns which serial numbers exist.
///
/// # Errors
/// It may not.
pub fn welcome<'a>(
    item: Option<&'a Item>,
    device: Option<&Device>,
    serial: &SerialNumber,
    (endorsement, vouched): (&Sha256Digest, Vouched),
) -> Result<&'a Item, Refused> {
    let refused = || {
        let detail = format!("no machine of serial {serial} with this endorsement key may enrol");
        Refused::because(RefusalCode::EndorsementRefused, detail)
    };
    let item = item.ok_or_else(refused)?;
    let listed = match &item.endorsement {
        Some(Endorsement::Key(key)) => key == endorsement,
        Some(Endorsement::Certificate) => vouched == Vouched::ByMaker,
        None => false,
    };
    if !listed {
        return Err(refused());
    }
    if device.is_some_and(|device| device.retired.is_some()) {
        let detail = format!("serial {serial} is retired");
        return Err(Refused::because(RefusalCode::Retired, detail));
    }
    match device {
        // The TPM that came first stays; and what enrolled without one is not taken over by one.
        Some(device) if device.endorsement() != Some(endorsement) => Err(refused()),
        _ => Ok(item),
    }
}

/// Notes a challenge in the place of the one before.
pub fn challenge(found: &Found<Challenge>, made: &Challenge) -> Decision<()> {
    Decision::reply(()).replace(found, made)
}

/// The challenge that is answered, where it may be.
///
/// # Errors
/// It was never made, was replaced, has lapsed or was answered before; or the secret is not the one
/// in the credential.
pub fn answered<'a>(
    found: &'a Found<Challenge>,
    (challenge, secret): (&Sha256Digest, &Sha256Digest),
    now: Timestamp,
) -> Result<&'a Challenge, Refused> {
    let refused = |why: &str| Refused::because(RefusalCode::ChallengeRefused, why);
    let made = found.value.as_ref().filter(|made| made.challenge == *challenge);
    let made = made.ok_or_else(|| refused("there is no such challenge, or another replaced it"))?;
    if made.used {
        return Err(refused("the challenge was answered before: each is good once"));
    }
    if made.expires <= now {
        return Err(refused("the challenge has lapsed: ask for another"));
    }
    if made.secret != *secret {
        let why = "expected the secret of the credential, got another: it was made for the \
                   endorsement key and the attestation key together";
        return Err(Refused::because(RefusalCode::AttestationRefused, why));
    }
    Ok(made)
}

/// Uses the challenge up and enters the device, or gives one that is there a new certificate: the
/// same TPM is the same machine, however long it was away. `unexpected` is a measurement that is to
/// be told.
pub fn enroll(
    item: &Item,
    (challenge, device): (&Found<Challenge>, &Found<Device>),
    (issued, hardware, unexpected): (Issued, Hardware, Option<Fact>),
    now: Timestamp,
) -> Decision<Device> {
    let (ends, certificate) = (issued.ends, issued.certificate);
    let key = key_digest(&issued.key);
    let mut sign = None;
    let (enrolled, fact) = match &device.value {
        Some(there) => {
            let fell = there.hardware.as_ref().and_then(|known| tpm_fell(known, &hardware));
            let mut renewed = Device {
                key: issued.key,
                certificates: alloc::vec![certificate],
                certificate_ends: ends,
                hardware: Some(hardware),
                ..there.clone()
            };
            if let Some(evidence) = fell {
                sign = suspect(&mut renewed, Sign::TpmClockFell, evidence, now);
            }
            (renewed, Fact::Renewed { device: item.device.clone(), key })
        }
        None => {
            let entry = Entry {
                device: item.device.clone(),
                serial: item.serial.clone(),
                model: item.model.clone(),
            };
            let mut fresh = entered(entry, issued, now);
            fresh.take_listing(item);
            fresh.hardware = Some(hardware);
            let serial = item.serial.clone();
            (fresh, Fact::Enrolled { device: item.device.clone(), serial, key })
        }
    };
    let mut decision = Decision::reply(enrolled.clone()).replace(device, &enrolled);
    if let Some(made) = &challenge.value {
        decision = decision.replace(challenge, &Challenge { used: true, ..made.clone() });
    }
    for fact in core::iter::once(fact).chain(sign).chain(unexpected) {
        decision = decision.event(Event { at: now, fact });
    }
    decision
}

#[cfg(test)]
mod tests;
