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

fn watched() -> Rollout {
    let mut rollout = rollout(&[GroupState::Open]);
    rollout.conduct.silent_ms = 100;
    rollout.conduct.watch_ms = 1000;
    rollout.conduct.give_up_ms = 10_000;
    rollout
}

fn seen(ms: u64) -> Heard {
    Heard { last_seen: Some(Timestamp::from_ms(ms)), sick: false }
}

fn done_at(ms: u64) -> AssignmentState {
    AssignmentState::Ended { outcome: Outcome::Done, at: Timestamp::from_ms(ms) }
}

#[test]
fn a_device_that_falls_silent_is_unknown_and_stays_so_until_it_calls() {
    let (rollout, done) = (watched(), part(0, done_at(10)));
    let at = |heard, now| place(&rollout, &done, heard, Timestamp::from_ms(now));
    assert_eq!(at(seen(50), 149), Place::Done);
    assert_eq!(at(seen(50), 150), Place::Unknown);
    assert_eq!(at(seen(50), 999_999), Place::Unknown, "silence does not become success");
    assert_eq!(at(seen(1010), 999_999), Place::Done, "it was well when the watch ended");
    let lapses = Timestamp::from_ms(u64::MAX);
    let offer = AssignmentState::Offered { order: 1, lapses, at: Timestamp::from_ms(10) };
    let offered = part(0, offer);
    let at = |heard, now| place(&rollout, &offered, heard, Timestamp::from_ms(now));
    assert_eq!(at(seen(5), 109), Place::Offered);
    assert_eq!(at(seen(5), 110), Place::Unknown);
    assert_eq!(at(seen(60), 110), Place::Offered);
    assert_eq!(at(seen(60), 10_010), Place::Expired, "it does not hold the rollout for ever");
}

#[test]
fn a_silent_device_is_lost_after_a_while_and_stays_unknown() {
    let (mut rollout, done) = (watched(), part(0, done_at(10)));
    rollout.conduct.lost_ms = 500;
    let at = |heard, now| {
        let tally = Tally::count(&rollout, [(&done, heard)], Timestamp::from_ms(now));
        (tally.groups[0].unknown, tally.groups[0].lost, tally.groups[0].able())
    };
    assert_eq!(at(seen(50), 549), (1, 0, 1));
    assert_eq!(at(seen(50), 550), (1, 1, 0));
    assert_eq!(at(seen(540), 550), (0, 0, 1), "it called");
    assert_eq!(at(seen(1010), 999_999), (0, 0, 1), "it was well when the watch ended");
    let tally = Tally::count(&rollout, [(&done, seen(50))], Timestamp::from_ms(550));
    assert_eq!(tally.cohorts[0].unknown, 1, "the statistics still count its silence");
}

#[test]
fn a_device_that_waits_for_ever_is_unreachable_or_expired() {
    let (rollout, waiting) = (watched(), part(0, AssignmentState::Waiting));
    let at = |heard, now| place(&rollout, &waiting, heard, Timestamp::from_ms(now));
    assert_eq!(at(HEARD, 9_999), Place::Waiting);
    assert_eq!(at(HEARD, 10_000), Place::Unreachable);
    assert_eq!(at(seen(9_000), 10_000), Place::Expired, "it calls, and no gate ever opened");
}

#[test]
fn an_offer_that_was_taken_back_waits_again_when_the_rollout_goes_on() {
    let outcome = Outcome::Refused { code: "halted".into(), reason: "x".into() };
    let back = part(0, AssignmentState::Ended { outcome, at: Timestamp::from_ms(1) });
    let mut rollout = watched();
    let now = Timestamp::from_ms(5);
    assert_eq!(place(&rollout, &back, seen(4), now), Place::Waiting);
    rollout.state = RolloutState::Halted;
    assert_eq!(place(&rollout, &back, seen(4), now), Place::Refused);
    let tally = Tally::count(&rollout, [(&back, seen(4))], now);
    assert_eq!((tally.groups[0].taken_back, tally.groups[0].outstanding), (1, 0));
}

#[test]
fn a_record_from_before_there_were_policies_is_read() {
    let old = r#"{"rollout":"r-1","device":"d-1","group":0,
        "state":{"state":"ended","outcome":"failed","code":"c","reason":"d"}}"#;
    let read: Assignment = serde_json::from_str(old).unwrap();
    assert_eq!(place(&watched(), &read, HEARD, Timestamp::from_ms(1)), Place::Failed);
    let json = serde_json::to_value(rollout(&[GroupState::Open])).unwrap();
    let mut json = json.as_object().unwrap().clone();
    for new in ["steps", "direction", "conduct", "plan", "approvals", "accepted"] {
        json.remove(new).unwrap();
    }
    json["groups"] = serde_json::json!([{ "state": "open", "size": 10 }]);
    let read: Rollout = serde_json::from_value(json.into()).unwrap();
    assert_eq!(read.thresholds_of(&read.groups[0]), read.thresholds);
}

proptest! {
    #[test]
    fn the_order_of_reports_does_not_matter(
        states in proptest::collection::vec((0u64..3, state(), 0u64..900), 0..40),
        now in 0u64..2000,
    ) {
        let mut rollout = rollout(&[GroupState::Open; 3]);
        rollout.conduct = watched().conduct;
        let parts: Vec<(Assignment, Heard)> =
            states.into_iter().map(|(group, state, ms)| (part(group, state), seen(ms))).collect();
        let count = |parts: &[(Assignment, Heard)]| {
            let parts = parts.iter().map(|(part, heard)| (part, *heard));
            Tally::count(&rollout, parts, Timestamp::from_ms(now))
        };
        let mut reversed = parts.clone();
        reversed.reverse();
        prop_assert_eq!(count(&parts), count(&reversed));
    }
}

#[test]
fn a_device_soaks_by_its_own_word_and_for_its_own_and_later_groups() {
    let mut rollout = rollout(&[GroupState::Open; 3]);
    for (group, soak_ms) in rollout.groups.iter_mut().zip([1000, 100, 5000]) {
        group.rules.soak_ms = soak_ms;
    }
    let done = AssignmentState::Ended { outcome: Outcome::Done, at: Timestamp::from_ms(50) };
    let late = AssignmentState::Late {
        code: "probe-regressed".into(),
        reason: "x".into(),
        at: Timestamp::from_ms(60),
    };
    let soaked = |group: u64, state: &AssignmentState, seen: u64| {
        let heard = Heard { last_seen: Some(Timestamp::from_ms(seen)), sick: false };
        let part = part(group, state.clone());
        let tally = Tally::count(&rollout, [(&part, heard)], Timestamp::from_ms(1_000_000_000));
        tally.groups.iter().map(|group| group.soaked).collect::<Vec<_>>()
    };
    // Time alone is nothing: what counts is until when it has said that all is well.
    assert_eq!(soaked(0, &done, 50), [0, 0, 0]);
    assert_eq!(soaked(0, &done, 149), [0, 0, 0]);
    assert_eq!(soaked(0, &done, 150), [0, 1, 0]);
    assert_eq!(soaked(0, &done, 1050), [1, 1, 0]);
    assert_eq!(soaked(1, &done, 9050), [0, 1, 1]);
    assert_eq!(soaked(0, &late, 9050), [0, 0, 0]);
}

#[test]
fn progress_is_thinned_and_ends_with_everybody_who_is_done() {
    let done = |ms| AssignmentState::Ended { outcome: Outcome::Done, at: Timestamp::from_ms(ms) };
    let mut parts: Vec<Assignment> = (0..1000).map(|n| part(0, done(999 - n))).collect();
    parts.push(part(0, AssignmentState::Waiting));
    let points = progress(&parts);
    assert!(points.len() <= PROGRESS_MAX && points.is_sorted_by_key(|point| point.done));
    assert_eq!(points.last(), Some(&ProgressPoint { at: Timestamp::from_ms(999), done: 1000 }));
    assert_eq!(progress(&parts[..2]).len(), 2);
}
