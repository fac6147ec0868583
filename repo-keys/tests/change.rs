//! Changes of keys through the command line as people type it: what is planned, who can sign it,
//! and what is never assembled.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a failed unwrap in a test is a failed test; clippy sees helpers as no test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys::cli::Cli;
use lazaret_repo_keys::error::StepError;

struct Desk {
    folder: tempfile::TempDir,
}

/// alice, bob and carol hold everything 2 of 3; dora has a key and no role; gw2 has one release.
///
/// Every test runs in a process of its own, and deriving a dozen keys takes seconds: the ceremony
/// is held once per build of this suite, and each test gets a copy.
fn desk() -> Desk {
    let own = std::env::current_exe().unwrap();
    let built = fs::metadata(&own).unwrap().modified().unwrap();
    let stamp = built.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("change-{stamp}"));
    if !shared.exists() {
        let made = hold();
        // Whoever is second finds a whole folder there, and leaves its own.
        let _second = fs::rename(made.keep(), &shared);
    }
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    copy(&shared, desk.folder.path());
    desk
}

fn hold() -> tempfile::TempDir {
    let desk = Desk { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
    fs::write(desk.path("pass"), "a long passphrase\n").unwrap();
    fs::write(desk.path("image"), "image one").unwrap();
    desk.ok("ceremony --out @repo --model gw2 --model gw3");
    desk.ok("key create --holder dora --out @repo/holders/dora.key");
    desk.ok("online create --out @online-2");
    desk.ok(
        "payload release --model gw2 --version 1.0 --image @image --counter 1 --out @r.payload",
    );
    for name in ["alice", "bob"] {
        desk.ok(&format!(
            "sign --payload @r.payload --key @repo/holders/{name}.key --image gw2/1.0=@image \
             --targets @repo/metadata/1.targets.json --out @r.{name}.sig"
        ));
    }
    desk.ok("assemble --payload @r.payload --sig @r.alice.sig --sig @r.bob.sig \
         --targets @repo/metadata/1.targets.json --out-dir @repo/metadata");
    desk.folder
}

/// Copies files with their modes, which are what keeps a private key readable.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a line in which `@name` is a path on this desk.
    fn run(&self, line: &str) -> Result<(), StepError> {
        let folder = format!("{}/", self.folder.path().display());
        let words = line.split_whitespace().map(|word| word.replace('@', &folder));
        let program = ["lazaret-keys".to_owned()].into_iter();
        let cli = Cli::try_parse_from(program.chain(words)).unwrap();
        let mut session = cli.session(Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap());
        session.voice = lazaret_repo_keys::session::Voice::Quiet;
        session.passphrase_file = Some(self.path("pass"));
        session.transcript = Some(self.path("transcript.txt"));
        cli.run(&session)
    }

    fn ok(&self, line: &str) {
        self.run(line).unwrap_or_else(|err| panic!("{line}: {}", err.in_full()));
    }

    fn code(&self, line: &str) -> &'static str {
        self.run(line).unwrap_err().code()
    }

    /// Plans a change in the folder `name`.
    fn plan(&self, name: &str, wishes: &str) {
        self.ok(&format!("change plan --metadata @repo/metadata {wishes} --out @{name}"));
    }

    fn sign(&self, name: &str, holder: &str) -> Result<(), StepError> {
        self.run(&format!(
            "change sign --change @{name} --key @repo/holders/{holder}.key \
             --trusted-root @repo/metadata/1.root.json --out-dir @{name}-sigs"
        ))
    }

    fn assemble(&self, name: &str) -> Result<(), StepError> {
        let line = "change assemble --change @NAME --signatures @NAME-sigs --out-dir @NAME-signed";
        self.run(&line.replace("NAME", name))
    }

    fn files(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_holder_is_replaced_in_every_role_by_people_who_never_meet() {
    let desk = desk();
    let replace =
        |role: &str| format!("--replace {role}=@repo/holders/carol.pub:@repo/holders/dora.pub ");
    let wishes: String = ["root", "targets", "rel-gw2", "emergency"].map(replace).concat();
    desk.plan("replace", &format!("--holders @repo/holders {wishes}"));
    let planned: Vec<String> =
        desk.files("replace").into_iter().filter(|name| name.ends_with(".payload")).collect();
    // The emergency role has never spoken, so there is nothing of it to sign again.
    assert_eq!(planned, ["2.rel-gw2.payload", "2.root.payload", "2.targets.payload"]);

    desk.sign("replace", "alice").unwrap();
    assert_eq!(desk.assemble("replace").unwrap_err().code(), "incomplete");
    assert!(!desk.path("replace-signed").exists());
    desk.sign("replace", "dora").unwrap();
    // dora counts for the new root and not for the old one.
    let refused = desk.assemble("replace").unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("root needs 1 more of") && refused.contains("bob"), "{refused}");
    desk.sign("replace", "carol").unwrap();
    desk.assemble("replace").unwrap();
    let signed = ["2.rel-gw2.json", "2.root.json", "2.targets.json"];
    assert_eq!(desk.files("replace-signed"), signed);
}

#[test]
fn a_raised_threshold_is_met_by_the_old_holders_and_by_the_new_number() {
    let desk = desk();
    desk.plan("raise", "--threshold root=3");
    for holder in ["alice", "bob"] {
        desk.sign("raise", holder).unwrap();
    }
    assert_eq!(desk.assemble("raise").unwrap_err().code(), "incomplete");
    desk.sign("raise", "carol").unwrap();
    desk.assemble("raise").unwrap();
    assert_eq!(desk.files("raise-signed"), ["2.root.json"]);
}

#[test]
fn a_key_without_a_role_in_a_change_signs_nothing() {
    let desk = desk();
    desk.plan("stranger", "--renew root");
    assert_eq!(desk.sign("stranger", "dora").unwrap_err().code(), "not-listed");
}

#[test]
fn a_stolen_server_is_replaced_in_root_and_targets_at_once() {
    let desk = desk();
    desk.plan("stolen", "--online @online-2/online.pub.json");
    let files = desk.files("stolen");
    let planned: Vec<&String> = files.iter().filter(|name| name.ends_with(".payload")).collect();
    assert_eq!(planned, ["2.root.payload", "2.targets.payload"]);
}

#[test]
fn a_model_is_added_without_any_other_role_being_signed_again() {
    let desk = desk();
    desk.plan("model", "--add-model gw4=@repo/holders/alice.pub,@repo/holders/dora.pub:2");
    let files = desk.files("model");
    let planned: Vec<&String> = files.iter().filter(|name| name.ends_with(".payload")).collect();
    assert_eq!(planned, ["2.targets.payload"]);
    for holder in ["bob", "carol"] {
        desk.sign("model", holder).unwrap();
    }
    desk.assemble("model").unwrap();
}

#[test]
fn a_rehearsal_writes_nothing() {
    let desk = desk();
    desk.ok(
        "change plan --metadata @repo/metadata --threshold targets=3 --out @rehearsed --dry-run",
    );
    assert!(!desk.path("rehearsed").exists());
    desk.plan("dry", "--renew targets");
    desk.ok("change sign --change @dry --key @nobody.key --out-dir @dry-sigs --dry-run");
    assert!(!desk.path("dry-sigs").exists());
    for holder in ["alice", "carol"] {
        desk.sign("dry", holder).unwrap();
    }
    desk.ok("change assemble --change @dry --signatures @dry-sigs --out-dir @dry-signed --dry-run");
    assert!(!desk.path("dry-signed").exists());
}

#[test]
fn wishes_that_cannot_be_are_misuse() {
    let desk = desk();
    for wishes in [
        "",
        "--remove root=@repo/holders/dora.pub",
        "--add root=@repo/holders/alice.pub",
        "--threshold root=4",
        "--threshold root=0",
        "--threshold rel-gw9=2",
        "--add-model gw2=@repo/holders/alice.pub:1",
        "--add-model emergency=@repo/holders/alice.pub:1",
        "--drop-model gw9",
        "--renew rel-gw3",
        "--remove root=@repo/holders/alice.pub --remove root=@repo/holders/bob.pub",
    ] {
        let line = format!("change plan --metadata @repo/metadata {wishes} --dry-run");
        assert_eq!(desk.code(&line), "misuse", "{wishes}");
    }
}

/// A server that hands out a change could slip an image into the role that is signed again.
#[test]
fn a_change_that_brings_a_new_image_is_not_signed() {
    let desk = desk();
    desk.plan("smuggled", "--renew rel-gw2");
    fs::write(desk.path("evil"), "evil").unwrap();
    desk.ok("payload release --model gw2 --version 2.0 --image @evil --counter 2 \
         --previous @repo/metadata/1.rel-gw2.json --out @evil.payload");
    fs::copy(desk.path("evil.payload"), desk.path("smuggled/2.rel-gw2.payload")).unwrap();
    assert_eq!(desk.sign("smuggled", "alice").unwrap_err().code(), "wrong-file");
}

#[test]
fn a_change_on_another_root_than_the_holders_own_is_not_signed() {
    let desk = desk();
    desk.plan("foreign", "--renew root");
    desk.ok("ceremony --out @other --model gw2");
    let line = "change sign --change @foreign --key @repo/holders/alice.key \
                --trusted-root @other/metadata/1.root.json --out-dir @foreign-sigs";
    assert_eq!(desk.code(line), "wrong-file");
}

#[test]
fn an_emergency_names_an_image_that_was_signed_and_nothing_else() {
    let desk = desk();
    let release = "--release @repo/metadata/1.rel-gw2.json --reason CVE-2026-1";
    let line = |image: &str, out: &str| {
        format!("payload emergency --image {image} {release} --valid-hours 24 --out @{out}")
    };
    assert_eq!(desk.code(&line("gw2/9.9", "none.payload")), "image-missing");
    assert_eq!(desk.code(&line("gw3/1.0", "none.payload")), "image-missing");
    desk.ok(&line("gw2/1.0", "e.payload"));
    let sign = "sign --payload @e.payload --key @repo/holders/alice.key \
                --targets @repo/metadata/1.targets.json --out @e.alice.sig";
    assert_eq!(desk.code(sign), "image-missing");
    for name in ["alice", "bob"] {
        let line = sign.replace("alice", name);
        desk.ok(&format!("{line} --release @repo/metadata/1.rel-gw2.json"));
    }
    desk.ok("assemble --payload @e.payload --sig @e.alice.sig --sig @e.bob.sig \
         --targets @repo/metadata/1.targets.json --out-dir @emergency");
    assert_eq!(desk.files("emergency"), ["1.emergency.json"]);
    desk.ok("inspect @emergency/1.emergency.json");
    desk.ok("payload emergency --withdraw gw2/1.0 --previous @emergency/1.emergency.json \
         --out @withdrawn.payload");
    desk.ok("inspect @withdrawn.payload");
}
