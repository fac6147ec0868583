//! What a witness takes, what it asks for, and what it holds against a device.

use super::*;
use alloc::vec;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol_evidence::device_log::epoch::{EPOCH, NewEpoch};
use lazaret_protocol_evidence::device_log::grown::Grown;
use lazaret_protocol_evidence::log::{Clock, Detail, Kind};
use lazaret_protocol_evidence::tlog::note::{SignatureType, VerifierKey};
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};

const RING: LogRing = LogRing::Security;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn identity() -> PublicKey {
    PublicKey::Ed25519(key(1).verifying_key().to_bytes().to_vec())
}

fn device() -> DeviceId {
    "d-1".parse().unwrap()
}

/// A device's log, with the key of its epoch.
#[derive(Clone)]
struct Log {
    grown: Grown,
    epoch: u64,
    sealer: u8,
    begun: Vec<u8>,
}

impl Log {
    fn new() -> Self {
        let grown = Grown::from(Edge::new());
        let mut log = Self { grown, epoch: 0, sealer: 1, begun: Vec::new() };
        log.begin(10);
        log
    }

    fn begin(&mut self, next: u8) {
        let public = key(next).verifying_key().to_bytes();
        let (number, seq) = (self.epoch + 1, self.grown.edge().size());
        let epoch = NewEpoch { origin: RING.origin(&device()), number, seq, public };
        let signature = key(self.sealer).sign(&epoch.message()).to_bytes();
        let voucher = key(1).sign(&epoch.voucher()).to_bytes();
        self.begun = self.push(EPOCH, epoch.detail(&signature, &voucher));
        (self.epoch, self.sealer) = (number, next);
    }

    fn push(&mut self, kind: Kind, detail: Detail) -> Vec<u8> {
        let seq = self.grown.edge().size();
        let at = Some(Timestamp::from_ms(seq));
        let record =
            LogRecord { seq, boot: 1, monotonic: 0, at, clock: Clock::System, kind, detail };
        let entry = record.to_bytes().unwrap();
        self.grown.push(leaf_hash(&entry)).unwrap();
        entry
    }

    fn grow(&mut self, what: &'static str) {
        self.push(Kind::known(what), Detail::none());
    }

    fn growth(&self, from: u64, with_epoch: bool) -> LogGrowth {
        let origin = RING.origin(&device());
        let (size, root) = (self.grown.edge().size(), self.grown.edge().root());
        let text =
            Checkpoint { origin: origin.clone(), size, root, extensions: vec![] }.to_string();
        let public = key(self.sealer).verifying_key().to_bytes();
        let by = VerifierKey::new(&origin, SignatureType::Ed25519, public).unwrap();
        let signature = key(self.sealer).sign(&by.message(&text, 0)).to_bytes();
        let note = SignedNote::new(text, vec![by.signed(0, &signature)]).unwrap();
        let proof = self.grown.consistency_from(from, |_| None).unwrap_or_default();
        let epoch = with_epoch.then(|| STANDARD.encode(&self.begun));
        LogGrowth { ring: RING, checkpoint: note.to_text(), from, proof, epoch }
    }
}

fn told(known: Option<&Witnessed>, growth: LogGrowth) -> Witnessing {
    witness(known, (&device(), &identity()), &[growth])
}

fn taken(known: Option<&Witnessed>, growth: LogGrowth) -> Witnessed {
    let witnessing = told(known, growth);
    assert!(witnessing.words[0].taken.is_some(), "{witnessing:?}");
    assert_eq!(witnessing.facts, []);
    witnessing.record.unwrap()
}

#[test]
fn growth_that_is_proved_is_taken_from_epoch_to_epoch() {
    let mut log = Log::new();
    let first = taken(None, log.growth(0, true));
    log.grow("started");
    let second = taken(Some(&first), log.growth(1, false));
    assert_eq!((second.rings[0].size, second.rings[0].epoch), (2, 1));
    log.begin(11);
    let third = taken(Some(&second), log.growth(2, true));
    assert_eq!((third.rings[0].size, third.rings[0].epoch), (3, 2));
    // A device that was away for several epochs is believed by its identity's word.
    log.begin(12);
    log.begin(13);
    let fourth = taken(Some(&third), log.growth(3, true));
    assert_eq!(fourth.rings[0].epoch, 4);
    // The same again changes nothing.
    assert_eq!(told(Some(&fourth), log.growth(5, false)).record, None);
}

#[test]
fn what_proves_nothing_is_asked_for_and_changes_nothing() {
    let mut log = Log::new();
    let known = taken(None, log.growth(0, true));
    log.grow("started");
    log.grow("armed");
    let mut without_proof_from_there = log.growth(2, false);
    without_proof_from_there.from = 2;
    let mut stranger = log.growth(1, false);
    stranger.checkpoint = Log { sealer: 55, ..log.clone() }.growth(1, false).checkpoint;
    let mut other = log.growth(1, true);
    other.epoch = Some("AAAA".into());
    let mut empty = log.growth(1, false);
    empty.checkpoint.clear();
    for growth in [without_proof_from_there, stranger, other, empty] {
        let witnessing = told(Some(&known), growth);
        assert_eq!((witnessing.record, &witnessing.facts[..]), (None, &[][..]));
        let word = Word { ring: RING, size: 1, epoch: 1, taken: None };
        assert_eq!(witnessing.words, [word]);
    }
    // Nobody vouches for the first epoch.
    let mut unvouched = log.growth(0, true);
    unvouched.epoch = None;
    assert_eq!(told(None, unvouched).record, None);
}

#[test]
fn a_log_that_was_cut_rewritten_or_forked_is_an_indicator_with_both_checkpoints_once() {
    let mut log = Log::new();
    log.grow("started");
    log.grow("quarantined");
    let known = taken(None, log.growth(0, true));
    let mut other = Log::new();
    other.grow("started");
    let cut = other.growth(0, false);
    other.grow("harmless");
    let same_size = other.growth(0, false);
    other.grow("harmless");
    let mut longer = other.growth(3, false);
    longer.from = 3;
    for growth in [cut, same_size, longer] {
        let came = growth.checkpoint.clone();
        let witnessing = told(Some(&known), growth.clone());
        let held = known.rings[0].checkpoint.clone();
        let fact = Fact::LogForked { device: device(), ring: RING, held, came };
        assert_eq!(witnessing.facts, [fact]);
        let record = witnessing.record.unwrap();
        assert_eq!((record.rings[0].size, record.rings[0].disputed), (3, true));
        assert_eq!(witnessing.words[0].taken, None);
        assert_eq!(told(Some(&record), growth).facts, [], "said once");
    }
}

#[test]
fn another_identity_begins_another_log() {
    let known = taken(None, Log::new().growth(0, true));
    let renewed = Witnessed { identity: PublicKey::Ed25519(vec![0; 32]).key_id(), ..known };
    let fresh = taken(Some(&renewed), Log::new().growth(0, true));
    assert_eq!(fresh.identity, identity().key_id());
}

#[test]
fn a_log_begins_anew_only_where_it_was_disputed_and_somebody_accepts_that() {
    let mut log = Log::new();
    log.grow("started");
    let known = taken(None, log.growth(0, true));
    let (by, now) = ("ana".parse().unwrap(), Timestamp::from_ms(5));
    let accepted = |value: Option<Witnessed>| {
        let found = Found { key: "log-witness/d-1".into(), version: Some(1), value };
        accept(&found, &device(), (&by, "provisioned again", now))
    };
    let code = |refused: Result<Decision<AcceptLogReply>, Refused>| refused.unwrap_err().code;
    assert_eq!(code(accepted(None)), RefusalCode::NotFound);
    assert_eq!(code(accepted(Some(known.clone()))), RefusalCode::Conflict);
    let disputed = told(Some(&known), Log::new().growth(0, true)).record.unwrap();
    let decision = accepted(Some(disputed.clone())).unwrap();
    assert_eq!(decision.preview().rings, [RING]);
    // The other past is taken then, and only with the identity's word on its epoch.
    let begun = Witnessed { rings: vec![], ..disputed };
    assert!(told(Some(&begun), Log::new().growth(0, false)).words[0].taken.is_none());
    let fresh = taken(Some(&begun), Log::new().growth(0, true));
    assert!(!fresh.rings[0].disputed);
}

#[test]
fn a_head_is_entered_at_once_and_then_once_an_hour_where_it_moved() {
    let mut log = Log::new();
    let mut known = taken(None, log.growth(0, true));
    let hour = |n: u64| Timestamp::from_ms(1_790_000_000_000 + n * LOGGED_EVERY_MS);
    let secret = Sha256Digest::of(b"fresh");
    let entered = enter_heads(&mut known, hour(0), &secret);
    let root = known.rings[0].root;
    assert_eq!(entered.len(), 1);
    assert_eq!((&*entered[0].act.what, &*entered[0].act.target), (LOG_HEAD, "d-1"));
    assert_eq!(entered[0].act.detail, format!("security ring: 1 records, root {root}"));
    // The same head is not entered again, and another one only after an hour.
    assert_eq!(enter_heads(&mut known, hour(5), &secret), []);
    known.rings[0].logged = Some(Logged { at: hour(5), size: 1 });
    log.grow("started");
    let mut known = taken(Some(&known), log.growth(1, false));
    let soon = Timestamp::from_ms(hour(6).as_ms() - 1);
    assert_eq!(enter_heads(&mut known, soon, &secret), []);
    assert_eq!(enter_heads(&mut known, hour(6), &secret).len(), 1);
    assert_eq!(known.rings[0].logged, Some(Logged { at: hour(6), size: 2 }));
}
