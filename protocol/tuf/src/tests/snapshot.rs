//! TUF 5.5: the snapshot.

use alloc::vec::Vec;

use lazaret_protocol::time::Timestamp;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::device::Device;
use super::repository::{EXPIRED, Repository};
use crate::error::{Mismatch, TufError};

/// A file that says the same with other bytes.
fn reformatted(bytes: &[u8]) -> Vec<u8> {
    serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(bytes).unwrap()).unwrap()
}

fn mixed(role: &str, mismatch: Mismatch) -> TufError {
    TufError::MixAndMatch { role: role.into(), mismatch }
}

#[test]
fn a_snapshot_other_than_the_listed_one_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.hashes = true;
    repository.publish("timestamp");
    let good = repository.files["1.snapshot.json"].clone();
    let len = u64::try_from(good.len()).unwrap();
    // Longer is cut off while it is read, shorter is another length, and then the hash decides.
    repository.files.insert("1.snapshot.json".into(), reformatted(&good));
    let expected = TufError::TooLarge { file: "1.snapshot.json".into(), max: len, got: len + 1 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    repository.files.insert("1.snapshot.json".into(), good[1..].to_vec());
    let expected = mixed("snapshot", Mismatch::Length { expected: len, got: len - 1 });
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    let mut other = good.clone();
    other[0] = b' ';
    repository.files.insert("1.snapshot.json".into(), other.clone());
    let hash = |bytes: &[u8]| hex::encode(sha2::Sha256::digest(bytes));
    let (expected, got) = (hash(&good), hash(&other));
    let expected = mixed("snapshot", Mismatch::Hash { algorithm: "sha256", expected, got });
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 0, 0]);
    repository.files.insert("1.snapshot.json".into(), good);
    device.refresh(&repository).unwrap();
}

#[test]
fn sha512_alone_is_enough() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let good = repository.files["1.snapshot.json"].clone();
    let hash = hex::encode(sha2::Sha512::digest(&good));
    let hashes = json!({"sha512": hash, "blake9": "aa"});
    repository.set("timestamp", "meta", json!({"snapshot.json": {"version": 1, "hashes": hashes}}));
    repository.write_as_is("timestamp");
    let mut other = good.clone();
    other.push(b' ');
    repository.files.insert("1.snapshot.json".into(), other);
    assert_eq!(device.refresh(&repository).unwrap_err().code(), "tuf-mix-and-match");
    repository.files.insert("1.snapshot.json".into(), good);
    device.refresh(&repository).unwrap();
}

#[test]
fn a_snapshot_of_another_version_than_listed_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.publish("snapshot");
    let newer = repository.files["2.snapshot.json"].clone();
    repository.files.insert("1.snapshot.json".into(), newer);
    let expected = mixed("snapshot", Mismatch::Version { expected: 1, got: 2 });
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 1, 0, 0]);
}

#[test]
fn no_role_in_the_snapshot_goes_back() {
    for hashes in [false, true] {
        for role in ["targets", "a"] {
            let mut repository = Repository::new();
            repository.hashes = hashes;
            let mut device = Device::new(&repository);
            repository.delegate("targets", "a", &["*"], false);
            repository.publish_all();
            repository.publish_all();
            device.refresh(&repository).unwrap();
            assert_eq!(device.versions(), [1, 3, 3, 3]);
            repository.set(role, "version", json!(1));
            repository.write(role);
            repository.release();
            let expected = TufError::Rollback { role: role.into(), trusted: 3, got: 1 };
            assert_eq!(device.refresh(&repository).unwrap_err(), expected);
            assert_eq!(device.versions(), [1, 4, 3, 3]);
        }
    }
}

#[test]
fn no_role_vanishes_from_the_snapshot() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.delegate("targets", "a", &["*"], false);
    repository.publish_all();
    device.refresh(&repository).unwrap();
    repository.signed.remove("a");
    repository.release();
    let expected = TufError::RoleVanished { role: "a".into() };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.version("snapshot"), 2);
}

#[test]
fn an_expired_snapshot_is_refused_and_the_trusted_one_stays() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.set("snapshot", "expires", json!(EXPIRED));
    repository.release();
    let expires = Timestamp::parse_rfc3339(EXPIRED).unwrap();
    let expected = TufError::Expired { role: "snapshot".into(), expires, now: device.now };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 1, 1]);
}

#[test]
fn a_snapshot_below_its_threshold_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let stranger = repository.new_key();
    repository.keys.insert("snapshot".into(), alloc::vec![stranger]);
    repository.release();
    let expected = TufError::ThresholdNotMet { role: "snapshot".into(), needed: 1, got: 0 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 0, 0]);
}

#[test]
fn a_snapshot_without_targets_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.set("snapshot", "meta", json!({}));
    repository.write_as_is("snapshot");
    let expected = TufError::NotInSnapshot { role: "targets".into() };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn an_endless_snapshot_without_a_listed_length_is_cut_off() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.limits.snapshot_bytes_max = 1000;
    repository.files.insert("1.snapshot.json".into(), alloc::vec![b'['; 5000]);
    let expected = TufError::TooLarge { file: "1.snapshot.json".into(), max: 1000, got: 1001 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn a_listed_length_beyond_the_limit_does_not_raise_it() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.limits.snapshot_bytes_max = 10;
    let listed = json!({"version": 1, "length": u64::MAX});
    repository.set("timestamp", "meta", json!({"snapshot.json": listed}));
    repository.write_as_is("timestamp");
    let expected = TufError::TooLarge { file: "1.snapshot.json".into(), max: 10, got: 11 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn names_carry_no_version_without_consistent_snapshots() {
    for field in [json!(false), Value::Null] {
        let mut repository = Repository::new();
        let root = repository.signed.get_mut("root").unwrap().as_object_mut().unwrap();
        root.remove("consistent_snapshot");
        if field == json!(false) {
            root.insert("consistent_snapshot".into(), field);
        }
        let keys = repository.keys["root"].clone();
        repository.publish_root(&keys);
        repository.add_target("targets", "dir/t", b"t");
        repository.publish_all();
        let mut device = Device::new(&repository);
        let target = device.find(&repository, "dir/t").unwrap();
        assert_eq!(target.wire_path, "dir/t");
        let asked = repository.take_asked();
        let expected =
            ["2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"];
        assert_eq!(asked, expected);
    }
}
