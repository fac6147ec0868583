//! A device's forensic log and the parts of its bundles: written by a device that may be hostile,
//! read by the server and by the responder's tools.

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::DeviceId;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::bundle::{FileFound, Parts, Signer, verify};
use lazaret_protocol_evidence::log;
use lazaret_protocol_evidence::manifest::Manifest;

use crate::signer;

const DEVICE: &str = "d-1";
/// Parts the manifest from the log.
const PARTED_BY: u8 = 0xff;

fn device() -> DeviceId {
    DEVICE.parse().expect("a device id")
}

pub(crate) fn log(input: &[u8]) {
    let device = device();
    let whole = log::verify_log(&device, input);
    let recovered = log::recover(&device, input);
    if let Ok(recovered) = recovered {
        let good = input.get(..recovered.good_length).expect("a prefix of the log");
        let again = log::verify_log(&device, good).expect("what is recovered is whole");
        assert_eq!(again.head, recovered.head, "the same log has the same head");
    } else {
        assert!(whole.is_err(), "a log that cannot be recovered is no whole log");
    }
}

pub(crate) fn bundle(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == PARTED_BY);
    let (manifest, log) = (parts.next().unwrap_or_default(), parts.next());
    read_bundle(manifest, log);
    // The same as the device's own statement.
    let sealed = signer::envelope("application/vnd.in-toto+json", manifest);
    let sealed = lazaret_protocol::canonical::to_bytes(&sealed).unwrap_or_default();
    read_bundle(&sealed, log);
}

fn read_bundle(manifest: &[u8], log: Option<&[u8]>) {
    let key = signer::public_key();
    if let Ok(manifest) = Manifest::open(manifest, &key) {
        let _files = manifest.files();
    }
    let at = |text| Timestamp::parse_rfc3339(text).expect("a date");
    let signer = Signer {
        device: device(),
        key,
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2027-01-01T00:00:00Z"),
    };
    let file = FileFound { name: "artifacts/a".into(), sha256: Sha256Digest::of(b"a"), length: 1 };
    let verdict = verify(&Parts {
        manifest: Some(manifest),
        log,
        files: core::slice::from_ref(&file),
        signer: Ok(signer),
    });
    assert!(!verdict.holds() || verdict.manifest.is_some(), "a verdict without a manifest holds");
}

pub(crate) fn log_seeds() -> Vec<Vec<u8>> {
    let mut chain = log::Chain::new(&device());
    let mut lines = Vec::new();
    for boot in 1..4 {
        let entry = log::Entry {
            at: Timestamp::parse_rfc3339("2026-11-01T00:00:00Z").expect("a date"),
            clock: log::Clock::Authenticated,
            boot,
            kind: log::Kind::try_from("agent-started".to_string()).expect("a kind"),
            detail: log::Detail::none().text("why", "because").number("n", boot),
        };
        let Ok(appended) = chain.append(entry) else { break };
        chain.advance(&appended);
        lines.extend_from_slice(&appended.line);
    }
    vec![lines, Vec::new()]
}

pub(crate) fn bundle_seeds() -> Vec<Vec<u8>> {
    let log = log_seeds().into_iter().next().unwrap_or_default();
    vec![[b"{}".as_slice(), &log].join(&PARTED_BY)]
}
