//! What is affected is found, what is not known is never safe, and the columns answer as a plain
//! look at every device does.

use super::table::{Ask, Seen, Table};
use super::version::{Scheme, compare};
use super::*;
use alloc::collections::BTreeMap;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::{format, vec};
use core::cmp::Ordering;

use lazaret_protocol::id::DeviceId;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::RunningRelease;
use proptest::prelude::*;

use crate::device::Device;

const NOW: Timestamp = Timestamp::from_ms(1_000_000_000);

fn bill(version: &str, components: &[(&str, Option<&str>)]) -> Bill {
    let component = |(purl, version): &(&str, Option<&str>)| {
        let (package, at) = match purl.starts_with("pkg:") {
            true => Package::from_purl(purl).unwrap(),
            false => (Package::named(purl), None),
        };
        let sha256 = Some(Sha256Digest::of(purl.as_bytes()));
        Component { package, version: version.map(Into::into).or(at), sha256 }
    };
    Bill {
        model: "gw2".parse().unwrap(),
        version: version.parse().unwrap(),
        image: Sha256Digest::of(version.as_bytes()),
        format: "CycloneDX 1.5".into(),
        file: Sha256Digest::of(b"file"),
        by: "ana".parse().unwrap(),
        at: NOW,
        components: components.iter().map(component).collect(),
    }
}

fn device(number: u32, runs: Option<&str>) -> Device {
    let running = runs.map(|version| RunningRelease {
        version: version.parse().unwrap(),
        counter: 1,
        sha256: Sha256Digest::of(version.as_bytes()),
    });
    Device {
        id: format!("d-{number}").parse().unwrap(),
        serial: "s-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificates: vec![Sha256Digest::of(b"c")],
        certificate_ends: NOW,
        enrolled: Timestamp::from_ms(0),
        quarantine: None,
        poll_sequence: 4,
        polls: 4,
        last_seen: Some(NOW),
        running,
        update_state: "idle".into(),
        log_head: None,
        order_sequence: 0,
        open_orders: vec![],
        last_outcome: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::from([("site".to_string(), format!("site-{}", number % 3))]),
        group: None,
        utc_offset_min: None,
        battery_percent: None,
        probes: BTreeMap::new(),
        other_release: None,
        hardware: None,
        watch: crate::clone::Watch::default(),
        release_floor: None,
        numbers: BTreeMap::new(),
        retired: None,
    }
}

fn asked(question: &Question) -> Ask<'_> {
    Ask { question, label: "site", silent_ms: 1000, now: NOW }
}

fn wants(text: &str) -> Question {
    Question::Components(vec![Wanted::parse(text).unwrap()])
}

fn known(text: &str, purl: &str, version: Option<&str>) -> Known {
    let bill = bill("1.0", &[(purl, version)]);
    wants(text).ask(&bill.image, Some(&bill)).affected
}

#[test]
fn versions_stand_in_the_order_of_their_kind() {
    for (a, b) in [
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b"),
        ("1.9", "1.10"),
        ("1.1.1k", "1.1.1l"),
        ("9", "1:0"),
        ("1.0-1", "1.0-2"),
        ("1.0-1+deb12u9", "1.0-1+deb12u10"),
        ("2023a", "2023b"),
        ("1.0", "1.0.1"),
        ("20240101", "99999999999999999999999"),
    ] {
        assert_eq!(compare(Scheme::Runs, a, b), Some(Ordering::Less), "{a} {b}");
        assert_eq!(compare(Scheme::Runs, b, a), Some(Ordering::Greater), "{b} {a}");
    }
    assert_eq!(compare(Scheme::Runs, "1.02", "1.2"), Some(Ordering::Equal));
    let semantic = |a, b| compare(Scheme::Semantic, a, b);
    assert_eq!(semantic("1.0.0-rc.1", "1.0.0"), Some(Ordering::Less));
    assert_eq!(semantic("v1.2.3", "1.2.3+build"), Some(Ordering::Equal));
    assert_eq!(semantic("0", "0.0.0-alpha"), Some(Ordering::Less));
    assert_eq!(semantic("1.2", "1.2.0"), None, "no version of this scheme");
}

#[test]
fn what_cannot_be_told_is_unknown_and_never_safe() {
    assert_eq!(known("openssl<3.0.14", "openssl", Some("3.0.13")), Known::Yes);
    assert_eq!(known("openssl<3.0.14", "openssl", Some("3.0.14")), Known::No);
    assert_eq!(known("openssl<3.0.14", "openssl", None), Known::Unknown);
    assert_eq!(known("openssl", "openssl", None), Known::Yes);
    assert_eq!(known("requests<2.0", "pkg:pypi/requests@1.9", None), Known::Unknown);
    assert_eq!(known("requests=1.9", "pkg:pypi/requests@1.9", None), Known::Yes);
    assert_eq!(known("left-pad<2.0.0", "pkg:npm/left-pad@not-a-version", None), Known::Unknown);
    assert_eq!(known("pkg:deb/debian/zlib<2", "pkg:deb/ubuntu/zlib@1", None), Known::No);
    assert_eq!(known("pkg:deb/debian/zlib<2", "zlib", Some("1")), Known::Yes);
    assert_eq!(known("pkg:deb/debian/zlib@1", "pkg:deb/debian/zlib@1", None), Known::Yes);
    let nothing = wants("openssl").ask(&Sha256Digest::of(b"x"), None);
    assert_eq!(nothing.affected, Known::Unknown, "{nothing:?}");
    let mut unhashed = bill("1.0", &[("zlib", Some("1"))]);
    unhashed.components[0].sha256 = None;
    let file = Question::File(Sha256Digest::of(b"zlib"));
    assert_eq!(file.ask(&unhashed.image, Some(&unhashed)).affected, Known::Unknown);
    let hashed = bill("1.0", &[("zlib", Some("1"))]);
    assert_eq!(file.ask(&hashed.image, Some(&hashed)).affected, Known::Yes);
}

#[test]
fn components_that_are_none_are_refused_with_what_came() {
    for bad in
        ["", "<1.0", "openssl<", "openssl<>3", "pkg:deb", "pkg:/x", "a\nb", "openssl<1\u{7}2"]
    {
        let refused = Wanted::parse(bad);
        assert!(matches!(refused, Err(ImportError::Unexpected { .. })), "{bad:?}: {refused:?}");
    }
    let (package, version) = Package::from_purl("pkg:npm/%40angular/core@12.3.1?x=y#z").unwrap();
    assert_eq!(
        (package.to_string().as_str(), version.as_deref()),
        ("pkg:npm/@angular/core", Some("12.3.1"))
    );
}

#[test]
fn a_bill_of_cyclonedx_is_read_with_what_lies_within_others() {
    let text = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"type": "library", "name": "openssl", "version": "3.0.13",
         "purl": "pkg:deb/debian/openssl@3.0.13-1~deb12u1?arch=arm64",
         "components": [{"type": "file", "name": "/usr/lib/libssl.so.3",
           "hashes": [{"alg": "SHA-256",
             "content": "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}]}]},
        {"name": "openssl", "purl": "pkg:deb/debian/openssl@3.0.13-1~deb12u1", "version": "3.0.13"}
    ]}"#;
    let file: cyclonedx::File = serde_json::from_str(text).unwrap();
    assert_eq!(file.format().unwrap(), "CycloneDX 1.5");
    let components = file.components().unwrap();
    assert_eq!(components.len(), 2, "each once: {components:?}");
    assert!(components.iter().any(|one| one.sha256 == Some(Sha256Digest::of(b""))));
    for bad in [
        r#"{"bomFormat": "SPDX", "specVersion": "2.3"}"#,
        r#"{"bomFormat": "CycloneDX", "specVersion": "2.0"}"#,
        r#"{}"#,
    ] {
        let file: cyclonedx::File = serde_json::from_str(bad).unwrap();
        assert!(file.format().is_err(), "{bad}");
    }
    let bad = r#"{"components": [{"name": "x", "hashes": [{"alg": "SHA-256", "content": "zz"}]}]}"#;
    assert!(serde_json::from_str::<cyclonedx::File>(bad).unwrap().components().is_err());
    let many = vec![r#"{"name": "x"}"#; COMPONENTS_MAX * 2 + 1].join(",");
    let many: cyclonedx::File =
        serde_json::from_str(&format!(r#"{{"components": [{many}]}}"#)).unwrap();
    assert!(matches!(many.components(), Err(ImportError::TooMany { .. })));
}

#[test]
fn an_advisory_of_osv_finds_the_versions_between_its_events() {
    let text = r#"{"id": "CVE-2026-1", "aliases": ["GHSA-1"], "summary": "overflow", "affected": [
        {"package": {"ecosystem": "Debian:12", "name": "openssl"}, "ranges": [
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.14-1"}]}]},
        {"package": {"ecosystem": "npm", "name": "@scope/tool"}, "ranges": [
            {"type": "SEMVER", "events": [{"introduced": "1.0.0"}, {"last_affected": "1.2.0"},
                {"introduced": "2.0.0"}, {"fixed": "2.1.0"}]}]},
        {"package": {"ecosystem": "PyPI", "name": "tool"}, "versions": ["1.9"]},
        {"package": {"ecosystem": "OSS-Fuzz", "name": "lib"}, "ranges": [
            {"type": "GIT", "events": [{"introduced": "0"}]}]},
        {}
    ]}"#;
    let read = serde_json::from_str::<osv::File>(text).unwrap().read().unwrap();
    assert_eq!((read.affected.len(), read.not_followed), (3, 2));
    let question = Question::Components(read.affected);
    let affected = |purl: &str| {
        let bill = bill("1.0", &[(purl, None)]);
        question.ask(&bill.image, Some(&bill)).affected
    };
    for (purl, wanted) in [
        ("pkg:deb/debian/openssl@3.0.13-1~deb12u1", Known::Yes),
        ("pkg:deb/debian/openssl@3.0.14-1", Known::No),
        ("pkg:deb/ubuntu/openssl@3.0.13-1", Known::No),
        ("pkg:npm/%40scope/tool@1.2.0", Known::Yes),
        ("pkg:npm/%40scope/tool@1.2.1", Known::No),
        ("pkg:npm/%40scope/tool@2.0.5", Known::Yes),
        ("pkg:npm/%40other/tool@2.0.5", Known::No),
        ("pkg:pypi/tool@1.9", Known::Yes),
        ("pkg:pypi/tool@1.8", Known::No),
    ] {
        assert_eq!(affected(purl), wanted, "{purl}");
    }
    let withdrawn = r#"{"id": "CVE-1", "withdrawn": "2026-01-01T00:00:00Z"}"#;
    assert!(serde_json::from_str::<osv::File>(withdrawn).unwrap().read().is_err());
    let odd = r#"{"id": "CVE 1/../x"}"#;
    assert!(serde_json::from_str::<osv::File>(odd).unwrap().read().is_err());
}

#[test]
fn an_advisory_of_csaf_finds_products_by_package_and_by_range() {
    let text = r#"{"document":
        {"csaf_version": "2.0", "title": "busybox", "tracking": {"id": "VEN-1"}},
      "product_tree": {"branches": [{"category": "vendor", "name": "V", "branches": [
        {"category": "product_name", "name": "busybox", "branches": [
          {"category": "product_version_range", "name": "vers:generic/>=1.30|<1.36.1",
           "product": {"product_id": "P1", "name": "busybox"}},
          {"category": "product_version", "name": "1.20",
           "product": {"product_id": "P2", "name": "busybox 1.20"}}]}]}],
        "full_product_names": [
          {"product_id": "P3", "name": "zlib",
           "product_identification_helper": {"purl": "pkg:deb/debian/zlib1g@1.2.13"}},
          {"product_id": "P4", "name": "an appliance"}],
        "product_groups": [{"group_id": "G1", "product_ids": ["P1", "P2"]}]},
      "vulnerabilities": [{"cve": "CVE-2026-2",
        "product_status": {"known_affected": ["G1", "P3", "P4"], "fixed": ["P9"]}}]}"#;
    let read = serde_json::from_str::<csaf::File>(text).unwrap().read().unwrap();
    assert_eq!(read.aliases, ["CVE-2026-2"]);
    assert_eq!((read.affected.len(), read.not_followed), (3, 1));
    let question = Question::Components(read.affected);
    let affected = |name: &str, version: &str| {
        let bill = bill("1.0", &[(name, Some(version))]);
        question.ask(&bill.image, Some(&bill)).affected
    };
    assert_eq!(affected("busybox", "1.35.0"), Known::Yes);
    assert_eq!(affected("busybox", "1.36.1"), Known::No);
    assert_eq!(affected("busybox", "1.20"), Known::Yes);
    assert_eq!(affected("pkg:deb/debian/zlib1g", "1.2.13"), Known::Yes);
    assert_eq!(affected("pkg:deb/debian/zlib1g", "1.2.14"), Known::No);
    let other = r#"{"document": {"csaf_version": "3.0", "tracking": {"id": "V"}}}"#;
    assert!(serde_json::from_str::<csaf::File>(other).unwrap().read().is_err());
}

#[test]
fn the_latest_word_of_a_device_counts_and_retired_ones_do_not() {
    let mut table = Table::default();
    let take = |table: &mut Table, device: &Device| table.take(&device.seen().unwrap());
    table.take(&Seen::Bill(Arc::new(bill("1.0", &[("openssl", Some("3.0.13"))]))));
    table.take(&Seen::Bill(Arc::new(bill("2.0", &[("openssl", Some("3.0.14"))]))));
    take(&mut table, &device(1, Some("1.0")));
    take(&mut table, &device(2, Some("2.0")));
    take(&mut table, &device(3, None));
    take(&mut table, &device(4, Some("9.9")));
    let question = wants("openssl<3.0.14");
    let swept = table.ask(&asked(&question), None);
    assert_eq!((swept.fleet, swept.affected, swept.unknown, swept.unaffected), (4, 1, 2, 1));
    take(&mut table, &device(1, Some("2.0")));
    let rollout = Seen::Rollout("d-1".parse().unwrap(), "r-1".parse().unwrap());
    table.take(&rollout);
    assert_eq!(table.ask(&asked(&question), None).affected, 0, "it was patched");
    take(&mut table, &device(1, Some("1.0")));
    let swept = table.ask(&asked(&question), None);
    let by_rollout = swept.radius.iter().find(|radius| radius.by == "rollout").unwrap();
    assert_eq!(by_rollout.rows[0].name, "r-1", "its rollout is kept: {by_rollout:?}");
    let retired =
        crate::retire::Retired { at: NOW, by: "ana".parse().unwrap(), reason: "x".into() };
    take(&mut table, &Device { retired: Some(retired), ..device(1, Some("1.0")) });
    assert_eq!(table.ask(&asked(&question), None).fleet, 3);
    assert_eq!(table.named(&question, Known::Yes, None), Vec::<DeviceId>::new());
}

proptest! {
    #[test]
    fn the_columns_answer_as_a_look_at_every_device_does(
        runs in proptest::collection::vec((0u32..30, 0usize..5), 0..80),
        below in 0usize..5,
    ) {
        let versions = ["3.0.1", "3.0.2", "3.0.10", "3.1-rc1", "3.1"];
        let mut table = Table::default();
        let bills: Vec<Bill> = versions[..4]
            .iter()
            .map(|version| bill(version, &[("openssl", Some(version))]))
            .collect();
        let mut fleet: BTreeMap<u32, Device> = BTreeMap::new();
        for (at, (number, release)) in runs.iter().enumerate() {
            if let Some(bill) = bills.get(at) {
                table.take(&bill.seen().unwrap());
            }
            let device = device(*number, versions.get(*release).copied());
            table.take(&device.seen().unwrap());
            fleet.insert(*number, device);
        }
        let entered = &bills[..runs.len().min(bills.len())];
        let question = wants(&format!("openssl<{}", versions[below]));
        let (mut yes, mut unknown, mut no) = (Vec::new(), 0u64, 0u64);
        for device in fleet.values() {
            let bill = device.running.as_ref().and_then(|running| {
                entered.iter().find(|bill| bill.image == running.sha256)
            });
            let image = device.running.as_ref().map(|running| running.sha256);
            match image.map_or(Known::Unknown, |image| question.ask(&image, bill).affected) {
                Known::Yes => yes.push(device.id.clone()),
                Known::No => no += 1,
                Known::Unknown => unknown += 1,
            }
        }
        yes.sort();
        let swept = table.ask(&asked(&question), None);
        prop_assert_eq!(swept.affected, yes.len() as u64);
        prop_assert_eq!((swept.unknown, swept.unaffected), (unknown, no));
        prop_assert_eq!(swept.fleet, swept.affected + swept.unknown + swept.unaffected);
        for radius in &swept.radius {
            let sum: u64 = radius.rows.iter().map(|row| row.devices).sum();
            prop_assert_eq!(sum, swept.affected, "{}", radius.by);
        }
        prop_assert_eq!(table.named(&question, Known::Yes, None), yes);
    }
}
