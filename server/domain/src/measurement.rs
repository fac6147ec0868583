//! What machines of a model may have measured when they enrol: a list of digests over the quoted
//! registers of their TPMs. That the quote holds is said by `lazaret-protocol-tpm`.

use alloc::vec::Vec;

use lazaret_protocol::attested::Octets;
use lazaret_protocol::id::ModelName;
use lazaret_protocol::refusal::RefusalCode;
use serde::{Deserialize, Serialize};

use crate::event::Fact;
use crate::inventory::Item;
use crate::refused::Refused;

/// What becomes of a measurement that is not on the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judging {
    /// Nothing.
    Off,
    /// It is an event.
    #[default]
    Alert,
    /// It is an event, and the machine is not enrolled.
    Enforce,
}

/// The list for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The model.
    pub model: ModelName,
    /// What becomes of anything else.
    pub judging: Judging,
    /// Digests over the quoted registers, as a quote has them (TPM 2.0 part 2, 10.12.1).
    pub digests: Vec<Octets>,
}

/// What a measurement comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is on the list, or nobody has made one.
    Expected,
    /// It is to be told.
    Told(Fact),
    /// It is to be told, and the machine is refused.
    Refused(Fact, Refused),
}

/// Judges what a machine's TPM has quoted.
#[must_use]
pub fn judge(item: &Item, (registers, got): (&[u8], &Octets), lists: &[Allowed]) -> Judged {
    let Some(list) = lists.iter().find(|list| list.model == item.model) else {
        return Judged::Expected;
    };
    if list.judging == Judging::Off || list.digests.contains(got) {
        return Judged::Expected;
    }
    let refused = list.judging == Judging::Enforce;
    let hex: alloc::string::String =
        got.0.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
    let fact = Fact::MeasurementUnexpected {
        serial: item.serial.clone(),
        model: item.model.clone(),
        registers: registers.into(),
        got: hex.clone(),
        refused,
    };
    if !refused {
        return Judged::Told(fact);
    }
    let detail = alloc::format!(
        "expected registers {registers:?} of serial {} to measure one of the {} digests listed \
         for {}, got {hex}",
        item.serial,
        list.digests.len(),
        item.model
    );
    Judged::Refused(fact, Refused::because(RefusalCode::MeasurementRefused, detail))
}

#[cfg(test)]
mod tests;
