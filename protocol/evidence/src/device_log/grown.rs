//! The tree over a log as a device keeps it: the hashes of every full bundle and of the entries of
//! the last one. From them come roots, tiles and proofs; the hashes of older entries are asked for
//! when a proof needs them.

use alloc::vec::Vec;

use lazaret_protocol::digest::Sha256Digest;

use crate::tlog::proof::{ProofError, Tiles, consistency};
use crate::tlog::tile::{Tile, TileError, WIDTH};
use crate::tlog::tree::{Edge, LEVELS_MAX, fold};

const WIDTH_64: u64 = WIDTH as u64;

/// One level of the tree, from the first hash that is still kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    /// A multiple of 256.
    first: u64,
    hashes: Vec<Sha256Digest>,
}

/// The tree over a log whose beginning may be pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    edge: Edge,
    /// From level 1 on.
    rows: Vec<Row>,
}

impl Grown {
    /// A tree that grows on from what was pruned.
    #[must_use]
    pub fn from(before: Edge) -> Self {
        let rows = (1..LEVELS_MAX).map(|level| Row {
            first: on_level(before.size(), level) & !(WIDTH_64.saturating_sub(1)),
            hashes: before.partial(level).to_vec(),
        });
        let rows = rows.collect();
        Self { edge: before, rows }
    }

    /// Its growing edge.
    #[must_use]
    pub const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Appends the hash of an entry.
    ///
    /// # Errors
    /// The tree has 2^63 entries.
    pub fn push(&mut self, leaf: Sha256Digest) -> Result<(), TileError> {
        let full = self.edge.push(leaf)?;
        for (level, (_, hashes)) in full.iter().enumerate() {
            // Row 0 of `rows` is level 1: what the tiles of level 0 fold to.
            if let Some(row) = self.rows.get_mut(level) {
                row.hashes.push(fold(hashes));
            }
        }
        Ok(())
    }

    /// What has to be kept of everything before the entry `from`, a multiple of 256.
    ///
    /// # Errors
    /// It was pruned already, or is no multiple of 256.
    pub fn edge_at(&self, from: u64) -> Result<Edge, TileError> {
        let gone = |tile| Err(TileError::Missing { tile });
        Edge::read(from, |tile| self.row(tile).map_or_else(|| gone(tile), Ok))
    }

    /// Forgets the hashes that only entries before `from` need.
    pub fn forget(&mut self, from: u64) {
        for (level, row) in (1..LEVELS_MAX).zip(&mut self.rows) {
            let first = on_level(from, level) & !(WIDTH_64.saturating_sub(1));
            let drop = usize::try_from(first.saturating_sub(row.first)).unwrap_or(usize::MAX);
            if drop > 0 && drop <= row.hashes.len() {
                row.hashes.drain(..drop);
                row.first = first;
            }
        }
    }

    /// Every tile of hashes above the entries' own that a reader needs beside the entries: the
    /// whole of each level that is kept.
    #[must_use]
    pub fn upper_tiles(&self) -> Vec<(Tile, Vec<Sha256Digest>)> {
        let mut tiles = Vec::new();
        for (level, row) in (1_u8..).zip(&self.rows) {
            let mut at = row.first;
            for hashes in row.hashes.chunks(WIDTH) {
                if let Some(tile) = Tile::holding(level, at, self.edge.size()) {
                    tiles.push((tile, hashes.to_vec()));
                }
                at = at.saturating_add(WIDTH_64);
            }
        }
        tiles
    }

    /// The proof that this tree goes on from its first `old` entries. `leaves` gives the hashes of
    /// the entries of a full bundle, by its index.
    ///
    /// # Errors
    /// There are fewer entries, or what the proof needs was pruned.
    pub fn consistency_from(
        &self,
        old: u64,
        leaves: impl Fn(u64) -> Option<Vec<Sha256Digest>>,
    ) -> Result<Vec<Sha256Digest>, ProofError> {
        consistency(&Kept { grown: self, leaves }, old, self.edge.size())
    }

    /// The hashes of a tile of level 1 and above, as far as they are kept.
    fn row(&self, tile: Tile) -> Option<Vec<Sha256Digest>> {
        let level = usize::from(tile.level()?);
        let row = self.rows.get(level.checked_sub(1)?)?;
        let from = tile.index().checked_mul(WIDTH_64)?.checked_sub(row.first)?;
        let from = usize::try_from(from).ok()?;
        Some(row.hashes.get(from..from.checked_add(tile.width())?)?.to_vec())
    }
}

/// The tree's tiles for a proof.
struct Kept<'a, L> {
    grown: &'a Grown,
    leaves: L,
}

impl<L: Fn(u64) -> Option<Vec<Sha256Digest>>> Tiles for Kept<'_, L> {
    fn hashes(&self, tile: Tile) -> Result<Vec<Sha256Digest>, TileError> {
        let edge = &self.grown.edge;
        let found = match tile.level() {
            Some(0) if tile.index() == edge.size() >> 8 => Some(edge.partial(0).to_vec()),
            Some(0) => (self.leaves)(tile.index()),
            _ => self.grown.row(tile),
        };
        found.ok_or(TileError::Missing { tile })
    }
}

fn on_level(size: u64, level: usize) -> u64 {
    let shift = u32::try_from(level.saturating_mul(8)).unwrap_or(u32::MAX);
    size.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests;
