//! A device goes up in quarantine by an order and down by a proof alone.

use super::*;
use alloc::vec;
use lazaret_protocol::containment::Level;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, ModelName};
use lazaret_protocol::order::OrderKind;
use lazaret_protocol::release::ReleaseProof;
use lazaret_protocol::time::Timestamp;

use crate::event::Event;
use crate::update::step;

const NOW: Timestamp = Timestamp::from_ms(1_000_000);

fn order(sequence: u64, kind: OrderKind) -> Order {
    Order {
        device: "d-1".parse().unwrap(),
        sequence,
        issued: NOW,
        expires: NOW.plus_ms(1000),
        kind,
    }
}

fn quarantine(level: Level) -> OrderKind {
    OrderKind::Quarantine { reason: "suspicion".into(), terms: Terms::of(level) }
}

fn told(journal: &Journal, event: &Event) -> Journal {
    let (device, model): (DeviceId, ModelName) = ("d-1".parse().unwrap(), "gw2".parse().unwrap());
    let at = Situation { now: NOW, device: &device, model: &model, booted: None, tries: 3 };
    step(journal, event, &at).0
}

fn held(level: Level) -> Journal {
    told(&Journal::fresh(), &Event::Ordered(order(5, quarantine(level))))
}

fn outcome(journal: &Journal, order: u64) -> Option<Outcome> {
    let report = journal.reports.iter().find(|report| report.order == order);
    report.map(|report| report.outcome.clone())
}

fn refused(journal: &Journal, order: u64) -> String {
    match outcome(journal, order) {
        Some(Outcome::Refused { code, .. }) => code,
        other => panic!("expected a refusal of {order}, got {other:?}"),
    }
}

#[test]
fn a_level_goes_up_by_an_order_and_never_down_by_one() {
    for (at, first) in Level::ALL.into_iter().enumerate() {
        for (to, second) in Level::ALL.into_iter().enumerate() {
            let after = told(&held(first), &Event::Ordered(order(6, quarantine(second))));
            if to < at {
                assert_eq!(after.quarantine.level(), Some(first), "{first} to {second}");
                assert_eq!(refused(&after, 6), "needs-release");
            } else {
                assert_eq!(after.quarantine.level(), Some(second), "{first} to {second}");
            }
        }
    }
}

#[test]
fn isolation_is_reported_once_and_only_when_it_was_tried() {
    let waiting = held(Level::Isolate);
    assert_eq!(outcome(&waiting, 5), None);
    let failed = Some(Reason::new("nftables: nft is missing"));
    let not = told(&waiting, &Event::Contained { order: 5, failed });
    assert!(
        matches!(outcome(&not, 5), Some(Outcome::Failed { code, .. }) if code == "not-contained")
    );
    let proved = told(&waiting, &Event::Contained { order: 5, failed: None });
    assert_eq!(outcome(&proved, 5), Some(Outcome::Done));
    let again = told(&proved, &Event::Contained { order: 5, failed: None });
    assert_eq!(again.reports.len(), 1);
    let other = told(&waiting, &Event::Contained { order: 4, failed: None });
    assert_eq!(other.reports.len(), 0);
}

#[test]
fn an_isolation_that_another_takes_the_place_of_ends_as_well() {
    let raised = told(&held(Level::Isolate), &Event::Ordered(order(6, quarantine(Level::Revoke))));
    assert!(
        matches!(outcome(&raised, 5), Some(Outcome::Failed { code, .. }) if code == "superseded")
    );
    assert_eq!((raised.quarantine.order(), raised.quarantine.is_pending()), (Some(6), true));
}

#[test]
fn terms_that_no_rule_can_hold_are_refused_and_leave_the_device_as_it_was() {
    let terms = Terms { open: vec!["0.0.0.0:1".parse().unwrap()], ..Terms::of(Level::Isolate) };
    let kind = OrderKind::Quarantine { reason: "x".into(), terms };
    let after = told(&Journal::fresh(), &Event::Ordered(order(5, kind)));
    assert_eq!(refused(&after, 5), "bad-terms");
    assert_eq!(after.quarantine, Quarantine::Free);
}

fn release() -> OrderKind {
    OrderKind::Release {
        proof: ReleaseProof {
            statement: vec![],
            signatures: vec![],
            index: 0,
            path: vec![],
            challenge: Sha256Digest::of(b"challenge"),
        },
    }
}

#[test]
fn nothing_but_a_proof_sets_a_device_free() {
    let held = held(Level::Restrict);
    let unweighed = told(&held, &Event::Ordered(order(6, release())));
    assert_eq!(refused(&unweighed, 6), "release-not-proved");
    assert_eq!(unweighed.quarantine, held.quarantine);
    let why = ("release-not-proved".into(), Reason::new("one approver of two"));
    let event = Event::ReleaseWeighed { order: order(6, release()), proved: Err(why) };
    let weighed = told(&held, &event);
    assert_eq!(refused(&weighed, 6), "release-not-proved");
    assert_eq!(weighed.quarantine, held.quarantine);
    let replayed = told(&weighed, &event);
    assert_eq!(replayed, weighed, "a replay changes nothing");
}

#[test]
fn a_mild_level_lets_updates_go_on() {
    let install = OrderKind::Install {
        rollout: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "v2".parse().unwrap(),
    };
    let begun = |level| told(&held(level), &Event::Ordered(order(6, install.clone())));
    assert_eq!(begun(Level::Observe).update.name(), "accepted");
    for level in [Level::Hold, Level::Restrict, Level::Isolate, Level::Revoke] {
        assert_eq!(refused(&begun(level), 6), "quarantined", "{level}");
    }
}

fn cure() -> OrderKind {
    OrderKind::Cure {
        rollout: "r-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        version: "v2".parse().unwrap(),
        incident: "i-1".parse().unwrap(),
    }
}

#[test]
fn a_cure_comes_in_at_every_level_but_the_one_that_revokes() {
    for level in Level::ALL {
        let after = told(&held(level), &Event::Ordered(order(6, cure())));
        match level {
            Level::Revoke => assert_eq!(refused(&after, 6), "quarantined"),
            _ => assert_eq!(after.update.name(), "accepted", "{level}"),
        }
        assert_eq!(after.quarantine.level(), Some(level), "a cure lets nobody out");
    }
}

#[test]
fn a_cure_under_way_outlives_quarantine_and_not_revocation() {
    let begun = told(&Journal::fresh(), &Event::Ordered(order(5, cure())));
    for level in Level::ALL {
        let after = told(&begun, &Event::Ordered(order(6, quarantine(level))));
        match level {
            Level::Revoke => assert_eq!(refused(&after, 5), "quarantined"),
            _ => assert_eq!(after.update.name(), "accepted", "{level}"),
        }
    }
}
