//! Containment goes up at once and never down, and no one person takes the fleet down with it.

use super::*;
use alloc::vec;
use lazaret_protocol::containment::ContainmentWord;

use crate::enroll::{Entry, Issued, entered};

const NOW: Timestamp = Timestamp::from_ms(10 * HOUR_MS);

fn device() -> Device {
    let entry = Entry {
        device: "d-1".parse().unwrap(),
        serial: "s-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
    };
    let issued = Issued {
        key: lazaret_protocol::key::PublicKey::EcdsaP256(vec![4; 65]),
        certificate: lazaret_protocol::digest::Sha256Digest::of(b"c"),
        ends: NOW,
    };
    entered(entry, issued, Timestamp::from_ms(0))
}

fn found<T>(key: &str, value: Option<T>) -> Found<T> {
    Found { key: key.into(), version: value.as_ref().map(|_| 1), value }
}

fn person(name: &str) -> OperatorName {
    name.parse().unwrap()
}

fn at(device: Device, level: Level) -> Result<Device, Refused> {
    let found = found("device/d-1", Some(device));
    let decided = quarantine(&found, ("x", &Terms::of(level)), (&person("ana"), NOW))?;
    Ok(decided.preview().clone())
}

#[test]
fn a_level_is_raised_at_once_and_lowered_by_nobody() {
    for (from, first) in Level::ALL.into_iter().enumerate() {
        let held = at(device(), first).unwrap();
        for (to, second) in Level::ALL.into_iter().enumerate() {
            let again = at(held.clone(), second);
            if to < from {
                assert_eq!(again.unwrap_err().code, RefusalCode::Conflict, "{first} to {second}");
            } else {
                assert_eq!(again.unwrap().level(), Some(second), "{first} to {second}");
            }
        }
    }
}

#[test]
fn each_level_leaves_open_what_it_says() {
    use Access::{Cure, Evidence, Other, Talk};
    let open = |level| {
        let device = at(device(), level).unwrap();
        [Talk, Cure, Evidence, Other].map(|access| allows(&device, access).is_ok())
    };
    assert_eq!(open(Level::Observe), [true; 4]);
    assert_eq!(open(Level::Hold), [true; 4]);
    assert_eq!(open(Level::Restrict), [true, true, true, false]);
    assert_eq!(open(Level::Isolate), [true, true, true, false]);
    assert_eq!(open(Level::Revoke), [true, false, true, false]);
}

#[test]
fn what_was_stopped_stays_stopped_when_the_level_rises() {
    let stopping =
        |level, unit: &str| Terms { stop: vec![unit.parse().unwrap()], ..Terms::of(level) };
    let ana = person("ana");
    let first = found("device/d-1", Some(device()));
    let held = quarantine(&first, ("x", &stopping(Level::Isolate, "a.service")), (&ana, NOW));
    let held = found("device/d-1", Some(held.unwrap().preview().clone()));
    let more = quarantine(&held, ("x", &stopping(Level::Isolate, "b.service")), (&ana, NOW));
    let more = more.unwrap().preview().quarantine.clone().unwrap();
    let names: Vec<&str> = more.terms.stop.iter().map(|unit| unit.as_str()).collect();
    assert_eq!(names, ["b.service", "a.service"]);
}

#[test]
fn an_allowance_is_per_person_and_hour_and_comes_back() {
    let allowance = Allowance { devices: 20, permille: 10 };
    assert_eq!([allowance.of(5), allowance.of(2000), allowance.of(100_000)], [20, 20, 1000]);
    let none = found("containment-spent/ana", None);
    assert_eq!(spent(&none, NOW), 0);
    let mut record = spend(&none, 15, (&person("ana"), NOW));
    for _ in 0..300 {
        record = spend(&found("k", Some(record)), 1, (&person("ana"), NOW));
    }
    assert!(record.taken.len() <= 129);
    let later = found("k", Some(record));
    assert_eq!(spent(&later, NOW), 315);
    assert_eq!(spent(&later, NOW.plus_ms(HOUR_MS)), 0);
}

#[test]
fn the_second_person_is_another_and_in_time() {
    let act = Act {
        incident: None,
        id: "q-1".into(),
        by: person("ana"),
        reason: "x".into(),
        terms: Terms::of(Level::Isolate),
        devices: vec!["d-1".parse().unwrap()],
        at: NOW,
        state: ActState::Waiting,
    };
    let waiting = found("containment-act/q-1", Some(act));
    let same = confirm(&waiting, (&person("ana"), NOW)).unwrap_err();
    assert_eq!(same.code, RefusalCode::SecondPersonNeeded);
    let other = confirm(&waiting, (&person("bo"), NOW)).unwrap();
    let begun = ActState::Begun { confirmed_by: Some(person("bo")) };
    assert_eq!(other.preview().state, begun);
    let late = confirm(&waiting, (&person("bo"), NOW.plus_ms(WAITING_MS + 1))).unwrap_err();
    assert_eq!(late.code, RefusalCode::Conflict);
}

#[test]
fn nobody_is_asked_out_of_quarantine_without_the_nonce_that_they_made() {
    let held = at(device(), Level::Isolate).unwrap();
    let ask = |device: Device| {
        let all = [found("device/d-1", Some(device))];
        leave::request("x-1".into(), &all, "patched", (&person("ana"), NOW))
    };
    assert_eq!(ask(device()).unwrap_err().code, RefusalCode::Conflict, "it is free");
    assert_eq!(ask(held.clone()).unwrap_err().code, RefusalCode::Conflict, "it has no nonce");
    let mut said = held;
    said.quarantine.as_mut().unwrap().word = Some(ContainmentWord {
        order: 1,
        level: Level::Isolate,
        nonce: Some(lazaret_protocol::digest::Sha256Digest::of(b"n")),
        measures: vec![],
    });
    assert_eq!(ask(said).unwrap().preview().statement.devices, 1);
}
