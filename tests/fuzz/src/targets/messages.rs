//! Every JSON body of the interfaces: whatever is read is written and read again as the same.

use core::fmt::Debug;

use lazaret_protocol::enroll::{EnrollReply, EnrollRequest, RenewRequest};
use lazaret_protocol::operator::{
    ClaimRequest, DeviceView, ReasonRequest, ReleaseRequest, RolloutRequest,
};
use lazaret_protocol::order::Order;
use lazaret_protocol::poll::{PollReply, PollRequest};
use lazaret_protocol::report::{Report, ReportReply};
use lazaret_protocol::target::{DeltaCustom, ImageCustom, Schedule};
use lazaret_protocol_tuf::Floors;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::signer;

pub(crate) fn run(input: &[u8]) {
    again(serde_json::from_slice::<PollRequest>(input).ok());
    again(serde_json::from_slice::<PollReply>(input).ok());
    again(serde_json::from_slice::<Report>(input).ok());
    again(serde_json::from_slice::<ReportReply>(input).ok());
    again(serde_json::from_slice::<Order>(input).ok());
    again(serde_json::from_slice::<RenewRequest>(input).ok());
    again(serde_json::from_slice::<EnrollReply>(input).ok());
    again(serde_json::from_slice::<ClaimRequest>(input).ok());
    again(serde_json::from_slice::<ReleaseRequest>(input).ok());
    again(serde_json::from_slice::<RolloutRequest>(input).ok());
    again(serde_json::from_slice::<ReasonRequest>(input).ok());
    again(serde_json::from_slice::<DeviceView>(input).ok());
    again(serde_json::from_slice::<ImageCustom>(input).ok());
    again(serde_json::from_slice::<DeltaCustom>(input).ok());
    again(serde_json::from_slice::<Floors>(input).ok());
    if let Ok(schedule) = serde_json::from_slice::<Schedule>(input) {
        let _checked = schedule.check();
        again(Some(schedule));
    }
    // It holds a secret, so it is not printable.
    let _enrol = serde_json::from_slice::<EnrollRequest>(input);
}

fn again<T: Serialize + DeserializeOwned + PartialEq + Debug>(read: Option<T>) {
    let Some(read) = read else { return };
    let text = serde_json::to_vec(&read).expect("what was read can be written");
    let twice: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(read, twice, "a message is not what it was");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let head = json!({"size": 3, "hash": "00".repeat(32)});
    let running = json!({"version": "1.0.0", "counter": 1, "sha256": "11".repeat(32)});
    let order = signer::envelope("application/vnd.lazaret.order.v1+json", b"{}");
    let schedule = json!({"salt": "s", "steps": [{"permille": 1000, "not_before": 0}]});
    let bodies = [
        json!({
            "sequence": 1, "model": "m", "running": running, "update_state": "idle",
            "other_slot": "good", "boot_count": 1, "tuf_timestamp_version": 1,
            "order_sequence": 0, "log_head": head, "quarantined": false,
        }),
        json!({
            "time": "2026-11-01T00:00:00Z", "tuf_timestamp_version": 1, "orders": [order],
            "next_poll_ms": 1000,
        }),
        json!({
            "device": "d-1", "order": 1, "outcome": {"outcome": "done"}, "running": running,
            "at": "2026-11-01T00:00:00Z", "log_head": head,
        }),
        json!({"root": 1, "timestamp": 2, "snapshot": 3, "roles": {"targets": 4}}),
        schedule,
    ];
    bodies.iter().map(|body| body.to_string().into_bytes()).collect()
}
