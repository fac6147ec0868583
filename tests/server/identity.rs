//! Who is let in: certificates, roles, quarantine and enrolment at the real server's listeners.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_tests::http::{Connection, Credential, tls};
use lazaret_tests::peer::{self, Peer, poll};
use lazaret_tests::site::Site;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::AlertDescription;
use serde_json::json;

mod routes;

fn operator(site: &Site, name: &str) -> Connection {
    let shown = Credential::operator(site, name).unwrap();
    Connection::open(site.operator_port, &tls(site, Some(&shown)).unwrap()).unwrap()
}

fn nobody(site: &Site) -> Connection {
    Connection::open(site.device_port, &tls(site, None).unwrap()).unwrap()
}

#[test]
fn a_certificate_of_the_wrong_kind_ends_the_handshake() {
    // Else whoever holds a device speaks to the operators' face, where only a name stands between
    // them and the fleet.
    let (_folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    let ana = tls(&site, Some(&Credential::operator(&site, "ana").unwrap())).unwrap();
    let none = tls(&site, None).unwrap();
    let alert = |port, tls| Connection::open(port, tls).unwrap().alert().unwrap();
    assert_eq!(alert(site.operator_port, &device.tls), AlertDescription::UnknownCA);
    assert_eq!(alert(site.device_port, &ana), AlertDescription::UnknownCA);
    assert_eq!(alert(site.operator_port, &none), AlertDescription::CertificateRequired);
}

#[test]
fn a_servers_own_certificate_opens_no_face() {
    // Else a server certificate, which lies on a machine in a data centre, is a way in for
    // operators and devices.
    let (_folder, site) = Site::running().unwrap();
    let read = |name: &str| std::fs::read_to_string(site.folder.join("tls").join(name)).unwrap();
    let server = Credential { chain_pem: read("server.pem"), key_pem: read("server.key") };
    let server = tls(&site, Some(&server)).unwrap();
    for port in [site.operator_port, site.device_port] {
        let alert = Connection::open(port, &server).unwrap().alert().unwrap();
        assert_eq!(alert, AlertDescription::UnsupportedCertificate, "port {port}");
    }
}

#[test]
fn every_device_route_but_health_and_enrolment_asks_for_a_certificate() {
    // Else a stranger reads the repository, or speaks for a device.
    let (_folder, site) = Site::running().unwrap();
    for route in routes::of_devices() {
        // A stranger who was refused has to connect again.
        let mut stranger = nobody(&site);
        let answer = stranger.ask(&route.method, &route.path(), b"{}").unwrap();
        match route.who.as_str() {
            "none" => assert_eq!(answer.status, 200, "{route:?}: {answer:?}"),
            "the claim" | "the TPM" => {
                assert_eq!(answer.code(), "bad-request", "{route:?}: {answer:?}")
            }
            _ => {
                assert_eq!(answer.status, 401, "{route:?}: {answer:?}");
                assert_eq!(answer.code(), "unauthenticated", "{route:?}: {answer:?}");
            }
        }
    }
}

#[test]
fn tls_1_2_is_not_spoken() {
    // Else a device's certificate travels in the clear, as it does in TLS 1.2.
    let (_folder, site) = Site::running().unwrap();
    for port in [site.device_port, site.operator_port] {
        let handshake = |version: &str| {
            let mut openssl = Command::new("openssl");
            openssl.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), version]);
            let done = openssl.stdin(Stdio::null()).output().expect("this test needs openssl");
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
        };
        let old = handshake("-tls1_2");
        assert!(old.contains("alert protocol version"), "{old}");
        let new = handshake("-tls1_3");
        assert!(new.contains("TLSv1.3, Cipher is TLS_"), "{new}");
    }
}

#[test]
fn no_session_is_resumed() {
    // Else a session from before a quarantine or a superseded certificate outlives it.
    let (_folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    for _ in 0..2 {
        let mut connection = device.connect(&site).unwrap();
        assert_eq!(connection.look("/v1/device").unwrap().status, 200);
        assert!(connection.was_whole_handshake());
        assert_eq!(connection.tickets(), 0);
    }
}

#[test]
fn a_viewer_may_look_and_nothing_else() {
    // Else somebody who was to watch the fleet can change it.
    let (_folder, site) = Site::running().unwrap();
    site.operator("vera", "viewer").unwrap();
    Peer::enrol(&site, "unknown").unwrap();
    let mut vera = operator(&site, "vera");
    for route in routes::of_operators() {
        if route.template.contains("/stream") {
            // It has no end, so nothing else is asked on that connection.
            let head = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", route.path());
            vera.send(head.as_bytes()).unwrap();
            assert_eq!(vera.head().unwrap().status, 200, "{route:?}");
            vera = operator(&site, "vera");
            continue;
        }
        let answer = vera.ask(&route.method, &route.path(), b"{}").unwrap();
        if route.who == "any" {
            assert!(![401, 403].contains(&answer.status), "{route:?}: {answer:?}");
            continue;
        }
        assert_eq!(answer.code(), "forbidden", "{route:?}: {answer:?}");
        for role in route.who.split(", ") {
            assert!(answer.detail().contains(role), "{route:?}: {answer:?}");
        }
    }
    let shown = vera.look("/v1/devices/unknown").unwrap().json();
    assert!(shown["quarantine"].is_null(), "{shown}");
}

#[test]
fn an_operator_without_any_role_sees_nothing() {
    // Else a certificate that was made without a thought about roles opens the register.
    let (_folder, site) = Site::running().unwrap();
    let refused = site.operator("nora", "").unwrap_err();
    assert!(format!("{refused:#}").contains("--roles"), "{refused:#}");
}

#[test]
fn quarantine_takes_hold_on_an_open_connection() {
    // Else an intruder keeps what it had for as long as it keeps its connection.
    let (_folder, site) = Site::running().unwrap();
    let device = Peer::enrol(&site, "d-1").unwrap();
    let mut open = device.connect(&site).unwrap();
    assert_eq!(open.look("/v1/device").unwrap().status, 200);
    let mut ana = operator(&site, "ana");
    let reason = json!({ "reason": "test" });
    let ordered = ana.tell("POST", "/v1/devices/d-1/evidence", &reason).unwrap().json();
    let bundle = ordered["bundle"].as_str().unwrap().to_owned();
    let answer = ana.tell("POST", "/v1/devices/d-1/quarantine", &reason).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");

    let refused = open.look("/v1/device").unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (403, "quarantined"), "{refused:?}");
    let anchors = std::fs::read(site.keys().join("anchors.json")).unwrap();
    let anchors = lazaret_protocol::digest::Sha256Digest::of(&anchors);
    for path in [
        "/v1/repo/metadata/timestamp.json".to_owned(),
        format!("/v1/repo/targets/trust/{anchors}.anchors"),
        format!("/v1/evidence/{bundle}"),
    ] {
        let answer = open.look(&path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let answer = open.tell("POST", "/v1/poll", &poll(1)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let orders = answer.json()["orders"].as_array().map_or(0, Vec::len);
    assert_eq!(orders, 2, "expected the orders to collect and to enter quarantine: {answer:?}");
    let piece = format!("/v1/evidence/{bundle}?offset=0&last=false");
    assert_eq!(open.ask("PUT", &piece, b"evidence").unwrap().status, 200);
    let renewed = device.renew(&site).unwrap();
    let refused = renewed.connect(&site).unwrap().look("/v1/device").unwrap();
    assert_eq!(refused.code(), "quarantined", "a new certificate leads out: {refused:?}");
}

#[test]
fn a_certificate_that_was_superseded_twice_is_refused() {
    // Else a key that was copied once is good for ever.
    let (_folder, site) = Site::running().unwrap();
    let first = Peer::enrol(&site, "d-1").unwrap();
    let mut open = first.connect(&site).unwrap();
    let second = first.renew(&site).unwrap();
    assert_eq!(open.look("/v1/device").unwrap().status, 200, "its renewal may have been lost");
    let third = second.renew(&site).unwrap();
    let refused = open.look("/v1/device").unwrap();
    assert_eq!(refused.code(), "unauthenticated", "{refused:?}");
    for good in [second, third] {
        let answer = good.connect(&site).unwrap().look("/v1/device").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn a_claim_that_is_used_twice_is_refused_and_recorded() {
    // Else whoever copied the claim becomes the device, or tries to and nobody hears of it.
    let (_folder, site) = Site::running().unwrap();
    let secret = peer::claim(&site, "sn-1", "d-1").unwrap();
    let [own, other] = [(); 2].map(|()| peer::csr(&KeyPair::generate().unwrap()).unwrap());
    let mut machine = nobody(&site);
    let mut show = |secret: &str, csr: &str| {
        let request = json!({ "serial": "sn-1", "claim": secret, "csr": csr });
        machine.tell("POST", "/v1/enroll", &request).unwrap()
    };
    assert_eq!(show("lzc_guessed", &own).code(), "claim-refused");
    assert_eq!(show(&secret, &own).status, 200);
    assert_eq!(show(&secret, &own).status, 200, "the first answer may have been lost");
    let copied = show(&secret, &other);
    assert_eq!((copied.status, copied.code().as_str()), (403, "claim-used"), "{copied:?}");
    let events = site.events().unwrap();
    let reused = events.iter().filter(|event| event["event"]["event"] == "claim-reused");
    assert_eq!(reused.count(), 1, "{events:?}");
}

#[test]
fn a_request_to_be_a_ca_called_admin_yields_a_plain_certificate_of_the_device() {
    // Else a device issues certificates for all others.
    let (_folder, site) = Site::running().unwrap();
    let secret = peer::claim(&site, "sn-1", "d-1").unwrap();
    let key = KeyPair::generate().unwrap();
    let mut wishes = CertificateParams::new(vec!["admin.example".to_owned()]).unwrap();
    wishes.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wishes.distinguished_name.push(DnType::CommonName, "admin");
    wishes.distinguished_name.push(DnType::OrganizationalUnitName, "operator");
    let csr = wishes.serialize_request(&key).unwrap().pem().unwrap();
    let request = json!({ "serial": "sn-1", "claim": secret, "csr": csr });
    let reply = nobody(&site).tell("POST", "/v1/enroll", &request).unwrap();
    let chain = reply.json()["certificate_chain"].as_str().unwrap().to_owned();
    let path = site.folder.join("got.pem");
    write(&path, chain.as_bytes());
    // A second reader, which is not ours.
    let text = openssl(&["x509", "-noout", "-text", "-nameopt", "RFC2253", "-in"], &path);
    assert!(text.contains("Subject: CN=d-1\n"), "{text}");
    assert!(text.contains("CA:FALSE"), "{text}");
    assert!(text.contains("TLS Web Client Authentication"), "{text}");
    for wish in ["CA:TRUE", "admin", "operator", "Certificate Sign"] {
        assert!(!text.contains(wish), "{wish} was granted:\n{text}");
    }
}

#[test]
fn a_server_with_a_holders_key_does_not_start() {
    // Else whoever takes the server can sign images.
    let (_folder, mut site) = Site::running().unwrap();
    site.kill_server().unwrap();
    let online = site.keys().join("online");
    let encrypted = site.keys().join("holders").join("alice.key");
    let clear = decrypted(&site, &encrypted);
    for (from, name) in [(&encrypted, "forgotten.bak"), (&clear, "notes.txt")] {
        std::fs::copy(from, online.join(name)).unwrap();
        refuses_to_start(&mut site, &[name, "does not belong"]);
        std::fs::remove_file(online.join(name)).unwrap();
    }
    for name in ["snapshot.pem", "orders.pem"] {
        let own = std::fs::read(online.join(name)).unwrap();
        for (from, why) in [(&encrypted, "encrypted"), (&clear, "a key of an offline role")] {
            std::fs::copy(from, online.join(name)).unwrap();
            refuses_to_start(&mut site, &[name, why]);
        }
        write(&online.join(name), &own);
    }
    site.start_server().unwrap();
}

fn refuses_to_start(site: &mut Site, words: &[&str]) {
    let _first = std::fs::remove_file(site.server_log());
    let refused = format!("{:#}", site.start_server().unwrap_err());
    assert!(refused.contains("exit status: 1"), "{refused}");
    for word in words {
        assert!(refused.contains(word), "expected {word:?} in:\n{refused}");
    }
}

/// A holder's key without its passphrase, as nobody should have it.
fn decrypted(site: &Site, key: &Path) -> PathBuf {
    let passphrase = std::fs::read_to_string(site.folder.join("passphrase")).unwrap();
    let der = unsealed(&std::fs::read_to_string(key).unwrap(), passphrase.trim_end());
    let path = site.folder.join("alice.clear");
    let pem =
        ["-----BEGIN PRIVATE KEY-----", &STANDARD.encode(der), "-----END PRIVATE KEY-----", ""];
    write(&path, pem.join("\n").as_bytes());
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();
    path
}

/// Opens a holder's key file as its first line says it is made: a second reader of that format.
fn unsealed(text: &str, passphrase: &str) -> Vec<u8> {
    use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let hex = |name: &str| hex::decode(file[name].as_str().unwrap()).unwrap();
    let number = |name: &str| u32::try_from(file[name].as_u64().unwrap()).unwrap();
    assert_eq!((&file["kdf"], &file["cipher"]), (&json!("argon2id"), &json!("aes-256-gcm")));
    let costs = (number("memory_kib"), number("passes"), number("lanes"));
    let costs = argon2::Params::new(costs.0, costs.1, costs.2, Some(32)).unwrap();
    let argon2id = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, costs);
    let mut key = [0; 32];
    argon2id.hash_password_into(passphrase.as_bytes(), &hex("salt"), &mut key).unwrap();
    let nonce: [u8; 12] = hex("nonce").try_into().unwrap();
    let sealed = STANDARD.decode(file["sealed"].as_str().unwrap()).unwrap();
    let aad = format!("{}}}", text.split_once(",\"sealed\"").unwrap().0);
    let cipher = aes_gcm::Aes256Gcm::new(&key.into());
    cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad: aad.as_bytes() }).unwrap()
}

fn openssl(args: &[&str], file: &Path) -> String {
    let done = Command::new("openssl").args(args).arg(file).output().expect("openssl is needed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}
