//! A bundle as a verifier reads it, and its upload over connections that break.

use std::collections::BTreeMap;
use std::io::Read as _;

use lazaret_agent_core::journal::Journal;
use lazaret_protocol::enroll::EnrollReply;
use lazaret_protocol_evidence::log::{Detail, verify_log};

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::forensic_log::ForensicLog;
use crate::slots::BOOTLOADERS;
use crate::test_server::{Answers, Server};

struct Made {
    folder: tempfile::TempDir,
    key: DeviceKey,
    bundle: BundleId,
}

fn make_one() -> Made {
    let folder = tempfile::tempdir().unwrap();
    let text = "server = \"https://localhost:1\"\nserver_ca = \"c\"\ntuf_root = \"r\"\n\
                state_dir = \"state\"\nslots_dir = \"slots\"\nmodel = \"m\"\nserial = \"s\"\n\
                allow_software_keys = true\n";
    let config = Config::parse(text, folder.path()).unwrap();
    let durable = Durable::default();
    let slots = BOOTLOADERS[0].1(&config.slots, durable.clone()).unwrap();
    let key = DeviceKey::load_or_make(&config.state_dir, &durable).unwrap();
    let certificate = Certificate {
        reply: EnrollReply {
            device: "d-1".parse().unwrap(),
            certificate_chain: "-----BEGIN CERTIFICATE-----\n".into(),
            not_after: Timestamp::from_ms(1),
        },
        not_before: Timestamp::from_ms(0),
    };
    let clock = Clock::new(Timestamp::from_ms(0));
    let log_path = config.state_dir.join("log.jsonl");
    let device = certificate.device();
    let mut log = ForensicLog::open(&log_path, device, 1 << 20, clock, durable.clone()).unwrap();
    log.append("started", Detail::none()).unwrap();
    let journal = Journal::fresh();
    let scene = Scene { journal: &journal, slots: slots.as_ref(), config: &config };
    let bundle: BundleId = "b-1".parse().unwrap();
    let witness = || Witness {
        key: &key,
        certificate: &certificate,
        log_head: log.head().clone(),
        log: log.bytes().unwrap(),
        now: Timestamp::from_ms(1_700_000_000_000),
    };
    make(&bundle, &scene, witness(), &durable).unwrap();
    let before = std::fs::read(path(&config.state_dir, &bundle)).unwrap();
    make(&bundle, &scene, witness(), &durable).unwrap();
    assert_eq!(std::fs::read(path(&config.state_dir, &bundle)).unwrap(), before, "made twice");
    Made { folder, key, bundle }
}

#[test]
fn the_manifest_names_every_file_of_the_bundle_with_its_digest() {
    let made = make_one();
    let state_dir = made.folder.path().join("state");
    let mut archive = tar::Archive::new(File::open(path(&state_dir, &made.bundle)).unwrap());
    let mut files = BTreeMap::new();
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        names.push(name.clone());
        files.insert(name, bytes);
    }
    assert_eq!(names[..3], [MANIFEST_FILE, DEVICE_FILE, LOG_FILE]);
    let manifest = Manifest::open(&files[MANIFEST_FILE], &made.key.public()).unwrap();
    let listed = manifest.files();
    assert_eq!(listed.len() + 1, files.len());
    for (name, digest) in listed {
        assert_eq!(Sha256Digest::of(&files[&name]), digest, "{name}");
    }
    let log = verify_log(&"d-1".parse().unwrap(), &files[LOG_FILE]).unwrap();
    assert_eq!(log.head, manifest.log_head);
}

#[test]
fn an_upload_that_breaks_goes_on_where_the_server_has_it() {
    let made = make_one();
    let state_dir = made.folder.path().join("state");
    // Larger than one chunk, as no small test machine's artifacts are.
    let bundle_path = path(&state_dir, &made.bundle);
    let file = std::fs::OpenOptions::new().write(true).open(&bundle_path).unwrap();
    file.set_len(5 << 19).unwrap();
    let bytes = std::fs::read(&bundle_path).unwrap();
    let server = Server::start(Answers { break_after: Some(1 << 20), ..Answers::default() });
    assert!(upload(&state_dir, &made.bundle, &server.transport, &|| false).is_err());
    server.answers.lock().unwrap().break_after = None;
    let paused = upload(&state_dir, &made.bundle, &server.transport, &|| true);
    assert!(matches!(paused, Ok(Upload::Paused | Upload::Complete)), "{paused:?}");
    let done = upload(&state_dir, &made.bundle, &server.transport, &|| false).unwrap();
    assert_eq!(done, Upload::Complete);
    let answers = server.answers.lock().unwrap();
    assert!(answers.evidence == bytes);
    assert_eq!(answers.evidence_digest, Some(Sha256Digest::of(&bytes).to_string()));
}
