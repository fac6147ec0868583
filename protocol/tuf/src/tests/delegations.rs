//! TUF 5.6.7: the search through delegated roles.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use serde_json::json;

use super::device::Device;
use super::repository::{EXPIRED, Repository};
use crate::error::TufError;
use crate::stored::Notice;

type Edge = (&'static str, &'static str, &'static str, bool);

/// Delegations as (from, to, paths, terminating), all published; and a device that is up to date.
fn graph(edges: &[Edge]) -> (Repository, Device) {
    let mut repository = Repository::new();
    for (from, to, path, terminating) in edges {
        repository.delegate(from, to, &[path], *terminating);
    }
    repository.publish_all();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.take_asked();
    (repository, device)
}

/// The roles that a search on a device without delegated roles asks for, in order.
fn visited(repository: &Repository, device: &mut Device, name: &str) -> Vec<String> {
    let mut trusted = device.refresh(repository).unwrap();
    repository.take_asked();
    let _ = device.search(&mut trusted, repository, name);
    let role = |file: String| Some(file.strip_prefix("2.")?.strip_suffix(".json")?.into());
    repository.take_asked().into_iter().map(|file| role(file).unwrap()).collect()
}

fn assert_order(cases: &[(&[Edge], &[&str])]) {
    for (edges, expected) in cases {
        let (repository, mut device) = graph(edges);
        assert_eq!(visited(&repository, &mut device, "missing"), *expected, "{edges:?}");
    }
}

const T_A: Edge = ("targets", "a", "*", false);
const T_B: Edge = ("targets", "b", "*", false);
const A_C: Edge = ("a", "c", "*", false);
const A_D: Edge = ("a", "d", "*", false);
const B_C: Edge = ("b", "c", "*", false);
const C_D: Edge = ("c", "d", "*", false);

#[test]
fn delegations_are_searched_depth_first_in_order_of_appearance() {
    assert_order(&[
        (&[T_A], &["a"]),
        (&[T_A, T_B], &["a", "b"]),
        (&[T_B, T_A], &["b", "a"]),
        (&[T_A, T_B, B_C], &["a", "b", "c"]),
        (&[T_A, T_B, A_C, A_D], &["a", "c", "d", "b"]),
        (&[T_A, T_B, A_C, C_D], &["a", "c", "d", "b"]),
    ]);
}

#[test]
fn after_a_terminating_delegation_and_its_descendants_nobody_is_asked() {
    assert_order(&[
        (&[("targets", "a", "*", true), T_B], &["a"]),
        (&[T_A, T_B, ("a", "c", "*", true), A_D], &["a", "c"]),
        (&[T_A, T_B, ("a", "c", "*", true), A_D, ("c", "e", "*", false)], &["a", "c", "e"]),
        // One that does not match terminates nothing.
        (&[("targets", "a", "x*", true), T_B], &["b"]),
    ]);
}

#[test]
fn branches_that_do_not_match_are_left_out() {
    assert_order(&[
        (&[("targets", "a", "*.py", false), T_B, A_C], &["b"]),
        (&[T_A, T_B, ("a", "c", "*.py", false), C_D], &["a", "b"]),
        (&[T_A, T_B, B_C, ("a", "c", "*.py", false)], &["a", "b", "c"]),
        (&[("targets", "a", "*/*", false), T_B], &["b"]),
    ]);
}

#[test]
fn no_role_is_asked_twice() {
    assert_order(&[
        (&[T_A, T_B, B_C, C_D, ("d", "b", "*", false)], &["a", "b", "c", "d"]),
        (&[T_A, ("a", "a", "*", false), T_B], &["a", "b"]),
        (&[T_A, T_B, B_C, A_C], &["a", "c", "b"]),
    ]);
}

#[test]
fn the_first_role_in_order_wins_and_the_top_level_before_all() {
    let (mut repository, mut device) =
        graph(&[("targets", "a", "*", false), ("targets", "b", "*", false)]);
    repository.add_target("b", "t", b"of b");
    repository.publish_all();
    assert_eq!(device.find(&repository, "t").unwrap().role, "b");
    repository.add_target("a", "t", b"of a");
    repository.publish_all();
    assert_eq!(device.find(&repository, "t").unwrap().role, "a");
    repository.add_target("targets", "t", b"of targets");
    repository.publish_all();
    assert_eq!(device.find(&repository, "t").unwrap().role, "targets");
}

#[test]
fn a_role_is_trusted_only_with_what_every_delegation_on_the_way_covers() {
    let (mut repository, mut device) = graph(&[
        ("targets", "b", "releases/*/*", false),
        ("b", "c", "releases/x/*", false),
        ("b", "d", "releases/y/*.zip", false),
        ("d", "e", "*", false),
    ]);
    repository.add_target("c", "releases/x/1", b"1");
    repository.add_target("d", "releases/y/1.zip", b"2");
    // Out of scope, and listed all the same.
    repository.add_target("d", "releases/z/1.zip", b"3");
    repository.add_target("d", "README", b"4");
    repository.add_target("e", "anything", b"5");
    repository.publish_all();
    assert_eq!(device.find(&repository, "releases/x/1").unwrap().role, "c");
    assert_eq!(device.find(&repository, "releases/y/1.zip").unwrap().role, "d");
    for name in ["releases/z/1.zip", "README", "anything", "releases/x/y/1"] {
        let expected = TufError::TargetNotFound { name: name.into() };
        assert_eq!(device.find(&repository, name).unwrap_err(), expected);
    }
}

#[test]
fn roles_of_a_product_line_see_only_their_own_targets() {
    let mut repository = Repository::new();
    repository.delegate("targets", "rel-m1", &["m1/*/image"], false);
    repository.delegate("targets", "rel-m10", &["m10/*/image"], false);
    repository.delegate("targets", "deltas", &["*/*/from-*.delta"], false);
    repository.add_target("rel-m1", "m1/1.0/image", b"one");
    repository.add_target("deltas", "m1/1.0/from-0.9.delta", b"delta");
    repository.add_target("deltas", "m1/1.0/image", b"evil");
    repository.add_target("rel-m1", "m10/1.0/image", b"evil");
    repository.publish_all();
    let mut device = Device::new(&repository);
    assert_eq!(device.find(&repository, "m1/1.0/image").unwrap().role, "rel-m1");
    assert_eq!(device.find(&repository, "m1/1.0/from-0.9.delta").unwrap().role, "deltas");
    assert_eq!(
        device.find(&repository, "m10/1.0/image").unwrap_err().code(),
        "tuf-target-not-found"
    );
    repository.take_asked();
    device.find(&repository, "m1/1.0/image").unwrap();
    assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn a_role_of_the_listed_version_is_never_asked_for_again() {
    let (mut repository, mut device) =
        graph(&[("targets", "a", "a*", false), ("targets", "b", "b*", false)]);
    let _ = device.find(&repository, "a");
    let _ = device.find(&repository, "b");
    repository.publish("a");
    repository.release();
    repository.take_asked();
    let mut trusted = device.refresh(&repository).unwrap();
    let _ = device.search(&mut trusted, &repository, "a");
    let _ = device.search(&mut trusted, &repository, "b");
    let _ = device.search(&mut trusted, &repository, "a");
    let expected = ["2.root.json", "timestamp.json", "3.snapshot.json", "3.a.json"];
    assert_eq!(repository.take_asked(), expected);
}

#[test]
fn hash_prefixes_say_whose_target_it_is() {
    let mut repository = Repository::new();
    let hash = format!("{}", Sha256Digest::of(b"t"));
    let mine = json!({"path_hash_prefixes": ["zz", &hash[..3]], "terminating": false});
    let not_mine = json!({"path_hash_prefixes": [hash[..3].to_uppercase(), hash[1..]]});
    repository.delegate_with("targets", "no", &not_mine);
    repository.delegate_with("targets", "yes", &mine);
    repository.add_target("no", "t", b"no");
    repository.add_target("yes", "t", b"yes");
    repository.publish_all();
    let mut device = Device::new(&repository);
    assert_eq!(device.find(&repository, "t").unwrap().role, "yes");
}

#[test]
fn succinct_roles_lead_to_one_bin_and_end_there() {
    let mut repository = Repository::new();
    let key = repository.new_key();
    let name = "some/target";
    let bin = crate::name::succinct_role("bin", 4, name);
    for n in 0..16 {
        let role = format!("bin-{n:x}");
        repository.keys.insert(role.clone(), vec![key.clone()]);
        repository.signed.insert(role, super::repository::empty_targets());
    }
    let keys = json!({key.id.clone(): key.public()});
    let succinct =
        json!({"keyids": [key.id], "threshold": 1, "bit_length": 4, "name_prefix": "bin"});
    repository.set("targets", "delegations", json!({"keys": keys, "succinct_roles": succinct}));
    repository.add_target(&bin, name, b"content");
    repository.publish_all();
    let mut device = Device::new(&repository);
    device.refresh(&repository).unwrap();
    repository.take_asked();
    assert_eq!(device.find(&repository, name).unwrap().role, bin);
    assert_eq!(repository.take_asked()[2..], [format!("2.{bin}.json")]);
    assert_eq!(device.find(&repository, "other").unwrap_err().code(), "tuf-target-not-found");
}

#[test]
fn one_bad_role_stops_only_its_own_targets() {
    type Break = fn(&mut Repository);
    let cases: &[(&str, Break)] = &[
        ("tuf-expired", |repository| {
            repository.set("bad", "expires", json!(EXPIRED));
            repository.publish_all();
        }),
        ("tuf-malformed", |repository| {
            repository.files.insert("2.bad.json".into(), b"{not json".to_vec());
        }),
        ("tuf-missing", |repository| {
            repository.files.remove("2.bad.json");
        }),
        ("tuf-threshold-not-met", |repository| {
            let stranger = repository.new_key();
            repository.keys.insert("bad".into(), vec![stranger]);
            repository.publish_all();
        }),
        ("tuf-mix-and-match", |repository| {
            let other = repository.files["2.bad.json"].clone();
            repository.publish_all();
            repository.files.insert("3.bad.json".into(), other);
        }),
        ("tuf-too-large", |repository| {
            repository.files.insert("2.bad.json".into(), vec![b' '; 6_000_000]);
        }),
        ("tuf-malformed", |repository| {
            repository.set("bad", "delegations", json!({"keys": {}, "roles": 7}));
            repository.publish_all();
        }),
    ];
    for (code, break_it) in cases {
        let mut repository = Repository::new();
        repository.delegate("targets", "bad", &["bad/*"], false);
        repository.delegate("targets", "good", &["good/*"], false);
        repository.delegate("targets", "late", &["bad/*"], false);
        repository.add_target("bad", "bad/t", b"bad");
        repository.add_target("late", "bad/t", b"of a less trusted role");
        repository.add_target("good", "good/t", b"good");
        repository.publish_all();
        break_it(&mut repository);
        let mut device = Device::new(&repository);
        let err = device.find(&repository, "bad/t").unwrap_err();
        let TufError::RoleUnverified { role, source } = err else { panic!("{err:?}") };
        assert_eq!((role.as_str(), source.code()), ("bad", *code));
        assert_eq!(device.version("bad"), 0, "{code}");
        assert_eq!(device.find(&repository, "good/t").unwrap().role, "good");
    }
}

#[test]
fn a_role_that_the_snapshot_does_not_list_is_not_trusted() {
    let mut repository = Repository::new();
    repository.delegate("targets", "a", &["*"], false);
    repository.publish_all();
    repository.signed.get_mut("snapshot").unwrap()["meta"]
        .as_object_mut()
        .unwrap()
        .remove("a.json");
    repository.set("snapshot", "version", json!(3));
    repository.write_as_is("snapshot");
    repository.publish("timestamp");
    let mut device = Device::new(&repository);
    let source = Box::new(TufError::NotInSnapshot { role: "a".into() });
    let expected = TufError::RoleUnverified { role: "a".into(), source };
    assert_eq!(device.find(&repository, "t").unwrap_err(), expected);
}

#[test]
fn a_search_visits_no_more_roles_than_allowed() {
    let mut repository = Repository::new();
    for n in 0..40 {
        repository.delegate("targets", &format!("r{n:02}"), &["*"], false);
    }
    repository.add_target("r31", "found", b"1");
    repository.add_target("r32", "too far", b"2");
    repository.publish_all();
    let mut device = Device::new(&repository);
    assert_eq!(device.find(&repository, "found").unwrap().role, "r31");
    let expected = TufError::SearchLimit { name: "too far".into(), roles_max: 32 };
    assert_eq!(device.find(&repository, "too far").unwrap_err(), expected);
    device.limits.delegations_max = 33;
    assert_eq!(device.find(&repository, "too far").unwrap().role, "r32");
}

#[test]
fn a_stored_role_is_verified_against_the_delegator_of_the_moment() {
    let (mut repository, mut device) = graph(&[("targets", "a", "*", false)]);
    repository.add_target("a", "t", b"t");
    repository.publish_all();
    device.find(&repository, "t").unwrap();
    // The delegator replaces the key of `a`, which is not signed anew.
    let key = repository.new_key();
    let targets = repository.signed.get_mut("targets").unwrap();
    targets["delegations"]["keys"] = json!({key.id.clone(): key.public()});
    targets["delegations"]["roles"][0]["keyids"] = json!([key.id]);
    repository.publish("targets");
    repository.release();
    let why = TufError::ThresholdNotMet { role: "a".into(), needed: 1, got: 0 };
    let expected = TufError::RoleUnverified { role: "a".into(), source: Box::new(why.clone()) };
    assert_eq!(device.find(&repository, "t").unwrap_err(), expected);
    assert_eq!(device.notices, [Notice::StoredSetAside { role: "a".into(), why }]);
    // Signed by the new key it is taken, even under the same version.
    repository.keys.insert("a".into(), vec![key]);
    repository.write("a");
    device.find(&repository, "t").unwrap();
}

#[test]
fn a_role_with_two_delegators_is_verified_against_the_one_it_is_reached_by() {
    let (mut repository, mut device) = graph(&[
        ("targets", "a", "a/*", false),
        ("targets", "b", "b/*", false),
        ("a", "shared", "*/*", false),
        ("b", "shared", "*/*", false),
    ]);
    let other = repository.new_key();
    let b = repository.signed.get_mut("b").unwrap();
    b["delegations"]["keys"] = json!({other.id.clone(): other.public()});
    b["delegations"]["roles"][0]["keyids"] = json!([other.id]);
    repository.add_target("shared", "a/t", b"1");
    repository.add_target("shared", "b/t", b"2");
    repository.publish_all();
    let mut trusted = device.refresh(&repository).unwrap();
    assert_eq!(device.search(&mut trusted, &repository, "a/t").unwrap().role, "shared");
    let err = device.search(&mut trusted, &repository, "b/t").unwrap_err();
    assert_eq!(err.code(), "tuf-role-unverified");
    assert_eq!(device.search(&mut trusted, &repository, "a/t").unwrap().role, "shared");
}

#[test]
fn unusual_role_names_are_quoted_on_the_wire_and_on_the_disk() {
    for (role, quoted) in [
        ("?", "%3F"),
        ("#", "%23"),
        ("/role", "%2Frole"),
        ("../role", "..%2Frole"),
        ("..", ".."),
        ("a b\\c", "a%20b%5Cc"),
        ("1.root", "1.root"),
    ] {
        let (repository, mut device) = graph(&[("targets", role, "*", false)]);
        let _ = device.find(&repository, "t");
        assert!(repository.take_asked().contains(&format!("2.{quoted}.json")));
        assert!(device.disk.contains_key(&format!("{quoted}.json")));
        repository.take_asked();
        let _ = device.find(&repository, "t");
        assert_eq!(repository.take_asked(), ["2.root.json", "timestamp.json"]);
    }
}
