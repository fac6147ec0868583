//! Plans and the people who approve them. A plan is its canonical bytes; an approval names their
//! hash, so that it dies with any change. Whether the signature is good is the shell's to check
//! before it comes here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{OperatorName, RolloutId, VersionName};
use lazaret_protocol::operator::RolloutState;
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::advance::{Step, decided, step};
use super::policy::GroupRules;
use super::state::{Approval, Assignment, Conduct, Direction, Rollout, Thresholds};
use crate::record::{Decision, Found};
use crate::refused::Refused;

/// What people approve: everything that the rollout will do, and nothing that changes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The rollout.
    pub rollout: RolloutId,
    /// Who planned it.
    pub author: OperatorName,
    /// Why.
    pub reason: String,
    /// What is installed: model, version, digest of the image.
    pub release: (String, VersionName, Sha256Digest),
    /// What is installed before, by devices below it.
    pub steps: Vec<(VersionName, Sha256Digest)>,
    /// Onwards or back.
    pub direction: Direction,
    /// What of the policy holds for all groups.
    pub conduct: Conduct,
    /// Thresholds of groups without their own.
    pub thresholds: Thresholds,
    /// The groups, in order.
    pub groups: Vec<StatedGroup>,
}

/// A group in a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedGroup {
    /// What holds for its devices.
    pub rules: GroupRules,
    /// How many they are.
    pub devices: u64,
    /// SHA-256 over their ids, sorted, each with a line feed behind it.
    pub members: Sha256Digest,
}

/// States a rollout over its devices.
#[must_use]
pub fn statement(rollout: &Rollout, parts: &[Assignment]) -> Statement {
    let mut members: Vec<Vec<&str>> = rollout.groups.iter().map(|_| Vec::new()).collect();
    for part in parts {
        let at = usize::try_from(part.group).ok();
        if let Some(group) = at.and_then(|at| members.get_mut(at)) {
            group.push(part.device.as_str());
        }
    }
    let groups = rollout.groups.iter().zip(members).map(|(group, mut ids)| {
        ids.sort_unstable();
        let lines: String = ids.iter().flat_map(|id| [*id, "\n"]).collect();
        StatedGroup {
            rules: group.rules.clone(),
            devices: u64::try_from(ids.len()).unwrap_or(u64::MAX),
            members: Sha256Digest::of(lines.as_bytes()),
        }
    });
    let release = &rollout.release;
    Statement {
        rollout: rollout.id.clone(),
        author: rollout.started_by.clone(),
        reason: rollout.reason.clone(),
        release: (format!("{}", release.model), release.version.clone(), release.sha256),
        steps: rollout.steps.iter().map(|step| (step.version.clone(), step.sha256)).collect(),
        direction: rollout.direction.clone(),
        conduct: rollout.conduct.clone(),
        thresholds: rollout.thresholds,
        groups: groups.collect(),
    }
}

impl Statement {
    /// Its canonical bytes: what an approver signs.
    ///
    /// # Errors
    /// There are none: a statement holds integers and strings alone.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_json(self)
    }

    /// The hash that approvals name.
    ///
    /// # Errors
    /// As [`Statement::to_bytes`].
    pub fn hash(&self) -> Result<Sha256Digest, CanonicalError> {
        self.to_bytes().map(|bytes| Sha256Digest::of(&bytes))
    }
}

/// Approvals that count: of the plan as it is, by distinct people with distinct keys, none of them
/// its author.
#[must_use]
pub fn counted(rollout: &Rollout) -> u64 {
    let mut counted: Vec<&Approval> = Vec::new();
    for approval in &rollout.approvals {
        let again = counted.iter().any(|one| one.by == approval.by || one.key == approval.key);
        if Some(approval.plan) == rollout.plan && approval.by != rollout.started_by && !again {
            counted.push(approval);
        }
    }
    u64::try_from(counted.len()).unwrap_or(u64::MAX)
}

/// Takes an approval in. The same one again changes nothing.
///
/// # Errors
/// No such rollout, not a plan any more, of another plan than this, by its author, or with a key
/// that somebody else has used.
pub fn approve(
    found: &Found<Rollout>,
    approval: Approval,
    now: Timestamp,
) -> Result<Decision<Rollout>, Refused> {
    let unknown = || Refused::because(RefusalCode::NotFound, "no such rollout");
    let mut rollout = found.value.clone().ok_or_else(unknown)?;
    let conflict = |detail| Err(Refused::because(RefusalCode::Conflict, detail));
    if !matches!(rollout.state, RolloutState::Planned | RolloutState::Approved) {
        return conflict(format!("{} is no plan any more, it has begun", rollout.id));
    }
    if rollout.plan != Some(approval.plan) {
        let expected = rollout.plan.map_or_else(|| "none".into(), |plan| format!("{plan}"));
        return conflict(format!(
            "expected an approval of the plan {expected}, got one of {}",
            approval.plan
        ));
    }
    if approval.by == rollout.started_by {
        let detail = format!("{} wrote the plan and cannot approve it", approval.by);
        return Err(Refused::because(RefusalCode::Forbidden, detail));
    }
    let same =
        rollout.approvals.iter().find(|one| one.by == approval.by && one.plan == approval.plan);
    if same.is_some() {
        return Ok(Decision::reply(rollout));
    }
    if let Some(other) = rollout.approvals.iter().find(|one| one.key == approval.key) {
        return conflict(format!("this key has approved already, as {}", other.by));
    }
    let facts = step(&mut rollout, &Step::Approve(approval), now);
    Ok(decided(found, &rollout, facts, now))
}

#[cfg(test)]
mod tests;
