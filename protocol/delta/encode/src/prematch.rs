//! Long pieces of the base that stand in the result unchanged, found by a rolling hash of whole
//! blocks. They need no suffix array, neither to be found nor around them, and make up most of an
//! image of a file system. What lies between them is `matching`'s.

#[cfg(test)]
mod tests;

use crate::error::{EncodeError, Side};
use crate::source::{ReadAt, read};
use std::collections::HashMap;

/// The length of the blocks of the base that are looked for, which is that of most file systems.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// How much of the result is read at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// How much is compared at a time where a match is extended.
const COMPARED_BYTES: usize = 64 << 10;

/// The base of the polynomial; odd, so that no bit is lost for good.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes that are the same in both images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Same {
    pub(crate) new: u64,
    pub(crate) old: u64,
    pub(crate) length: u64,
}

/// The blocks of the base by their hash.
struct Blocks {
    places: HashMap<u64, u32, std::hash::BuildHasherDefault<AsIs>>,
    /// One bit per hash: most places of the result are told apart by it.
    filter: Vec<u64>,
    /// How the first byte of a block leaves the hash.
    leaving: u64,
}

/// The keys are hashes.
#[derive(Default)]
struct AsIs(u64);

impl std::hash::Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value ^ value >> 32;
    }
}

const FILTER_WORDS: usize = 1 << 16;

impl Blocks {
    fn of(base: &dyn ReadAt, length: u64) -> Result<Blocks, EncodeError> {
        let leaving = (0..BLOCK_BYTES).fold(1u64, |power, _| power.wrapping_mul(FACTOR));
        let mut blocks =
            Blocks { places: HashMap::default(), filter: vec![0; FILTER_WORDS], leaving };
        let mut number = 0;
        let mut offset = 0;
        while offset < length {
            let want = (CHUNK_BYTES as u64).min(length - offset);
            let chunk = read(base, Side::Base, offset, want)?;
            for block in chunk.chunks_exact(BLOCK_BYTES) {
                let hash = hash(block);
                blocks.places.entry(hash).or_insert(number);
                let (word, bit) = filter_place(hash);
                if let Some(word) = blocks.filter.get_mut(word) {
                    *word |= bit;
                }
                number += 1;
            }
            offset += want;
        }
        Ok(blocks)
    }

    fn find(&self, hash: u64) -> Option<u64> {
        let (word, bit) = filter_place(hash);
        if self.filter.get(word).is_none_or(|word| word & bit == 0) {
            return None;
        }
        self.places.get(&hash).map(|number| u64::from(*number) * BLOCK_BYTES as u64)
    }
}

/// The top bits of the hash depend on all bytes of a block.
fn filter_place(hash: u64) -> (usize, u64) {
    (usize::try_from(hash >> 48).unwrap_or(0), 1 << (hash >> 42 & 63))
}

fn hash(block: &[u8]) -> u64 {
    block.iter().fold(0u64, |hash, byte| push(hash, *byte))
}

fn push(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(FACTOR).wrapping_add(u64::from(byte) + 1)
}

/// Finds what the images have in common, in the order of the result and without overlaps.
pub(crate) fn prematch(
    base: &dyn ReadAt,
    result: &dyn ReadAt,
    lengths: (u64, u64),
) -> Result<Vec<Same>, EncodeError> {
    let blocks = Blocks::of(base, lengths.0)?;
    let mut search = Search { base, result, lengths, blocks, found: Vec::new() };
    let mut at = 0;
    while at + BLOCK_BYTES as u64 <= lengths.1 {
        at = search.chunk(at)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    base: &'a dyn ReadAt,
    result: &'a dyn ReadAt,
    lengths: (u64, u64),
    blocks: Blocks,
    found: Vec<Same>,
}

impl Search<'_> {
    /// Looks for blocks that begin in the chunk at `start`, and says where to go on: after the
    /// chunk, or after a match.
    fn chunk(&mut self, start: u64) -> Result<u64, EncodeError> {
        let want = (CHUNK_BYTES as u64).min(self.lengths.1 - start);
        let chunk = read(self.result, Side::Result, start, want)?;
        let mut at = 0;
        // Before anything is hashed: does the chunk go on like the last match, or stand in place?
        while let Some(block) = chunk.get(at..).filter(|rest| rest.len() >= BLOCK_BYTES) {
            let mut hash = hash(block.get(..BLOCK_BYTES).unwrap_or_default());
            let mut rolled = at;
            let leaving = block.iter();
            let entering = block.get(BLOCK_BYTES..).unwrap_or_default().iter();
            let mut pairs = leaving.zip(entering);
            let found = loop {
                if let Some(place) = self.blocks.find(hash) {
                    let new = start + rolled as u64;
                    if let Some(same) = self.extended(new, place)? {
                        break Some(same);
                    }
                }
                let Some((left, entered)) = pairs.next() else { break None };
                hash = push(hash, *entered);
                hash = hash.wrapping_sub(self.blocks.leaving.wrapping_mul(u64::from(*left) + 1));
                rolled += 1;
            };
            let Some(same) = found else { break };
            self.found.push(same);
            let end = same.new + same.length;
            match usize::try_from(end - start) {
                Ok(inside) if inside + BLOCK_BYTES <= chunk.len() => at = inside,
                _ => return Ok(end),
            }
        }
        Ok(start + want - (BLOCK_BYTES as u64 - 1).min(want - 1))
    }

    /// The match around a block, if it is one: in place if the same block stands there too, else
    /// where the hash says.
    fn extended(&self, new: u64, place: u64) -> Result<Option<Same>, EncodeError> {
        let block = read(self.result, Side::Result, new, BLOCK_BYTES as u64)?;
        // Blocks that stand in the base more than once: what goes on like the match before, or
        // stands in place, is likelier to go on.
        let last = self.found.last().map(|last| new - last.new + last.old);
        for old in last.into_iter().chain([new, place]) {
            let fits = old.checked_add(BLOCK_BYTES as u64).is_some_and(|end| end <= self.lengths.0);
            if fits && read(self.base, Side::Base, old, BLOCK_BYTES as u64)? == block {
                return self.extend(Same { new, old, length: BLOCK_BYTES as u64 }).map(Some);
            }
        }
        Ok(None)
    }

    fn extend(&self, mut same: Same) -> Result<Same, EncodeError> {
        loop {
            let (old, new) = (same.old + same.length, same.new + same.length);
            let left = (self.lengths.0 - old).min(self.lengths.1 - new);
            let want = left.min(COMPARED_BYTES as u64);
            let (before, after) = (
                read(self.base, Side::Base, old, want)?,
                read(self.result, Side::Result, new, want)?,
            );
            let equal = crate::matching::agreement(&before, &after) as u64;
            same.length += equal;
            if equal < want || want == 0 {
                break;
            }
        }
        let floor = self.found.last().map_or(0, |last| last.new + last.length);
        let room = same.old.min(same.new - floor).min(COMPARED_BYTES as u64);
        let old = read(self.base, Side::Base, same.old - room, room)?;
        let new = read(self.result, Side::Result, same.new - room, room)?;
        let equal =
            old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count()
                as u64;
        Ok(Same { new: same.new - equal, old: same.old - equal, length: same.length + equal })
    }
}
