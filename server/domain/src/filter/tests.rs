//! Filters say what operators mean by them, and what is no filter is pointed at.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;
use lazaret_protocol::containment::Terms;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::RunningRelease;
use lazaret_protocol::time::DAY_MS;
use proptest::prelude::*;

use crate::device::Quarantine;

const NOW: Timestamp = Timestamp::from_ms(1_795_428_000_000);

fn device() -> Device {
    Device {
        id: "d-1".parse().unwrap(),
        serial: "s-9".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificates: vec![],
        certificate_ends: NOW,
        enrolled: Timestamp::from_ms(NOW.as_ms() - 100 * DAY_MS),
        quarantine: None,
        poll_sequence: 4,
        polls: 40,
        last_seen: Some(Timestamp::from_ms(NOW.as_ms() - 2 * DAY_MS)),
        running: Some(RunningRelease {
            version: "2.3.9".parse().unwrap(),
            counter: 23,
            sha256: Sha256Digest::of(b"2.3.9"),
        }),
        update_state: "idle".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: Some("failed (probe-failed): x".into()),
        attributes: [("hardware".into(), "rev B".into()), ("ram".into(), "512".into())].into(),
        labels: [("site".into(), "Lyon".into())].into(),
        group: Some("line-2".into()),
        utc_offset_min: Some(60),
        battery_percent: Some(80),
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: crate::clone::Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    }
}

fn says(filter: &str) -> bool {
    let filter: Filter = filter.parse().unwrap_or_else(|err| panic!("{filter}: {err}"));
    filter.matches(&device(), Some(&"r-7".parse().unwrap()), NOW)
}

#[test]
fn filters_mean_what_operators_read() {
    for filter in [
        "model==gw2",
        "model==gw2;version=lt=2.4.0;label.site==lyon,last_seen=lt=7d",
        "model==gw9 or model==gw2 and version=lt=2.4.0",
        "(model==gw9,model==gw2);version=ge=2.3.9",
        "version==2.3.*",
        "version==2.3.9.0",
        "version!=2.3.8",
        "version>2.3.10-rc1 or version<2.3.10",
        "version<=2.3.9;version>=2.3.9",
        "id=in=(d-2,d-1)",
        "controllerid=out=(d-2,d-3)",
        "label.site==L*n",
        "label.site==\"lyon\"",
        "label.nosuch==''",
        "label.nosuch!=anything",
        "attribute.hardware=='rev b'",
        "hardware=='rev B'",
        "attribute.ram=ge=100",
        "group==line-*",
        "state==idle",
        "last_seen=gt=1d;last_seen=lt=2026-11-23T00:00:00Z",
        "enrolled=gt=90d",
        "quarantine==false",
        "rollout==r-7",
        "outcome==*probe-failed*",
        "battery>=80 AND polls=gt=39 and counter==23",
        "  model == gw2  ",
    ] {
        assert!(says(filter), "{filter}");
    }
    for filter in [
        "model==gw",
        "version=gt=2.3.10",
        "label.nosuch==anything",
        "label.nosuch=lt=5",
        "label.site==lyo",
        "last_seen==never",
        "quarantine==true",
        "model==gw2;version=gt=2.4.0",
        "id==*2*",
    ] {
        assert!(!says(filter), "{filter}");
    }
}

#[test]
fn a_device_that_never_polled_is_longer_ago_than_anything() {
    let fresh = Device { last_seen: None, running: None, ..device() };
    let matches = |text: &str| text.parse::<Filter>().unwrap().matches(&fresh, None, NOW);
    assert!(matches("last_seen=gt=3650d"));
    assert!(matches("last_seen==never"));
    assert!(!matches("last_seen=lt=3650d"));
    assert!(!matches("version=lt=9"));
    assert!(matches("version!=1.0"));
    assert!(matches("rollout==''"));
}

#[test]
fn quarantine_is_seen() {
    let by = "ana".parse().unwrap();
    let quarantine = Quarantine {
        by,
        reason: "x".into(),
        since: NOW,
        confirmed: false,
        terms: Terms::default(),
        word: None,
        ended: None,
    };
    let held = Device { quarantine: Some(quarantine), ..device() };
    let filter: Filter = "quarantine==true".parse().unwrap();
    assert!(filter.matches(&held, None, NOW));
}

#[test]
fn what_is_no_filter_is_pointed_at() {
    for (text, column, expected) in [
        ("", 1, "one of the fields"),
        ("modell==gw2", 1, "one of the fields"),
        ("model=gw2", 6, "an operator"),
        ("model==", 8, "a value"),
        ("model==gw2;", 12, "one of the fields"),
        ("model==gw2)", 11, "\";\" or"),
        ("(model==gw2", 12, "\")\""),
        ("model=in=gw2", 10, "\"(\" and values"),
        ("model=in=(gw2", 14, "\",\" or \")\""),
        ("model==\"gw2", 8, "a closing \""),
        ("last_seen=lt=soon", 14, "a time since then"),
        ("quarantine=lt=true", 11, "== or !="),
        ("quarantine==maybe", 13, "true or false"),
        ("battery==full", 10, "a whole number"),
        ("model=lt=gw*", 10, "a value that has an order"),
        ("model==gw2 version==1", 12, "\";\" or"),
        ("model==gw2&&id==1", 11, "a field, a value"),
        ("label.==x", 1, "one of the fields"),
        ("é==gw2", 1, "one of the fields"),
        ("label.a==é;model=gw2", 17, "an operator"),
    ] {
        let err = text.parse::<Filter>().unwrap_err();
        assert_eq!(err.column, column, "{text}: {err}");
        assert!(err.expected.starts_with(expected), "{text}: {err}");
    }
    let err = "model=gw2".parse::<Filter>().unwrap_err();
    assert!(err.pointed("model=gw2").starts_with("model=gw2\n     ^ expected an operator"));
}

#[test]
fn filters_past_a_limit_are_refused() {
    let long = "x".repeat(FILTER_BYTES_MAX + 1);
    let deep = "(".repeat(DEPTH_MAX + 1) + "id==a" + &")".repeat(DEPTH_MAX + 1);
    let wide = alloc::vec!["id==a"; COMPARISONS_MAX + 1].join(";");
    let listed = alloc::format!("id=in=({})", alloc::vec!["a"; VALUES_MAX + 1].join(","));
    for (text, expected) in [
        (long, "a filter of at most"),
        (deep, "at most 16 open"),
        (wide, "at most 128 comparisons"),
        (listed, "at most 256 values"),
    ] {
        let err = text.parse::<Filter>().unwrap_err();
        assert!(err.expected.starts_with(expected), "{err}");
    }
}

#[test]
fn versions_stand_in_the_order_in_which_people_read_them() {
    let order = [
        "1.0-rc1",
        "1.0",
        "1.0.1",
        "1.9",
        "1.10",
        "2.0-alpha",
        "2.0-alpha.1",
        "2.0-beta",
        "2.0",
        "2.0.0.1",
        "10",
    ];
    for pair in order.windows(2) {
        assert!(version::compare(pair[0], pair[1]).is_lt(), "{pair:?}");
    }
    assert!(version::compare("v2.4", "2.4.0+build7").is_eq());
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error_within_it(text in "\\PC{0,60}") {
        if let Err(err) = text.parse::<Filter>() {
            prop_assert!(err.column >= 1 && err.column <= text.chars().count() + 1);
        }
    }

    #[test]
    fn what_looks_like_a_filter_never_panics(
        text in "[a-z_.]{1,8}(==|!=|=lt=|=in=|<|>=)[(]?[a-z0-9.*']{0,8}[);, ]{0,3}[a-z=]{0,8}",
    ) {
        if let Ok(filter) = text.parse::<Filter>() {
            let _ = filter.matches(&device(), None, NOW);
            // A filter is read back from what it was.
            prop_assert_eq!(filter.as_str().parse::<Filter>().unwrap(), filter);
        }
    }

    #[test]
    fn every_device_matches_a_comparison_or_its_contrary(
        field in prop_oneof![
            Just("id"), Just("version"), Just("label.site"), Just("attribute.none"), Just("group"),
        ],
        value in "[a-z0-9.*]{1,6}",
    ) {
        let is: Filter = alloc::format!("{field}=={value}").parse().unwrap();
        let is_not: Filter = alloc::format!("{field}!={value}").parse().unwrap();
        let device = device();
        prop_assert_ne!(is.matches(&device, None, NOW), is_not.matches(&device, None, NOW));
    }

    #[test]
    fn the_order_of_versions_is_one(a in "[0-9a-c.-]{1,8}", b in "[0-9a-c.-]{1,8}") {
        prop_assert_eq!(version::compare(&a, &b), version::compare(&b, &a).reverse());
    }
}
