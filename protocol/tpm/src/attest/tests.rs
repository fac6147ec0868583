//! Statements: signed by whom, and read to the last byte.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use crate::public::tests::attestation_area;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use proptest::prelude::*;

fn key() -> (SigningKey, Public) {
    let secret = p256::SecretKey::from_slice(&[9; 32]).unwrap();
    let point = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
    (SigningKey::from(&secret), Public::parse(&attestation_area(&point)).unwrap())
}

fn quote() -> Vec<u8> {
    [
        &MAGIC.to_be_bytes()[..],
        &ST_QUOTE.to_be_bytes(),
        &[0, 0],
        &[0, 5],
        b"nonce",
        &77_u64.to_be_bytes(),
        &4_u32.to_be_bytes(),
        &2_u32.to_be_bytes(),
        &[1],
        &[0; 8],
        &1_u32.to_be_bytes(),
        &[0, 0x0b, 3, 0b1000_0001, 0, 1],
        &[0, 32],
        &[5; 32],
    ]
    .concat()
}

fn signed(statement: &[u8], by: &SigningKey) -> Vec<u8> {
    let signature: Signature = by.sign(statement);
    let (r, s) = signature.split_bytes();
    [&[0, 0x18, 0, 0x0b, 0, 32][..], &r, &[0, 32], &s].concat()
}

#[test]
fn a_quote_is_read() {
    let (key, public) = key();
    let attested = verify(&quote(), &signed(&quote(), &key), &public).unwrap();
    assert_eq!(attested.nonce, b"nonce");
    assert_eq!(attested.clock, ClockInfo { clock_ms: 77, resets: 4, restarts: 2 });
    let (registers, digest) = ([0, 7, 16].to_vec(), [5; 32].to_vec());
    assert_eq!(attested.statement, Statement::Quoted { registers, digest });
}

#[test]
fn a_statement_that_no_tpm_made_is_refused_though_the_signature_holds() {
    let (key, public) = key();
    let mut forged = quote();
    forged[0] = 0;
    let refused = verify(&forged, &signed(&forged, &key), &public);
    assert!(matches!(refused, Err(TpmError::Unexpected { .. })), "{refused:?}");
    let mut other = quote();
    other[5] = 0x1a;
    let refused = verify(&other, &signed(&other, &key), &public);
    assert!(matches!(refused, Err(TpmError::Unexpected { .. })), "{refused:?}");
}

#[test]
fn a_statement_of_a_key_that_signs_anything_is_refused() {
    let (signing, _) = key();
    let secret = p256::SecretKey::from_slice(&[9; 32]).unwrap();
    let point = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
    let mut area = attestation_area(&point);
    // Not restricted.
    area[5] &= !1;
    let public = Public::parse(&area).unwrap();
    let refused = verify(&quote(), &signed(&quote(), &signing), &public);
    assert!(matches!(refused, Err(TpmError::BadKey { .. })), "{refused:?}");
}

proptest! {
    #[test]
    fn a_changed_statement_or_signature_is_refused(at: prop::sample::Index, by in 1u8..) {
        let (key, public) = key();
        let (statement, signature) = (quote(), signed(&quote(), &key));
        let at = at.index(statement.len() + signature.len());
        let mut all = [statement.clone(), signature].concat();
        all[at] ^= by;
        let (changed, signature) = all.split_at(statement.len());
        prop_assert!(verify(changed, signature, &public).is_err());
    }

    #[test]
    fn any_signed_bytes_are_a_statement_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..150), cut: prop::sample::Index
    ) {
        let (key, public) = key();
        let _ = verify(&bytes, &signed(&bytes, &key), &public);
        let cut = &quote()[..cut.index(quote().len())];
        prop_assert!(verify(cut, &signed(cut, &key), &public).is_err());
    }
}
