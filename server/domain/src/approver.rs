//! Keys with which operators approve. Each belongs to one operator, for good: a key that changed
//! hands would make one person's word another's.

use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::OperatorName;
use lazaret_protocol::operator::ApproverKeyView;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::sshsig::SshKey;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

/// A key and its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproverKey {
    /// Whose.
    pub operator: OperatorName,
    /// The key.
    pub key: SshKey,
    /// When it was entered.
    pub added: Timestamp,
}

/// The name of a key's record.
#[must_use]
pub fn key_name(key: &SshKey) -> String {
    Sha256Digest::of(key.to_string().as_bytes()).to_string()
}

impl Record for ApproverKey {
    const KIND: &'static str = "approver-key";
    fn name(&self) -> String {
        key_name(&self.key)
    }
}

impl ApproverKey {
    /// As operators see it.
    #[must_use]
    pub fn view(&self) -> ApproverKeyView {
        ApproverKeyView {
            operator: self.operator.clone(),
            fingerprint: self.key.fingerprint(),
            key: self.key.clone(),
            added: self.added,
        }
    }
}

/// Enters a key of the operator `by`. The same again changes nothing.
///
/// # Errors
/// It is somebody else's.
pub fn enter(
    found: &Found<ApproverKey>,
    key: &SshKey,
    (by, now): (&OperatorName, Timestamp),
) -> Result<Decision<ApproverKey>, Refused> {
    if let Some(known) = &found.value {
        if known.operator == *by {
            return Ok(Decision::reply(known.clone()));
        }
        let detail = format!("the key {} is {}'s", key.fingerprint(), known.operator);
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let entered = ApproverKey { operator: by.clone(), key: key.clone(), added: now };
    let fact = Fact::ApproverKeyEntered { by: by.clone(), fingerprint: key.fingerprint() };
    Ok(Decision::reply(entered.clone()).replace(found, &entered).event(Event { at: now, fact }))
}
