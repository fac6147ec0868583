//! One frame's payload to its bytes. Every length and position is checked before it is used, the
//! result never outgrows what the index says, and nothing is returned that does not have the
//! frame's digest.

mod bsdiff;
mod split;
#[cfg(test)]
mod tests;

use crate::base::BaseReader;
use crate::codec::Codec;
use crate::error::{ControlFault, DeltaError};
use crate::header::{Frame, Header};
use crate::ram::BASE_CHUNK_BYTES;
use crate::unzstd::{Malformed, ZstdStream};
use alloc::vec;
use alloc::vec::Vec;

/// Decodes frame `frame_index` from its `payload` into `out`, which afterwards holds the frame's
/// bytes and nothing else. The caller keeps `out` from frame to frame, so that it is allocated
/// once, and appends its bytes to the slot at [`Frame::result_offset`].
///
/// # Errors
/// When there is no such frame, the payload is malformed, the base cannot be read, or the result
/// does not have the frame's digest. `out` is then empty.
pub fn decode_frame<B: BaseReader>(
    header: &Header,
    frame_index: usize,
    payload: &[u8],
    base: &mut B,
    out: &mut Vec<u8>,
) -> Result<(), DeltaError<B::Error>> {
    out.clear();
    let frames = header.frames();
    let frame = frames
        .get(frame_index)
        .ok_or(DeltaError::NoSuchFrame { frame: frame_index, frames: frames.len() })?;
    let (expected, available) = (frame.payload_length, payload.len());
    if usize::try_from(expected) != Ok(available) {
        return Err(DeltaError::PayloadLength { frame: frame_index, expected, available });
    }
    let length = usize::try_from(frame.result_length).unwrap_or(usize::MAX);
    out.reserve_exact(length);
    out.resize(length, 0);
    let outcome = fill(frame, payload, base, out).and_then(|()| {
        if Frame::digest_of(out) == frame.digest { Ok(()) } else { Err(Fault::Digest) }
    });
    outcome.map_err(|fault| {
        out.clear();
        fault.of_frame(frame_index)
    })
}

/// Makes the frame's bytes; `out` has the frame's length.
fn fill<B: BaseReader>(
    frame: &Frame,
    payload: &[u8],
    base: &mut B,
    out: &mut [u8],
) -> Result<(), Fault<B::Error>> {
    match frame.codec {
        Codec::Stored => out.copy_from_slice(payload),
        Codec::Zstd => {
            let mut stream = ZstdStream::new(payload)?;
            stream.read_exact(out)?;
            stream.finish()?;
        }
        Codec::Copy => base.read_at(frame.window_offset, out).map_err(Fault::Base)?,
        Codec::Bsdiff => bsdiff::fill(payload, Window::new(frame, base), out)?,
        Codec::Split => split::fill(payload, Window::new(frame, base), out)?,
    }
    Ok(())
}

/// What goes wrong inside a frame, before its number is added.
enum Fault<E> {
    Compression,
    Control(ControlFault),
    Digest,
    Base(E),
}

impl<E: core::error::Error + 'static> Fault<E> {
    fn of_frame(self, frame: usize) -> DeltaError<E> {
        match self {
            Fault::Compression => DeltaError::Compression { frame },
            Fault::Control(fault) => DeltaError::Control { frame, fault },
            Fault::Digest => DeltaError::FrameDigest { frame },
            Fault::Base(source) => DeltaError::Base(source),
        }
    }
}

impl<E> From<Malformed> for Fault<E> {
    fn from(_: Malformed) -> Fault<E> {
        Fault::Compression
    }
}

impl<E> From<ControlFault> for Fault<E> {
    fn from(fault: ControlFault) -> Fault<E> {
        Fault::Control(fault)
    }
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
    fn new(frame: &Frame, base: &'a mut B) -> Window<'a, B> {
        Window {
            base,
            offset: frame.window_offset,
            length: frame.window_length,
            position: 0,
            chunk: vec![0; BASE_CHUNK_BYTES],
        }
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
