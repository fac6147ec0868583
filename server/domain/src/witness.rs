//! The server as the witness of its devices' logs: it keeps one head of each ring, takes another
//! only where it is proved to go on from there, and says so when it is not. What cosigns stands in
//! `app`.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::id::{DeviceId, OperatorName};
use lazaret_protocol::key::{KeyId, PublicKey};
use lazaret_protocol::operator::AcceptLogReply;
use lazaret_protocol::poll::{LogGrowth, LogRing};
use lazaret_protocol::refusal::RefusalCode;
use lazaret_protocol::time::Timestamp;
use lazaret_protocol_evidence::device_log::epoch::Epochs;
use lazaret_protocol_evidence::device_log::record::Record as LogRecord;
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::SignedNote;
use lazaret_protocol_evidence::tlog::proof::check_consistency;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Fact};
use crate::record::{Decision, Found, Record};
use crate::refused::Refused;

pub use logged::{LOG_HEAD, LOGGED_EVERY_MS, Logged, enter_heads};

/// Longest checkpoint that is looked at, in bytes. An honest one has about 250.
const CHECKPOINT_BYTES_MAX: usize = 2048;

/// Hashes of one proof: a tree of 2^63 entries needs no more.
const PROOF_HASHES_MAX: usize = 64;

/// What is kept of the log of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessed {
    /// Whose log.
    pub device: DeviceId,
    /// The identity that roots its epochs. Under another, another log begins.
    pub identity: KeyId,
    /// The rings that have been seen.
    pub rings: Vec<Ring>,
}

/// What is kept of one ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// Which.
    pub ring: LogRing,
    /// The size that was witnessed.
    pub size: u64,
    /// The root then.
    pub root: Sha256Digest,
    /// The checkpoint itself, as the device signed it.
    pub checkpoint: String,
    /// The epoch whose key is known.
    pub epoch: u64,
    /// Its public key.
    pub public: [u8; 32],
    /// The device has told another past, and that was said.
    #[serde(default)]
    pub disputed: bool,
    /// The head that was entered in the server's own log last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Logged>,
}

impl Record for Witnessed {
    const KIND: &'static str = "log-witness";
    fn name(&self) -> String {
        self.device.to_string()
    }
}

/// What came of one ring's growth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Which ring.
    pub ring: LogRing,
    /// From where the next proof has to lead.
    pub size: u64,
    /// The epoch whose record is here.
    pub epoch: u64,
    /// What is to be cosigned: the text of the checkpoint, where it was taken.
    pub taken: Option<SignedNote>,
}

/// What a poll's growth comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessing {
    /// The record as it is to be, none where it stays.
    pub record: Option<Witnessed>,
    /// What happened.
    pub facts: Vec<Fact>,
    /// What the device is told.
    pub words: Vec<Word>,
}

/// Takes in what a device says of its log.
#[must_use]
pub fn witness(
    known: Option<&Witnessed>,
    (device, identity): (&DeviceId, &PublicKey),
    growth: &[LogGrowth],
) -> Witnessing {
    let fresh =
        || Witnessed { device: device.clone(), identity: identity.key_id(), rings: Vec::new() };
    let known = known.filter(|known| known.identity == identity.key_id());
    let mut record = known.cloned().unwrap_or_else(fresh);
    let (mut facts, mut words) = (Vec::new(), Vec::new());
    for grown in growth.iter().take(LogRing::ALL.len()) {
        let before = record.rings.iter().find(|ring| ring.ring == grown.ring).cloned();
        let judged = judge(before.as_ref(), (device, identity), grown);
        let after = match judged {
            Judged::Taken(ring, note) => {
                let (size, epoch) = (ring.size, ring.epoch);
                words.push(Word { ring: grown.ring, size, epoch, taken: Some(note) });
                Some(ring)
            }
            Judged::Asked => {
                words.push(asked(grown.ring, before.as_ref()));
                None
            }
            Judged::Disputed(fact) => {
                words.push(asked(grown.ring, before.as_ref()));
                // Said once: a device that goes on along its other past would fill the log.
                let news = before.as_ref().is_some_and(|ring| !ring.disputed);
                facts.extend(news.then_some(*fact));
                before.map(|ring| Ring { disputed: true, ..ring })
            }
        };
        if let Some(after) = after {
            record.rings.retain(|ring| ring.ring != grown.ring);
            record.rings.push(after);
        }
    }
    let changed = known != Some(&record) && !record.rings.is_empty();
    Witnessing { record: changed.then_some(record), facts, words }
}

fn asked(ring: LogRing, before: Option<&Ring>) -> Word {
    let (size, epoch) = before.map_or((0, 0), |ring| (ring.size, ring.epoch));
    Word { ring, size, epoch, taken: None }
}

/// Accepts that the disputed rings of a device begin anew, as after it was provisioned again: the
/// witness forgets where they had come to, and takes the next growth that the device's identity
/// vouches for. The fork itself stays in the event log with both checkpoints, and what was
/// witnessed last stands once more beside who accepted it and why.
///
/// # Errors
/// Nothing is known of the device's log, or none of its rings is disputed.
pub fn accept(
    found: &Found<Witnessed>,
    device: &DeviceId,
    (by, reason, now): (&OperatorName, &str, Timestamp),
) -> Result<Decision<AcceptLogReply>, Refused> {
    let Some(known) = &found.value else {
        let detail = format!("no log of {device} was witnessed");
        return Err(Refused::because(RefusalCode::NotFound, detail));
    };
    let (disputed, kept): (Vec<Ring>, Vec<Ring>) =
        known.rings.iter().cloned().partition(|ring| ring.disputed);
    if disputed.is_empty() {
        let detail = format!("the log of {device} is not disputed: there is nothing to accept");
        return Err(Refused::because(RefusalCode::Conflict, detail));
    }
    let changed = Witnessed { rings: kept, ..known.clone() };
    let rings: Vec<LogRing> = disputed.iter().map(|ring| ring.ring).collect();
    let mut decision = Decision::reply(AcceptLogReply { device: device.clone(), rings });
    for Ring { ring, checkpoint, .. } in disputed {
        let fact = Fact::LogAccepted {
            device: device.clone(),
            ring,
            held: checkpoint,
            by: by.clone(),
            reason: reason.into(),
        };
        decision = decision.event(Event { at: now, fact });
    }
    Ok(decision.replace(found, &changed))
}

/// What is to be thought of one growth.
enum Judged {
    /// It goes on from what is known.
    Taken(Ring, SignedNote),
    /// It proves nothing; the device is told what is wanted.
    Asked,
    /// Signed by the device, and another past than it signed before.
    Disputed(Box<Fact>),
}

fn judge(
    before: Option<&Ring>,
    (device, identity): (&DeviceId, &PublicKey),
    grown: &LogGrowth,
) -> Judged {
    let origin = grown.ring.origin(device);
    if grown.checkpoint.len() > CHECKPOINT_BYTES_MAX || grown.proof.len() > PROOF_HASHES_MAX {
        return Judged::Asked;
    }
    let Ok(note) = SignedNote::parse(&grown.checkpoint) else { return Judged::Asked };
    let Ok(head) = note.text().parse::<Checkpoint>() else { return Judged::Asked };
    let Some(epochs) = epochs(before, (&origin, identity), grown) else { return Judged::Asked };
    let sealed_by = epochs.verifier();
    let sealed =
        sealed_by.as_ref().is_some_and(|key| note.verify(core::slice::from_ref(key)).is_ok());
    if !sealed || head.origin != origin {
        return Judged::Asked;
    }
    let disputed = |before: &Ring| {
        let (held, came) = (before.checkpoint.clone(), grown.checkpoint.clone());
        let (device, ring) = (device.clone(), grown.ring);
        Judged::Disputed(Box::new(Fact::LogForked { device, ring, held, came }))
    };
    if let Some(before) = before {
        let other_past = head.size == before.size && head.root != before.root;
        if head.size < before.size || other_past {
            return disputed(before);
        }
        if grown.from != before.size {
            return Judged::Asked;
        }
        let (old, new) = ((before.size, &before.root), (head.size, &head.root));
        if check_consistency(old, new, &grown.proof).is_err() {
            return disputed(before);
        }
    }
    let public = epochs.public().unwrap_or_default();
    let ring = Ring {
        ring: grown.ring,
        size: head.size,
        root: head.root,
        checkpoint: grown.checkpoint.clone(),
        epoch: epochs.number(),
        public,
        disputed: before.is_some_and(|before| before.disputed),
        logged: before.and_then(|before| before.logged),
    };
    Judged::Taken(ring, note)
}

/// The epoch whose key is to have sealed: that of the record that came, by the identity's word and
/// where it follows at once by the signature of the one before, or the one that is known.
fn epochs(
    before: Option<&Ring>,
    (origin, identity): (&str, &PublicKey),
    grown: &LogGrowth,
) -> Option<Epochs> {
    let known = before.map(|ring| Epochs::after(origin, ring.epoch, ring.public));
    let Some(text) = &grown.epoch else { return known };
    if text.len() > CHECKPOINT_BYTES_MAX {
        return None;
    }
    let record = LogRecord::parse(&STANDARD.decode(text).ok()?).ok()?;
    let vouched = Epochs::vouched(origin, identity, &record).ok()?;
    let Some(mut known) = known else { return Some(vouched) };
    if vouched.number() == known.number().saturating_add(1) {
        known.take(&record).ok()?;
        return Some(known);
    }
    (vouched.number() >= known.number()).then_some(vouched)
}

mod logged;
#[cfg(test)]
mod tests;
