//! The records of a rollout. Definition and pace stand in [`Rollout`], which polls rest on; counts
//! stand in [`Tally`], which changes often and only a reconciler writes; each device's part stands
//! in its own [`Assignment`].

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, IncidentId, ModelName, OperatorName, RolloutId, VersionName};
use lazaret_protocol::operator::{EmergencyView, GroupState, GroupView, RolloutState, RolloutView};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::target::{EmergencyCustom, Schedule};
use lazaret_protocol::time::{DAY_MS, Timestamp};
use serde::{Deserialize, Serialize};

use super::policy::{AfterWait, GroupRules, Policy, StatisticsPolicy, Urgency};
use super::tally::Tally;
use crate::record::Record;
use crate::sweep::table::Seen;

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
    /// What lets a group pass or trip that has no rules of its own.
    pub thresholds: Thresholds,
    /// Who planned it, or started it where no plan is asked for.
    pub started_by: OperatorName,
    /// When.
    pub started: Timestamp,
    /// Why.
    pub reason: String,
    /// Releases that devices below them must run first, by rising counter.
    #[serde(default)]
    pub steps: Vec<RolloutRelease>,
    /// Onwards or back.
    #[serde(default)]
    pub direction: Direction,
    /// What of its policy holds for all groups.
    #[serde(default)]
    pub conduct: Conduct,
    /// The plan's canonical hash, which approvals name.
    #[serde(default)]
    pub plan: Option<Sha256Digest>,
    /// Who approved it. Only approvals of `plan` count.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Failures that a person accepted when it was resumed, cohort by cohort.
    #[serde(default)]
    pub accepted: Vec<Accepted>,
    /// The incident that it cures: quarantine lets it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cures: Option<IncidentId>,
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
    /// Its release counter; 0 in rollouts that do not say it.
    #[serde(default)]
    pub counter: u64,
    /// The counter that a device must run at least to install it, as it was signed.
    #[serde(default)]
    pub needs: u64,
    /// The faster schedule that the `emergency` role signed for this image, where it did.
    #[serde(default)]
    pub emergency: Option<EmergencyCustom>,
}

/// Whether a rollout brings a newer release or takes one back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "kebab-case")]
pub enum Direction {
    /// A newer release.
    #[default]
    Newer,
    /// Back to an older one: from the other slot where it is still there, otherwise fetched.
    Back {
        /// The rollout that is taken back.
        of: RolloutId,
    },
}

/// What of a policy holds for a whole rollout. The default is that of rollouts from before there
/// were policies: no silence, no statistics, no approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conduct {
    /// The policy's name.
    pub policy: String,
    /// Whether it overtakes.
    pub urgency: Urgency,
    /// People beside the author who must approve.
    pub approvals: u32,
    /// Milliseconds without a word after which a device is unknown.
    pub silent_ms: u64,
    /// Milliseconds for which a confirmed device is watched.
    pub watch_ms: u64,
    /// Milliseconds after which a device that does not call is unreachable.
    pub give_up_ms: u64,
    /// Milliseconds without a word after which nobody waits any more for a device that confirmed.
    #[serde(default = "for_ever")]
    pub lost_ms: u64,
    /// The sequential test.
    pub statistics: Option<StatisticsPolicy>,
    /// How long a device waits for its evidence where this cures an incident; not at all in
    /// rollouts from before it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve: Option<Preserve>,
}

/// How a rollout that cures an incident waits for the evidence of each device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preserve {
    /// How long, in milliseconds from when the device could have had its offer.
    pub wait_ms: u64,
    /// What comes of a device whose evidence is not here by then.
    pub then: AfterWait,
}

const fn for_ever() -> u64 {
    u64::MAX
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            policy: String::new(),
            urgency: Urgency::Normal,
            approvals: 0,
            silent_ms: u64::MAX,
            watch_ms: 0,
            give_up_ms: u64::MAX,
            lost_ms: u64::MAX,
            statistics: None,
            preserve: None,
        }
    }
}

impl From<&Policy> for Conduct {
    fn from(policy: &Policy) -> Self {
        Self {
            policy: policy.name.clone(),
            urgency: policy.urgency,
            approvals: policy.approvals,
            silent_ms: policy.silent_after.as_ms(),
            watch_ms: policy.watch.as_ms(),
            give_up_ms: policy.give_up_after.as_ms(),
            lost_ms: policy.lost_after.unwrap_or(policy.give_up_after).as_ms(),
            statistics: policy.statistics,
            preserve: Some(Preserve {
                wait_ms: policy.preserve.wait.as_ms(),
                then: policy.preserve.then,
            }),
        }
    }
}

/// One person's word for one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: OperatorName,
    /// Fingerprint of the key that signed, so that one key is one person.
    pub key: String,
    /// The plan's hash that was signed.
    pub plan: Sha256Digest,
    /// When it came.
    pub at: Timestamp,
}

/// Failures of one cohort that a person accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The cohort.
    pub cohort: String,
    /// Devices failed.
    pub failed: u64,
    /// Devices silent.
    pub unknown: u64,
}

/// A group of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    /// How it stands.
    pub state: GroupState,
    /// Devices in it.
    pub size: u64,
    /// What holds for its devices. An error threshold of 0 stands for the rollout's own thresholds.
    #[serde(default)]
    pub rules: GroupRules,
    /// When it opened.
    #[serde(default)]
    pub opened: Option<Timestamp>,
    /// Failures in it that a person accepted.
    #[serde(default)]
    pub accepted: u64,
    /// Offers that its rate allows.
    #[serde(default)]
    pub tokens: Tokens,
}

/// Offers that a rate allows: a bucket that fills with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Thousandths of an offer.
    pub milli: u64,
    /// When it was filled last.
    pub at: Timestamp,
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
    /// Its hardware revision when the rollout was planned: devices of one are like each other.
    #[serde(default)]
    pub cohort: String,
    /// Since when its evidence is waited for before it is offered what cures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserving_since: Option<Timestamp>,
}

/// How one device stands in one rollout: always in exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum AssignmentState {
    /// Not offered yet.
    Waiting,
    /// It called, every gate of its own is open, and it waits for its turn.
    Ready {
        /// Since when.
        since: Timestamp,
    },
    /// It is its turn: the next poll before `until` is answered with the offer.
    Admitted {
        /// When the turn passes on.
        until: Timestamp,
    },
    /// Offered, no outcome yet.
    Offered {
        /// The order.
        order: u64,
        /// When it lapses.
        lapses: Timestamp,
        /// When it was offered.
        #[serde(default)]
        at: Timestamp,
    },
    /// It ended.
    Ended {
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
        /// When.
        #[serde(default)]
        at: Timestamp,
    },
    /// It had confirmed the new image, and then that went bad.
    Late {
        /// A stable code of `docs/ERRORS.md`.
        code: String,
        /// In words.
        reason: String,
        /// When it was seen.
        at: Timestamp,
    },
}

impl AssignmentState {
    /// The end of an offer that was taken back, which may be made again when the rollout goes on.
    pub const TAKEN_BACK: &'static str = "halted";

    /// Whether its offer was taken back.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        matches!(self, Self::Ended { outcome: Outcome::Refused { code, .. }, .. }
            if Self::TAKEN_BACK == code.as_str())
    }

    /// Whether an offer could still be made.
    #[must_use]
    pub fn may_be_offered(&self) -> bool {
        matches!(self, Self::Waiting | Self::Ready { .. } | Self::Admitted { .. })
            || self.is_taken_back()
    }
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
    fn seen(&self) -> Option<Seen> {
        Some(Seen::Rollout(self.device.clone(), self.rollout.clone()))
    }
}

impl Rollout {
    /// The thresholds that hold for one group.
    #[must_use]
    pub const fn thresholds_of(&self, group: &Group) -> Thresholds {
        if group.rules.error_percent == 0 {
            return self.thresholds;
        }
        Thresholds {
            success_percent: group.rules.success_percent,
            error_percent: group.rules.error_percent,
        }
    }

    /// The group of an assignment.
    #[must_use]
    pub fn group(&self, at: u64) -> Option<&Group> {
        usize::try_from(at).ok().and_then(|at| self.groups.get(at))
    }

    /// What a device that runs the release with this counter is to be offered: the first step that
    /// it is below, otherwise the release itself.
    #[must_use]
    pub fn next_for(&self, counter: Option<u64>) -> &RolloutRelease {
        let below = |step: &&RolloutRelease| counter.is_some_and(|counter| counter < step.counter);
        match self.direction {
            Direction::Newer => self.steps.iter().find(below).unwrap_or(&self.release),
            Direction::Back { .. } => &self.release,
        }
    }

    /// Whether a device in quarantine at this level is left out.
    #[must_use]
    pub fn leaves_out(&self, level: Option<Level>) -> bool {
        let cures = self.cures.is_some() && self.direction == Direction::Newer;
        level.is_some_and(|level| match cures {
            true => !level.lets_cures_in(),
            false => level.holds_rollouts(),
        })
    }

    /// What a device is to be offered, in words.
    #[must_use]
    pub fn brings(&self, counter: Option<u64>) -> String {
        let (next, last) = (self.next_for(counter), &self.release);
        if next.version == last.version {
            return last.version.to_string();
        }
        format!("{}, which it must run before {}", next.version, last.version)
    }

    /// As operators see it.
    #[must_use]
    pub fn view(&self, tally: &Tally) -> RolloutView {
        let groups = self.groups.iter().zip(&tally.groups).map(|(group, counts)| GroupView {
            state: group.state,
            total: group.size,
            waiting: counts.untouched(),
            offered: counts.offered,
            done: counts.done,
            failed: counts.failed,
            refused: counts.refused,
            expired: counts.expired,
            unknown: counts.unknown,
            unreachable: counts.unreachable,
            reasons: counts.reasons.clone(),
        });
        let halted = self.state == RolloutState::Halted;
        let offered = tally.sum(|group| group.outstanding);
        RolloutView {
            id: self.id.clone(),
            model: self.release.model.clone(),
            version: self.release.version.clone(),
            state: self.state,
            halt_reason: self.halt_reason.clone(),
            groups: groups.collect(),
            halts_unacknowledged: if halted { offered } else { 0 },
            halts_acknowledged: tally.sum(|group| group.taken_back),
            started_by: self.started_by.clone(),
            started: self.started,
            error_percent: self.thresholds.error_percent,
            success_percent: self.thresholds.success_percent,
            emergency: self.emergency(),
            progress: Vec::new(),
            cures: self.cures.clone(),
        }
    }

    /// What the emergency role signed, where this is an emergency.
    fn emergency(&self) -> Option<EmergencyView> {
        let signed = self.release.emergency.as_ref();
        let signed = signed.filter(|_| self.conduct.urgency == Urgency::Emergency)?;
        Some(EmergencyView { reason: signed.reason.clone(), expires: signed.expires })
    }
}
