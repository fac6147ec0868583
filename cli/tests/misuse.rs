//! What is typed wrong ends with 2 and says what was expected; what does not work ends with 1. No
//! server is needed for any of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the functions around the tests fail as tests do"
)]

#[path = "../src/evidence/fixture.rs"]
mod fixture;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use fixture::{Authority, Device, tar_of};

fn lazaret(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lazaret"))
        .current_dir(folder)
        .env("HOME", folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn fails(arguments: &[&str], code: i32, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    fails_in(folder.path(), arguments, code, says);
}

fn fails_in(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = lazaret(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    // clap breaks lines.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(says), "{arguments:?}: {text:?} does not say {says:?}");
    assert!(output.stdout.is_empty() || code == 1, "misuse printed an answer");
}

fn put(path: &Path, bytes: &[u8]) {
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn names_of_the_wrong_form_are_misuse() {
    fails(&["device", "show", "D-1"], 2, "expected a device id of the form [a-z0-9]");
    fails(&["release", "show", "gw2", "../x"], 2, "expected a version name of the form");
    fails(&["rollout", "halt", "", "--reason", "x"], 2, "expected a rollout id of the form");
}

#[test]
fn reasons_that_say_nothing_are_misuse() {
    let says = "expected a reason in words, such as";
    fails(&["device", "quarantine", "d-1", "--reason", ""], 2, says);
    fails(&["rollout", "halt", "r-1", "--reason", "  "], 2, says);
    fails(&["evidence", "pull", "d-1", "--reason", "", "--out", "x"], 2, says);
    fails(&["device", "quarantine", "d-1"], 2, "--reason <TEXT>");
}

#[test]
fn rollouts_that_cannot_be_are_misuse() {
    let start = ["rollout", "start", "--model", "gw2", "--version", "2", "--reason", "x"];
    let with = |more: &[&'static str]| [&start[..], more].concat();
    fails(&with(&[]), 2, "--all|--devices <IDS>|--devices-file <FILE>");
    fails(&with(&["--all", "--devices", "d-1"]), 2, "cannot be used with");
    fails(&with(&["--all", "--groups", "1,2"]), 2, "add up to 1000 permille, got 3");
    fails(&with(&["--all", "--error", "101"]), 2, "101 is not in 1..=100");
    fails(&with(&["--devices", "d-1,D"]), 2, "expected a device id");
    fails(&with(&["--devices", "d-1,d-1"]), 2, "d-1 is named twice");
}

#[test]
fn settings_that_are_missing_or_wrong_are_misuse() {
    fails(&["device", "list"], 2, "expected the server's address in");
    fails(&["--config", "none.toml", "device", "list"], 2, "cannot read the settings in none.toml");
    fails(&["--server", "http://a", "device", "list"], 2, "such as https://lazaret.example:8444");
    fails(&["--server", "https://a", "device", "list"], 2, "or as --server-ca, got neither");
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("cli.toml"), b"server = 5");
    fails_in(folder.path(), &["--config", "cli.toml", "device", "list"], 2, "settings in TOML");
}

#[test]
fn files_that_are_no_signed_metadata_are_misuse() {
    fails(&["release", "publish", "--metadata", "x.json"], 2, "such as 2.rel-gw2.json");
}

#[test]
fn no_command_and_unknown_commands_are_misuse() {
    fails(&[], 2, "Usage: lazaret");
    fails(&["device", "free"], 2, "unrecognized subcommand 'free'");
}

#[test]
fn help_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let output = lazaret(folder.path(), &["rollout", "start", "--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Example:\n  lazaret rollout start --model gw2"), "{text}");
}

#[test]
fn a_server_that_is_away_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Authority::new("CA");
    let alice = ca.issue("alice", rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    put(&folder.path().join("ca.pem"), ca.pem.as_bytes());
    put(&folder.path().join("a.pem"), alice.certificate.as_bytes());
    put(&folder.path().join("k.pem"), alice.key.serialize_pem().as_bytes());
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("https://127.0.0.1:{port}");
    let with = ["--server-ca", "ca.pem", "--cert", "a.pem", "--key", "k.pem", "--server", &server];
    let says = format!("error: cannot reach {server}: io: Connection refused");
    fails_in(folder.path(), &[&with[..], &["device", "list"]].concat(), 1, &says);
    put(&folder.path().join("k.pem"), b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n");
    let list = [&with[..], &["device", "list"]].concat();
    fails_in(folder.path(), &list, 1, "k.pem is encrypted with a passphrase");
}

#[test]
fn bundles_that_do_not_hold_fail_and_say_whose_doing_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::new();
    put(&folder.path().join("ca.pem"), device.ca.pem.as_bytes());
    let verify = |files: &[(String, Vec<u8>)], says: &str| {
        put(&folder.path().join("b.tar"), &tar_of(files));
        fails_in(folder.path(), &["evidence", "verify", "b.tar", "--device-ca", "ca.pem"], 1, says);
    };
    let whole = device.bundle();
    let mut changed = whole.clone();
    let at = |name: &str| whole.iter().position(|(it, _)| it == name).unwrap();
    let (processes, entries) = (at("artifacts/processes"), at("log/security/tile/entries/000.p/3"));
    changed[processes].1[0] ^= 1;
    verify(&changed, "expected artifacts/processes with the digest");
    verify(&changed, "(changed after the device signed for it)");
    let last = whole.len() - 1;
    verify(&whole[..last], "artifacts/sockets.failed is missing (left out or lost");
    let mut added = whole.clone();
    added.push(("artifacts/more".to_owned(), b"x".to_vec()));
    verify(&added, "\"artifacts/more\" is nothing that the device signed for");
    let mut other = whole.clone();
    other[0] = Device::new().bundle().swap_remove(0);
    verify(&other, "no trusted key has signed this application/vnd.in-toto+json");
    other[at("device.pem")].1 = Device::new().chain();
    verify(&other, "does not chain to the device CA");
    let mut log = whole.clone();
    log[entries].1.truncate(40);
    verify(&log, "expected log/security/tile/entries/000.p/3 with the digest");
    put(&folder.path().join("b.tar"), b"not a tar file, but long enough to be looked at");
    let verify = ["evidence", "verify", "b.tar", "--device-ca", "ca.pem"];
    fails_in(folder.path(), &verify, 1, "not a readable tar archive");
    let show = ["evidence", "show", "b.tar", "--device-ca", "ca.pem"];
    fails_in(folder.path(), &show, 1, "not a readable tar archive");
    put(&folder.path().join("b.tar"), b"age-encryption.org/v1\n-> X25519 short\n");
    fails_in(folder.path(), &verify, 1, "expected --identity with a responder's key");
    fails_in(
        folder.path(),
        &["evidence", "verify", "x", "--device-ca", "ca.pem"],
        1,
        "cannot read x",
    );
    fails_in(folder.path(), &["evidence", "verify", "."], 2, "--device-ca <FILE>");
}
