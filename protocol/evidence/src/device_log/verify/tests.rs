//! Whole logs, and what strangers and devices could have done to them.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::super::epoch::tests::{ORIGIN, begins, identity, key};
use super::super::record::tests::record;
use super::*;
use crate::log::{Detail, Kind};
use crate::tlog::note::{SignatureType, VerifierKey};
use alloc::string::ToString as _;
use alloc::vec;
use ed25519_dalek::Signer as _;
use proptest::prelude::*;

/// A log of so many records in two epochs, and what is kept of it.
struct Log {
    entries: Vec<Vec<u8>>,
    tree: Edge,
}

impl Log {
    fn of(count: u64) -> Self {
        let mut log = Self { entries: Vec::new(), tree: Edge::new() };
        for seq in 0..count {
            log.push(&match seq {
                0 => begins(1, 0, 1, &key(200)),
                3 => begins(2, 3, 2, &key(1)),
                seq => record(seq, Kind::known("noted"), Detail::none().number("n", seq)),
            });
        }
        log
    }

    fn push(&mut self, record: &Record) {
        let entry = record.to_bytes().unwrap();
        self.tree.push(leaf_hash(&entry)).unwrap();
        self.entries.push(entry);
    }

    /// Sealed by the key of that seed.
    fn seal(&self, seed: u8) -> SignedNote {
        let (size, root) = (self.tree.size(), self.tree.root());
        let text =
            Checkpoint { origin: ORIGIN.into(), size, root, extensions: Vec::new() }.to_string();
        let public = key(seed).verifying_key().to_bytes();
        let by = VerifierKey::new(ORIGIN, SignatureType::Ed25519, public).unwrap();
        let signature = key(seed).sign(&by.message(&text, 0)).to_bytes();
        SignedNote::new(text, vec![by.signed(0, &signature)]).unwrap()
    }

    fn parts<'a>(&'a self, seal: &'a SignedNote) -> Parts<'a> {
        Parts {
            before: Edge::new(),
            epochs: Epochs::before_first(ORIGIN, identity()),
            entries: self.entries.iter().map(Vec::as_slice).collect(),
            seal,
            origin: ORIGIN,
            witnessed: None,
        }
    }
}

#[test]
fn a_whole_log_is_proved() {
    let log = Log::of(40);
    let seal = log.seal(2);
    let proved = verify(&log.parts(&seal)).unwrap();
    assert_eq!((proved.records.len(), proved.from, proved.epochs), (40, 0, 2));
}

#[test]
fn a_pruned_log_is_proved_from_where_it_begins() {
    let log = Log::of(40);
    let before = Log::of(10).tree;
    let seal = log.seal(2);
    let mut parts = log.parts(&seal);
    parts.entries.drain(..10);
    parts.before = before;
    parts.epochs = Epochs::after(ORIGIN, 2, key(2).verifying_key().to_bytes());
    let proved = verify(&parts).unwrap();
    assert_eq!((proved.records.len(), proved.from), (30, 10));
    // Another beginning is another log.
    parts.before = Log::of(9).tree;
    assert_eq!(verify(&parts), Err(LogFault::Size { sealed: 40, found: 39 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_by_a_holder_is_found_and_not_laid_at_the_devices_door(
        entry: prop::sample::Index, byte: prop::sample::Index, bit in 0u32..8, what in 0usize..4
    ) {
        let mut log = Log::of(20);
        let seal = log.seal(2);
        let at = entry.index(20);
        match what {
            0 => {
                let byte = byte.index(log.entries[at].len());
                log.entries[at][byte] ^= 1 << bit;
            }
            1 => drop(log.entries.remove(at)),
            2 => log.entries.truncate(at),
            _ => {
                let other = byte.index(20);
                prop_assume!(other != at);
                log.entries.swap(at, other);
            }
        }
        let fault = verify(&log.parts(&seal)).unwrap_err();
        prop_assert_eq!(fault.doing(), Doing::AnyHolder, "{}", fault);
    }
}

#[test]
fn a_seal_by_an_older_or_a_newer_key_is_refused() {
    let log = Log::of(20);
    for seed in [1, 3, 200] {
        let seal = log.seal(seed);
        let fault = verify(&log.parts(&seal)).unwrap_err();
        assert!(matches!(fault, LogFault::Seal { .. }), "{fault:?}");
        assert_eq!(fault.doing(), Doing::AnyHolder);
    }
}

#[test]
fn a_log_that_nobody_sealed_is_refused() {
    let log = Log::of(20);
    let mut seal = log.seal(2);
    seal = SignedNote::new(seal.text().to_string(), Vec::new()).unwrap();
    assert!(matches!(verify(&log.parts(&seal)), Err(LogFault::Seal { .. })));
    let mut bare = Log::of(0);
    bare.push(&record(0, Kind::known("noted"), Detail::none()));
    let seal = bare.seal(2);
    assert_eq!(verify(&bare.parts(&seal)), Err(LogFault::NoEpoch));
}

#[test]
fn what_the_device_sealed_itself_is_its_own_doing() {
    let mut log = Log::of(20);
    log.push(&record(99, Kind::known("noted"), Detail::none()));
    let seal = log.seal(2);
    let fault = verify(&log.parts(&seal)).unwrap_err();
    assert_eq!(fault, LogFault::Sequence { index: 20, got: 99 });
    assert_eq!(fault.doing(), Doing::Device);
}

#[test]
fn a_log_that_was_rewritten_after_a_witness_saw_it_is_found() {
    let (log, mut other) = (Log::of(20), Log::of(10));
    for seq in 10..20 {
        other.push(&record(seq, Kind::known("harmless"), Detail::none()));
    }
    let seen = log.tree.root();
    let seal = other.seal(2);
    let mut parts = other.parts(&seal);
    parts.witnessed = Some(Witnessed { size: 20, root: &seen });
    let source = ProofError::DoesNotHold;
    let fault = verify(&parts).unwrap_err();
    assert_eq!(fault, LogFault::Rewritten { size: 20, source });
    assert_eq!(fault.doing(), Doing::Device);
    // A shorter log than was witnessed is a rewritten one too.
    parts.witnessed = Some(Witnessed { size: 21, root: &seen });
    let source = ProofError::Shrunk { old: 21, new: 20 };
    assert_eq!(verify(&parts), Err(LogFault::Rewritten { size: 21, source }));
    let honest = log.seal(2);
    let mut parts = log.parts(&honest);
    parts.witnessed = Some(Witnessed { size: 20, root: &seen });
    assert_eq!(verify(&parts).unwrap().witness, Witness::Continued { size: 20 });
    // Of what ends in the pruned part nothing is proved, and that is said.
    let before = Log::of(10).tree;
    let seen = Log::of(9).tree.root();
    parts.entries.drain(..10);
    parts.before = before;
    parts.epochs = Epochs::after(ORIGIN, 2, key(2).verifying_key().to_bytes());
    parts.witnessed = Some(Witnessed { size: 9, root: &seen });
    assert_eq!(verify(&parts).unwrap().witness, Witness::Pruned { size: 9 });
}
