//! Counts add up to the devices they are of, whatever the devices do.

use super::*;
use proptest::prelude::*;

fn rollout(sizes: &[u64]) -> Rollout {
    Rollout {
        id: "r-1".parse().unwrap(),
        release: RolloutRelease {
            model: "gw2".parse().unwrap(),
            version: "2.0".parse().unwrap(),
            sha256: Sha256Digest::of(b"image"),
            schedule: Schedule::everybody_from("s", Timestamp::from_ms(0)),
        },
        state: RolloutState::Running,
        halt_reason: None,
        groups: sizes.iter().map(|&size| Group { state: GroupState::Open, size }).collect(),
        thresholds: Thresholds { success_percent: 80, error_percent: 20 },
        started_by: "ana".parse().unwrap(),
        started: Timestamp::from_ms(0),
        reason: "test".into(),
    }
}

fn state() -> impl Strategy<Value = AssignmentState> {
    let refused = Outcome::Refused { code: "a".into(), reason: "b".into() };
    let failed = Outcome::Failed { code: "c".into(), reason: "d".into() };
    let ended = |outcome| AssignmentState::Ended { outcome };
    prop_oneof![
        Just(AssignmentState::Waiting),
        (0u64..1000)
            .prop_map(|ms| AssignmentState::Offered { order: 1, lapses: Timestamp::from_ms(ms) }),
        Just(ended(Outcome::Done)),
        Just(ended(refused)),
        Just(ended(failed)),
        Just(ended(Outcome::Expired)),
    ]
}

fn part(group: u64, state: AssignmentState) -> Assignment {
    Assignment { rollout: "r-1".parse().unwrap(), device: "d-1".parse().unwrap(), group, state }
}

#[test]
fn a_device_that_took_an_order_and_vanished_does_not_hold_the_rollout_for_ever() {
    let lapses = Timestamp::from_ms(10);
    let parts = [part(0, AssignmentState::Offered { order: 1, lapses })];
    let at = |now| Tally::count(&rollout(&[1]), &parts, now).groups[0].clone();
    assert_eq!(at(lapses).offered, 1);
    assert_eq!(at(lapses.plus_ms(SILENCE_MS)).expired, 1);
}

proptest! {
    #[test]
    fn every_device_is_counted_exactly_once(
        states in proptest::collection::vec((0u64..3, state()), 0..60), now in 0u64..u64::MAX,
    ) {
        let parts: Vec<Assignment> =
            states.into_iter().map(|(group, state)| part(group, state)).collect();
        let tally = Tally::count(&rollout(&[0, 0, 0]), &parts, Timestamp::from_ms(now));
        let total: u64 = tally.groups.iter().map(GroupTally::total).sum();
        prop_assert_eq!(total, u64::try_from(parts.len()).unwrap());
    }
}
