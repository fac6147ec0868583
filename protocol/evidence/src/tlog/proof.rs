//! Inclusion and consistency: making proofs from tiles, and checking them (RFC 6962 section 2.1,
//! with the checks of RFC 9162 sections 2.1.3.2 and 2.1.4.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lazaret_protocol::digest::Sha256Digest;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::note::{NoteError, SignedNote};
use super::tile::{Tile, TileError, WIDTH};
use super::tree::{empty_root, fold, node_hash};

/// Hashes of any proof: a tree has at most 2^63 entries.
const HASHES_MAX: usize = 64;

/// The first line of a proof file (c2sp.org/tlog-proof).
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that cannot be made, or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is nothing to prove at that place.
    #[error("expected an index below the tree's size of {size}, got {index}")]
    NoSuchEntry {
        /// The entry asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The tree to prove growth from is the larger one.
    #[error("expected a tree no smaller than {old} entries, got one of {new}")]
    Shrunk {
        /// The size to start from.
        old: u64,
        /// The size to come to.
        new: u64,
    },
    /// A tile is missing or broken.
    #[error("the tiles do not make the proof")]
    Tile {
        /// What is wrong with it.
        #[source]
        source: TileError,
    },
    /// The proof leads to another root, or has too few or too many hashes.
    #[error("the proof does not lead to the root that was signed")]
    DoesNotHold,
    /// A proof file that is none.
    #[error("expected a proof file of the form {FIRST_LINE}: {what}")]
    NoProof {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The checkpoint in a proof file is no signed note.
    #[error("the checkpoint of the proof is no signed note")]
    Note {
        /// Why not.
        #[source]
        source: NoteError,
    },
    /// The note in a proof file is no checkpoint.
    #[error("the note of the proof is no checkpoint")]
    Checkpoint {
        /// Why not.
        #[source]
        source: CheckpointError,
    },
}

impl From<TileError> for ProofError {
    fn from(source: TileError) -> Self {
        Self::Tile { source }
    }
}

/// Where the hashes of a tree come from: its tiles, each as wide as its name says. A full tile may
/// stand in for a partial one, of which it has the first hashes.
pub trait Tiles {
    /// The hashes of a tile, at least as many as it is wide.
    ///
    /// # Errors
    /// It is not there or is broken.
    fn hashes(&self, tile: Tile) -> Result<Vec<Sha256Digest>, TileError>;
}

/// The proof that entry `index` is in the tree of `size` entries, from the leaf's sibling to the
/// root's child.
///
/// # Errors
/// There is no such entry, or a tile is missing.
pub fn inclusion(
    tiles: &impl Tiles,
    index: u64,
    size: u64,
) -> Result<Vec<Sha256Digest>, ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchEntry { index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while let Some(middle) = middle(start, end) {
        if index < middle {
            proof.push(range(tiles, size, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tiles, size, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `old` entries is the beginning of that of `new` entries.
///
/// # Errors
/// The old tree is larger, or a tile is missing.
pub fn consistency(
    tiles: &impl Tiles,
    old: u64,
    new: u64,
) -> Result<Vec<Sha256Digest>, ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut proof = Vec::new();
    while old != end {
        // `old` lies within the range, which so has two entries at least.
        let Some(middle) = middle(start, end) else { break };
        if old <= middle {
            proof.push(range(tiles, new, middle, end)?);
            end = middle;
        } else {
            proof.push(range(tiles, new, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        proof.push(range(tiles, new, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the tree of `size` entries.
///
/// # Errors
/// A tile is missing.
pub fn root(tiles: &impl Tiles, size: u64) -> Result<Sha256Digest, ProofError> {
    range(tiles, size, 0, size)
}

/// Checks that an entry of that hash is the one at `index` in the tree of that size and root.
///
/// # Errors
/// There is no such entry, or the proof does not hold.
pub fn check_inclusion(
    leaf: &Sha256Digest,
    index: u64,
    (size, root): (u64, &Sha256Digest),
    proof: &[Sha256Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchEntry { index, size });
    }
    let mut node = index;
    let mut last = size.saturating_sub(1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::DoesNotHold);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::DoesNotHold) }
}

/// Checks that the tree of the new size and root begins with the whole of the old one.
///
/// # Errors
/// The old tree is larger, or the proof does not hold.
pub fn check_consistency(
    (old, old_root): (u64, &Sha256Digest),
    (new, new_root): (u64, &Sha256Digest),
    proof: &[Sha256Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == new || old == 0 {
        let same = old != new || old_root == new_root;
        let empty = old != 0 || *old_root == empty_root();
        let holds = proof.is_empty() && same && empty;
        return if holds { Ok(()) } else { Err(ProofError::DoesNotHold) };
    }
    // RFC 9162, 2.1.4.2: a tree of a power of two entries is itself the first hash of the proof.
    let (first, rest) = match proof.split_first() {
        _ if old.is_power_of_two() => (*old_root, proof),
        Some((first, rest)) => (*first, rest),
        None => return Err(ProofError::DoesNotHold),
    };
    let (mut node, mut last) = (old.saturating_sub(1), new.saturating_sub(1));
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut to_old, mut to_new) = (first, first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::DoesNotHold);
        }
        if node & 1 == 1 || node == last {
            to_old = node_hash(hash, &to_old);
            to_new = node_hash(hash, &to_new);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            to_new = node_hash(&to_new, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    let holds = last == 0 && to_old == *old_root && to_new == *new_root;
    if holds { Ok(()) } else { Err(ProofError::DoesNotHold) }
}

/// An inclusion proof with its checkpoint, as one text that is checked without anything else but
/// public keys (c2sp.org/tlog-proof).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedProof {
    /// Which entry.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub path: Vec<Sha256Digest>,
    /// What the log, and its witnesses, signed.
    pub checkpoint: SignedNote,
}

impl LoggedProof {
    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{FIRST_LINE}\nindex {}", self.index);
        for hash in &self.path {
            let _ = writeln!(text, "{}", STANDARD.encode(hash.as_bytes()));
        }
        text.push('\n');
        text.push_str(&self.checkpoint.to_text());
        text
    }

    /// Reads one. Extra data is not kept: nobody vouches for it.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let refused = |what| ProofError::NoProof { what };
        let (proof, checkpoint) =
            text.split_once("\n\n").ok_or(refused("no empty line before the checkpoint"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(refused("another first line"));
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(decimal).ok_or(refused("no line with the index"))?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == HASHES_MAX {
                return Err(refused("more than 64 hashes"));
            }
            path.push(hash_of(line).ok_or(refused("a line that is no hash"))?);
        }
        let checkpoint =
            SignedNote::parse(checkpoint).map_err(|source| ProofError::Note { source })?;
        checkpoint
            .text()
            .parse::<Checkpoint>()
            .map_err(|source| ProofError::Checkpoint { source })?;
        Ok(Self { index, path, checkpoint })
    }
}

/// A number without leading zeroes.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}

/// A hash in base64.
pub(super) fn hash_of(text: &str) -> Option<Sha256Digest> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Sha256Digest::from_bytes(bytes))
}

/// Where RFC 6962 splits a range of entries that starts at a multiple of its parts: after the
/// largest power of two below its length. A range of one entry is not split.
fn middle(start: u64, end: u64) -> Option<u64> {
    let length = end.checked_sub(start)?;
    let power = length.checked_sub(1)?.checked_ilog2()?;
    start.checked_add(1_u64.checked_shl(power)?)
}

/// The hash over a range of entries that begins at a multiple of the largest power of two in it.
fn range(tiles: &impl Tiles, size: u64, start: u64, end: u64) -> Result<Sha256Digest, ProofError> {
    let mut peaks = Vec::new();
    let mut at = start;
    while let Some(power) = end.saturating_sub(at).checked_ilog2() {
        peaks.push(subtree(tiles, size, power, at >> power)?);
        at = at.saturating_add(1_u64 << power);
    }
    let mut peaks = peaks.into_iter().rev();
    let last = peaks.next().unwrap_or_else(empty_root);
    Ok(peaks.fold(last, |right, left| node_hash(&left, &right)))
}

/// The hash of the complete subtree over 2^`power` entries that is number `index` of its size.
fn subtree(
    tiles: &impl Tiles,
    size: u64,
    power: u32,
    index: u64,
) -> Result<Sha256Digest, ProofError> {
    let level = u8::try_from(power / 8).unwrap_or(u8::MAX);
    let inner = power % 8;
    let at = index << inner;
    let gone = || ProofError::NoSuchEntry { index: at, size };
    let tile = Tile::holding(level, at, size).ok_or_else(gone)?;
    let hashes = tiles.hashes(tile)?;
    let from = usize::try_from(at & (WIDTH as u64).saturating_sub(1)).map_err(|_| gone())?;
    let wanted = hashes.get(from..from.saturating_add(1 << inner));
    let short = || TileError::Width { tile, got: hashes.len() };
    Ok(fold(wanted.ok_or_else(short)?))
}

#[cfg(test)]
mod tests;
