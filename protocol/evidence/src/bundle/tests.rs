//! What a verdict must find, and whose doing it then says it is.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use crate::device_log::base::Base;
use crate::device_log::epoch::{EPOCH, NewEpoch};
use crate::device_log::grown::Grown;
use crate::device_log::record::{Record, RecordError};
use crate::device_log::verify::WITNESS_NAME;
use crate::log::{Clock, Detail, Kind};
use crate::manifest::{Artifact, ArtifactStatus, ManifestError};
use crate::tlog::checkpoint::Checkpoint;
use crate::tlog::note::{SignatureType, SignedNote, VerifierKey};
use crate::tlog::tile::{Tile, write_entry, write_hashes};
use crate::tlog::tree::{Edge, leaf_hash};
use crate::verdict::Blame;
use alloc::format;
use core::convert::Infallible;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::signed::EnvelopeError;
use lazaret_protocol::sshsig::SshError;
use proptest::prelude::*;

const WITNESS: u8 = 77;
const IDENTITY: u8 = 1;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::Ed25519(key(seed).verifying_key().to_bytes().to_vec())
}

fn signer(seed: u8) -> Signer {
    Signer {
        device: "d-1".parse().unwrap(),
        key: public(seed),
        not_before: Timestamp::from_ms(9),
        not_after: Timestamp::from_ms(10),
    }
}

/// A ring of so many records in two epochs, with its first 256 pruned where it is long.
#[derive(Clone)]
struct Log {
    ring: LogRing,
    grown: Grown,
    entries: Vec<Vec<u8>>,
    base: Option<Base>,
    witnessed: Option<String>,
}

impl Log {
    fn of(ring: LogRing, count: u64) -> Self {
        let grown = Grown::from(Edge::new());
        let mut log = Self { ring, grown, entries: Vec::new(), base: None, witnessed: None };
        for seq in 0..count {
            match seq {
                0 => log.begin(1, IDENTITY, 11),
                3 => log.begin(2, 11, 12),
                _ => log.push(Kind::known("noted"), Detail::none().number("n", seq)),
            }
            if seq == 4 {
                log.witnessed = Some(log.note(WITNESS_NAME, SignatureType::CosignatureV1, WITNESS));
            }
        }
        if count > 300 {
            let epoch = log.entries[3].clone();
            log.base = Some(Base { before: log.grown.edge_at(256).unwrap(), epoch });
            log.entries.drain(..256);
        }
        log
    }

    fn origin(&self) -> String {
        self.ring.origin(&"d-1".parse().unwrap())
    }

    fn begin(&mut self, number: u64, by: u8, next: u8) {
        let public = key(next).verifying_key().to_bytes();
        let seq = self.grown.edge().size();
        let epoch = NewEpoch { origin: self.origin(), number, seq, public };
        let signature = key(by).sign(&epoch.message()).to_bytes();
        let voucher = key(IDENTITY).sign(&epoch.voucher()).to_bytes();
        self.push(EPOCH, epoch.detail(&signature, &voucher));
    }

    fn push(&mut self, kind: Kind, detail: Detail) {
        let seq = self.grown.edge().size();
        let at = Some(Timestamp::from_ms(seq));
        let record = Record { seq, boot: 1, monotonic: seq, at, clock: Clock::Floor, kind, detail };
        let entry = record.to_bytes().unwrap();
        self.grown.push(leaf_hash(&entry)).unwrap();
        self.entries.push(entry);
    }

    fn note(&self, name: &str, kind: SignatureType, seed: u8) -> String {
        let edge = self.grown.edge();
        let (size, root) = (edge.size(), edge.root());
        let text = Checkpoint { origin: self.origin(), size, root, extensions: vec![] }.to_string();
        let by = VerifierKey::new(name, kind, key(seed).verifying_key().to_bytes()).unwrap();
        let signature = key(seed).sign(&by.message(&text, 5)).to_bytes();
        SignedNote::new(text, vec![by.signed(5, &signature)]).unwrap().to_text()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let seal = self.note(&self.origin(), SignatureType::Ed25519, 12);
        files.push(("checkpoint".to_string(), seal.into_bytes()));
        files.extend(self.witnessed.iter().map(|it| ("witnessed".into(), it.clone().into_bytes())));
        files.extend(self.base.iter().map(|base| ("base".into(), base.to_bytes())));
        for (tile, hashes) in self.grown.upper_tiles() {
            files.push((tile.to_string(), write_hashes(&hashes)));
        }
        let first = self.base.as_ref().map_or(0, |base| base.before.size() / 256);
        for (index, entries) in (first..).zip(self.entries.chunks(256)) {
            let mut bundle = Vec::new();
            entries.iter().for_each(|entry| write_entry(&mut bundle, entry).unwrap());
            files.push((Tile::bundle(index, entries.len()).unwrap().to_string(), bundle));
        }
        let prefix = ring::prefix(self.ring);
        files.into_iter().map(|(name, bytes)| (format!("{prefix}{name}"), bytes)).collect()
    }

    fn part(&self) -> LogPart {
        let head = LogHead { size: self.grown.edge().size(), hash: self.grown.edge().root() };
        let from = self.base.as_ref().map_or(0, |base| base.before.size());
        LogPart { ring: self.ring, head, from }
    }
}

/// A bundle as its files: what a responder holds.
#[derive(Clone)]
struct Held {
    files: Vec<(String, Vec<u8>)>,
    signer: Result<Signer, CertificateFault>,
    witnesses: Vec<PublicKey>,
}

impl Held {
    fn verdict(&self) -> Verdict {
        let found = |(name, bytes): &(String, Vec<u8>)| FileFound {
            name: name.clone(),
            sha256: Sha256Digest::of(bytes),
            length: bytes.len() as u64,
        };
        let files: Vec<FileFound> = self.files.iter().map(found).collect();
        let looked_into = self.files.iter().filter(|(name, _)| is_looked_into(name));
        verify(&Parts {
            content: &looked_into.cloned().collect(),
            files: &files,
            signer: self.signer.clone(),
            witnesses: &self.witnesses,
        })
    }

    fn file(&mut self, name: &str) -> &mut Vec<u8> {
        let found = self.files.iter_mut().find(|(it, _)| it == name);
        &mut found.unwrap_or_else(|| panic!("no {name}")).1
    }

    fn drop(&mut self, name: &str) {
        self.files.retain(|(it, _)| it != name);
    }

    fn first(&self) -> Fault {
        self.verdict().first_fault().unwrap().clone()
    }

    fn outcome(&self, of: CheckName) -> Outcome {
        let verdict = self.verdict();
        verdict.checks.iter().find(|check| check.name == of).unwrap().outcome.clone()
    }
}

fn logs() -> [Log; 2] {
    [Log::of(LogRing::Security, 40), Log::of(LogRing::Operations, 600)]
}

fn held_of(logs: &[Log], change: impl FnOnce(&mut Manifest), by: u8) -> Held {
    let mut rest = vec![(DEVICE_FILE.to_string(), b"pem".to_vec())];
    rest.extend(logs.iter().flat_map(Log::files));
    let artifacts = [
        ("processes", ArtifactStatus::Collected, b"1 init".to_vec()),
        ("sockets", ArtifactStatus::Failed, b"no /proc/net".to_vec()),
    ];
    let said = artifacts.iter().map(|(name, status, bytes)| Artifact {
        name: name.parse().unwrap(),
        status: *status,
        length: bytes.len() as u64,
        sha256: Sha256Digest::of(bytes),
        reason: None,
    });
    let said: Vec<Artifact> = said.collect();
    let paths = said.iter().map(Artifact::path);
    rest.extend(paths.zip(artifacts).map(|(path, (_, _, bytes))| (path, bytes)));
    let digest = |(name, bytes): &(String, Vec<u8>)| (name.clone(), Sha256Digest::of(bytes));
    let digests: Vec<_> = rest.iter().map(digest).collect();
    let sums = sums::write(digests.iter().map(|(name, digest)| (name.as_str(), *digest)));
    let fixed = digests
        .into_iter()
        .filter(|(name, _)| !name.contains("/tile/") && !name.starts_with("artifacts/"));
    let own = (SUMS_FILE.to_string(), Sha256Digest::of(sums.as_bytes()));
    let mut manifest = Manifest {
        bundle: "b-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        collected_at: Timestamp::from_ms(9),
        boot: 1,
        profile: "triage".parse().unwrap(),
        logs: logs.iter().map(Log::part).collect(),
        reason: None,
        fixed: [own].into_iter().chain(fixed).collect(),
        artifacts: said,
    };
    change(&mut manifest);
    let sign = |bytes: &[u8]| Ok(key(by).sign(bytes).to_bytes().to_vec());
    let sealed = manifest.seal::<Infallible>(public(by).key_id(), sign).unwrap();
    let sign = |bytes: &[u8]| Ok::<_, SshError>(key(by).sign(bytes).to_bytes().to_vec());
    let ssh = SshSignature::sign(&public(by), SUMS_NAMESPACE, sums.as_bytes(), sign).unwrap();
    let mut files = vec![
        (MANIFEST_FILE.to_string(), sealed),
        (SUMS_FILE.to_string(), sums.into_bytes()),
        (SUMS_SIGNATURE_FILE.to_string(), ssh.into_bytes()),
    ];
    files.extend(rest);
    Held { files, signer: Ok(signer(IDENTITY)), witnesses: vec![public(WITNESS)] }
}

fn held() -> Held {
    held_of(&logs(), |_| {}, IDENTITY)
}

#[test]
fn a_bundle_as_the_device_made_it_holds() {
    let verdict = held().verdict();
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.records.len(), 40 + 600 - 256);
    assert_eq!(verdict.manifest.as_ref().unwrap().bundle.as_str(), "b-1");
    // Of the operations ring, what was witnessed ends where everything was pruned.
    let witness = verdict.checks.last().unwrap();
    assert!(matches!(witness.outcome, Outcome::NotProved(_)), "{witness:?}");
    let alone = Held { witnesses: vec![], ..held() };
    assert_eq!(
        alone.outcome(CheckName::Witness),
        Outcome::NotProved("no key of the witness was given")
    );
    assert!(alone.verdict().holds());
    let both = [Log::of(LogRing::Security, 9), Log::of(LogRing::Operations, 9)];
    assert_eq!(held_of(&both, |_| {}, IDENTITY).outcome(CheckName::Witness), Outcome::Holds);
}

#[test]
fn a_certificate_that_proves_nothing_leaves_everything_unproved() {
    let fault = CertificateFault::Refused { why: "it chains to no CA".into() };
    let verdict = Held { signer: Err(fault.clone()), ..held() }.verdict();
    assert_eq!(verdict.first_fault(), Some(&Fault::Certificate(fault)));
    assert_eq!(verdict.first_fault().unwrap().blame(), Blame::Unproved);
    let unchecked = |check: &&Check| check.outcome == Outcome::NotChecked(CheckName::Certificate);
    assert_eq!(verdict.checks.iter().filter(unchecked).count(), 11);
    assert!(!verdict.holds() && verdict.manifest.is_none() && verdict.records.is_empty());
}

#[test]
fn a_manifest_signed_with_another_key_is_unproved() {
    let held = held_of(&logs(), |_| {}, 2);
    let fault = held.first();
    let not_signed =
        matches!(fault, Fault::Manifest(ManifestError::Envelope(EnvelopeError::NotSigned { .. })));
    assert!(not_signed, "{fault:?}");
    assert_eq!(fault.blame(), Blame::Unproved);
    // The log can be looked at all the same: its epochs are the device's.
    assert_eq!(held.outcome(CheckName::SecurityLog), Outcome::Holds);
    assert_eq!(held.outcome(CheckName::LogHeads), Outcome::NotChecked(CheckName::Signature));
}

#[test]
fn a_manifest_by_another_device_is_that_devices_doing() {
    let fault = held_of(&logs(), |it| it.device = "d-2".parse().unwrap(), IDENTITY).first();
    let (certificate, manifest) = ("d-1".parse().unwrap(), "d-2".parse().unwrap());
    assert_eq!(fault, Fault::WrongDevice { certificate, manifest });
    assert_eq!(fault.blame(), Blame::Device);
}

#[test]
fn a_bundle_collected_while_the_certificate_was_not_valid_is_found() {
    for (at, holds) in [(8, false), (9, true), (10, true), (11, false)] {
        let collected = Timestamp::from_ms(at);
        let verdict = held_of(&logs(), |it| it.collected_at = collected, IDENTITY).verdict();
        let (not_before, not_after) = (Timestamp::from_ms(9), Timestamp::from_ms(10));
        let fault = Fault::OutsideValidity { collected, not_before, not_after };
        assert_eq!(verdict.first_fault(), (!holds).then_some(&fault));
    }
}

#[test]
fn each_missing_added_doubled_and_swapped_file_is_named() {
    for (name, _) in held().files {
        let mut held = held();
        held.drop(&name);
        let fault = held.first();
        assert_eq!(fault, Fault::Missing { name: name.clone() });
        assert_eq!(fault.blame(), Blame::Missing, "{name}");
    }
    for name in ["artifacts/more", "log/security/base", "log/security/tile/entries/001.p/3"] {
        let mut held = held();
        held.files.push((name.into(), b"x".to_vec()));
        assert_eq!(held.first(), Fault::Extra { name: name.into() });
        assert_eq!(held.first().blame(), Blame::ChangedAfterSigning);
    }
    let mut twice = held();
    twice.files.push(twice.files[5].clone());
    assert_eq!(twice.first(), Fault::Twice { name: twice.files[5].0.clone() });
    let mut swapped = held();
    *swapped.file("artifacts/processes") = b"2 init".to_vec();
    let (expected, got) = (Sha256Digest::of(b"1 init"), Sha256Digest::of(b"2 init"));
    let name = "artifacts/processes".to_string();
    assert_eq!(swapped.first(), Fault::Changed { name, expected, got });
    assert_eq!(swapped.first().blame(), Blame::ChangedAfterSigning);
}

#[test]
fn a_length_that_the_device_got_wrong_is_the_devices_doing() {
    let fault = held_of(&logs(), |it| it.artifacts[0].length = 7, IDENTITY).first();
    let name = "artifacts/processes".into();
    assert_eq!(fault, Fault::Length { name, expected: 7, got: 6 });
    assert_eq!(fault.blame(), Blame::Device);
}

#[test]
fn a_record_that_was_removed_after_signing_is_found_in_its_ring() {
    let mut held = held();
    let name = "log/security/tile/entries/000.p/40";
    held.file(name).truncate(600);
    let fault = held.first();
    assert!(matches!(&fault, Fault::Changed { name: it, .. } if it == name), "{fault:?}");
    let Outcome::Fails(faults) = held.outcome(CheckName::SecurityLog) else { panic!() };
    assert_eq!(faults[0].blame(), Blame::ChangedAfterSigning);
    assert_eq!(held.outcome(CheckName::OperationsLog), Outcome::Holds);
}

#[test]
fn a_log_that_was_broken_pruned_or_forked_before_signing_is_the_devices_doing() {
    // A record is left out, and everything else is made to fit.
    let [mut security, operations] = logs();
    security.entries.remove(20);
    let fault = held_of(&[security, operations], |_| {}, IDENTITY).first();
    let ring = LogRing::Security;
    assert!(matches!(fault, Fault::LogBroken { ring: r, since: Since::Signing, .. } if r == ring));
    assert_eq!(fault.blame(), Blame::Device);
    // Pruned more than is said.
    let [security, mut operations] = logs();
    operations.base.as_mut().unwrap().epoch = security.entries[3].clone();
    let fault = held_of(&[security, operations], |_| {}, IDENTITY).first();
    assert!(matches!(fault, Fault::LogUnreadable { since: Since::Signing, .. }), "{fault:?}");
    // Another past than the witness saw.
    let [security, operations] = logs();
    let mut forked = Log { witnessed: None, ..Log::of(LogRing::Security, 4) };
    forked.push(Kind::known("harmless"), Detail::none());
    forked.push(Kind::known("harmless"), Detail::none());
    forked.witnessed.clone_from(&security.witnessed);
    let held = held_of(&[forked, operations], |_| {}, IDENTITY);
    let fault = held.first();
    let rewritten =
        matches!(fault, Fault::LogBroken { fault: LogFault::Rewritten { size: 5, .. }, .. });
    assert!(rewritten, "{fault:?}");
    assert_eq!(fault.blame(), Blame::Device);
    assert_eq!(held.outcome(CheckName::SecurityLog), Outcome::Holds);
    // The heads are not those that the manifest says.
    let fault = held_of(&logs(), |it| it.logs[0].head.size = 41, IDENTITY).first();
    assert!(matches!(fault, Fault::WrongLogHead { since: Since::Signing, .. }), "{fault:?}");
}

#[test]
fn a_record_that_is_none_is_named_with_its_place() {
    let [mut security, operations] = logs();
    let broken = b"no record".to_vec();
    security.grown.push(leaf_hash(&broken)).unwrap();
    security.entries.push(broken);
    let fault = held_of(&[security, operations], |_| {}, IDENTITY).first();
    let source = RecordError::Malformed { what: "it is no array" };
    let fault_wanted = LogFault::Record { index: 40, source };
    let (ring, since) = (LogRing::Security, Since::Signing);
    assert_eq!(fault, Fault::LogBroken { ring, fault: fault_wanted, since });
}

#[test]
fn a_broken_log_without_a_signature_is_nobodys_proved_doing() {
    let mut held = held();
    held.drop(MANIFEST_FILE);
    held.file("log/security/tile/entries/000.p/40")[30] ^= 1;
    let Outcome::Fails(faults) = held.outcome(CheckName::SecurityLog) else { panic!() };
    assert_eq!(faults[0].blame(), Blame::Unproved);
}

#[test]
fn a_witness_that_is_a_stranger_proves_nothing() {
    let held = Held { witnesses: vec![public(78)], ..held() };
    let fault = held.first();
    assert!(matches!(fault, Fault::NotWitnessed { ring: LogRing::Security, .. }), "{fault:?}");
    assert_eq!(fault.blame(), Blame::Unproved);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_changed_byte_of_any_part_is_found(
        part in any::<proptest::sample::Index>(), place in any::<proptest::sample::Index>(),
        by in 1u8..=255,
    ) {
        let mut held = held();
        let part = part.index(held.files.len());
        let (name, bytes) = &mut held.files[part];
        let name = name.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= by;
        let verdict = held.verdict();
        // White space around an armoured signature is nobody's word, and no other byte is so.
        let blank = name == SUMS_SIGNATURE_FILE && verdict.holds();
        prop_assert!(verdict.first_fault().is_some() || blank, "{} at {}", name, place);
    }

    #[test]
    fn any_cut_of_any_part_is_found(
        part in any::<proptest::sample::Index>(), place in any::<proptest::sample::Index>()
    ) {
        let mut held = held();
        let part = part.index(held.files.len());
        let (name, bytes) = &mut held.files[part];
        let last_line_feed = *name == SUMS_SIGNATURE_FILE;
        let length = bytes.len() - usize::from(last_line_feed);
        bytes.truncate(place.index(length));
        prop_assert!(held.verdict().first_fault().is_some());
    }

    #[test]
    fn any_renamed_file_is_found(
        part in any::<proptest::sample::Index>(), name in "[a-z/.]{0,30}"
    ) {
        let mut held = held();
        let part = part.index(held.files.len());
        prop_assume!(held.files[part].0 != name);
        held.files[part].0 = name;
        prop_assert!(held.verdict().first_fault().is_some());
    }
}
