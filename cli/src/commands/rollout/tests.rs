//! How rollouts are drawn.

use super::*;
use lazaret_protocol::operator::{EmergencyView, GroupState, ReasonCount, RolloutState};
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
        emergency: None,
        progress: vec![],
        cures: None,
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

#[test]
fn an_emergency_stands_above_everything_and_progress_is_drawn() {
    let at = |ms| Timestamp::from_ms(rollout().started.as_ms() + ms);
    let urgent = RolloutView {
        emergency: Some(EmergencyView { reason: "CVE-2026-1\u{1b}[2J".to_owned(), expires: at(9) }),
        progress: vec![
            ProgressPoint { at: at(0), done: 0 },
            ProgressPoint { at: at(1000), done: 3 },
        ],
        ..rollout()
    };
    let text = in_words(&urgent);
    let second = text.lines().nth(1).unwrap();
    assert!(second.starts_with("!! EMERGENCY: CVE-2026-1"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("percent done"), "{text}");
    assert!(!in_words(&rollout()).contains("EMERGENCY"));
}
