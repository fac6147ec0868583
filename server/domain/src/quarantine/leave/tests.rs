//! An answer is believed only where it answers, and where what runs and what was logged agree with
//! what the server knows.

use super::*;
use alloc::vec;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::poll::{LogHead, RunningRelease};

use crate::enroll::{Entry, Issued, entered};

const NOW: Timestamp = Timestamp::from_ms(1000);

fn challenge() -> Sha256Digest {
    Sha256Digest::of(b"challenge")
}

fn report(image: &[u8], size: u64) -> Report {
    Report {
        device: "d-1".parse().unwrap(),
        order: 7,
        outcome: Outcome::Done,
        running: Some(RunningRelease {
            version: "2.0".parse().unwrap(),
            counter: 2,
            sha256: Sha256Digest::of(image),
        }),
        at: NOW,
        log_head: LogHead { size, hash: Sha256Digest::of(b"") },
        bytes_fetched: 0,
        pace: lazaret_protocol::report::Pace::Ordinary,
        answers: Some(challenge()),
    }
}

fn known(state: ReleaseState) -> Known {
    let release = Release {
        model: "gw2".parse().unwrap(),
        version: "2.0".parse().unwrap(),
        sha256: Sha256Digest::of(b"good"),
        length: 4,
        state,
        deltas: vec![],
        pending: vec![],
        counter: Some(2),
        needs: 0,
        schedule: None,
        created_by: "ana".parse().unwrap(),
    };
    let found = Found { key: "release/gw2/2.0".into(), version: Some(1), value: Some(release) };
    Known { release: Some(found), witnessed: None }
}

fn judged(report: &Report, known: &Known) -> bool {
    let entry = Entry {
        device: "d-1".parse().unwrap(),
        serial: "s-1".parse().unwrap(),
        model: "gw2".parse().unwrap(),
    };
    let issued = Issued {
        key: PublicKey::EcdsaP256(vec![4; 65]),
        certificate: Sha256Digest::of(b"c"),
        ends: NOW,
    };
    let mut device = entered(entry, issued, NOW);
    device.log_head = Some(LogHead { size: 5, hash: Sha256Digest::of(b"") });
    let proof = ReleaseProof {
        statement: vec![],
        signatures: vec![],
        index: 0,
        path: vec![],
        challenge: challenge(),
    };
    judge(&device, &proof, report, known) == Outcome::Done
}

#[test]
fn an_answer_is_believed_with_the_challenge_a_signed_digest_and_an_unbroken_log() {
    let published = known(ReleaseState::Published);
    assert!(judged(&report(b"good", 5), &published));
    assert!(!judged(&Report { answers: None, ..report(b"good", 5) }, &published));
    let other = Some(Sha256Digest::of(b"another"));
    assert!(!judged(&Report { answers: other, ..report(b"good", 5) }, &published));
    assert!(!judged(&report(b"changed", 5), &published), "another digest runs");
    assert!(!judged(&Report { running: None, ..report(b"good", 5) }, &published));
    assert!(!judged(&report(b"good", 5), &known(ReleaseState::Uploaded)), "nobody signed it");
    assert!(!judged(&report(b"good", 5), &Known::default()), "nobody knows it");
    assert!(!judged(&report(b"good", 4), &published), "the log is shorter than it was");
}
