//! The codec `bsdiff`: the stream of the crate `bsdiff` 0.2, inside one zstd frame, for a window of
//! the base. It rests on no control block.

use super::Fault;
use crate::base::BaseReader;
use crate::error::ControlFault;
use crate::ram::BASE_CHUNK_BYTES;
use crate::unzstd::ZstdStream;
use alloc::vec;
use alloc::vec::Vec;

/// Makes the result from instructions of (add, insert, seek), each followed by its bytes.
pub(super) fn fill<B: BaseReader>(
    payload: &[u8],
    base_length: u64,
    base: &mut B,
    out: &mut [u8],
) -> Result<(), Fault<B::Error>> {
    let (head, payload) = payload.split_first_chunk::<16>().ok_or(ControlFault::Encoding)?;
    let mut window = Window::new(head, base_length, base)?;
    let mut stream = ZstdStream::new(payload)?;
    // The encoder may write instructions that make nothing. Without a limit, a stream of them would
    // keep the decoder busy for as long as zstd can expand it.
    let mut instructions_left = out.len().saturating_add(1);
    let mut left = out;
    while !left.is_empty() {
        instructions_left = instructions_left.checked_sub(1).ok_or(ControlFault::Count)?;
        let add = read_number(&mut stream)?;
        let insert = read_number(&mut stream)?;
        let seek = read_number(&mut stream)?;
        let added = take(&mut left, add)?;
        let inserted = take(&mut left, insert)?;
        stream.read_exact(added)?;
        window.add_to(added)?;
        stream.read_exact(inserted)?;
        window.shift(from_sign_and_magnitude(seek))?;
    }
    Ok(stream.finish()?)
}

fn read_number<E>(stream: &mut ZstdStream<'_>) -> Result<u64, Fault<E>> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// bsdiff's signed numbers: the top bit is the sign of the others.
fn from_sign_and_magnitude(number: u64) -> i64 {
    let magnitude = (number & !(1 << 63)).cast_signed();
    if number >> 63 == 0 { magnitude } else { magnitude.wrapping_neg() }
}

/// The part of the base that a frame may read, with a position in it.
struct Window<'a, B> {
    base: &'a mut B,
    offset: u64,
    length: u64,
    position: u64,
    chunk: Vec<u8>,
}

impl<'a, B: BaseReader> Window<'a, B> {
    fn new(
        head: &[u8; 16],
        base_length: u64,
        base: &'a mut B,
    ) -> Result<Window<'a, B>, ControlFault> {
        let [offset, length] = *head.as_chunks::<8>().0 else { return Err(ControlFault::Encoding) };
        let (offset, length) = (u64::from_le_bytes(offset), u64::from_le_bytes(length));
        if offset.checked_add(length).is_none_or(|end| end > base_length) {
            return Err(ControlFault::Position);
        }
        Ok(Window { base, offset, length, position: 0, chunk: vec![0; BASE_CHUNK_BYTES] })
    }

    /// Moves the position. It may go past the window's end, as long as nothing is read there.
    fn shift(&mut self, by: i64) -> Result<(), ControlFault> {
        self.position = self.position.checked_add_signed(by).ok_or(ControlFault::Position)?;
        Ok(())
    }

    /// Adds the window's bytes at the position to `target`, and moves on by as many.
    fn add_to(&mut self, target: &mut [u8]) -> Result<(), Fault<B::Error>> {
        if target.is_empty() {
            return Ok(());
        }
        let length = u64::try_from(target.len()).unwrap_or(u64::MAX);
        let end = self.position.checked_add(length).ok_or(ControlFault::Position)?;
        if end > self.length {
            return Err(ControlFault::Position.into());
        }
        // The window lies inside the base, so this sum cannot overflow.
        let mut offset = self.offset.saturating_add(self.position);
        for part in target.chunks_mut(BASE_CHUNK_BYTES) {
            let chunk = self.chunk.get_mut(..part.len()).unwrap_or_default();
            self.base.read_at(offset, chunk).map_err(Fault::Base)?;
            for (to, from) in part.iter_mut().zip(&*chunk) {
                *to = to.wrapping_add(*from);
            }
            offset = offset.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        }
        self.position = end;
        Ok(())
    }
}

/// Cuts the next `length` bytes off what is left of the result.
fn take<'a>(left: &mut &'a mut [u8], length: u64) -> Result<&'a mut [u8], ControlFault> {
    let length = usize::try_from(length).map_err(|_| ControlFault::Lengths)?;
    if length > left.len() {
        return Err(ControlFault::Lengths);
    }
    let (first, rest) = core::mem::take(left).split_at_mut(length);
    *left = rest;
    Ok(first)
}
