//! Notes against a published one, and against everything that is changed in one.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use alloc::format;
use alloc::vec;
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

/// The example of Go's package golang.org/x/mod/sumdb/note.
const PUBLISHED_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PUBLISHED: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann \
    x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(name: &str, seed: u8, signature_type: SignatureType) -> (SigningKey, VerifierKey) {
    let signing = SigningKey::from_bytes(&[seed; 32]);
    let public = signing.verifying_key().to_bytes();
    (signing, VerifierKey::new(name, signature_type, public).unwrap())
}

fn sign(text: &str, keys: &[(SigningKey, VerifierKey)], time: u64) -> SignedNote {
    let lines = keys
        .iter()
        .map(|(signing, key)| key.signed(time, &signing.sign(&key.message(text, time)).to_bytes()));
    SignedNote::new(text.into(), lines.collect()).unwrap()
}

#[test]
fn a_published_note_is_verified() {
    let key: VerifierKey = PUBLISHED_KEY.parse().unwrap();
    assert_eq!(key.to_string(), PUBLISHED_KEY);
    let note = SignedNote::parse(PUBLISHED).unwrap();
    assert_eq!(note.to_text(), PUBLISHED);
    assert_eq!(note.verify(core::slice::from_ref(&key)), Ok(vec![SignedBy { key: &key, time: 0 }]));
    let changed = SignedNote::parse(&PUBLISHED.replace("answer", "Answer")).unwrap();
    let refused = NoteError::DoesNotHold { name: "PeterNeumann".into() };
    assert_eq!(changed.verify(&[key]), Err(refused));
}

#[test]
fn a_witness_signs_the_time_too() {
    let log = key("log.example/a", 1, SignatureType::Ed25519);
    let witness = key("witness.example/w", 2, SignatureType::CosignatureV1);
    let keys = [log.1.clone(), witness.1.clone()];
    let note = sign("log.example/a\n0\nroot\n", &[log, witness], 1_679_315_147);
    let note = SignedNote::parse(&note.to_text()).unwrap();
    let times: Vec<u64> = note.verify(&keys).unwrap().iter().map(|by| by.time).collect();
    assert_eq!(times, [0, 1_679_315_147]);
    // The time is eight bytes after the four of the key's id.
    let mut changed = note.clone();
    changed.signatures[1].signature[7] ^= 1;
    let refused = NoteError::DoesNotHold { name: "witness.example/w".into() };
    assert_eq!(changed.verify(&keys), Err(refused));
}

#[test]
fn a_note_of_strangers_is_refused_and_names_them() {
    let note = sign("text\n", &[key("stranger", 1, SignatureType::Ed25519)], 0);
    let (_, trusted) = key("log", 1, SignatureType::Ed25519);
    let refused = NoteError::NotSigned { expected: "log".into(), found: "stranger".into() };
    assert_eq!(note.verify(&[trusted]), Err(refused));
    // The same name with another key is a stranger too.
    let (_, other) = key("stranger", 2, SignatureType::Ed25519);
    assert!(matches!(note.verify(&[other]), Err(NoteError::NotSigned { .. })));
}

#[test]
fn a_key_counts_once_however_often_it_signs() {
    let log = key("log", 1, SignatureType::Ed25519);
    let mut note = sign("text\n", core::slice::from_ref(&log), 0);
    note.signatures.push(note.signatures[0].clone());
    assert_eq!(note.verify(core::slice::from_ref(&log.1)).unwrap().len(), 1);
    note.add(note.signatures[0].clone());
    assert_eq!(note.signatures.len(), 1);
}

#[test]
fn notes_of_another_form_are_refused() {
    let line = "\u{2014} log AAAAAAA=\n";
    let faults = [
        ("text\n".into(), "no empty line before the signatures"),
        (format!("text\n{line}"), "no empty line before the signatures"),
        (
            format!("text\n\n{}", line.trim_end()),
            "the last signature does not end with a line feed",
        ),
        (format!("text\n\n{line}- log AAAAAAA=\n"), "a line that is no signature"),
        ("text\n\n\u{2014} l+g AAAAAAA=\n".into(), "a line that is no signature"),
        ("text\n\n\u{2014} log AAAAAA==\n".into(), "a line that is no signature"),
        (format!("te\txt\n\n{line}"), "the text has a control character"),
        (format!("text\n\n{}", line.repeat(33)), "more than 32 signatures"),
    ];
    for (note, what) in faults {
        assert_eq!(SignedNote::parse(&note), Err(NoteError::NoNote { what }), "{note}");
    }
    let long = "a".repeat(NOTE_BYTES_MAX + 1);
    assert_eq!(SignedNote::parse(&long), Err(NoteError::Long { got: NOTE_BYTES_MAX + 1 }));
    assert!(SignedNote::parse(&format!("text\n\n{}", line.repeat(32))).is_ok());
}

#[test]
fn keys_of_another_form_are_refused() {
    for text in [
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpcNQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc",
    ] {
        assert!(matches!(text.parse::<VerifierKey>(), Err(NoteError::NoKey { .. })), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_note_or_refused(text in "[a\n\u{2014} =+]{0,60}") {
        if let Ok(note) = SignedNote::parse(&text) {
            prop_assert_eq!(note.to_text(), text);
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written(text in "[a-z\n \u{2014}]{0,40}", time in 0u64..1 << 63) {
        let text = text + "\n";
        let keys = [
            key("log", 1, SignatureType::Ed25519),
            key("witness", 2, SignatureType::CosignatureV1),
        ];
        let note = sign(&text, &keys, time);
        let read = SignedNote::parse(&note.to_text()).unwrap();
        prop_assert_eq!(&read, &note);
        prop_assert_eq!(read.verify(&keys.map(|(_, key)| key)).unwrap().len(), 2);
    }
}
