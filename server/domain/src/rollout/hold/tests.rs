//! Each gate is named, and each opens by what it says.

use super::*;
use crate::rollout::cord::Pulled;
use crate::rollout::fixture;
use crate::rollout::policy::{Growing, Growth};
use alloc::vec;
use lazaret_protocol::order::Outcome;
use lazaret_protocol::target::Schedule;
use proptest::prelude::*;

// Monday, 10:00 in UTC.
const NOW: Timestamp = Timestamp::from_ms(1_795_428_000_000);

struct Case {
    rollout: Rollout,
    part: Assignment,
    candidate: (bool, Option<i16>, Option<u8>, Option<u64>),
    running: RunningRelease,
    probes: BTreeMap<String, bool>,
    cord: Cord,
    floor: Option<u64>,
}

fn case() -> Case {
    let old = fixture::release("1.0", 1);
    Case {
        rollout: fixture::rollout(&[GroupState::Open]),
        part: fixture::part(0, AssignmentState::Waiting),
        candidate: (false, Some(0), None, None),
        running: RunningRelease { version: old.version, counter: 1, sha256: old.sha256 },
        probes: BTreeMap::new(),
        cord: Cord::default(),
        floor: Some(1),
    }
}

impl Case {
    fn hold(&self) -> Hold {
        let (quarantined, utc_offset_min, battery_percent, installing) = self.candidate;
        let candidate = Candidate {
            id: &self.part.device,
            level: quarantined.then_some(Level::Hold),
            evidence: None,
            held: false,
            running: Some(&self.running),
            utc_offset_min,
            battery_percent,
            probes: &self.probes,
            release_floor: self.floor,
            installing,
        };
        hold(candidate, (&self.rollout, &self.part), Some(&self.cord), NOW)
    }

    fn with(change: impl FnOnce(&mut Self)) -> &'static str {
        let mut case = case();
        change(&mut case);
        let held = case.hold();
        assert!(!held.in_words().is_empty() && !held.opens().is_empty());
        held.code()
    }
}

#[test]
fn each_gate_holds_on_its_own() {
    let window = || vec!["daily 02:00-04:00".parse().unwrap()];
    let turns = Growing { start: 1, most: 1, growth: Growth::Linear { percent: 0 } };
    let ended = |outcome| AssignmentState::Ended { outcome, at: NOW };
    let back = || Outcome::Refused { code: "halted".into(), reason: "x".into() };
    let pulled = || Pulled {
        by: "ana".parse().unwrap(),
        reason: "smoke".into(),
        at: NOW,
        open_offers: None,
    };
    assert_eq!(Case::with(|_| {}), "nothing");
    assert_eq!(Case::with(|c| c.floor = Some(3)), "floor");
    assert_eq!(Case::with(|c| c.floor = Some(2)), "nothing", "the floor itself runs");
    assert_eq!(Case::with(|c| c.rollout.release.needs = 2), "floor", "too far below it");
    assert_eq!(Case::with(|c| c.rollout.release.needs = 1), "nothing", "it runs what is needed");
    assert_eq!(Case::with(|c| c.rollout.state = RolloutState::Planned), "not-approved");
    assert_eq!(Case::with(|c| c.rollout.state = RolloutState::Approved), "not-started");
    assert_eq!(Case::with(|c| c.rollout.state = RolloutState::Paused), "paused");
    assert_eq!(Case::with(|c| c.rollout.state = RolloutState::Halted), "halted");
    assert_eq!(Case::with(|c| c.rollout.state = RolloutState::Finished), "over");
    assert_eq!(Case::with(|c| c.cord.pulled = Some(pulled())), "cord");
    assert_eq!(Case::with(|c| c.part.state = ended(Outcome::Done)), "ended");
    assert_eq!(Case::with(|c| c.part.state = ended(back())), "nothing", "it is offered again");
    let offered = AssignmentState::Offered { order: 1, lapses: NOW, at: NOW };
    assert_eq!(Case::with(|c| c.part.state = offered), "offered");
    assert_eq!(Case::with(|c| c.rollout.groups[0].state = GroupState::Closed), "group-closed");
    assert_eq!(Case::with(|c| c.candidate.0 = true), "quarantined");
    assert_eq!(Case::with(|c| c.candidate.3 = Some(7)), "busy");
    assert_eq!(Case::with(|c| c.running.sha256 = c.rollout.release.sha256), "already-running");
    let late = Schedule::everybody_from("s", NOW.plus_ms(1));
    assert_eq!(Case::with(|c| c.rollout.release.schedule = late), "schedule");
    let never = Schedule { salt: "s".into(), steps: vec![] };
    assert_eq!(Case::with(|c| c.rollout.release.schedule = never), "schedule-never");
    assert_eq!(Case::with(|c| c.rollout.groups[0].rules.windows = window()), "window");
    let unknown = |c: &mut Case| {
        c.rollout.groups[0].rules.windows = window();
        c.candidate.1 = None;
    };
    assert_eq!(Case::with(unknown), "window-unknown");
    let low = |c: &mut Case| {
        c.rollout.groups[0].rules.battery_percent_min = 50;
        c.candidate.2 = Some(49);
    };
    assert_eq!(Case::with(low), "battery");
    assert_eq!(Case::with(|c| c.rollout.groups[0].rules.probes = vec!["disk".into()]), "probe");
    assert_eq!(Case::with(|c| c.rollout.groups[0].rules.concurrency = Some(turns)), "turn");
    let admitted = |c: &mut Case| {
        c.rollout.groups[0].rules.concurrency = Some(turns);
        c.part.state = AssignmentState::Admitted { until: NOW.plus_ms(1) };
    };
    assert_eq!(Case::with(admitted), "nothing");
}

#[test]
fn a_device_below_a_step_is_offered_the_step_first() {
    let mut case = case();
    case.rollout.release.counter = 5;
    case.rollout.release.needs = 3;
    case.rollout.steps = vec![fixture::release("1.5", 3)];
    assert_eq!(case.hold(), Hold::Nothing { version: "1.5".parse().unwrap() });
    case.running.counter = 3;
    assert_eq!(case.hold(), Hold::Nothing { version: "2.0".parse().unwrap() });
}

proptest! {
    /// Waiting alone never closes a gate that is open, where no window is set.
    #[test]
    fn waiting_never_closes_a_gate(later in 0u64..10_000_000_000, since in 0u64..5) {
        let case = case();
        let candidate = Candidate {
            id: &case.part.device,
            level: None,
            evidence: None,
            held: false,
            running: Some(&case.running),
            utc_offset_min: None,
            battery_percent: None,
            probes: &case.probes,
            release_floor: None,
            installing: None,
        };
        let at = |now| hold(candidate, (&case.rollout, &case.part), None, now);
        let now = Timestamp::from_ms(since);
        prop_assert_eq!(at(now), at(now.plus_ms(later)));
    }
}
