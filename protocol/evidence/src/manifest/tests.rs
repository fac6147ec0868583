//! What a manifest says, and what is no manifest.

use super::*;
use alloc::vec;
use core::convert::Infallible;
use ed25519_dalek::{Signer as _, SigningKey};

fn key(seed: u8) -> (SigningKey, PublicKey) {
    let signer = SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::Ed25519(signer.verifying_key().as_bytes().to_vec());
    (signer, public)
}

fn manifest() -> Manifest {
    let artifact = |name: &str, status, reason: Option<&str>| Artifact {
        name: name.parse().unwrap(),
        status,
        length: 3,
        sha256: Sha256Digest::of(name.as_bytes()),
        reason: reason.map(Into::into),
    };
    Manifest {
        bundle: "b-1".parse().unwrap(),
        device: "d-1".parse().unwrap(),
        collected_at: Timestamp::from_ms(5),
        boot: 4,
        profile: "triage".parse().unwrap(),
        logs: vec![LogPart {
            ring: LogRing::Security,
            head: LogHead { size: 2, hash: Sha256Digest::of(b"head") },
            from: 0,
        }],
        reason: Some("suspicion".into()),
        fixed: vec![
            (DEVICE_FILE.into(), Sha256Digest::of(b"pem")),
            (SUMS_FILE.into(), Sha256Digest::of(b"sums")),
        ],
        artifacts: vec![
            artifact("processes", ArtifactStatus::Collected, None),
            artifact("sockets", ArtifactStatus::Failed, Some("no /proc/net")),
        ],
    }
}

fn seal_statement(statement: &Statement) -> (Vec<u8>, PublicKey) {
    let (signer, public) = key(1);
    let envelope = Envelope::seal::<_, CanonicalError>(statement, public.key_id(), |bytes| {
        Ok(signer.sign(bytes).to_bytes().to_vec())
    })
    .unwrap();
    (canonical::to_bytes(&envelope).unwrap(), public)
}

fn seal(manifest: &Manifest) -> Result<Vec<u8>, SealError<Infallible>> {
    let (signer, public) = key(1);
    manifest.seal(public.key_id(), |bytes| Ok(signer.sign(bytes).to_bytes().to_vec()))
}

#[test]
fn a_manifest_is_read_back_as_sealed() {
    let bytes = seal(&manifest()).unwrap();
    assert_eq!(Manifest::open(&bytes, &key(1).1), Ok(manifest()));
}

#[test]
fn the_statement_is_the_one_of_in_toto() {
    let bytes = seal(&manifest()).unwrap();
    let envelope = Envelope::parse(&bytes).unwrap();
    assert_eq!(envelope.payload_type, "application/vnd.in-toto+json");
    let said: serde_json::Value = serde_json::from_slice(&envelope.payload).unwrap();
    assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(said["predicateType"], "https://lazaret.dev/evidence-bundle/v2");
    let names: Vec<_> =
        said["subject"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    let expected = ["device.pem", "SHA256SUMS", "artifacts/processes", "artifacts/sockets.failed"];
    assert_eq!(names, expected);
    let digest = Sha256Digest::of(b"pem").to_string();
    assert_eq!(said["subject"][0]["digest"]["sha256"], digest.as_str());
    assert_eq!(said["predicate"]["artifacts"][1]["status"], "failed");
    assert_eq!(said["predicate"]["artifacts"][0].get("reason"), None);
}

#[test]
fn a_manifest_signed_by_a_stranger_is_refused() {
    let bytes = seal(&manifest()).unwrap();
    let refused = Manifest::open(&bytes, &key(2).1).unwrap_err();
    let not_signed = EnvelopeError::NotSigned { payload_type: Statement::PAYLOAD_TYPE };
    assert_eq!(refused, ManifestError::Envelope(not_signed));
}

#[test]
fn an_envelope_with_spaces_or_unknown_fields_is_refused() {
    let text = String::from_utf8(seal(&manifest()).unwrap()).unwrap();
    for spelling in [format!("{text}\n"), text.replacen('{', "{\"a\":1,", 1)] {
        let refused = Manifest::open(spelling.as_bytes(), &key(1).1).unwrap_err();
        assert_eq!(refused, ManifestError::NotCanonical);
    }
}

#[test]
fn a_signed_statement_that_contradicts_itself_is_refused() {
    let refusal_of = |change: &dyn Fn(&mut Statement)| {
        let mut statement = manifest().statement();
        change(&mut statement);
        let (bytes, public) = seal_statement(&statement);
        Manifest::open(&bytes, &public).unwrap_err()
    };
    let twice = refusal_of(&|s| s.subject.push(s.subject[3].clone()));
    assert_eq!(twice, ManifestError::NamedTwice { name: "artifacts/sockets.failed".into() });
    let twice = refusal_of(&|s| {
        let again = s.predicate.artifacts[0].clone();
        s.predicate.artifacts.push(again);
    });
    assert_eq!(twice, ManifestError::NamedTwice { name: "processes".into() });
    let undigested = refusal_of(&|s| drop(s.subject.remove(1)));
    assert_eq!(undigested, ManifestError::NoDigest { name: "SHA256SUMS".into() });
    let twice = refusal_of(&|s| s.predicate.logs.push(s.predicate.logs[0].clone()));
    assert_eq!(twice, ManifestError::NamedTwice { name: "security".into() });
    let undigested = refusal_of(&|s| s.predicate.artifacts[1].status = ArtifactStatus::Collected);
    assert_eq!(undigested, ManifestError::NoDigest { name: "artifacts/sockets".into() });
    let stray = refusal_of(&|s| drop(s.predicate.artifacts.remove(0)));
    assert_eq!(stray, ManifestError::StrayDigest { name: "artifacts/processes".into() });
    let other = refusal_of(&|s| s.predicate_type = "https://slsa.dev/provenance/v1".into());
    let got = "https://slsa.dev/provenance/v1".into();
    assert_eq!(other, ManifestError::WrongType { expected: PREDICATE_TYPE, got });
}

#[test]
fn what_readers_would_refuse_is_not_sealed() {
    let mut crowded = manifest();
    let pattern = crowded.artifacts[0].clone();
    crowded.artifacts = (0..65)
        .map(|i| Artifact { name: format!("a{i}").parse().unwrap(), ..pattern.clone() })
        .collect();
    let too_many = ManifestError::TooManyArtifacts { got: 65 };
    assert_eq!(seal(&crowded), Err(SealError::Refused(too_many)));
    crowded.artifacts.pop();
    assert!(seal(&crowded).is_ok());
    let reason = Some("x".repeat(1024));
    for artifact in &mut crowded.artifacts {
        artifact.reason.clone_from(&reason);
    }
    assert!(matches!(
        seal(&crowded),
        Err(SealError::Refused(ManifestError::Envelope(EnvelopeError::TooLarge { .. })))
    ));
}

#[test]
fn reasons_are_made_plain_and_cut_when_sealed() {
    let mut wordy = manifest();
    wordy.reason = Some("two\nlines".into());
    wordy.artifacts[0].reason = Some("x".repeat(1025));
    let read = Manifest::open(&seal(&wordy).unwrap(), &key(1).1).unwrap();
    assert_eq!(read.reason.unwrap(), "two\u{240a}lines");
    let cut = format!("{} [cut: 1025 bytes in all]", "x".repeat(984));
    assert_eq!(read.artifacts[0].reason.as_deref(), Some(cut.as_str()));
}

#[test]
fn a_signed_reason_beyond_the_limit_is_refused() {
    let mut statement = manifest().statement();
    statement.predicate.reason = Some("x".repeat(1025));
    let (bytes, public) = seal_statement(&statement);
    let refused = Manifest::open(&bytes, &public).unwrap_err();
    assert_eq!(refused, ManifestError::ReasonTooLong { got: 1025 });
}

#[test]
fn paths_outside_the_layout_are_no_bundle_paths() {
    let logs = ["log/security/checkpoint", "log/operations/tile/entries/x001/234.p/5"];
    let others = [MANIFEST_FILE, DEVICE_FILE, SUMS_FILE, "artifacts/a", "artifacts/a.failed"];
    for good in others.into_iter().chain(logs) {
        assert!(is_bundle_path(good), "{good:?} was refused");
    }
    let bad = ["", "x", "artifacts/", "artifacts/../x", "/device.pem", "artifacts/a/b"];
    for bad in bad.into_iter().chain([
        "artifacts/a.failed.failed",
        "artifacts/.failed",
        "./device.pem",
        "log/security/tile/entries/0",
        "log/other/checkpoint",
        "log/security/key",
        "log/security/../device.pem",
    ]) {
        assert!(!is_bundle_path(bad), "{bad:?} was accepted");
    }
}
