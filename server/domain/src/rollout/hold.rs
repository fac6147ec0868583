//! The one gate that holds a device. Polls ask it before they offer, and `lazaret why` asks the
//! same function, so that what people are told is what was decided. Nothing here depends on how
//! many devices there are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::containment::Level;
use lazaret_protocol::id::{BundleId, DeviceId, IncidentId, RolloutId, VersionName};
use lazaret_protocol::operator::{BundleState, GroupState, RolloutState};
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::cord::Cord;
use super::policy::{AfterWait, GroupRules};
use super::state::{Assignment, AssignmentState, Rollout, RolloutRelease};
use super::window::{Opening, opening};
use crate::device::Device;

/// What of a device its gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Who it is.
    pub id: &'a DeviceId,
    /// How far it is shut in; none where it is free.
    pub level: Option<Level>,
    /// It is held until an operator accepts that a number of its modem or SIM changed.
    pub held: bool,
    /// What runs.
    pub running: Option<&'a RunningRelease>,
    /// Minutes that its local time is ahead of UTC.
    pub utc_offset_min: Option<i16>,
    /// Its charge in percent; none without a battery.
    pub battery_percent: Option<u8>,
    /// Its probes.
    pub probes: &'a BTreeMap<String, bool>,
    /// The release counter below which nothing runs on it.
    pub release_floor: Option<u64>,
    /// An install order that is open.
    pub installing: Option<u64>,
    /// The evidence that the incident which the rollout cures wants of it.
    pub evidence: Option<(&'a BundleId, BundleState)>,
}

impl<'a> Candidate<'a> {
    /// The same device, of which an incident wants this.
    #[must_use]
    pub fn with_evidence(self, wanted: Option<&'a (BundleId, BundleState)>) -> Self {
        Self { evidence: wanted.map(|(bundle, state)| (bundle, *state)), ..self }
    }
}

impl<'a> From<&'a Device> for Candidate<'a> {
    fn from(device: &'a Device) -> Self {
        let open = device.open_orders.iter().find(|open| open.order.kind.installs());
        Self {
            id: &device.id,
            level: device.level(),
            held: device.awaits_acceptance(),
            running: device.running.as_ref(),
            utc_offset_min: device.utc_offset_min,
            battery_percent: device.battery_percent,
            probes: &device.probes,
            release_floor: device.release_floor,
            installing: open.map(|open| open.order.sequence),
            evidence: None,
        }
    }
}

/// The one gate that holds a device, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what in_words and opens say of them")]
pub enum Hold {
    /// The next poll is answered with the offer.
    Nothing { version: VersionName },
    /// It is in no rollout.
    NotInPlan,
    /// The plan waits for people.
    NotApproved { rollout: RolloutId, have: u64, need: u64 },
    /// The plan is approved and was not started.
    NotStarted { rollout: RolloutId },
    /// The fleet-wide cord is pulled.
    Cord { number: u64, by: String, reason: String },
    /// A person holds the rollout.
    Paused { rollout: RolloutId },
    /// The rollout halted.
    Halted { rollout: RolloutId, reason: String },
    /// The rollout is over.
    Over { rollout: RolloutId },
    /// It has the image.
    AlreadyRunning { version: VersionName },
    /// Its part ended.
    Ended { rollout: RolloutId, how: String, at: Timestamp },
    /// It has the offer and has not said how it went.
    Offered { rollout: RolloutId, order: u64, at: Timestamp, lapses: Timestamp },
    /// Its group's turn has not come.
    GroupClosed { rollout: RolloutId, group: u64, name: String, open: u64 },
    /// It is in quarantine.
    Quarantined,
    /// A number of its modem or SIM changed, and nobody has accepted it.
    NumberChanged,
    /// The signed schedule never reaches it.
    ScheduleNever { place: u16 },
    /// The signed schedule does not let it in yet.
    Schedule { place: u16, opens: Timestamp },
    /// A signed floor keeps it from the release: its own, or the release's for what must run first.
    Floor {
        version: VersionName,
        counter: u64,
        floor: u64,
        #[serde(default)]
        of: FloorOf,
    },
    /// The incident that the rollout cures wants its evidence first.
    Evidence {
        incident: IncidentId,
        bundle: BundleId,
        state: Awaited,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    },
    /// It is busy with another install.
    Busy { order: u64 },
    /// No maintenance window is open where it stands.
    Window { opens: Timestamp },
    /// It has windows to keep and has not said its local time.
    WindowUnknown,
    /// Its battery is too low.
    Battery { percent: u8, needs: u8 },
    /// A probe that must have passed has not.
    Probe { name: String, reported: bool },
    /// It waits for its turn under the group's caps.
    Turn { since: Option<Timestamp> },
    /// It was not heard of for long.
    Offline { since: Option<Timestamp>, then: String },
}

/// How evidence stands that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Awaited {
    /// It is ordered, or being sent.
    OnItsWay,
    /// The device could not make it.
    Failed,
}

/// Whose floor holds a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloorOf {
    /// The device's: what it kept rules out releases with a lower counter.
    #[default]
    Device,
    /// The release's: its signers let in only devices that run at least that counter.
    Release,
}

impl FloorOf {
    /// The code by which the device itself would refuse.
    #[must_use]
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::Device => "below-floor",
            Self::Release => "needs-step",
        }
    }
}

/// The gate that holds a device at `now`, in the order in which they are asked.
#[must_use]
pub fn hold(
    candidate: Candidate<'_>,
    (rollout, part): (&Rollout, &Assignment),
    cord: Option<&Cord>,
    now: Timestamp,
) -> Hold {
    if let Some(hold) = rollout_gate(rollout, part, cord) {
        return hold;
    }
    let release = rollout.next_for(candidate.running.map(|running| running.counter));
    if candidate.running.is_some_and(|running| running.sha256 == rollout.release.sha256) {
        return Hold::AlreadyRunning { version: rollout.release.version.clone() };
    }
    let Some(group) = rollout.group(part.group) else { return Hold::NotInPlan };
    if !matches!(group.state, GroupState::Open | GroupState::Passed) {
        let open = rollout.groups.iter().filter(|group| group.state != GroupState::Closed).count();
        return Hold::GroupClosed {
            rollout: rollout.id.clone(),
            group: part.group,
            name: group.rules.name.clone(),
            open: u64::try_from(open).unwrap_or(u64::MAX),
        };
    }
    if rollout.leaves_out(candidate.level) {
        return Hold::Quarantined;
    }
    if candidate.held {
        return Hold::NumberChanged;
    }
    if let Some(hold) = floor_gate(candidate, release) {
        return hold;
    }
    if let Some(hold) = schedule_gate(candidate.id, release, now) {
        return hold;
    }
    if let Some(order) = candidate.installing {
        return Hold::Busy { order };
    }
    if let Some(hold) = evidence_gate(candidate, (rollout, part), now) {
        return hold;
    }
    if let Some(hold) = own_gate(candidate, &group.rules, now) {
        return hold;
    }
    match part.state {
        AssignmentState::Admitted { until } if until > now => {}
        AssignmentState::Ready { since } if group.rules.takes_turns() => {
            return Hold::Turn { since: Some(since) };
        }
        _ if group.rules.takes_turns() => return Hold::Turn { since: None },
        _ => {}
    }
    Hold::Nothing { version: release.version.clone() }
}

/// As people ask it: the same, and that the device has to call first.
#[must_use]
pub fn why(
    (device, evidence): (&Device, Option<&(BundleId, BundleState)>),
    part: Option<(&Rollout, &Assignment)>,
    cord: Option<&Cord>,
    (now, poll_interval_ms): (Timestamp, u64),
) -> Hold {
    let Some(both) = part else {
        return if device.is_held() { Hold::Quarantined } else { Hold::NotInPlan };
    };
    let held = hold(Candidate::from(device).with_evidence(evidence), both, cord, now);
    let waits_for_it = matches!(
        held,
        Hold::Nothing { .. }
            | Hold::Turn { .. }
            | Hold::Offered { .. }
            | Hold::Battery { .. }
            | Hold::Probe { .. }
            | Hold::WindowUnknown
            | Hold::Busy { .. }
    );
    let late = poll_interval_ms.saturating_mul(3);
    let offline = device.last_seen.is_none_or(|seen| now.since_ms(seen) > late);
    if waits_for_it && offline {
        return Hold::Offline { since: device.last_seen, then: held.in_words() };
    }
    held
}

fn rollout_gate(rollout: &Rollout, part: &Assignment, cord: Option<&Cord>) -> Option<Hold> {
    let id = || rollout.id.clone();
    match &part.state {
        AssignmentState::Offered { order, lapses, at } => {
            return Some(Hold::Offered { rollout: id(), order: *order, at: *at, lapses: *lapses });
        }
        AssignmentState::Ended { outcome, at } if !part.state.is_taken_back() => {
            return Some(Hold::Ended {
                rollout: id(),
                how: crate::report::in_words(outcome),
                at: *at,
            });
        }
        AssignmentState::Late { code, reason, at } => {
            let how = format!("confirmed, then failed ({code}): {reason}");
            return Some(Hold::Ended { rollout: id(), how, at: *at });
        }
        _ => {}
    }
    if let Some(pulled) = cord.and_then(|cord| cord.pulled.as_ref()) {
        return Some(Hold::Cord {
            number: cord.map_or(0, |cord| cord.number),
            by: pulled.by.to_string(),
            reason: pulled.reason.clone(),
        });
    }
    match rollout.state {
        RolloutState::Running => None,
        RolloutState::Planned => Some(Hold::NotApproved {
            rollout: id(),
            have: super::approval::counted(rollout),
            need: u64::from(rollout.conduct.approvals),
        }),
        RolloutState::Approved => Some(Hold::NotStarted { rollout: id() }),
        RolloutState::Paused => Some(Hold::Paused { rollout: id() }),
        RolloutState::Halted => {
            let reason = rollout.halt_reason.clone().unwrap_or_default();
            Some(Hold::Halted { rollout: id(), reason })
        }
        _ => Some(Hold::Over { rollout: id() }),
    }
}

fn floor_gate(candidate: Candidate<'_>, release: &RolloutRelease) -> Option<Hold> {
    let version = || release.version.clone();
    // Rollouts from before counters were noted say 0.
    let (counter, floor) = (release.counter, candidate.release_floor.unwrap_or(0));
    if counter > 0 && counter < floor {
        return Some(Hold::Floor { version: version(), counter, floor, of: FloorOf::Device });
    }
    let runs = candidate.running?.counter;
    let floor = release.needs;
    let below = runs < floor;
    below.then(|| Hold::Floor { version: version(), counter: runs, floor, of: FloorOf::Release })
}

fn schedule_gate(device: &DeviceId, release: &RolloutRelease, now: Timestamp) -> Option<Hold> {
    let place = || release.schedule.place(device);
    match release.opens_for(device, now) {
        None => Some(Hold::ScheduleNever { place: place() }),
        Some(opens) if opens > now => Some(Hold::Schedule { place: place(), opens }),
        Some(_) => None,
    }
}

/// What a cure would overwrite is preserved first, for as long as the policy waits for it.
fn evidence_gate(
    candidate: Candidate<'_>,
    (rollout, part): (&Rollout, &Assignment),
    now: Timestamp,
) -> Option<Hold> {
    let (incident, preserve) = (rollout.cures.as_ref()?, rollout.conduct.preserve?);
    let (bundle, state) = candidate.evidence?;
    if matches!(state, BundleState::Received | BundleState::Deleted) {
        return None;
    }
    let since = part.preserving_since;
    let until = match preserve.then {
        AfterWait::Patch => since.map(|since| since.plus_ms(preserve.wait_ms)),
        AfterWait::Hold => None,
    };
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    let (incident, bundle) = (incident.clone(), bundle.clone());
    let state = if state == BundleState::Failed { Awaited::Failed } else { Awaited::OnItsWay };
    Some(Hold::Evidence { incident, bundle, state, since, until })
}

fn own_gate(candidate: Candidate<'_>, rules: &GroupRules, now: Timestamp) -> Option<Hold> {
    if !rules.windows.is_empty() {
        // Whoever set hours meant the device's own: guessing them would be an update at noon.
        let Some(offset_min) = candidate.utc_offset_min else { return Some(Hold::WindowUnknown) };
        if let Opening::At(opens) = opening(&rules.windows, offset_min, now) {
            return Some(Hold::Window { opens });
        }
    }
    if let Some(percent) = candidate.battery_percent
        && percent < rules.battery_percent_min
    {
        return Some(Hold::Battery { percent, needs: rules.battery_percent_min });
    }
    let missing = rules.probes.iter().find(|name| candidate.probes.get(*name) != Some(&true))?;
    let reported = candidate.probes.contains_key(missing);
    Some(Hold::Probe { name: missing.clone(), reported })
}

impl RolloutRelease {
    /// When `device` may install it, by its own schedule or, while that stands, the emergency's.
    #[must_use]
    pub fn opens_for(&self, device: &DeviceId, now: Timestamp) -> Option<Timestamp> {
        let usual = self.schedule.opens_for(device);
        let urgent = self.emergency.as_ref().filter(|custom| custom.expires > now);
        let urgent = urgent.and_then(|custom| custom.schedule.opens_for(device));
        match (usual, urgent) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }
}

mod words;

#[cfg(test)]
mod tests;
