//! Counts add up to the devices they are of, whatever the devices do.

use super::*;
use lazaret_protocol::operator::GroupState;
use proptest::prelude::*;

use crate::rollout::fixture::{part, rollout};

const HEARD: Heard = Heard { last_seen: None, sick: false };

fn state() -> impl Strategy<Value = AssignmentState> {
    let refused = Outcome::Refused { code: "a".into(), reason: "b".into() };
    let failed = Outcome::Failed { code: "c".into(), reason: "d".into() };
    let ended = |outcome| AssignmentState::Ended { outcome, at: Timestamp::from_ms(0) };
    prop_oneof![
        Just(AssignmentState::Waiting),
        (0u64..1000).prop_map(|ms| AssignmentState::Offered {
            order: 1,
            lapses: Timestamp::from_ms(ms),
            at: Timestamp::from_ms(0),
        }),
        Just(ended(Outcome::Done)),
        Just(ended(refused)),
        Just(ended(failed)),
        Just(ended(Outcome::Expired)),
    ]
}

#[test]
fn a_device_that_took_an_order_and_vanished_does_not_hold_the_rollout_for_ever() {
    let lapses = Timestamp::from_ms(10);
    let parts = [part(0, AssignmentState::Offered { order: 1, lapses, at: Timestamp::from_ms(0) })];
    let at = |now| {
        Tally::count(&rollout(&[GroupState::Open]), parts.iter().map(|part| (part, HEARD)), now)
            .groups[0]
            .clone()
    };
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
        let tally = Tally::count(
            &rollout(&[GroupState::Open; 3]),
            parts.iter().map(|part| (part, HEARD)),
            Timestamp::from_ms(now),
        );
        let total: u64 = tally.groups.iter().map(GroupTally::total).sum();
        prop_assert_eq!(total, u64::try_from(parts.len()).unwrap());
    }
}
