//! A repository as our server publishes it (DESIGN section 3): root 3-of-5, targets 2-of-3 with a
//! role for each model, `emergency` and `deltas`, a snapshot and a timestamp that say versions
//! only, compact JSON. Keys are made from their names.
#![allow(clippy::indexing_slicing, reason = "an index into what was just made of literals")]

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::canonical;
use lazaret_protocol::digest::Sha256Digest;
use serde_json::{Value, json};

/// The model of the device that is measured.
const MODEL: &str = "m000";
/// Releases of a model before the first one that is measured; all are still listed.
const OLDER: u64 = 2;

/// What a device of [`MODEL`] looks for at a release.
pub(crate) fn wanted(release: u64) -> [String; 3] {
    let (version, base) = (OLDER + release, OLDER + release - 1);
    let delta = format!("{MODEL}/{version}.0.0/from-{base}.0.0.delta");
    ["trust/anchors".into(), format!("{MODEL}/{version}.0.0/image"), delta]
}

/// All files of the repository once [`MODEL`] has that release.
pub(crate) fn files(models: usize, release: u64) -> BTreeMap<String, Vec<u8>> {
    let models: Vec<String> = (0..models).map(|number| format!("m{number:03}")).collect();
    let mut files = BTreeMap::new();
    let mut put = |role: &str, version: u64, file: Vec<u8>| {
        files.insert(format!("{version}.{role}.json"), file);
    };
    let mut meta = json!({"targets.json": {"version": 1}, "emergency.json": {"version": 1}});
    put("root", 1, root());
    put("targets", 1, targets(&models));
    put("emergency", 1, file(&signed("targets", 1, &json!({"targets": {}})), "emergency", 2));
    for model in &models {
        let version = if model == MODEL { release } else { 1 };
        put(&format!("rel-{model}"), version, releases(model, version));
        meta[format!("rel-{model}.json")] = json!({"version": version});
    }
    put("deltas", release, deltas(&models, release));
    meta["deltas.json"] = json!({"version": release});
    let snapshot = signed("snapshot", release, &json!({"meta": meta}));
    put("snapshot", release, file(&snapshot, "snapshot", 1));
    let meta = json!({"meta": {"snapshot.json": {"version": release}}});
    let timestamp = file(&signed("timestamp", release, &meta), "timestamp", 1);
    files.insert("timestamp.json".into(), timestamp);
    files
}

fn root() -> Vec<u8> {
    let mut keys = serde_json::Map::new();
    let mut role = |name: &str, threshold: u64, of: usize| {
        let role = role_keys(name, threshold, of);
        keys.extend(public_keys(name, of));
        role
    };
    let roles = json!({
        "root": role("root", 3, 5), "targets": role("targets", 2, 3),
        "snapshot": role("snapshot", 1, 1), "timestamp": role("timestamp", 1, 1),
    });
    let body = json!({"consistent_snapshot": true, "keys": keys, "roles": roles});
    file(&signed("root", 1, &body), "root", 3)
}

fn targets(models: &[String]) -> Vec<u8> {
    let mut keys = serde_json::Map::new();
    let mut roles = Vec::new();
    let mut delegate = |name: String, (threshold, of): (u64, usize), path: String| {
        keys.extend(public_keys(&name, of));
        let mut role = role_keys(&name, threshold, of);
        role["name"] = json!(name);
        role["paths"] = json!([path]);
        role["terminating"] = json!(true);
        roles.push(role);
    };
    for model in models {
        delegate(format!("rel-{model}"), (2, 3), format!("{model}/*/image"));
    }
    delegate("emergency".into(), (2, 3), "emergency/*/*".into());
    delegate("deltas".into(), (1, 1), "*/*/from-*.delta".into());
    let body = json!({
        "delegations": {"keys": keys, "roles": roles},
        "targets": {"trust/anchors": entry("anchors", &Value::Null)},
    });
    file(&signed("targets", 1, &body), "targets", 2)
}

fn releases(model: &str, version: u64) -> Vec<u8> {
    let mut targets = serde_json::Map::new();
    for release in 1..=OLDER + version {
        let custom = json!({
            "counter": release, "floor": 1, "model": model,
            "schedule": {
                "salt": "abcd",
                "steps": [{"not_before": "2026-01-01T00:00:00Z", "permille": 1000}],
            },
        });
        let name = format!("{model}/{release}.0.0/image");
        targets.insert(name.clone(), entry(&name, &custom));
    }
    let body = json!({"targets": targets});
    file(&signed("targets", version, &body), &format!("rel-{model}"), 2)
}

/// Two deltas to each model's newest image.
fn deltas(models: &[String], release: u64) -> Vec<u8> {
    let mut targets = serde_json::Map::new();
    for model in models {
        let newest = OLDER + if model == MODEL { release } else { 1 };
        for base in [newest - 2, newest - 1] {
            let name = format!("{model}/{newest}.0.0/from-{base}.0.0.delta");
            let custom = json!({
                "base_sha256": sha256(&base.to_string()), "format": "lazaret-delta-1",
                "ram_bytes": 3_000_000, "result_length": 40_000_000,
                "result_sha256": sha256(model),
            });
            targets.insert(name.clone(), entry(&name, &custom));
        }
    }
    file(&signed("targets", release, &json!({"targets": targets})), "deltas", 1)
}

fn entry(name: &str, custom: &Value) -> Value {
    let mut entry = json!({"hashes": {"sha256": sha256(name)}, "length": 40_000_000});
    if !custom.is_null() {
        entry["custom"] = custom.clone();
    }
    entry
}

fn sha256(text: &str) -> String {
    Sha256Digest::of(text.as_bytes()).to_string()
}

fn signed(kind: &str, version: u64, body: &Value) -> Value {
    let mut signed = json!({
        "_type": kind, "expires": "2036-01-01T00:00:00Z", "spec_version": "1.0.0",
        "version": version,
    });
    if let (Some(signed), Some(body)) = (signed.as_object_mut(), body.as_object()) {
        signed.extend(body.clone());
    }
    signed
}

fn key(name: &str, number: usize) -> SigningKey {
    SigningKey::from_bytes(Sha256Digest::of(format!("{name} {number}").as_bytes()).as_bytes())
}

fn public(key: &SigningKey) -> Value {
    let public = hex::encode(key.verifying_key().as_bytes());
    json!({"keytype": "ed25519", "keyval": {"public": public}, "scheme": "ed25519"})
}

fn id(key: &SigningKey) -> String {
    Sha256Digest::of(&canonical::value_to_bytes(&public(key)).unwrap_or_default()).to_string()
}

fn public_keys(name: &str, of: usize) -> Vec<(String, Value)> {
    (0..of).map(|number| key(name, number)).map(|key| (id(&key), public(&key))).collect()
}

fn role_keys(name: &str, threshold: u64, of: usize) -> Value {
    let ids: Vec<String> = (0..of).map(|number| id(&key(name, number))).collect();
    json!({"keyids": ids, "threshold": threshold})
}

fn file(signed: &Value, name: &str, signers: usize) -> Vec<u8> {
    let message = canonical::value_to_bytes(signed).unwrap_or_default();
    let signature = |number: usize| {
        let key = key(name, number);
        json!({"keyid": id(&key), "sig": hex::encode(key.sign(&message).to_bytes())})
    };
    let signatures: Vec<Value> = (0..signers).map(signature).collect();
    json!({"signatures": signatures, "signed": signed}).to_string().into_bytes()
}
