//! A rollout moves only on confirmed results, and stops for good.

use super::*;
use crate::rollout::fixture::rollout;
use crate::rollout::tally::GroupTally;
use alloc::vec;
use lazaret_protocol::id::RolloutId;

fn advanced(rollout: Rollout, groups: Vec<GroupTally>) -> (Option<Rollout>, Vec<Fact>) {
    let tally = Tally { rollout: rollout.id.clone(), groups, cohorts: vec![] };
    let found = Found { key: "rollout/r-1".into(), version: Some(1), value: Some(rollout) };
    let none = Found { key: "tally/r-1".into(), version: None, value: None };
    let parts = advance(&found, &none, &tally, (CordState::Free, Timestamp::from_ms(1)))
        .into_parts()
        .unwrap();
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
    let rollout: RolloutId = "r-1".parse().unwrap();
    let passed = Fact::GroupPassed { rollout: rollout.clone(), group: 0 };
    assert_eq!(facts, [passed, Fact::GroupOpened { rollout, group: 1 }]);
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
    assert_eq!(facts.last(), Some(&Fact::RolloutFinished { rollout: "r-1".parse().unwrap() }));
}

#[test]
fn what_has_halted_stays_halted() {
    let mut halted = rollout(&[GroupState::Tripped, GroupState::Closed]);
    halted.state = RolloutState::Halted;
    let (after, facts) = advanced(halted, vec![counts(10, 0), counts(0, 0)]);
    assert_eq!(after, None);
    assert_eq!(facts, []);
}
