//! What is loaded and how it is judged; that it holds in a real kernel is shown in
//! `tests/contain`.

use super::*;
use lazaret_protocol::containment::Level;

fn terms(open: &[&str]) -> Terms {
    Terms {
        open: open.iter().map(|one| one.parse().unwrap()).collect(),
        ..Terms::of(Level::Isolate)
    }
}

#[test]
fn a_load_replaces_what_was_there_and_closes_by_policy() {
    let text = script(&terms(&["10.0.0.1:8443", "[fd00::1]:8443"]), &["eth0".into()]);
    assert!(text.starts_with("table inet lazaret_quarantine {}\ndelete table inet"), "{text}");
    assert_eq!(text.matches("policy drop;").count(), 4, "{text}");
    assert_eq!(text.matches("elements = { 10.0.0.1 . 8443 }").count(), 2, "{text}");
    assert_eq!(text.matches("elements = { fd00::1 . 8443 }").count(), 2, "{text}");
    assert!(text.contains("hook egress device \"eth0\""), "{text}");
    assert!(!text.contains("dport 53") && !text.contains("dport 67"), "{text}");
}

#[test]
fn a_lease_comes_from_the_named_server_alone() {
    let named = Terms { leases: vec!["10.0.0.9".parse().unwrap()], ..terms(&[]) };
    let text = script(&named, &[]);
    assert!(text.contains("ip saddr 10.0.0.9 udp sport 67 udp dport 68 accept"), "{text}");
}

#[test]
fn a_device_whose_name_could_be_read_as_a_rule_has_no_place_in_one() {
    for bad in ["", "eth0\" }", "a;b", "a b", "a{", "sixteen-letters-", "a\n"] {
        assert!(!is_nameable(bad), "{bad:?}");
    }
    for good in ["eth0", "wlan0", "br-lan", "eth0.100", "veth_1@if2"] {
        assert!(is_nameable(good), "{good:?}");
    }
}

#[test]
fn a_listing_that_lacks_anything_is_no_proof() {
    let named =
        |policy: &str| serde_json::json!({ "name": "output", "hook": "output", "policy": policy });
    let chain = |policy: &str| serde_json::json!({ "chain": named(policy) });
    let rule = serde_json::json!({"rule": {"chain": "output"}});
    let expect = |listed: &[Value], rules| expect_chain(listed, "output", "output", rules);
    assert_eq!(expect(&[chain("drop"), rule.clone()], 1), Ok(()));
    assert!(expect(&[chain("accept"), rule.clone()], 1).is_err());
    assert!(expect(&[chain("drop"), rule.clone(), rule.clone()], 1).is_err(), "a rule too many");
    assert!(expect(&[rule], 1).is_err(), "no chain");
    let set =
        |name: &str, elements: Value| serde_json::json!({"set": {"name": name, "elem": elements}});
    let one = serde_json::json!([{"concat": ["10.0.0.1", 8443]}]);
    let two = serde_json::json!([{"concat": ["10.0.0.1", 8443]}, {"concat": ["10.0.0.2", 8443]}]);
    let none = serde_json::json!([]);
    let wanted = terms(&["10.0.0.1:8443"]);
    let sets = |elements| [set("open4", elements), set("open6", none.clone())];
    assert_eq!(expect_sets(&sets(one), &wanted), Ok(()));
    assert!(expect_sets(&sets(two), &wanted).is_err(), "an address too many");
    assert!(expect_sets(&[], &wanted).is_err());
}

#[test]
fn without_nft_the_measure_fails_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let durable = crate::durable::Durable::default();
    let terms = terms(&[]);
    let wanted = Wanted { terms: &terms, folder: folder.path(), durable: &durable };
    let missing = Nftables { nft: "/nonexistent/nft".into(), ..Nftables::default() };
    assert!(missing.apply(wanted).unwrap_err().why.contains("cannot be run"));
    assert!(missing.verify(wanted).is_err());
}
