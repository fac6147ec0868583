//! Epochs: only what the key before has signed follows.

use super::super::record::tests::record;
use super::*;
use ed25519_dalek::{Signer as _, SigningKey};

pub(in super::super) const ORIGIN: &str = "lazaret/plant-7/gw-1/security";

pub(in super::super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(in super::super) fn identity() -> PublicKey {
    PublicKey::Ed25519(key(200).verifying_key().to_bytes().to_vec())
}

/// The record that begins epoch `number` with the key of that seed, signed by `by`.
pub(in super::super) fn begins(number: u64, seq: u64, seed: u8, by: &SigningKey) -> Record {
    let public = key(seed).verifying_key().to_bytes();
    let epoch = NewEpoch { origin: ORIGIN.into(), number, seq, public };
    let voucher = key(200).sign(&epoch.voucher()).to_bytes();
    record(seq, EPOCH, epoch.detail(&by.sign(&epoch.message()).to_bytes(), &voucher))
}

#[test]
fn epochs_follow_from_the_identity_on() {
    let mut epochs = Epochs::before_first(ORIGIN, identity());
    assert_eq!(epochs.verifier(), None);
    epochs.take(&begins(1, 0, 1, &key(200))).unwrap();
    epochs.take(&record(1, Kind::known("noted"), Detail::none())).unwrap();
    epochs.take(&begins(2, 9, 2, &key(1))).unwrap();
    assert_eq!(epochs.number(), 2);
    let public = key(2).verifying_key().to_bytes();
    let expected = VerifierKey::new(ORIGIN, SignatureType::Ed25519, public).unwrap();
    assert_eq!(epochs.verifier(), Some(expected));
    assert_eq!(epochs, Epochs::after(ORIGIN, 2, public));
}

#[test]
fn an_epoch_of_a_newer_key_or_a_stranger_is_refused() {
    let mut epochs = Epochs::before_first(ORIGIN, identity());
    epochs.take(&begins(1, 0, 1, &key(200))).unwrap();
    epochs.take(&begins(2, 5, 2, &key(1))).unwrap();
    // The key that is in force now cannot make the past anew.
    let mut again = Epochs::before_first(ORIGIN, identity());
    let refused = Err(EpochError::NotSigned { seq: 0, number: 1 });
    assert_eq!(again.take(&begins(1, 0, 7, &key(2))), refused);
    let refused = Err(EpochError::NotSigned { seq: 9, number: 3 });
    assert_eq!(epochs.take(&begins(3, 9, 3, &key(1))), refused);
    assert_eq!(epochs.number(), 2);
}

#[test]
fn an_epoch_left_out_told_twice_or_moved_is_refused() {
    let mut epochs = Epochs::before_first(ORIGIN, identity());
    let first = begins(1, 0, 1, &key(200));
    epochs.take(&first).unwrap();
    let refused = Err(EpochError::Number { seq: 0, expected: 2, got: 1 });
    assert_eq!(epochs.take(&first), refused);
    let refused = Err(EpochError::Number { seq: 4, expected: 2, got: 3 });
    assert_eq!(epochs.take(&begins(3, 4, 3, &key(1))), refused);
    let mut moved = begins(2, 4, 2, &key(1));
    moved.seq = 5;
    assert_eq!(epochs.take(&moved), Err(EpochError::NotSigned { seq: 5, number: 2 }));
    let bare = record(6, EPOCH, Detail::none().number("number", 2u64));
    assert_eq!(epochs.take(&bare), Err(EpochError::Unreadable { seq: 6, detail: "public" }));
}

#[test]
fn an_epoch_is_believed_without_its_past_only_where_the_identity_vouches_for_it() {
    let begun = begins(7, 90, 3, &key(2));
    let epochs = Epochs::vouched(ORIGIN, &identity(), &begun).unwrap();
    assert_eq!(epochs, Epochs::after(ORIGIN, 7, key(3).verifying_key().to_bytes()));
    let stranger = PublicKey::Ed25519(key(9).verifying_key().to_bytes().to_vec());
    let refused = Err(EpochError::NotVouched { seq: 90, number: 7 });
    assert_eq!(Epochs::vouched(ORIGIN, &stranger, &begun), refused);
    assert_eq!(Epochs::vouched("other", &identity(), &begun), refused);
    let mut moved = begun;
    moved.seq = 91;
    let refused = Err(EpochError::NotVouched { seq: 91, number: 7 });
    assert_eq!(Epochs::vouched(ORIGIN, &identity(), &moved), refused);
    let other = record(1, Kind::known("noted"), Detail::none());
    let refused = Err(EpochError::Unreadable { seq: 1, detail: "kind" });
    assert_eq!(Epochs::vouched(ORIGIN, &identity(), &other), refused);
}
