//! TUF 5.4: the timestamp.

use alloc::string::ToString as _;
use alloc::vec;

use lazaret_protocol::time::Timestamp;
use serde_json::json;

use super::device::Device;
use super::repository::{EXPIRED, EXPIRES, Repository};
use crate::error::TufError;

fn rollback(role: &str, trusted: u64, got: u64) -> TufError {
    TufError::Rollback { role: role.into(), trusted, got }
}

#[test]
fn an_older_timestamp_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.publish("timestamp");
    device.refresh(&repository).unwrap();
    repository.set("timestamp", "version", json!(1));
    repository.write("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("timestamp", 2, 1));
    assert_eq!(device.version("timestamp"), 2);
}

#[test]
fn a_timestamp_of_the_same_version_is_discarded_whatever_it_says() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    let kept = device.disk["timestamp.json"].clone();
    repository.take_asked();
    repository.set("timestamp", "meta", json!({"snapshot.json": {"version": 100}}));
    repository.write_as_is("timestamp");
    device.refresh(&repository).unwrap();
    assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json"]);
    assert_eq!(device.disk["timestamp.json"], kept);
}

#[test]
fn a_timestamp_that_lists_an_older_snapshot_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.release();
    device.refresh(&repository).unwrap();
    repository.set("snapshot", "version", json!(1));
    repository.publish("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("snapshot", 2, 1));
    assert_eq!(device.versions(), [1, 2, 2, 1]);
    assert_eq!(repository.take_asked().last().unwrap(), "timestamp.json");
}

#[test]
fn an_expired_timestamp_is_refused_and_the_trusted_one_stays() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.set("timestamp", "expires", json!(EXPIRED));
    repository.publish("timestamp");
    let expires = Timestamp::parse_rfc3339(EXPIRED).unwrap();
    let expected = TufError::Expired { role: "timestamp".into(), expires, now: device.now };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    assert_eq!(device.version("timestamp"), 1);
}

#[test]
fn a_withheld_update_shows_when_the_trusted_timestamp_expires() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    // Valid to the last millisecond, and not at the moment itself.
    let expires = Timestamp::parse_rfc3339(EXPIRES).unwrap();
    device.now = Timestamp::from_ms(expires.as_ms() - 1);
    device.refresh(&repository).unwrap();
    device.now = expires;
    let expected = TufError::Expired { role: "root".into(), expires, now: expires };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn an_expired_timestamp_on_the_disk_still_guards_and_can_be_replaced() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.set("timestamp", "expires", json!("2026-11-02T00:00:00Z"));
    repository.publish("timestamp");
    device.refresh(&repository).unwrap();
    device.now = Timestamp::parse_rfc3339("2026-12-01T00:00:00Z").unwrap();
    assert_eq!(device.refresh(&repository).unwrap_err().code(), "tuf-expired");
    repository.set("timestamp", "expires", json!(EXPIRES));
    repository.set("timestamp", "version", json!(1));
    repository.write("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), rollback("timestamp", 2, 1));
    repository.set("timestamp", "version", json!(3));
    repository.write("timestamp");
    device.refresh(&repository).unwrap();
    assert_eq!(device.version("timestamp"), 3);
}

#[test]
fn a_clock_that_is_wrong_for_once_does_no_lasting_harm() {
    let repository = Repository::new();
    let mut device = Device::new(&repository);
    let right = device.now;
    // A device without a clock begins in 1970, where nothing has expired yet.
    device.now = Timestamp::from_ms(0);
    device.refresh(&repository).unwrap();
    for text in ["2106-02-07T06:28:15Z", "9999-01-01T00:00:00Z"] {
        device.now = Timestamp::parse_rfc3339(text).unwrap();
        assert_eq!(device.refresh(&repository).unwrap_err().code(), "tuf-expired");
    }
    device.now = Timestamp::from_ms(u64::MAX);
    assert_eq!(device.refresh(&repository).unwrap_err().code(), "tuf-expired");
    device.now = right;
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [1, 1, 1, 1]);
}

#[test]
fn endless_data_is_cut_off() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    for (name, max) in [("2.root.json", 512_000), ("timestamp.json", 16_384)] {
        let before = repository.files.insert(name.into(), vec![b' '; 600_000]);
        let expected = TufError::TooLarge { file: name.into(), max, got: max + 1 };
        assert_eq!(device.refresh(&repository).unwrap_err(), expected);
        match before {
            Some(bytes) => repository.files.insert(name.into(), bytes),
            None => repository.files.remove(name),
        };
    }
    device.refresh(&repository).unwrap();
}

#[test]
fn a_repository_without_a_timestamp_is_an_error() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    repository.files.remove("timestamp.json");
    let expected = TufError::Missing { file: "timestamp.json".into() };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn metadata_of_another_role_or_specification_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    // One key for both roles, so that the signature holds.
    let before = repository.keys["root"].clone();
    let keys = repository.keys["snapshot"].clone();
    repository.set_keys("timestamp", keys, 1);
    repository.publish_root(&before);
    let snapshot = repository.files["1.snapshot.json"].clone();
    repository.files.insert("timestamp.json".into(), snapshot);
    let (role, got) = ("timestamp".to_string(), "snapshot".to_string());
    let expected = TufError::WrongType { role, expected: "timestamp", got };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
    repository.set("timestamp", "spec_version", json!("2.0.0"));
    repository.publish("timestamp");
    let expected = TufError::SpecVersion { role: "timestamp".into(), got: "2.0.0".into() };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn fields_of_the_wrong_form_are_refused() {
    for (field, value) in [
        ("version", json!(0)),
        ("version", json!(-1)),
        ("version", json!("1")),
        ("expires", json!("tomorrow")),
        ("expires", json!("2030-01-01T00:00:00+00:00")),
        ("expires", json!(1_893_456_000)),
        ("meta", json!({})),
        ("meta", json!({"snapshot.json": {"version": 0}})),
        ("meta", json!({"snapshot.json": {"version": 1, "length": -1}})),
        ("meta", json!({"snapshot.json": {"version": 1, "hashes": {}}})),
        ("meta", json!({"snapshot.json": {"version": 1, "hashes": {"sha256": "00"}}})),
        ("meta", json!({"snapshot.json": {"version": 1, "hashes": {"md5": "00"}}})),
        ("_type", json!(1)),
        ("spec_version", json!(1)),
    ] {
        let mut repository = Repository::new();
        let mut device = Device::new(&repository);
        repository.set("timestamp", field, value.clone());
        repository.write_as_is("timestamp");
        let err = device.refresh(&repository).unwrap_err();
        assert_eq!(err.code(), "tuf-malformed", "{field} {value}");
    }
}
