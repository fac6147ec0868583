//! One frame's payload to its bytes. Every length and position is checked before it is used, the
//! result never outgrows what the index says, and nothing is returned that does not have the
//! frame's digest.

mod bsdiff;
mod split;
#[cfg(test)]
mod tests;

use crate::base::BaseReader;
use crate::codec::Codec;
use crate::control::{COLUMNS, Control};
use crate::error::{ControlFault, DeltaError};
use crate::header::{Frame, Header, Section};
use crate::stream::Stream;
use crate::unzstd::{Malformed, ZstdStream};
use alloc::vec::Vec;

/// A delta while it is decoded: its header, and the control block that is in use.
#[derive(Debug)]
pub struct Decoder {
    header: Header,
    /// The section whose control block is there.
    control: Option<(usize, Control)>,
    /// Work space, kept from frame to frame so that it is allocated once.
    scratch: Vec<u8>,
}

impl Decoder {
    /// Begins with the header alone.
    pub fn new(header: Header) -> Decoder {
        Decoder { header, control: None, scratch: Vec::new() }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The section whose control block has to be handed in before this frame can be decoded; `None`
    /// if it is there, or there is no such frame.
    pub fn control_wanted(&self, frame: usize) -> Option<(usize, &Section)> {
        let section = usize::try_from(self.header.frames().get(frame)?.section).ok()?;
        if self.control.as_ref().is_some_and(|(loaded, _)| *loaded == section) {
            return None;
        }
        Some((section, self.header.sections().get(section)?))
    }

    /// Takes the control block of a section, in place of the one before.
    ///
    /// # Errors
    /// When there is no such section, or its block is malformed.
    pub fn load_control(&mut self, section: usize, block: &[u8]) -> Result<(), DeltaError> {
        let sections = self.header.sections().len();
        let at = *self
            .header
            .sections()
            .get(section)
            .ok_or(DeltaError::NoSuchSection { section, sections })?;
        self.control = None;
        // The columns are read beside the control: the scratch space is given back first.
        self.scratch = Vec::new();
        let control = read_control(&at, block, self.header.base_expanded_length())
            .map_err(|fault| DeltaError::ControlBlock { section, fault })?;
        self.control = Some((section, control));
        Ok(())
    }

    /// Decodes frame `number` from its `payload` into `out`, which afterwards holds the frame's
    /// bytes and nothing else. The caller keeps `out` from frame to frame, so that it is allocated
    /// once, and appends its bytes to the slot at [`Frame::result_offset`].
    ///
    /// # Errors
    /// When there is no such frame, its control block is not there, the payload is malformed, the
    /// base cannot be read, or the result does not have the frame's digest. `out` is then empty.
    pub fn frame<B: BaseReader>(
        &mut self,
        number: usize,
        payload: &[u8],
        base: &mut B,
        out: &mut Vec<u8>,
    ) -> Result<(), DeltaError<B::Error>> {
        out.clear();
        let frames = self.header.frames();
        let frame = *frames
            .get(number)
            .ok_or(DeltaError::NoSuchFrame { frame: number, frames: frames.len() })?;
        let (expected, available) = (frame.payload_length, payload.len());
        if usize::try_from(expected) != Ok(available) {
            return Err(DeltaError::PayloadLength { frame: number, expected, available });
        }
        let length = usize::try_from(frame.result_length).unwrap_or(usize::MAX);
        out.reserve_exact(length);
        out.resize(length, 0);
        let outcome = self.fill(&frame, payload, base, out).and_then(|()| {
            if Frame::digest_of(out) == frame.digest { Ok(()) } else { Err(Fault::Digest) }
        });
        outcome.map_err(|fault| {
            out.clear();
            fault.of_frame(number)
        })
    }

    /// Makes the frame's bytes; `out` has the frame's length.
    fn fill<B: BaseReader>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        base: &mut B,
        out: &mut [u8],
    ) -> Result<(), Fault<B::Error>> {
        let control = || {
            let loaded = self
                .control
                .as_ref()
                .filter(|(section, _)| usize::try_from(frame.section) == Ok(*section));
            loaded.map(|(_, control)| control).ok_or(ControlFault::Missing)
        };
        match frame.codec {
            Codec::Stored => out.copy_from_slice(payload),
            Codec::Zstd => {
                let mut stream = ZstdStream::new(payload)?;
                stream.read_exact(out)?;
                stream.finish()?;
            }
            Codec::Copy => split::copy(frame, control()?, base, out)?,
            Codec::Bsdiff => {
                let length = self.header.base_expanded_length();
                bsdiff::fill(payload, length, base, out)?;
            }
            Codec::Split => {
                let control = control()?;
                split::fill(
                    frame,
                    payload,
                    (&self.header, control),
                    (base, out),
                    &mut self.scratch,
                )?;
            }
        }
        Ok(())
    }
}

/// Reads a control block: its columns, then the instructions in them.
fn read_control(
    section: &Section,
    mut block: &[u8],
    base_length: u64,
) -> Result<Control, ControlFault> {
    if usize::try_from(section.control_length) != Ok(block.len()) {
        return Err(ControlFault::Lengths);
    }
    let mut streams = [None; COLUMNS];
    let mut total = 0usize;
    for stream in &mut streams {
        let cut = Stream::cut(&mut block)?;
        total = total.saturating_add(cut.length());
        *stream = Some(cut);
    }
    if !block.is_empty() || usize::try_from(section.columns_length) != Ok(total) {
        return Err(ControlFault::Lengths);
    }
    let mut columns = Vec::new();
    columns.reserve_exact(total);
    let mut ends = [0; COLUMNS];
    for (stream, end) in streams.into_iter().flatten().zip(&mut ends) {
        stream.read_to(&mut columns).map_err(|_| ControlFault::Compression)?;
        *end = columns.len();
    }
    let [a, b, c, d] = ends;
    let part = |from: usize, to: usize| columns.get(from..to).unwrap_or_default();
    let columns = [part(0, a), part(a, b), part(b, c), part(c, d)];
    let ops = usize::try_from(section.ops).map_err(|_| ControlFault::Count)?;
    let place = (section.result_offset, section.result_length);
    Control::parse(columns, ops, place, base_length)
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
