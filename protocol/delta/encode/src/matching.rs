//! Finds the instructions that make a piece of the result from a window of the base. The algorithm
//! is bsdiff's, by the crate `bsdiff`; how the instructions are written is in `frame`.

#[cfg(test)]
mod tests;

use lazaret_protocol_delta::Instruction;
use std::io;

/// The instructions for `piece`, by the crate's own matcher, read back from its stream.
pub(crate) fn reference(window: &[u8], piece: &[u8]) -> io::Result<Vec<Instruction>> {
    let mut stream = Vec::new();
    bsdiff::diff(window, piece, &mut stream)?;
    parse(&stream).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads the crate's stream. Its `seek` comes after the instruction and is relative to the end of
/// what was added; our `shift` comes before it and counts inserted bytes as passed over.
fn parse(mut stream: &[u8]) -> Option<Vec<Instruction>> {
    let mut instructions = Vec::new();
    let mut shift = 0;
    while !stream.is_empty() {
        let add = u32::try_from(number(&mut stream)?).ok()?;
        let insert = u32::try_from(number(&mut stream)?).ok()?;
        let seek = number(&mut stream)?;
        stream = stream.get(usize::try_from(add.checked_add(insert)?).ok()?..)?;
        instructions.push(Instruction { add, insert, shift });
        shift = seek - i64::from(insert);
    }
    Some(instructions)
}

/// Reads a number whose top bit is the sign.
fn number(stream: &mut &[u8]) -> Option<i64> {
    let (bytes, rest) = stream.split_first_chunk::<8>()?;
    *stream = rest;
    let number = u64::from_le_bytes(*bytes);
    let magnitude = (number & !(1 << 63)).cast_signed();
    Some(if number >> 63 == 0 { magnitude } else { -magnitude })
}
