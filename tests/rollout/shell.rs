//! The shell of rollouts with real programs: a plan is approved by somebody else and then applied,
//! the whole fleet is halted, held polls learn of it, and events reach those who follow them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "all of this program is a test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lazaret_tests::fleet::{self, Fleet, For, PATIENCE, Release};
use lazaret_tests::peer::{Peer, poll};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::{MODEL, Site};
use lazaret_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

const POLICY: &str = r#"
name = "two-steps"
approvals = 1

[[group]]
name = "canary"
permille = 500
success_percent = 100
error_percent = 50

[[group]]
name = "rest"
rest = true
success_percent = 50
error_percent = 90
"#;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The refusal of a command, by its words on standard error.
fn refused(site: &Site, operator: &str, args: &[&str]) -> String {
    let output = programs::output(&mut site.cli(operator, args)).unwrap();
    assert!(!output.status.success(), "{args:?} was not refused");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ssh_key(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    arg(&path)
}

#[test]
fn a_plan_is_approved_by_somebody_else_and_then_applied() {
    // If this failed, one person could put any release on every device, or nobody could.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ["d-1", "d-2"] {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    let site = &fleet.site;
    site.operator("ben", "operator").unwrap();
    let policy = fleet.folder().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let (ana, ben) = (ssh_key(fleet.folder(), "ana"), ssh_key(fleet.folder(), "ben"));
    site.lazaret(&["approver", "add", "--ssh-key", &format!("{ana}.pub")]).unwrap();
    let mut add = site.cli("ben", &["approver", "add", "--ssh-key", &format!("{ben}.pub")]);
    programs::json(&mut add).unwrap();

    let policy = arg(&policy);
    let mut plan = vec!["rollout", "plan", "--model", MODEL, "--version", "2.0"];
    plan.extend(["--policy", &policy, "--filter", "version==1.0", "--reason", "test"]);
    let dry = site.lazaret(&[plan.as_slice(), &["--dry-run"]].concat()).unwrap();
    assert_eq!(dry.pointer("/preview/planned"), Some(&json!(2)), "{dry}");
    let planned = site.lazaret(&plan).unwrap();
    let id = text(&planned, "/rollout/id").to_owned();
    assert_eq!(text(&planned, "/rollout/state"), "planned", "{planned}");
    assert_eq!(planned.pointer("/preview/groups/0/devices"), Some(&json!(1)), "{planned}");
    assert_eq!(text(&site.lazaret(&["why", "d-1"]).unwrap(), "/gate"), "not-approved");

    let early = refused(site, "ana", &["rollout", "apply", &id]);
    assert!(early.contains("0 of 1 approvals"), "{early}");
    let own = refused(site, "ana", &["rollout", "approve", &id, "--ssh-key", &ana]);
    assert!(own.contains("cannot approve it"), "{own}");
    let foreign = refused(site, "ben", &["rollout", "approve", &id, "--ssh-key", &ana]);
    assert!(foreign.contains("not among ben's"), "{foreign}");
    let hint = refused(site, "ben", &["rollout", "approve", &id]);
    assert!(hint.contains("ssh-keygen -Y sign -n lazaret-plan@lazaret"), "{hint}");
    let approved =
        programs::json(&mut site.cli("ben", &["rollout", "approve", &id, "--ssh-key", &ben]))
            .unwrap();
    assert_eq!(text(&approved, "/state"), "approved", "{approved}");
    site.lazaret(&["rollout", "apply", &id]).unwrap();
    let view = fleet.ended(&id, "finished").unwrap();
    assert_eq!(fleet::count(&view, "done"), 2, "{view}");
    fleet.run(Release(2)).unwrap();
    assert_eq!(text(&site.lazaret(&["why", "d-1"]).unwrap(), "/gate"), "ended");
    let again = refused(site, "ben", &["rollout", "approve", &id, "--ssh-key", &ben]);
    assert!(again.contains("no plan any more"), "{again}");
    back_to_the_other_slot(&fleet, &id, &policy, &ben);
}

fn back_to_the_other_slot(fleet: &Fleet, of: &str, policy: &str, key: &str) {
    let site = &fleet.site;
    let mut revert = vec!["rollout", "revert", of, "--policy", policy];
    revert.extend(["--dry-run", "--reason", "test"]);
    let plan = site.lazaret(&revert).unwrap();
    assert_eq!(text(&plan, "/rollout/version"), "1.0", "{plan}");
    assert_eq!(plan.pointer("/preview/planned"), Some(&json!(2)), "{plan}");
    assert!(!key.is_empty());
}

#[test]
fn the_whole_fleet_is_halted_by_one_person_and_says_how_many_acknowledged() {
    // If this failed, the one command for the worst day would not do what it says.
    let mut fleet = Fleet::found(64 * 1024).unwrap();
    for id in ["d-1", "d-2"] {
        fleet.add(id).unwrap();
    }
    fleet.install_first().unwrap();
    fleet.publish(Release(2)).unwrap();
    let device = fleet.devices.iter_mut().find(|d| d.id == "d-1").unwrap();
    device.kill().unwrap();
    // The power goes as soon as the order is accepted, and stays away until the halt.
    device.start_with(&["--danger-crash-at", "after-journal-accepted"]).unwrap();
    let other = fleet.devices.iter_mut().find(|d| d.id == "d-2").unwrap();
    other.kill().unwrap();
    let rollout = fleet.roll_out(Release(2), For::All).unwrap();
    let at = fleet.devices.iter().position(|d| d.id == "d-1").unwrap();
    let mut first = fleet.devices.remove(at);
    wait::until("d-1 to have accepted the order", PATIENCE, || first.ended()).unwrap();
    let site = &fleet.site;
    let halted = site.lazaret(&["halt", "--all", "--reason", "test"]).unwrap();
    assert_eq!(halted["halted"], true, "{halted}");
    assert_eq!((&halted["acknowledged"], &halted["open_offers"]), (&json!(0), &json!(1)));
    assert_eq!(text(&site.lazaret(&["why", "d-2"]).unwrap(), "/gate"), "cord");
    first.start().unwrap();
    fleet.devices.push(first);
    for device in &mut fleet.devices {
        if device.id == "d-2" {
            device.start().unwrap();
        }
    }
    wait::until("d-1 to take its offer back", PATIENCE, || {
        let view = fleet.site.lazaret(&["halt"])?;
        Ok((view["acknowledged"] == 1).then_some(()))
    })
    .unwrap();
    fleet.run(Release(1)).unwrap();
    let number = halted["number"].to_string();
    let wrong = refused(&fleet.site, "ana", &["resume", "--all", "99", "--reason", "test"]);
    assert!(wrong.contains("to be named"), "{wrong}");
    fleet.site.lazaret(&["resume", "--all", &number, "--reason", "test"]).unwrap();
    let view = fleet.ended(&rollout, "finished").unwrap();
    assert_eq!(fleet::count(&view, "done"), 2, "an offer taken back is made again: {view}");
}

/// A site without devices whose server may call this machine.
fn site() -> (TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let mut site = Site::found(programs, &folder.path().join("site")).unwrap();
    let settings = site.folder.join("server.toml");
    let mut text = std::fs::read_to_string(&settings).unwrap();
    text.push_str("[webhooks]\nallow = [\"127.0.0.0/8\"]\nca = \"keys/ca/server-ca.pem\"\n");
    std::fs::write(&settings, text).unwrap();
    site.init().unwrap();
    site.start_server().unwrap();
    (folder, site)
}

#[test]
fn a_held_poll_learns_of_quarantine_in_about_a_second_beside_two_hundred_others() {
    // If this failed, containment would wait for the next poll, or the more devices are connected
    // the longer it would take.
    let (_folder, site) = site();
    let peers: Vec<Peer> =
        (0..200).map(|n| Peer::enrol(&site, &format!("d-{n}")).unwrap()).collect();
    let mut held = Vec::new();
    for peer in &peers {
        let mut request = poll(1);
        request["hold_ms"] = json!(25_000);
        let body = serde_json::to_vec(&request).unwrap();
        let head = format!(
            "POST /v1/poll HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = peer.connect(&site).unwrap();
        connection.send(&[head.as_bytes(), &body].concat()).unwrap();
        held.push(connection);
    }
    let mut took = Vec::new();
    for (peer, connection) in peers.iter().zip(&mut held).take(10) {
        let told = site.lazaret(&["device", "quarantine", &peer.id, "--reason", "test"]).unwrap();
        assert!(told["quarantine"].is_string(), "{told}");
        let begun = Instant::now();
        let answer = connection.answer().unwrap();
        took.push(begun.elapsed());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["orders"].as_array().unwrap().len(), 1, "{answer:?}");
    }
    let worst = took.iter().max().unwrap();
    println!("held polls answered after {took:?}");
    assert!(*worst < Duration::from_secs(2), "{took:?}");
}

/// The messages of a stream with counted octets (RFC 6587, 3.4.1).
fn counted(mut stream: impl std::io::Read) -> Vec<String> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut rest = bytes.as_slice();
    let mut messages = Vec::new();
    while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        let message = rest[space + 1..].get(..length).expect("a message that is cut");
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        rest = &rest[space + 1 + length..];
    }
    messages
}

/// The first message that comes over TLS, under the certificate of the site's server.
fn over_tls(site: &Site, listener: &TcpListener) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let file = |name: &str| site.folder.join("tls").join(name);
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = std::sync::Arc::new(config);
    loop {
        let session = rustls::ServerConnection::new(std::sync::Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, listener.accept().unwrap().0);
        let mut bytes = Vec::new();
        // One that was given up while nobody was here yet is made again.
        if std::io::Read::read_to_end(&mut stream, &mut bytes).is_ok() {
            return counted(bytes.as_slice()).first().expect("no message").clone();
        }
    }
}

/// The event in the body of a message, whose head is checked (RFC 5424, 6).
fn parsed(message: &str) -> Value {
    let (head, body) = message.split_once("] ").expect("no structured data");
    let fields: Vec<&str> = head.splitn(7, ' ').collect();
    assert_eq!(fields[0], "<110>1", "facility 13, informational: {message}");
    assert!(fields[1].ends_with('Z') && fields[3] == "lazaret-server", "{message}");
    assert_eq!((fields[4], fields[5]), ("-", "claim-made"), "{message}");
    assert!(fields[6].starts_with("[lazaret@32473 sequence=\""), "{message}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_collector_of_syslog_that_was_away_gets_every_event_in_order() {
    // If this failed, a halt at night would stand in no SIEM.
    let (_folder, site) = site();
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for bad in ["syslog+tcp://10.0.0.1", "syslog://93.184.216.34", "syslog+tls://10.0.0.1/x"] {
        let why = refused(&site, "ana", &["webhook", "add", "--url", bad, "--reason", "test"]);
        assert!(why.contains("bad-request"), "{bad}: {why}");
    }
    let cef = ["webhook", "add", "--url", "https://example.org/", "--format", "cef"];
    let why = refused(&site, "ana", &[&cef[..], &["--reason", "test"]].concat());
    assert!(why.contains("syslog"), "{why}");
    let add = |url: &str, format: &str| {
        let args = ["webhook", "add", "--url", url, "--kinds", "claim-made", "--format", format];
        site.lazaret(&[&args[..], &["--reason", "test"]].concat()).unwrap();
    };
    let tls = TcpListener::bind("127.0.0.1:0").unwrap();
    add(&format!("syslog+tls://localhost:{}", tls.local_addr().unwrap().port()), "ocsf");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    add(&format!("syslog+tcp://{place}"), "json");
    add(&format!("syslog://{}", udp.local_addr().unwrap()), "cef");
    for device in ["d-1", "d-2", "d-3"] {
        lazaret_tests::peer::claim(&site, &format!("sn-{device}"), device).unwrap();
    }
    wait::until("a delivery to fail", PATIENCE, || {
        let list = site.lazaret(&["webhook", "list"])?;
        let items = list["items"].as_array().unwrap();
        Ok(items.iter().any(|one| one["failures"].as_u64() > Some(0)).then_some(()))
    })
    .unwrap();
    let collector = TcpListener::bind(place).unwrap();
    let mut told = Vec::new();
    while told.len() < 3 {
        told.extend(counted(collector.accept().unwrap().0));
    }
    let events: Vec<Value> = told.iter().map(|message| parsed(message)).collect();
    let devices: Vec<&str> = events.iter().map(|event| text(event, "/event/device")).collect();
    assert_eq!(devices, ["d-1", "d-2", "d-3"], "{told:?}");

    let message = over_tls(&site, &tls);
    assert!(message.starts_with("<110>1 ") && message.contains("\"class_uid\":6003"), "{message}");

    let mut datagram = vec![0; 65_536];
    let length = udp.recv(&mut datagram).unwrap();
    let message = String::from_utf8(datagram[..length].to_vec()).unwrap();
    assert!(message.starts_with("<110>1 ") && message.contains("] CEF:0|Lazaret|"), "{message}");
}

#[test]
fn events_are_followed_and_delivered_with_a_signature() {
    // If this failed, people would learn of a halt by chance, or believe anybody who says there is
    // one.
    let (folder, site) = site();
    let mut follower = site
        .cli("ana", &["events", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    for bad in ["http://10.0.0.1/", "https://169.254.169.254/latest/", "https://[::1]/", "ftp://x/"]
    {
        let why = refused(&site, "ana", &["webhook", "add", "--url", bad, "--reason", "test"]);
        assert!(why.contains("bad-request"), "{bad}: {why}");
    }
    let mut add = vec!["webhook", "add", "--url", &url, "--kinds", "claim-made"];
    add.extend(["--reason", "test"]);
    let made = site.lazaret(&add).unwrap();
    lazaret_tests::peer::claim(&site, "sn-1", "d-1").unwrap();

    let first = delivered(&listener, 500);
    let second = delivered(&listener, 204);
    assert_eq!(first.body, second.body, "what was not taken is delivered again");
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    let event = &second.json()["events"][0];
    assert_eq!(text(event, "/event/event"), "claim-made", "{event}");
    let signature = openssl_signature(folder.path(), text(&made, "/secret"), &second);
    assert_eq!(second.header("webhook-signature"), format!("v1,{signature}"));
    let list = wait::until("the delivery to be settled", PATIENCE, || {
        let list = site.lazaret(&["webhook", "list"])?;
        let settled = list["items"][0]["delivered_up_to"].as_u64() >= event["sequence"].as_u64();
        Ok(settled.then_some(list))
    });
    assert_eq!(list.unwrap()["items"][0]["failures"], 0);

    let followed = lines.find_map(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (text(&event, "/event/event") == "claim-made").then_some(event)
    });
    assert_eq!(followed.as_ref().map(|event| &event["sequence"]), Some(&event["sequence"]));
    follower.kill().unwrap();
    follower.wait().unwrap();
}

struct Delivered {
    head: String,
    body: Vec<u8>,
}

impl Delivered {
    fn header(&self, name: &str) -> &str {
        let found = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Takes one delivery and answers it with `status`.
fn delivered(listener: &TcpListener, status: u16) -> Delivered {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let mut buffer = [0; 4096];
        let got = stream.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..got]);
    };
    let mut body = read.split_off(end);
    let mut taken = Delivered { head: String::from_utf8(read).unwrap(), body: Vec::new() };
    let length: usize = taken.header("content-length").parse().unwrap();
    let mut rest = vec![0; length - body.len()];
    stream.read_exact(&mut rest).unwrap();
    body.extend(rest);
    taken.body = body;
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .unwrap();
    taken
}

/// HMAC-SHA256 over `ID.TIMESTAMP.BODY`, as openssl makes it.
fn openssl_signature(folder: &Path, secret: &str, delivered: &Delivered) -> String {
    let signed = folder.join("signed");
    let head =
        format!("{}.{}.", delivered.header("webhook-id"), delivered.header("webhook-timestamp"));
    std::fs::write(&signed, [head.as_bytes(), &delivered.body].concat()).unwrap();
    let script = format!(
        "key=$(printf %s '{}' | base64 -d | od -An -v -tx1 | tr -d ' \\n'); openssl dgst -sha256 \
         -mac hmac -macopt hexkey:$key -binary {} | base64",
        secret.trim_start_matches("whsec_"),
        signed.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
