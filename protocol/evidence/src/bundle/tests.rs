//! What a verdict must find, and whose doing it then says it is.

use super::*;
use crate::log::{Chain, Clock, Detail, Entry, Kind, LineFault};
use crate::manifest::{Artifact, ArtifactStatus, DEVICE_FILE, ManifestError};
use crate::verdict::Blame;
use core::convert::Infallible;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::poll::LogHead;
use lazaret_protocol::signed::EnvelopeError;
use lazaret_protocol::time::Timestamp;
use proptest::prelude::*;

/// A bundle as its files: what a responder holds.
#[derive(Debug, Clone)]
struct Held {
    manifest: Option<Vec<u8>>,
    log: Option<Vec<u8>>,
    files: Vec<(String, Vec<u8>)>,
    signer: Result<Signer, CertificateFault>,
}

impl Held {
    fn verdict(&self) -> Verdict {
        let found = |(name, bytes): &(String, Vec<u8>)| FileFound {
            name: name.clone(),
            sha256: Sha256Digest::of(bytes),
            length: bytes.len() as u64,
        };
        let files: Vec<FileFound> = self.files.iter().map(found).collect();
        verify(&Parts {
            manifest: self.manifest.as_deref(),
            log: self.log.as_deref(),
            files: &files,
            signer: self.signer.clone(),
        })
    }

    fn part(&mut self, part: usize) -> &mut Vec<u8> {
        let fixed = [self.manifest.as_mut().unwrap(), self.log.as_mut().unwrap()];
        let files = self.files.iter_mut().map(|(_, bytes)| bytes);
        fixed.into_iter().chain(files).nth(part).unwrap()
    }

    fn first(&self) -> Fault {
        self.verdict().first_fault().unwrap().clone()
    }
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn signer(seed: u8) -> Signer {
    let public = signing_key(seed).verifying_key().as_bytes().to_vec();
    Signer {
        device: "d-1".parse().unwrap(),
        key: PublicKey::Ed25519(public),
        not_before: Timestamp::from_ms(9),
        not_after: Timestamp::from_ms(10),
    }
}

fn log() -> (Vec<u8>, LogHead) {
    let mut chain = Chain::new(&"d-1".parse().unwrap());
    let mut bytes = Vec::new();
    for at in 0..3 {
        let appended = chain
            .append(Entry {
                at: Timestamp::from_ms(at),
                clock: Clock::Floor,
                boot: 1,
                kind: Kind::known("polled"),
                detail: Detail::none().number("n", at),
            })
            .unwrap();
        chain.advance(&appended);
        bytes.extend_from_slice(&appended.line);
    }
    (bytes, chain.head().clone())
}

fn manifest(log: &[u8], head: &LogHead) -> Manifest {
    let artifact = |name: &str, bytes: &[u8], status| Artifact {
        name: name.parse().unwrap(),
        status,
        length: bytes.len() as u64,
        sha256: Sha256Digest::of(bytes),
        reason: None,
    };
    Manifest {
        bundle: "b-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        collected_at: Timestamp::from_ms(9),
        log_head: head.clone(),
        reason: None,
        device_pem: Sha256Digest::of(b"pem"),
        log: Sha256Digest::of(log),
        artifacts: vec![
            artifact("processes", b"1 init", ArtifactStatus::Collected),
            artifact("sockets", b"no /proc/net", ArtifactStatus::Failed),
        ],
    }
}

fn held_with(manifest: &Manifest, log: Vec<u8>, seed: u8) -> Held {
    let sign = |bytes: &[u8]| Ok(signing_key(seed).sign(bytes).to_bytes().to_vec());
    let sealed = manifest.seal::<Infallible>(signer(seed).key.key_id(), sign).unwrap();
    Held {
        manifest: Some(sealed),
        log: Some(log),
        files: vec![
            (DEVICE_FILE.into(), b"pem".to_vec()),
            ("artifacts/processes".into(), b"1 init".to_vec()),
            ("artifacts/sockets.failed".into(), b"no /proc/net".to_vec()),
        ],
        signer: Ok(signer(1)),
    }
}

fn held() -> Held {
    let (log, head) = log();
    held_with(&manifest(&log, &head), log, 1)
}

#[test]
fn a_bundle_as_the_device_made_it_holds() {
    let verdict = held().verdict();
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.first_fault(), None);
    assert_eq!(verdict.records.len(), 3);
    assert_eq!(verdict.manifest.unwrap().bundle.as_str(), "b-1");
}

#[test]
fn a_certificate_that_proves_nothing_leaves_everything_unproved() {
    let fault = CertificateFault::Refused { why: "it chains to no CA".into() };
    let verdict = Held { signer: Err(fault.clone()), ..held() }.verdict();
    assert_eq!(verdict.first_fault(), Some(&Fault::Certificate(fault)));
    assert_eq!(verdict.first_fault().unwrap().blame(), Blame::Unproved);
    let unchecked = |check: &&Check| check.outcome == Outcome::NotChecked(CheckName::Certificate);
    assert_eq!(verdict.checks.iter().filter(unchecked).count(), 8);
    assert!(!verdict.holds() && verdict.manifest.is_none() && verdict.records.is_empty());
    let missing = Held { signer: Err(CertificateFault::Missing), ..held() }.first();
    assert_eq!(missing.blame(), Blame::Missing);
}

#[test]
fn a_manifest_signed_with_another_key_is_unproved() {
    let (log, head) = log();
    let verdict = held_with(&manifest(&log, &head), log, 2).verdict();
    assert!(matches!(
        verdict.first_fault(),
        Some(Fault::Manifest(ManifestError::Envelope(EnvelopeError::NotSigned { .. })))
    ));
    assert_eq!(verdict.first_fault().unwrap().blame(), Blame::Unproved);
    // The chain of the log can be looked at all the same.
    assert_eq!(verdict.checks[7].outcome, Outcome::Holds);
    assert_eq!(verdict.checks[8].outcome, Outcome::NotChecked(CheckName::Signature));
}

#[test]
fn a_missing_manifest_is_named() {
    let fault = Held { manifest: None, ..held() }.first();
    assert_eq!(fault, Fault::Missing { name: MANIFEST_FILE.into() });
    assert_eq!(fault.blame(), Blame::Missing);
}

#[test]
fn a_manifest_by_another_device_is_that_devices_doing() {
    let (log, head) = log();
    let other = Manifest { device: "d-2".parse().unwrap(), ..manifest(&log, &head) };
    let fault = held_with(&other, log, 1).first();
    let (certificate, manifest) = ("d-1".parse().unwrap(), "d-2".parse().unwrap());
    assert_eq!(fault, Fault::WrongDevice { certificate, manifest });
    assert_eq!(fault.blame(), Blame::Device);
}

#[test]
fn a_bundle_collected_while_the_certificate_was_not_valid_is_found() {
    for (at, holds) in [(8, false), (9, true), (10, true), (11, false)] {
        let (log, head) = log();
        let collected = Timestamp::from_ms(at);
        let manifest = Manifest { collected_at: collected, ..manifest(&log, &head) };
        let verdict = held_with(&manifest, log, 1).verdict();
        let (not_before, not_after) = (Timestamp::from_ms(9), Timestamp::from_ms(10));
        let fault = Fault::OutsideValidity { collected, not_before, not_after };
        assert_eq!(verdict.first_fault(), (!holds).then_some(&fault));
    }
}

#[test]
fn each_missing_file_is_named() {
    for place in 0..3 {
        let mut held = held();
        let (name, _) = held.files.remove(place);
        let fault = held.first();
        assert_eq!(fault, Fault::Missing { name });
        assert_eq!(fault.blame(), Blame::Missing);
    }
    let verdict = Held { log: None, ..held() }.verdict();
    assert_eq!(verdict.first_fault(), Some(&Fault::Missing { name: LOG_FILE.into() }));
    assert_eq!(verdict.checks[8].outcome, Outcome::NotChecked(CheckName::LogChain));
}

#[test]
fn each_added_file_is_named() {
    for name in ["artifacts/more", "artifacts/sockets", "manifest.dsse.json"] {
        let mut held = held();
        held.files.push((name.into(), b"x".to_vec()));
        let fault = held.first();
        assert_eq!(fault, Fault::Extra { name: name.into() });
        assert_eq!(fault.blame(), Blame::ChangedAfterSigning);
    }
}

#[test]
fn a_file_that_is_there_twice_is_named() {
    let mut held = held();
    held.files.push(held.files[1].clone());
    assert_eq!(held.first(), Fault::Twice { name: "artifacts/processes".into() });
    held.files.pop();
    held.files.push((LOG_FILE.into(), held.log.clone().unwrap()));
    assert_eq!(held.first(), Fault::Twice { name: LOG_FILE.into() });
}

#[test]
fn a_changed_file_is_named_with_both_digests() {
    let mut held = held();
    held.files[1].1 = b"2 init".to_vec();
    let fault = held.first();
    let expected = Sha256Digest::of(b"1 init");
    let got = Sha256Digest::of(b"2 init");
    assert_eq!(fault, Fault::Changed { name: "artifacts/processes".into(), expected, got });
    assert_eq!(fault.blame(), Blame::ChangedAfterSigning);
}

#[test]
fn a_length_that_the_device_got_wrong_is_the_devices_doing() {
    let (log, head) = log();
    let mut wrong = manifest(&log, &head);
    wrong.artifacts[0].length = 7;
    let fault = held_with(&wrong, log, 1).first();
    let name = "artifacts/processes".into();
    assert_eq!(fault, Fault::Length { name, expected: 7, got: 6 });
    assert_eq!(fault.blame(), Blame::Device);
}

#[test]
fn a_log_cut_after_signing_does_not_end_where_the_device_said() {
    let mut held = held();
    let log = held.log.as_mut().unwrap();
    let end = log[..log.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    log.truncate(end);
    let verdict = held.verdict();
    assert!(matches!(verdict.first_fault(), Some(Fault::Changed { name, .. }) if name == LOG_FILE));
    assert_eq!(verdict.checks[7].outcome, Outcome::Holds);
    assert!(matches!(
        &verdict.checks[8].outcome,
        Outcome::Fails(faults) if matches!(
            &faults[..],
            [Fault::WrongLogHead { since: Since::AfterSigning, got: LogHead { size: 2, .. }, .. }]
        )
    ));
}

#[test]
fn a_log_that_was_broken_or_cut_before_signing_is_the_devices_doing() {
    let (whole, head) = log();
    let second = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    let broken = whole[second..].to_vec();
    let fault = held_with(&manifest(&broken, &head), broken, 1).first();
    let line = LineFault::Sequence { expected: 1, got: 2 };
    let error = LogError::Line { line: 1, fault: line };
    assert_eq!(fault, Fault::LogBroken { fault: error, since: Since::Signing });
    assert_eq!(fault.blame(), Blame::Device);
    let cut = whole[..second].to_vec();
    let fault = held_with(&manifest(&cut, &head), cut, 1).first();
    assert!(matches!(&fault, Fault::WrongLogHead { since: Since::Signing, .. }));
    assert_eq!(fault.blame(), Blame::Device);
}

#[test]
fn a_broken_log_without_a_signature_is_nobodys_proved_doing() {
    let mut held = Held { manifest: None, ..held() };
    held.log.as_mut().unwrap()[20] ^= 1;
    let verdict = held.verdict();
    let Outcome::Fails(faults) = &verdict.checks[7].outcome else { panic!("{verdict:?}") };
    assert_eq!(faults[0].blame(), Blame::Unproved);
}

proptest! {
    #[test]
    fn any_changed_byte_of_any_part_is_found(
        part in 0usize..5, place in any::<proptest::sample::Index>(), by in 1u8..=255,
    ) {
        let mut held = held();
        let bytes = held.part(part);
        let place = place.index(bytes.len());
        bytes[place] ^= by;
        prop_assert!(!held.verdict().holds());
        prop_assert!(held.verdict().first_fault().is_some());
    }

    #[test]
    fn any_cut_of_any_part_is_found(part in 0usize..5, place in any::<proptest::sample::Index>()) {
        let mut held = held();
        let bytes = held.part(part);
        bytes.truncate(place.index(bytes.len()));
        prop_assert!(held.verdict().first_fault().is_some());
    }

    #[test]
    fn any_renamed_file_is_found(place in 0usize..3, name in "[a-z/.]{0,30}") {
        let mut held = held();
        prop_assume!(held.files[place].0 != name);
        held.files[place].0 = name;
        prop_assert!(held.verdict().first_fault().is_some());
    }
}
