//! Bad input at every door of the real server and of the commands: each gets a refusal with a code
//! that says what was expected, nothing is half done, and the server goes on serving others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_tests::http::{Answer, Connection, Credential, tls};
use lazaret_tests::peer::{Peer, claim_request, poll};
use lazaret_tests::programs::{Programs, arg};
use lazaret_tests::site::release::Wanted;
use lazaret_tests::site::{MODEL, Site};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

mod disk;
#[expect(dead_code, reason = "who may use a route is the question of another test")]
mod routes;

fn founded() -> (TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let site = Site::found(programs, &folder.path().join("site")).unwrap();
    (folder, site)
}

/// One face of the server, as somebody whom it lets in.
struct Face {
    port: u16,
    tls: Arc<ClientConfig>,
    routes: Vec<routes::Route>,
}

impl Face {
    fn of_operators(site: &Site) -> Self {
        let ana = Credential::operator(site, "ana").unwrap();
        let tls = tls(site, Some(&ana)).unwrap();
        Self { port: site.operator_port, tls, routes: routes::of_operators() }
    }

    fn of_devices(site: &Site) -> Self {
        let device = Peer::enrol(site, "d-1").unwrap();
        Self { port: site.device_port, tls: device.tls, routes: routes::of_devices() }
    }

    fn open(&self) -> Connection {
        Connection::open(self.port, &self.tls).unwrap()
    }

    fn lives(&self) {
        assert_eq!(self.open().look("/v1/health").unwrap().status, 200);
    }
}

fn both(site: &Site) -> [Face; 2] {
    [Face::of_operators(site), Face::of_devices(site)]
}

/// A refusal says what is wrong by a code and in words; 5xx says that the server is at fault.
fn is_refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert!(!answer.code().is_empty() && !answer.detail().is_empty(), "{what}: {answer:?}");
}

fn takes_a_body(route: &routes::Route) -> bool {
    // Scrubbing is asked for without saying more.
    route.method != "GET" && route.template != "/v1/evidence/scrub"
}

/// Takes bytes as they are, so that no body is garbage to it.
fn takes_any_bytes(route: &routes::Route) -> bool {
    route.method == "PUT"
}

#[test]
fn garbage_in_a_body_is_refused_by_every_route() {
    // Else one broken client takes the server down, or is told nothing that helps.
    let (_folder, site) = Site::running().unwrap();
    let deep = "[".repeat(100_000);
    let garbage: [&[u8]; 9] = [
        b"",
        b"\x00\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"{\"reason\": 5, \"sequence\": \"one\", \"serial\": [], \"csr\": {}, \"model\": 1}",
        b"{\"reason\": \"\\ud800\"}",
        b"{\"payloadType\": \"x\", \"payload\": \"AAAA\", \"signatures\": []}",
        deep.as_bytes(),
    ];
    for face in both(&site) {
        let mut open = face.open();
        for route in face.routes.iter().filter(|r| takes_a_body(r) && !takes_any_bytes(r)) {
            for body in garbage {
                if body.len() > 16 * 1024 {
                    // Past some routes' limit; then the connection ends with the answer.
                    open = face.open();
                }
                let answer = open.ask(&route.method, &route.path(), body).unwrap();
                let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
                is_refused(&answer, &format!("{route:?} {shown}"));
            }
            open = face.open();
        }
        face.lives();
    }
}

#[test]
fn a_body_past_the_limit_is_refused_before_it_is_read() {
    // Else memory is anybody's to fill.
    let (_folder, site) = Site::running().unwrap();
    for face in both(&site) {
        for route in face.routes.iter().filter(|route| takes_a_body(route)) {
            let (method, path) = (&route.method, route.path());
            for length in ["600000000", "9000000000000000000"] {
                let mut open = face.open();
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nhost: localhost\r\n\
                     content-length: {length}\r\n\r\n"
                );
                open.send(head.as_bytes()).unwrap();
                let answer = open.answer().unwrap_or_else(|err| panic!("{route:?}: {err:#}"));
                assert_eq!(answer.code(), "too-large", "{route:?}: {answer:?}");
                assert_eq!(answer.status, 413, "{route:?}: {answer:?}");
            }
            let mut open = face.open();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            open.send(head.as_bytes()).unwrap();
            is_refused(&open.answer().unwrap(), &format!("{route:?} without a length"));
        }
        face.lives();
    }
}

#[test]
fn names_and_numbers_of_the_wrong_form_are_refused_by_every_route() {
    // Else a name leaves its folder, or a number its range.
    let (_folder, site) = Site::running().unwrap();
    let long = "a".repeat(5000);
    let values = ["..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "UPPER", "%00", "%ff", "-1", &long];
    for face in both(&site) {
        let mut open = face.open();
        for route in face.routes.iter().filter(|route| route.template != route.path()) {
            for value in values {
                let path = route.filled(|_| value.to_owned());
                let answer = open.ask(&route.method, &path, b"{}").unwrap();
                // A page may well begin behind any name.
                if route.template.contains("after=") && answer.status == 200 {
                    continue;
                }
                is_refused(&answer, &format!("{route:?} {value}"));
            }
            // Two that would be good in a file system, and a number past all numbers.
            for path in [
                route.filled(|_| "../../../etc/passwd".into()),
                route.filled(|_| "/etc/passwd".into()),
                route.filled(|_| "99999999999999999999".into()),
            ] {
                let answer = open.ask(&route.method, &path, b"{}").unwrap();
                if !route.template.contains("after=") || answer.status != 200 {
                    is_refused(&answer, &format!("{route:?} {path}"));
                }
            }
        }
        for path in ["/", "/v1", "/v1/", "/v2/health", "/v1/health/", "/v1//health", "*"] {
            let answer = open.look(path).unwrap();
            assert!(answer.status == 200 || answer.code() == "not-found", "{path}: {answer:?}");
        }
        let answer = open.ask("DELETE", "/v1/health", b"").unwrap();
        is_refused(&answer, "a method that there is not");
        face.lives();
    }
}

#[test]
fn what_is_not_http_ends_one_connection_and_no_other() {
    // Else one hostile machine is an outage.
    let (_folder, site) = Site::running().unwrap();
    for face in both(&site) {
        let many = "x: y\r\n".repeat(1000);
        let large = format!("x: {}\r\n", "y".repeat(1024 * 1024));
        for head in [many, large] {
            let mut open = face.open();
            // The server may end the connection before all of it is sent.
            let sent = open.send(format!("GET /v1/health HTTP/1.1\r\n{head}\r\n").as_bytes());
            if let (Ok(()), Ok(answer)) = (sent, open.answer()) {
                assert!([400, 431].contains(&answer.status), "{answer:?}");
            }
        }
        for junk in
            ["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\r\n\r\n"]
        {
            let mut open = face.open();
            open.send(junk.as_bytes()).unwrap();
            if let Ok(answer) = open.answer() {
                assert_eq!(answer.status, 400, "{junk:?}: {answer:?}");
            }
        }
        face.lives();
    }
}

#[test]
fn two_hundred_half_open_connections_stop_nobody() {
    // Else a slow client is an outage.
    let (_folder, site) = Site::running().unwrap();
    for face in both(&site) {
        let silent: Vec<TcpStream> =
            (0..100).map(|_| TcpStream::connect(("127.0.0.1", face.port)).unwrap()).collect();
        let slow: Vec<Connection> = (0..100)
            .map(|_| {
                let mut open = face.open();
                open.send(b"POST /v1/poll HTTP/1.1\r\ncontent-le").unwrap();
                open
            })
            .collect();
        face.lives();
        assert_eq!(silent.len() + slow.len(), 200);
    }
}

#[test]
fn orders_to_the_fleet_that_make_no_sense_are_refused() {
    // Else a slip of the hand is carried out on every device.
    let (_folder, site) = Site::running().unwrap();
    let image = image(&site, "1.0");
    site.release(Wanted { version: "1.0", counter: 1, floor: 0, image: &image, schedule: None })
        .unwrap();
    let before = site.events().unwrap();
    let mut ana = Face::of_operators(&site).open();
    let rollout = |change: &dyn Fn(&mut Value)| {
        let mut rollout = json!({
            "model": MODEL, "version": "1.0", "scope": { "of": "model" },
            "groups_permille": [1000], "success_percent": 80, "error_percent": 20, "reason": "x",
        });
        change(&mut rollout);
        rollout
    };
    let claim = |change: &dyn Fn(&mut Value)| {
        let mut claim = claim_request("sn-1", "d-1");
        change(&mut claim);
        claim
    };
    for (path, body, code) in [
        ("rollouts", rollout(&|r| r["version"] = json!("9.9")), "not-found"),
        ("rollouts", rollout(&|r| r["groups_permille"] = json!([])), "bad-request"),
        ("rollouts", rollout(&|r| r["groups_permille"] = json!([500, 400])), "bad-request"),
        ("rollouts", rollout(&|r| r["groups_permille"] = json!([70_000])), "bad-request"),
        ("rollouts", rollout(&|r| r["error_percent"] = json!(101)), "bad-request"),
        ("rollouts", rollout(&|r| r["scope"] = json!({ "of": "all" })), "bad-request"),
        ("rollouts", rollout(&|r| r["reason"] = json!(" ")), "bad-request"),
        ("rollouts/r-unknown/halt", json!({ "reason": "x" }), "not-found"),
        ("devices/d-unknown/quarantine", json!({ "reason": "x" }), "not-found"),
        ("devices/d-unknown/evidence", json!({ "reason": "x" }), "not-found"),
        ("devices/d-unknown/release", json!({ "reason": "x" }), "not-found"),
        ("claims", claim(&|c| c["valid_ms"] = json!(0)), "bad-request"),
        ("claims", claim(&|c| c["valid_ms"] = json!(u64::MAX)), "bad-request"),
        ("claims", claim(&|c| c["valid_ms"] = json!(1.5)), "bad-request"),
        ("claims", claim(&|c| c["device"] = json!("Not An Id")), "bad-request"),
        ("claims", claim(&|c| c["reason"] = json!("x".repeat(2000))), "bad-request"),
    ] {
        let answer = ana.tell("POST", &format!("/v1/{path}"), &body).unwrap();
        assert_eq!(answer.code(), code, "{path} {body}: {answer:?}");
    }
    assert_eq!(site.events().unwrap(), before, "something was done");
}

#[test]
fn pieces_of_an_image_that_do_not_fit_are_refused() {
    // Else an image is stored that is not the one announced.
    let (_folder, site) = Site::running().unwrap();
    let mut ana = Face::of_operators(&site).open();
    let whole = b"0123456789";
    let release = |version: &str, length: u64| {
        let sha256 = Sha256Digest::of(whole).to_string();
        json!({ "model": MODEL, "version": version, "sha256": sha256, "length": length })
    };
    for length in [0, u64::MAX] {
        is_refused(&ana.tell("POST", "/v1/releases", &release("0", length)).unwrap(), "a length");
    }
    assert_eq!(ana.tell("POST", "/v1/releases", &release("1", 10)).unwrap().status, 200);
    assert_eq!(ana.tell("POST", "/v1/releases", &release("1", 11)).unwrap().code(), "conflict");
    let mut put = |offset: u64, bytes: &[u8]| {
        ana.ask("PUT", &format!("/v1/releases/{MODEL}/1/image?offset={offset}"), bytes).unwrap()
    };
    assert_eq!(put(5, b"x").code(), "conflict");
    assert_eq!(put(0, b"0123456789a").code(), "too-large");
    assert_eq!(put(0, b"012345678x").code(), "bad-request");
    let answer = put(0, b"0123456789");
    assert_eq!(answer.json()["state"], "uploaded", "{answer:?}");
    assert_eq!(put(10, b"x").code(), "conflict");
}

#[test]
fn a_range_behind_the_end_is_refused_and_what_is_no_range_is_the_whole_once() {
    // Else one small request makes the server send the same bytes a thousand times.
    let (_folder, site) = Site::running().unwrap();
    let mut device = Face::of_devices(&site).open();
    let anchors = std::fs::read(site.keys().join("anchors.json")).unwrap();
    let path = format!("/v1/repo/targets/trust/{}.anchors", Sha256Digest::of(&anchors));
    let mut ranged = |range: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nrange: {range}\r\n\r\n");
        device.send(head.as_bytes()).unwrap();
        device.answer().unwrap()
    };
    let behind = ranged("bytes=99999999-");
    assert_eq!((behind.status, behind.code().as_str()), (416, "bad-request"));
    for none in ["bytes=5-4", "bytes=0-1,3-4", "lines=0-", "", "x"] {
        let whole = ranged(none);
        assert_eq!((whole.status, &whole.body), (200, &anchors), "{none}");
    }
    let part = ranged("bytes=3-7");
    assert_eq!((part.status, part.body.as_slice()), (206, &anchors[3..=7]));
    assert_eq!(ranged("bytes=0-").body, anchors);
}

#[test]
fn a_poll_that_contradicts_the_register_is_refused() {
    // Else a device is offered the images of another hardware.
    let (_folder, site) = Site::running().unwrap();
    let mut device = Face::of_devices(&site).open();
    let mut other = poll(1);
    other["model"] = json!("gw9");
    assert_eq!(device.tell("POST", "/v1/poll", &other).unwrap().code(), "bad-request");
    assert_eq!(device.tell("POST", "/v1/poll", &poll(0)).unwrap().code(), "replay");
    assert_eq!(device.tell("POST", "/v1/poll", &poll(1)).unwrap().status, 200);
    assert_eq!(device.tell("POST", "/v1/poll", &poll(1)).unwrap().code(), "replay");
}

#[test]
fn metadata_that_the_signers_did_not_sign_changes_nothing() {
    // Else the server serves what no device accepts, and the fleet stands still.
    let (_folder, site) = Site::running().unwrap();
    let images = [image(&site, "1.0"), image(&site, "2.0")];
    let wanted =
        |version, counter: u64, image| Wanted { version, counter, floor: 0, image, schedule: None };
    let first = std::fs::read(site.sign(wanted("1.0", 1, &images[0])).unwrap()).unwrap();
    let second = std::fs::read(site.sign(wanted("2.0", 2, &images[1])).unwrap()).unwrap();
    let mut ana = Face::of_operators(&site).open();
    let timestamp = |ana: &mut Connection| {
        let answer = ana.look("/v1/repo/metadata/timestamp.json").unwrap();
        assert_eq!(answer.status, 200);
        answer.body
    };
    let before = timestamp(&mut ana);
    let mut post = |file: &str, bytes: &[u8]| {
        ana.ask("POST", &format!("/v1/repo/metadata/{file}"), bytes).unwrap()
    };
    let signed = |count| changed(&first, |file| cut(&mut file["signatures"], count));
    let longer = changed(&first, |file| {
        file["signed"]["targets"][format!("{MODEL}/1.0/image")]["length"] = json!(1);
    });
    let twice = changed(&first, |file| {
        cut(&mut file["signatures"], 1);
        let one = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(one);
    });
    let name = format!("1.rel-{MODEL}.json");
    for (why, file, bytes) in [
        ("unsigned", name.as_str(), signed(0)),
        ("signed by one", &name, signed(1)),
        ("signed by one, twice", &name, twice),
        ("changed after signing", &name, longer),
        ("cut off", &name, first[..first.len() / 2].to_vec()),
        ("a version skipped", &format!("2.rel-{MODEL}.json"), second),
        ("under another version", &format!("2.rel-{MODEL}.json"), first.clone()),
        ("for another model", "1.rel-gw9.json", first.clone()),
        ("as another role", "2.targets.json", first.clone()),
        ("as an online role", "timestamp.json", first.clone()),
        ("as an online role", "9.snapshot.json", first.clone()),
        ("as nothing", "README", first.clone()),
    ] {
        let answer = post(file, &bytes);
        assert_eq!(answer.code(), "metadata-refused", "{why}: {answer:?}");
    }
    let answer = post(&name, &first);
    assert_eq!(answer.code(), "conflict", "the image was never uploaded: {answer:?}");
    assert!(answer.detail().contains("never uploaded"), "{answer:?}");
    assert_eq!(timestamp(&mut ana), before, "something was published");

    site.upload(wanted("1.0", 1, &images[0])).unwrap();
    let answer = ana.ask("POST", &format!("/v1/repo/metadata/{name}"), &first).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(timestamp(&mut ana), before);
}

fn changed(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut json: Value = serde_json::from_slice(file).unwrap();
    change(&mut json);
    serde_json::to_vec(&json).unwrap()
}

fn cut(signatures: &mut Value, count: usize) {
    let signatures = signatures.as_array_mut().unwrap();
    assert!(signatures.len() > count, "the fixture has too few signatures");
    signatures.truncate(count);
}

/// A small image.
fn image(site: &Site, version: &str) -> PathBuf {
    let path = site.folder.join(format!("image-{version}"));
    write(&path, version.repeat(50_000).as_bytes());
    path
}

fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn every_setting_that_is_wrong_is_named_at_once() {
    // Else an operator mends the settings one start at a time.
    let (_folder, site) = founded();
    let path = site.folder.join("server.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let checked = |settings: &str, args: &[&str]| {
        write(&path, settings.as_bytes());
        let mut command = site.programs.command("lazaret-server");
        command.args(args).arg("--config").arg(&path).output().unwrap()
    };
    let ok = checked(&good, &["check-config"]);
    assert_eq!(ok.status.code(), Some(0), "{}", said(&ok));

    let devices = format!("127.0.0.1:{}", site.device_port);
    let operators = format!("127.0.0.1:{}", site.operator_port);
    let bad = good
        .replace("interval_ms = 500", "interval_ms = 1")
        .replace("keys/online", "keys/nowhere")
        .replace(&operators, &devices)
        .replace("tls/server.key", "tls/gone.key")
        .replace("keys/ca/operator-ca.pem", "passphrase")
        .replace("level = \"", "level = \"a=b=c,");
    let bad = bad.replace("[issuing]", "[issuing]\ncertificate_hours = 0");
    std::fs::set_permissions(
        site.keys().join("ca/device-ca.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    for command in ["check-config", "run"] {
        let output = checked(&bad, &[command]);
        assert_eq!(output.status.code(), Some(1), "{command}: {}", said(&output));
        for setting in [
            "polls.interval_ms: expected",
            "issuing.certificate_hours: expected",
            "operators.address: expected",
            "devices.key: ",
            "operators.key: ",
            "operators.client_ca: expected PEM",
            "online_keys: expected",
            "log.level: expected",
            "issuing.key: expected a file that only its owner reads",
        ] {
            assert!(said(&output).contains(setting), "{command}: {setting}: {}", said(&output));
        }
    }
    for (bad, why) in [
        (good.replace("interval_ms", "intervall_ms"), "intervall_ms"),
        (good.replace("[polls]", "[polls"), "line"),
        (good.replace("interval_ms = 500", "interval_ms = \"500\""), "interval_ms"),
        (String::new(), "missing field"),
    ] {
        let output = checked(&bad, &["check-config"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{why}: {}", said(&output));
    }
    let misuse = checked(&good, &["check-config", "--confg"]);
    assert_eq!(misuse.status.code(), Some(2), "{}", said(&misuse));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn a_command_says_what_it_could_not_do_and_with_which_exit_code() {
    // Else a script that runs the command goes on as if it had worked.
    let (_folder, mut site) = Site::running().unwrap();
    let ended = |command: &mut Command, code: i32, words: &str| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{command:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{command:?}: {}", said(&output));
    };
    ended(&mut site.cli("ana", &["device", "show", "d-unknown"]), 1, "not-found");
    ended(&mut site.cli("ana", &["device", "show", "Not An Id"]), 2, "expected a device id");
    ended(&mut site.cli("ana", &["device", "dance"]), 2, "dance");
    ended(&mut site.keys_command(&["payload", "dance"]), 2, "dance");
    site.operator("vera", "viewer").unwrap();
    let quarantine = ["device", "quarantine", "d-1", "--reason", "test"];
    ended(&mut site.cli("vera", &quarantine), 1, "incident-commander");
    let image = image(&site, "1.0");
    let upload = ["--model", MODEL, "--version", "1.0", "--image", &arg(&image)];
    site.kill_server().unwrap();
    let away = format!("cannot reach https://localhost:{}", site.operator_port);
    ended(&mut site.cli("ana", &["device", "list"]), 1, &away);
    ended(&mut site.cli("ana", &quarantine), 1, &away);
    let create = [&["release", "create"], upload.as_slice()].concat();
    ended(&mut site.cli("ana", &create), 1, &away);
}

#[test]
fn a_full_disk_is_said_and_got_over() {
    // Else a full disk takes the server down, and with it containment of the fleet.
    let (_folder, mut site) = founded();
    let disk = disk::Small::mounted(&site.folder.join("data"), 24);
    site.init().unwrap();
    site.start_server().unwrap();
    let large = site.folder.join("large");
    write(&large, &vec![7; 40 * 1024 * 1024]);
    let wanted = Wanted { version: "1.0", counter: 1, floor: 0, image: &large, schedule: None };
    let refused = format!("{:#}", site.upload(wanted).unwrap_err());
    assert!(refused.contains("unavailable"), "{refused}");

    let mut ana = Face::of_operators(&site).open();
    assert_eq!(ana.look("/v1/devices").unwrap().status, 200);
    assert_eq!(ana.look("/v1/repo/metadata/timestamp.json").unwrap().status, 200);
    let view = ana.look(&format!("/v1/releases/{MODEL}/1.0")).unwrap().json();
    assert_eq!(view["state"], "uploading", "half an image counts as whole: {view}");
    let digest = Sha256Digest::of(&std::fs::read(&large).unwrap());
    let half = ana.look(&format!("/v1/repo/targets/{MODEL}/1.0/{digest}.image")).unwrap();
    assert_eq!(half.code(), "not-found", "half an image is served: {half:?}");

    let claim = ana.tell("POST", "/v1/claims", &claim_request("sn-0", "d-0")).unwrap();
    assert!([200, 503].contains(&claim.status), "{claim:?}");
    let acknowledged = claim.status == 200;

    // There is no room to open the store in, and that is said; nothing is broken by the attempt.
    site.kill_server().unwrap();
    let refused = format!("{:#}", site.start_server().unwrap_err());
    assert!(refused.contains("No space left on device"), "{refused}");

    disk.grow(160);
    site.start_server().unwrap();
    let uploaded = site.upload(wanted).unwrap();
    assert_eq!(uploaded["state"], "uploaded", "{uploaded}");
    let again = claim_request("sn-0", "d-0");
    let again = Face::of_operators(&site).open().tell("POST", "/v1/claims", &again).unwrap();
    assert!(!acknowledged || again.code() == "conflict", "the claim is lost: {again:?}");
    let small = image(&site, "2.0");
    site.upload(Wanted { version: "2.0", image: &small, ..wanted }).unwrap();
    Peer::enrol(&site, "d-1").unwrap();
    site.kill_server().unwrap();
    site.start_server().unwrap();
    assert_eq!(Face::of_operators(&site).open().look("/v1/devices/d-1").unwrap().status, 200);
}
