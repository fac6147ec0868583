//! Thresholds count people, not signatures, and rules hold against hand-made metadata.

use super::*;
use crate::metadata::rules::path_matches;
use crate::online::OnlineKeys;
use std::collections::HashMap;

fn signed_root(threshold: u64, keys: &OnlineKeys) -> (Root, Vec<u8>) {
    let public = keys.public();
    let mut listed = HashMap::new();
    let offline = [public.deltas, public.orders];
    let mut roles = HashMap::new();
    for (role, keys) in [
        (RoleType::Root, &offline[..]),
        (RoleType::Targets, &offline[..]),
        (RoleType::Snapshot, &[public.snapshot][..]),
        (RoleType::Timestamp, &[public.timestamp][..]),
    ] {
        let threshold = if keys.len() == 2 { threshold } else { 1 };
        let keys = make::role_keys("root", keys, threshold, &mut listed).unwrap();
        roles.insert(role, keys);
    }
    let root = Root {
        spec_version: make::SPEC_VERSION.to_owned(),
        consistent_snapshot: true,
        version: 1.try_into().unwrap(),
        expires: make::moment(Timestamp::from_ms(1_000)),
        keys: listed,
        roles,
        _extra: HashMap::new(),
    };
    let payload = payload_of(&root).unwrap();
    (root, payload)
}

fn keys() -> OnlineKeys {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("online");
    OnlineKeys::create(&folder).unwrap();
    OnlineKeys::load(&folder).unwrap()
}

fn signature(keys: &OnlineKeys, payload: &[u8]) -> Signature {
    let public = keys.role_public(OnlineRole::Deltas);
    let keyid = make::key_id("root", &public).unwrap();
    Signature { keyid, sig: keys.sign(OnlineRole::Deltas, payload) }
}

#[test]
fn one_key_that_signs_twice_counts_once() {
    let keys = keys();
    let (root, payload) = signed_root(2, &keys);
    let one = signature(&keys, &payload);
    let file = assemble(&payload, &[one.clone(), one]);
    let document = Document::<Root>::parse(&file).unwrap();
    let refused = Keyring::of_root(&root, RoleType::Root).unwrap().check(&document);
    let role = "root".to_owned();
    assert_eq!(refused, Err(MetadataError::ThresholdNotMet { role, threshold: 2, valid: 1 }));
}

#[test]
fn our_canonical_form_is_the_one_that_tough_verifies() {
    let keys = keys();
    let (root, payload) = signed_root(1, &keys);
    assert_eq!(payload, root.canonical_form().unwrap());
    let file = assemble(&payload, &[signature(&keys, &payload)]);
    let tough: schema::Signed<Root> = serde_json::from_slice(&file).unwrap();
    tough.signed.verify_role(&tough).unwrap();
    let document = Document::<Root>::parse(&file).unwrap();
    assert_eq!(Keyring::of_root(&root, RoleType::Root).unwrap().check(&document), Ok(()));
    assert_eq!(rules::check_root(&root), Ok(()));
}

#[test]
fn metadata_of_another_type_is_refused() {
    let keys = keys();
    let (_, payload) = signed_root(1, &keys);
    let file = assemble(&payload, &[]);
    let refused = Document::<Snapshot>::parse(&file).unwrap_err();
    assert!(matches!(refused, MetadataError::Malformed { expected: "snapshot", .. }));
}

#[test]
fn an_online_key_that_is_also_an_offline_key_is_refused() {
    let keys = keys();
    let (mut root, _) = signed_root(1, &keys);
    let offline = root.roles.get(&RoleType::Root).unwrap().clone();
    root.roles.insert(RoleType::Snapshot, offline);
    assert!(matches!(rules::check_root(&root), Err(MetadataError::OutOfScope { .. })));
}

#[test]
fn a_star_never_crosses_a_slash() {
    assert!(path_matches("gw2/*/image", "gw2/1.0/image"));
    assert!(!path_matches("gw2/*/image", "gw2/1.0/x/image"));
    assert!(!path_matches("gw2/*/image", "gw3/1.0/image"));
    assert!(path_matches("*/*/from-*.delta", "gw2/2.0/from-1.0.delta"));
    assert!(!path_matches("*/*/from-*.delta", "gw2/2.0/image"));
    assert!(!path_matches("*/*/from-*.delta", "gw2/2.0/from-.delta"));
}
