//! Signatures that `ssh-keygen` (OpenSSH 9.2) made over `a message`, and ones of a token that is
//! played here, because nobody can touch one in a test.

use alloc::vec;

use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::*;

const MESSAGE: &[u8] = b"a message";

fn key(line: &str) -> SshKey {
    line.parse().unwrap()
}

fn ed() -> SshKey {
    key(include_str!("fixtures/ed.pub"))
}

#[test]
fn what_ssh_keygen_signed_verifies() {
    let ec = key(include_str!("fixtures/ec.pub"));
    for (key, armoured) in [
        (ed(), include_str!("fixtures/ed.sig")),
        (ed(), include_str!("fixtures/ed256.sig")),
        (ec, include_str!("fixtures/ec.sig")),
    ] {
        let signature = SshSignature::parse(armoured).unwrap();
        assert_eq!(*signature.claimed_key(), key);
        assert_eq!(signature.verify(&key, NAMESPACE_PLAN, MESSAGE), Ok(()));
        let other = signature.verify(&key, NAMESPACE_PLAN, b"another message");
        assert_eq!(other, Err(SshError::Signature(SignatureError::DoesNotHold)));
    }
}

#[test]
fn a_signature_for_another_purpose_is_refused() {
    let signature = SshSignature::parse(include_str!("fixtures/ed-git.sig")).unwrap();
    let refused = signature.verify(&ed(), NAMESPACE_PLAN, MESSAGE);
    let expected = SshError::Namespace { expected: NAMESPACE_PLAN.into(), got: "git".into() };
    assert_eq!(refused, Err(expected));
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let signature = SshSignature::parse(include_str!("fixtures/ed.sig")).unwrap();
    let ec = key(include_str!("fixtures/ec.pub"));
    let refused = signature.verify(&ec, NAMESPACE_PLAN, MESSAGE);
    assert!(matches!(refused, Err(SshError::OtherKey { .. })), "{refused:?}");
}

#[test]
fn a_key_of_another_algorithm_is_refused() {
    let refused = include_str!("fixtures/rsa.pub").parse::<SshKey>();
    assert_eq!(refused, Err(SshError::Algorithm { got: "ssh-rsa".into() }));
}

#[test]
fn a_key_line_reads_as_it_was_written() {
    let key = ed();
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    let json = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<SshKey>(&json).unwrap(), key);
}

/// SSH strings behind each other.
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![];
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What a FIDO2 token that has `flags` to say signs over `MESSAGE` (PROTOCOL.u2f).
fn token(blob: &[u8], flags: u8, sign: impl Fn(&[u8]) -> Vec<u8>) -> SshSignature {
    let algorithm = Reader(blob).text().unwrap();
    let digest = Sha512::digest(MESSAGE);
    let mut signed = b"SSHSIG".to_vec();
    signed.extend(strings(&[NAMESPACE_PLAN.as_bytes(), b"", b"sha512", &digest]));
    let counter = 7u32.to_be_bytes();
    let mut said = Sha256::digest(b"ssh:").to_vec();
    said.push(flags);
    said.extend_from_slice(&counter);
    said.extend_from_slice(&Sha256::digest(&signed));
    let mut signature = strings(&[algorithm, &sign(&said)]);
    signature.push(flags);
    signature.extend_from_slice(&counter);
    let mut whole = b"SSHSIG\0\0\0\x01".to_vec();
    whole.extend(strings(&[blob, NAMESPACE_PLAN.as_bytes(), b"", b"sha512", &signature]));
    SshSignature::parse_blob(&whole).unwrap()
}

#[test]
fn a_touch_of_a_security_key_verifies_and_none_does_not() {
    let signer = SigningKey::from_bytes(&[9; 32]);
    let public = signer.verifying_key();
    let blob = strings(&[b"sk-ssh-ed25519@openssh.com", public.as_bytes(), b"ssh:"]);
    let key = SshKey::from_blob(&blob).unwrap();
    let sign = |said: &[u8]| signer.sign(said).to_bytes().to_vec();
    assert_eq!(token(&blob, 1, sign).verify(&key, NAMESPACE_PLAN, MESSAGE), Ok(()));
    let refused = token(&blob, 4, sign).verify(&key, NAMESPACE_PLAN, MESSAGE);
    assert_eq!(refused, Err(SshError::NotTouched));
}

#[test]
fn a_touch_of_a_p256_security_key_verifies() {
    let signer = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let point = signer.verifying_key().to_sec1_point(false);
    let blob =
        strings(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point.as_bytes(), b"ssh:"]);
    let key = SshKey::from_blob(&blob).unwrap();
    let sign = |said: &[u8]| {
        let signature: p256::ecdsa::Signature = signer.sign(said);
        let (r, s) = signature.split_bytes();
        let number = |bytes: &[u8]| {
            let short: Vec<u8> = bytes.iter().copied().skip_while(|&b| b == 0).collect();
            if short[0] >= 0x80 { [vec![0], short].concat() } else { short }
        };
        strings(&[&number(&r), &number(&s)])
    };
    assert_eq!(token(&blob, 1, sign).verify(&key, NAMESPACE_PLAN, MESSAGE), Ok(()));
}

proptest! {
    #[test]
    fn any_bytes_are_a_signature_or_a_refusal(bytes: Vec<u8>) {
        let mut whole = b"SSHSIG\0\0\0\x01".to_vec();
        whole.extend(bytes);
        let _ = SshSignature::parse_blob(&whole);
    }

    #[test]
    fn a_changed_byte_never_verifies(at in 0usize..1000, bit in 0u8..8) {
        let armoured = include_str!("fixtures/ed.sig");
        let body: String = armoured.lines().filter(|line| !line.starts_with('-')).collect();
        let mut blob = STANDARD.decode(body).unwrap();
        let at = at.checked_rem(blob.len()).unwrap();
        blob[at] ^= 1 << bit;
        let verified = SshSignature::parse_blob(&blob)
            .and_then(|signature| signature.verify(&ed(), NAMESPACE_PLAN, MESSAGE));
        prop_assert!(verified.is_err());
    }
}
