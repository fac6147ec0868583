//! The records of a rollout. Definition and pace stand in [`Rollout`], which polls rest on; counts
//! stand in [`Tally`], which changes often and only a reconciler writes.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName, OperatorName, RolloutId, VersionName};
use lazaret_protocol::operator::{GroupState, GroupView, ReasonCount, RolloutState, RolloutView};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::target::Schedule;
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// After its order lapsed a device has this long to say how it ended, in milliseconds: it may have
/// begun in the last minute, and be without a link.
pub(crate) const SILENCE_MS: u64 = 7 * DAY_MS;

/// A staged deployment of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its name.
    pub id: RolloutId,
    /// What it installs.
    pub release: RolloutRelease,
    /// How it stands.
    pub state: RolloutState,
    /// Why it halted, where it did.
    pub halt_reason: Option<String>,
    /// Its groups, in order.
    pub groups: Vec<Group>,
    /// What lets a group pass or trip.
    pub thresholds: Thresholds,
    /// Who started it.
    pub started_by: OperatorName,
    /// When.
    pub started: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a rollout installs, as release signers signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRelease {
    /// The hardware model.
    pub model: ModelName,
    /// The version.
    pub version: VersionName,
    /// Digest of the image.
    pub sha256: Sha256Digest,
    /// When whom the signers allow to install.
    pub schedule: Schedule,
}

/// A group of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How it stands.
    pub state: GroupState,
    /// Devices in it.
    pub size: u64,
}

/// Thresholds over confirmed results, in percent of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// With this much done, the next group opens.
    pub success_percent: u8,
    /// With this much failed, the rollout halts.
    pub error_percent: u8,
}

impl Record for Rollout {
    const KIND: &'static str = "rollout";
    fn name(&self) -> String {
        self.id.to_string()
    }
}

/// One device's part in one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The rollout.
    pub rollout: RolloutId,
    /// The device.
    pub device: DeviceId,
    /// Its group, from zero.
    pub group: u64,
    /// How it stands.
    pub state: AssignmentState,
}

/// How one device stands in one rollout: always in exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum AssignmentState {
    /// Not offered yet.
    Waiting,
    /// Offered, no outcome yet.
    Offered {
        /// The order.
        order: u64,
        /// When it lapses.
        lapses: Timestamp,
    },
    /// It ended.
    Ended {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

impl Record for Assignment {
    const KIND: &'static str = "assignment";
    fn name(&self) -> String {
        assignment_name(&self.rollout, &self.device)
    }
}

/// The name of an assignment's record.
#[must_use]
pub fn assignment_name(rollout: &RolloutId, device: &DeviceId) -> String {
    format!("{rollout}/{device}")
}

/// The latest rollout that a device is in: what its poll looks up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// The device.
    pub device: DeviceId,
    /// The rollout.
    pub rollout: RolloutId,
}

impl Record for Assigned {
    const KIND: &'static str = "assigned";
    fn name(&self) -> String {
        self.device.to_string()
    }
}

/// The counts of a rollout, group by group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The rollout.
    pub rollout: RolloutId,
    /// Its groups' counts, in order.
    pub groups: Vec<GroupTally>,
}

/// The counts of a group. They add up to its size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GroupTally {
    /// Not offered yet.
    pub waiting: u64,
    /// Offered, no outcome yet.
    pub offered: u64,
    /// Confirmed by the new image itself.
    pub done: u64,
    /// Tried and failed.
    pub failed: u64,
    /// Refused by a rule on the device or of the server.
    pub refused: u64,
    /// Lapsed or taken back.
    pub expired: u64,
    /// Codes of failures and refusals.
    pub reasons: Vec<ReasonCount>,
}

impl Record for Tally {
    const KIND: &'static str = "tally";
    fn name(&self) -> String {
        self.rollout.to_string()
    }
}

impl Tally {
    /// Counts assignments at `now`. What belongs to no group of the rollout is not counted, so that
    /// the sums stay honest.
    pub fn count<'a>(
        rollout: &Rollout,
        assignments: impl IntoIterator<Item = &'a Assignment>,
        now: Timestamp,
    ) -> Self {
        let mut groups: Vec<GroupTally> =
            rollout.groups.iter().map(|_| GroupTally::default()).collect();
        for assignment in assignments {
            let at = usize::try_from(assignment.group).unwrap_or(usize::MAX);
            if let Some(group) = groups.get_mut(at) {
                group.add(&assignment.state, now);
            }
        }
        for group in &mut groups {
            group.reasons.sort_by(|a, b| b.count.cmp(&a.count).then(a.code.cmp(&b.code)));
            group.reasons.truncate(10);
        }
        Self { rollout: rollout.id.clone(), groups }
    }
}

impl GroupTally {
    /// Devices counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        [self.waiting, self.offered, self.done, self.failed, self.refused, self.expired]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Devices whose part is over.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.total().saturating_sub(self.waiting).saturating_sub(self.offered)
    }

    fn add(&mut self, state: &AssignmentState, now: Timestamp) {
        let (count, code) = match state {
            AssignmentState::Waiting => (&mut self.waiting, None),
            // A device that took an order and was never heard of again must not hold the rollout
            // for ever. Should it come back and report, that outcome takes the place of this one.
            AssignmentState::Offered { lapses, .. } if lapses.plus_ms(SILENCE_MS) <= now => {
                (&mut self.expired, None)
            }
            AssignmentState::Offered { .. } => (&mut self.offered, None),
            AssignmentState::Ended { outcome } => match outcome {
                Outcome::Done => (&mut self.done, None),
                Outcome::Failed { code, .. } => (&mut self.failed, Some(code)),
                Outcome::Refused { code, .. } => (&mut self.refused, Some(code)),
                _ => (&mut self.expired, None),
            },
        };
        *count = count.saturating_add(1);
        let Some(code) = code else { return };
        match self.reasons.iter_mut().find(|reason| reason.code == *code) {
            Some(reason) => reason.count = reason.count.saturating_add(1),
            None => self.reasons.push(ReasonCount { code: code.clone(), count: 1 }),
        }
    }
}

impl Rollout {
    /// As operators see it.
    #[must_use]
    pub fn view(&self, tally: &Tally) -> RolloutView {
        let groups = self.groups.iter().zip(&tally.groups).map(|(group, counts)| GroupView {
            state: group.state,
            total: group.size,
            waiting: counts.waiting,
            offered: counts.offered,
            done: counts.done,
            failed: counts.failed,
            refused: counts.refused,
            expired: counts.expired,
            reasons: counts.reasons.clone(),
        });
        let halted = self.state == RolloutState::Halted;
        let offered = tally.groups.iter().map(|group| group.offered).fold(0, u64::saturating_add);
        RolloutView {
            id: self.id.clone(),
            model: self.release.model.clone(),
            version: self.release.version.clone(),
            state: self.state,
            halt_reason: self.halt_reason.clone(),
            groups: groups.collect(),
            halts_unacknowledged: if halted { offered } else { 0 },
            started_by: self.started_by.clone(),
            started: self.started,
            error_percent: self.thresholds.error_percent,
            success_percent: self.thresholds.success_percent,
        }
    }
}

#[cfg(test)]
mod tests;
