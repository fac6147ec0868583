//! An LZMA stream read in pieces of known length. It is the only file that knows `lzma-rust2`. The
//! dictionary is never longer than what the stream makes, so that is what it can hold.

#[cfg(test)]
mod tests;

use crate::unzstd::Malformed;
use lzma_rust2::{Action, LzmaStream};

/// The probabilities of literals grow with two to the power of their context bits; more than these
/// are of no use for frames of this length.
const LITERAL_BITS_MAX: u8 = 4;

/// One LZMA stream that fills exactly the bytes given: the byte of properties, then raw LZMA
/// without an end marker.
pub(crate) struct LzmaSource<'a> {
    stream: LzmaStream,
    source: &'a [u8],
}

impl<'a> LzmaSource<'a> {
    /// Prepares to read `length` bytes.
    pub(crate) fn new(source: &'a [u8], length: u32) -> Result<LzmaSource<'a>, Malformed> {
        let (properties, source) = source.split_first().ok_or(Malformed)?;
        let (context_bits, position_bits) = (properties % 9, properties / 9 % 5);
        if context_bits.saturating_add(position_bits) > LITERAL_BITS_MAX {
            return Err(Malformed);
        }
        let stream = LzmaStream::new_with_props(length.into(), *properties, length, None);
        Ok(LzmaSource { stream: stream.map_err(|_| Malformed)?, source })
    }

    /// Fills `buf` with the next bytes.
    pub(crate) fn read_exact(&mut self, mut buf: &mut [u8]) -> Result<(), Malformed> {
        while !buf.is_empty() {
            let made = self.step(buf)?;
            buf = buf.get_mut(made..).unwrap_or_default();
        }
        Ok(())
    }

    /// Checks that nothing is left, neither compressed nor decompressed.
    pub(crate) fn finish(mut self) -> Result<(), Malformed> {
        while !self.stream.is_finished() {
            self.step(&mut [])?;
        }
        if self.stream.has_output() || !self.stream.unused_input().is_empty() {
            return Err(Malformed);
        }
        if self.source.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// Goes on until `buf` is full or the decoder stops; standing still is an error.
    fn step(&mut self, buf: &mut [u8]) -> Result<usize, Malformed> {
        let was_finished = self.stream.is_finished();
        let outcome = self.stream.process(self.source, buf, Action::Finish);
        let outcome = outcome.map_err(|_| Malformed)?;
        self.source = self.source.get(outcome.bytes_consumed..).unwrap_or_default();
        let stands_still = outcome.bytes_consumed == 0
            && outcome.bytes_produced == 0
            && self.stream.is_finished() == was_finished;
        if stands_still { Err(Malformed) } else { Ok(outcome.bytes_produced) }
    }
}
