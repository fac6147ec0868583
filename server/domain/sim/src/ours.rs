//! Our rules over a made-up fleet. The plan is the domain's survey, the gate of a device is the
//! domain's `hold`, where it stands is the domain's `place`, and what follows from the counts is
//! the domain's `advanced`. What is done here instead of by the server is to remember each device's
//! part in a few bytes, and to count with each change instead of all over again.
//!
//! Simplified: past [`EXACT_MAX`] tried devices silence is counted over a sample of them, and the
//! devices that wait are compared by a sample of [`CONTROLS_MAX`].

use alloc::collections::{BTreeMap, BinaryHeap, VecDeque};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::order::Outcome;
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::time::{DAY_MS, MINUTE_MS, SECOND_MS, Timestamp};
use lazaret_server_domain::refused::Refused;
use lazaret_server_domain::rollout::advance::{CordState, advanced};
use lazaret_server_domain::rollout::hold::{Candidate, Hold, hold};
use lazaret_server_domain::rollout::pace::{READY_POLL_MS, TURN_MS};
use lazaret_server_domain::rollout::policy::Policy;
use lazaret_server_domain::rollout::state::{Assignment, AssignmentState, Rollout};
use lazaret_server_domain::rollout::tally::{Heard, Place, Tally};

use crate::fleet::{Fate, Fleet, since_beginning};
use crate::planning::{hardware, id, plan, release, unnamed};
use crate::random::{below, mix};
use crate::report::{Curve, Report};
use crate::scenario::{BEGINNING, Scenario};

/// Tried devices up to which every one is looked at for silence.
const EXACT_MAX: usize = 20_000;
/// Waiting devices of the whole fleet that are looked at to compare.
const CONTROLS_MAX: usize = 4_000;
/// How often the reconciler looks while something happens.
const TICK_MS: u64 = 10 * SECOND_MS;
/// How often it looks for silence, and at least.
const LOOK_MS: u64 = MINUTE_MS;
/// From the moment at which an offer cannot be taken back any more to the word of the new image.
const TRIAL_MS: u64 = MINUTE_MS;

/// Why there is no simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimError {
    /// The scenario is not usable.
    Scenario {
        /// What was expected and what came.
        why: String,
    },
    /// The plan is refused.
    Refused(Refused),
}

impl core::fmt::Display for SimError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Scenario { why } => f.write_str(why),
            Self::Refused(_) => f.write_str("the plan is refused"),
        }
    }
}

impl core::error::Error for SimError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Scenario { .. } => None,
            Self::Refused(refused) => Some(refused),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Poll,
    Report,
    Sicken,
}

/// Where a device stands, in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Waiting,
    Ready,
    Admitted,
    Offered,
    Done,
    Failed,
    TakenBack,
}

/// What a simulated rollout remembers of a device.
#[derive(Debug, Clone, Copy)]
struct Part {
    stands: Stands,
    group: u8,
    /// When it got there.
    at: u64,
}

struct Run<'a> {
    fleet: &'a Fleet,
    scenario: &'a Scenario,
    rollout: Rollout,
    ids: Vec<DeviceId>,
    parts: Vec<Part>,
    members: Vec<Vec<u32>>,
    events: BinaryHeap<Reverse<(u64, u32, Happens)>>,
    ready: Vec<VecDeque<u32>>,
    tried: Vec<u32>,
    controls: Vec<u32>,
    /// Devices that are silent for good, and since when.
    dead: BTreeMap<u32, u64>,
    /// The part of the device that is looked at: the gate names devices by the candidate.
    scratch: Assignment,
    tally: Tally,
    old: RunningRelease,
    harmed: u64,
    decisions: u64,
    halted: Option<u64>,
}

pub(crate) fn run(fleet: &Fleet, scenario: &Scenario, policy: &Policy) -> Result<Report, SimError> {
    let (rollout, order) = plan(fleet, scenario, policy).map_err(SimError::Refused)?;
    let count = fleet.machines.len();
    let mut parts = vec![Part { stands: Stands::Waiting, group: 0, at: 0 }; count];
    let mut members = vec![Vec::new(); rollout.groups.len()];
    for (device, group) in order {
        if let Some(part) = parts.get_mut(index(device)) {
            part.group = u8::try_from(group).unwrap_or(u8::MAX);
        }
        if let Some(group) = members.get_mut(index(u32::try_from(group).unwrap_or(0))) {
            group.push(device);
        }
    }
    let mut controls: Vec<u32> = (0..scenario.devices).collect();
    controls.sort_by_key(|device| mix(scenario.seed, u64::from(*device), 41));
    controls.truncate(CONTROLS_MAX);
    let mut tally = Tally::empty(&rollout);
    for (counts, members) in tally.groups.iter_mut().zip(&members) {
        counts.waiting = u64::try_from(members.len()).unwrap_or(u64::MAX);
    }
    let run = Run {
        fleet,
        scenario,
        ids: (0..scenario.devices).filter_map(id).collect(),
        parts,
        ready: vec![VecDeque::new(); members.len()],
        members,
        events: BinaryHeap::new(),
        tried: Vec::new(),
        controls,
        dead: BTreeMap::new(),
        scratch: Assignment {
            rollout: rollout.id.clone(),
            device: "d-0".parse().map_err(|err| SimError::Refused(unnamed(err)))?,
            group: 0,
            state: AssignmentState::Waiting,
            cohort: String::new(),
            preserving_since: None,
        },
        tally,
        old: release("1.0", 1).map_err(SimError::Refused)?,
        rollout,
        harmed: 0,
        decisions: 0,
        halted: None,
    };
    Ok(run.go())
}

impl Run<'_> {
    fn go(mut self) -> Report {
        let begin = BEGINNING.as_ms();
        let end = begin + u64::from(self.scenario.days) * DAY_MS;
        let mut curve = Curve::default();
        self.open(0, begin);
        let (mut now, mut looked) = (begin, 0);
        while now < end {
            let next = self.events.peek().map(|Reverse((at, ..))| *at);
            let waits = self.rollout.state == RolloutState::Running;
            now = match next {
                Some(next) if waits => (now + TICK_MS).max(next.min(now + LOOK_MS)),
                Some(next) => (now + TICK_MS).max(next),
                None if waits && self.waits_for_time() => now + LOOK_MS,
                None => break,
            };
            while let Some(Reverse((at, device, what))) = self.events.peek().copied() {
                if at > now {
                    break;
                }
                self.events.pop();
                self.happen(device, what, at);
            }
            if now >= looked + LOOK_MS && waits {
                self.look_for_silence(now);
                looked = now;
            }
            curve.at(now, self.well());
            self.advance(now);
        }
        self.report(curve, now)
    }

    /// Whether a group soaks or is still closed: then time alone may move the rollout.
    fn waits_for_time(&self) -> bool {
        self.rollout.groups.iter().any(|group| group.state != GroupState::Passed)
    }

    fn open(&mut self, group: usize, now: u64) {
        let Some(members) = self.members.get(group) else { return };
        for device in members {
            let poll = self.fleet.hears(*device, now);
            self.events.push(Reverse((poll, *device, Happens::Poll)));
        }
    }

    fn happen(&mut self, device: u32, what: Happens, at: u64) {
        match what {
            Happens::Poll => self.poll(device, at),
            Happens::Report => self.hear(device, at),
            Happens::Sicken => self.sicken(device, at),
        }
    }

    fn part(&self, device: u32) -> Part {
        let nobody = Part { stands: Stands::Failed, group: 0, at: 0 };
        self.parts.get(index(device)).copied().unwrap_or(nobody)
    }

    /// Moves a device, and counts that.
    fn set(&mut self, device: u32, stands: Stands, at: u64) {
        let Some(part) = self.parts.get_mut(index(device)) else { return };
        let before = part.stands;
        (part.stands, part.at) = (stands, at);
        let group = usize::from(part.group);
        if let Some(counts) = self.tally.groups.get_mut(group) {
            *counts.of(before.place()) -= 1;
            *counts.of(stands.place()) += 1;
        }
    }

    fn poll(&mut self, device: u32, at: u64) {
        let part = self.part(device);
        if self.rollout.state != RolloutState::Running {
            return;
        }
        let now = Timestamp::from_ms(at);
        self.scratch.group = u64::from(part.group);
        self.scratch.state = part.state();
        let none = BTreeMap::new();
        let Some(id) = self.ids.get(index(device)) else { return };
        let candidate = Candidate {
            id,
            level: None,
            evidence: None,
            held: false,
            running: Some(&self.old),
            utc_offset_min: Some(self.fleet.machine(device).utc_offset_min),
            battery_percent: None,
            probes: &none,
            release_floor: None,
            installing: None,
        };
        self.decisions += 1;
        match hold(candidate, (&self.rollout, &self.scratch), None, now) {
            Hold::Nothing { .. } => self.offer(device, at),
            Hold::Turn { since: None } => {
                self.set(device, Stands::Ready, at);
                if let Some(ready) = self.ready.get_mut(usize::from(part.group)) {
                    ready.push_back(device);
                }
            }
            Hold::Window { opens } | Hold::Schedule { opens, .. } => {
                let again = self.fleet.hears(device, opens.as_ms());
                self.events.push(Reverse((again, device, Happens::Poll)));
            }
            _ => {}
        }
    }

    fn offer(&mut self, device: u32, at: u64) {
        self.set(device, Stands::Offered, at);
        self.tried.push(device);
        self.count_cohort(device, |counts| counts.tried += 1);
        let ready = at + u64::from(self.fleet.machine(device).install_ms);
        let heard = self.fleet.heard_at(device, ready);
        self.events.push(Reverse((heard, device, Happens::Report)));
    }

    fn hear(&mut self, device: u32, at: u64) {
        let part = self.part(device);
        let fate = self.fleet.fate(device, self.scenario);
        if let Some(halted) = self.halted {
            // It asks once more before its trial, and hears that the offer is taken back.
            let trial = part.at + u64::from(self.fleet.machine(device).install_ms) - TRIAL_MS;
            if part.at < halted && self.fleet.hears(device, halted) < trial {
                self.set(device, Stands::TakenBack, at);
                self.count_cohort(device, |counts| counts.tried -= 1);
                return;
            }
        }
        match fate {
            Fate::Bad | Fate::Unlucky => {
                self.set(device, Stands::Failed, at);
                self.count_cohort(device, |counts| counts.failed += 1);
            }
            Fate::Good => self.set(device, Stands::Done, at),
            Fate::Slow { after_ms, silent } => {
                self.set(device, Stands::Done, at);
                let falls = at + after_ms;
                if silent {
                    self.dead.insert(device, falls);
                } else {
                    let says = self.fleet.hears(device, falls);
                    self.events.push(Reverse((says, device, Happens::Sicken)));
                }
            }
        }
        if matches!(fate, Fate::Bad | Fate::Slow { .. }) {
            self.harmed += 1;
        }
    }

    fn sicken(&mut self, device: u32, at: u64) {
        self.set(device, Stands::Failed, at);
        self.count_cohort(device, |counts| counts.failed += 1);
    }

    fn count_cohort(
        &mut self,
        device: u32,
        count: impl Fn(&mut lazaret_server_domain::rollout::tally::CohortTally),
    ) {
        let name = hardware(self.fleet.machine(device).revision);
        count(self.tally.cohort(&name));
    }

    fn last_seen(&self, device: u32, now: u64) -> Timestamp {
        let until = self.dead.get(&device).map_or(now, |dead| now.min(*dead));
        Timestamp::from_ms(self.fleet.last_word(device, until))
    }

    /// Counts the silent among those that were tried, and looks at those that wait to compare.
    fn look_for_silence(&mut self, now: u64) {
        let every = self.tried.len().div_ceil(EXACT_MAX).max(1);
        let mut seen = Tally::empty(&self.rollout);
        let mut templates: Vec<Assignment> = (0..self.scenario.revisions)
            .map(|revision| Assignment { cohort: hardware(revision), ..self.scratch.clone() })
            .collect();
        let tried = self.tried.iter().step_by(every).copied();
        let tried = tried.filter(|device| !self.part(*device).stands.waits());
        let waiting = self.controls.iter().copied();
        let waiting = waiting.filter(|device| self.part(*device).stands.waits());
        for device in tried.chain(waiting) {
            let part = self.part(device);
            if matches!(part.stands, Stands::Failed | Stands::TakenBack) {
                continue;
            }
            let revision = usize::from(self.fleet.machine(device).revision);
            let Some(assignment) = templates.get_mut(revision) else { continue };
            assignment.group = u64::from(part.group);
            assignment.state = part.state();
            let heard = Heard { last_seen: Some(self.last_seen(device, now)), sick: false };
            seen.add(&self.rollout, assignment, heard, Timestamp::from_ms(now));
        }
        let scale = u64::try_from(every).unwrap_or(1);
        for (counts, seen) in self.tally.groups.iter_mut().zip(&seen.groups) {
            counts.soaked = seen.soaked.saturating_mul(scale);
        }
        for counts in &seen.cohorts {
            let mine = self.tally.cohort(&counts.cohort);
            mine.unknown = (counts.unknown * scale).min(mine.tried.saturating_sub(mine.failed));
            mine.control = counts.control;
            mine.control_silent = counts.control_silent;
        }
    }

    fn advance(&mut self, now: u64) {
        let was: Vec<GroupState> = self.rollout.groups.iter().map(|group| group.state).collect();
        let moment = Timestamp::from_ms(now);
        let (after, _, turns) = advanced(&self.rollout, &self.tally, (CordState::Free, moment));
        self.rollout = after;
        if self.rollout.state == RolloutState::Halted && self.halted.is_none() {
            self.halted = Some(now);
        }
        for (group, before) in was.iter().enumerate() {
            let open = self.rollout.groups.get(group).map(|group| group.state);
            if *before == GroupState::Closed && open == Some(GroupState::Open) {
                self.open(group, now);
            }
        }
        for (group, turns) in turns.iter().enumerate() {
            for _ in 0..*turns {
                let Some(device) = self.ready.get_mut(group).and_then(VecDeque::pop_front) else {
                    break;
                };
                self.set(device, Stands::Admitted, now);
                let soon = below(mix(self.scenario.seed, u64::from(device), 51), READY_POLL_MS);
                let poll = self.fleet.heard_at(device, now + soon);
                self.events.push(Reverse((poll, device, Happens::Poll)));
            }
        }
    }

    /// Devices that have confirmed and are not known to be dead.
    fn well(&self) -> u64 {
        self.tally.sum(|group| group.done)
    }

    fn report(mut self, curve: Curve, now: u64) -> Report {
        self.look_for_silence(now);
        let devices = u64::from(self.scenario.devices);
        let state = match self.rollout.state {
            RolloutState::Halted => "halted",
            RolloutState::Finished => "finished",
            _ => "running",
        };
        let unknown: u64 = self.tally.cohorts.iter().map(|cohort| cohort.unknown).sum();
        let opened = self.rollout.groups.iter().map(|group| group.opened);
        let since = |at: Timestamp| since_beginning(at.as_ms());
        Report {
            rules: self.rollout.conduct.policy.clone(),
            devices,
            state: state.into(),
            halt_reason: self.rollout.halt_reason.clone(),
            halted_ms: self.halted.map(since_beginning),
            harmed: self.harmed,
            done: self.well(),
            failed: self.tally.sum(|group| group.failed),
            unknown,
            untouched: self.tally.sum(|group| group.untouched() + group.refused),
            half_ms: curve.reached(500, devices),
            ninety_ms: curve.reached(900, devices),
            ninety_nine_ms: curve.reached(990, devices),
            opened_ms: opened.map(|at| at.map(since)).collect(),
            curve: curve.thinned(),
            decisions: self.decisions,
        }
    }
}

impl Part {
    /// As the server would keep it.
    fn state(self) -> AssignmentState {
        let at = Timestamp::from_ms(self.at);
        match self.stands {
            Stands::Waiting => AssignmentState::Waiting,
            Stands::Ready => AssignmentState::Ready { since: at },
            Stands::Admitted => AssignmentState::Admitted { until: at.plus_ms(TURN_MS) },
            Stands::Offered => {
                AssignmentState::Offered { order: 1, lapses: at.plus_ms(7 * DAY_MS), at }
            }
            Stands::Done => AssignmentState::Ended { outcome: Outcome::Done, at },
            Stands::Failed | Stands::TakenBack => {
                AssignmentState::Ended { outcome: Outcome::Expired, at }
            }
        }
    }
}

impl Stands {
    const fn waits(self) -> bool {
        matches!(self, Self::Waiting | Self::Ready | Self::Admitted)
    }

    const fn place(self) -> Place {
        match self {
            Self::Waiting => Place::Waiting,
            Self::Ready => Place::Ready,
            Self::Admitted => Place::Admitted,
            Self::Offered => Place::Offered,
            Self::Done => Place::Done,
            Self::Failed => Place::Failed,
            Self::TakenBack => Place::Refused,
        }
    }
}

fn index(device: u32) -> usize {
    usize::try_from(device).unwrap_or(usize::MAX)
}
