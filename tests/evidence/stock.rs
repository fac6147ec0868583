//! age, tar, zstd, sha256sum, ssh-keygen, openssl, securesystemslib and thirty lines of Python
//! agree with us on a bundle; and one byte that is changed anywhere is found by us.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this is a test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::put;
use lazaret_protocol::signed::{Envelope, pre_authentication_encoding};
use lazaret_tests::fleet::PATIENCE;
use lazaret_tests::programs::{self, arg};
use lazaret_tests::python_case;
use lazaret_tests::python_tuf;
use lazaret_tests::site::{Device, Site};
use lazaret_tests::wait;
use serde_json::Value;

/// A bundle of a device of a site, as it was pulled.
pub(crate) struct Pulled {
    pub(crate) _folder: tempfile::TempDir,
    pub(crate) site: Site,
    pub(crate) device: Device,
    pub(crate) file: PathBuf,
    pub(crate) bundle: String,
}

impl Pulled {
    pub(crate) fn new() -> Self {
        let (folder, site) = Site::running().unwrap();
        let mut device = site.provision("d-1").unwrap();
        device.start().unwrap();
        wait::until("the device to have polled", PATIENCE, || {
            let page = site.lazaret(&["device", "list"])?;
            let polls = page.pointer("/items/0/polls").and_then(Value::as_u64);
            Ok((polls > Some(0)).then_some(()))
        })
        .unwrap();
        let file = folder.path().join("d-1.tar.zst.age");
        let pulled = site
            .lazaret(&["evidence", "pull", "d-1", "--reason", "case 7", "--out", &arg(&file)])
            .unwrap();
        let bundle = pulled["bundle"].as_str().unwrap().to_owned();
        Self { _folder: folder, site, device, file, bundle }
    }

    fn secret(&self, number: u32) -> PathBuf {
        self.site.keys().join("responders").join(format!("responder-{number}.age"))
    }

    fn verify(&self, file: &Path) -> std::process::Output {
        let ca = arg(&self.site.keys().join("ca").join("device-ca.pem"));
        let (secret, anchors) = (arg(&self.secret(1)), arg(&self.site.keys().join("anchors.json")));
        let receipt = arg(&self.file.with_file_name("d-1.tar.zst.age.receipt.json"));
        let mut command = self.site.cli(
            "ana",
            &[
                "evidence",
                "verify",
                &arg(file),
                "--device-ca",
                &ca,
                "--identity",
                &secret,
                "--anchors",
                &anchors,
                "--receipt",
                &receipt,
            ],
        );
        programs::output(&mut command).unwrap()
    }
}

fn ran(command: &mut Command) -> String {
    let output = programs::output(command).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}\n{answer}");
    answer
}

fn checks(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|err| {
        panic!("{err}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

#[test]
fn a_bundle_is_opened_and_checked_by_tools_that_are_not_ours() {
    // Else a court has to believe the program that it is asked about.
    let mut pulled = Pulled::new();
    pulled.device.kill().unwrap();
    let output = pulled.verify(&pulled.file);
    let verdict = checks(&output);
    assert_eq!(verdict["ok"], true, "{verdict:#}");
    for check in verdict["checks"].as_array().unwrap() {
        assert_eq!(check["ok"], true, "everything is proved: {check:#}");
    }
    let work = pulled.file.with_file_name("opened");
    std::fs::create_dir(&work).unwrap();
    for number in [1, 2] {
        let packed = work.join(format!("{number}.tar.zst"));
        ran(Command::new("age")
            .args(["-d", "-i", &arg(&pulled.secret(number)), "-o", &arg(&packed)])
            .arg(&pulled.file));
    }
    ran(Command::new("zstd").args(["-q", "-d"]).arg(work.join("1.tar.zst")));
    let clear = work.join("clear");
    std::fs::create_dir(&clear).unwrap();
    ran(Command::new("tar").arg("-xf").arg(work.join("1.tar")).arg("-C").arg(&clear));
    ran(Command::new("sha256sum").args(["-c", "--strict", "SHA256SUMS"]).current_dir(&clear));
    let public = public_key(&clear);
    ssh_signature_holds(&clear, &public);
    dsse_signature_holds(&clear, &public);
    let python = python_tuf::python().unwrap();
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("evidence").join(name);
    let manifest = clear.join("manifest.dsse.json");
    ran(Command::new(&python).arg(script("dsse.py")).arg(&manifest).arg(&public));
    for ring in ["security", "operations"] {
        let ring = clear.join("log").join(ring);
        ran(Command::new("python3").arg(script("tiles.py")).arg(ring));
    }
    let times = ran(Command::new("mactime").arg("-d").arg("-b").arg(clear.join("bodyfile")));
    assert!(times.starts_with("Date,") && times.lines().count() > 10, "{times}");
    let said =
        ran(Command::new(python_case::case_validate().unwrap()).arg(clear.join("case.jsonld")));
    assert!(said.contains("Conforms: True"), "{said}");
    timeline_has_events_of_ocsf(&clear);
    // Opened by others, it is checked as well.
    let again = checks(&pulled.verify(&work.join("1.tar")));
    let receipt = again["checks"].as_array().unwrap().last().unwrap();
    assert_eq!((&receipt["name"], &receipt["ok"]), (&Value::from("receipt"), &Value::from(false)));
    assert!(receipt["faults"][0]["text"].as_str().unwrap().contains("this file is"), "{again:#}");
}

/// Lines as Timesketch reads them, and what has a class of OCSF carries its event.
fn timeline_has_events_of_ocsf(clear: &Path) {
    let text = std::fs::read_to_string(clear.join("timeline.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["message"].is_string() && line["timestamp_desc"].is_string(), "{line}");
    }
    let started = lines.iter().find(|line| line["kind"] == "started").unwrap();
    assert_eq!(started["ocsf"]["class_uid"], 6002, "{started}");
    assert_eq!(started["ocsf"]["type_uid"], 600_203, "{started}");
}

/// The public key of the device's certificate, PEM.
fn public_key(clear: &Path) -> PathBuf {
    let public = clear.with_file_name("device.pub");
    let pem = ran(Command::new("openssl")
        .args(["x509", "-noout", "-pubkey", "-in"])
        .arg(clear.join("device.pem")));
    put(&public, pem);
    public
}

fn ssh_signature_holds(clear: &Path, public: &Path) {
    let key = ran(Command::new("ssh-keygen").args(["-i", "-m", "PKCS8", "-f"]).arg(public));
    let signers = clear.with_file_name("signers");
    put(&signers, format!("d-1 namespaces=\"lazaret-evidence\" {key}"));
    let verify = |file: &Path| {
        let (signers, signature) = (arg(&signers), arg(&clear.join("SHA256SUMS.sig")));
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-f", &signers, "-I", "d-1", "-n", "lazaret-evidence"]);
        command.args(["-s", &signature]).stdin(std::fs::File::open(file).unwrap());
        command.output().unwrap().status.success()
    };
    assert!(verify(&clear.join("SHA256SUMS")));
    assert!(!verify(&clear.join("device.pem")), "another file is signed");
}

fn dsse_signature_holds(clear: &Path, public: &Path) {
    let bytes = std::fs::read(clear.join("manifest.dsse.json")).unwrap();
    let envelope = Envelope::parse(&bytes).unwrap();
    let (signed, signature) = (clear.with_file_name("pae"), clear.with_file_name("sig"));
    let pae = pre_authentication_encoding(&envelope.payload_type, &envelope.payload);
    put(&signed, pae);
    put(&signature, &envelope.signatures[0].sig);
    let openssl = ["dgst", "-sha256", "-verify", &arg(public), "-signature", &arg(&signature)];
    ran(Command::new("openssl").args(openssl).arg(&signed));
}

#[test]
fn a_changed_byte_a_cut_and_a_stranger_are_named() {
    let pulled = Pulled::new();
    let whole = std::fs::read(&pulled.file).unwrap();
    let forged = pulled.file.with_file_name("forged.age");
    let said = |bytes: &[u8]| {
        put(&forged, bytes);
        let output = pulled.verify(&forged);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for place in [30, 200, 330, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        let said = said(&changed);
        let named =
            ["changed", "damaged", "encrypted to others"].iter().any(|it| said.contains(it));
        assert!(named, "byte {place}: {said}");
    }
    let cut = said(&whole[..whole.len() - 100]);
    assert!(cut.contains("changed or cut within bytes"), "{cut}");
    let other = pulled.file.with_file_name("other.age");
    pulled.site.lazaret_keys(&["responder", "--out", &arg(&other)]).unwrap();
    let ca = arg(&pulled.site.keys().join("ca").join("device-ca.pem"));
    let verify =
        ["evidence", "verify", &arg(&pulled.file), "--device-ca", &ca, "--identity", &arg(&other)];
    let output = programs::output(&mut pulled.site.cli("ana", &verify)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("encrypted to others: none of the identities given opens it"), "{said}");
}
