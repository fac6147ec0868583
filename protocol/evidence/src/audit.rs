//! The server's audit log: how an entry is spelled, and what shows that one was changed. The log is
//! a transparency log ([`crate::tlog`]) whose entries also name the hash of the one before them, so
//! that a changed row is found by its own index even where somebody put the tile right beside it.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::mem;

use lazaret_protocol::canonical::{self, CanonicalError};
use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::operator::{AuditAct, AuditEntry};
use serde::Serialize;

use crate::tlog::checkpoint::{Checkpoint, CheckpointError};
use crate::tlog::note::{NoteError, SignedNote, VerifierKey};
use crate::tlog::tile::{Tile, TileError};
use crate::tlog::tree::{Edge, empty_root, leaf_hash};

/// Longest entry that is read, in bytes: six texts of 1 KiB, escaped at worst sixfold.
pub const ENTRY_BYTES_MAX: usize = 48 * 1024;

/// Findings that are kept; a log that is wrong everywhere need not be listed whole.
pub const FINDINGS_MAX: usize = 1000;

/// What the first entry names as the hash before it.
#[must_use]
pub fn first_previous() -> Sha256Digest {
    empty_root()
}

/// The bytes of an entry: canonical JSON, the leaf of the tree.
///
/// # Errors
/// There are none: an entry holds integers and strings alone.
pub fn entry_bytes(
    index: u64,
    previous: Sha256Digest,
    act: &AuditAct,
) -> Result<Vec<u8>, CanonicalError> {
    canonical::to_json(&AuditEntry { index, previous, act: act.clone() })
}

/// Something that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// A row is not the one that was logged. Who and what are as the row says them now.
    Edited {
        /// Which.
        index: u64,
        /// Who acted, as it stands there.
        who: String,
        /// What, as it stands there.
        what: String,
        /// How it shows.
        why: String,
    },
    /// A row is right, and the hash that is kept of it is not.
    WrongHash {
        /// Of which.
        index: u64,
    },
    /// A tile is not what its rows make it.
    WrongTile {
        /// Its path.
        tile: String,
    },
    /// Between the two sizes something was changed, and everything after it to match.
    Rewritten {
        /// The last size at which the log is what was signed.
        from: u64,
        /// The first at which it is not.
        to: u64,
    },
    /// Rows that a checkpoint speaks of are not there.
    Missing {
        /// The first.
        from: u64,
        /// The size that was signed.
        to: u64,
    },
    /// Rows beyond the last checkpoint: nobody has signed them.
    Unsigned {
        /// The first.
        from: u64,
    },
    /// An earlier checkpoint is of another log, or its signature does not hold.
    Checkpoint {
        /// What is wrong with it.
        why: String,
    },
}

/// A checkpoint that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// It is no note, or nobody trusted has signed it.
    #[error("the checkpoint is not signed as expected")]
    Note {
        /// Why.
        #[source]
        source: NoteError,
    },
    /// The note is none of a tree.
    #[error("the note is no checkpoint")]
    Checkpoint {
        /// Why.
        #[source]
        source: CheckpointError,
    },
}

/// Reads a checkpoint and checks that one of `keys` has signed it.
///
/// # Errors
/// No note, no checkpoint, or signed by somebody else.
pub fn checkpoint(note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, AuditError> {
    let note = SignedNote::parse(note).map_err(|source| AuditError::Note { source })?;
    note.verify(keys).map_err(|source| AuditError::Note { source })?;
    note.text().parse().map_err(|source| AuditError::Checkpoint { source })
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many entries the latest checkpoint signs.
    pub size: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Checkpoints whose root was compared.
    pub checkpoints: u64,
    /// Checkpoints by keys that are not trusted here, which were passed over.
    pub passed_over: u64,
    /// Everything that is wrong. Empty: the log is what was signed.
    pub findings: Vec<Finding>,
}

/// A row that waits for what the one after it says of it.
struct Waiting {
    index: u64,
    actual: Sha256Digest,
    listed: Option<Sha256Digest>,
    who: String,
    what: String,
}

/// Reads a log from its beginning, row by row, and judges it.
pub struct Verifier {
    origin: String,
    size: u64,
    /// Sizes and roots that were signed, the smallest first.
    signed: Vec<(u64, Sha256Digest)>,
    compared: u64,
    passed_over: u64,
    edge: Edge,
    waiting: Option<Waiting>,
    rows: u64,
    last_good: u64,
    broken: bool,
    findings: Vec<Finding>,
}

impl Verifier {
    /// Begins with the latest checkpoint, which must be signed by one of `keys`, and earlier ones,
    /// which narrow down where a log was rewritten.
    ///
    /// # Errors
    /// The latest checkpoint is not believed.
    pub fn new(latest: &str, earlier: &[String], keys: &[VerifierKey]) -> Result<Self, AuditError> {
        let head = checkpoint(latest, keys)?;
        let mut findings = Vec::new();
        let mut passed_over = 0_u64;
        let mut signed = Vec::from([(head.size, head.root)]);
        for note in earlier {
            match checkpoint(note, keys) {
                Ok(old) if old.origin == head.origin => signed.push((old.size, old.root)),
                Ok(old) => {
                    let why = alloc::format!("it is of {}, not of {}", old.origin, head.origin);
                    findings.push(Finding::Checkpoint { why });
                }
                // By a key from before a rotation: nothing is said of it.
                Err(AuditError::Note { source: NoteError::NotSigned { .. } }) => {
                    passed_over = passed_over.saturating_add(1);
                }
                Err(err) => findings.push(Finding::Checkpoint { why: err.to_string() }),
            }
        }
        signed.sort_unstable_by_key(|(size, _)| *size);
        signed.dedup();
        let size = signed.last().map_or(head.size, |(size, _)| *size);
        Ok(Self {
            origin: head.origin,
            size,
            signed,
            compared: 0,
            passed_over,
            edge: Edge::new(),
            waiting: None,
            rows: 0,
            last_good: 0,
            broken: false,
            findings,
        })
    }

    /// How many rows were signed.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next row, with the hash that the log's tile keeps of it. Returns the tiles that
    /// are complete by now, for comparison with [`Self::tile`].
    ///
    /// # Errors
    /// The tree is full.
    pub fn row(
        &mut self,
        row: &[u8],
        listed: Option<Sha256Digest>,
    ) -> Result<Vec<(Tile, Vec<Sha256Digest>)>, TileError> {
        let index = self.rows;
        let entry = parsed(row);
        let actual = leaf_hash(row);
        let said = entry.as_ref().map(|entry| entry.previous);
        // A row that was changed itself is no witness against the one before it.
        let full = self.settle(said.filter(|_| listed.is_none_or(|listed| listed == actual)))?;
        let (who, what) = entry.as_ref().map_or_else(
            || ("unreadable".into(), "unreadable".into()),
            |entry| (entry.act.who.name.clone(), entry.act.what.clone()),
        );
        if let Some(entry) = entry.as_ref().filter(|entry| entry.index != index) {
            let why = alloc::format!("it says that it is entry {}", entry.index);
            self.find(Finding::Edited { index, who: who.clone(), what: what.clone(), why });
        }
        if index == 0 && said.is_some_and(|said| said != first_previous()) {
            let why = "it names an entry before the first".into();
            self.find(Finding::Edited { index, who: who.clone(), what: what.clone(), why });
        }
        self.waiting = Some(Waiting { index, actual, listed, who, what });
        self.rows = self.rows.saturating_add(1);
        Ok(full)
    }

    /// Compares a tile that is kept with what the rows make it.
    pub fn tile(&mut self, tile: &Tile, made: &[Sha256Digest], kept: &[Sha256Digest]) {
        if made != kept {
            self.find(Finding::WrongTile { tile: tile.to_string() });
        }
    }

    /// Something that the reader of the log found by itself.
    pub fn find(&mut self, finding: Finding) {
        let of = |one: &Finding| match one {
            Finding::Edited { index, .. } => Some(*index),
            _ => None,
        };
        let again = of(&finding).is_some_and(|index| {
            self.findings.iter().rev().take(4).any(|known| of(known) == Some(index))
        });
        if !again && self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// The tree is full.
    pub fn finish(mut self) -> Result<Report, TileError> {
        self.settle(None)?;
        if self.rows < self.size {
            self.find(Finding::Missing { from: self.rows, to: self.size });
        }
        if self.rows > self.size {
            self.find(Finding::Unsigned { from: self.size });
        }
        Ok(Report {
            origin: self.origin,
            size: self.size,
            rows: self.rows,
            checkpoints: self.compared,
            passed_over: self.passed_over,
            findings: self.findings,
        })
    }

    /// Decides which hash the waiting row had when it was logged: of its own hash, the one that the
    /// tile keeps and the one that the next row remembers, two agree unless two were changed.
    fn settle(
        &mut self,
        remembered: Option<Sha256Digest>,
    ) -> Result<Vec<(Tile, Vec<Sha256Digest>)>, TileError> {
        let Some(row) = mem::take(&mut self.waiting) else {
            // The tree without entries has a root as well.
            self.compare();
            return Ok(Vec::new());
        };
        let listed = row.listed.unwrap_or(row.actual);
        let believed = match remembered {
            Some(remembered) if row.actual == listed && remembered != listed => {
                let why = "the entry after it remembers another hash".into();
                self.edited(&row, why);
                remembered
            }
            Some(remembered) if row.actual != listed && remembered == row.actual => {
                self.find(Finding::WrongHash { index: row.index });
                row.actual
            }
            _ if row.actual != listed => {
                self.edited(&row, "its hash is not the one that was logged".into());
                listed
            }
            _ => row.actual,
        };
        let full = self.edge.push(believed)?;
        self.compare();
        Ok(full)
    }

    fn edited(&mut self, row: &Waiting, why: String) {
        let (who, what) = (row.who.clone(), row.what.clone());
        self.find(Finding::Edited { index: row.index, who, what, why });
    }

    /// Compares the root with every one that was signed for this size.
    fn compare(&mut self) {
        let size = self.edge.size();
        let from = self.signed.partition_point(|(signed, _)| *signed < size);
        let to = self.signed.partition_point(|(signed, _)| *signed <= size);
        for at in from..to {
            let Some((_, root)) = self.signed.get(at).copied() else { continue };
            self.compared = self.compared.saturating_add(1);
            if root == self.edge.root() {
                self.last_good = size;
            } else if !mem::replace(&mut self.broken, true) {
                self.find(Finding::Rewritten { from: self.last_good, to: size });
            }
        }
    }
}

fn parsed(row: &[u8]) -> Option<AuditEntry> {
    if row.len() > ENTRY_BYTES_MAX {
        return None;
    }
    serde_json::from_slice(row).ok()
}

#[cfg(test)]
mod tests;
