//! A log as the server makes it, and everything that somebody with its disk may change in it.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use crate::tlog::note::SignatureType;
use alloc::format;
use alloc::vec;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::operator::{AuditWho, AuditWhoKind};
use lazaret_protocol::time::Timestamp;

const ORIGIN: &str = "lazaret.example/audit";

#[derive(Clone)]
struct Log {
    rows: Vec<Vec<u8>>,
    hashes: Vec<Sha256Digest>,
    notes: Vec<String>,
}

fn signing(seed: u8) -> (SigningKey, VerifierKey) {
    let signing = SigningKey::from_bytes(&[seed; 32]);
    let public = signing.verifying_key().to_bytes();
    let key = VerifierKey::new(ORIGIN, SignatureType::Ed25519, public).unwrap();
    (signing, key)
}

fn act(number: u64) -> AuditAct {
    let who = AuditWho {
        kind: AuditWhoKind::Operator,
        name: format!("op-{number}"),
        credential: String::new(),
        address: "192.0.2.1".into(),
    };
    AuditAct {
        at: Timestamp::from_ms(1_790_000_000_000 + number),
        who,
        what: "POST /v1/halt".into(),
        target: "/v1/halt".into(),
        reason: "a \"reason\"\nof two lines".into(),
        request: None,
        outcome: "done".into(),
        detail: String::new(),
        count: 1,
    }
}

fn note(edge: &Edge, seed: u8) -> String {
    let (signing, key) = signing(seed);
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: edge.size(),
        root: edge.root(),
        extensions: vec![],
    };
    let text = checkpoint.to_string();
    let signature = signing.sign(&key.message(&text, 0)).to_bytes();
    SignedNote::new(text, vec![key.signed(0, &signature)]).unwrap().to_text()
}

/// A log of so many entries, signed after every hundred and at its end.
fn log(entries: u64) -> Log {
    let mut log = Log { rows: vec![], hashes: vec![], notes: vec![] };
    let (mut edge, mut previous) = (Edge::new(), first_previous());
    for index in 0..entries {
        let row = entry_bytes(index, previous, &act(index)).unwrap();
        previous = leaf_hash(&row);
        edge.push(previous).unwrap();
        log.rows.push(row);
        log.hashes.push(previous);
        if (index + 1) % 100 == 0 && index + 1 < entries {
            log.notes.push(note(&edge, 1));
        }
    }
    log.notes.push(note(&edge, 1));
    log
}

fn judged(log: &Log) -> Report {
    let keys = [signing(1).1];
    let (latest, earlier) = log.notes.split_last().unwrap();
    let mut verifier = Verifier::new(latest, earlier, &keys).unwrap();
    for (row, hash) in log.rows.iter().zip(&log.hashes) {
        verifier.row(row, Some(*hash)).unwrap();
    }
    verifier.finish().unwrap()
}

fn edited(log: &mut Log, at: usize) {
    let text = String::from_utf8(log.rows[at].clone()).unwrap();
    log.rows[at] = text.replace("op-", "xx-").into_bytes();
}

fn named(report: &Report) -> Vec<u64> {
    let index = |finding: &Finding| match finding {
        Finding::Edited { index, .. } => *index,
        other => panic!("{other:?}"),
    };
    report.findings.iter().map(index).collect()
}

#[test]
fn a_log_as_it_was_made_has_no_findings() {
    for entries in [0, 1, 2, 255, 256, 257, 600] {
        let report = judged(&log(entries));
        assert_eq!(report.findings, [], "{entries}");
        assert_eq!((report.size, report.rows), (entries, entries));
        assert!(report.checkpoints >= 1, "{entries}: nothing was compared with what was signed");
    }
}

#[test]
fn an_edited_row_is_named_with_index_who_and_what() {
    let whole = log(600);
    for at in [0, 1, 255, 256, 299, 598, 599] {
        let mut log = whole.clone();
        edited(&mut log, at);
        let report = judged(&log);
        assert_eq!(named(&report), [at as u64]);
        let Finding::Edited { who, what, .. } = &report.findings[0] else { unreachable!() };
        assert_eq!((who.as_str(), what.as_str()), (format!("xx-{at}").as_str(), "POST /v1/halt"));
    }
}

#[test]
fn an_edited_row_is_named_even_where_its_tile_was_made_to_match() {
    let whole = log(600);
    for at in [0, 255, 300, 598] {
        let mut log = whole.clone();
        edited(&mut log, at);
        log.hashes[at] = leaf_hash(&log.rows[at]);
        assert_eq!(named(&judged(&log)), [at as u64]);
    }
}

#[test]
fn a_row_that_is_no_entry_any_more_is_named() {
    let mut log = log(300);
    log.rows[7] = b"gone".to_vec();
    let report = judged(&log);
    assert_eq!(named(&report), [7]);
    assert!(matches!(&report.findings[0], Finding::Edited { who, .. } if who == "unreadable"));
}

#[test]
fn a_rewritten_end_is_found_between_two_checkpoints() {
    let mut log = log(600);
    edited(&mut log, 420);
    let mut previous = log.hashes[419];
    for at in 420..600_usize {
        let mut entry = parsed(&log.rows[at]).unwrap();
        entry.previous = previous;
        log.rows[at] = canonical::to_json(&entry).unwrap();
        previous = leaf_hash(&log.rows[at]);
        log.hashes[at] = previous;
    }
    assert_eq!(judged(&log).findings, [Finding::Rewritten { from: 400, to: 500 }]);
}

#[test]
fn what_was_cut_off_or_put_behind_is_found() {
    let whole = log(300);
    let mut short = whole.clone();
    short.rows.truncate(290);
    assert_eq!(judged(&short).findings, [Finding::Missing { from: 290, to: 300 }]);
    let mut long = whole.clone();
    long.rows.push(entry_bytes(300, whole.hashes[299], &act(300)).unwrap());
    long.hashes.push(leaf_hash(&long.rows[300]));
    assert_eq!(judged(&long).findings, [Finding::Unsigned { from: 300 }]);
    // A row taken out of the middle shifts all that follow.
    let mut gap = whole;
    gap.rows.remove(50);
    gap.hashes.remove(50);
    assert!(judged(&gap).findings.iter().any(|f| matches!(f, Finding::Edited { index: 50, .. })));
}

#[test]
fn a_changed_hash_or_tile_is_told_apart_from_a_changed_row() {
    let mut log = log(300);
    log.hashes[20] = first_previous();
    assert_eq!(judged(&log).findings, [Finding::WrongHash { index: 20 }]);
}

#[test]
fn a_checkpoint_by_a_stranger_is_not_believed() {
    let log = log(3);
    let keys = [signing(2).1];
    let refused = Verifier::new(log.notes.last().unwrap(), &[], &keys).err();
    let refused = refused.expect("a stranger's checkpoint was believed");
    assert!(matches!(refused, AuditError::Note { source: NoteError::NotSigned { .. } }));
    // A key from before a rotation says nothing, for or against.
    let mut edge = Edge::new();
    log.hashes.iter().for_each(|hash| drop(edge.push(*hash).unwrap()));
    let mut verifier = Verifier::new(&note(&edge, 2), &log.notes, &keys).unwrap();
    for (row, hash) in log.rows.iter().zip(&log.hashes) {
        verifier.row(row, Some(*hash)).unwrap();
    }
    let report = verifier.finish().unwrap();
    assert_eq!((report.passed_over, report.findings.len()), (1, 0));
}
