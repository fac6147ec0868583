//! A bundle as the responder's programs read it, and its upload over connections that break.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::process::Command;

use lazaret_agent_core::journal::Journal;
use lazaret_protocol::enroll::EnrollReply;
use lazaret_protocol::order::Wanted;
use lazaret_protocol_evidence::log::Detail;
use lazaret_protocol_evidence::manifest::ArtifactStatus;

use super::*;
use crate::artifacts::budget::Budget;
use crate::artifacts::profile::Profile;
use crate::clock::Clock;
use crate::config::Config;
use crate::forensic_log::Settings;
use crate::slots::{BOOTLOADERS, Bootloader};
use crate::test_server::{Answers, Server, order_key};

struct World {
    folder: tempfile::TempDir,
    config: Config,
    key: DeviceKey,
    slots: Box<dyn Bootloader>,
    bundle: BundleId,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
                    state_dir = \"state\"\nslots_dir = \"slots\"\nmodel = \"m\"\nserial = \"s\"\n\
                    allow_software_keys = true\n";
        let config = Config::parse(text, folder.path()).unwrap();
        let durable = Durable::default();
        let slots = BOOTLOADERS[0].1(&config.slots, durable.clone()).unwrap();
        let key = DeviceKey::load_or_make(&config.state_dir, &durable).unwrap();
        Self { folder, config, key, slots, bundle: "b-1".parse().unwrap() }
    }

    fn make(&self, responders: &[String]) -> Result<(), BundleError> {
        let reply = EnrollReply {
            device: "d-1".parse().unwrap(),
            certificate_chain: "-----BEGIN CERTIFICATE-----\n".into(),
            not_after: Timestamp::from_ms(1),
        };
        let certificate = Certificate { reply, not_before: Timestamp::from_ms(0) };
        let clock = Clock::new(Timestamp::from_ms(0));
        let settings = Settings {
            state_dir: &self.config.state_dir,
            device: certificate.device(),
            bytes_max: 1 << 20,
            boot: 1,
        };
        let vouch = |bytes: &[u8]| self.key.sign(bytes);
        let mut log = ForensicLog::open(&settings, clock, Durable::default(), &vouch).unwrap();
        log.append("started", Detail::none()).unwrap();
        let journal = Journal::fresh();
        let (profile, wanted) = (Profile::find(&[], None).unwrap(), Wanted::default());
        let budget = Budget::begin(Clock::new(Timestamp::from_ms(0)), profile.limits, None);
        let scene = Scene {
            journal: &journal,
            slots: self.slots.as_ref(),
            config: &self.config,
            profile: &profile,
            wanted: &wanted,
            now: Timestamp::from_ms(1_700_000_000_000),
            budget,
            survey: OnceCell::new(),
        };
        let witness = Witness {
            key: &self.key,
            certificate: &certificate,
            boot: 1,
            now: Timestamp::from_ms(1_700_000_000_000),
            responders,
        };
        make(&self.bundle, &scene, (&mut log, &witness), &Durable::default())
    }

    fn path(&self) -> PathBuf {
        path(&self.config.state_dir, &self.bundle)
    }

    /// A key pair by age-keygen: where its secret lies, and its recipient.
    fn responder(&self, name: &str) -> (PathBuf, String) {
        let secret = self.folder.path().join(name);
        ran(Command::new("age-keygen").arg("-o").arg(&secret));
        let public = ran(Command::new("age-keygen").arg("-y").arg(&secret));
        (secret, String::from_utf8(public).unwrap().trim().to_owned())
    }

    /// The files of the bundle, by age, zstd and tar.
    fn opened_with(&self, secret: &Path) -> BTreeMap<String, Vec<u8>> {
        let clear = self.folder.path().join("clear");
        let _ = std::fs::remove_dir_all(&clear);
        std::fs::create_dir(&clear).unwrap();
        let packed = self.folder.path().join("clear.tar.zst");
        ran(Command::new("age")
            .arg("-d")
            .arg("-i")
            .arg(secret)
            .arg("-o")
            .arg(&packed)
            .arg(self.path()));
        ran(Command::new("tar").arg("--zstd").arg("-xf").arg(&packed).arg("-C").arg(&clear));
        ran(Command::new("sha256sum")
            .arg("-c")
            .arg("--strict")
            .arg("SHA256SUMS")
            .current_dir(&clear));
        let mut files = BTreeMap::new();
        for path in files_below(&clear) {
            let name = path.strip_prefix(&clear).unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
        files
    }
}

fn ran(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|err| panic!("{command:?}: {err}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn each_responder_opens_the_bundle_with_age_tar_zstd_and_sha256sum() {
    let world = World::new();
    let (first, one) = world.responder("one");
    let (second, two) = world.responder("two");
    let (stranger, _) = world.responder("stranger");
    world.make(&[one, "age1nonsense".into(), two]).unwrap();
    let files = world.opened_with(&first);
    assert_eq!(files, world.opened_with(&second));
    let manifest = Manifest::open(&files[MANIFEST_FILE], &world.key.public()).unwrap();
    for (name, digest) in manifest.files() {
        assert_eq!(Sha256Digest::of(&files[&name]), digest, "{name}");
    }
    assert!(manifest.artifacts.iter().any(|it| it.status == ArtifactStatus::Collected));
    assert!(String::from_utf8_lossy(&files[TIMELINE_FILE]).contains("\"kind\":\"started\""));
    let refused = Command::new("age").arg("-d").arg("-i").arg(stranger).arg(world.path()).output();
    assert!(!refused.unwrap().status.success());
}

#[test]
fn nothing_of_a_bundle_is_on_the_disk_in_the_clear_and_none_is_made_for_nobody() {
    let world = World::new();
    let refused = world.make(&["nobody".into()]);
    assert!(matches!(refused, Err(BundleError::NoRecipient)), "{refused:?}");
    let (_, one) = world.responder("one");
    world.make(std::slice::from_ref(&one)).unwrap();
    let before = std::fs::read(world.path()).unwrap();
    world.make(std::slice::from_ref(&one)).unwrap();
    assert_eq!(std::fs::read(world.path()).unwrap(), before, "it is made once");
    let names = files_below(&world.config.state_dir.join("bundles"));
    assert_eq!(names, [world.path()]);
    assert!(before.starts_with(b"age-encryption.org/v1\n-> X25519 "));
}

#[test]
fn a_bundle_beyond_its_limit_leaves_nothing_behind() {
    let mut world = World::new();
    world.config.bundle_bytes_max = 2000;
    let (_, one) = world.responder("one");
    let refused = world.make(&[one]);
    assert!(matches!(refused, Err(BundleError::TooLarge { max: 2000 })), "{refused:?}");
    assert_eq!(files_below(&world.config.state_dir.join("bundles")), Vec::<PathBuf>::new());
}

#[test]
fn the_same_content_makes_the_same_archive() {
    let files = [
        ("a".to_owned(), Content::Bytes(b"one".to_vec())),
        ("b".to_owned(), Content::Bytes(vec![0; 5000])),
    ];
    let pack = || content::pack(&files, 1_700_000_000, Vec::new()).unwrap();
    assert_eq!(pack(), pack());
}

#[test]
fn chunks_of_every_length_are_opened_by_age() {
    let world = World::new();
    let (secret, one) = world.responder("one");
    let recipients = [one.parse().unwrap()];
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let clear: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut encryptor = Encryptor::begin(Vec::new(), &recipients).unwrap();
        encryptor.write_all(&clear).unwrap();
        let path = world.folder.path().join("file.age");
        put(&path, &encryptor.finish().unwrap());
        let opened = ran(Command::new("age").arg("-d").arg("-i").arg(&secret).arg(&path));
        assert!(opened == clear, "{length} bytes");
    }
}

fn keys() -> Vec<PublicKey> {
    vec![PublicKey::Ed25519(order_key().verifying_key().to_bytes().to_vec())]
}

/// A bundle of that size, whatever is in it.
fn world_with(length: u64) -> (World, Vec<u8>) {
    let world = World::new();
    std::fs::create_dir_all(world.path().parent().unwrap()).unwrap();
    let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 249).unwrap()).collect();
    put(&world.path(), &bytes);
    (world, bytes)
}

#[test]
fn an_upload_that_breaks_goes_on_where_the_server_has_it_until_there_is_a_receipt() {
    let (world, bytes) = world_with(5 << 19);
    let (state_dir, mut link) = (&world.config.state_dir, Link::default());
    let server = Server::start(Answers { break_after: Some(1 << 20), ..Answers::default() });
    let mut go_on = |keys: &[PublicKey], time_is_up: &dyn Fn() -> bool| {
        upload(state_dir, &world.bundle, (&server.transport, &mut link), keys, time_is_up)
    };
    assert!(go_on(&keys(), &|| false).is_err());
    server.answers.lock().unwrap().break_after = None;
    assert_eq!(go_on(&keys(), &|| true).unwrap(), Upload::Paused);
    let strangers = [PublicKey::Ed25519(vec![3; 32])];
    let refused = go_on(&strangers, &|| false);
    assert!(matches!(refused, Err(BundleError::NoReceipt { .. })), "{refused:?}");
    // All of it is there; the receipt is asked for once more.
    let Upload::Complete(receipt) = go_on(&keys(), &|| false).unwrap() else { panic!() };
    assert_eq!((receipt.sha256, receipt.length), (Sha256Digest::of(&bytes), 5 << 19));
    assert!(server.answers.lock().unwrap().evidence == bytes);
}

#[test]
fn pieces_follow_what_the_link_lets_through() {
    let mut link = Link::default();
    let mut sent = 0_u64;
    let mut wasted = 0_u64;
    // A link that drops everything after 300 kB, again and again.
    for _ in 0..50 {
        let mut run = 0;
        while run + link.piece() <= 300_000 {
            run += link.piece();
            link.through(link.piece());
        }
        wasted += 300_000 - run;
        sent += run;
        assert!(link.broke());
    }
    assert!(wasted * 20 < sent, "{wasted} bytes lost of {sent}");
    // A link that is broken before anything comes through makes no progress, and says so.
    assert!(!link.broke());
    let mut good = Link::default();
    (0..200).for_each(|_| good.through(good.piece()));
    assert!(good.piece() > 500_000, "{}", good.piece());
}

fn put(path: &Path, bytes: &[u8]) {
    Durable::default().write(path, bytes, crate::durable::Access::Owner, "anchors").unwrap();
}
