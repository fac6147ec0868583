//! TUF 5.3: the chain of roots.

use alloc::boxed::Box;
use alloc::vec;

use lazaret_protocol::time::Timestamp;
use serde_json::json;

use super::device::Device;
use super::repository::{EXPIRED, Key, Repository, file};
use crate::error::TufError;
use crate::stored::Notice;

fn threshold(role: &str, needed: u64, got: u64) -> TufError {
    TufError::ThresholdNotMet { role: role.into(), needed, got }
}

#[test]
fn a_new_device_asks_for_each_top_level_file_once() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    let asked = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(repository.take_asked(), asked);
    assert_eq!(device.versions(), [1, 1, 1, 1]);
    for role in ["snapshot", "targets"] {
        let served = &repository.files[&repository.wire_name(role)];
        assert_eq!(
            &device.disk[&crate::local_name(role)],
            served,
            "{role} is not kept as received"
        );
    }
}

#[test]
fn a_refresh_with_nothing_new_asks_for_two_files() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.take_asked();
    device.refresh(&repository).unwrap();
    assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn a_chain_of_300_roots_with_new_keys_each_time_is_followed() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    for _ in 0..300 {
        repository.rotate("root");
    }
    device.refresh(&repository).unwrap();
    assert_eq!(device.version("root"), 301);
}

#[test]
fn the_limit_of_rotations_is_made_good_by_the_next_refresh() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    for _ in 0..7 {
        repository.rotate("root");
    }
    device.limits.root_rotations_max = 3;
    for expected in [4, 7, 8] {
        device.refresh(&repository).unwrap();
        assert_eq!(device.version("root"), expected);
    }
}

#[test]
fn root_signed_below_the_threshold_of_the_trusted_root_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let stranger = repository.new_key();
    repository.set_keys("root", vec![stranger], 1);
    repository.publish_root(&[]);
    assert_eq!(device.refresh(&repository).unwrap_err(), threshold("root", 1, 0));
    assert_eq!(device.versions(), [1, 0, 0, 0]);
}

#[test]
fn root_signed_below_its_own_threshold_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let before = repository.keys["root"].clone();
    let keys = vec![repository.new_key(), repository.new_key()];
    repository.set_keys("root", keys.clone(), 2);
    repository.keys.insert("root".into(), vec![keys[0].clone()]);
    repository.publish_root(&before);
    assert_eq!(device.refresh(&repository).unwrap_err(), threshold("root", 2, 1));
    assert_eq!(device.version("root"), 1);
}

#[test]
fn a_raised_threshold_holds_from_the_root_after() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let before = repository.keys["root"].clone();
    let keys = vec![before[0].clone(), repository.new_key(), repository.new_key()];
    repository.set_keys("root", keys.clone(), 3);
    repository.publish_root(&before);
    // Version 3 is signed by only two of the three that version 2 asks for.
    repository.set_keys("root", keys[..2].to_vec(), 2);
    repository.publish_root(&[]);
    assert_eq!(device.refresh(&repository).unwrap_err(), threshold("root", 3, 2));
    assert_eq!(device.version("root"), 2);
}

#[test]
fn a_root_that_is_not_the_next_version_is_refused() {
    for (version, expected) in [
        (1, TufError::Rollback { role: "root".into(), trusted: 1, got: 1 }),
        (3, TufError::WrongVersion { role: "root".into(), expected: 2, got: 3 }),
    ] {
        let mut repository = Repository::new();
        let mut device = Device::new(&repository);
        repository.set("root", "version", json!(version));
        let bytes = file(&repository.signed["root"], &repository.keys["root"]);
        repository.files.insert("2.root.json".into(), bytes);
        assert_eq!(device.refresh(&repository).unwrap_err(), expected);
        assert_eq!(device.version("root"), 1);
    }
}

#[test]
fn an_intermediate_root_may_have_expired_and_the_last_may_not() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let keys = repository.keys["root"].clone();
    repository.set("root", "expires", json!(EXPIRED));
    repository.publish_root(&keys);
    let err = device.refresh(&repository).unwrap_err();
    let expires = Timestamp::parse_rfc3339(EXPIRED).unwrap();
    assert_eq!(err, TufError::Expired { role: "root".into(), expires, now: device.now });
    // It is kept all the same: the chain goes on from there.
    assert_eq!(device.versions(), [2, 0, 0, 0]);
    repository.set("root", "expires", json!(super::repository::EXPIRES));
    repository.publish_root(&keys);
    repository.take_asked();
    device.refresh(&repository).unwrap();
    assert_eq!(repository.take_asked()[0], "3.root.json");
    assert_eq!(device.versions(), [3, 1, 1, 1]);
}

#[test]
fn a_new_device_asks_for_nothing_when_its_root_is_not_signed() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    let stranger = Key::ed25519(999);
    let root = file(&repository.signed["root"], &[stranger]);
    device.disk.insert("root.json".into(), root);
    let source = Box::new(threshold("root", 1, 0));
    let expected = TufError::StoredCorrupt { file: "root.json".into(), source };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert!(repository.take_asked().is_empty());
}

#[test]
fn rotated_online_keys_recover_from_a_fast_forward_attack() {
    for role in ["timestamp", "snapshot"] {
        let mut repository = Repository::new();
        let mut device = Device::new(&repository);
        // Whoever stole the online keys runs ahead.
        for stolen in ["targets", "snapshot", "timestamp"] {
            repository.set(stolen, "version", json!(9_999_999));
            repository.write(stolen);
        }
        device.refresh(&repository).unwrap();
        assert_eq!(device.versions(), [1, 9_999_999, 9_999_999, 9_999_999]);
        for recovered in ["targets", "snapshot", "timestamp"] {
            repository.set(recovered, "version", json!(2));
        }
        repository.rotate(role);
        for recovered in ["targets", "snapshot", "timestamp"] {
            repository.write(recovered);
        }
        device.refresh(&repository).unwrap();
        assert_eq!(device.versions(), [2, 2, 2, 2], "after new {role} keys");
        assert_eq!(device.notices, [Notice::OnlineKeysRotated { root: 2 }]);
        assert_eq!(device.journal.timestamp, 2);
        assert_eq!(device.journal.roles["targets"], 2);
    }
}

#[test]
fn rotating_root_or_targets_keys_forgets_no_version() {
    for role in ["root", "targets"] {
        let mut repository = Repository::new();
        let mut device = Device::new(&repository);
        repository.publish("timestamp");
        device.refresh(&repository).unwrap();
        repository.rotate(role);
        repository.set("timestamp", "version", json!(1));
        repository.write("timestamp");
        let expected = TufError::Rollback { role: "timestamp".into(), trusted: 2, got: 1 };
        assert_eq!(device.refresh(&repository).unwrap_err(), expected);
        assert_eq!(device.version("root"), 2);
    }
}

#[test]
fn new_keys_of_every_role_are_used_at_once() {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let mut device = Device::new(&repository);
        device.refresh(&repository).unwrap();
        let old = repository.keys[role].clone();
        repository.rotate(role);
        if role == "root" {
            // The old key alone signs no further root.
            repository.keys.insert("root".into(), old);
            repository.publish_root(&[]);
        } else {
            let new = repository.keys.insert(role.into(), old).unwrap();
            repository.publish("targets");
            repository.release();
            assert_eq!(device.refresh(&repository).unwrap_err(), threshold(role, 1, 0));
            repository.keys.insert(role.into(), new);
            repository.publish("targets");
            repository.release();
            device.refresh(&repository).unwrap();
            continue;
        }
        assert_eq!(device.refresh(&repository).unwrap_err(), threshold(role, 1, 0));
        assert_eq!(device.version("root"), 2);
    }
}

#[test]
fn a_replay_from_before_a_rotation_is_refused_from_the_stored_root_on() {
    // What a client falls for that begins with the factory's root each time: the rotation looks
    // new to it, so that it forgets versions 6 to 9.
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.rotate("timestamp");
    for _ in 0..4 {
        repository.publish("timestamp");
    }
    let replayed = repository.files["timestamp.json"].clone();
    for _ in 0..4 {
        repository.publish("timestamp");
    }
    device.refresh(&repository).unwrap();
    assert_eq!(device.version("timestamp"), 9);
    repository.files.insert("timestamp.json".into(), replayed);
    let expected = TufError::Rollback { role: "timestamp".into(), trusted: 9, got: 5 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    // Nor does a lost root open that door, since the journal knows under which keys 9 was seen.
    let factory = repository.files["1.root.json"].clone();
    let (journal, now, limits) = (device.journal.clone(), device.now, device.limits.clone());
    let refresh =
        crate::Refresh::begin_from_factory_root(factory, journal.clone(), now, limits).unwrap();
    assert_eq!(device.run(refresh, &repository).unwrap_err(), expected);
    assert_eq!(device.journal, journal);
}

#[test]
fn a_lost_root_is_made_good_from_the_factory_root_up_to_the_floor() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.rotate("root");
    repository.rotate("root");
    device.refresh(&repository).unwrap();
    let factory = repository.files["1.root.json"].clone();
    let begin = |device: &Device| {
        let (journal, limits) = (device.journal.clone(), device.limits.clone());
        crate::Refresh::begin_from_factory_root(factory.clone(), journal, device.now, limits)
    };
    let withheld = repository.files.remove("3.root.json").unwrap();
    device.disk.clear();
    let refresh = begin(&device).unwrap();
    let expected = TufError::Rollback { role: "root".into(), trusted: 3, got: 2 };
    assert_eq!(device.run(refresh, &repository).unwrap_err(), expected);
    assert_eq!(device.journal.root, 3);
    repository.files.insert("3.root.json".into(), withheld);
    let refresh = begin(&device).unwrap();
    device.run(refresh, &repository).unwrap();
    assert_eq!(device.versions(), [3, 1, 1, 1]);
}

#[test]
fn a_root_with_the_last_version_there_is_asks_for_none_after() {
    let mut repository = Repository::new();
    repository.set("root", "version", json!(u64::MAX));
    let root = file(&repository.signed["root"], &repository.keys["root"]);
    let mut device = Device::new(&repository);
    device.disk.insert("root.json".into(), root);
    device.refresh(&repository).unwrap();
    assert_eq!(repository.take_asked()[0], "timestamp.json");
}
