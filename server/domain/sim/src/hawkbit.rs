//! hawkBit's rules over the same fleet, from its documentation (`docs/rollout-management.md`) and
//! the defaults of its `RolloutGroupConditionBuilder.withDefaults()`: the next group starts when 50
//! % of a group have succeeded, and the rollout pauses when 50 % of a group have failed. A paused
//! rollout starts no further group; the actions of groups that have started go on. An action ends
//! with the device's first word: what happens to the device later is not seen.
//!
//! hawkBit has no default for the number of groups, which its user has to give; [`HAWKBIT_GROUPS`]
//! is ours.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use lazaret_protocol::time::{DAY_MS, SECOND_MS};

use crate::fleet::{Fate, Fleet, since_beginning};
use crate::random::mix;
use crate::report::{Curve, Report};
use crate::scenario::{BEGINNING, Scenario};

/// Groups of equal size.
pub const HAWKBIT_GROUPS: u32 = 10;

/// hawkBit's scheduler looks at rollouts every so often. Its own is 2 s; the coarser step is the
/// one that ours is given too.
const TICK_MS: u64 = 10 * SECOND_MS;

/// What its user can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hawkbit {
    /// Groups of equal size.
    pub groups: u32,
    /// The next group starts at so much success, in percent.
    pub success_percent: u64,
    /// The rollout pauses at so much failure, in percent.
    pub error_percent: u64,
}

impl Default for Hawkbit {
    fn default() -> Self {
        Self { groups: HAWKBIT_GROUPS, success_percent: 50, error_percent: 50 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Poll,
    Report,
    Sicken,
}

#[derive(Default, Clone)]
struct Group {
    members: Vec<u32>,
    finished: u64,
    failed: u64,
    opened: Option<u64>,
}

struct Run<'a> {
    fleet: &'a Fleet,
    scenario: &'a Scenario,
    events: BinaryHeap<Reverse<(u64, u32, Happens)>>,
    groups: Vec<Group>,
    group_of: Vec<u32>,
    done: u64,
    failed: u64,
    harmed: u64,
    polled: u64,
}

pub(crate) fn run(fleet: &Fleet, scenario: &Scenario, rules: Hawkbit) -> Report {
    let count = usize::try_from(rules.groups.max(1)).unwrap_or(1);
    let mut order: Vec<u32> = (0..scenario.devices).collect();
    order.sort_by_key(|device| mix(scenario.seed, u64::from(*device), 31));
    let mut groups = vec![Group::default(); count];
    let mut group_of = vec![0; order.len()];
    let size = order.len().div_ceil(count).max(1);
    for (at, members) in order.chunks(size).enumerate() {
        for device in members {
            if let Some(group) = usize::try_from(*device).ok().and_then(|i| group_of.get_mut(i)) {
                *group = u32::try_from(at).unwrap_or(0);
            }
        }
        if let Some(group) = groups.get_mut(at) {
            group.members = members.to_vec();
        }
    }
    let mut run = Run {
        fleet,
        scenario,
        events: BinaryHeap::new(),
        groups,
        group_of,
        done: 0,
        failed: 0,
        harmed: 0,
        polled: 0,
    };
    run.open(0, BEGINNING.as_ms());
    run.go(rules)
}

impl Run<'_> {
    fn open(&mut self, at: usize, now: u64) {
        let Some(group) = self.groups.get_mut(at) else { return };
        group.opened = Some(now);
        for device in &group.members {
            let poll = self.fleet.next_poll(*device, now);
            self.events.push(Reverse((poll, *device, Happens::Poll)));
        }
    }

    fn go(mut self, rules: Hawkbit) -> Report {
        let begin = BEGINNING.as_ms();
        let end = begin + u64::from(self.scenario.days) * DAY_MS;
        let mut curve = Curve::default();
        let mut paused: Option<u64> = None;
        let mut now = begin;
        while let Some(Reverse((next, ..))) = self.events.peek() {
            now = (now + TICK_MS).max(*next);
            if now > end {
                break;
            }
            while let Some(Reverse((at, device, what))) = self.events.peek().copied() {
                if at > now {
                    break;
                }
                self.events.pop();
                self.happen(device, what, at);
            }
            curve.at(now, self.done);
            if paused.is_none() {
                paused = self.look(rules, now);
            }
        }
        self.report(curve, paused)
    }

    /// What its scheduler does; when it paused, where it did.
    fn look(&mut self, rules: Hawkbit, now: u64) -> Option<u64> {
        for at in 0..self.groups.len() {
            let Some(group) = self.groups.get(at) else { break };
            let size = u64::try_from(group.members.len()).unwrap_or(u64::MAX);
            if group.opened.is_none() {
                continue;
            }
            if group.failed > 0 && group.failed * 100 >= rules.error_percent * size {
                return Some(now);
            }
            let next_waits = self.groups.get(at + 1).is_some_and(|next| next.opened.is_none());
            if next_waits && group.finished * 100 >= rules.success_percent * size {
                self.open(at + 1, now);
                break;
            }
        }
        None
    }

    fn happen(&mut self, device: u32, what: Happens, at: u64) {
        let fate = self.fleet.fate(device, self.scenario);
        match what {
            Happens::Poll => {
                self.polled += 1;
                let ready = at + u64::from(self.fleet.machine(device).install_ms);
                let heard = self.fleet.heard_at(device, ready);
                self.events.push(Reverse((heard, device, Happens::Report)));
            }
            Happens::Report => {
                let at_group = usize::try_from(device).ok().and_then(|i| self.group_of.get(i));
                let group = at_group.and_then(|at| usize::try_from(*at).ok());
                let Some(group) = group.and_then(|at| self.groups.get_mut(at)) else { return };
                match fate {
                    Fate::Bad | Fate::Unlucky => {
                        group.failed += 1;
                        self.failed += 1;
                    }
                    Fate::Good | Fate::Slow { .. } => {
                        group.finished += 1;
                        self.done += 1;
                    }
                }
                if matches!(fate, Fate::Bad | Fate::Slow { .. }) {
                    self.harmed += 1;
                }
                if let Fate::Slow { after_ms, .. } = fate {
                    self.events.push(Reverse((at + after_ms, device, Happens::Sicken)));
                }
            }
            Happens::Sicken => {
                self.done -= 1;
                self.failed += 1;
            }
        }
    }

    fn report(self, curve: Curve, paused: Option<u64>) -> Report {
        let devices = u64::from(self.scenario.devices);
        let all = self.groups.iter().all(|group| group.opened.is_some());
        let state = match paused {
            Some(_) => "halted",
            None if all => "finished",
            None => "running",
        };
        Report {
            rules: "hawkbit".into(),
            devices,
            state: state.into(),
            halt_reason: paused.map(|_| "half of a group failed".into()),
            halted_ms: paused.map(since_beginning),
            harmed: self.harmed,
            done: self.done,
            failed: self.failed,
            unknown: 0,
            untouched: devices - self.polled,
            half_ms: curve.reached(500, devices),
            ninety_ms: curve.reached(900, devices),
            ninety_nine_ms: curve.reached(990, devices),
            opened_ms: self.groups.iter().map(|group| group.opened.map(since_beginning)).collect(),
            curve: curve.thinned(),
            decisions: self.polled,
        }
    }
}
