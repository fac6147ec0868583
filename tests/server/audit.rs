//! The audit log of the real server: nothing is done that is not in it, a flood of refusals does
//! not fill it, and an edited row is named, by the real programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this program is a test"
)]

use std::path::Path;

use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::peer::Peer;
use lazaret_tests::programs;
use lazaret_tests::site::Site;
use serde_json::{Value, json};

fn operator(site: &Site, name: &str) -> Connection {
    let shown = Credential::operator(site, name).unwrap();
    Connection::open(site.operator_port, &tls(site, Some(&shown)).unwrap()).unwrap()
}

fn entries(site: &Site, args: &[&str]) -> Vec<Value> {
    let shown = site.lazaret(&[&["audit", "show"], args].concat()).unwrap();
    shown["items"].as_array().unwrap().clone()
}

fn verified(site: &Site, folder: &Path) -> (bool, Value) {
    let anchors = site.keys().join("anchors.json");
    let args = ["audit", "verify", folder.to_str().unwrap(), "--anchors"];
    let mut command = site.cli("ana", &[&args[..], &[anchors.to_str().unwrap()]].concat());
    let output = programs::output(&mut command).unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), said)
}

#[test]
fn an_act_and_every_refusal_are_in_the_log_and_an_edited_row_is_named_offline() {
    let (_folder, mut site) = Site::running().unwrap();
    site.operator("vera", "viewer").unwrap();
    Peer::enrol(&site, "d-1").unwrap();
    let mut ana = operator(&site, "ana");
    let reason = json!({ "reason": "suspicious \"traffic\"\u{1b}[2J" });
    assert_eq!(ana.tell("POST", "/v1/devices/d-1/quarantine", &reason).unwrap().status, 200);
    let mut vera = operator(&site, "vera");
    assert_eq!(vera.tell("POST", "/v1/halt", &reason).unwrap().status, 403);
    assert_eq!(vera.look("/v1/audit/entries").unwrap().status, 403);
    // Looking is no act.
    assert_eq!(vera.look("/v1/devices").unwrap().status, 200);

    let done = entries(&site, &["--who", "ana", "--what", "quarantine"]);
    assert_eq!(done.len(), 1, "{done:?}");
    let act = &done[0]["act"];
    assert_eq!(act["outcome"], "done");
    assert_eq!(act["target"], "/v1/devices/d-1/quarantine");
    assert_eq!(act["reason"], reason["reason"]);
    assert!(act["request"].is_string() && act["who"]["credential"].is_string(), "{act}");
    let refused = entries(&site, &["--who", "vera"]);
    let outcomes: Vec<&str> =
        refused.iter().map(|entry| entry["act"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["forbidden", "forbidden"], "{refused:?}");

    // A claim and a quarantine each have one leaf, and so has everything that a page cuts.
    let all = entries(&site, &[]);
    let pages: Vec<Value> = (0..all.len())
        .flat_map(|at| {
            let after = (at as u64).checked_sub(1).map(|at| at.to_string());
            let after = after.as_deref().map_or(vec![], |at| vec!["--after", at]);
            entries(&site, &[&["--limit", "1"][..], &after].concat())
        })
        .collect();
    assert_eq!(pages, all);

    // What was acknowledged is in the log after a crash.
    site.kill_server().unwrap();
    site.start_server().unwrap();
    assert!(entries(&site, &[]).len() >= all.len());

    let out = site.folder.join("export");
    site.lazaret(&["audit", "export", "--out", out.to_str().unwrap()]).unwrap();
    let (good, report) = verified(&site, &out);
    assert!(good && report["ok"] == true, "{report}");
    assert!(report["checkpoints"].as_u64().unwrap() > 1, "{report}");

    // In the bundle that stock readers read, and in the lines that people read.
    let index = done[0]["index"].as_u64().unwrap();
    let bundles = out.join("tile/entries");
    let bundle = std::fs::read_dir(bundles.join("000.p")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&bundle).unwrap();
    for path in [bundle.clone(), out.join("entries.jsonl")] {
        let was = std::fs::read(&path).unwrap();
        std::fs::write(&path, replaced(&was, b"suspicious", b"inspicious")).unwrap();
        let (good, report) = verified(&site, &out);
        let finding = &report["findings"][0];
        assert!(!good, "{report}");
        assert_eq!(finding["index"], index, "{report}");
        assert_eq!(finding["who"], "ana", "{report}");
        assert_eq!(finding["what"], "POST /v1/devices/{device}/quarantine", "{report}");
        std::fs::write(&path, was).unwrap();
    }
    // A row that became longer puts those behind it out of step, and is still the first one named.
    std::fs::write(&bundle, replaced(&whole, b"suspicious", b"very suspicious")).unwrap();
    let (good, report) = verified(&site, &out);
    assert!(!good && report["findings"][0]["index"] == index, "{report}");
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the text");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn a_flood_of_strangers_is_counted_and_does_not_fill_the_log() {
    let (_folder, site) = Site::running().unwrap();
    let nobody = tls(&site, None).unwrap();
    for _ in 0..40 {
        Connection::open(site.operator_port, &nobody).unwrap().alert().unwrap();
        let mut open = Connection::open(site.device_port, &nobody).unwrap();
        assert_eq!(open.look("/v1/device").unwrap().status, 401);
    }
    let refused = entries(&site, &["--outcome", "unauthenticated"]);
    assert!(!refused.is_empty() && refused.len() <= 12, "{}", refused.len());
    assert!(refused.iter().all(|entry| entry["act"]["who"]["kind"] == "stranger"), "{refused:?}");
    assert!(refused.iter().any(|entry| entry["act"]["what"] == "connect operators"));
}
