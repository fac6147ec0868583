//! What a stranger concludes from a device's log: its records, the tree over them, its epochs, its
//! seal, and the witness who saw it before. Names the first thing that is wrong, and whose doing it
//! can be.

use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use lazaret_protocol::key::PublicKey;

use super::epoch::{EpochError, Epochs};
use super::record::{Record, RecordError};
use crate::tlog::checkpoint::{Checkpoint, CheckpointError};
use crate::tlog::note::{NoteError, SignatureType, SignedNote, VerifierKey};
use crate::tlog::proof::ProofError;
use crate::tlog::tile::TileError;
use crate::tlog::tree::{Edge, leaf_hash};

/// What is at hand of a log.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    /// The tree over everything before the first entry at hand; [`Edge::new`] for a whole log.
    pub before: Edge,
    /// The epochs up to there.
    pub epochs: Epochs,
    /// The entries from there on, in their order.
    pub entries: Vec<&'a [u8]>,
    /// The log's last checkpoint.
    pub seal: &'a SignedNote,
    /// The log's name.
    pub origin: &'a str,
    /// An earlier tree head that somebody else has kept.
    pub witnessed: Option<Witnessed<'a>>,
}

/// A tree head that a witness has kept.
#[derive(Debug, Clone, Copy)]
pub struct Witnessed<'a> {
    /// How many entries the log had.
    pub size: u64,
    /// Its root then.
    pub root: &'a Sha256Digest,
}

/// What the entries say of a witness' tree head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// There is none.
    Absent,
    /// The log is a continuation of what it saw.
    Continued {
        /// How many entries it saw.
        size: u64,
    },
    /// What it saw ends where everything was pruned, so nothing is proved by it.
    Pruned {
        /// How many entries it saw.
        size: u64,
    },
}

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The records, in their order.
    pub records: Vec<Record>,
    /// The sequence of the first of them: everything before was pruned.
    pub from: u64,
    /// What was sealed.
    pub seal: Checkpoint,
    /// How many epochs the log has.
    pub epochs: u64,
    /// What a witness adds.
    pub witness: Witness,
}

/// The first thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// An entry is no record.
    #[error("entry {index} is no record")]
    Record {
        /// Which entry.
        index: u64,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// An entry says that it is another one.
    #[error("entry {index} says that it is record {got}")]
    Sequence {
        /// Which entry.
        index: u64,
        /// What it says.
        got: u64,
    },
    /// An epoch does not follow from the one before.
    #[error("the chain of epochs is broken")]
    Epoch {
        /// Where and how.
        #[source]
        source: EpochError,
    },
    /// The log is sealed by no epoch at all.
    #[error("the log has no epoch whose key could have sealed it")]
    NoEpoch,
    /// The seal is not by the last epoch's key.
    #[error("the seal is not by the key of the last epoch")]
    Seal {
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// The seal is no checkpoint.
    #[error("what was sealed is no checkpoint")]
    Checkpoint {
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// The seal is of another log.
    #[error("the seal is of another log")]
    Origin,
    /// The entries are more or fewer than were sealed.
    #[error("expected {sealed} entries as sealed, found {found}")]
    Size {
        /// As sealed.
        sealed: u64,
        /// As they are.
        found: u64,
    },
    /// The entries are not those that were sealed.
    #[error("the entries are not those that were sealed")]
    Root,
    /// What a witness saw is not the beginning of this log: it was rewritten or forked.
    #[error("the log is no continuation of what was witnessed at {size} entries")]
    Rewritten {
        /// The size that was witnessed.
        size: u64,
        /// How the proof fails.
        #[source]
        source: ProofError,
    },
    /// The tree cannot grow on.
    #[error("the tree cannot be made")]
    Tree {
        /// Why not.
        #[source]
        source: TileError,
    },
}

/// The name under which a server cosigns the logs of its devices.
pub const WITNESS_NAME: &str = "lazaret.dev/witness";

/// Witness keys under that name: those Ed25519 keys that the anchors list for orders, which sign
/// cosignatures under a prefix of their own.
#[must_use]
pub fn witness_keys(keys: &[PublicKey]) -> Vec<VerifierKey> {
    let ed25519 = keys.iter().filter_map(|key| match key {
        PublicKey::Ed25519(bytes) => <[u8; 32]>::try_from(bytes.as_slice()).ok(),
        _ => None,
    });
    let named = |public| VerifierKey::new(WITNESS_NAME, SignatureType::CosignatureV1, public).ok();
    ed25519.filter_map(named).collect()
}

/// Whose doing a fault can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Whoever has held the copy could have changed it: nothing is proved against the device.
    AnyHolder,
    /// Only who has the key of the log's last epoch can have made this: the device, or who took it
    /// over.
    Device,
}

impl LogFault {
    /// Whose doing it can be. A fault is laid at the device's door only where its own signature
    /// proves it (DESIGN section 1).
    #[must_use]
    pub const fn doing(&self) -> Doing {
        match self {
            // The seal holds, and its root is that of these very entries, or the proof ends at it.
            Self::Record { .. } | Self::Sequence { .. } | Self::Rewritten { .. } => Doing::Device,
            _ => Doing::AnyHolder,
        }
    }
}

/// Checks a log: who sealed it, whether these entries are what was sealed, whether they are
/// records, and whether a witness has seen another past.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(parts: &Parts<'_>) -> Result<Proved, LogFault> {
    let seal: Checkpoint =
        parts.seal.text().parse().map_err(|source| LogFault::Checkpoint { source })?;
    if seal.origin != parts.origin {
        return Err(LogFault::Origin);
    }
    let Entries { tree, epochs, records, then } = read(parts)?;
    let sealed_by = epochs.verifier().ok_or(LogFault::NoEpoch)?;
    parts.seal.verify(&[sealed_by]).map_err(|source| LogFault::Seal { source })?;
    if tree.size() != seal.size {
        return Err(LogFault::Size { sealed: seal.size, found: tree.size() });
    }
    if tree.root() != seal.root {
        return Err(LogFault::Root);
    }
    // From here on, whatever is wrong was sealed so by the device's own key.
    let records = records?;
    let witness = seen(parts, then, seal.size)?;
    Ok(Proved { records, from: parts.before.size(), seal, epochs: epochs.number(), witness })
}

/// Whether the log at hand goes on from what the witness saw. Of a log whose entries are all at
/// hand from there on no proof is needed: the tree is made again.
fn seen(parts: &Parts<'_>, then: Option<Sha256Digest>, sealed: u64) -> Result<Witness, LogFault> {
    let Some(Witnessed { size, root }) = parts.witnessed else { return Ok(Witness::Absent) };
    if size > sealed {
        let source = ProofError::Shrunk { old: size, new: sealed };
        return Err(LogFault::Rewritten { size, source });
    }
    match then {
        Some(then) if then == *root => Ok(Witness::Continued { size }),
        Some(_) => Err(LogFault::Rewritten { size, source: ProofError::DoesNotHold }),
        None => Ok(Witness::Pruned { size }),
    }
}

/// What the entries make. A fault among the records waits until it is known who sealed them.
struct Entries {
    tree: Edge,
    epochs: Epochs,
    records: Result<Vec<Record>, LogFault>,
    /// The root when the tree had as many entries as a witness saw.
    then: Option<Sha256Digest>,
}

fn read(parts: &Parts<'_>) -> Result<Entries, LogFault> {
    let mut tree = parts.before.clone();
    let mut epochs = parts.epochs.clone();
    let mut records = Ok(Vec::new());
    let witnessed = parts.witnessed.map(|witnessed| witnessed.size);
    let mut then = (witnessed == Some(tree.size())).then(|| tree.root());
    for entry in &parts.entries {
        let index = tree.size();
        tree.push(leaf_hash(entry)).map_err(|source| LogFault::Tree { source })?;
        if witnessed == Some(tree.size()) {
            then = Some(tree.root());
        }
        let record = match record(entry, index) {
            Ok(record) => record,
            Err(fault) => {
                records = records.and(Err(fault));
                continue;
            }
        };
        epochs.take(&record).map_err(|source| LogFault::Epoch { source })?;
        if let Ok(records) = &mut records {
            records.push(record);
        }
    }
    Ok(Entries { tree, epochs, records, then })
}

fn record(entry: &[u8], index: u64) -> Result<Record, LogFault> {
    let record = Record::parse(entry).map_err(|source| LogFault::Record { index, source })?;
    if record.seq != index {
        return Err(LogFault::Sequence { index, got: record.seq });
    }
    Ok(record)
}

#[cfg(test)]
mod tests;
