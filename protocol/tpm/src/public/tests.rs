//! Public areas: what is refused, and that nothing else happens. Real ones are read in the tests of
//! the device's key helper, against a TPM simulator.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small things")]

use super::*;
use proptest::prelude::*;

/// The attestation key of a simulator, as TPM2_Create returned it, with a point of its own.
pub(crate) fn attestation_area(point: &[u8]) -> Vec<u8> {
    let attributes: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 16 | 1 << 18;
    [
        &ALG_ECC.to_be_bytes()[..],
        &ALG_SHA256.to_be_bytes(),
        &attributes.to_be_bytes(),
        &[0, 0],
        &ALG_NULL.to_be_bytes(),
        &ALG_ECDSA.to_be_bytes(),
        &ALG_SHA256.to_be_bytes(),
        &CURVE_P256.to_be_bytes(),
        &ALG_NULL.to_be_bytes(),
        &[0, 32],
        &point[1..33],
        &[0, 32],
        &point[33..],
    ]
    .concat()
}

fn point(seed: u8) -> Vec<u8> {
    use p256::elliptic_curve::sec1::ToSec1Point as _;
    let key = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
    key.public_key().to_sec1_point(false).as_bytes().to_vec()
}

#[test]
fn an_attestation_key_is_read_and_named() {
    let area = attestation_area(&point(7));
    let public = Public::parse(&area).unwrap();
    assert_eq!(public.unique, Unique::EccP256(point(7)));
    assert!(public.attributes.attests() && public.attributes.never_leaves());
    assert!(!public.attributes.endorses());
    assert_eq!(public.name()[..2], [0, 0x0b]);
    assert_eq!(public.name()[2..], Sha256::digest(&area)[..]);
}

#[test]
fn every_attribute_counts() {
    // fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign: without any one it attests not.
    for bit in [1, 4, 5, 16, 18] {
        let mut area = attestation_area(&point(7));
        let attributes = u32::from_be_bytes(area[4..8].try_into().unwrap()) & !(1 << bit);
        area[4..8].copy_from_slice(&attributes.to_be_bytes());
        let attributes = Public::parse(&area).unwrap().attributes;
        assert!(!(attributes.attests() && attributes.never_leaves()), "bit {bit}");
    }
}

#[test]
fn other_areas_are_refused() {
    let area = attestation_area(&point(7));
    let long = [&area[..], &[0]].concat();
    assert_eq!(Public::parse(&long), Err(TpmError::Long { what: "the public area" }));
    for length in 0..area.len() {
        let short = Err(TpmError::Short { what: "the public area" });
        assert_eq!(Public::parse(&area[..length]), short, "{length} bytes");
    }
    let mut off_curve = area.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    let refused = TpmError::BadKey { expected: "a point of P-256" };
    assert_eq!(Public::parse(&off_curve), Err(refused));
    let mut sha1 = area;
    sha1[3] = 0x04;
    let expected = "SHA-256 as the algorithm of names";
    assert_eq!(Public::parse(&sha1), Err(TpmError::Unexpected { expected, got: 4 }));
}

proptest! {
    #[test]
    fn any_bytes_are_an_area_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Public::parse(&bytes);
        let _ = signature(&bytes);
    }

    #[test]
    fn any_changed_byte_makes_another_name(at: prop::sample::Index, by in 1u8..) {
        let area = attestation_area(&point(7));
        let mut changed = area.clone();
        let at = at.index(area.len());
        changed[at] ^= by;
        if let Ok(public) = Public::parse(&changed) {
            let whole = Public::parse(&area).unwrap();
            prop_assert_ne!(public.name(), whole.name());
        }
    }
}

#[test]
fn a_short_number_is_padded_and_a_long_one_refused() {
    assert_eq!(padded(&[1]).unwrap()[31], 1);
    assert_eq!(padded(&[1; 33]), None);
}
