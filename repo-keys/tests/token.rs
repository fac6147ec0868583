//! Keys in a PKCS#11 token, with SoftHSM2 as the token, through the program as people run it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a failed unwrap in a test is a failed test; clippy sees helpers as no test"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use lazaret_repo_keys_signing::HolderPublic;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// A fresh token named `alice` with the PIN 1234, and a passphrase.
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(desk.path("tokens")).unwrap();
        let conf = format!("directories.tokendir = {}\n", desk.path("tokens").display());
        fs::write(desk.path("softhsm2.conf"), conf).unwrap();
        fs::write(desk.path("pin"), "1234\n").unwrap();
        fs::write(desk.path("wrong"), "4321\n").unwrap();
        fs::write(desk.path("pass"), "a long passphrase\n").unwrap();
        let args = ["--init-token", "--free", "--label", "alice", "--pin", "1234"];
        let mut softhsm = Command::new("softhsm2-util");
        softhsm.args(args).args(["--so-pin", "12345678"]);
        let done = softhsm.env("SOFTHSM2_CONF", desk.path("softhsm2.conf")).output();
        assert!(done.expect("this test needs softhsm2").status.success());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program in this folder, through a shell that opens the PIN as descriptor 3.
    fn run(&self, line: &str, pin: &str) -> Output {
        let program = env!("CARGO_BIN_EXE_lazaret-keys");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec {program} --now 2026-11-22T12:00:00Z {line} 3< {pin}"));
        shell.env("SOFTHSM2_CONF", self.path("softhsm2.conf")).current_dir(self.folder.path());
        shell.output().unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let done = self.run(line, "pin");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        said
    }

    fn public(&self, name: &str) -> HolderPublic {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

fn uri(object: &str) -> String {
    format!("'pkcs11:token=alice;object={object}?module-path={MODULE}'")
}

/// A root with an Ed25519 key and a P-256 key of the token and a key in a file, 3 of 3.
#[test]
fn keys_of_a_token_sign_a_root_beside_a_key_in_a_file() {
    let desk = Desk::new();
    let (edwards, p256) = (uri("edwards"), uri("p256"));
    desk.ok(&format!("key new --holder alice --pkcs11 {edwards} --pin-fd 3 --out alice.pub"));
    desk.ok(&format!(
        "key new --holder bob --pkcs11 {p256} --algorithm ecdsa-p256 --pin-fd 3 --out bob.pub"
    ));
    assert!(desk.ok(&format!("key show {edwards} --pin-fd 3")).contains("Ed25519"));
    assert!(desk.ok(&format!("key show {p256} --pin-fd 3")).contains("P-256"));
    assert_ne!(desk.public("alice.pub").key, desk.public("bob.pub").key);
    desk.ok("key create --holder carol --out carol.key --passphrase-file pass");
    desk.ok("online create --out online");
    desk.ok("payload root --holder-keys alice.pub,bob.pub,carol.pub --threshold 3 \
         --online online/online.pub.json --out root.payload");
    desk.ok(&format!("sign --payload root.payload --pkcs11 {edwards} --pin-fd 3 --out a.sig"));
    desk.ok(&format!(
        "sign --payload root.payload --key {p256} --pin-fd 3 --holder bob --out b.sig"
    ));
    desk.ok("sign --payload root.payload --key carol.key --passphrase-file pass --out c.sig");
    desk.ok(
        "assemble --payload root.payload --sig a.sig --sig b.sig --sig c.sig --out-dir metadata",
    );
    let said = desk.ok("inspect metadata/1.root.json");
    assert!(said.contains("its own threshold is met"), "{said}");
    // What was assembled is JSON, although the PEM of a P-256 key has line ends.
    let root = fs::read(desk.path("metadata/1.root.json")).unwrap();
    let root: serde_json::Value = serde_json::from_slice(&root).unwrap();
    let keys = root["signed"]["keys"].as_object().unwrap();
    let kinds: Vec<&str> = keys.values().filter_map(|key| key["keytype"].as_str()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "ecdsa").count(), 1, "{kinds:?}");
}

#[test]
fn a_wrong_pin_a_name_twice_and_a_pin_in_the_uri_are_refused() {
    let desk = Desk::new();
    let create = format!("key new --holder alice --pkcs11 {} --pin-fd 3 --out", uri("root"));
    let refused = |line: &str, pin: &str| {
        let done = desk.run(line, pin);
        assert_eq!(done.status.code(), Some(1), "{line}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let said = refused(&format!("{create} alice.pub"), "wrong");
    assert!(said.contains("PIN"), "{said}");
    assert!(!desk.path("alice.pub").exists());
    desk.ok(&format!("{create} alice.pub"));
    let said = refused(&format!("{create} again.pub"), "pin");
    assert!(said.contains("already"), "{said}");
    let with_pin = uri("root").replace("'pkcs11:", "'pkcs11:pin-value=1234;");
    let said = refused(&format!("key show {with_pin} --pin-fd 3"), "pin");
    assert!(said.contains("--pin-fd"), "{said}");
}
