//! TUF 5.6.1 to 5.6.6 and 5.7: the targets role, and fetching a target.

use alloc::string::ToString as _;
use alloc::vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::time::Timestamp;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::device::Device;
use super::repository::{EXPIRED, EXPIRES, Repository};
use crate::error::{Mismatch, TufError};

#[test]
fn a_target_is_found_with_all_that_is_said_of_it() {
    let mut repository = Repository::new();
    repository.add_target("targets", "trust/anchors", b"anchors");
    repository.publish_all();
    let mut device = Device::new(&repository);
    let target = device.find(&repository, "trust/anchors").unwrap();
    let digest = Sha256Digest::of(b"anchors");
    assert_eq!(target.name, "trust/anchors");
    assert_eq!(target.wire_path, alloc::format!("trust/{digest}.anchors"));
    assert_eq!((target.role.as_str(), target.role_version, target.length), ("targets", 2, 7));
    assert_eq!(target.hashes.sha256, Some(*digest.as_bytes()));
    assert_eq!(target.custom, json!({"by": "targets"}));
    assert_eq!(target.expires, Timestamp::parse_rfc3339(EXPIRES).unwrap());
}

#[test]
fn a_target_that_nobody_lists_is_not_found() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    let expected = TufError::TargetNotFound { name: "nothing".into() };
    assert_eq!(device.find(&repository, "nothing").unwrap_err(), expected);
}

#[test]
fn bytes_of_a_target_are_checked_while_they_stream() {
    let mut repository = Repository::new();
    let content = vec![7_u8; 1000];
    repository.add_target("targets", "t", &content);
    let sha512 = hex::encode(sha2::Sha512::digest(&content));
    repository.signed.get_mut("targets").unwrap()["targets"]["t"]["hashes"]["sha512"] =
        json!(sha512);
    repository.publish_all();
    let target = Device::new(&repository).find(&repository, "t").unwrap();
    assert_eq!(target.check_bytes(&content), Ok(()));
    let mut check = target.check();
    for piece in content.chunks(33) {
        check.update(piece).unwrap();
    }
    let mut endless = check.clone();
    assert_eq!(check.finish(), Ok(()));
    let expected = TufError::TooLarge { file: "t".into(), max: 1000, got: 1001 };
    assert_eq!(endless.update(&[7]), Err(expected));
    let mismatch = Mismatch::Length { expected: 1000, got: 999 };
    let expected = TufError::MixAndMatch { role: "t".into(), mismatch };
    assert_eq!(target.check_bytes(&content[1..]), Err(expected));
    let mut other = content;
    other[500] = 8;
    assert_eq!(target.check_bytes(&other).unwrap_err().code(), "tuf-mix-and-match");
}

#[test]
fn every_listed_hash_must_match() {
    let mut repository = Repository::new();
    repository.add_target("targets", "t", b"t");
    let entry = &mut repository.signed.get_mut("targets").unwrap()["targets"]["t"];
    entry["hashes"]["sha512"] = json!("00".repeat(64));
    repository.publish_all();
    let target = Device::new(&repository).find(&repository, "t").unwrap();
    let err = target.check_bytes(b"t").unwrap_err();
    let TufError::MixAndMatch { mismatch: Mismatch::Hash { algorithm, .. }, .. } = err else {
        panic!("{err:?}");
    };
    assert_eq!(algorithm, "sha512");
}

#[test]
fn a_broken_entry_stops_only_its_own_target() {
    for entry in [
        json!({"length": 1}),
        json!({"length": 1, "hashes": {}}),
        json!({"length": -1, "hashes": {"sha256": "00".repeat(32)}}),
        json!({"length": 1, "hashes": {"sha256": "../../evil"}}),
        json!({"length": 1, "hashes": {"md5": "00"}}),
        json!(7),
    ] {
        let mut repository = Repository::new();
        repository.add_target("targets", "good", b"good");
        repository.signed.get_mut("targets").unwrap()["targets"]["bad"] = entry;
        repository.publish_all();
        let mut device = Device::new(&repository);
        device.find(&repository, "good").unwrap();
        let err = device.find(&repository, "bad").unwrap_err();
        assert_eq!(err.code(), "tuf-bad-target");
    }
}

#[test]
fn targets_of_another_version_or_content_than_listed_are_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.publish_all();
    let good = repository.files["2.targets.json"].clone();
    let older = repository.files["1.targets.json"].clone();
    repository.files.insert("2.targets.json".into(), older);
    let mismatch = Mismatch::Version { expected: 2, got: 1 };
    let expected = TufError::MixAndMatch { role: "targets".into(), mismatch };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 2, 1]);
    repository.hashes = true;
    repository.files.insert("2.targets.json".into(), good.clone());
    repository.release();
    let text = core::str::from_utf8(&good).unwrap();
    let other = text.replacen("\"signatures\"", "\"signatureS\"", 1);
    repository.files.insert("2.targets.json".into(), other.into_bytes());
    let err = device.refresh(&repository).unwrap_err();
    assert_eq!(err.code(), "tuf-mix-and-match");
    repository.files.insert("2.targets.json".into(), good);
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [1, 3, 3, 2]);
}

#[test]
fn targets_signed_by_others_are_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let stranger = repository.new_key();
    repository.keys.insert("targets".into(), vec![stranger]);
    repository.publish_all();
    let expected = TufError::ThresholdNotMet { role: "targets".into(), needed: 1, got: 0 };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 2, 0]);
}

#[test]
fn expired_targets_are_refused_and_the_trusted_ones_stay() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.set("targets", "expires", json!(EXPIRED));
    repository.publish_all();
    let expires = Timestamp::parse_rfc3339(EXPIRED).unwrap();
    let expected = TufError::Expired { role: "targets".into(), expires, now: device.now };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.versions(), [1, 2, 2, 1]);
}

#[test]
fn delegations_of_the_wrong_form_are_refused() {
    let role = |name: &str, extra: Value| {
        let mut role = json!({"name": name, "keyids": [], "threshold": 1});
        for (field, value) in extra.as_object().unwrap() {
            role[field] = value.clone();
        }
        role
    };
    let good = role("a", json!({"paths": ["*"], "terminating": false}));
    let long = "a".repeat(300);
    for delegations in [
        json!([]),
        json!({}),
        json!({"keys": []}),
        json!({"keys": {}}),
        json!({"keys": {}, "roles": {}}),
        json!({"keys": {}, "roles": [good, good]}),
        json!({"keys": {}, "roles": [good], "succinct_roles": {}}),
        json!({"keys": {}, "roles": [role("root", json!({"paths": []}))]}),
        json!({"keys": {}, "roles": [role("timestamp", json!({"paths": []}))]}),
        json!({"keys": {}, "roles": [role("", json!({"paths": []}))]}),
        json!({"keys": {}, "roles": [role(&long, json!({"paths": []}))]}),
        json!({"keys": {}, "roles": [role("a", json!({}))]}),
        json!({"keys": {}, "roles": [role("a", json!({"paths": [], "path_hash_prefixes": []}))]}),
        json!({"keys": {}, "roles": [role("a", json!({"paths": [1]}))]}),
        json!({"keys": {}, "roles": [role("a", json!({"paths": ["a".repeat(5000)]}))]}),
        json!({"keys": {}, "roles": [role("a", json!({"paths": [], "threshold": 0}))]}),
        json!({"keys": {}, "roles": [role("a", json!({"paths": [], "terminating": 1}))]}),
        json!({"keys": {}, "succinct_roles":
            {"keyids": [], "threshold": 1, "bit_length": 0, "name_prefix": "b"}}),
        json!({"keys": {}, "succinct_roles":
            {"keyids": [], "threshold": 1, "bit_length": 33, "name_prefix": "b"}}),
        json!({"keys": {}, "succinct_roles": {"keyids": [], "threshold": 1, "bit_length": 3}}),
    ] {
        let mut repository = Repository::new();
        repository.set("targets", "delegations", delegations.clone());
        repository.publish_all();
        let err = Device::new(&repository).refresh(&repository).unwrap_err();
        assert_eq!(err.code(), "tuf-malformed", "{delegations}");
        assert!(err.to_string().contains("targets"));
    }
}
