//! What an envelope must refuse.

use super::*;
use alloc::string::ToString;
use ed25519_dalek::{Signer as _, SigningKey};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}
impl Message for Note {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.test-note+json";
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OtherNote {
    text: String,
}
impl Message for OtherNote {
    const PAYLOAD_TYPE: &'static str = "application/vnd.lazaret.other-note+json";
}

fn key(seed: u8) -> (SigningKey, PublicKey) {
    let signer = SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::Ed25519(signer.verifying_key().as_bytes().to_vec());
    (signer, public)
}

fn sealed(seed: u8) -> (Envelope, PublicKey) {
    let (signer, public) = key(seed);
    let note = Note { text: "hello".to_string() };
    let envelope = Envelope::seal::<_, CanonicalError>(&note, public.key_id(), |bytes| {
        Ok(signer.sign(bytes).to_bytes().to_vec())
    })
    .unwrap();
    (envelope, public)
}

#[test]
fn the_encoding_is_the_one_of_the_dsse_specification() {
    let pae = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn a_sealed_envelope_survives_the_wire() {
    let (envelope, public) = sealed(1);
    let bytes = serde_json::to_vec(&envelope).unwrap();
    let verified = Envelope::parse(&bytes).unwrap().verify::<Note>(&[public]).unwrap();
    assert_eq!(verified.message().text, "hello");
}

#[test]
fn a_text_with_line_breaks_survives_the_wire() {
    let (signer, public) = key(1);
    let note = Note { text: "first\nsecond\u{1b}[2J".to_string() };
    let envelope = Envelope::seal::<_, CanonicalError>(&note, public.key_id(), |bytes| {
        Ok(signer.sign(bytes).to_bytes().to_vec())
    })
    .unwrap();
    assert_eq!(envelope.verify::<Note>(&[public]).unwrap().into_message(), note);
}

#[test]
fn an_envelope_signed_by_a_stranger_is_refused() {
    let (envelope, _) = sealed(1);
    let (_, stranger) = key(2);
    let refused = envelope.verify::<Note>(&[stranger]).unwrap_err();
    assert_eq!(refused, EnvelopeError::NotSigned { payload_type: Note::PAYLOAD_TYPE });
}

#[test]
fn a_changed_payload_is_refused() {
    let (mut envelope, public) = sealed(1);
    envelope.payload[9] ^= 1;
    let refused = envelope.verify::<Note>(&[public]).unwrap_err();
    assert_eq!(refused, EnvelopeError::NotSigned { payload_type: Note::PAYLOAD_TYPE });
}

#[test]
fn a_message_of_one_kind_does_not_pass_for_another() {
    let (mut envelope, public) = sealed(1);
    let keys = [public];
    assert!(matches!(
        envelope.verify::<OtherNote>(&keys),
        Err(EnvelopeError::WrongType { expected: OtherNote::PAYLOAD_TYPE, .. })
    ));
    envelope.payload_type = OtherNote::PAYLOAD_TYPE.to_string();
    let refused = envelope.verify::<OtherNote>(&keys).unwrap_err();
    assert_eq!(refused, EnvelopeError::NotSigned { payload_type: OtherNote::PAYLOAD_TYPE });
}
