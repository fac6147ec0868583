//! A release holds for the devices that people signed it for, and for nobody and nothing else.

#![allow(clippy::arithmetic_side_effects, reason = "all of this is a test")]

use super::*;
use alloc::vec;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::release::ApproverEntry;
use lazaret_protocol::sshsig::SshKey;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_ms(1_000);

fn person(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn key_of(signer: &SigningKey) -> PublicKey {
    PublicKey::Ed25519(signer.verifying_key().to_bytes().into())
}

fn sign(seed: u8, namespace: &str, bytes: &[u8]) -> String {
    let signer = person(seed);
    SshSignature::sign::<SshError>(&key_of(&signer), namespace, bytes, |text| {
        Ok(signer.sign(text).to_bytes().to_vec())
    })
    .unwrap()
}

fn approvers(threshold: u64) -> Approvers {
    let entry = |name: &str, seed| ApproverEntry {
        name: name.parse().unwrap(),
        key: SshKey::of(&key_of(&person(seed))),
    };
    Approvers {
        threshold,
        keys: vec![entry("ana", 1), entry("bo", 2), entry("cy", 3), entry("ana", 4)],
    }
}

fn devices(count: usize) -> Vec<(DeviceId, Sha256Digest)> {
    (0..count)
        .map(|n| {
            let id: DeviceId = alloc::format!("d-{n}").parse().unwrap();
            (id, Sha256Digest::of(&[u8::try_from(n).unwrap()]))
        })
        .collect()
}

fn statement(tree: &ReleaseTree, devices: u64) -> ReleaseStatement {
    ReleaseStatement {
        action: ACTION_RELEASE.into(),
        id: "x-1".into(),
        author: "ana".parse().unwrap(),
        reason: "patched".into(),
        issued: Timestamp::from_ms(0),
        expires: Timestamp::from_ms(2_000),
        devices,
        root: tree.root(),
    }
}

fn proof(count: usize, index: usize, seeds: &[u8]) -> ReleaseProof {
    let tree = ReleaseTree::over(&devices(count));
    let bytes = statement(&tree, u64::try_from(count).unwrap()).to_bytes().unwrap();
    ReleaseProof {
        signatures: seeds.iter().map(|seed| sign(*seed, NAMESPACE_RELEASE, &bytes)).collect(),
        statement: bytes,
        index: u64::try_from(index).unwrap(),
        path: tree.path(index).unwrap(),
        challenge: Sha256Digest::of(b"challenge"),
    }
}

fn held(proof: &ReleaseProof, index: usize) -> Result<ProvedRelease, ReleaseError> {
    let all = devices(64);
    let (device, nonce) = &all[index];
    prove(proof, Some(&approvers(2)), (device, nonce), NOW)
}

#[test]
fn two_people_let_out_every_device_of_the_statement_and_no_other() {
    for count in [1, 2, 3, 5, 8, 13, 64] {
        for index in 0..count {
            let proved = held(&proof(count, index, &[1, 2]), index).unwrap();
            assert_eq!(proved.signers().len(), 2);
        }
    }
    let other = held(&proof(5, 2, &[1, 2]), 3);
    assert!(matches!(other, Err(ReleaseError::NotIncluded { .. })), "{other:?}");
}

#[test]
fn one_person_is_no_quorum_whatever_keys_they_have() {
    let quorum = |seeds: &[u8]| held(&proof(3, 1, seeds), 1);
    let one = Err(ReleaseError::Quorum { need: 2, have: 1 });
    assert_eq!(quorum(&[1]), one);
    assert_eq!(quorum(&[1, 1, 1]), one, "the same signature three times");
    assert_eq!(quorum(&[1, 4]), one, "two keys of one person");
    assert_eq!(quorum(&[1, 9]), one, "a stranger beside an approver");
    assert_eq!(quorum(&[]), Err(ReleaseError::Quorum { need: 2, have: 0 }));
    assert!(quorum(&[1, 9, 3]).is_ok());
}

#[test]
fn a_signature_for_another_purpose_or_of_another_statement_sets_nobody_free() {
    let mut other = proof(3, 1, &[1]);
    other.signatures.push(sign(2, "lazaret-plan@lazaret", &other.statement));
    assert!(matches!(held(&other, 1), Err(ReleaseError::Signature { .. })));
    let mut moved = proof(3, 1, &[1, 2]);
    moved.signatures = proof(4, 1, &[1, 2]).signatures;
    assert!(matches!(held(&moved, 1), Err(ReleaseError::Signature { .. })));
}

#[test]
fn a_release_is_good_once_and_until_it_lapses() {
    let (all, proof) = (devices(3), proof(3, 1, &[1, 2]));
    let late =
        prove(&proof, Some(&approvers(2)), (&all[1].0, &all[1].1), Timestamp::from_ms(2_000));
    assert!(matches!(late, Err(ReleaseError::Lapsed { .. })));
    // Shut in again it has another nonce, and what let it out before does not any more.
    let again = Sha256Digest::of(b"another nonce");
    let replayed = prove(&proof, Some(&approvers(2)), (&all[1].0, &again), NOW);
    assert!(matches!(replayed, Err(ReleaseError::NotIncluded { .. })));
    let nobody = prove(&proof, None, (&all[1].0, &all[1].1), NOW);
    assert_eq!(nobody, Err(ReleaseError::NoApprovers));
}

#[test]
fn a_server_alone_with_all_its_keys_cannot_set_a_device_free() {
    // Its order key, its audit key, and as many more as it likes: none is an approver's, and what
    // approvers signed for another device or another time does not fit this one's nonce.
    let stolen = [21, 22, 23, 24, 25, 26];
    let refused = held(&proof(3, 1, &stolen), 1);
    assert_eq!(refused, Err(ReleaseError::Quorum { need: 2, have: 0 }));
    let mut kept = proof(3, 1, &[1, 2]);
    kept.path = proof(5, 1, &[1, 2]).path;
    assert!(matches!(held(&kept, 1), Err(ReleaseError::NotIncluded { .. })));
    let mut claimed = proof(3, 1, &[1]);
    claimed.signatures.push(sign(21, NAMESPACE_RELEASE, &claimed.statement));
    assert_eq!(held(&claimed, 1), Err(ReleaseError::Quorum { need: 2, have: 1 }));
}

#[test]
fn a_threshold_of_nobody_lets_nobody_out() {
    let all = devices(3);
    let none = prove(&proof(3, 1, &[]), Some(&approvers(0)), (&all[1].0, &all[1].1), NOW);
    assert_eq!(none, Err(ReleaseError::Quorum { need: 1, have: 0 }));
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_statement_sets_nobody_free(at in 0usize..10_000, bit in 0u8..8) {
        let mut changed = proof(5, 2, &[1, 2]);
        let at = at % changed.statement.len();
        changed.statement[at] ^= 1 << bit;
        prop_assert!(held(&changed, 2).is_err());
    }
}
