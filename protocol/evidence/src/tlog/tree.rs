//! The growing edge of a log: what has to be remembered of a tree to append to it and to know its
//! root. Everything to the left of it may be pruned.

use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;
use sha2::{Digest as _, Sha256};

use super::tile::{Tile, TileError, WIDTH};

/// Tile levels of any tree: 64 bits of size, eight per level.
pub const LEVELS_MAX: usize = 8;

/// The hash of an entry (RFC 6962, 2.1: `SHA-256(0x00 || entry)`).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    Sha256Digest::from_bytes(hasher.finalize().into())
}

/// The hash of an inner node (RFC 6962, 2.1: `SHA-256(0x01 || left || right)`).
#[must_use]
pub fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Sha256Digest::from_bytes(hasher.finalize().into())
}

/// The root of the tree without entries (RFC 6962, 2.1).
#[must_use]
pub fn empty_root() -> Sha256Digest {
    Sha256Digest::of(&[])
}

/// The right edge of a tree: the hashes of the partial tile of every level, at most 255 each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    partial: Vec<Vec<Sha256Digest>>,
}

impl Edge {
    /// The edge of the tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` entries, from its partial tiles.
    ///
    /// # Errors
    /// A tile is missing, or is not as wide as that size makes it.
    pub fn read(
        size: u64,
        mut tile: impl FnMut(Tile) -> Result<Vec<Sha256Digest>, TileError>,
    ) -> Result<Self, TileError> {
        let mut partial = Vec::new();
        for level in 0..LEVELS_MAX {
            let Some(wanted) = Tile::partial(level, size) else {
                partial.push(Vec::new());
                continue;
            };
            let hashes = tile(wanted)?;
            if hashes.len() != wanted.width() {
                return Err(TileError::Width { tile: wanted, got: hashes.len() });
            }
            partial.push(hashes);
        }
        while partial.last().is_some_and(Vec::is_empty) {
            partial.pop();
        }
        Ok(Self { size, partial })
    }

    /// How many entries the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The partial tile of a level: its hashes, from the left.
    #[must_use]
    pub fn partial(&self, level: usize) -> &[Sha256Digest] {
        self.partial.get(level).map_or(&[], Vec::as_slice)
    }

    /// Appends the hash of an entry, and returns the tiles that it completes with their hashes: at
    /// most one per level, the lowest first.
    ///
    /// # Errors
    /// The tree has 2^63 entries.
    pub fn push(
        &mut self,
        leaf: Sha256Digest,
    ) -> Result<Vec<(Tile, Vec<Sha256Digest>)>, TileError> {
        let size = self.size.checked_add(1).filter(|size| *size < 1 << 63);
        let size = size.ok_or(TileError::TreeFull)?;
        let mut full = Vec::new();
        let mut hash = leaf;
        for level in 0..LEVELS_MAX {
            if self.partial.len() <= level {
                self.partial.push(Vec::new());
            }
            let Some(hashes) = self.partial.get_mut(level) else { break };
            hashes.push(hash);
            if hashes.len() < WIDTH {
                break;
            }
            hash = fold(hashes);
            full.push((Tile::last_full(level, size), core::mem::take(hashes)));
        }
        self.size = size;
        Ok(full)
    }

    /// The root of the tree (RFC 6962, 2.1: the Merkle Tree Hash).
    #[must_use]
    pub fn root(&self) -> Sha256Digest {
        let mut root: Option<Sha256Digest> = None;
        for hashes in &self.partial {
            let mut rest = hashes.as_slice();
            let mut peaks = Vec::new();
            while let Some(power) = rest.len().checked_ilog2() {
                let (left, right) = rest.split_at(1 << power);
                peaks.push(fold(left));
                rest = right;
            }
            for peak in peaks.iter().rev() {
                root = Some(root.map_or(*peak, |right| node_hash(peak, &right)));
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

/// The root of a complete subtree over 2^n hashes. Of none, that of the empty tree.
#[must_use]
pub(crate) fn fold(hashes: &[Sha256Digest]) -> Sha256Digest {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    level.first().copied().unwrap_or_else(empty_root)
}

#[cfg(test)]
pub(super) mod tests;
