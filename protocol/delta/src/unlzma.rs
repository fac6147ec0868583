//! LZMA streams (raw LZMA1 after one byte of properties, without an end marker; the format is that
//! of Igor Pavlov's specification of 2015). The result is one slice that is its own dictionary, so
//! that besides it only the probabilities take memory.

#[cfg(test)]
mod tests;

use crate::unzstd::Malformed;
use alloc::vec;
use alloc::vec::Vec;

/// The probabilities of literals grow with two to the power of their context bits; more than these
/// are of no use for frames of this length.
const LITERAL_BITS_MAX: u8 = 4;

const STATES: usize = 12;
const POSITIONS: usize = 16;
const LITERAL_PROBABILITIES: usize = 0x300;
const MATCH_MIN: usize = 2;

/// The least distance slot whose low bits are read through their own tree, and the least whose high
/// bits are read without a model.
const SLOT_MODELLED: u32 = 4;
const SLOT_DIRECT: u32 = 14;
const ALIGNED_BITS: u32 = 4;

/// A probability of zero in 2^11 parts, and how it starts.
type Probability = u16;
const EVEN: Probability = 1 << 10;

/// What a stream takes besides its input and its result.
pub(crate) const WORK_BYTES: u64 = 48 << 10;

/// Fills `out` from a stream, which has to end with it.
pub(crate) fn decode(source: &[u8], out: &mut [u8]) -> Result<(), Malformed> {
    let (properties, source) = source.split_first().ok_or(Malformed)?;
    let (context_bits, rest) = (properties % 9, properties / 9);
    let (position_bits, match_bits) = (rest % 5, rest / 5);
    if match_bits > 4 || context_bits.saturating_add(position_bits) > LITERAL_BITS_MAX {
        return Err(Malformed);
    }
    let mut decoder = Decoder {
        range: Range::new(source).ok_or(Malformed)?,
        model: Model::new(context_bits.into(), position_bits.into(), match_bits.into()),
        state: 0,
        distances: [0; 4],
    };
    let mut at = 0;
    while at < out.len() {
        at = decoder.step(out, at).ok_or(Malformed)?;
    }
    if decoder.range.is_at_end() { Ok(()) } else { Err(Malformed) }
}

/// All probabilities.
struct Model {
    context_bits: u32,
    position_mask: usize,
    match_mask: usize,
    is_match: [[Probability; POSITIONS]; STATES],
    is_repeat: [Probability; STATES],
    is_repeat_0: [Probability; STATES],
    is_repeat_1: [Probability; STATES],
    is_repeat_2: [Probability; STATES],
    is_long_repeat: [[Probability; POSITIONS]; STATES],
    slots: [[Probability; 64]; 4],
    special: [[Probability; 32]; 10],
    aligned: [Probability; 16],
    new_length: Length,
    repeat_length: Length,
    literals: Vec<Probability>,
}

impl Model {
    fn new(context_bits: u32, position_bits: u32, match_bits: u32) -> Model {
        let tables = 1usize.wrapping_shl(context_bits.wrapping_add(position_bits));
        Model {
            context_bits,
            position_mask: 1usize.wrapping_shl(position_bits).wrapping_sub(1),
            match_mask: 1usize.wrapping_shl(match_bits).wrapping_sub(1),
            is_match: [[EVEN; POSITIONS]; STATES],
            is_repeat: [EVEN; STATES],
            is_repeat_0: [EVEN; STATES],
            is_repeat_1: [EVEN; STATES],
            is_repeat_2: [EVEN; STATES],
            is_long_repeat: [[EVEN; POSITIONS]; STATES],
            slots: [[EVEN; 64]; 4],
            special: [[EVEN; 32]; 10],
            aligned: [EVEN; 16],
            new_length: Length::NEW,
            repeat_length: Length::NEW,
            literals: vec![EVEN; tables.saturating_mul(LITERAL_PROBABILITIES)],
        }
    }
}

/// The lengths of matches: eight short ones and eight medium ones per position, and 256 long ones.
struct Length {
    is_not_short: Probability,
    is_long: Probability,
    short: [[Probability; 8]; POSITIONS],
    medium: [[Probability; 8]; POSITIONS],
    long: [Probability; 256],
}

impl Length {
    const NEW: Length = Length {
        is_not_short: EVEN,
        is_long: EVEN,
        short: [[EVEN; 8]; POSITIONS],
        medium: [[EVEN; 8]; POSITIONS],
        long: [EVEN; 256],
    };

    fn read(&mut self, range: &mut Range<'_>, position: usize) -> Option<usize> {
        if range.bit(&mut self.is_not_short)? == 0 {
            return size(range.tree(self.short.get_mut(position)?, 3)?);
        }
        if range.bit(&mut self.is_long)? == 0 {
            return Some(size(range.tree(self.medium.get_mut(position)?, 3)?)?.wrapping_add(8));
        }
        Some(size(range.tree(&mut self.long, 8)?)?.wrapping_add(16))
    }
}

struct Decoder<'a> {
    range: Range<'a>,
    model: Model,
    /// What came before: below seven, a literal.
    state: usize,
    /// The last four distances, less one.
    distances: [u32; 4],
}

impl Decoder<'_> {
    /// Reads one literal or match for the place `at`, and returns the place after it.
    #[inline]
    fn step(&mut self, out: &mut [u8], at: usize) -> Option<usize> {
        let position = at & self.model.match_mask;
        let (range, model, state) = (&mut self.range, &mut self.model, self.state);
        if range.bit(model.is_match.get_mut(state)?.get_mut(position)?)? == 0 {
            self.literal(out, at)?;
            return at.checked_add(1);
        }
        let length;
        if range.bit(model.is_repeat.get_mut(state)?)? == 0 {
            length = model.new_length.read(range, position)?;
            let distance = distance(range, model, length)?;
            self.distances.rotate_right(1);
            self.distances[0] = distance;
            self.state = if state < 7 { 7 } else { 10 };
        } else if range.bit(model.is_repeat_0.get_mut(state)?)? == 0 {
            if range.bit(model.is_long_repeat.get_mut(state)?.get_mut(position)?)? == 0 {
                self.state = if state < 7 { 9 } else { 11 };
                return copy(out, at, self.distances[0], 1);
            }
            length = model.repeat_length.read(range, position)?;
            self.state = if state < 7 { 8 } else { 11 };
        } else {
            let mut age = 1;
            if range.bit(model.is_repeat_1.get_mut(state)?)? == 1 {
                age = 2;
                if range.bit(model.is_repeat_2.get_mut(state)?)? == 1 {
                    age = 3;
                }
            }
            self.distances.get_mut(..=age)?.rotate_right(1);
            length = model.repeat_length.read(range, position)?;
            self.state = if state < 7 { 8 } else { 11 };
        }
        copy(out, at, self.distances[0], length.wrapping_add(MATCH_MIN))
    }

    /// A byte; after a match, the byte that would have continued the match is part of its context.
    #[inline]
    fn literal(&mut self, out: &mut [u8], at: usize) -> Option<()> {
        let before = at.checked_sub(1).and_then(|before| out.get(before)).copied().unwrap_or(0);
        let high = usize::from(before).wrapping_shr(8u32.wrapping_sub(self.model.context_bits));
        let table = (at & self.model.position_mask)
            .wrapping_shl(self.model.context_bits)
            .wrapping_add(high)
            .wrapping_mul(LITERAL_PROBABILITIES);
        let model =
            self.model.literals.get_mut(table..)?.first_chunk_mut::<LITERAL_PROBABILITIES>()?;
        let mut symbol = 1usize;
        if self.state >= 7 {
            let back = size(self.distances[0])?.checked_add(1)?;
            let mut expected = usize::from(*out.get(at.checked_sub(back)?)?);
            while symbol < 0x100 {
                expected = expected.wrapping_shl(1);
                let wanted = expected & 0x100;
                let context = wanted.wrapping_add(0x100).wrapping_add(symbol);
                let bit = size(self.range.bit(model.get_mut(context)?)?)?;
                symbol = symbol.wrapping_shl(1) | bit;
                if bit != wanted.wrapping_shr(8) {
                    break;
                }
            }
        }
        while symbol < 0x100 {
            let bit = size(self.range.bit(model.get_mut(symbol)?)?)?;
            symbol = symbol.wrapping_shl(1) | bit;
        }
        let [byte, ..] = symbol.to_le_bytes();
        *out.get_mut(at)? = byte;
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state.wrapping_sub(3),
            _ => self.state.wrapping_sub(6),
        };
        Some(())
    }
}

/// A distance, less one.
fn distance(range: &mut Range<'_>, model: &mut Model, length: usize) -> Option<u32> {
    let slot = range.tree(model.slots.get_mut(length.min(3))?, 6)?;
    if slot < SLOT_MODELLED {
        return Some(slot);
    }
    let bits = slot.wrapping_shr(1).wrapping_sub(1);
    let high = (2 | slot & 1).wrapping_shl(bits);
    if slot < SLOT_DIRECT {
        let tree = model.special.get_mut(size(slot.wrapping_sub(SLOT_MODELLED))?)?;
        return Some(high.wrapping_add(range.reverse_tree(tree, bits)?));
    }
    let direct = range.direct(bits.wrapping_sub(ALIGNED_BITS))?.wrapping_shl(ALIGNED_BITS);
    let low = range.reverse_tree(&mut model.aligned, ALIGNED_BITS)?;
    Some(high.wrapping_add(direct).wrapping_add(low))
}

/// Repeats what stands `distance` and one before; returns the place after.
#[inline]
fn copy(out: &mut [u8], at: usize, distance: u32, length: usize) -> Option<usize> {
    let back = size(distance)?.checked_add(1)?;
    let from = at.checked_sub(back)?;
    let end = at.checked_add(length)?;
    if end > out.len() {
        return None;
    }
    if back >= length {
        out.copy_within(from..from.checked_add(length)?, at);
    } else if back == 1 {
        let byte = *out.get(from)?;
        out.get_mut(at..end)?.fill(byte);
    } else {
        for to in at..end {
            let byte = *out.get(to.checked_sub(back)?)?;
            *out.get_mut(to)? = byte;
        }
    }
    Some(end)
}

fn size(value: u32) -> Option<usize> {
    usize::try_from(value).ok()
}

/// The range decoder.
struct Range<'a> {
    range: u32,
    code: u32,
    source: &'a [u8],
}

impl<'a> Range<'a> {
    /// A stream begins with a zero byte and four of the code.
    fn new(source: &'a [u8]) -> Option<Range<'a>> {
        let ([0, a, b, c, d], source) = source.split_first_chunk::<5>()? else { return None };
        Some(Range { range: u32::MAX, code: u32::from_be_bytes([*a, *b, *c, *d]), source })
    }

    #[inline]
    fn normalise(&mut self) -> Option<()> {
        if self.range < 1 << 24 {
            let (byte, rest) = self.source.split_first()?;
            self.source = rest;
            self.range = self.range.wrapping_shl(8);
            self.code = self.code.wrapping_shl(8) | u32::from(*byte);
        }
        Some(())
    }

    #[inline]
    fn bit(&mut self, probability: &mut Probability) -> Option<u32> {
        self.normalise()?;
        let is = *probability;
        let bound = self.range.wrapping_shr(11).wrapping_mul(is.into());
        if self.code < bound {
            self.range = bound;
            *probability = is.wrapping_add((2048u16.wrapping_sub(is)).wrapping_shr(5));
            Some(0)
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            *probability = is.wrapping_sub(is.wrapping_shr(5));
            Some(1)
        }
    }

    /// A number of `bits` bits, the highest first.
    #[inline]
    fn tree(&mut self, tree: &mut [Probability], bits: u32) -> Option<u32> {
        let mut node = 1u32;
        for _ in 0..bits {
            node = node.wrapping_shl(1) | self.bit(tree.get_mut(size(node)?)?)?;
        }
        Some(node.wrapping_sub(1u32.wrapping_shl(bits)))
    }

    /// A number of `bits` bits, the lowest first.
    fn reverse_tree(&mut self, tree: &mut [Probability], bits: u32) -> Option<u32> {
        let (mut node, mut value) = (1u32, 0u32);
        for place in 0..bits {
            let bit = self.bit(tree.get_mut(size(node)?)?)?;
            node = node.wrapping_shl(1) | bit;
            value |= bit.wrapping_shl(place);
        }
        Some(value)
    }

    /// A number whose bits are all as likely as not.
    fn direct(&mut self, bits: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..bits {
            self.normalise()?;
            self.range = self.range.wrapping_shr(1);
            let is_one = self.code >= self.range;
            if is_one {
                self.code = self.code.wrapping_sub(self.range);
            }
            value = value.wrapping_shl(1) | u32::from(is_one);
        }
        Some(value)
    }

    /// Whether the stream ends here as an encoder ends it.
    fn is_at_end(&mut self) -> bool {
        self.normalise().is_some() && self.source.is_empty() && self.code == 0
    }
}
