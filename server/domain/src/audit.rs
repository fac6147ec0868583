//! The audit log's records, and how what waits is put in its order. An act is committed together
//! with a waiting leaf; the log takes waiting leaves over afterwards, in one commit with the tree
//! that has them, so that a leaf is always in exactly one of the two places.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::AuditAct;
use lazaret_protocol_evidence::audit::{entry_bytes, first_previous};
use lazaret_protocol_evidence::tlog::checkpoint::Checkpoint;
use lazaret_protocol_evidence::tlog::note::{NoteError, SignedNote, VerifierKey};
use lazaret_protocol_evidence::tlog::tile::{Tile, TileError};
use lazaret_protocol_evidence::tlog::tree::{Edge, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::record::{Decision, Found, Record};

pub mod ledger;

/// Leaves that are put in order in one commit.
pub const LEAVES_AT_ONCE: usize = 256;

/// An act that is committed and has no place in the log yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingLeaf {
    /// Time and randomness, so that leaves are taken over about in the order in which they came.
    pub id: String,
    /// What happened.
    pub act: AuditAct,
}

impl WaitingLeaf {
    /// A leaf of its own for an act.
    #[must_use]
    pub fn new(act: AuditAct, random: [u8; 8]) -> Self {
        let random = u64::from_be_bytes(random);
        Self { id: format!("{:015}-{random:016x}", act.at.as_ms()), act }
    }
}

impl Record for WaitingLeaf {
    const KIND: &'static str = "audit-waiting";
    fn name(&self) -> String {
        self.id.clone()
    }
}

/// A row of the log: the entry's own bytes, which are what was hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place.
    pub index: u64,
    /// Canonical JSON.
    pub entry: String,
}

/// The name of the row at a place.
#[must_use]
pub fn row_name(index: u64) -> String {
    format!("{index:020}")
}

impl Record for AuditRow {
    const KIND: &'static str = "audit-row";
    fn name(&self) -> String {
        row_name(self.index)
    }
}

/// A full tile of hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTile {
    /// Its path.
    pub path: String,
    /// Its hashes.
    pub hashes: Vec<Sha256Digest>,
}

impl Record for AuditTile {
    const KIND: &'static str = "audit-tile";
    fn name(&self) -> String {
        self.path.clone()
    }
}

/// A checkpoint that was signed once. They are kept: a later look at the log can be held against
/// each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheckpoint {
    /// How many entries it is about.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

impl Record for AuditCheckpoint {
    const KIND: &'static str = "audit-checkpoint";
    fn name(&self) -> String {
        row_name(self.size)
    }
}

/// Where the log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The log's name, for good.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The partial tiles, level by level.
    pub partial: Vec<Vec<Sha256Digest>>,
    /// The hash of the last entry.
    pub last: Sha256Digest,
    /// The signed checkpoint.
    pub note: String,
}

impl AuditHead {
    /// There is one log.
    pub const NAME: &'static str = "log";

    /// The log before its first entry.
    #[must_use]
    pub const fn empty(origin: String, last: Sha256Digest) -> Self {
        Self { origin, size: 0, partial: Vec::new(), last, note: String::new() }
    }

    /// The hashes of the partial tile at the right edge of a level.
    #[must_use]
    pub fn partial(&self, level: usize) -> &[Sha256Digest] {
        self.partial.get(level).map_or(&[], Vec::as_slice)
    }
}

impl Record for AuditHead {
    const KIND: &'static str = "audit-head";
    fn name(&self) -> String {
        Self::NAME.to_string()
    }
}

/// A log that cannot be continued: what is stored of it contradicts itself, or cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditLogError {
    /// The partial tiles are not those of its size, or it is full.
    #[error("the audit log cannot be continued")]
    Tree {
        /// Why.
        #[source]
        source: TileError,
    },
    /// The checkpoint cannot be written.
    #[error("the checkpoint of the audit log cannot be signed")]
    Note {
        /// Why.
        #[source]
        source: NoteError,
    },
    /// The entry has no bytes.
    #[error("an entry of the audit log cannot be written: {why}")]
    Entry {
        /// Why.
        why: String,
    },
}

/// What signs checkpoints.
pub struct Signer<'a> {
    /// Under which name and key.
    pub key: &'a VerifierKey,
    /// Ed25519 over these bytes.
    pub sign: &'a dyn Fn(&[u8]) -> [u8; 64],
}

/// Takes waiting leaves into the log, in the order given, and signs what comes of it.
///
/// # Errors
/// The log contradicts itself, or the leaf or note cannot be written.
pub fn take_over(
    found: &Found<AuditHead>,
    head: AuditHead,
    waiting: &[WaitingLeaf],
    signer: &Signer<'_>,
) -> Result<Decision<u64>, AuditLogError> {
    let tree = |source| AuditLogError::Tree { source };
    let mut head = head;
    let mut edge =
        Edge::read(head.size, |tile| partial_of(&head, tile).ok_or(TileError::Missing { tile }))
            .map_err(tree)?;
    let mut decision = Decision::reply(0).resting_on(found);
    for leaf in waiting {
        let index = edge.size();
        let bytes = entry_bytes(index, head.last, &leaf.act)
            .map_err(|err| AuditLogError::Entry { why: err.to_string() })?;
        head.last = leaf_hash(&bytes);
        for (tile, hashes) in edge.push(head.last).map_err(tree)? {
            decision = decision.put(&AuditTile { path: tile.to_string(), hashes });
        }
        let entry = String::from_utf8_lossy(&bytes).into_owned();
        decision = decision.put(&AuditRow { index, entry }).remove::<WaitingLeaf>(&leaf.id);
    }
    head.size = edge.size();
    let levels = lazaret_protocol_evidence::tlog::tree::LEVELS_MAX;
    head.partial = (0..levels).map(|level| edge.partial(level).to_vec()).collect();
    while head.partial.last().is_some_and(Vec::is_empty) {
        head.partial.pop();
    }
    head.note = signed(&head, &edge, signer)?;
    let checkpoint = AuditCheckpoint { size: head.size, note: head.note.clone() };
    Ok(decision.put(&checkpoint).put(&head).with_reply(head.size))
}

/// The head of a log that was founded and has no entry yet.
#[must_use]
pub fn founded(origin: String) -> AuditHead {
    AuditHead::empty(origin, first_previous())
}

fn partial_of(head: &AuditHead, tile: Tile) -> Option<Vec<Sha256Digest>> {
    let level =
        (0..head.partial.len()).find(|level| Tile::partial(*level, head.size) == Some(tile));
    Some(head.partial(level?).to_vec())
}

fn signed(head: &AuditHead, edge: &Edge, signer: &Signer<'_>) -> Result<String, AuditLogError> {
    let text = Checkpoint {
        origin: head.origin.clone(),
        size: head.size,
        root: edge.root(),
        extensions: Vec::new(),
    }
    .to_string();
    let signature = (signer.sign)(&signer.key.message(&text, 0));
    let note = SignedNote::new(text, Vec::from([signer.key.signed(0, &signature)]));
    Ok(note.map_err(|source| AuditLogError::Note { source })?.to_text())
}

#[cfg(test)]
mod tests;
