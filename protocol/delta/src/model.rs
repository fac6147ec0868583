//! Differences coded with a model of where they occur: by a binary arithmetic coder whose
//! probabilities depend on the bytes of the base that are changed. Encoder and decoder run the same
//! code here, each with its own end of the coder ([`Bits`]). Words are those of the result's
//! alignment, and differ as numbers, so that what moves by as much looks the same wherever it
//! stands.

#[cfg(test)]
mod tests;

use alloc::vec;
use alloc::vec::Vec;

/// One end of an arithmetic coder.
pub trait Bits {
    /// Codes one bit, of which `probability` says in 2^16 parts how likely it is set. A decoder
    /// returns the bit it finds, an encoder the one it is given. `None` at the end of the bytes.
    fn bit(&mut self, bit: u32, probability: u32) -> Option<u32>;
}

/// Bytes that are coded at once where nothing in them changes.
const BLOCK: usize = 64;

const WORD: usize = 4;

/// Words whose changes are remembered: those of the last block.
const RING: usize = BLOCK / WORD;

/// Tables have entries of 8, 12 or 24 bytes more often than others: relocations, symbols, and what
/// a kernel keeps of its code. So many words back, the same field stands.
const STRIDE: usize = 6;

/// How fast a probability still moves once it has been used often.
const COUNT_MAX: u32 = 250;

/// The logarithms of how many contexts there are for a word of the base, and for a byte.
const WORD_BITS: u32 = 13;
const BYTE_BITS: u32 = 15;

/// What the model takes, in bytes.
pub(crate) const MODEL_BYTES: u64 =
    4 * (256 + 256 + 1536 + (1 << WORD_BITS) * 2 + 256 + 192 + (2 << BYTE_BITS) + 256) + (8 << 10);

/// A probability in 2^22 parts, and in the low ten bits how often it has been used.
#[derive(Debug, Clone, Copy)]
struct Cell(u32);

impl Cell {
    const EVEN: Cell = Cell(1 << 31);

    /// In 2^16 parts.
    #[inline]
    fn probability(self) -> u32 {
        self.0.wrapping_shr(16)
    }

    #[inline]
    fn learn(&mut self, bit: u32, rates: &[u32; 256]) {
        let count = self.0 & 0x3ff;
        let is = self.0.wrapping_shr(10);
        let at = usize::try_from(count).unwrap_or(0) & 0xff;
        let rate = i64::from(*rates.get(at).unwrap_or(&0));
        let wanted = i64::from(bit.wrapping_shl(22).wrapping_sub(bit));
        let by = wanted.wrapping_sub(is.into()).wrapping_mul(rate).wrapping_shr(16);
        let now = i64::from(is).wrapping_add(by);
        let now = u32::try_from(now.clamp(64, (1 << 22) - 64)).unwrap_or(1 << 21);
        let count = if count < COUNT_MAX { count.wrapping_add(1) } else { count };
        self.0 = now.wrapping_shl(10) | count;
    }
}

/// The model of one frame.
pub struct Model {
    rates: [u32; 256],
    blocks: Vec<Cell>,
    block_history: usize,
    /// Whether a word changes: by the words before it, by its top byte, and by itself.
    recent: Vec<Cell>,
    tops: Vec<Cell>,
    words: Vec<Cell>,
    history: usize,
    /// How each word, and each top byte, changed last.
    changes: Vec<u32>,
    top_changes: Vec<u32>,
    /// Whether it changes so again.
    hits: Vec<Cell>,
    hit_history: [usize; 3],
    /// How the last words changed, by their place.
    ring: [u32; RING],
    /// The bytes of other changes: by the byte before, and by the byte of the base.
    after: Vec<Cell>,
    over: Vec<Cell>,
}

impl core::fmt::Debug for Model {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Model")
    }
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// Before anything is known.
    pub fn new() -> Model {
        let mut rates = [0; 256];
        for (rate, count) in rates.iter_mut().zip(0u32..) {
            let divisor = count.wrapping_mul(2).wrapping_add(3);
            *rate = 131_072u32.checked_div(divisor).unwrap_or(0);
        }
        let cells = |count: usize| vec![Cell::EVEN; count];
        Model {
            rates,
            blocks: cells(256),
            block_history: 0,
            recent: cells(512),
            tops: cells(1024),
            words: cells(1 << WORD_BITS),
            history: 0,
            changes: vec![0; 1 << WORD_BITS],
            top_changes: vec![0; 256],
            hits: cells(192),
            hit_history: [0; 3],
            ring: [0; RING],
            after: cells(1 << BYTE_BITS),
            over: cells(1 << BYTE_BITS),
        }
    }

    /// Changes `bytes`, the base's as they are rewritten, to those of the result, which stand at
    /// `new` there. An encoder hands these in as `wanted`, of the same length.
    pub fn piece<B: Bits>(
        &mut self,
        bits: &mut B,
        bytes: &mut [u8],
        wanted: Option<&[u8]>,
        new: u64,
    ) -> Option<()> {
        let mut at = 0usize;
        while at < bytes.len() {
            let place = usize::try_from(new & 63).ok()?.wrapping_add(at) & 63;
            let left = bytes.len().wrapping_sub(at);
            let mut length = WORD.wrapping_sub(place & 3).min(left);
            let is_block = place == 0 && left >= BLOCK;
            if is_block {
                length = BLOCK;
            }
            let end = at.wrapping_add(length);
            let part = bytes.get_mut(at..end)?;
            let aim = wanted.and_then(|wanted| wanted.get(at..end));
            at = end;
            if is_block && !self.block(bits, aim.is_some_and(|aim| aim != part))? {
                self.ring = [0; RING];
                continue;
            }
            for (index, word) in part.chunks_mut(WORD).enumerate() {
                let from = index.wrapping_mul(WORD);
                let aim = aim.and_then(|aim| aim.get(from..from.wrapping_add(word.len())));
                self.word(bits, word, aim, place.wrapping_add(from) / WORD)?;
            }
        }
        Some(())
    }

    /// Whether anything in a block changes.
    fn block<B: Bits>(&mut self, bits: &mut B, changes: bool) -> Option<bool> {
        let cell = self.blocks.get_mut(self.block_history & 0xff)?;
        let bit = bits.bit(changes.into(), cell.probability())?;
        cell.learn(bit, &self.rates);
        self.block_history = self.block_history.wrapping_shl(1) | usize::from(bit == 1);
        Some(bit == 1)
    }

    /// One word, or what a piece has of it; it stands at `place` among the words of a block.
    #[inline]
    fn word<B: Bits>(
        &mut self,
        bits: &mut B,
        word: &mut [u8],
        aim: Option<&[u8]>,
        place: usize,
    ) -> Option<()> {
        let old = number(word);
        let by = aim.map_or(0, |aim| number(aim).wrapping_sub(old));
        let top = usize::try_from(old.wrapping_shr(24)).ok()?;
        let key = hash(old, WORD_BITS);
        let before = *self.ring.get(place.wrapping_add(RING).wrapping_sub(STRIDE) % RING)?;
        let changed = self.ring.get_mut(place % RING)?;
        *changed = 0;
        if !self.changes(bits, by != 0, (top, key, before != 0))? {
            return Some(());
        }
        let by = self.change(bits, by, (old, top, key, before), word.len())?;
        *self.ring.get_mut(place % RING)? = by;
        *self.changes.get_mut(key)? = by;
        *self.top_changes.get_mut(top)? = by;
        for (to, from) in word.iter_mut().zip(old.wrapping_add(by).to_le_bytes()) {
            *to = from;
        }
        Some(())
    }

    #[inline]
    fn changes<B: Bits>(
        &mut self,
        bits: &mut B,
        changes: bool,
        (top, key, changed_before): (usize, usize, bool),
    ) -> Option<bool> {
        let before = usize::from(changed_before);
        let recent = self.recent.get_mut(self.history.wrapping_shl(1) & 0x1fe | before)?;
        let tops = top.wrapping_shl(2) | self.history.wrapping_shl(1) & 2 | before;
        let tops = self.tops.get_mut(tops)?;
        let words = self.words.get_mut(key)?;
        let sum = recent.probability().wrapping_add(tops.probability());
        let sum = sum.wrapping_add(words.probability().wrapping_mul(2));
        let bit = bits.bit(changes.into(), sum.wrapping_shr(2))?;
        for cell in [recent, tops, words] {
            cell.learn(bit, &self.rates);
        }
        self.history = self.history.wrapping_shl(1) | usize::from(bit == 1);
        Some(bit == 1)
    }

    /// By how much a word changes: as the same field before, as it did last itself, as one like it
    /// did last, or as its bytes say.
    fn change<B: Bits>(
        &mut self,
        bits: &mut B,
        by: u32,
        (old, top, key, before): (u32, usize, usize, u32),
        length: usize,
    ) -> Option<u32> {
        let guesses = [before, *self.changes.get(key)?, *self.top_changes.get(top)?];
        for (number, guess) in guesses.into_iter().enumerate() {
            if guess == 0 || guesses.iter().take(number).any(|other| *other == guess) {
                continue;
            }
            let history = self.hit_history.get_mut(number)?;
            let cell = self.hits.get_mut(number.wrapping_shl(6) | *history & 63)?;
            let bit = bits.bit((by == guess).into(), cell.probability())?;
            cell.learn(bit, &self.rates);
            *history = history.wrapping_shl(1) | usize::from(bit == 1);
            if bit == 1 {
                return Some(guess);
            }
        }
        let mut made = [0; WORD];
        let mut before = 0;
        for (place, (to, (old, by))) in
            made.iter_mut().zip(old.to_le_bytes().into_iter().zip(by.to_le_bytes())).enumerate()
        {
            if place < length {
                *to = self.byte(bits, by, (place, before, old, top))?;
                before = usize::from(*to);
            } else {
                // The bytes that a piece does not have take the carry, which nobody sees.
                *to = 0;
            }
        }
        Some(u32::from_le_bytes(made))
    }

    #[inline]
    fn byte<B: Bits>(
        &mut self,
        bits: &mut B,
        byte: u8,
        (place, before, old, top): (usize, usize, u8, usize),
    ) -> Option<u8> {
        let place = u32::try_from(place).ok()?;
        let (before, top) = (u32::try_from(before).ok()?, u32::try_from(top).ok()?);
        let after = place.wrapping_shl(8) | before;
        let over = place.wrapping_shl(16) | top.wrapping_shl(8) | u32::from(old);
        let mut node = 1u32;
        for shift in (0..8u32).rev() {
            let after = hash(after.wrapping_shl(8) | node, BYTE_BITS);
            let over = hash(over.wrapping_mul(0x2f0b_4c47).wrapping_add(node), BYTE_BITS);
            let (after, over) = (self.after.get_mut(after)?, self.over.get_mut(over)?);
            let sum = after.probability().wrapping_add(over.probability());
            let bit = u32::from(byte).wrapping_shr(shift) & 1;
            let bit = bits.bit(bit, sum.wrapping_shr(1))?;
            after.learn(bit, &self.rates);
            over.learn(bit, &self.rates);
            node = node.wrapping_shl(1) | bit;
        }
        let [byte, ..] = node.to_le_bytes();
        Some(byte)
    }
}

/// Up to four bytes as a number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value.wrapping_shl(8) | u32::from(*byte))
}

#[inline]
fn hash(value: u32, bits: u32) -> usize {
    let mixed = value.wrapping_mul(0x9e37_79b1);
    usize::try_from(mixed.wrapping_shr(u32::BITS.wrapping_sub(bits))).unwrap_or(0)
}

/// The decoder's end of the coder (carryless, 32 bits).
pub(crate) struct BitReader<'a> {
    low: u32,
    high: u32,
    code: u32,
    source: &'a [u8],
    /// How many bytes past the end were taken as zero.
    missing: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(source: &'a [u8]) -> BitReader<'a> {
        let mut reader = BitReader { low: 0, high: u32::MAX, code: 0, source, missing: 0 };
        for _ in 0..4 {
            reader.next();
        }
        reader
    }

    /// An encoder leaves out up to four zeros at the end.
    #[inline]
    fn next(&mut self) {
        let byte = match self.source.split_first() {
            Some((byte, rest)) => {
                self.source = rest;
                *byte
            }
            None => {
                self.missing = self.missing.saturating_add(1);
                0
            }
        };
        self.code = self.code.wrapping_shl(8) | u32::from(byte);
    }

    /// Whether the bytes ended as an encoder ends them.
    pub(crate) fn is_at_end(&self) -> bool {
        self.source.is_empty()
    }
}

/// Where the range is divided; the probability is kept away from both ends.
#[inline]
fn divided(low: u32, high: u32, probability: u32) -> u32 {
    let range = u64::from(high.wrapping_sub(low));
    let part = range.wrapping_mul(probability.clamp(16, 65_520).into()).wrapping_shr(16);
    low.wrapping_add(u32::try_from(part).unwrap_or(0))
}

impl Bits for BitReader<'_> {
    #[inline]
    fn bit(&mut self, _: u32, probability: u32) -> Option<u32> {
        let middle = divided(self.low, self.high, probability);
        let bit = u32::from(self.code <= middle);
        if bit == 1 {
            self.high = middle;
        } else {
            self.low = middle.wrapping_add(1);
        }
        while (self.low ^ self.high) & 0xff00_0000 == 0 {
            self.low = self.low.wrapping_shl(8);
            self.high = self.high.wrapping_shl(8) | 0xff;
            self.next();
            if self.missing > 8 {
                return None;
            }
        }
        Some(bit)
    }
}

/// The encoder's end.
#[derive(Debug)]
pub struct BitWriter {
    low: u32,
    high: u32,
    bytes: Vec<u8>,
}

impl Default for BitWriter {
    fn default() -> BitWriter {
        BitWriter { low: 0, high: u32::MAX, bytes: Vec::new() }
    }
}

impl BitWriter {
    /// All bytes.
    pub fn finish(mut self) -> Vec<u8> {
        // Zeros at the end need not be there: the least number of the range that ends in most of
        // them.
        let tail = if self.low == 0 { [0; 4] } else { self.high.to_be_bytes() };
        self.bytes.extend_from_slice(&tail);
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

impl Bits for BitWriter {
    fn bit(&mut self, bit: u32, probability: u32) -> Option<u32> {
        let middle = divided(self.low, self.high, probability);
        if bit == 1 {
            self.high = middle;
        } else {
            self.low = middle.wrapping_add(1);
        }
        while (self.low ^ self.high) & 0xff00_0000 == 0 {
            let [byte, ..] = self.high.to_be_bytes();
            self.bytes.push(byte);
            self.low = self.low.wrapping_shl(8);
            self.high = self.high.wrapping_shl(8) | 0xff;
        }
        Some(bit)
    }
}
