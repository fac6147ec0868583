//! A poll writes only its own device's records, offers only what may be offered, and never twice.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;
use lazaret_protocol::containment::{Level, Terms};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::operator::GroupState;
use lazaret_protocol::operator::RolloutState;
use lazaret_protocol::poll::{LogHead, RunningRelease, SlotHealth};
use lazaret_protocol::signed::DevicePeer;
use lazaret_protocol::target::Schedule;

use crate::device::Quarantine;
use crate::rollout::fixture;
use crate::rollout::policy::AfterWait;
use crate::rollout::state::Preserve;

const NOW: Timestamp = Timestamp::from_ms(1_000_000);

fn device() -> Device {
    Device {
        id: "d-1".parse().unwrap(),
        serial: "s-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificates: vec![Sha256Digest::of(b"c")],
        certificate_ends: NOW.plus_ms(1_000_000),
        enrolled: Timestamp::from_ms(0),
        quarantine: None,
        poll_sequence: 4,
        polls: 4,
        last_seen: None,
        running: None,
        update_state: "idle".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::new(),
        group: None,
        utc_offset_min: None,
        battery_percent: None,
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: crate::clone::Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    }
}

fn rollout(state: RolloutState, group: GroupState) -> Rollout {
    Rollout { state, ..fixture::rollout(&[group]) }
}

fn found<T>(key: &str, value: T) -> Found<T> {
    Found { key: key.into(), version: Some(1), value: Some(value) }
}

fn view(device: Device, rollout: Rollout, state: AssignmentState) -> PollView {
    let id = rollout.id.clone();
    let assigned = Assigned { device: device.id.clone(), rollout: id.clone() };
    let device_id = device.id.clone();
    let assignment = Assignment {
        rollout: id,
        device: device_id,
        state,
        ..fixture::part(0, AssignmentState::Waiting)
    };
    PollView {
        evidence: None,
        device: found("device/d-1", device),
        assigned: found("assigned/d-1", assigned),
        parts: vec![RolloutPart {
            rollout: found("rollout/r-1", rollout),
            assignment: found("assignment/r-1/d-1", assignment),
        }],
        cord: Found { key: "cord/fleet".into(), version: None, value: None },
        witnessed: Found { key: "log-witness/d-1".into(), version: None, value: None },
        numbers: vec![],
    }
}

fn request(sequence: u64, order_sequence: u64) -> Verified<FromDevice<PollRequest>> {
    let id: DeviceId = "d-1".parse().unwrap();
    DevicePeer::from_checked_certificate(id).vouch(PollRequest {
        sequence,
        model: "gw2".parse().unwrap(),
        running: None,
        update_state: "idle".into(),
        other_slot: SlotHealth::Unknown,
        boot_count: 1,
        tuf_timestamp_version: 0,
        order_sequence,
        log_head: LogHead { size: 1, hash: Sha256Digest::of(b"") },
        quarantined: false,
        containment: None,
        hold_ms: 0,
        posture: None,
        nonce: None,
        boot: None,
        logs: vec![],
    })
}

fn answered(view: &PollView, request: &Verified<FromDevice<PollRequest>>) -> Decision<PollPlan> {
    let context = PollContext {
        now: NOW,
        tuf_timestamp_version: 3,
        poll_interval_ms: 1000,
        certificate_life_ms: 1_000_000,
        nonce: Sha256Digest::of(b"next"),
        shown: None,
        bindings: Bindings::default(),
    };
    match decide(view, request, context) {
        Ok(Polled::Answered(decision)) => decision,
        other => panic!("expected an answer, got {other:?}"),
    }
}

#[test]
fn a_waiting_device_of_an_open_group_is_offered_the_release() {
    let view =
        view(device(), rollout(RolloutState::Running, GroupState::Open), AssignmentState::Waiting);
    let decision = answered(&view, &request(5, 0));
    let orders = &decision.preview().orders;
    assert!(matches!(&orders[..], [Order { kind: OrderKind::Install { .. }, .. }]), "{orders:?}");
}

#[test]
fn nothing_is_offered_where_a_rule_says_no() {
    use GroupState::{Closed, Open};
    use RolloutState::{Halted, Running};
    let mut quarantined = device();
    quarantined.quarantine = Some(Quarantine {
        by: "ana".parse().unwrap(),
        reason: "x".into(),
        since: NOW,
        confirmed: false,
        terms: Terms::default(),
        word: None,
        ended: None,
    });
    let mut early = rollout(Running, Open);
    early.release.schedule = Schedule::everybody_from("s", NOW.plus_ms(1));
    let mut current = device();
    let running = RunningRelease {
        version: "2.0".parse().unwrap(),
        counter: 2,
        sha256: Sha256Digest::of(b"2.0"),
    };
    current.running = Some(running);
    let waiting = AssignmentState::Waiting;
    for (name, view) in [
        ("closed group", view(device(), rollout(Running, Closed), waiting.clone())),
        ("halted rollout", view(device(), rollout(Halted, Open), waiting.clone())),
        ("quarantine", view(quarantined, rollout(Running, Open), waiting.clone())),
        ("schedule", view(device(), early, waiting)),
    ] {
        let decision = answered(&view, &request(5, 0));
        let is_install = |order: &&Order| matches!(order.kind, OrderKind::Install { .. });
        assert_eq!(decision.preview().orders.iter().find(is_install), None, "{name}");
    }
}

#[test]
fn a_quarantined_device_is_told_again_until_it_says_so_itself() {
    let mut device = device();
    device.quarantine = Some(Quarantine {
        by: "ana".parse().unwrap(),
        reason: "x".into(),
        since: NOW,
        confirmed: false,
        terms: Terms::default(),
        word: None,
        ended: None,
    });
    let view =
        view(device, rollout(RolloutState::Running, GroupState::Closed), AssignmentState::Waiting);
    let told = answered(&view, &request(5, 0));
    assert!(matches!(
        told.preview().orders[..],
        [Order { kind: OrderKind::Quarantine { .. }, .. }]
    ));
    let mut says_so = request(5, 0).into_message();
    says_so.message.quarantined = true;
    let says_so = DevicePeer::from_checked_certificate(says_so.device).vouch(says_so.message);
    assert_eq!(answered(&view, &says_so).preview().orders, []);
}

#[test]
fn a_poll_number_that_was_used_is_refused_and_recorded() {
    let view =
        view(device(), rollout(RolloutState::Running, GroupState::Open), AssignmentState::Waiting);
    let context = PollContext {
        now: NOW,
        tuf_timestamp_version: 3,
        poll_interval_ms: 1000,
        certificate_life_ms: 1,
        nonce: Sha256Digest::of(b"next"),
        shown: None,
        bindings: Bindings::default(),
    };
    let Ok(Polled::Recorded(decision)) = decide(&view, &request(4, 0), context) else {
        panic!("the replay was not recorded");
    };
    let parts = decision.into_parts().unwrap();
    assert_eq!(parts.reply.code, RefusalCode::Replay);
    let keys: Vec<&str> = parts.put.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["device/d-1"], "that it was seen is noted, and nothing else");
    let sign = &parts.events[1].fact;
    assert!(matches!(sign, Fact::CloneSuspected { sign, .. } if sign == "sequence-reused"));
    assert!(matches!(parts.events[0].fact, Fact::PollReplayed { got: 4, .. }));
}

#[test]
fn an_offer_of_a_halted_rollout_that_was_not_taken_is_taken_back() {
    let mut offered = device();
    let kind = OrderKind::Install {
        rollout: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "2.0".parse().unwrap(),
    };
    let order = offered.give_order(kind, Some("r-1".parse().unwrap()), NOW).unwrap();
    let state = AssignmentState::Offered { order, lapses: NOW.plus_ms(1), at: NOW };
    let halted = rollout(RolloutState::Halted, GroupState::Tripped);

    let view = view(offered, halted, state);
    let not_taken = answered(&view, &request(5, order - 1));
    assert_eq!(not_taken.preview().orders, []);
    let parts = not_taken.into_parts().unwrap();
    assert!(parts.put.iter().any(|(key, _)| key == "assignment/r-1/d-1"));

    let taken = answered(&view, &request(5, order));
    let orders = &taken.preview().orders;
    let halts = [OrderKind::Halt { install: order }];
    assert_eq!(orders.iter().map(|o| o.kind.clone()).collect::<Vec<_>>(), halts);
}

#[test]
fn a_poll_writes_only_records_of_its_own_device() {
    let view =
        view(device(), rollout(RolloutState::Running, GroupState::Open), AssignmentState::Waiting);
    let parts = answered(&view, &request(5, 0)).into_parts().unwrap();
    for (key, _) in parts.put {
        assert!(matches!(key.as_str(), "device/d-1" | "assignment/r-1/d-1"), "{key}");
    }
}

fn decided(view: &PollView, request: &Verified<FromDevice<PollRequest>>) -> Vec<Fact> {
    let parts = answered(view, request).into_parts().unwrap();
    parts.events.into_iter().map(|event| event.fact).collect()
}

#[test]
fn nothing_is_offered_while_the_cord_is_pulled_and_what_was_offered_is_taken_back() {
    let running = rollout(RolloutState::Running, GroupState::Open);
    let pulled = || Cord {
        number: 1,
        pulled: Some(crate::rollout::cord::Pulled {
            by: "ana".parse().unwrap(),
            reason: "smoke".into(),
            at: NOW,
            open_offers: None,
        }),
    };
    let mut waiting = view(device(), running.clone(), AssignmentState::Waiting);
    waiting.cord.value = Some(pulled());
    assert_eq!(answered(&waiting, &request(5, 0)).preview().orders, []);

    let mut offered = device();
    let kind = OrderKind::Install {
        rollout: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "2.0".parse().unwrap(),
    };
    let order = offered.give_order(kind, Some("r-1".parse().unwrap()), NOW).unwrap();
    let state = AssignmentState::Offered { order, lapses: NOW.plus_ms(1), at: NOW };
    let mut taken = view(offered, running, state);
    taken.cord.value = Some(pulled());
    let decision = answered(&taken, &request(5, order));
    let orders: Vec<OrderKind> = decision.preview().orders.iter().map(|o| o.kind.clone()).collect();
    assert_eq!(orders, [OrderKind::Halt { install: order }]);
}

#[test]
fn a_device_that_confirmed_and_runs_the_old_image_again_is_a_late_failure() {
    let mut watched = rollout(RolloutState::Running, GroupState::Open);
    watched.conduct.watch_ms = 1000;
    let done = |at| AssignmentState::Ended { outcome: Outcome::Done, at };
    let facts = decided(&view(device(), watched.clone(), done(NOW)), &request(5, 0));
    let late =
        |fact: &Fact| matches!(fact, Fact::Regressed { code, .. } if code == "rolled-back-late");
    assert!(facts.iter().any(late), "{facts:?}");
    let long_ago = Timestamp::from_ms(NOW.as_ms() - 1000);
    let facts = decided(&view(device(), watched, done(long_ago)), &request(5, 0));
    assert!(!facts.iter().any(late), "{facts:?}");
}

#[test]
fn under_a_cap_a_device_waits_for_its_turn_and_is_offered_with_it() {
    use crate::rollout::policy::{Growing, Growth};
    let mut capped = rollout(RolloutState::Running, GroupState::Open);
    let cap = Growing { start: 1, most: 1, growth: Growth::Linear { percent: 0 } };
    capped.groups[0].rules.concurrency = Some(cap);
    let waiting = view(device(), capped.clone(), AssignmentState::Waiting);
    let first = answered(&waiting, &request(5, 0));
    assert_eq!(first.preview().orders, []);
    assert_eq!(first.preview().bearing, Bearing::Moves);
    let ready = view(device(), capped.clone(), AssignmentState::Ready { since: NOW });
    let second = answered(&ready, &request(5, 0));
    assert_eq!(second.preview().bearing, Bearing::Quiet);
    let turn = view(device(), capped, AssignmentState::Admitted { until: NOW.plus_ms(1) });
    assert_eq!(answered(&turn, &request(5, 0)).preview().orders.len(), 1);
}

#[test]
fn a_certificate_that_is_used_ends_the_one_before_it() {
    let (new, old) = (Sha256Digest::of(b"new"), Sha256Digest::of(b"old"));
    let renewed = Device { certificates: vec![new, old], ..device() };
    let closed = rollout(RolloutState::Running, GroupState::Closed);
    let view = view(renewed, closed, AssignmentState::Waiting);
    let kept = |shown: Sha256Digest| {
        let context = PollContext {
            now: NOW,
            tuf_timestamp_version: 3,
            poll_interval_ms: 1000,
            certificate_life_ms: 1,
            nonce: Sha256Digest::of(b"next"),
            shown: Some(shown),
            bindings: Bindings::default(),
        };
        let Ok(Polled::Answered(decision)) = decide(&view, &request(5, 0), context) else {
            panic!("the poll was not answered");
        };
        let parts = decision.into_parts().unwrap();
        let (key, bytes) = &parts.put[0];
        crate::record::decode::<Device>(key, bytes).unwrap().certificates
    };
    // The answer to the renewal may have been lost, as long as nobody shows what was in it.
    assert_eq!(kept(old), [new, old]);
    assert_eq!(kept(new), [new]);
}

fn shut_in(level: Level) -> Device {
    let quarantine = Quarantine {
        by: "ana".parse().unwrap(),
        reason: "x".into(),
        since: NOW,
        confirmed: true,
        terms: Terms::of(level),
        word: None,
        ended: None,
    };
    Device { quarantine: Some(quarantine), ..device() }
}

fn cure(preserve: bool) -> Rollout {
    let mut cure = rollout(RolloutState::Running, GroupState::Open);
    cure.cures = Some("i-1".parse().unwrap());
    let preserve = preserve.then_some(Preserve { wait_ms: 1000, then: AfterWait::Patch });
    cure.conduct.preserve = preserve;
    cure
}

#[test]
fn a_cure_reaches_quarantine_at_every_level_but_the_one_that_revokes() {
    for level in Level::ALL {
        let view = view(shut_in(level), cure(false), AssignmentState::Waiting);
        let mut polls = request(5, 0).into_message();
        polls.message.quarantined = true;
        let polls = DevicePeer::from_checked_certificate(polls.device).vouch(polls.message);
        let orders = answered(&view, &polls).preview().orders.clone();
        let cured = orders.iter().any(|order| matches!(order.kind, OrderKind::Cure { .. }));
        assert_eq!(cured, level.lets_cures_in(), "{level}: {orders:?}");
        assert!(!orders.iter().any(|order| matches!(order.kind, OrderKind::Install { .. })));
    }
}

#[test]
fn an_offered_cure_is_not_taken_back_by_quarantine_and_an_install_is() {
    let kept = |rollout: &Rollout, level| {
        let mut device = shut_in(level);
        let release = &rollout.release;
        let (id, model) = (rollout.id.clone(), release.model.clone());
        let version = release.version.clone();
        let kind = match rollout.cures.clone() {
            Some(incident) => OrderKind::Cure { rollout: id, model, version, incident },
            None => OrderKind::Install { rollout: id, model, version },
        };
        let order = device.give_order(kind, Some(rollout.id.clone()), NOW).unwrap();
        let state = AssignmentState::Offered { order, lapses: NOW.plus_ms(1), at: NOW };
        let view = view(device, rollout.clone(), state);
        let orders = answered(&view, &request(5, 0)).preview().orders.clone();
        orders.iter().any(|order| order.kind.installs())
    };
    let usual = rollout(RolloutState::Running, GroupState::Open);
    assert!(kept(&cure(false), Level::Isolate) && !kept(&cure(false), Level::Revoke));
    assert!(kept(&usual, Level::Observe) && !kept(&usual, Level::Hold));
}

#[test]
fn evidence_that_an_incident_wants_is_here_before_the_cure_is_offered() {
    let bundle = |state| Some(("b-1".parse().unwrap(), state));
    let waits = PollView {
        evidence: bundle(BundleState::Ordered),
        ..view(device(), cure(true), AssignmentState::Waiting)
    };
    let first = answered(&waits, &request(5, 0));
    assert_eq!(first.preview().orders, []);
    let parts = first.into_parts().unwrap();
    let begun = parts.events.iter().any(|it| matches!(it.fact, Fact::EvidenceAwaited { .. }));
    assert!(begun, "{:?}", parts.events);
    assert!(parts.put.iter().any(|(key, _)| key == "assignment/r-1/d-1"), "its wait is kept");

    let since = |ms: u64| {
        let mut later = waits.clone();
        if let Some(part) = &mut later.parts[0].assignment.value {
            part.preserving_since = Some(Timestamp::from_ms(NOW.as_ms() - ms));
        }
        later
    };
    let offers = |view: &PollView| {
        let orders = answered(view, &request(5, 0)).preview().orders.clone();
        orders.iter().any(|order| matches!(order.kind, OrderKind::Cure { .. }))
    };
    assert!(!offers(&since(999)) && offers(&since(1000)), "the policy's time");
    for (state, offered) in [
        (BundleState::Ordered, false),
        (BundleState::Failed, false),
        (BundleState::Received, true),
        (BundleState::Deleted, true),
    ] {
        let view = PollView { evidence: bundle(state), ..since(10) };
        assert_eq!(offers(&view), offered, "{state:?}");
    }
    let mut firm = since(1_000_000);
    if let Some(rollout) = &mut firm.parts[0].rollout.value {
        rollout.conduct.preserve = Some(Preserve { wait_ms: 1000, then: AfterWait::Hold });
    }
    assert!(!offers(&firm), "a policy that holds waits for ever");
    assert!(offers(&PollView { evidence: None, ..waits.clone() }), "nothing is wanted of it");
}
