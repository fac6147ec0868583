//! TUF 4.2: keys, key ids, signatures, and what is signed over.

use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::device::Device;
use super::repository::{Key, Repository, file};
use crate::error::TufError;

/// A repository whose timestamp has `keys` and that threshold; the device knows that root already.
fn with_timestamp_keys(keys: Vec<Key>, threshold: u64) -> (Repository, Device) {
    let mut repository = Repository::new();
    let before = repository.keys["root"].clone();
    repository.set_keys("timestamp", keys, threshold);
    repository.publish_root(&before);
    let mut device = Device::new(&repository);
    device.disk.insert("root.json".into(), repository.files["2.root.json"].clone());
    (repository, device)
}

fn not_met(needed: u64, got: u64) -> TufError {
    TufError::ThresholdNotMet { role: "timestamp".into(), needed, got }
}

#[test]
fn a_threshold_of_distinct_keys_is_met_by_that_many_and_no_fewer() {
    let keys: Vec<Key> = (1..=5).map(|seed| Key::ed25519(500 + seed)).collect();
    let (mut repository, mut device) = with_timestamp_keys(keys.clone(), 3);
    repository.keys.insert("timestamp".into(), keys[..2].to_vec());
    repository.publish("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(3, 2));
    repository.keys.insert("timestamp".into(), keys[..3].to_vec());
    repository.publish("timestamp");
    device.refresh(&repository).unwrap();
}

#[test]
fn a_key_that_signs_twice_counts_once() {
    let keys = vec![Key::ed25519(501), Key::ed25519(502)];
    let (mut repository, mut device) = with_timestamp_keys(keys.clone(), 2);
    repository.keys.insert("timestamp".into(), vec![keys[0].clone(), keys[0].clone()]);
    repository.publish("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(2, 1));
}

#[test]
fn a_key_under_two_key_ids_counts_once() {
    for key in [Key::ed25519(501), Key::p256(7)] {
        let twin = Key { id: "another-name".into(), ..key.clone() };
        let (mut repository, mut device) = with_timestamp_keys(vec![key, twin], 2);
        repository.publish("timestamp");
        assert_eq!(device.refresh(&repository).unwrap_err(), not_met(2, 1));
    }
}

#[test]
fn a_key_that_root_knows_for_another_role_does_not_count() {
    let (mut repository, mut device) = with_timestamp_keys(vec![Key::ed25519(501)], 1);
    let snapshot = repository.keys["snapshot"].clone();
    repository.keys.insert("timestamp".into(), snapshot);
    repository.publish("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(1, 0));
}

#[test]
fn a_key_id_need_not_be_the_hash_of_the_key() {
    let key = Key { id: "any name \u{e9}".into(), ..Key::ed25519(501) };
    let (mut repository, mut device) = with_timestamp_keys(vec![key], 1);
    repository.publish("timestamp");
    device.refresh(&repository).unwrap();
}

#[test]
fn ecdsa_keys_of_both_names_are_read_and_count() {
    let (mut repository, mut device) = with_timestamp_keys(vec![Key::p256(7), Key::p256(8)], 2);
    let root = repository.signed.get_mut("root").unwrap();
    root["keys"][Key::p256(8).id]["keytype"] = json!("ecdsa-sha2-nistp256");
    let keys = repository.keys["root"].clone();
    repository.publish_root(&keys);
    repository.publish("timestamp");
    device.refresh(&repository).unwrap();
    assert_eq!(device.versions(), [3, 2, 1, 1]);
}

#[test]
fn keys_of_unknown_kinds_are_left_aside_and_do_not_count() {
    let known = Key::ed25519(501);
    let (mut repository, mut device) = with_timestamp_keys(vec![known.clone()], 1);
    let stranger = Key::ed25519(502);
    let root = repository.signed.get_mut("root").unwrap();
    let unknown: [(&str, Value); 5] = [
        ("a", json!({"keytype": "ml-dsa", "scheme": "ml-dsa-44", "keyval": {"public": "00"}})),
        ("b", json!({"keytype": "ed25519", "scheme": "ed448", "keyval": {"public": "00"}})),
        (
            "c",
            json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": ""}}),
        ),
        ("d", json!("not a key")),
        (
            &stranger.id,
            json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256",
            "keyval": stranger.public()["keyval"]}),
        ),
    ];
    for (id, key) in unknown {
        root["keys"][id] = key;
    }
    let ids = json!(["a", "b", "c", "d", stranger.id, "nowhere", known.id]);
    root["roles"]["timestamp"] = json!({"keyids": ids, "threshold": 2});
    let keys = repository.keys["root"].clone();
    repository.publish_root(&keys);
    repository.keys.insert("timestamp".into(), vec![known, stranger]);
    repository.publish("timestamp");
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(2, 1));
    assert_eq!(device.version("root"), 3);
}

#[test]
fn signatures_that_are_none_are_left_aside() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let signed = repository.signed["timestamp"].clone();
    let good = repository.keys["timestamp"][0].sign(&signed);
    let id = repository.keys["timestamp"][0].id.clone();
    let bytes = serde_json::to_vec(&json!({"signed": signed, "signatures": [
        {"keyid": "unknown", "sig": "00"}, {"keyid": id, "sig": ""}, {"keyid": id, "sig": "xyz"},
        good,
    ]}));
    repository.files.insert("timestamp.json".into(), bytes.unwrap());
    device.refresh(&repository).unwrap();
}

#[test]
fn more_signatures_than_allowed_are_refused_before_any_is_checked() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let keys = vec![repository.keys["timestamp"][0].clone(); 33];
    repository.keys.insert("timestamp".into(), keys);
    repository.write("timestamp");
    let why = "expected at most 32 signatures, got 33".to_string();
    let expected = TufError::Malformed { role: "timestamp".into(), why };
    assert_eq!(device.refresh(&repository).unwrap_err(), expected);
}

#[test]
fn unknown_fields_are_signed_over_and_kept() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let odd =
        json!({"big": u64::MAX, "small": i64::MIN, "text": "\u{7f}\"\\\n\u{1F600}", "n": null});
    for role in ["root", "timestamp", "snapshot", "targets"] {
        repository.set(role, "x-field", odd.clone());
    }
    let root = repository.signed.get_mut("root").unwrap();
    root["roles"]["root"]["x-field"] = odd.clone();
    let id = repository.keys["root"][0].id.clone();
    root["keys"][id]["x-field"] = odd.clone();
    let keys = repository.keys["root"].clone();
    repository.publish_root(&keys);
    repository.delegate_with("targets", "a", &json!({"paths": ["*"], "x-field": odd}));
    repository.signed.get_mut("targets").unwrap()["delegations"]["x-field"] = odd;
    repository.add_target("a", "t", b"t");
    repository.publish_all();
    device.find(&repository, "t").unwrap();
    // One byte of an unknown field, and nothing holds.
    let bytes = String::from_utf8(repository.files["timestamp.json"].clone()).unwrap();
    let changed = bytes.replace("18446744073709551615", "18446744073709551614");
    assert_ne!(bytes, changed);
    repository.files.insert("timestamp.json".into(), changed.into_bytes());
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(1, 0));
}

#[test]
fn spelling_of_the_file_does_not_matter_and_a_member_twice_does() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let bytes = repository.files["timestamp.json"].clone();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    repository.files.insert("timestamp.json".into(), serde_json::to_vec_pretty(&value).unwrap());
    device.refresh(&repository).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let twice = text.replacen(r#""version":1"#, r#""version":2,"version":1"#, 2);
    assert_ne!(text, twice);
    repository.files.insert("timestamp.json".into(), twice.into_bytes());
    let err = device.refresh(&repository).unwrap_err();
    assert_eq!(err.code(), "tuf-malformed");
}

#[test]
fn a_timestamp_signed_by_the_right_key_under_another_id_does_not_count() {
    let mut repository = Repository::new();
    let mut device = Device::new(&repository);
    let mut key = repository.keys["timestamp"][0].clone();
    key.id = repository.keys["snapshot"][0].id.clone();
    let bytes = file(&repository.signed["timestamp"], &[key]);
    repository.files.insert("timestamp.json".into(), bytes);
    assert_eq!(device.refresh(&repository).unwrap_err(), not_met(1, 0));
}
