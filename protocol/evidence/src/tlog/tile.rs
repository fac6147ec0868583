//! Tiles and entry bundles: how they are named, and their bytes (c2sp.org/tlog-tiles).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use lazaret_protocol::digest::Sha256Digest;

/// Hashes of a full tile, and entries of a full bundle.
pub const WIDTH: usize = 256;

/// Longest entry: its length stands in 16 bits.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

const WIDTH_64: u64 = WIDTH as u64;
const HASH_BYTES: usize = 32;

/// A tile, or what is wrong with one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// It is needed and is not there: it was pruned, or lost.
    #[error("tile {tile} is not there")]
    Missing {
        /// Which one.
        tile: Tile,
    },
    /// It has not as many hashes as it should.
    #[error("expected tile {tile} to have {} hashes, found {got}", tile.width())]
    Width {
        /// Which one.
        tile: Tile,
        /// How many it has.
        got: usize,
    },
    /// Its bytes are no row of hashes.
    #[error("expected a tile of whole hashes of 32 bytes, at most 256, found {got} bytes")]
    NoHashes {
        /// How many bytes it has.
        got: usize,
    },
    /// A bundle ends within an entry.
    #[error("entry bundle ends within its entry {entry}")]
    BundleCut {
        /// Which entry, from the start of the bundle.
        entry: usize,
    },
    /// A bundle goes on after its 256th entry.
    #[error("expected a bundle of at most 256 entries, found more")]
    BundleLong,
    /// An entry cannot be logged.
    #[error("expected an entry of at most 65535 bytes, got {got}")]
    EntryLong {
        /// How long it is.
        got: usize,
    },
    /// There is no room for another entry.
    #[error("the tree has as many entries as a tree can have")]
    TreeFull,
    /// A text that names no tile.
    #[error("expected a path such as tile/0/x001/067.p/5, got {got:?}")]
    NoPath {
        /// What came, cut after 80 characters.
        got: String,
    },
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Content {
    Hashes { level: u8 },
    Entries,
}

/// Names a tile of hashes or a bundle of entries: its level, its place and its width. As text, the
/// path below the log's prefix, such as `tile/0/x001/x234/067.p/5` or `tile/entries/000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    content: Content,
    index: u64,
    /// Hashes less one, so that every value is a width.
    width_less_one: u8,
}

impl Tile {
    /// The partial tile at the right edge of a tree of `size` entries; none where the level's last
    /// tile is full.
    #[must_use]
    pub fn partial(level: usize, size: u64) -> Option<Self> {
        let hashes = hashes_at(level, size);
        let width = u8::try_from(hashes.checked_rem(WIDTH_64)?).ok()?;
        let level = u8::try_from(level).ok()?;
        let index = hashes.checked_div(WIDTH_64)?;
        let width_less_one = width.checked_sub(1)?;
        Some(Self { content: Content::Hashes { level }, index, width_less_one })
    }

    /// The tile of `level` that holds the hash at `at`, as wide as a tree of `size` entries makes
    /// it; none where that tree has no such hash.
    #[must_use]
    pub fn holding(level: u8, at: u64, size: u64) -> Option<Self> {
        let hashes = hashes_at(usize::from(level), size);
        if at >= hashes {
            return None;
        }
        let index = at.checked_div(WIDTH_64)?;
        let before = index.checked_mul(WIDTH_64)?;
        let width = hashes.checked_sub(before)?.min(WIDTH_64);
        let width_less_one = u8::try_from(width.checked_sub(1)?).ok()?;
        Some(Self { content: Content::Hashes { level }, index, width_less_one })
    }

    /// The last full tile of a level of a tree of `size` entries, which must have one.
    pub(super) fn last_full(level: usize, size: u64) -> Self {
        let index = hashes_at(level, size).checked_div(WIDTH_64).unwrap_or(0).saturating_sub(1);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        Self { content: Content::Hashes { level }, index, width_less_one: u8::MAX }
    }

    /// The bundle of the entries whose hashes a tile of level 0 holds; none for other tiles.
    #[must_use]
    pub const fn entries(self) -> Option<Self> {
        match self.content {
            Content::Hashes { level: 0 } => Some(Self { content: Content::Entries, ..self }),
            _ => None,
        }
    }

    /// The full tile in whose place this one stands or once stood.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width_less_one: u8::MAX, ..self }
    }

    /// Its level, from 0 on; none for bundles of entries.
    #[must_use]
    pub const fn level(self) -> Option<u8> {
        match self.content {
            Content::Hashes { level } => Some(level),
            Content::Entries => None,
        }
    }

    /// The bundle of entries of that index which is so wide, 1 to 256; none of another width.
    #[must_use]
    pub fn bundle(index: u64, width: usize) -> Option<Self> {
        let width_less_one = u8::try_from(width.checked_sub(1)?).ok()?;
        Some(Self { content: Content::Entries, index, width_less_one })
    }

    /// Which one of its level, from 0.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    #[must_use]
    pub fn width(self) -> usize {
        usize::from(self.width_less_one).saturating_add(1)
    }

    /// The index after its last entry, if it is full (tlog-tiles: the *end index*). What ends at or
    /// before the minimum index of a pruned log need not be there.
    #[must_use]
    pub fn end(self) -> u64 {
        let level = match self.content {
            Content::Hashes { level } => level,
            Content::Entries => 0,
        };
        let entries = u32::from(level).checked_add(1).and_then(|level| WIDTH_64.checked_pow(level));
        self.index.saturating_add(1).saturating_mul(entries.unwrap_or(u64::MAX))
    }
}

/// How many hashes a level of a tree of `size` entries has.
fn hashes_at(level: usize, size: u64) -> u64 {
    let shift = u32::try_from(level).ok().and_then(|level| level.checked_mul(8));
    shift.and_then(|shift| size.checked_shr(shift)).unwrap_or(0)
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes { level } => write!(f, "tile/{level}/")?,
            Content::Entries => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let missing = (3_usize.saturating_sub(digits.len() % 3)) % 3;
        let padded: String = ["0".repeat(missing), digits].concat();
        let groups = padded.len() / 3;
        for (number, group) in padded.as_bytes().chunks(3).enumerate() {
            let last = number.saturating_add(1) == groups;
            let group = core::str::from_utf8(group).unwrap_or_default();
            if last { f.write_str(group)? } else { write!(f, "x{group}/")? }
        }
        if self.width_less_one < u8::MAX { write!(f, ".p/{}", self.width()) } else { Ok(()) }
    }
}

impl FromStr for Tile {
    type Err = TileError;

    /// Reads exactly what is written: one text for one tile.
    fn from_str(text: &str) -> Result<Self, TileError> {
        let refused = || TileError::NoPath { got: text.chars().take(80).collect() };
        let tile = parsed(text).ok_or_else(refused)?;
        if tile.to_string() == text { Ok(tile) } else { Err(refused()) }
    }
}

fn parsed(text: &str) -> Option<Tile> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let content = match level {
        "entries" => Content::Entries,
        level => Content::Hashes { level: level.parse().ok().filter(|level| *level < 64)? },
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse::<u8>().ok()?),
        None => (rest, 0),
    };
    // Seven groups of three digits hold any 64-bit number.
    if index.len() > 34 {
        return None;
    }
    let digits: String = index.split('/').map(|group| group.trim_start_matches('x')).collect();
    let width_less_one = width.wrapping_sub(1);
    Some(Tile { content, index: digits.parse().ok()?, width_less_one })
}

/// The bytes of a tile: its hashes, one after the other.
#[must_use]
pub fn write_hashes(hashes: &[Sha256Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile.
///
/// # Errors
/// The bytes are not 1 to 256 whole hashes.
pub fn read_hashes(bytes: &[u8]) -> Result<Vec<Sha256Digest>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.is_empty() || hashes.len() > WIDTH || !rest.is_empty() {
        return Err(TileError::NoHashes { got: bytes.len() });
    }
    Ok(hashes.iter().map(|hash| Sha256Digest::from_bytes(*hash)).collect())
}

/// Appends an entry to the bytes of a bundle.
///
/// # Errors
/// It is longer than 65,535 bytes.
pub fn write_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length =
        u16::try_from(entry.len()).map_err(|_| TileError::EntryLong { got: entry.len() })?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    Ok(())
}

/// The entries of a bundle, in their order.
///
/// # Errors
/// It ends within an entry, or has more than 256.
pub fn read_entries(bundle: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == WIDTH {
            return Err(TileError::BundleLong);
        }
        let cut = TileError::BundleCut { entry: entries.len() };
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| cut.clone())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(cut)?;
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
