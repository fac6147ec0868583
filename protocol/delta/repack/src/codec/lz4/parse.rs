//! The choice between overlapping matches, as liblz4's high-compression levels make it: up to three
//! matches in a row are weighed before the first is written. It stops where the input ends and goes
//! on from there when there is more.

use super::search::{MATCH_BYTES_MIN, Match, Search, Starved};
use super::window::Window;
use crate::codec::Out;
use crate::error::Fault;

/// No match begins in so many last bytes of a block.
const END_BYTES: usize = 12;

/// The longest match whose length fits into a token.
const TOKEN_MATCH_BYTES: usize = 18;

/// Which search comes next.
#[derive(Clone, Copy)]
enum Stage {
    /// For a first match.
    First,
    /// For one that overlaps the first and is longer.
    Second,
    /// For one that overlaps the second and is longer.
    Third,
}

/// A match and where it begins.
#[derive(Clone, Copy, Default)]
struct Found {
    start: usize,
    found: Match,
}

impl Found {
    fn end(&self) -> usize {
        self.start + self.found.length
    }

    /// Begins so much later.
    fn shorten(&mut self, by: usize) {
        self.start += by;
        self.found.length -= by;
    }
}

/// One block being packed.
pub(super) struct Parse {
    window: Window,
    search: Search,
    length: usize,
    /// Up to where literals have been written.
    anchor: usize,
    stage: Stage,
    /// The first match as it was found.
    original: Found,
    first: Found,
    second: Found,
}

impl Parse {
    pub(super) fn new(attempts: u32, buffer: usize, length: usize) -> Parse {
        Parse {
            window: Window::new(buffer),
            search: Search::new(attempts, length),
            length,
            anchor: 0,
            stage: Stage::First,
            original: Found::default(),
            first: Found::default(),
            second: Found::default(),
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8], out: Out<'_>) -> Result<(), Fault> {
        if bytes.len() > self.length - self.window.end().min(self.length) {
            return Err(Fault::Overrun);
        }
        while !bytes.is_empty() {
            bytes = self.window.fill(bytes, self.anchor)?;
            self.run(out);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: Out<'_>) -> Result<(), Fault> {
        if self.window.end() != self.length {
            return Err(Fault::Malformed);
        }
        self.run(out);
        self.write_literals(self.length, 0, out);
        Ok(())
    }

    /// Searches and writes until more input is needed or no more match can begin.
    fn run(&mut self, out: Out<'_>) {
        // A block that is too short has no matches, and its last bytes are never searched.
        let Some(last) = self.length.checked_sub(END_BYTES) else { return };
        if self.length == END_BYTES {
            return;
        }
        while self.first.start <= last {
            let step = match self.stage {
                Stage::First => self.first(),
                Stage::Second => self.second(last, out),
                Stage::Third => self.third(last, out),
            };
            if step.is_err() {
                return;
            }
        }
    }

    fn first(&mut self) -> Result<(), Starved> {
        let place = self.first.start;
        let found = self.search.longest(&self.window, place, place, MATCH_BYTES_MIN - 1)?;
        if found.length < MATCH_BYTES_MIN {
            self.first.start += 1;
            return Ok(());
        }
        self.first.found = found;
        self.original = self.first;
        self.stage = Stage::Second;
        Ok(())
    }

    fn second(&mut self, last: usize, out: Out<'_>) -> Result<(), Starved> {
        let next = self.following(self.first, 2, self.first.start, last)?;
        let Some(next) = next else {
            self.write(self.first, out);
            self.start_at(self.first.end());
            return Ok(());
        };
        if self.original.start < self.first.start
            && next.start < self.first.start + self.original.found.length
        {
            self.first = self.original;
        }
        if next.start - self.first.start < 3 {
            self.first = next;
            return Ok(());
        }
        self.second = next;
        self.stage = Stage::Third;
        Ok(())
    }

    fn third(&mut self, last: usize, out: Out<'_>) -> Result<(), Starved> {
        if self.second.start - self.first.start < TOKEN_MATCH_BYTES {
            let kept = self.kept_of_first();
            let later = kept.saturating_sub(self.second.start - self.first.start);
            self.second.shorten(later);
        }
        let third = self.following(self.second, 3, self.second.start, last)?;
        let Some(third) = third else {
            self.first.found.length =
                self.first.found.length.min(self.second.start - self.first.start);
            self.write(self.first, out);
            self.write(self.second, out);
            self.start_at(self.second.end());
            return Ok(());
        };
        if third.start < self.first.end() + 3 {
            self.drop_second(third, out);
            return Ok(());
        }
        if self.second.start < self.first.end() {
            let gap = self.second.start - self.first.start;
            if gap < TOKEN_MATCH_BYTES {
                self.first.found.length = self.kept_of_first();
                self.second.shorten(self.first.found.length.saturating_sub(gap));
            } else {
                self.first.found.length = gap;
            }
        }
        self.write(self.first, out);
        self.first = self.second;
        self.second = third;
        Ok(())
    }

    /// A longer match near the end of `before`; none if it ends too late to search.
    fn following(
        &mut self,
        before: Found,
        overlap: usize,
        low: usize,
        last: usize,
    ) -> Result<Option<Found>, Starved> {
        if before.end() > last {
            return Ok(None);
        }
        let (place, longest) = (before.end() - overlap, before.found.length);
        let found = self.search.longest(&self.window, place, low, longest)?;
        let start = place - found.back;
        Ok((found.length > longest).then_some(Found { start, found }))
    }

    /// How long the first match is if its length is to fit into a token and leave the second one at
    /// least a match.
    fn kept_of_first(&self) -> usize {
        let kept = self.first.found.length.min(TOKEN_MATCH_BYTES);
        kept.min(self.second.end() - MATCH_BYTES_MIN - self.first.start)
    }

    /// The third match leaves no room for the second.
    fn drop_second(&mut self, third: Found, out: Out<'_>) {
        if third.start < self.first.end() {
            self.second = third;
            return;
        }
        let overlap = self.first.end().saturating_sub(self.second.start);
        if overlap > 0 {
            if self.second.found.length < overlap + MATCH_BYTES_MIN {
                self.second = third;
            } else {
                self.second.shorten(overlap);
            }
        }
        self.write(self.first, out);
        self.first = third;
        self.original = self.second;
        self.stage = Stage::Second;
    }

    fn start_at(&mut self, place: usize) {
        self.first = Found { start: place, found: Match::default() };
        self.stage = Stage::First;
    }

    /// Writes the literals before a match, and the match.
    fn write(&mut self, written: Found, out: Out<'_>) {
        let matched = written.found.length.saturating_sub(MATCH_BYTES_MIN);
        self.write_literals(written.start, matched, out);
        let offset = u16::try_from(written.found.offset).unwrap_or(0);
        out(&offset.to_le_bytes());
        if let Some(rest) = matched.checked_sub(15) {
            rest_of_length(rest, out);
        }
        self.anchor = written.end();
    }

    /// Writes a token and the literals up to `end`.
    fn write_literals(&self, end: usize, matched: usize, out: Out<'_>) {
        let literals = end - self.anchor;
        out(&[token(literals, matched)]);
        if let Some(rest) = literals.checked_sub(15) {
            rest_of_length(rest, out);
        }
        self.window.copy(self.anchor, end, out);
    }
}

/// The byte before literals: both lengths, as far as they fit.
fn token(literals: usize, matched: usize) -> u8 {
    let nibble = |length: usize| u8::try_from(length.min(15)).unwrap_or(15);
    nibble(literals) << 4 | nibble(matched)
}

/// What does not fit into the token: bytes of 255 and a last one.
fn rest_of_length(mut rest: usize, out: Out<'_>) {
    const FULL: [u8; 64] = [255; 64];
    while rest >= 255 {
        let count = (rest / 255).min(FULL.len());
        out(FULL.get(..count).unwrap_or_default());
        rest -= count * 255;
    }
    out(&[u8::try_from(rest).unwrap_or(0)]);
}
