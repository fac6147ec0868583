//! The program as people run it: the happy path, and what it says and returns when something is
//! wrong.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test; clippy sees helpers as no test"
)]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.write("pass", b"a long passphrase\n");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        File::create(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lazaret-keys"))
            .args(line.split_whitespace())
            .args(["--now", "2026-11-22T12:00:00Z"])
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn ok(&self, line: &str) -> String {
        let out = self.run(line);
        let errors = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{line}\n{errors}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// The exit code and the code in the JSON on standard output.
    fn refused(&self, line: &str) -> (Option<i32>, String) {
        let out = self.run(&format!("--json {line}"));
        let stdout = String::from_utf8_lossy(&out.stdout);
        let last = stdout.lines().last().unwrap_or("{}");
        let json: serde_json::Value = serde_json::from_str(last).unwrap();
        (out.status.code(), json["code"].as_str().unwrap_or("none").to_owned())
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn a_ceremony_and_a_release_from_the_command_line() {
    let desk = Desk::new();
    desk.ok("ceremony --out repo --model gw2 --passphrase-file pass");
    for name in ["1.root.json", "1.targets.json"] {
        assert!(desk.path("repo/metadata").join(name).exists(), "{name}");
    }
    let mode = |name: &str| std::fs::metadata(desk.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("repo/holders/alice.key") & 0o777, 0o600);
    assert_eq!(mode("repo/online/snapshot.pem") & 0o777, 0o600);

    desk.write("image", &[7; 10_000]);
    let words = desk.ok("payload release --model gw2 --version 1.0 --image image --counter 1 \
         --schedule 100@2026-11-23T00:00:00Z,1000@2026-11-25T00:00:00Z --out release.payload");
    assert!(words.contains("10.0 % from 2026-11-23T00:00:00Z"), "{words}");
    for holder in ["bob", "carol"] {
        desk.ok(&format!(
            "sign --payload release.payload --key repo/holders/{holder}.key --image gw2/1.0=image \
             --targets repo/metadata/1.targets.json --root repo/metadata/1.root.json \
             --passphrase-file pass --out {holder}.sig"
        ));
    }
    desk.ok(
        "assemble --payload release.payload --sig bob.sig --sig carol.sig --out-dir repo/metadata \
         --targets repo/metadata/1.targets.json",
    );
    let words = desk.ok("inspect repo/metadata/1.rel-gw2.json");
    assert!(words.contains("image gw2/1.0: counter 1, floor 0, 10000 bytes"), "{words}");
    let transcript = String::from_utf8(read(&desk.path("repo/transcript.txt"))).unwrap();
    assert!(transcript.contains("targets version 1 is signed"), "{transcript}");
    let transcript = String::from_utf8(read(&desk.path("transcript.txt"))).unwrap();
    assert!(transcript.contains("carol signed rel-gw2 version 1"), "{transcript}");
}

#[test]
fn certificates_from_the_command_line() {
    let desk = Desk::new();
    desk.ok("ca create --name Acme --out ca --passphrase-file pass");
    desk.ok("ca server-cert --ca ca --name localhost --ip 127.0.0.1 --days 90 --out tls");
    desk.ok("ca operator --ca ca --name ana --roles operator,responder --days 30 --out ops");
    let words = desk.ok("inspect ops/ana.pem");
    assert!(words.contains("CN=ana, OU=operator, OU=responder"), "{words}");
    let key = String::from_utf8(read(&desk.path("ca/root-ca.key"))).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    assert!(desk.path("tls/server.key").exists());
}

#[test]
fn misuse_ends_with_2_and_failure_with_1() {
    let desk = Desk::new();
    let bare = desk.run("key create --holder alice --out alice.key");
    assert_eq!(bare.status.code(), Some(1), "a passphrase from nowhere");
    for misuse in [
        "",
        "sing",
        "key create --holder Alice --out alice.key",
        "payload targets --anchors a --model gw2 --online o --out p",
        "payload release --model gw2 --version 1 --image i --counter x --out p",
        "payload release --model gw2 --version 1 --image i --counter 1 --schedule 5@noon --out p",
        "sign --payload p --key k --image gw2=f --out s",
        "ca operator --ca ca --name ana --roles emperor --out ops",
        "inspect",
    ] {
        let out = desk.run(misuse);
        assert_eq!(out.status.code(), Some(2), "{misuse:?} did not end with 2");
        assert!(!out.stderr.is_empty(), "{misuse:?} said nothing");
    }
    assert_eq!(desk.refused("inspect nothing"), (Some(1), "file".to_owned()));
    desk.write("short", b"too short\n");
    let short = "key create --holder alice --out alice.key --passphrase-file short";
    assert_eq!(desk.refused(short), (Some(1), "passphrase".to_owned()));
    assert_eq!(desk.refused("ceremony --out x --model gw2"), (Some(2), "misuse".to_owned()));
    let above = "ceremony --out x --model gw2 --threshold 4 --passphrase-file pass";
    assert_eq!(desk.refused(above), (Some(2), "misuse".to_owned()));
    let twice = "key create --holder alice --out alice.key --passphrase-file pass";
    desk.ok(twice);
    assert_eq!(desk.refused(twice), (Some(1), "exists".to_owned()));
}

#[test]
fn json_is_one_object_per_step() {
    let desk = Desk::new();
    let out = desk.ok("--json key create --holder alice --out alice.key --passphrase-file pass");
    let step: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(step["step"], "key create");
    assert_eq!(step["at"], "2026-11-22T12:00:00Z");
    let line = String::from_utf8(read(&desk.path("transcript.txt"))).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), step);
}

/// Every step teaches: what it is for, and one example at least.
#[test]
fn every_help_has_an_example() {
    let desk = Desk::new();
    for step in [
        "key create",
        "key show",
        "online create",
        "anchors",
        "payload root",
        "payload targets",
        "payload release",
        "sign",
        "assemble",
        "ca create",
        "ca server-cert",
        "ca operator",
        "inspect",
        "ceremony",
    ] {
        let help = desk.ok(&format!("{step} --help"));
        assert!(help.contains("Example"), "{step} --help has no example");
        assert!(help.contains(&format!("lazaret-keys {step}")), "{step}");
    }
}
