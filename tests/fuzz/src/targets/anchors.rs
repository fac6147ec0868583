//! `trust/anchors`: signed by the targets role, and still parsed with care.

use lazaret_protocol::anchors::Anchors;
use lazaret_protocol::canonical;

use crate::signer;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let anchors = Anchors {
        version: 1,
        order_keys: vec![signer::public_key()],
        server_cas: vec!["-----BEGIN CERTIFICATE-----".into()],
        device_cas: vec![String::new()],
        audit_keys: vec![signer::public_key()],
        responders: vec!["age1".into()],
        plan_approvers: vec![],
        approvers: None,
    };
    vec![canonical::to_bytes(&anchors).unwrap_or_default()]
}

pub(crate) fn run(input: &[u8]) {
    let Ok(anchors) = Anchors::parse(input) else { return };
    for key in &anchors.order_keys {
        assert!(key.verify(b"message", &[0; 64]).is_err(), "a signature of zeros holds");
    }
}
