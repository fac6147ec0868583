//! Unpacking one LZ4 block, whole or piece by piece. The state of the latter is its last 64 KiB, so
//! that it can be copied and gone back to.

use super::search::MATCH_BYTES_MIN;
use super::window::REACH_BYTES;
use crate::error::Fault;

/// The length that does not fit into a token.
const LONG: usize = 15;

/// Unpacks a block that is held whole.
pub(crate) fn unpack(packed: &[u8], unpacked: usize) -> Result<Vec<u8>, Fault> {
    let mut content = vec![0; unpacked];
    let (mut unpacker, mut input, mut made) = (Unpacker::new(), packed, 0);
    while made < unpacked {
        let out = content.get_mut(made..).unwrap_or_default();
        let (taken, count) = unpacker.next(input, out)?;
        if taken == 0 && count == 0 {
            return Err(Fault::Malformed);
        }
        input = input.get(taken..).unwrap_or_default();
        made += count;
    }
    if input.is_empty() && unpacker.is_between() { Ok(content) } else { Err(Fault::Malformed) }
}

/// What the next byte of the input is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Token,
    LiteralLength,
    Literals,
    OffsetLow,
    OffsetHigh,
    MatchLength,
    /// None: a match is being copied.
    Match,
}

/// Unpacks piece by piece.
pub(crate) struct Unpacker {
    /// What was made last: at least as much as a match may reach back.
    recent: Vec<u8>,
    expected: Expected,
    /// How many literals are left, and how many bytes of the match.
    literals: usize,
    matched: usize,
    offset: usize,
}

impl Clone for Unpacker {
    /// A copy has no more than a match may reach.
    fn clone(&self) -> Unpacker {
        let unreached = self.recent.len().saturating_sub(REACH_BYTES);
        let recent = self.recent.get(unreached..).unwrap_or_default().to_vec();
        Unpacker { recent, ..*self }
    }
}

impl Unpacker {
    pub(crate) fn new() -> Unpacker {
        Unpacker {
            recent: Vec::new(),
            expected: Expected::Token,
            literals: 0,
            matched: 0,
            offset: 0,
        }
    }

    /// Hands out the next bytes: how many of `input` were used, and how many of `out` were filled.
    /// If `out` has room, neither means that more input is needed.
    pub(crate) fn next(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), Fault> {
        let (mut taken, mut made) = (0, 0);
        while made < out.len() {
            let room = (out.len() - made).min(REACH_BYTES);
            self.forget(room);
            let start = self.recent.len();
            let count = self.some(input.get(taken..).unwrap_or_default(), start + room)?;
            let new = self.recent.get(start..).unwrap_or_default();
            for (to, from) in out.iter_mut().skip(made).zip(new) {
                *to = *from;
            }
            made += new.len();
            taken += count;
            if count == 0 && self.recent.len() == start {
                break;
            }
        }
        Ok((taken, made))
    }

    /// Whether literals have just ended, as they do at the end of a block.
    pub(crate) fn is_between(&self) -> bool {
        self.expected == Expected::OffsetLow
    }

    /// Drops what no match reaches, if there is not enough room for so many bytes.
    fn forget(&mut self, room: usize) {
        if self.recent.len() + room > 2 * REACH_BYTES {
            self.recent.drain(..self.recent.len().saturating_sub(REACH_BYTES));
        }
        // Once and for all: growing by pieces would copy it each time.
        let missing = (2 * REACH_BYTES).saturating_sub(self.recent.len());
        self.recent.reserve_exact(missing.max(room));
    }

    /// Makes bytes until `recent` is as long as `end` or the input is used up. Returns how much of
    /// the input was used.
    fn some(&mut self, input: &[u8], end: usize) -> Result<usize, Fault> {
        let mut taken = self.sequences(input, end)?;
        while self.recent.len() < end {
            let rest = input.get(taken..).unwrap_or_default();
            match self.expected {
                Expected::Literals => {
                    let count = self.literals.min(rest.len()).min(end - self.recent.len());
                    if count == 0 {
                        break;
                    }
                    self.recent.extend_from_slice(rest.get(..count).unwrap_or_default());
                    self.literals -= count;
                    taken += count;
                    if self.literals == 0 {
                        self.expected = Expected::OffsetLow;
                    }
                }
                Expected::Match => self.copy_match(end),
                _ => {
                    let Some(byte) = rest.first() else { break };
                    taken += 1;
                    self.take(*byte)?;
                    if self.expected == Expected::Token || self.expected == Expected::Match {
                        continue;
                    }
                }
            }
            taken += self.sequences(input.get(taken..).unwrap_or_default(), end)?;
        }
        Ok(taken)
    }

    /// Whole sequences that are short, as nearly all are, without looking at every byte's meaning.
    fn sequences(&mut self, input: &[u8], end: usize) -> Result<usize, Fault> {
        let mut taken = 0;
        if self.expected != Expected::Token {
            return Ok(taken);
        }
        while let Some((token, after)) = input.get(taken..).and_then(<[u8]>::split_first) {
            let (literals, matched) = (usize::from(token >> 4), usize::from(token & 15));
            let made = literals + matched + MATCH_BYTES_MIN;
            let is_short = literals < LONG && matched < LONG && self.recent.len() + made <= end;
            let Some((literal, [low, high, ..])) = after.split_at_checked(literals) else { break };
            if !is_short {
                break;
            }
            let offset = usize::from(u16::from_le_bytes([*low, *high]));
            self.recent.extend_from_slice(literal);
            let length = matched + MATCH_BYTES_MIN;
            let from = self.recent.len().checked_sub(offset).ok_or(Fault::Malformed)?;
            if offset >= length {
                self.recent.extend_from_within(from..from + length);
            } else {
                (self.offset, self.matched) = (offset, length);
                self.checked_offset()?;
                self.copy_match(end);
            }
            taken += 3 + literals;
        }
        Ok(taken)
    }

    fn checked_offset(&self) -> Result<(), Fault> {
        let is_inside = (1..=self.recent.len()).contains(&self.offset);
        is_inside.then_some(()).ok_or(Fault::Malformed)
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        let length = usize::from(byte);
        match self.expected {
            Expected::Token => {
                self.literals = length >> 4;
                self.matched = (length & 15) + MATCH_BYTES_MIN;
                self.expected = match self.literals {
                    0 => Expected::OffsetLow,
                    LONG => Expected::LiteralLength,
                    _ => Expected::Literals,
                };
            }
            Expected::LiteralLength => {
                self.literals = self.literals.checked_add(length).ok_or(Fault::Malformed)?;
                if byte < 255 {
                    self.expected = Expected::Literals;
                }
            }
            Expected::OffsetLow => {
                self.offset = length;
                self.expected = Expected::OffsetHigh;
            }
            Expected::OffsetHigh => {
                self.offset |= length << 8;
                self.checked_offset()?;
                let is_long = self.matched == LONG + MATCH_BYTES_MIN;
                self.expected = if is_long { Expected::MatchLength } else { Expected::Match };
            }
            Expected::MatchLength => {
                self.matched = self.matched.checked_add(length).ok_or(Fault::Malformed)?;
                if byte < 255 {
                    self.expected = Expected::Match;
                }
            }
            Expected::Literals | Expected::Match => return Err(Fault::Malformed),
        }
        Ok(())
    }

    /// Copies as much of the match as fits. A match may overlap itself.
    fn copy_match(&mut self, end: usize) {
        let mut left = self.matched.min(end - self.recent.len());
        self.matched -= left;
        while left > 0 {
            let from = self.recent.len() - self.offset;
            let count = left.min(self.offset);
            self.recent.extend_from_within(from..from + count);
            left -= count;
        }
        self.expected = if self.matched == 0 { Expected::Token } else { Expected::Match };
    }
}
