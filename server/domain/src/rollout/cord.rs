//! The fleet-wide cord: one record, one person, no approval, and no rollout offers anything any
//! more. Offers that are not yet installed are taken back. Rollouts keep their own state, so that
//! what was halted before stays halted when the cord is let go.

use alloc::string::String;

use lazaret_protocol::id::OperatorName;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// Whether the fleet is held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cord {
    /// How often it was pulled.
    pub number: u64,
    /// By whom it is pulled now; none where it is not.
    pub pulled: Option<Pulled>,
}

/// A pulled cord.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// Who.
    pub by: OperatorName,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Offers that were open when it was first counted after the pull.
    #[serde(default)]
    pub open_offers: Option<u64>,
}

/// How many devices have taken their offer back: `acknowledged` of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Devices that have no offer open any more.
    pub acknowledged: u64,
    /// Devices that had one.
    pub of: u64,
}

impl Cord {
    /// The name of its one record.
    pub const NAME: &'static str = "fleet";

    /// Whether it is pulled.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.pulled.is_some()
    }

    /// How many have acknowledged, where `outstanding` offers are open now; none before the first
    /// count, and where it is not pulled.
    #[must_use]
    pub fn acknowledged(&self, outstanding: u64) -> Option<Acknowledged> {
        let of = self.pulled.as_ref()?.open_offers?;
        Some(Acknowledged { acknowledged: of.saturating_sub(outstanding), of })
    }
}

impl Record for Cord {
    const KIND: &'static str = "cord";
    fn name(&self) -> String {
        Self::NAME.into()
    }
}

/// Pulls the cord. Pulling it twice changes nothing: the second person must not be told that it did
/// not work.
///
/// # Errors
/// No reason is given.
pub fn pull(
    found: &Found<Cord>,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Cord>, Refused> {
    needs_reason(reason)?;
    let mut cord = found.value.clone().unwrap_or_default();
    if cord.holds() {
        return Ok(Decision::reply(cord).resting_on(found));
    }
    cord.number = cord.number.saturating_add(1);
    let pulled = Pulled { by: by.clone(), reason: reason.into(), at: now, open_offers: None };
    cord.pulled = Some(pulled);
    let fact = Fact::CordPulled { number: cord.number, by: by.clone(), reason: reason.into() };
    Ok(Decision::reply(cord.clone()).replace(found, &cord).event(Event { at: now, fact }))
}

/// Lets the cord go. Whoever does names the pull that they mean, so that a newer one is not undone
/// by mistake.
///
/// # Errors
/// It is not pulled, or was pulled again; or no reason is given.
pub fn release(
    found: &Found<Cord>,
    number: u64,
    reason: &str,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<Cord>, Refused> {
    needs_reason(reason)?;
    let mut cord = found.value.clone().unwrap_or_default();
    if !cord.holds() {
        return Err(Refused::because(RefusalCode::Conflict, "the fleet is not halted"));
    }
    if cord.number != number {
        let detail = alloc::format!("expected halt {} to be named, got {number}", cord.number);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    cord.pulled = None;
    let fact = Fact::CordReleased { number, by: by.clone(), reason: reason.into() };
    Ok(Decision::reply(cord.clone()).replace(found, &cord).event(Event { at: now, fact }))
}

/// Notes, once, how many offers were open when the cord was pulled.
pub fn counted(found: &Found<Cord>, outstanding: u64) -> Decision<()> {
    let Some(cord) = &found.value else { return Decision::reply(()) };
    let Some(pulled) = cord.pulled.clone().filter(|pulled| pulled.open_offers.is_none()) else {
        return Decision::reply(());
    };
    let pulled = Pulled { open_offers: Some(outstanding), ..pulled };
    let cord = Cord { pulled: Some(pulled), ..cord.clone() };
    Decision::reply(()).replace(found, &cord)
}

fn needs_reason(reason: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() {
        return Err(Refused::because(RefusalCode::BadRequest, "expected a reason, got none"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
