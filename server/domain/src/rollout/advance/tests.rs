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

fn running_with(soak_ms: u64) -> Rollout {
    let mut rollout = rollout(&[GroupState::Open, GroupState::Closed]);
    for group in &mut rollout.groups {
        group.rules.minimum_sample = 5;
        group.rules.success_percent = 80;
        group.rules.error_percent = 20;
        group.rules.soak_ms = soak_ms;
        group.rules.soak_sample = 5;
    }
    rollout
}

fn tally(groups: Vec<GroupTally>) -> Tally {
    Tally { rollout: "r-1".parse().unwrap(), groups, cohorts: vec![] }
}

const FREE: CordState = CordState::Free;

#[test]
fn a_group_passes_only_when_devices_have_run_the_image_for_its_whole_soak() {
    let soaked = |soaked: u64, failed: u64| {
        let first = GroupTally { soaked, ..counts(5, failed) };
        let (after, _, _) = advanced_state(
            &running_with(100),
            &tally(vec![first, counts(0, 0)]),
            Timestamp::from_ms(1_000_000),
        );
        after.groups[1].state
    };
    // However long ago it began: what counts is for how long the image was at work.
    assert_eq!(soaked(4, 0), GroupState::Closed);
    assert_eq!(soaked(5, 1), GroupState::Open, "5 of 6 are still enough");
    assert_eq!(soaked(5, 2), GroupState::Closed, "5 of 7 are not, however well they soaked");
}

fn advanced_state(
    rollout: &Rollout,
    tally: &Tally,
    now: Timestamp,
) -> (Rollout, Vec<Fact>, Vec<u64>) {
    super::advanced(rollout, tally, (FREE, now))
}

#[test]
fn a_pulled_cord_opens_no_group_and_still_lets_failures_halt() {
    let good = tally(vec![counts(5, 0), counts(0, 0)]);
    let now = Timestamp::from_ms(1);
    let (held, _, _) = super::advanced(&running_with(0), &good, (CordState::Pulled, now));
    assert_eq!(held.groups[1].state, GroupState::Closed);
    let bad = tally(vec![counts(2, 4), counts(0, 0)]);
    let (halted, _, _) = super::advanced(&running_with(0), &bad, (CordState::Pulled, now));
    assert_eq!(halted.state, RolloutState::Halted);
}

fn found(rollout: Rollout) -> Found<Rollout> {
    Found { key: "rollout/r-1".into(), version: Some(1), value: Some(rollout) }
}

#[test]
fn who_resumes_names_every_failure() {
    let mut bad = tally(vec![counts(2, 4), counts(0, 0)]);
    bad.groups[0].failures = vec![ReasonCount { code: "probe-failed".into(), count: 4 }];
    let now = Timestamp::from_ms(1);
    let (halted, _, _) = advanced_state(&running_with(0), &bad, now);
    let resumed = |accepted: &[ReasonCount]| {
        resume(&found(halted.clone()), &bad, accepted, ("ana", "seen", now))
    };
    let few = ReasonCount { code: "probe-failed".into(), count: 3 };
    let detail = resumed(&[few]).unwrap_err().detail;
    assert_eq!(detail, "expected all failures to be accepted by name: probe-failed=4");
    let decision = resumed(&[ReasonCount { code: "probe-failed".into(), count: 4 }]).unwrap();
    let going = decision.preview().clone();
    assert_eq!(going.state, RolloutState::Running);
    let (still, _, _) = advanced_state(&going, &bad, now);
    assert_eq!(still.state, RolloutState::Running, "accepted failures do not halt it again");
    bad.groups[0].failed += 2;
    let (again, _, _) = advanced_state(&going, &bad, now);
    assert_eq!(again.state, RolloutState::Halted, "two more of four do");
}

proptest::proptest! {
    #[test]
    fn halting_is_final_until_somebody_resumes(
        done in 0u64..10, failed in 0u64..10, later in 0u64..1_000_000_000,
    ) {
        let mut halted = running_with(0);
        halted.state = RolloutState::Halted;
        let any = tally(vec![
            GroupTally { done, failed, waiting: 20, ready: 3, ..GroupTally::default() },
            GroupTally { ready: 3, ..GroupTally::default() },
        ]);
        let (after, facts, turns) = advanced_state(&halted, &any, Timestamp::from_ms(later));
        proptest::prop_assert_eq!(after, halted);
        proptest::prop_assert_eq!(facts, vec![]);
        proptest::prop_assert!(turns.iter().all(|turns| *turns == 0));
    }

    #[test]
    fn one_more_failure_never_opens_a_group(
        done in 0u64..30, failed in 0u64..30, waiting in 1u64..30, now in 0u64..1000,
    ) {
        let fewer = GroupTally { done, failed, waiting, ..GroupTally::default() };
        let more = GroupTally { failed: failed + 1, waiting: waiting - 1, ..fewer.clone() };
        let opens = |counts: GroupTally| {
            let tally = tally(vec![counts, counts_of_nobody()]);
            let (after, _, _) = advanced_state(&running_with(0), &tally, Timestamp::from_ms(now));
            after.groups[1].state == GroupState::Open
        };
        proptest::prop_assert!(opens(fewer) || !opens(more));
    }

    #[test]
    fn an_open_group_is_never_closed(done in 0u64..30, failed in 0u64..30, later in 0u64..1000) {
        let any = GroupTally { done, failed, waiting: 5, ..GroupTally::default() };
        let tally = tally(vec![any, counts_of_nobody()]);
        let (after, _, _) = advanced_state(&running_with(0), &tally, Timestamp::from_ms(later));
        proptest::prop_assert_ne!(after.groups[0].state, GroupState::Closed);
    }
}

fn counts_of_nobody() -> GroupTally {
    GroupTally { waiting: 10, ..GroupTally::default() }
}
