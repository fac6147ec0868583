//! Heads of devices' logs in the server's own audit log: whoever holds a checkpoint of that one can
//! hold a device's log against what it was, even where device and server lie together afterwards.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{AUDIT_DONE, AuditAct, AuditWho, AuditWhoKind};
use lazaret_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ring, Witnessed};
use crate::audit::WaitingLeaf;

/// A ring's head is entered at most so often, in milliseconds: a device that writes all day long
/// costs 24 entries.
pub const LOGGED_EVERY_MS: u64 = 60 * 60 * 1000;

/// What such an entry says that it is.
pub const LOG_HEAD: &str = "log head";

/// The head of a ring that was entered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// When.
    pub at: Timestamp,
    /// How many records it had.
    pub size: u64,
}

/// Enters the heads of this device's log that are due, one leaf each, and notes that in the record:
/// both belong in one commit. `secret` is fresh randomness.
#[must_use]
pub fn enter_heads(
    witnessed: &mut Witnessed,
    now: Timestamp,
    secret: &Sha256Digest,
) -> Vec<WaitingLeaf> {
    let device = &witnessed.device;
    let due = witnessed.rings.iter_mut().filter(|ring| is_due(ring, now));
    let leaves = due.map(|ring| {
        ring.logged = Some(Logged { at: now, size: ring.size });
        let text = format!("{secret} {}", ring.ring.as_str());
        let mut random = [0; 8];
        random.copy_from_slice(Sha256Digest::of(text.as_bytes()).as_bytes().split_at(8).0);
        let act = AuditAct {
            at: now,
            who: AuditWho {
                kind: AuditWhoKind::Server,
                name: "server".into(),
                credential: String::new(),
                address: String::new(),
            },
            what: LOG_HEAD.into(),
            target: device.to_string(),
            reason: String::new(),
            request: None,
            outcome: AUDIT_DONE.into(),
            detail: format!(
                "{} ring: {} records, root {}",
                ring.ring.as_str(),
                ring.size,
                ring.root
            ),
            count: 1,
        };
        WaitingLeaf::new(act, random)
    });
    leaves.collect()
}

fn is_due(ring: &Ring, now: Timestamp) -> bool {
    ring.logged
        .is_none_or(|logged| logged.size != ring.size && now.since_ms(logged.at) >= LOGGED_EVERY_MS)
}
