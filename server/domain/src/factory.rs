//! Enrolment with a factory certificate (an initial device identifier, IEEE 802.1AR): the maker of
//! a machine has certified who it is, the server's settings say which maker may speak for which
//! models and groups, and the inventory says who the machine becomes. A certificate is good once.
//! Whether it is a maker's at all, TLS has checked.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, SerialNumber};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::enroll::{Entry, Issued, entered, key_digest};
use crate::event::{Event, Fact};
use crate::inventory::Item;
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Which machines a maker may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factory {
    /// Its name in the settings and in the inventory.
    pub name: String,
    /// Its models; at least one.
    pub models: Vec<ModelName>,
    /// Groups that its machines may be listed for; any where there is none.
    pub groups: Vec<String>,
    /// When its CA ends.
    pub ends: Timestamp,
}

/// A factory certificate that somebody has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactoryCertificate {
    /// The factory of the settings whose CA signed it.
    pub factory: String,
    /// SHA-256 of its DER.
    pub fingerprint: Sha256Digest,
    /// The serial number in its subject, or else its common name (IEEE 802.1AR, 8.6).
    pub serial: String,
}

/// A factory certificate that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// SHA-256 of its DER.
    pub certificate: Sha256Digest,
    /// The machine that it names.
    pub serial: SerialNumber,
    /// Who that became.
    pub device: DeviceId,
    /// When.
    pub at: Timestamp,
}

impl Record for Used {
    const KIND: &'static str = "factory-certificate";
    fn name(&self) -> String {
        self.certificate.to_string()
    }
}

/// A factory certificate that is shown, and the key that the machine has proved to hold.
#[derive(Debug)]
pub struct Showing<'a> {
    /// The machine that the certificate names.
    pub serial: &'a SerialNumber,
    /// SHA-256 of its DER.
    pub certificate: Sha256Digest,
    /// Whose it is.
    pub factory: &'a Factory,
    /// The key that signed the CSR.
    pub key: &'a PublicKey,
}

/// What showing a factory certificate comes to.
#[derive(Debug)]
pub enum Shown<'a> {
    /// The machine may enrol.
    Admitted(&'a Item),
    /// It was used by the very key that shows it again: the answer was lost, or the device was off
    /// for longer than its certificate lives.
    Again(&'a Item),
    /// It may not, and the attempt is to be recorded before it is answered.
    Recorded(Decision<Refused>),
    /// It may not.
    Refused(Refused),
}

/// Whether a machine may enrol by the factory certificate that it shows. Whoever shows one is told
/// plainly why not: its maker has vouched for it.
#[must_use]
pub fn show<'a>(
    item: Option<&'a Item>,
    (device, used): (Option<&Device>, Option<&Used>),
    showing: &Showing<'_>,
    now: Timestamp,
) -> Shown<'a> {
    let (serial, factory) = (showing.serial, showing.factory);
    let refused = |why: String| Shown::Refused(Refused::because(RefusalCode::FactoryRefused, why));
    if factory.ends <= now {
        return refused(format!("the CA of factory {} ended at {}", factory.name, factory.ends));
    }
    let Some(item) = item else {
        return refused(format!("serial {serial} is not in the inventory"));
    };
    if item.factory.as_deref() != Some(factory.name.as_str()) {
        let name = &factory.name;
        return refused(format!("serial {serial} is not listed for the factory {name}"));
    }
    if !factory.models.contains(&item.model) {
        let (name, model) = (&factory.name, &item.model);
        return refused(format!(
            "the factory {name} makes no {model}, as which {serial} is listed"
        ));
    }
    let group = item.group.clone().unwrap_or_default();
    if !factory.groups.is_empty() && !factory.groups.contains(&group) {
        let name = &factory.name;
        return refused(format!("the factory {name} makes nothing for the group {group:?}"));
    }
    if device.is_some_and(|device| device.retired.is_some()) {
        let detail = format!("serial {serial} is retired");
        return Shown::Refused(Refused::because(RefusalCode::Retired, detail));
    }
    match (used, device) {
        (Some(_), Some(device)) if device.key == *showing.key => Shown::Again(item),
        (Some(used), _) => {
            let (serial, device) = (used.serial.clone(), used.device.clone());
            let detail = format!(
                "the factory certificate of serial {serial} was used before, at {}; this is \
                 recorded",
                used.at
            );
            let refused = Refused::because(RefusalCode::FactoryUsed, detail);
            let fact = Fact::FactoryReused { serial, device };
            Shown::Recorded(Decision::reply(refused).event(Event { at: now, fact }))
        }
        (None, Some(device)) => refused(format!("serial {serial} has enrolled as {}", device.id)),
        (None, None) => Shown::Admitted(item),
    }
}

/// Uses the certificate up and enters the device, both or neither.
pub fn enroll(
    item: &Item,
    (used, device): (&Found<Used>, &Found<Device>),
    (certificate, issued): (Sha256Digest, Issued),
    now: Timestamp,
) -> Decision<Device> {
    let entry = Entry {
        device: item.device.clone(),
        serial: item.serial.clone(),
        model: item.model.clone(),
    };
    let mut entered = entered(entry, issued, now);
    entered.take_listing(item);
    let record =
        Used { certificate, serial: item.serial.clone(), device: item.device.clone(), at: now };
    let fact = Fact::Enrolled {
        device: item.device.clone(),
        serial: item.serial.clone(),
        key: key_digest(&entered.key),
    };
    Decision::reply(entered.clone())
        .replace(used, &record)
        .replace(device, &entered)
        .event(Event { at: now, fact })
}

#[cfg(test)]
mod tests;
