//! Unpacking one LZ4 block, whole or piece by piece. The state of the latter is its last 64 KiB, so
//! that it can be copied and gone back to.

use super::window::REACH_BYTES;
use crate::error::Fault;

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
#[derive(Clone)]
pub(crate) struct Unpacker {
    window: Vec<u8>,
    /// How many bytes have been made.
    made: usize,
    expected: Expected,
    /// How many literals are left, and how many bytes of the match.
    literals: usize,
    matched: usize,
    offset: usize,
}

impl Unpacker {
    pub(crate) fn new() -> Unpacker {
        Unpacker {
            window: vec![0; REACH_BYTES],
            made: 0,
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
            let rest = input.get(taken..).unwrap_or_default();
            let room = out.get_mut(made..).unwrap_or_default();
            match self.expected {
                Expected::Literals => {
                    let count = self.literals.min(rest.len()).min(room.len());
                    if count == 0 {
                        break;
                    }
                    self.copy_literals(rest, room, count);
                    taken += count;
                    made += count;
                }
                Expected::Match => made += self.copy_match(room),
                _ => {
                    let Some(byte) = rest.first() else { break };
                    taken += 1;
                    self.take(*byte)?;
                }
            }
        }
        Ok((taken, made))
    }

    /// Whether literals have just ended, as they do at the end of a block.
    fn is_between(&self) -> bool {
        self.expected == Expected::OffsetLow
    }

    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        let length = usize::from(byte);
        match self.expected {
            Expected::Token => {
                self.literals = length >> 4;
                self.matched = (length & 15) + super::search::MATCH_BYTES_MIN;
                self.expected = match self.literals {
                    0 => Expected::OffsetLow,
                    15 => Expected::LiteralLength,
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
                if self.offset == 0 || self.offset > self.made {
                    return Err(Fault::Malformed);
                }
                let is_long = self.matched == 15 + super::search::MATCH_BYTES_MIN;
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

    fn copy_literals(&mut self, rest: &[u8], room: &mut [u8], count: usize) {
        let literals = rest.get(..count).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(literals) {
            *to = *from;
        }
        self.remember(literals);
        self.literals -= count;
        if self.literals == 0 {
            self.expected = Expected::OffsetLow;
        }
    }

    /// Writes to the window, which is as long as a match may reach.
    fn remember(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(REACH_BYTES) {
            let at = self.made % REACH_BYTES;
            let (first, second) = piece.split_at(piece.len().min(REACH_BYTES - at));
            if let Some(to) = self.window.get_mut(at..at + first.len()) {
                to.copy_from_slice(first);
            }
            if let Some(to) = self.window.get_mut(..second.len()) {
                to.copy_from_slice(second);
            }
            self.made += piece.len();
        }
    }

    /// Copies as much of the match as fits. A match may overlap itself.
    fn copy_match(&mut self, room: &mut [u8]) -> usize {
        let count = self.matched.min(room.len());
        let mut done = 0;
        while done < count {
            let (from, at) = ((self.made - self.offset) % REACH_BYTES, self.made % REACH_BYTES);
            let piece = (count - done)
                .min(self.offset)
                .min(REACH_BYTES - from)
                .min(REACH_BYTES - at);
            self.window.copy_within(from..from + piece, at);
            let copied = self.window.get(at..at + piece).unwrap_or_default();
            for (to, from) in room.iter_mut().skip(done).zip(copied) {
                *to = *from;
            }
            self.made += piece;
            done += piece;
        }
        self.matched -= count;
        if self.matched == 0 {
            self.expected = Expected::Token;
        }
        count
    }
}
