//! What is stored: corruption, floors, and the power going at any moment.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;
use serde_json::json;

use super::device::{Device, drive};
use super::repository::Repository;
use crate::error::TufError;
use crate::machine::{Machine as _, Supplied, Want};
use crate::name::local_name;
use crate::stored::{Floors, Notice, Stored};

fn corrupt(role: &str, source: TufError) -> TufError {
    TufError::StoredCorrupt { file: local_name(role), source: Box::new(source) }
}

/// A repository with a delegated role, and a device that has everything.
fn complete() -> (Repository, Device) {
    let mut repository = Repository::new();
    repository.delegate("targets", "a", &["*"], false);
    repository.add_target("a", "t", b"t");
    repository.publish_all();
    let mut device = Device::new(&repository);
    device.find(&repository, "t").unwrap();
    (repository, device)
}

#[test]
fn a_corrupt_file_is_named_and_never_passed_over() {
    for role in ["root", "timestamp", "snapshot", "targets", "a"] {
        let (repository, mut device) = complete();
        repository.take_asked();
        let whole = device.disk[&local_name(role)].clone();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            device.disk.insert(local_name(role), whole[..cut].to_vec());
            let err = device.refresh(&repository).unwrap_err();
            let TufError::StoredCorrupt { file, .. } = err else { panic!("{err:?}") };
            assert_eq!(file, local_name(role));
        }
        assert!(repository.take_asked().is_empty());
    }
}

#[test]
fn a_changed_file_is_named_and_never_believed() {
    for role in ["root", "timestamp", "snapshot"] {
        let (repository, mut device) = complete();
        let text = String::from_utf8(device.disk[&local_name(role)].clone()).unwrap();
        let changed = text.replacen("2030", "2031", 1);
        assert_ne!(text, changed);
        device.disk.insert(local_name(role), changed.into_bytes());
        let source = TufError::ThresholdNotMet { role: role.into(), needed: 1, got: 0 };
        assert_eq!(device.refresh(&repository).unwrap_err(), corrupt(role, source));
    }
}

#[test]
fn a_changed_role_is_set_aside_and_asked_for_again() {
    let (repository, mut device) = complete();
    let whole = device.disk["a.json"].clone();
    let changed = String::from_utf8(whole.clone()).unwrap().replacen("2030", "2031", 1);
    device.disk.insert("a.json".into(), changed.into_bytes());
    repository.take_asked();
    device.find(&repository, "t").unwrap();
    assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json", "2.a.json"]);
    let why = TufError::ThresholdNotMet { role: "a".into(), needed: 1, got: 0 };
    assert_eq!(device.notices, [Notice::StoredSetAside { role: "a".into(), why }]);
    assert_eq!(device.disk["a.json"], whole);
}

#[test]
fn a_disk_that_went_back_in_time_is_noticed() {
    for role in ["root", "timestamp", "snapshot"] {
        let (mut repository, mut device) = complete();
        let older = device.disk.clone();
        repository.rotate("root");
        repository.publish_all();
        device.find(&repository, "t").unwrap();
        let floor = device.version(role);
        device.disk.insert(local_name(role), older[&local_name(role)].clone());
        let (file, got) = (local_name(role), floor - 1);
        let expected = TufError::StoredBelowFloor { file, role: role.into(), floor, got };
        assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    }
}

#[test]
fn a_snapshot_that_lists_a_role_below_its_floor_is_blamed() {
    let (repository, mut device) = complete();
    device.journal.roles.insert("a".into(), 9);
    let file = "snapshot.json".into();
    let expected = TufError::StoredBelowFloor { file, role: "a".into(), floor: 9, got: 2 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn the_floors_guard_where_files_are_lost() {
    let (mut repository, mut device) = complete();
    repository.publish_all();
    device.find(&repository, "t").unwrap();
    let floors = device.journal.clone();
    assert_eq!((floors.root, floors.timestamp, floors.snapshot), (1, 3, 3));
    assert_eq!(floors.roles["a"], 3);
    for file in ["timestamp.json", "snapshot.json", "targets.json", "a.json"] {
        device.disk.remove(file);
    }
    let mut try_with = |role: &str, repository: &mut Repository| {
        let err = device.refresh(repository).unwrap_err();
        assert_eq!(err, TufError::Rollback { role: role.into(), trusted: 3, got: 2 });
        assert!(
            device.notices.contains(&Notice::StoredMissing { role: "timestamp".into(), floor: 3 })
        );
        device.disk.remove("timestamp.json");
    };
    repository.set("timestamp", "version", json!(2));
    repository.write("timestamp");
    try_with("timestamp", &mut repository);
    repository.set("timestamp", "version", json!(3));
    repository.set("snapshot", "version", json!(2));
    repository.write("timestamp");
    try_with("snapshot", &mut repository);
    for role in ["targets", "a"] {
        repository.set("snapshot", "version", json!(3));
        repository.set(role, "version", json!(2));
        repository.write("snapshot");
        repository.write("timestamp");
        try_with(role, &mut repository);
        repository.set(role, "version", json!(3));
    }
    repository.write("snapshot");
    repository.write("timestamp");
    device.find(&repository, "t").unwrap();
    assert_eq!(device.versions(), [1, 3, 3, 3]);
    assert_eq!(device.journal, floors);
}

#[test]
fn floors_survive_their_way_through_a_journal() {
    let (_, device) = complete();
    let text = serde_json::to_string(&device.journal).unwrap();
    assert_eq!(serde_json::from_str::<Floors>(&text).unwrap(), device.journal);
    assert_eq!(serde_json::from_str::<Floors>("{}").unwrap(), Floors::default());
}

/// The power goes after each number of changes in turn, with the journal never written; then the
/// next refresh must take up what is there, and must not have forgotten what was trusted before.
#[test]
fn a_power_cut_between_any_two_writes_is_taken_up_by_the_next_refresh() {
    type Prepare = fn(&mut Repository);
    let cases: [(Prepare, usize); 3] = [
        (Repository::publish_all, 4),
        (
            |repository| {
                repository.rotate("timestamp");
                repository.publish_all();
            },
            7,
        ),
        (
            |repository| {
                repository.rotate("snapshot");
                repository.rotate("timestamp");
                repository.rotate("root");
                repository.publish_all();
            },
            7,
        ),
    ];
    for (prepare, changes) in cases {
        for power in 0..=changes {
            let (mut repository, mut device) = complete();
            let old = repository.files["timestamp.json"].clone();
            repository.publish("timestamp");
            device.refresh(&repository).unwrap();
            prepare(&mut repository);
            device.power = power;
            device.find(&repository, "t").unwrap();
            let used_all = device.power > 0;
            assert!(!used_all, "expected {changes} changes at least");
            device.power = usize::MAX;
            // A replay of what was seen before the cut stays refused,
            let new = repository.files.insert("timestamp.json".into(), old.clone()).unwrap();
            let err = device.refresh(&repository).unwrap_err();
            let refused = ["tuf-rollback", "tuf-threshold-not-met"];
            assert!(refused.contains(&err.code()), "{err:?} after {power} changes");
            // and what is there is taken up.
            repository.files.insert("timestamp.json".into(), new);
            device.find(&repository, "t").unwrap();
            assert_eq!(device.version("timestamp"), repository.version("timestamp"));
            assert_eq!(device.version("a"), repository.version("a"));
        }
    }
}

#[test]
fn a_power_cut_does_not_undo_the_recovery_from_a_fast_forward_attack() {
    let (mut repository, mut device) = complete();
    for stolen in ["snapshot", "timestamp"] {
        repository.set(stolen, "version", json!(9_999_999));
        repository.write(stolen);
    }
    device.refresh(&repository).unwrap();
    repository.rotate("timestamp");
    for recovered in ["snapshot", "timestamp"] {
        repository.set(recovered, "version", json!(3));
        repository.write(recovered);
    }
    // Two files are deleted and the root is written; the journal still says 9,999,999.
    device.power = 3;
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [2, 0, 0, 2]);
    assert_eq!(device.journal.timestamp, 9_999_999);
    device.power = usize::MAX;
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [2, 3, 3, 2]);
    assert_eq!(device.journal.timestamp, 3);
}

/// The same guards without a journal, by the files alone.
#[test]
fn the_files_guard_where_there_is_no_journal() {
    let rollback =
        |role: &str, got: u64| TufError::Rollback { role: role.into(), trusted: got + 1, got };
    let (mut repository, mut device) = complete();
    repository.publish_all();
    device.refresh(&repository).unwrap();
    repository.set("a", "version", json!(2));
    repository.release();
    device.journal = Floors::default();
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("a", 2));
    // Its timestamp was accepted, and lists snapshot 4.
    repository.set("snapshot", "version", json!(3));
    repository.publish("timestamp");
    device.journal = Floors::default();
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("snapshot", 3));
    repository.set("timestamp", "version", json!(3));
    repository.write("timestamp");
    device.journal = Floors::default();
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("timestamp", 3));
}

#[test]
fn stored_metadata_that_has_expired_is_neither_used_nor_asked_for_again() {
    let soon = "2026-11-02T00:00:00Z";
    for role in ["snapshot", "targets", "a"] {
        let (mut repository, mut device) = complete();
        repository.set(role, "expires", json!(soon));
        repository.publish_all();
        device.find(&repository, "t").unwrap();
        repository.take_asked();
        let expires = Timestamp::parse_rfc3339(soon).unwrap();
        device.now = expires;
        let mut expected = TufError::Expired { role: role.into(), expires, now: expires };
        if role == "a" {
            expected = TufError::RoleUnverified { role: role.into(), source: Box::new(expected) };
        }
        assert_eq!(device.find(&repository, "t").unwrap_err(), expected);
        assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json"]);
        assert!(device.notices.is_empty());
    }
}

#[test]
fn a_snapshot_that_could_not_be_fetched_is_made_good_under_the_same_timestamp() {
    let (mut repository, mut device) = complete();
    repository.publish_all();
    let snapshot = repository.files.remove("3.snapshot.json").unwrap();
    let expected = TufError::Missing { file: "3.snapshot.json".into() };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 3, 2, 2]);
    repository.files.insert("3.snapshot.json".into(), snapshot);
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [1, 3, 3, 3]);
}

#[test]
fn files_of_roles_that_are_listed_no_more_are_deleted() {
    let (mut repository, mut device) = complete();
    assert!(device.disk.contains_key("a.json"));
    repository.rotate("snapshot");
    repository.signed.remove("a");
    repository.release();
    device.refresh(&repository).unwrap();
    assert!(!device.disk.contains_key("a.json"));
}

#[test]
fn a_file_that_was_not_asked_for_changes_nothing() {
    let (repository, device) = complete();
    let mut refresh = device.begin().unwrap();
    drive(&mut refresh, &repository).unwrap();
    assert_eq!(refresh.next(), Want::Nothing);
    assert_eq!(refresh.supply(Supplied::Missing), Err(TufError::NotWanted));
    let mut trusted = refresh.finish().unwrap();
    let mut search = trusted.find("t");
    assert_eq!(search.supply(Supplied::Bytes(Vec::new())), Err(TufError::NotWanted));
    assert_eq!(search.finish().unwrap().role, "a");
}

#[test]
fn the_outcome_before_the_end_is_an_error() {
    let repository = Repository::new();
    let device = Device::new(&repository);
    let refresh = device.begin().unwrap();
    let expected = TufError::NotFinished { file: "2.root.json".into() };
    assert_eq!(refresh.finish().unwrap_err(), expected);
}

#[test]
fn a_failed_refresh_wants_nothing_more() {
    let mut repository = Repository::new();
    let device = Device::new(&repository);
    repository.files.insert("timestamp.json".into(), b"{}".to_vec());
    let mut refresh = device.begin().unwrap();
    let err = drive(&mut refresh, &repository).unwrap_err();
    assert_eq!(refresh.next(), Want::Nothing);
    assert_eq!(refresh.supply(Supplied::Missing), Err(TufError::NotWanted));
    assert_eq!(refresh.finish().unwrap_err(), err);
}

#[test]
fn a_folder_without_a_root_is_no_store() {
    assert_eq!(Stored::from_files([("timestamp.json".into(), Vec::new())]), None);
    let files = ["root.json", "a%2Fb.json", "README", "%zz.json", "a/b.json"];
    let stored = Stored::from_files(files.map(|file| (file.into(), Vec::new()))).unwrap();
    assert_eq!(stored.roles.keys().collect::<Vec<_>>(), ["a/b"]);
}
