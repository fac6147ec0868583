//! A sketch of the base: the places of a sparse, content-chosen sample of its 64-byte strings. It
//! tells, for a piece of the result, which part of the base it most likely comes from, even where
//! megabytes were inserted or removed before it. Matching itself is in `matching`.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

/// The sketch keeps about this many places, so that its memory does not grow with the base.
const SAMPLES_WANTED: u64 = 1 << 18;

/// Votes are counted for stretches of the base of this length.
const STRETCH_BYTES: u64 = 32 << 10;

/// A rolling hash over the last 64 bytes (each byte's share is shifted out after 64 steps). Where
/// its top bits are zero, the place is in the sample, wherever the string stands in an image.
struct Sampler {
    hash: u64,
    bits: u32,
    seen: u32,
}

impl Sampler {
    fn new(bits: u32) -> Sampler {
        Sampler { hash: 0, bits, seen: 0 }
    }

    /// Takes the next byte, and returns the hash if the place after it is in the sample.
    fn push(&mut self, byte: u8) -> Option<u64> {
        self.hash = (self.hash << 1).wrapping_add(scramble(byte));
        self.seen = self.seen.saturating_add(1);
        // Until then, the hash also tells how far the start of the piece is.
        let is_full = self.seen >= u64::BITS;
        let is_sampled = is_full && self.hash >> (u64::BITS - self.bits) == 0;
        is_sampled.then_some(self.hash)
    }
}

/// A fixed pseudo-random number per byte (the finaliser of splitmix64).
const fn scramble(byte: u8) -> u64 {
    let mut z = (byte as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Collects the sketch while the base streams by.
pub(crate) struct SketchBuilder {
    sampler: Sampler,
    offset: u64,
    places: HashMap<u64, Place>,
}

/// Where a sampled string stands in the base.
#[derive(Clone, Copy)]
enum Place {
    Once(u64),
    /// It says nothing about where a piece comes from: zeros, padding, tables.
    Often,
}

impl SketchBuilder {
    /// For a base of this length.
    pub(crate) fn new(base_length: u64) -> SketchBuilder {
        let bits = (base_length / SAMPLES_WANTED).max(16).ilog2();
        SketchBuilder { sampler: Sampler::new(bits), offset: 0, places: HashMap::new() }
    }

    /// Takes the next bytes of the base.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.offset += 1;
            if let Some(hash) = self.sampler.push(*byte) {
                let place = Place::Once(self.offset);
                self.places.entry(hash).and_modify(|p| *p = Place::Often).or_insert(place);
            }
        }
    }

    /// The finished sketch.
    pub(crate) fn finish(self) -> Sketch {
        Sketch { bits: self.sampler.bits, base_length: self.offset, places: self.places }
    }
}

/// The sampled places of a whole base.
pub(crate) struct Sketch {
    bits: u32,
    base_length: u64,
    places: HashMap<u64, Place>,
}

impl Sketch {
    /// Where a window of `window_bytes` should begin to hold most of what `piece`, which stands at
    /// `piece_offset` in the result, comes from. Where nothing is recognised, it lies around the
    /// same offset.
    pub(crate) fn window(&self, piece: &[u8], piece_offset: u64, window_bytes: u64) -> u64 {
        let latest = self.base_length.saturating_sub(window_bytes);
        let votes = self.votes(piece);
        let length = u64::try_from(piece.len()).unwrap_or(0);
        let slack = window_bytes.saturating_sub(length) / 2;
        let Some((first, last)) = densest(&votes, window_bytes / STRETCH_BYTES) else {
            return piece_offset.saturating_sub(slack).min(latest);
        };
        // The window is centred on the votes it covers, so that what lies just outside is in it.
        let middle = (first + last + 1) * STRETCH_BYTES / 2;
        middle.saturating_sub(window_bytes / 2).min(latest)
    }

    /// How many sampled strings of the piece stand in each stretch of the base, in order.
    fn votes(&self, piece: &[u8]) -> Vec<(u64, usize)> {
        let mut votes: HashMap<u64, usize> = HashMap::new();
        for (_, place) in self.recognised(piece) {
            *votes.entry(place / STRETCH_BYTES).or_default() += 1;
        }
        let mut votes: Vec<(u64, usize)> = votes.into_iter().collect();
        votes.sort_unstable();
        votes
    }

    /// The sampled strings of the piece that the base has once: offset in the piece, in the base.
    fn recognised(&self, piece: &[u8]) -> impl Iterator<Item = (u64, u64)> {
        let mut sampler = Sampler::new(self.bits);
        (1u64..).zip(piece).filter_map(move |(offset, byte)| {
            match self.places.get(&sampler.push(*byte)?)? {
                Place::Once(place) => Some((offset, *place)),
                Place::Often => None,
            }
        })
    }
}

/// The first and last stretch of the run of `width` stretches with the most votes, the earliest if
/// several have as many.
fn densest(votes: &[(u64, usize)], width: u64) -> Option<(u64, u64)> {
    let mut best: Option<(usize, u64, u64)> = None;
    for (index, (first, _)) in votes.iter().enumerate() {
        let covered = votes.iter().skip(index).take_while(|(s, _)| s - first < width.max(1));
        let (mut sum, mut last) = (0, *first);
        for (stretch, count) in covered {
            sum += count;
            last = *stretch;
        }
        if best.is_none_or(|(most, _, _)| sum > most) {
            best = Some((sum, *first, last));
        }
    }
    best.map(|(_, first, last)| (first, last))
}
