//! A plan begins only with the word of enough other people, and the word is for that plan alone.

use super::*;
use crate::rollout::advance::start;
use crate::rollout::fixture;
use alloc::vec;
use lazaret_protocol::operator::GroupState;

const NOW: Timestamp = Timestamp::from_ms(5);

fn planned(need: u32) -> Rollout {
    let mut rollout = fixture::rollout(&[GroupState::Closed, GroupState::Closed]);
    rollout.state = RolloutState::Planned;
    rollout.conduct.approvals = need;
    rollout.plan = Some(Sha256Digest::of(b"plan"));
    rollout
}

fn found(rollout: Rollout) -> Found<Rollout> {
    Found { key: "rollout/r-1".into(), version: Some(1), value: Some(rollout) }
}

fn approval(by: &str, key: &str, plan: &[u8]) -> Approval {
    let plan = Sha256Digest::of(plan);
    Approval { by: by.parse().unwrap(), key: key.into(), plan, at: NOW }
}

fn approved(rollout: Rollout, one: Approval) -> Result<Rollout, RefusalCode> {
    let decision = approve(&found(rollout), one, NOW).map_err(|refused| refused.code)?;
    Ok(decision.preview().clone())
}

#[test]
fn a_plan_is_approved_by_enough_distinct_people_who_did_not_write_it() {
    let plan = planned(2);
    assert_eq!(approved(plan.clone(), approval("ana", "k0", b"plan")), Err(RefusalCode::Forbidden));
    let one = approved(plan, approval("bo", "k1", b"plan")).unwrap();
    assert_eq!(one.state, RolloutState::Planned);
    assert!(start(&found(one.clone()), "ana", NOW).is_err());
    let again = approved(one.clone(), approval("bo", "k1", b"plan")).unwrap();
    assert_eq!(counted(&again), 1);
    assert_eq!(
        approved(one.clone(), approval("cy", "k1", b"plan")),
        Err(RefusalCode::Conflict),
        "one key is one person"
    );
    let two = approved(one, approval("cy", "k2", b"plan")).unwrap();
    assert_eq!(two.state, RolloutState::Approved);
    let running = start(&found(two), "ana", NOW).unwrap().preview().clone();
    assert_eq!(running.state, RolloutState::Running);
    assert_eq!(running.groups[0].state, GroupState::Open);
    assert_eq!(approved(running, approval("di", "k3", b"plan")), Err(RefusalCode::Conflict));
}

#[test]
fn approvals_die_with_the_plan_they_were_for() {
    let other = approved(planned(1), approval("bo", "k1", b"another plan"));
    assert_eq!(other, Err(RefusalCode::Conflict));
    let mut one = approved(planned(1), approval("bo", "k1", b"plan")).unwrap();
    assert_eq!(counted(&one), 1);
    one.plan = Some(Sha256Digest::of(b"changed"));
    assert_eq!(counted(&one), 0);
    assert!(start(&found(one), "ana", NOW).is_err());
}

#[test]
fn any_change_of_a_plan_is_another_hash() {
    let part = |device: &str| Assignment {
        device: device.parse().unwrap(),
        ..fixture::part(0, crate::rollout::state::AssignmentState::Waiting)
    };
    let parts = vec![part("d-1"), part("d-2")];
    let hash = |rollout: &Rollout, parts: &[Assignment]| statement(rollout, parts).hash().unwrap();
    let plan = planned(2);
    let before = hash(&plan, &parts);
    let reversed: Vec<Assignment> = parts.iter().rev().cloned().collect();
    assert_eq!(hash(&plan, &reversed), before, "the order of devices is no change");
    let mut changes = vec![plan.clone(); 6];
    changes[0].conduct.approvals = 1;
    changes[1].release.sha256 = Sha256Digest::of(b"other");
    changes[2].groups[0].rules.soak_ms = 7;
    changes[3].reason = "another".into();
    changes[4].direction = Direction::Back { of: "r-0".parse().unwrap() };
    changes[5].steps = vec![fixture::release("1.5", 1)];
    for changed in &changes {
        assert_ne!(hash(changed, &parts), before);
    }
    assert_ne!(hash(&plan, &parts[..1]), before);
}
