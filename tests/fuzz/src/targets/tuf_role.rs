//! TUF metadata of one role in a repository that is otherwise good: what the input is replaces that
//! role's file, first as it is, and then signed, so that what lies behind the signature is reached.

use std::collections::BTreeMap;

use lazaret_protocol::time::Timestamp;
use lazaret_protocol_tuf::{
    Floors, Limits, Machine, Presence, Refresh, Stored, Supplied, Target, TufError, Want,
};
use serde_json::{Value, json};

use crate::signer;

const EXPIRES: &str = "2030-01-01T00:00:00Z";
/// The target that every search is for.
pub(crate) const WANTED: &str = "m/1/image";

/// Reads `2.root.json`.
pub(crate) fn root(input: &[u8]) {
    both_ways("2.root.json", input);
}

/// Reads `timestamp.json`.
pub(crate) fn timestamp(input: &[u8]) {
    both_ways("timestamp.json", input);
}

/// Reads `1.snapshot.json`.
pub(crate) fn snapshot(input: &[u8]) {
    both_ways("1.snapshot.json", input);
}

/// Reads `1.targets.json`.
pub(crate) fn targets(input: &[u8]) {
    both_ways("1.targets.json", input);
}

/// Reads `1.rel-m.json`.
pub(crate) fn delegated(input: &[u8]) {
    both_ways("1.rel-m.json", input);
}

/// Reads the top-level targets role as it is, of any length.
pub fn raw_targets(input: &[u8]) {
    let mut files = repository();
    files.insert("1.targets.json".into(), input.to_vec());
    read_all(&files);
}

pub(crate) fn root_seeds() -> Vec<Vec<u8>> {
    vec![text(&root_of(2)), signer::tuf_file(&root_of(2)).unwrap_or_default()]
}

pub(crate) fn timestamp_seeds() -> Vec<Vec<u8>> {
    vec![text(&timestamp_of())]
}

pub(crate) fn snapshot_seeds() -> Vec<Vec<u8>> {
    vec![text(&snapshot_of())]
}

pub(crate) fn targets_seeds() -> Vec<Vec<u8>> {
    let succinct = targets_with(&json!({
        "keys": {signer::TUF_KEY_ID: signer::tuf_key()},
        "succinct_roles": {
            "keyids": [signer::TUF_KEY_ID], "threshold": 1, "bit_length": 4, "name_prefix": "rel",
        },
    }));
    vec![text(&targets_of()), text(&succinct)]
}

pub(crate) fn delegated_seeds() -> Vec<Vec<u8>> {
    vec![text(&delegated_of())]
}

fn both_ways(name: &str, input: &[u8]) {
    let mut files = repository();
    files.insert(name.into(), input.to_vec());
    read_all(&files);
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let signed = value.get("signed").unwrap_or(&value);
    let Some(file) = signer::tuf_file(signed) else { return };
    files.insert(name.into(), file);
    read_all(&files);
}

/// A refresh and a search over those files.
pub(crate) fn read_all(files: &BTreeMap<String, Vec<u8>>) {
    let root = signer::tuf_file(&root_of(1)).unwrap_or_default();
    let begun = Refresh::begin(Stored::factory(root), Floors::default(), now(), Limits::default());
    let mut refresh = begun.expect("the first root is good");
    if drive(&mut refresh, files).is_err() {
        return;
    }
    let mut trusted = refresh.finish().expect("a refresh without an error has an outcome");
    let mut search = trusted.find(WANTED);
    let told = drive(&mut search, files);
    let outcome: Result<Target, TufError> = search.finish();
    match (told, outcome) {
        (Err(told), Err(outcome)) => assert_eq!(told, outcome, "two accounts of one search"),
        (Err(told), Ok(_)) => panic!("a target was found after {told}"),
        (Ok(()), Ok(target)) => drop(target.check_bytes(b"x")),
        (Ok(()), Err(_)) => {}
    }
}

/// Supplies what is wanted until nothing is; what is not there is missing.
pub(crate) fn drive(
    machine: &mut impl Machine,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), TufError> {
    let mut outcome = Ok(());
    // Far more than any limit lets it ask for.
    for _ in 0..2000 {
        let Want::File(wanted) = machine.next() else { break };
        let supplied = match files.get(&wanted.name) {
            Some(bytes) => Supplied::Bytes(bytes.clone()),
            None => Supplied::Missing,
        };
        let missing_is_fine = wanted.presence == Presence::Optional;
        let missing = supplied == Supplied::Missing;
        if let Err(err) = machine.supply(supplied) {
            assert!(machine.next() == Want::Nothing, "nothing is wanted after an error");
            outcome = Err(err);
            break;
        }
        assert!(!missing || missing_is_fine, "a required file was missing and nobody minded");
    }
    assert!(machine.next() == Want::Nothing, "it goes on for ever");
    let _changes = machine.keep();
    let _floors = machine.floors();
    outcome
}

/// A good repository by file names.
pub(crate) fn repository() -> BTreeMap<String, Vec<u8>> {
    let files = [
        ("timestamp.json", timestamp_of()),
        ("1.snapshot.json", snapshot_of()),
        ("1.targets.json", targets_of()),
        ("1.rel-m.json", delegated_of()),
    ];
    let file = |(name, signed): (&str, Value)| Some((name.into(), signer::tuf_file(&signed)?));
    files.into_iter().filter_map(file).collect()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").expect("a date")
}

pub(crate) fn root_of(version: u64) -> Value {
    let role = json!({"keyids": [signer::TUF_KEY_ID], "threshold": 1});
    json!({
        "_type": "root", "spec_version": "1.0.33", "version": version, "expires": EXPIRES,
        "consistent_snapshot": true, "keys": {signer::TUF_KEY_ID: signer::tuf_key()},
        "roles": {"root": role, "timestamp": role, "snapshot": role, "targets": role},
    })
}

fn timestamp_of() -> Value {
    json!({
        "_type": "timestamp", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
        "meta": {"snapshot.json": {"version": 1}},
    })
}

fn snapshot_of() -> Value {
    json!({
        "_type": "snapshot", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
        "meta": {
            "targets.json": {"version": 1}, "rel-m.json": {"version": 1},
            "rel-a.json": {"version": 3, "length": 5},
        },
    })
}

fn targets_of() -> Value {
    let role = |name: &str, scope: (&str, Value)| {
        json!({
            "name": name, "keyids": [signer::TUF_KEY_ID], "threshold": 1, "terminating": false,
            scope.0: scope.1,
        })
    };
    targets_with(&json!({
        "keys": {signer::TUF_KEY_ID: signer::tuf_key()},
        "roles": [
            role("rel-h", ("path_hash_prefixes", json!(["00", "f"]))),
            role("rel-m", ("paths", json!(["m/*/image", "m/[0-9]?/*.delta"]))),
        ],
    }))
}

fn targets_with(delegations: &Value) -> Value {
    json!({
        "_type": "targets", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
        "targets": {"trust/anchors": entry()}, "delegations": delegations,
    })
}

fn delegated_of() -> Value {
    json!({
        "_type": "targets", "spec_version": "1.0.33", "version": 1, "expires": EXPIRES,
        "targets": {WANTED: entry()},
    })
}

fn entry() -> Value {
    json!({
        "length": 1, "custom": {"counter": 1, "floor": 1},
        "hashes": {"sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
    })
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
