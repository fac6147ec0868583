//! The inventory: machines that may enrol before anybody has seen them. A list is entered whole or
//! not at all.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, OperatorName, SerialNumber};
use lazaret_protocol::operator::{
    Endorsement, INVENTORY_ITEMS_MAX, InventoryReply, InventoryRequest, LineProblem,
    inventory_problems,
};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::claim::{CLAIM_VALID_MS_MAX, Claim};
use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Problems that are told at once; more of them would tell nobody more.
const PROBLEMS_TOLD_MAX: usize = 50;

/// One machine of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is printed on it; there is one entry for a serial number.
    pub serial: SerialNumber,
    /// Who it becomes.
    pub device: DeviceId,
    /// What it is.
    pub model: ModelName,
    /// The group that it is put in.
    pub group: Option<String>,
    /// How its TPM is known; none for a machine that shows a claim.
    pub endorsement: Option<Endorsement>,
    /// SHA-256 of its claim.
    pub claim: Option<Sha256Digest>,
    /// Its modem's number, keyed.
    pub imei: Option<Sha256Digest>,
    /// Its SIM's number, keyed.
    pub iccid: Option<Sha256Digest>,
    /// Its subscriber's number, keyed.
    #[serde(default)]
    pub imsi: Option<Sha256Digest>,
    /// The factory whose certificate it shows.
    #[serde(default)]
    pub factory: Option<String>,
    /// Who entered it.
    pub by: OperatorName,
    /// When.
    pub at: Timestamp,
}

impl Record for Item {
    const KIND: &'static str = "inventory";
    fn name(&self) -> String {
        self.serial.to_string()
    }
}

impl Item {
    /// The claim that was listed, as one that was made here; none for a machine with a TPM.
    #[must_use]
    pub fn as_claim(&self) -> Option<Claim> {
        Some(Claim {
            serial: self.serial.clone(),
            device: self.device.clone(),
            model: self.model.clone(),
            secret: self.claim?,
            expires: self.at.plus_ms(CLAIM_VALID_MS_MAX),
            used: None,
            by: self.by.clone(),
        })
    }

    /// Whether the list says the same, whoever listed it when.
    fn says_as(&self, other: &Self) -> bool {
        let other = Self { by: self.by.clone(), at: self.at, ..other.clone() };
        *self == other
    }
}

/// What a list rests on.
#[derive(Debug)]
pub struct Listed<'a> {
    /// The entries of the same serial numbers, in the list's order.
    pub found: &'a [Found<Item>],
    /// All entries that there are.
    pub all: &'a [Item],
    /// Serial numbers of the list that have enrolled, by a claim or otherwise.
    pub enrolled: &'a [SerialNumber],
}

/// Enters a list. `items` are those of the request, with what is secret in them hashed.
///
/// # Errors
/// Everything that is wrong with it, each with its line; or it is too long.
pub fn enter(
    request: &InventoryRequest,
    items: &[Item],
    listed: &Listed<'_>,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<InventoryReply>, Refused> {
    if request.items.is_empty() || request.items.len() > INVENTORY_ITEMS_MAX {
        let detail = format!(
            "expected a list of 1 to {INVENTORY_ITEMS_MAX} machines, got {}",
            request.items.len()
        );
        return Err(Refused::because(RefusalCode::BadRequest, detail));
    }
    refuse(RefusalCode::BadRequest, inventory_problems(&request.items))?;
    refuse(RefusalCode::Conflict, conflicts(request, items, listed))?;
    let mut reply =
        InventoryReply { added: 0, replaced: 0, unchanged: 0, dry_run: request.dry_run };
    let mut decision = Decision::reply(reply);
    for (item, found) in items.iter().zip(listed.found) {
        let count = match &found.value {
            None => &mut reply.added,
            Some(there) if there.says_as(item) => {
                reply.unchanged = reply.unchanged.saturating_add(1);
                continue;
            }
            Some(_) => &mut reply.replaced,
        };
        *count = count.saturating_add(1);
        decision = decision.replace(found, item);
    }
    if request.dry_run {
        return Ok(Decision::reply(reply));
    }
    if !decision.changes_nothing() {
        let fact = Fact::InventoryEntered {
            added: reply.added,
            replaced: reply.replaced,
            by: by.clone(),
            reason: request.reason.clone(),
        };
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision.with_reply(reply))
}

fn refuse(code: RefusalCode, problems: Vec<LineProblem>) -> Result<(), Refused> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut told: Vec<String> =
        problems.iter().take(PROBLEMS_TOLD_MAX).map(ToString::to_string).collect();
    let more = problems.len().saturating_sub(PROBLEMS_TOLD_MAX);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    Err(Refused::because(code, told.join("\n")))
}

/// What the list contradicts.
fn conflicts(request: &InventoryRequest, items: &[Item], listed: &Listed<'_>) -> Vec<LineProblem> {
    // Of the entries that stay as they are: those of the same serial number are judged below.
    let mut taken: BTreeMap<(&str, String), &SerialNumber> = BTreeMap::new();
    let here: BTreeSet<&SerialNumber> = items.iter().map(|item| &item.serial).collect();
    for there in listed.all {
        if !here.contains(&there.serial) {
            taken.extend(own(there).into_iter().map(|key| (key, &there.serial)));
        }
    }
    let mut problems = Vec::new();
    for ((item, found), line) in items.iter().zip(listed.found).zip(&request.items) {
        let mut wrong = |what: String| problems.push(LineProblem { line: line.line, what });
        let differs = found.value.as_ref().is_some_and(|there| !there.says_as(item));
        let serial = &item.serial;
        if differs && listed.enrolled.contains(serial) {
            wrong(format!("serial {serial} has enrolled already, and its entry stays"));
        } else if differs && !request.replace {
            wrong(format!("serial {serial} is listed already with something else (see --replace)"));
        } else if found.value.is_none() && listed.enrolled.contains(serial) {
            wrong(format!("serial {serial} has enrolled already"));
        }
        for (kind, value) in own(item) {
            if let Some(other) = taken.get(&(kind, value)) {
                wrong(format!("the same {kind} as serial {other}, which is listed already"));
            }
        }
    }
    problems
}

/// What no two machines may share.
fn own(item: &Item) -> Vec<(&'static str, String)> {
    let mut own = alloc::vec![("device", item.device.to_string())];
    if let Some(Endorsement::Key(key)) = &item.endorsement {
        own.push(("endorsement", key.to_string()));
    }
    let digests = [
        ("claim", &item.claim),
        ("imei", &item.imei),
        ("iccid", &item.iccid),
        ("imsi", &item.imsi),
    ];
    own.extend(digests.into_iter().filter_map(|(kind, it)| Some((kind, it.as_ref()?.to_string()))));
    own
}

#[cfg(test)]
mod tests;
