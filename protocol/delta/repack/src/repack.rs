//! The sink of a delta's expanded bytes: packs what was packed, and hands the result's bytes on in
//! order. Where it goes on after the power went is `Layout::resume`'s: always at a segment.

use crate::codec::{Codec, Packer};
use crate::error::Fault;
use crate::memory::PIECE_BYTES;
use lazaret_protocol_delta::layout::{Layout, Placed, Segment};

/// Packs expanded bytes, in order, into the result's.
pub struct Repacker {
    layout: Layout,
    /// The number of the segment that is under way.
    number: usize,
    current: Option<Current>,
    /// How many expanded bytes may still come, if the image is plain.
    plain_left: u64,
}

impl std::fmt::Debug for Repacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repacker").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The segment that is under way.
struct Current {
    segment: Segment,
    /// How many of its expanded bytes have not come.
    left: u64,
    /// Whether its codec has begun, and with how many bytes out.
    packing: Option<(Packer, u64)>,
}

impl Repacker {
    /// A sink for an image with this layout and `length` bytes on disk, of which `durable` are
    /// there already. It expects the expanded bytes from the expanded offset on that
    /// [`Layout::resume`] tells, and hands out the image's from the offset on disk on.
    ///
    /// # Errors
    /// When the layout is not that of such an image, or a codec of it is unknown.
    pub fn new(layout: &Layout, length: u64, durable: u64) -> Result<Repacker, Fault> {
        layout.expanded_length(length).ok_or(Fault::Layout)?;
        let (offset, _) = layout.resume(durable.min(length));
        let mut sink = Repacker {
            layout: layout.clone(),
            number: 0,
            current: None,
            plain_left: length - offset,
        };
        let begun = layout
            .placed()
            .enumerate()
            .find(|(_, placed)| placed.packed_offset + placed.segment.packed_length() > offset);
        if let Some((number, placed)) = begun {
            sink.number = number;
            sink.begin(placed)?;
            if let (Some(current), Segment::Plain { .. }) = (&mut sink.current, placed.segment) {
                current.left -= offset - placed.packed_offset;
            }
        }
        Ok(sink)
    }

    /// Takes the next expanded bytes, and calls `write` with the next bytes of the image.
    ///
    /// # Errors
    /// When more bytes come than the image has, or a part does not pack into the length that the
    /// layout says. Errors of `write` end the call at the next piece.
    pub fn push<E: From<Fault>>(
        &mut self,
        mut bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.layout.is_plain() {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.plain_left = self.plain_left.checked_sub(length).ok_or(Fault::Overrun)?;
            return write(bytes);
        }
        while !bytes.is_empty() {
            let current = self.current.as_mut().ok_or(Fault::Overrun)?;
            let left = usize::try_from(current.left).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES).min(left));
            current.push(now, &mut write)?;
            bytes = later;
            if current.left == 0 {
                self.end(&mut write)?;
            }
        }
        Ok(())
    }

    /// Whether all bytes of the image have been handed out.
    pub fn is_done(&self) -> bool {
        if self.layout.is_plain() { self.plain_left == 0 } else { self.current.is_none() }
    }

    fn begin(&mut self, placed: Placed) -> Result<(), Fault> {
        let packing = match placed.segment {
            Segment::Plain { .. } => None,
            Segment::Packed { codec, parameter, unpacked, .. } => {
                Some((Packer::new(Codec::from_numbers(codec, parameter)?, unpacked)?, 0))
            }
        };
        let left = placed.segment.expanded_length();
        self.current = Some(Current { segment: placed.segment, left, packing });
        Ok(())
    }

    /// Ends the segment and begins the next.
    fn end<E: From<Fault>>(
        &mut self,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(current) = self.current.take() {
            current.finish(write)?;
        }
        self.number += 1;
        let next = self.layout.placed().nth(self.number);
        next.map_or(Ok(()), |placed| Ok(self.begin(placed)?))
    }
}

impl Current {
    fn push<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.left -= u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(self.left);
        let most = self.segment.packed_length();
        let Some((packer, made)) = &mut self.packing else { return write(bytes) };
        through(most, made, write, |out| packer.push(bytes, out))
    }

    fn finish<E: From<Fault>>(
        self,
        write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Segment::Packed { packed, .. } = self.segment else { return Ok(()) };
        let Some((packer, mut made)) = self.packing else { return Ok(()) };
        through(packed.into(), &mut made, write, |out| packer.finish(out))?;
        if made == u64::from(packed) {
            Ok(())
        } else {
            Err(Fault::Length { expected: packed }.into())
        }
    }
}

/// Hands on what `pack` puts out, as long as it is not more than `most` bytes in all. Packers put
/// out single bytes; the caller, who writes and hashes, gets longer pieces.
fn through<E: From<Fault>>(
    most: u64,
    made: &mut u64,
    write: &mut impl FnMut(&[u8]) -> Result<(), E>,
    pack: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), Fault>,
) -> Result<(), E> {
    let mut outcome = Ok(());
    let mut ready = Vec::with_capacity(PIECE_BYTES);
    pack(&mut |bytes| {
        *made = made.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if outcome.is_ok() {
            outcome = if *made > most {
                Err(Fault::Length { expected: u32::try_from(most).unwrap_or(u32::MAX) }.into())
            } else if ready.len().saturating_add(bytes.len()) <= PIECE_BYTES {
                ready.extend_from_slice(bytes);
                Ok(())
            } else {
                let written = write(&ready);
                ready.clear();
                written.and_then(|()| write(bytes))
            };
        }
    })?;
    outcome.and_then(|()| if ready.is_empty() { Ok(()) } else { write(&ready) })
}
