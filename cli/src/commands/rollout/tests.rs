//! How rollouts are drawn.

use super::*;
use lazaret_protocol::operator::{GroupState, ReasonCount, RolloutState};
use lazaret_protocol::time::Timestamp;

fn group(state: GroupState, total: u64, done: u64, failed: u64) -> GroupView {
    let waiting = total - done - failed;
    let reasons = match failed {
        0 => vec![],
        count => vec![ReasonCount { code: "probe\u{1b}[2J-failed".to_owned(), count }],
    };
    GroupView {
        state,
        total,
        waiting,
        offered: 0,
        done,
        failed,
        refused: 0,
        expired: 0,
        unknown: 0,
        unreachable: 0,
        reasons,
    }
}

fn rollout() -> RolloutView {
    RolloutView {
        id: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "2.0".parse().unwrap(),
        state: RolloutState::Halted,
        halt_reason: Some("group 2: 2 of 4 failed".to_owned()),
        groups: vec![
            group(GroupState::Passed, 1, 1, 0),
            group(GroupState::Tripped, 4, 2, 2),
            group(GroupState::Closed, 5, 0, 0),
        ],
        halts_unacknowledged: 1,
        halts_acknowledged: 0,
        started_by: "alice".parse().unwrap(),
        started: Timestamp::from_ms(1_700_000_000_000),
        error_percent: 20,
        success_percent: 80,
    }
}

#[test]
fn a_halted_rollout_says_why_and_that_its_counts_add_up() {
    insta::assert_snapshot!(in_words(&rollout()));
}

#[test]
fn counts_that_do_not_add_up_are_said() {
    let mut rollout = rollout();
    rollout.groups[2].waiting = 4;
    assert!(!adds_up(&rollout));
    assert!(in_words(&rollout).contains("DO NOT ADD UP"));
    rollout.groups[2].waiting = u64::MAX;
    rollout.groups[2].offered = 6;
    assert!(!adds_up(&rollout));
}
