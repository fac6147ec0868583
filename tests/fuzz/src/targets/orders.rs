//! Envelopes, raw and around a payload that is signed: a device's report, and an order as the agent
//! takes it.

use lazaret_protocol::order::Order;
use lazaret_protocol::report::Report;
use lazaret_protocol::signed::{Envelope, Message};
use serde_json::json;

use crate::signer;

pub(crate) fn envelope(input: &[u8]) {
    let keys = [signer::public_key()];
    if let Ok(envelope) = Envelope::parse(input) {
        let _report = envelope.verify::<Report>(&keys);
    }
    verified::<Report>(input);
}

pub(crate) fn order(input: &[u8]) {
    verified::<Order>(input);
}

/// Signs the input as a payload, sends it as a peer would, and reads it.
fn verified<T: Message>(input: &[u8]) {
    let sealed = signer::envelope(T::PAYLOAD_TYPE, input);
    let wire = serde_json::to_vec(&sealed).expect("an envelope is JSON");
    let Ok(envelope) = Envelope::parse(&wire) else { return };
    assert_eq!(envelope, sealed, "an envelope is not what it was");
    let _verified = envelope.verify::<T>(&[signer::public_key()]);
    let other = lazaret_protocol::key::PublicKey::Ed25519(vec![0x33; 32]);
    assert!(envelope.verify::<T>(&[other]).is_err(), "a stranger's key verifies");
}

pub(crate) fn envelope_seeds() -> Vec<Vec<u8>> {
    let report = json!({
        "device": "d-1", "order": 1, "outcome": {"outcome": "done"}, "running": null,
        "at": "2026-11-01T00:00:00Z", "log_head": {"size": 0, "hash": "00".repeat(32)},
    });
    let report = report.to_string().into_bytes();
    let sealed = signer::envelope(Report::PAYLOAD_TYPE, &report);
    vec![serde_json::to_vec(&sealed).unwrap_or_default(), report]
}

pub(crate) fn order_seeds() -> Vec<Vec<u8>> {
    let kinds = [
        json!({"do": "install", "rollout": "r-1", "model": "m", "version": "1.0.0"}),
        json!({"do": "halt", "install": 7}),
        json!({"do": "quarantine", "reason": "because"}),
        json!({"do": "collect", "bundle": "b-1"}),
    ];
    let order = |kind| {
        json!({
            "device": "d-1", "sequence": 8, "issued": "2026-11-01T00:00:00Z",
            "expires": "2026-11-02T00:00:00Z", "kind": kind,
        })
    };
    kinds.into_iter().map(|kind| order(kind).to_string().into_bytes()).collect()
}
