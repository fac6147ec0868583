//! Values for tests.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{GroupState, RolloutState};
use lazaret_protocol::target::Schedule;
use lazaret_protocol::time::Timestamp;

use super::state::{
    Assignment, AssignmentState, Conduct, Direction, Group, Rollout, RolloutRelease, Thresholds,
};

/// A release of gw2 that everybody may install.
pub(crate) fn release(version: &str, counter: u64) -> RolloutRelease {
    RolloutRelease {
        model: "gw2".parse().unwrap(),
        version: version.parse().unwrap(),
        sha256: Sha256Digest::of(version.as_bytes()),
        schedule: Schedule::everybody_from("s", Timestamp::from_ms(0)),
        counter,
        needs: 0,
        emergency: None,
    }
}

/// A running rollout of 2.0 with groups of ten in these states.
pub(crate) fn rollout(states: &[GroupState]) -> Rollout {
    let group = |&state: &GroupState| Group {
        state,
        size: 10,
        opened: Some(Timestamp::from_ms(0)),
        ..Group::default()
    };
    Rollout {
        id: "r-1".parse().unwrap(),
        release: release("2.0", 2),
        state: RolloutState::Running,
        halt_reason: None,
        groups: states.iter().map(group).collect(),
        thresholds: Thresholds { success_percent: 80, error_percent: 20 },
        started_by: "ana".parse().unwrap(),
        started: Timestamp::from_ms(0),
        reason: "test".into(),
        steps: vec![],
        direction: Direction::Newer,
        conduct: Conduct::default(),
        plan: None,
        approvals: vec![],
        accepted: Vec::new(),
        cures: None,
    }
}

/// A part of that rollout.
pub(crate) fn part(group: u64, state: AssignmentState) -> Assignment {
    Assignment {
        rollout: "r-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        group,
        state,
        cohort: String::new(),
        preserving_since: None,
    }
}
