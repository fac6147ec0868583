//! Decides polls of one device, whose records it reads from a file, so that valgrind can count the
//! instructions: `lazaret-bench-decide RECORDS POLLS`.

#![allow(clippy::print_stdout, reason = "all of this is a test")]

use anyhow::Context as _;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::poll::{LogHead, PollRequest, SlotHealth};
use lazaret_protocol::signed::DevicePeer;
use lazaret_server_domain::device::Device;
use lazaret_server_domain::poll::{PollContext, PollView, Polled, RolloutPart, decide};
use lazaret_server_domain::record::Found;
use lazaret_server_domain::rollout::state::{Assigned, Assignment, Rollout};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next().context("expected a file of records")?;
    let polls: u64 = arguments.next().context("expected a number of polls")?.parse()?;
    let (device, rollout, part): (Device, Rollout, Assignment) =
        serde_json::from_slice(&std::fs::read(records)?)?;
    let now = rollout.started.plus_ms(60_000);
    let context = PollContext {
        now,
        tuf_timestamp_version: 3,
        poll_interval_ms: 300_000,
        certificate_life_ms: 1000,
        nonce: lazaret_protocol::digest::Sha256Digest::of(b"next"),
        shown: None,
        bindings: lazaret_server_domain::number::Bindings::default(),
    };
    let peer = DevicePeer::from_checked_certificate(device.id.clone());
    let mut orders = 0;
    for sequence in 1..=polls {
        let request = peer.vouch(PollRequest {
            sequence,
            model: device.model.clone(),
            running: device.running.clone(),
            update_state: "idle".to_owned(),
            other_slot: SlotHealth::Unknown,
            boot_count: 1,
            tuf_timestamp_version: 3,
            order_sequence: 0,
            log_head: LogHead { size: 1, hash: Sha256Digest::of(b"") },
            quarantined: false,
            containment: None,
            hold_ms: 0,
            posture: None,
            nonce: None,
            boot: None,
            logs: vec![],
        });
        let assigned = Assigned { device: device.id.clone(), rollout: rollout.id.clone() };
        let view = PollView {
            device: found("device", device.clone()),
            assigned: found("assigned", assigned),
            parts: vec![RolloutPart {
                rollout: found("rollout", rollout.clone()),
                assignment: found("assignment", part.clone()),
            }],
            cord: Found { key: "cord/fleet".to_owned(), version: None, value: None },
            witnessed: Found { key: "log-witness/d-1".to_owned(), version: None, value: None },
            evidence: None,
            numbers: vec![],
        };
        match decide(&view, &request, context) {
            Ok(Polled::Answered(decision)) => orders += decision.into_parts()?.put.len(),
            other => anyhow::bail!("expected an answer, got {other:?}"),
        }
    }
    println!("{orders}");
    Ok(())
}

fn found<T>(key: &str, value: T) -> Found<T> {
    Found { key: key.to_owned(), version: Some(1), value: Some(value) }
}
