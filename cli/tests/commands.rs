//! The real binary against a stand-in for the server: what it sends, what it shows, how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the functions around the tests fail as tests do"
)]

#[path = "../src/evidence/fixture.rs"]
#[allow(dead_code, reason = "shared with the binary's own tests, which use all of it")]
mod fixture;
#[path = "double/server.rs"]
mod server;

use std::process::Output;

use fixture::{Device, tar_of};
use lazaret_protocol::digest::Sha256Digest;
use serde_json::{Value, json};
use server::{Answer, Double, Request, ok, put, refused};

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fails(output: &Output, code: i32, says: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(stderr(output).contains(says), "{:?} does not say {says:?}", stderr(output));
}

fn release(state: &str, uploaded: u64, length: u64) -> Value {
    json!({
        "model": "gw2", "version": "2.0", "sha256": Sha256Digest::of(b"x").to_string(),
        "length": length, "state": state, "uploaded": uploaded, "deltas": [],
        "deltas_pending": [], "counter": null, "created_by": "alice",
    })
}

fn bundle(state: &str, content: &[u8]) -> Value {
    json!({
        "id": "b-1", "device": "d-1", "state": state, "reason": "case",
        "sha256": Sha256Digest::of(content).to_string(), "length": content.len(),
        "custody": [{"at": 0, "who": "alice", "act": "ordered"}],
    })
}

fn rollout(state: &str, waiting: u64) -> Value {
    json!({
        "id": "r-1", "model": "gw2", "version": "2.0", "state": state,
        "halt_reason": "group 1: 1 of 2 failed", "halts_unacknowledged": 0,
        "groups": [{
            "state": "open", "total": 2, "waiting": waiting, "offered": 0, "done": 1,
            "failed": 0, "refused": 0, "expired": 0, "reasons": [],
        }],
        "started_by": "alice", "started": 0, "error_percent": 20, "success_percent": 80,
    })
}

#[test]
fn an_upload_goes_on_after_a_broken_connection_a_busy_server_and_a_conflict() {
    const PIECE: usize = 4 * 1024 * 1024;
    let image: Vec<u8> = (0..PIECE * 2 + 5).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let length = image.len() as u64;
    let double = Double::start(move |request, _| upload_server(request, length));
    put(&double.path("image"), &image);
    let view = double.json(&[
        "release",
        "create",
        "--model",
        "gw2",
        "--version",
        "2.0",
        "--image",
        "image",
    ]);
    assert_eq!(view["state"], "uploaded");
    assert_eq!(view["deltas"][0]["length"], 9);
    let requests = double.requests();
    let created: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(created["sha256"], Sha256Digest::of(&image).to_string());
    assert_eq!(created["length"], length);
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    let put = |offset: usize| format!("PUT /v1/releases/gw2/2.0/image?offset={offset}");
    let expected = [
        "POST /v1/releases",
        &put(0),
        &put(PIECE),
        "GET /v1/releases/gw2/2.0",
        &put(PIECE),
        "GET /v1/releases/gw2/2.0",
        &put(PIECE),
        "GET /v1/releases/gw2/2.0",
        &put(PIECE * 2),
        "GET /v1/releases/gw2/2.0",
    ];
    assert_eq!(lines, expected);
    let sent = [&requests[1].body[..], &requests[6].body, &requests[8].body].concat();
    assert!(sent == image, "the pieces are not the image");
}

thread_local! {
    /// Uploads that the stand-in has seen. It runs on one thread.
    static PIECES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Takes the first piece, breaks the connection at the second, is busy at its next try, and takes
/// it at the third but says that it had it already.
fn upload_server(request: &Request, length: u64) -> Answer {
    const PIECE: u64 = 4 * 1024 * 1024;
    let pieces = PIECES.get();
    if request.line.starts_with("PUT") {
        PIECES.set(pieces + 1);
        return match pieces {
            0 => ok(release("uploading", PIECE, length)),
            1 => (0, Vec::new()),
            2 => refused(503, "unavailable", "the store is busy"),
            3 => refused(409, "conflict", "expected another offset"),
            _ => {
                let mut view = release("uploaded", length, length);
                view["deltas_pending"] = json!(["1.0"]);
                ok(view)
            }
        };
    }
    match pieces {
        0 => ok(release("uploading", 0, length)),
        1..=3 => ok(release("uploading", PIECE, length)),
        4 => ok(release("uploading", PIECE * 2, length)),
        _ => {
            let mut view = release("uploaded", length, length);
            let sha256 = Sha256Digest::of(b"delta").to_string();
            view["deltas"] = json!([{"base": "1.0", "length": 9, "sha256": sha256}]);
            ok(view)
        }
    }
}

#[test]
fn an_upload_that_the_server_refuses_ends_at_once() {
    let double = Double::start(|request, _| match request.line.starts_with("PUT") {
        true => refused(403, "forbidden", "alice is no release-manager"),
        false => ok(release("uploading", 0, 5)),
    });
    put(&double.path("image"), b"image");
    let output = double.lazaret(&[
        "release",
        "create",
        "--model",
        "gw2",
        "--version",
        "2.0",
        "--image",
        "image",
    ]);
    fails(&output, 1, "the server refused (forbidden): alice is no release-manager");
    assert_eq!(double.requests().len(), 2);
}

#[test]
fn metadata_is_fetched_from_the_first_root_to_the_release_role() {
    let double = Double::start(|request, _| {
        let meta = |meta: Value| ok(json!({"signed": {"meta": meta}}));
        match request.line.trim_start_matches("GET /v1/repo/metadata/") {
            "1.root.json" | "2.root.json" | "4.targets.json" | "5.rel-gw2.json" => ok(json!({})),
            "timestamp.json" => meta(json!({"snapshot.json": {"version": 3}})),
            "3.snapshot.json" => meta(json!({
                "targets.json": {"version": 4}, "rel-gw2.json": {"version": 5},
            })),
            _ => refused(404, "not-found", "no such file"),
        }
    });
    let fetched = double.json(&["release", "fetch-metadata", "--model", "gw2", "--out", "m"]);
    let names: Vec<&str> =
        fetched["files"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "1.root.json",
            "2.root.json",
            "timestamp.json",
            "3.snapshot.json",
            "4.targets.json",
            "5.rel-gw2.json",
        ]
    );
    assert_eq!(std::fs::read(double.path("m/5.rel-gw2.json")).unwrap(), b"{}");
    let first = double.lazaret(&["release", "fetch-metadata", "--model", "gw3", "--out", "m"]);
    assert!(stdout(&first).contains("there is no rel-gw3 yet"), "{}", stdout(&first));
}

#[test]
fn signed_metadata_is_handed_in_byte_by_byte() {
    let double = Double::start(|_, _| {
        ok(json!({"tuf_timestamp_version": 9, "files": ["2.rel-gw2.json", "timestamp.json"]}))
    });
    put(&double.path("2.rel-gw2.json"), b"{ \"signed\": 1}\n");
    let output = double.lazaret(&["release", "publish", "--metadata", "2.rel-gw2.json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("timestamp version 9"));
    let requests = double.requests();
    assert_eq!(requests[0].line, "POST /v1/repo/metadata/2.rel-gw2.json");
    assert_eq!(requests[0].body, b"{ \"signed\": 1}\n");
}

#[test]
fn a_claim_is_written_for_its_owner_and_not_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let double = Double::start(|_, _| ok(json!({"claim": "lzc_secret", "expires": 3_600_000})));
    let arguments = [
        "device",
        "provision",
        "--serial",
        "sn-1",
        "--device",
        "d-1",
        "--model",
        "gw2",
        "--valid-hours",
        "24",
        "--reason",
        "new",
        "--out",
        "claim",
    ];
    let output = double.lazaret(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains("lzc_secret"));
    assert_eq!(std::fs::read(double.path("claim")).unwrap(), b"lzc_secret\n");
    let mode = double.path("claim").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sent: Value = serde_json::from_slice(&double.requests()[0].body).unwrap();
    let expected = json!({
        "serial": "sn-1", "device": "d-1", "model": "gw2", "valid_ms": 86_400_000, "reason": "new",
    });
    assert_eq!(sent, expected);
    // A second claim would make the first useless: nothing is asked for a file that exists.
    fails(&double.lazaret(&arguments), 2, "claim exists");
    assert_eq!(double.requests().len(), 1);
    let shown = double.json(&arguments[..12]);
    assert_eq!(shown["claim"], "lzc_secret");
}

#[test]
fn lists_are_fetched_page_by_page_and_never_steer_the_terminal() {
    let device = |id: &str| {
        json!({
            "id": id, "serial": "sn-1", "model": "gw2", "quarantine": null,
            "quarantine_confirmed": false, "running": null, "update_state": "idle\u{1b}[2J",
            "last_seen": null, "polls": 0, "certificate_ends": 0, "last_outcome": null,
        })
    };
    let double = Double::start(move |request, _| {
        let page = match request.line.as_str() {
            "GET /v1/devices?limit=500" => json!({"items": [device("d-1")], "next": "d-1"}),
            "GET /v1/devices?limit=500&after=d-1" => {
                json!({"items": [device("d-2")], "next": null})
            }
            other => panic!("{other}"),
        };
        ok(page)
    });
    let output = double.lazaret(&["device", "list"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("d-1") && text.contains("d-2") && text.contains("2 devices"), "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("idle\u{fffd}[2J"), "{text}");
}

#[test]
fn a_rollout_is_watched_to_its_end() {
    let double = Double::start(|_, before| {
        ok(rollout(if before % 2 == 0 { "running" } else { "halted" }, 1))
    });
    let output = double.lazaret(&["rollout", "status", "r-1", "--watch"]);
    fails(&output, 1, "the rollout halted: group 1: 1 of 2 failed");
    assert!(stdout(&output).contains("every device stands in exactly one column"));
    let finished = Double::start(|_, _| ok(rollout("finished", 1)));
    assert!(finished.lazaret(&["rollout", "status", "r-1", "--watch"]).status.success());
}

#[test]
fn counts_that_do_not_add_up_are_a_failure() {
    let double = Double::start(|_, _| ok(rollout("running", 7)));
    fails(&double.lazaret(&["rollout", "status", "r-1"]), 1, "do not add up");
}

#[test]
fn a_rollout_is_asked_for_as_typed() {
    let double = Double::start(|_, _| ok(rollout("running", 1)));
    put(&double.path("list"), b"# canaries\nd-1\nd-2\n");
    let output = double.lazaret(&[
        "rollout",
        "start",
        "--model",
        "gw2",
        "--version",
        "2.0",
        "--devices-file",
        "list",
        "--groups",
        "500,500",
        "--success",
        "100",
        "--error",
        "50",
        "--reason",
        " canaries ",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let sent: Value = serde_json::from_slice(&double.requests()[0].body).unwrap();
    let expected = json!({
        "model": "gw2", "version": "2.0", "scope": {"of": "devices", "devices": ["d-1", "d-2"]},
        "groups_permille": [500, 500], "success_percent": 100, "error_percent": 50,
        "reason": "canaries",
    });
    assert_eq!(sent, expected);
}

#[test]
fn a_bundle_is_pulled_verified_and_shown() {
    let device = Device::new();
    let content = tar_of(&device.bundle());
    let served = content.clone();
    let double = Double::start(move |request, before| match request.line.as_str() {
        "POST /v1/devices/d-1/evidence" => ok(json!({"bundle": "b-1"})),
        "GET /v1/bundles/b-1" if before == 1 => ok(bundle("ordered", b"")),
        "GET /v1/bundles/b-1" => ok(bundle("received", &served)),
        "GET /v1/bundles/b-1/content" => (200, served.clone()),
        other => panic!("{other}"),
    });
    put(&double.path("ca.pem"), device.ca.pem.as_bytes());
    let pull = ["evidence", "pull", "d-1", "--reason", "case", "--out", "b.tar"];
    let pulled = double.json(&pull);
    assert_eq!(pulled["sha256"], Sha256Digest::of(&content).to_string());
    assert!(std::fs::read(double.path("b.tar")).unwrap() == content);
    fails(&double.lazaret(&pull), 2, "b.tar exists");

    let verdict = double.json(&["evidence", "verify", "b.tar", "--device-ca", "ca.pem"]);
    assert_eq!(verdict["ok"], true);
    assert_eq!(verdict["checks"].as_array().unwrap().len(), 14);
    let beside: Value =
        serde_json::from_slice(&std::fs::read(double.path("b.tar.receipt.json")).unwrap()).unwrap();
    assert_eq!(beside["id"], "b-1");
    let output = double.lazaret(&["evidence", "verify", "b.tar", "--device-ca", "ca.pem"]);
    let text = stdout(&output);
    assert!(text.contains("The bundle is what the device collected and signed."), "{text}");
    let shown = double.lazaret(&["evidence", "show", "b.tar", "--device-ca", "ca.pem"]);
    let text = stdout(&shown);
    assert!(text.contains("order-accepted") && text.contains("do=collect \u{fffd}all"), "{text}");
    assert!(text.contains("the word of d-1"), "{text}");
    let both = ["evidence", "timeline", "b.tar", "b.tar", "--device-ca", "ca.pem"];
    let text = stdout(&double.lazaret(&both));
    assert!(text.contains("12 records of 2 bundles, each checked"), "{text}");
}

#[test]
fn a_bundle_that_is_not_what_the_server_said_leaves_no_file() {
    let double = Double::start(|request, _| match request.line.as_str() {
        "GET /v1/bundles/b-1" => ok(bundle("received", b"right")),
        "GET /v1/bundles/b-1/content" => (200, b"wrong".to_vec()),
        other => panic!("{other}"),
    });
    let before = double.folder.path().read_dir().unwrap().count();
    let arguments = ["evidence", "pull", "d-1", "--bundle", "b-1", "--out", "b.tar"];
    fails(&double.lazaret(&arguments), 1, "expected a bundle with the digest");
    let other = ["evidence", "pull", "d-2", "--bundle", "b-1", "--out", "b.tar"];
    fails(&double.lazaret(&other), 1, "bundle b-1 is of d-1, not of d-2");
    assert_eq!(double.folder.path().read_dir().unwrap().count(), before);
}

#[test]
fn a_bundle_that_does_not_come_is_not_waited_for_for_ever() {
    let double = Double::start(|_, _| ok(bundle("ordered", b"")));
    let output = double.lazaret(&[
        "evidence",
        "pull",
        "d-1",
        "--bundle",
        "b-1",
        "--out",
        "b.tar",
        "--timeout-seconds",
        "0",
    ]);
    fails(&output, 1, "has not come within 0 s; it stays ordered: --bundle b-1");
}

#[test]
fn events_are_listed_with_their_numbers() {
    let double = Double::start(|request, _| {
        assert_eq!(request.line, "GET /v1/events?limit=500&after=4");
        let event = json!({"sequence": 5, "at": 0, "what": "d-1 enrolled", "event": {}});
        ok(json!({"items": [event], "next": null}))
    });
    let page = double.json(&["events", "--after", "4"]);
    assert_eq!(page["items"][0]["sequence"], 5);
}

#[test]
fn a_refusal_cannot_steer_the_terminal_and_an_answer_that_is_none_is_said() {
    let double = Double::start(|_, _| refused(403, "forbidden", "no\u{1b}[2J\nerror: all is well"));
    let output = double.lazaret(&["device", "show", "d-1"]);
    fails(&output, 1, "the server refused (forbidden): no\u{fffd}[2J\u{fffd}error: all is well");
    let double = Double::start(|_, _| (502, b"<html>".to_vec()));
    fails(&double.lazaret(&["device", "show", "d-1"]), 1, "HTTP status 502");
    let double = Double::start(|_, _| (200, b"{}".to_vec()));
    fails(&double.lazaret(&["device", "show", "d-1"]), 1, "expected a JSON answer");
}

#[test]
fn a_server_of_another_ca_is_not_talked_to() {
    let double = Double::start(|_, _| panic!("a request came"));
    let other = fixture::Authority::new("server CA");
    put(&double.path("other.pem"), other.pem.as_bytes());
    let output = double.lazaret(&["--server-ca", "other.pem", "device", "list"]);
    fails(&output, 1, "cannot reach");
    assert_eq!(double.requests().len(), 0);
}

#[test]
fn a_key_that_is_not_the_certificates_is_said() {
    let double = Double::start(|_, _| panic!("a request came"));
    let other = fixture::Authority::new("operator CA")
        .issue("bob", rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    put(&double.path("bob.pem"), other.key.serialize_pem().as_bytes());
    let output = double.lazaret(&["--key", "bob.pem", "device", "list"]);
    fails(&output, 1, "are not a certificate and its key");
}
