//! A rollout moves only on confirmed results, and stops for good.

use super::*;
use crate::rollout::state::{Group, GroupTally, RolloutRelease, Thresholds};
use alloc::vec;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::target::Schedule;

fn rollout(states: &[GroupState]) -> Rollout {
    let now = Timestamp::from_ms(0);
    Rollout {
        id: "r-1".parse().unwrap(),
        release: RolloutRelease {
            model: "gw2".parse().unwrap(),
            version: "2.0".parse().unwrap(),
            sha256: Sha256Digest::of(b"image"),
            schedule: Schedule::everybody_from("s", now),
        },
        state: RolloutState::Running,
        halt_reason: None,
        groups: states.iter().map(|&state| Group { state, size: 10 }).collect(),
        thresholds: Thresholds { success_percent: 80, error_percent: 20 },
        started_by: "ana".parse().unwrap(),
        started: now,
        reason: "test".into(),
    }
}

fn advanced(rollout: Rollout, groups: Vec<GroupTally>) -> (Option<Rollout>, Vec<Fact>) {
    let tally = Tally { rollout: rollout.id.clone(), groups };
    let found = Found { key: "rollout/r-1".into(), version: Some(1), value: Some(rollout) };
    let none = Found { key: "tally/r-1".into(), version: None, value: None };
    let parts = advance(&found, &none, &tally, Timestamp::from_ms(1)).into_parts().unwrap();
    let put = parts.put.iter().find(|(key, _)| key == "rollout/r-1");
    let after = put.map(|(key, bytes)| crate::record::decode(key, bytes).unwrap());
    (after, parts.events.into_iter().map(|event| event.fact).collect())
}

fn counts(done: u64, failed: u64) -> GroupTally {
    GroupTally { done, failed, waiting: 10 - done - failed, ..GroupTally::default() }
}

#[test]
fn a_group_that_passes_opens_the_next_and_only_the_next() {
    use GroupState::{Closed, Open, Passed};
    let (after, facts) =
        advanced(rollout(&[Open, Closed, Closed]), vec![counts(8, 0), counts(0, 0), counts(0, 0)]);
    let states: Vec<GroupState> = after.unwrap().groups.iter().map(|g| g.state).collect();
    assert_eq!(states, [Passed, Open, Closed]);
    assert_eq!(facts, [Fact::GroupOpened { rollout: "r-1".parse().unwrap(), group: 1 }]);
}

#[test]
fn a_failure_after_a_group_passed_halts_the_rollout() {
    use GroupState::{Open, Passed};
    let (after, _) = advanced(rollout(&[Passed, Open]), vec![counts(8, 2), counts(0, 0)]);
    assert_eq!(after.unwrap().state, RolloutState::Halted);
}

#[test]
fn a_rollout_is_finished_only_when_every_device_has_ended() {
    use GroupState::Open;
    let (after, _) = advanced(rollout(&[Open]), vec![counts(9, 0)]);
    assert_eq!(after.unwrap().state, RolloutState::Running);
    let (after, facts) = advanced(rollout(&[Open]), vec![counts(10, 0)]);
    assert_eq!(after.unwrap().state, RolloutState::Finished);
    assert_eq!(facts, [Fact::RolloutFinished { rollout: "r-1".parse().unwrap() }]);
}

#[test]
fn what_has_halted_stays_halted() {
    let mut halted = rollout(&[GroupState::Tripped, GroupState::Closed]);
    halted.state = RolloutState::Halted;
    let (after, facts) = advanced(halted, vec![counts(10, 0), counts(0, 0)]);
    assert_eq!(after, None);
    assert_eq!(facts, []);
}
