//! Machines that enrol by what their TPM states: the real server and agent with swtpm, an inventory
//! from a file, and a machine that lies in every way it can.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this program is a test"
)]

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_tests::hardware::{KeyHelper, SwTpm};
use lazaret_tests::http::{Answer, Connection, tls};
use lazaret_tests::programs::{self, Programs, arg};
use lazaret_tests::site::{Device, Site};
use lazaret_tests::{peer, wait};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

fn write(path: &Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn import(site: &Site, file: &Path, more: &[&str]) -> anyhow::Result<Value> {
    let file = arg(file);
    site.lazaret(&[&["device", "import", &file, "--reason", "test"], more].concat())
}

/// A site whose server has these lines in its settings.
fn site(folder: &Path, settings: &str) -> Site {
    let mut site = Site::found(Programs::beside_this_one().unwrap(), &folder.join("site")).unwrap();
    let path = site.folder.join("server.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    write(&path, &format!("{text}\n{settings}"));
    site.init().unwrap();
    site.start_server().unwrap();
    site
}

fn polled(site: &Site, device: &Device, more_than: u64) -> Value {
    wait::until("the device to poll", PATIENCE, || {
        let Ok(view) = site.lazaret(&["device", "show", &device.id]) else { return Ok(None) };
        Ok((view["polls"].as_u64() > Some(more_than)).then_some(view))
    })
    .unwrap_or_else(|err| panic!("{err}\n{}", device.log_tail().unwrap_or_default()))
}

fn log_says(device: &Device, what: &str) {
    let log = device.folder.join("agent.log");
    wait::until(&format!("the log to say {what}"), PATIENCE, || {
        Ok(std::fs::read_to_string(&log)?.contains(what).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_machine_enrols_by_its_tpm_and_no_other_machine_does() {
    // Else whoever knows a serial number becomes that device.
    let folder = tempfile::tempdir().unwrap();
    let hardware = |name: &str| folder.path().join(name);
    for name in ["listed", "thief", "vouched"] {
        SwTpm::manufacture(&hardware(name), &hardware("maker")).unwrap();
    }
    let maker = hardware("maker/issuercert.pem");
    let settings = format!("[enrolment]\nattestation = \"required\"\nendorsement_ca = {maker:?}\n");
    let site = site(folder.path(), &settings);
    let listed = SwTpm::start(&hardware("listed")).unwrap();
    let key = listed.endorsement(&hardware("work")).unwrap();
    let file = folder.path().join("fleet.csv");
    write(
        &file,
        &format!(
            "serial,device,model,group,endorsement,imei\n\
             sn-1,d-1,gw2,lyon,{key},490154203237518\nsn-2,d-2,gw2,lyon,certificate,\n"
        ),
    );
    let rehearsed = import(&site, &file, &["--dry-run"]).unwrap();
    assert_eq!((&rehearsed["added"], &rehearsed["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(import(&site, &file, &[]).unwrap()["added"], json!(2));
    assert_eq!(import(&site, &file, &[]).unwrap()["unchanged"], json!(2));

    let mut device = site.set_up("d-1", "sn-1").unwrap();
    device.keep_key(&listed.settings()).unwrap();
    device.start().unwrap();
    let view = polled(&site, &device, 0);
    assert_eq!(view["hardware"]["endorsement"], json!(key), "{view}");
    assert_eq!((&view["group"], &view["model"]), (&json!("lyon"), &json!("gw2")));
    assert_eq!(view["hardware"]["registers"], json!([0, 7]));

    // Another genuine TPM is not that machine.
    let thief = SwTpm::start(&hardware("thief")).unwrap();
    let mut pretender = site.set_up("d-thief", "sn-1").unwrap();
    pretender.keep_key(&thief.settings()).unwrap();
    pretender.start().unwrap();
    log_says(&pretender, "endorsement-refused");
    drop(pretender);

    // Any TPM of the maker may be the second machine, and then no other.
    let vouched = SwTpm::start(&hardware("vouched")).unwrap();
    let mut second = site.set_up("d-2", "sn-2").unwrap();
    second.keep_key(&vouched.settings()).unwrap();
    second.start().unwrap();
    polled(&site, &second, 0);
    let mut late = site.set_up("d-late", "sn-2").unwrap();
    late.keep_key(&thief.settings()).unwrap();
    late.start().unwrap();
    log_says(&late, "endorsement-refused");
    drop(late);

    // A machine that was off for longer than its certificate lives proves its TPM again.
    device.kill().unwrap();
    std::fs::remove_file(device.folder.join("state/identity/certificate.json")).unwrap();
    device.start().unwrap();
    polled(&site, &device, view["polls"].as_u64().unwrap() + 1);

    // Nobody enrols with a claim alone, and no number of a modem is written down.
    let secret = peer::claim(&site, "sn-9", "d-9").unwrap();
    let csr = peer::csr(&KeyPair::generate().unwrap()).unwrap();
    let claimed =
        tell(&site, "/v1/enroll", &json!({"serial": "sn-9", "claim": secret, "csr": csr}));
    assert_eq!(claimed.code(), "attestation-required", "{claimed:?}");
    let log = std::fs::read_to_string(site.server_log()).unwrap();
    assert!(!log.contains("490154203237518"));
}

#[test]
fn a_list_with_one_bad_line_is_refused_whole_and_the_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), "");
    let file = folder.path().join("fleet.json");
    let claim = "abcdefghijklmnopqrstuv";
    write(
        &file,
        &format!(
            "[{{\"serial\": \"sn-1\", \"model\": \"gw2\", \"claim\": \"{claim}\"}},\n\
             {{\"serial\": \"sn-2\", \"model\": \"gw2\"}}]"
        ),
    );
    let refused = format!("{:#}", import(&site, &file, &[]).unwrap_err());
    assert!(
        refused.contains("line 2: expected either an endorsement or a claim, or a factory"),
        "{refused}"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("\"gw2\"}]", "\"gw2\", \"claim\": \"zyxwvutsrqponmlkjihgfe\"}]");
    write(&file, &text);
    assert_eq!(import(&site, &file, &[]).unwrap()["added"], json!(2));
    // The claim of the list enrols, once.
    let csr = || peer::csr(&KeyPair::generate().unwrap()).unwrap();
    let show = |csr: String| {
        tell(&site, "/v1/enroll", &json!({"serial": "sn-1", "claim": claim, "csr": csr}))
    };
    let first = show(csr());
    assert_eq!((first.status, &first.json()["device"]), (200, &json!("sn-1")), "{first:?}");
    assert_eq!(show(csr()).code(), "claim-used");
    // What the server knows is said with the line too.
    write(&file, &text.replace("\"gw2\"", "\"gw3\""));
    let refused = format!("{:#}", import(&site, &file, &["--replace"]).unwrap_err());
    assert!(refused.contains("line 1: serial sn-1 has enrolled already"), "{refused}");
}

fn tell(site: &Site, path: &str, body: &Value) -> Answer {
    let mut machine = Connection::open(site.device_port, &tls(site, None).unwrap()).unwrap();
    machine.tell("POST", path, body).unwrap()
}

/// A machine whose TPM does what the test wants.
struct Machine {
    helper: RefCell<KeyHelper>,
    point: Vec<u8>,
}

impl Machine {
    fn new(programs: &Programs, tpm: &SwTpm, folder: &Path) -> Self {
        let mut helper = KeyHelper::start(programs, tpm, folder).unwrap();
        let public = helper.ask(&json!("create")).unwrap()["public"]["public"].take();
        let point = STANDARD.decode(public.as_str().unwrap()).unwrap();
        Self { helper: RefCell::new(helper), point }
    }

    fn ask(&self, request: &Value) -> Value {
        self.helper.borrow_mut().ask(request).unwrap()
    }

    fn claims(&self) -> Value {
        let mut claims = self.ask(&json!("claims"))["claims"].take();
        claims["serial"] = json!("sn-1");
        claims
    }

    fn csr(&self) -> String {
        CertificateParams::default().serialize_request(self).unwrap().pem().unwrap()
    }
}

impl PublicKeyData for Machine {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Machine {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let answer = self.ask(&json!({"sign": STANDARD.encode(message)}));
        Ok(STANDARD.decode(answer["signature"].as_str().unwrap()).unwrap())
    }
}

/// An answer to a challenge, with statements over its nonce by `by`.
fn answer(challenge: &Value, secret: Value, by: &Machine, csr: String) -> Value {
    let nonce = hex::decode(challenge["challenge"].as_str().unwrap()).unwrap();
    statements(challenge, secret, by, csr, &nonce)
}

fn statements(challenge: &Value, secret: Value, by: &Machine, csr: String, nonce: &[u8]) -> Value {
    let nonce = STANDARD.encode(nonce);
    let certified = by.ask(&json!({"certify": {"nonce": nonce}}))["statement"].take();
    let quote = json!({"quote": {"nonce": nonce, "registers": challenge["registers"]}});
    let quote = by.ask(&quote)["statement"].take();
    json!({
        "serial": "sn-1", "challenge": challenge["challenge"], "secret": secret, "csr": csr,
        "certified": certified, "quote": quote,
    })
}

#[test]
fn every_lie_about_a_tpm_is_refused_by_its_name() {
    // Else a key in a file passes for one in a TPM, or one TPM for another.
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path(), "");
    let tpm = SwTpm::start(&folder.path().join("tpm")).unwrap();
    let key = tpm.endorsement(&folder.path().join("work")).unwrap();
    let file = folder.path().join("fleet.csv");
    write(&file, &format!("serial,model,endorsement\nsn-1,gw2,{key}\n"));
    import(&site, &file, &[]).unwrap();
    let other = SwTpm::start(&folder.path().join("other")).unwrap();
    let mine = Machine::new(&site.programs, &tpm, &folder.path().join("keys"));
    let thief = Machine::new(&site.programs, &other, &folder.path().join("stolen"));
    let ask = |claims: &Value| tell(&site, "/v1/enroll/challenge", claims);
    let answered = |body: &Value| tell(&site, "/v1/enroll/attested", body);
    let secret = |machine: &Machine, challenge: &Value| {
        let (blob, seed) = (&challenge["blob"], &challenge["seed"]);
        machine.ask(&json!({"activate": {"blob": blob, "seed": seed}}))["secret"].take()
    };

    // A wrong endorsement key; the same words for a serial number that nobody listed.
    assert_eq!(ask(&thief.claims()).code(), "endorsement-refused");
    let mut unknown = mine.claims();
    unknown["serial"] = json!("sn-unknown");
    assert_eq!(ask(&unknown).code(), "endorsement-refused");
    // A device key that could leave its TPM: fixedTPM is bit 1 of the attributes' last byte.
    let mut loose = mine.claims();
    let mut area = STANDARD.decode(loose["device"].as_str().unwrap()).unwrap();
    area[7] &= !2;
    loose["device"] = json!(STANDARD.encode(area));
    assert_eq!(ask(&loose).code(), "key-not-bound");
    // Another TPM's attestation key: the credential opens on neither.
    let mut swapped = mine.claims();
    swapped["attestation"] = thief.claims()["attestation"].take();
    let challenge = ask(&swapped).json();
    assert!(secret(&mine, &challenge).is_null() && secret(&thief, &challenge).is_null());
    let guess = json!(STANDARD.encode([7; 32]));
    let guessed = answered(&answer(&challenge, guess, &thief, thief.csr()));
    assert_eq!(guessed.code(), "attestation-refused", "{guessed:?}");

    // The right TPM, and statements of another.
    let challenge = ask(&mine.claims()).json();
    let opened = secret(&mine, &challenge);
    let others = answered(&answer(&challenge, opened.clone(), &thief, mine.csr()));
    assert_eq!(others.code(), "attestation-refused", "{others:?}");
    // Statements over another nonce.
    let stale = statements(&challenge, opened.clone(), &mine, mine.csr(), &[1; 32]);
    assert_eq!(answered(&stale).code(), "challenge-refused");
    // A certificate for a key in a file.
    let software = peer::csr(&KeyPair::generate().unwrap()).unwrap();
    let unbound = answered(&answer(&challenge, opened.clone(), &mine, software));
    assert_eq!(unbound.code(), "key-not-bound", "{unbound:?}");
    // None of that has used the challenge up; the truth does.
    let truth = answer(&challenge, opened, &mine, mine.csr());
    let enrolled = answered(&truth);
    assert_eq!((enrolled.status, &enrolled.json()["device"]), (200, &json!("sn-1")));
    let replayed = answered(&truth);
    assert_eq!(replayed.code(), "challenge-refused", "{replayed:?}");
    assert!(replayed.detail().contains("answered before"), "{replayed:?}");
    let shown = programs::output(&mut site.cli("ana", &["device", "show", "sn-1"])).unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&key));
}
