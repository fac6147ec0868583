//! The one gate that holds a device. Polls ask it before they offer, and `lazaret why` asks the
//! same function, so that what people are told is what was decided. Nothing here depends on how
//! many devices there are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};

use lazaret_protocol::id::{DeviceId, RolloutId, VersionName};
use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::cord::Cord;
use super::policy::GroupRules;
use super::state::{Assignment, AssignmentState, Rollout, RolloutRelease};
use super::window::{Opening, opening};
use crate::device::Device;

/// What of a device its gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Who it is.
    pub id: &'a DeviceId,
    /// It is in quarantine.
    pub quarantined: bool,
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
}

impl<'a> From<&'a Device> for Candidate<'a> {
    fn from(device: &'a Device) -> Self {
        let open = device.open_orders.iter().find(|open| open.order.kind.installs());
        Self {
            id: &device.id,
            quarantined: device.is_held(),
            held: device.awaits_acceptance(),
            running: device.running.as_ref(),
            utc_offset_min: device.utc_offset_min,
            battery_percent: device.battery_percent,
            probes: &device.probes,
            release_floor: device.release_floor,
            installing: open.map(|open| open.order.sequence),
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
    if candidate.quarantined {
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
    device: &Device,
    part: Option<(&Rollout, &Assignment)>,
    cord: Option<&Cord>,
    (now, poll_interval_ms): (Timestamp, u64),
) -> Hold {
    let Some(both) = part else {
        return if device.is_held() { Hold::Quarantined } else { Hold::NotInPlan };
    };
    let held = hold(Candidate::from(device), both, cord, now);
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

impl Hold {
    /// A stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Nothing { .. } => "nothing",
            Self::NotInPlan => "not-in-plan",
            Self::NotApproved { .. } => "not-approved",
            Self::NotStarted { .. } => "not-started",
            Self::Cord { .. } => "cord",
            Self::Paused { .. } => "paused",
            Self::Halted { .. } => "halted",
            Self::Over { .. } => "over",
            Self::AlreadyRunning { .. } => "already-running",
            Self::Ended { .. } => "ended",
            Self::Offered { .. } => "offered",
            Self::GroupClosed { .. } => "group-closed",
            Self::Quarantined => "quarantined",
            Self::NumberChanged => "number-changed",
            Self::ScheduleNever { .. } => "schedule-never",
            Self::Schedule { .. } => "schedule",
            Self::Floor { .. } => "floor",
            Self::Busy { .. } => "busy",
            Self::Window { .. } => "window",
            Self::WindowUnknown => "window-unknown",
            Self::Battery { .. } => "battery",
            Self::Probe { .. } => "probe",
            Self::Turn { .. } => "turn",
            Self::Offline { .. } => "offline",
        }
    }

    /// What holds it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Nothing { version } => {
                format!("nothing holds it: its next poll offers {version}")
            }
            Self::NotInPlan => "it is in no rollout".to_string(),
            Self::NotApproved { rollout, have, need } => {
                format!("{rollout} has {have} of {need} approvals")
            }
            Self::NotStarted { rollout } => format!("{rollout} is approved and was not started"),
            Self::Cord { number, by, reason } => {
                format!("the whole fleet is halted (halt {number}) by {by}: {reason}")
            }
            Self::Paused { rollout } => format!("{rollout} is paused"),
            Self::Halted { rollout, reason } => format!("{rollout} is halted: {reason}"),
            Self::Over { rollout } => format!("{rollout} is over"),
            Self::AlreadyRunning { version } => format!("it runs {version} already"),
            Self::Ended { rollout, how, at } => {
                format!("its part in {rollout} ended at {at}: {how}")
            }
            Self::Offered { rollout, order, at, .. } => {
                format!("it was offered {rollout} with order {order} at {at} and has not reported")
            }
            Self::GroupClosed { rollout, group, name, open } => format!(
                "its group {} ({name}) of {rollout} is not open, {open} groups are",
                group.saturating_add(1)
            ),
            Self::Quarantined => "it is in quarantine".to_string(),
            Self::NumberChanged => {
                "a number of its modem or SIM changed, and nobody has accepted it".to_string()
            }
            Self::ScheduleNever { place } => {
                format!("the signed schedule never reaches its place {place}")
            }
            Self::Schedule { place, .. } => {
                format!("the signed schedule does not let place {place} in yet")
            }
            Self::Floor { version, counter, floor, of: FloorOf::Release } => format!(
                "{version} lets in only what runs a counter of {floor} or above, it runs \
                 {counter}, and the rollout has no step in between"
            ),
            Self::Floor { version, counter, floor, of: FloorOf::Device } => format!(
                "its floor {floor} does not let it go back to {version}, whose counter is {counter}"
            ),
            Self::Busy { order } => format!("it is busy with order {order}"),
            Self::Window { .. } => "no maintenance window is open where it stands".to_string(),
            Self::WindowUnknown => {
                "it has maintenance windows and has not reported its local time".to_string()
            }
            Self::Battery { percent, needs } => {
                format!("its battery has {percent} %, {needs} % are needed")
            }
            Self::Probe { name, reported: true } => format!("its probe {name} does not pass"),
            Self::Probe { name, reported: false } => format!("its probe {name} is not reported"),
            Self::Turn { since: Some(since) } => format!("it waits for its turn since {since}"),
            Self::Turn { since: None } => "it has to wait for its turn".to_string(),
            Self::Offline { since: Some(since), .. } => {
                format!("it was not heard of since {since}")
            }
            Self::Offline { since: None, .. } => "it never polled".to_string(),
        }
    }

    /// What would open it.
    #[must_use]
    pub fn opens(&self) -> String {
        match self {
            Self::Nothing { .. } => "its next poll".to_string(),
            Self::NotInPlan => "a rollout whose plan has it".to_string(),
            Self::NotApproved { rollout, have, need } => format!(
                "{} more approvals: lazaret rollout approve {rollout}",
                need.saturating_sub(*have)
            ),
            Self::NotStarted { rollout } => format!("lazaret rollout apply {rollout}"),
            Self::Cord { number, .. } => format!("lazaret resume --all {number} --reason ..."),
            Self::Paused { rollout } => format!("lazaret rollout resume {rollout} --reason ..."),
            Self::Halted { rollout, .. } => {
                format!("lazaret rollout resume {rollout}, naming the failures that are accepted")
            }
            Self::Over { .. } | Self::Ended { .. } => "another rollout".to_string(),
            Self::AlreadyRunning { .. } => "nothing is left to do".to_string(),
            Self::Offered { lapses, .. } => {
                format!("its report; without one the offer lapses at {lapses}")
            }
            Self::GroupClosed { .. } => "the group before it, when it passes".to_string(),
            Self::Quarantined => "its release from quarantine".to_string(),
            Self::NumberChanged => "`lazaret device accept-swap`".to_string(),
            Self::ScheduleNever { .. } => {
                "a schedule that release signers or the emergency role sign".to_string()
            }
            Self::Schedule { opens, .. } | Self::Window { opens } => format!("time: {opens}"),
            Self::Floor { floor, of: FloorOf::Release, .. } => format!(
                "a release in between, of counter {floor} or above: publish it and plan again"
            ),
            Self::Floor { floor, of: FloorOf::Device, .. } => {
                format!(
                    "a release whose counter is at least {floor}: its signers rule older ones out"
                )
            }
            Self::Busy { order } => format!("its report on order {order}"),
            Self::WindowUnknown => "a poll that says its offset from UTC".to_string(),
            Self::Battery { needs, .. } => format!("a charge of {needs} %"),
            Self::Probe { name, .. } => format!("a poll that says that {name} passes"),
            Self::Turn { .. } => "a turn, as others finish or the rate allows".to_string(),
            Self::Offline { then, .. } => format!("a poll; then: {then}"),
        }
    }
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

#[cfg(test)]
mod tests;
