//! Who is affected, with real programs: bills and advisories taken in, a device that is off
//! counted, what is not known said, and the answer made an incident.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::PathBuf;

use lazaret_tests::fleet::{Fleet, For, Release};
use lazaret_tests::programs::{self, arg};
use serde_json::{Value, json};

fn written(fleet: &Fleet, name: &str, value: &Value) -> String {
    let path: PathBuf = fleet.folder().join(name);
    std::fs::write(&path, value.to_string()).unwrap();
    arg(&path)
}

fn bill(openssl: &str) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "components": [{
            "type": "library", "name": "openssl", "version": openssl,
            "purl": format!("pkg:deb/debian/openssl@{openssl}?arch=arm64"),
            "hashes": [{ "alg": "SHA-256", "content": "a".repeat(64) }],
        }],
    })
}

fn refused(fleet: &Fleet, args: &[&str]) -> String {
    let output = programs::output(&mut fleet.site.cli("ana", args)).unwrap();
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn swept(fleet: &Fleet, args: &[&str]) -> Value {
    let view = fleet.site.lazaret(&[&["sweep"], args].concat()).unwrap();
    let sum = ["affected", "unknown", "unaffected"].map(|name| view[name].as_u64().unwrap());
    assert_eq!(json!(sum.iter().sum::<u64>()), view["fleet"], "every device once: {view}");
    view
}

fn counts(view: &Value) -> [u64; 3] {
    ["affected", "unknown", "unaffected"].map(|name| view[name].as_u64().unwrap())
}

#[test]
fn who_is_affected_is_answered_from_records_and_becomes_an_incident() {
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ["d-1", "d-2", "d-3"] {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    fleet.site.lazaret(&["device", "label", "d-1", "site=lyon"]).unwrap();

    let query = ["--component", "openssl>=3.0,<3.0.14"];
    assert_eq!(counts(&swept(&fleet, &query)), [0, 3, 0], "without a bill nobody is safe");
    let old = written(&fleet, "old.json", &bill("3.0.13-1~deb12u1"));
    let taken = fleet.site.lazaret(&["release", "sbom", "gw2", "1.0", &old]).unwrap();
    assert_eq!((&taken["components"], &taken["hashed"]), (&json!(1), &json!(1)), "{taken}");
    let view = swept(&fleet, &query);
    assert_eq!(counts(&view), [3, 0, 0], "{view}");
    assert_eq!(view["radius"][1]["by"], "label site");

    // One is patched, one is off and counts all the same.
    fleet.devices[2].kill().unwrap();
    let new = written(&fleet, "new.json", &bill("3.0.14-1~deb12u1"));
    fleet.site.lazaret(&["release", "sbom", "gw2", "2.0", &new]).unwrap();
    let rollout = fleet.roll_out(Release(2), For::These(&["d-2".to_owned()])).unwrap();
    fleet.ended(&rollout, "finished").unwrap();
    let view = swept(&fleet, &[&query[..], &["--devices", "10"]].concat());
    assert_eq!((counts(&view), &view["devices"]), ([2, 0, 1], &json!(["d-1", "d-3"])), "{view}");
    let lyon = swept(&fleet, &[&query[..], &["--filter", "label.site==lyon"]].concat());
    assert_eq!(counts(&lyon), [1, 0, 0], "{lyon}");
    let file = swept(&fleet, &["--file", &"a".repeat(64)]);
    assert_eq!(counts(&file), [3, 0, 0], "{file}");

    let osv = json!({
        "id": "CVE-2026-1234", "aliases": ["DSA-1"], "summary": "an overflow",
        "affected": [{
            "package": { "ecosystem": "Debian:12", "name": "openssl" },
            "ranges": [{ "type": "ECOSYSTEM",
                         "events": [{ "introduced": "0" }, { "fixed": "3.0.14-1~deb12u1" }] }],
        }],
    });
    let osv = written(&fleet, "osv.json", &osv);
    fleet.site.lazaret(&["advisory", "import", &osv]).unwrap();
    let view = swept(&fleet, &["--advisory", "dsa-1"]);
    assert_eq!(counts(&view), [2, 0, 1], "{view}");
    let open = ["incident", "open", "--advisory", "CVE-2026-1234", "--title", "CVE-2026-1234"];
    let rest = ["--severity", "high", "--declare", "--reason", "is being used"];
    let incident = fleet.site.lazaret(&[&open[..], &rest].concat()).unwrap();
    assert_eq!(incident["incident"]["devices"], 2, "{incident}");

    // The table is made anew from the records.
    fleet.site.kill_server().unwrap();
    fleet.site.start_server().unwrap();
    assert_eq!(counts(&swept(&fleet, &query)), [2, 0, 1]);
    odd_questions_are_refused(&fleet, &old);
}

fn odd_questions_are_refused(fleet: &Fleet, bill: &str) {
    let spdx = written(fleet, "spdx.json", &json!({ "spdxVersion": "SPDX-2.3" }));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_path = arg(&fleet.folder().join("deep.json"));
    std::fs::write(&deep_path, deep).unwrap();
    for (says, args) in [
        ("bomFormat CycloneDX", ["release", "sbom", "gw2", "1.0", &spdx].as_slice()),
        ("no release gw2/7.0", &["release", "sbom", "gw2", "7.0", bill]),
        ("expected a CycloneDX", &["release", "sbom", "gw2", "1.0", &deep_path]),
        ("expected an advisory", &["advisory", "import", &deep_path]),
        ("expected an advisory", &["advisory", "import", bill]),
        ("no advisory", &["sweep", "--advisory", "CVE-1"]),
        ("expected a component", &["sweep", "--component", "openssl<"]),
        ("filter is refused", &["sweep", "--filter", "model=gw2"]),
        ("required", &["sweep"]),
    ] {
        let said = refused(fleet, args);
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
