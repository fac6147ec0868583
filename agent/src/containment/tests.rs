//! What is kept is verified anew each time, and what does not verify closes everything.

use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use lazaret_agent_core::reason::Reason;
use lazaret_protocol::canonical::CanonicalError;
use lazaret_protocol::key::PublicKey;
use lazaret_protocol::time::Timestamp;

fn server() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn anchors(signer: &SigningKey) -> Anchors {
    Anchors {
        version: 1,
        order_keys: vec![PublicKey::Ed25519(signer.verifying_key().to_bytes().into())],
        server_cas: vec![],
        device_cas: vec![],
        audit_keys: vec![],
        responders: vec![],
        plan_approvers: vec![],
        approvers: None,
    }
}

fn sealed(sequence: u64, level: Level) -> Envelope {
    let signer = server();
    let open = vec!["10.0.0.1:8443".parse().unwrap()];
    let order = Order {
        device: "d-1".parse().unwrap(),
        sequence,
        issued: Timestamp::from_ms(1),
        expires: Timestamp::from_ms(2),
        kind: OrderKind::Quarantine {
            reason: "suspicion".into(),
            terms: Terms { open, ..Terms::of(level) },
        },
    };
    let keyid = anchors(&signer).order_keys[0].key_id();
    Envelope::seal::<_, CanonicalError>(&order, keyid, |bytes| {
        Ok(signer.sign(bytes).to_bytes().to_vec())
    })
    .unwrap()
}

fn held(order: u64, level: Level) -> Quarantine {
    Quarantine::Held { order, reason: Reason::new("suspicion"), level, pending: false }
}

#[test]
fn a_kept_order_says_its_terms_as_long_as_it_verifies() {
    let folder = tempfile::tempdir().unwrap();
    keep(&Durable::default(), folder.path(), (5, &sealed(5, Level::Isolate))).unwrap();
    let trusted = anchors(&server());
    let good = terms(folder.path(), &held(5, Level::Isolate), Some(&trusted)).unwrap();
    assert_eq!(good.open_once(), ["10.0.0.1:8443".parse().unwrap()]);

    let stranger = anchors(&SigningKey::from_bytes(&[8; 32]));
    for (held, anchors) in [
        (held(5, Level::Isolate), Some(&stranger)),
        (held(5, Level::Isolate), None),
        (held(6, Level::Isolate), Some(&trusted)),
        (held(5, Level::Revoke), Some(&trusted)),
    ] {
        let (closed, _) = terms(folder.path(), &held, anchors).unwrap_err();
        assert_eq!(closed.open, [], "what does not verify leaves nothing open");
        assert!(closed.level.closes_network());
    }
}

#[test]
fn an_order_that_was_kept_under_another_number_is_not_the_one() {
    let folder = tempfile::tempdir().unwrap();
    keep(&Durable::default(), folder.path(), (6, &sealed(5, Level::Isolate))).unwrap();
    let trusted = anchors(&server());
    assert!(terms(folder.path(), &held(6, Level::Isolate), Some(&trusted)).is_err());
}

#[test]
fn every_order_has_a_nonce_of_its_own_and_old_ones_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    for order in [5, 6] {
        keep(&Durable::default(), folder.path(), (order, &sealed(order, Level::Isolate))).unwrap();
    }
    let nonce = |order| stored(folder.path(), order).map(|stored| stored.nonce);
    assert!(nonce(5).is_some() && nonce(5) != nonce(6));
    sweep(folder.path(), Some(6));
    assert!(nonce(5).is_none() && nonce(6).is_some());
}

#[test]
fn a_name_stands_for_the_ordered_addresses_while_the_network_is_closed() {
    let pins = Pins::default();
    assert_eq!(pins.of_port(443), None);
    pins.set(Some(vec!["10.0.0.1:443".parse().unwrap(), "10.0.0.2:80".parse().unwrap()]));
    assert_eq!(pins.of_port(443), Some(vec!["10.0.0.1:443".parse().unwrap()]));
    assert_eq!(pins.of_port(53), Some(vec![]));
    pins.set(None);
    assert_eq!(pins.of_port(443), None);
}
