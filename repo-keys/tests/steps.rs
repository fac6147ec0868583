//! The detached steps through the library: who may sign what, and what nobody gets signed.
#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap in a test is a failed test; clippy sees helpers as no test"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lazaret_protocol::time::Timestamp;
use lazaret_repo_keys::commands::payload::{Release, Rollout};
use lazaret_repo_keys::commands::sign::{self, ImageArg};
use lazaret_repo_keys::commands::{assemble, ceremony, payload};
use lazaret_repo_keys::error::StepError;
use lazaret_repo_keys::session::{Session, Voice};

/// One test's desk, and the ceremony that all tests of this run share.
struct Ceremony {
    folder: tempfile::TempDir,
}

fn shared() -> &'static tempfile::TempDir {
    static SHARED: OnceLock<tempfile::TempDir> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("pass"), b"a long passphrase\n");
        let args = ceremony::Ceremony {
            out: folder.path().join("repo"),
            holders: ["alice", "bob", "carol"].map(|name| name.parse().unwrap()).to_vec(),
            threshold: 2,
            models: vec!["gw2".parse().unwrap()],
            name: "Acme".to_owned(),
            responders: Vec::new(),
            approvers: Vec::new(),
            approver_threshold: 2,
        };
        let mut session = session(folder.path());
        session.transcript = None;
        ceremony::run(&session, &args).unwrap();
        folder
    })
}

fn session(folder: &Path) -> Session {
    Session {
        voice: Voice::Quiet,
        now: Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap(),
        transcript: Some(folder.join("transcript.txt")),
        passphrase_file: Some(folder.join("pass")),
        pin_fd: None,
    }
}

fn write(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

type Outcome = Result<PathBuf, StepError>;

impl Ceremony {
    fn held() -> Self {
        let ceremony = Self { folder: tempfile::tempdir().unwrap() };
        ceremony.write("pass", b"a long passphrase\n");
        ceremony.write("image1", b"image one");
        ceremony.write("image2", b"image two");
        ceremony
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = if name.starts_with("repo/") { shared() } else { &self.folder };
        folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        write(&self.path(name), bytes);
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn session(&self) -> Session {
        session(self.folder.path())
    }

    fn release(&self, release: (&str, u64), image: &str, previous: Option<&Path>) -> Outcome {
        let (version, counter) = release;
        let out = self.path(&format!("{version}-{counter}.payload"));
        let args = Release {
            model: "gw2".parse().unwrap(),
            version: version.parse().unwrap(),
            image: self.path(image),
            counter,
            floor: None,
            needs: None,
            schedule: None,
            salt: None,
            previous: previous.map(Path::to_path_buf),
            keep_releases: 4,
            expires_days: 120,
            out: out.clone(),
        };
        payload::run(&self.session(), &payload::Command::Release(args)).map(|()| out)
    }

    fn sign(
        &self,
        holder: &str,
        payload: &Path,
        image: Option<(&str, &str)>,
        previous: Option<&Path>,
    ) -> Outcome {
        let out = payload.with_extension(format!("{holder}.sig"));
        let image = image.map(|(version, file)| ImageArg {
            model: "gw2".parse().unwrap(),
            version: version.parse().unwrap(),
            file: self.path(file),
        });
        let args = sign::Sign {
            payload: payload.to_path_buf(),
            key: self.path(&format!("repo/holders/{holder}.key")).display().to_string().into(),
            previous: previous.map(Path::to_path_buf),
            root: Some(self.path("repo/metadata/1.root.json")),
            targets: Some(self.path("repo/metadata/1.targets.json")),
            images: image.into_iter().collect(),
            releases: Vec::new(),
            out: out.clone(),
        };
        sign::run(&self.session(), &args).map(|()| out)
    }

    fn assemble(&self, payload: &Path, signatures: &[&Path]) -> Outcome {
        let args = assemble::Assemble {
            payload: payload.to_path_buf(),
            signatures: signatures.iter().map(|path| path.to_path_buf()).collect(),
            root: Some(self.path("repo/metadata/1.root.json")),
            targets: Some(self.path("repo/metadata/1.targets.json")),
            out_dir: self.path("signed"),
        };
        assemble::run(&self.session(), &args)
    }
}

fn code(outcome: Outcome) -> &'static str {
    outcome.unwrap_err().code()
}

#[test]
fn two_of_three_sign_two_releases_and_one_alone_signs_none() {
    let held = Ceremony::held();
    let first = held.release(("1.0", 1), "image1", None).unwrap();
    let alice = held.sign("alice", &first, Some(("1.0", "image1")), None).unwrap();
    let carol = held.sign("carol", &first, Some(("1.0", "image1")), None).unwrap();
    assert_eq!(code(held.assemble(&first, &[&alice])), "threshold-not-met");
    assert_eq!(code(held.assemble(&first, &[&alice, &alice])), "threshold-not-met");
    assert!(!held.path("signed/1.rel-gw2.json").exists());
    let one = held.assemble(&first, &[&alice, &carol]).unwrap();

    let second = held.release(("2.0", 2), "image2", Some(&one)).unwrap();
    let image = Some(("2.0", "image2"));
    let bob = held.sign("bob", &second, image, Some(&one)).unwrap();
    let carol = held.sign("carol", &second, image, Some(&one)).unwrap();
    let two = held.assemble(&second, &[&bob, &carol]).unwrap();
    assert!(two.ends_with("2.rel-gw2.json"));
    // The step may be run again; it finds its own work.
    assert_eq!(held.assemble(&second, &[&carol, &bob]).unwrap(), two);
}

#[test]
fn an_image_that_is_not_the_holders_own_is_not_signed() {
    let held = Ceremony::held();
    let payload = held.release(("1.0", 1), "image1", None).unwrap();
    let wrong = held.sign("alice", &payload, Some(("1.0", "image2")), None);
    assert_eq!(code(wrong), "hash-mismatch");
    assert_eq!(code(held.sign("alice", &payload, None, None)), "image-missing");
    assert!(!payload.with_extension("alice.sig").exists());
}

#[test]
fn a_payload_that_was_changed_on_its_way_is_refused() {
    let held = Ceremony::held();
    let payload = held.release(("1.0", 1), "image1", None).unwrap();
    let alice = held.sign("alice", &payload, Some(("1.0", "image1")), None).unwrap();
    let bob = held.sign("bob", &payload, Some(("1.0", "image1")), None).unwrap();
    let text = String::from_utf8(std::fs::read(&payload).unwrap()).unwrap();

    held.write("floor.payload", text.replace(r#""floor":0"#, r#""floor":1"#).as_bytes());
    let changed = held.assemble(&held.path("floor.payload"), &[&alice, &bob]);
    assert_eq!(code(changed), "bad-signature");
    // What no plan shows, nobody signs: an unknown field, and a second spelling of the same.
    let unknown = text.replacen('{', r#"{"0extra":1,"#, 1);
    held.write("unknown.payload", unknown.as_bytes());
    let refused = held.sign("alice", &held.path("unknown.payload"), Some(("1.0", "image1")), None);
    assert_eq!(code(refused), "unshowable");
    held.write("spaced.payload", text.replacen(':', ": ", 1).as_bytes());
    let refused = held.sign("alice", &held.path("spaced.payload"), Some(("1.0", "image1")), None);
    assert_eq!(code(refused), "metadata");
    // An unknown field within what the application says.
    let custom = text.replace(r#""floor":0"#, r#""extra":1,"floor":0"#);
    assert_ne!(custom, text);
    held.write("custom.payload", custom.as_bytes());
    let refused = held.sign("alice", &held.path("custom.payload"), Some(("1.0", "image1")), None);
    assert_eq!(code(refused), "unshowable");
}

#[test]
fn a_signature_that_was_changed_names_its_holder() {
    let held = Ceremony::held();
    let payload = held.release(("1.0", 1), "image1", None).unwrap();
    let alice = held.sign("alice", &payload, Some(("1.0", "image1")), None).unwrap();
    let bob = held.sign("bob", &payload, Some(("1.0", "image1")), None).unwrap();
    let mut file: sign::SignatureFile =
        serde_json::from_slice(&std::fs::read(&bob).unwrap()).unwrap();
    file.sig.replace_range(0..2, if file.sig.starts_with("00") { "01" } else { "00" });
    held.write("bad.sig", &serde_json::to_vec(&file).unwrap());
    let refused = held.assemble(&payload, &[&alice, &held.path("bad.sig")]).unwrap_err();
    assert_eq!(refused.code(), "bad-signature");
    assert!(refused.to_string().contains("bob"), "{refused}");
}

#[test]
fn counters_and_version_names_are_never_used_twice() {
    let held = Ceremony::held();
    let first = held.release(("1.0", 5), "image1", None).unwrap();
    let image = Some(("1.0", "image1"));
    let alice = held.sign("alice", &first, image, None).unwrap();
    let bob = held.sign("bob", &first, image, None).unwrap();
    let one = held.assemble(&first, &[&alice, &bob]).unwrap();
    assert_eq!(code(held.release(("2.0", 5), "image2", Some(&one))), "counter-not-new");
    assert_eq!(code(held.release(("1.0", 6), "image2", Some(&one))), "version-taken");
}

#[test]
fn a_key_that_the_role_does_not_list_does_not_sign() {
    let held = Ceremony::held();
    let payload = held.release(("1.0", 1), "image1", None).unwrap();
    let mallory = lazaret_repo_keys::commands::key::Create {
        holder: "mallory".parse().unwrap(),
        out: held.path("repo/holders/mallory.key"),
        pkcs11: None,
        algorithm: None,
    };
    lazaret_repo_keys::commands::key::create(&held.session(), &mallory).unwrap();
    let refused = held.sign("mallory", &payload, Some(("1.0", "image1")), None);
    assert_eq!(code(refused), "not-listed");
}

#[test]
fn a_later_version_is_not_signed_without_the_one_before() {
    let held = Ceremony::held();
    let first = held.release(("1.0", 1), "image1", None).unwrap();
    let image = Some(("1.0", "image1"));
    let alice = held.sign("alice", &first, image, None).unwrap();
    let bob = held.sign("bob", &first, image, None).unwrap();
    let one = held.assemble(&first, &[&alice, &bob]).unwrap();
    let second = held.release(("2.0", 2), "image2", Some(&one)).unwrap();
    let blind = held.sign("alice", &second, Some(("2.0", "image2")), None);
    assert_eq!(blind.unwrap_err().exit_code(), 2);
    // A last version that nobody signed could hide an image as an old one.
    let mut forged = String::from_utf8(std::fs::read(&one).unwrap()).unwrap();
    forged = forged.replace(r#""floor":0"#, r#""floor":1"#);
    held.write("forged.json", forged.as_bytes());
    let refused =
        held.sign("alice", &second, Some(("2.0", "image2")), Some(&held.path("forged.json")));
    assert_eq!(code(refused), "threshold-not-met");
}

#[test]
fn the_same_inputs_give_the_same_payload() {
    let held = Ceremony::held();
    let one = held.release(("1.0", 1), "image1", None).unwrap();
    let first = std::fs::read(&one).unwrap();
    std::fs::remove_file(&one).unwrap();
    held.release(("1.0", 1), "image1", None).unwrap();
    assert_eq!(std::fs::read(&one).unwrap(), first);
    let again = lazaret_repo_keys::plan::Plan::read_payload(&first).unwrap();
    assert_eq!(again.payload().unwrap(), first);
}

#[test]
fn schedules_that_do_not_grow_are_misuse() {
    for bad in
        ["", "100", "1001@2026-11-23T00:00:00Z", "10@2026-11-23T00:00:00Z,10@2026-11-24T00:00:00Z"]
    {
        assert!(bad.parse::<Rollout>().is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn the_transcript_names_every_output_with_its_digest() {
    let held = Ceremony::held();
    let transcript = String::from_utf8(held.read("repo/transcript.txt")).unwrap();
    for name in ["1.root.json", "1.targets.json"] {
        let bytes = held.read(&format!("repo/metadata/{name}"));
        let digest = lazaret_protocol::digest::Sha256Digest::of(&bytes).to_string();
        assert!(transcript.contains(&digest), "{name} is not in the transcript");
    }
    assert!(!transcript.contains("PRIVATE"));
}
