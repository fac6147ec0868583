//! A delta applied from its first byte to the image's last: which bytes of the delta come next, and
//! what the image's next bytes are. Whoever drives it fetches the ones and writes the others, and
//! can stop after any of them. Decoding is `lazaret-protocol-delta`'s.

use crate::base::ExpandedBase;
use crate::error::{BaseError, Fault};
use crate::memory::memory_bytes;
use crate::repack::Repacker;
use lazaret_protocol_delta::layout::Segment;
use lazaret_protocol_delta::{BaseReader, Decoder, DeltaError, Frame, Header, ram};
use std::ops::Range;
use thiserror::Error;

/// Why applying a delta ends. `B` is the error of the base on disk, `W` that of the caller's
/// `write`.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ApplyError<B, W>
where
    B: core::error::Error + 'static,
    W: core::error::Error + 'static,
{
    /// The delta or the base is not what it should be.
    #[error("failed to decode the delta")]
    Delta(#[source] DeltaError<BaseError<B>>),
    /// A block of instructions is not what an encoder makes.
    #[error("failed to read a control block of the delta")]
    Control(#[source] DeltaError),
    /// A compressed part cannot be handled here.
    #[error("failed to pack a part of the image")]
    Part(#[source] Fault),
    /// Applying takes more memory than is allowed.
    #[error(
        "delta needs {needed} bytes of memory with its compressed parts, {allowed} are allowed"
    )]
    Memory {
        /// What it takes.
        needed: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// Other bytes were handed in than were wanted.
    #[error("expected {expected} bytes of the delta, got {actual}")]
    Unasked {
        /// How many were wanted.
        expected: u64,
        /// How many came.
        actual: u64,
    },
    /// The caller could not write.
    #[error("failed to write the image")]
    Write(#[source] W),
}

impl<B, W> From<Fault> for ApplyError<B, W>
where
    B: core::error::Error + 'static,
    W: core::error::Error + 'static,
{
    fn from(fault: Fault) -> Self {
        ApplyError::Part(fault)
    }
}

/// A delta that is being applied.
#[derive(Debug)]
pub struct Application<B> {
    decoder: Decoder,
    base: ExpandedBase<B>,
    sink: Repacker,
    /// The frame that is decoded next.
    frame: usize,
    /// How many of its bytes are left out, because they lie before the place of the resumption.
    skip: usize,
    /// Kept from frame to frame, so that it is allocated once.
    content: Vec<u8>,
}

/// The memory that applying a delta takes, with its compressed parts: what the header says, and
/// what its layouts need.
///
/// # Errors
/// When a compressed part cannot be handled by this program.
pub fn needed_bytes(header: &Header) -> Result<u64, Fault> {
    let tables = header.tables();
    let parts = memory_bytes(&tables.base_layout, &tables.result_layout)?;
    Ok(header.ram_bytes().saturating_add(parts))
}

/// How many of the first `durable` bytes of a result are what this delta makes: its whole frames
/// are read back, unpacked where they were packed, and hashed. `slot` reads the result on disk.
///
/// # Errors
/// When a part of the result cannot be handled here. A slot that cannot be read has no frames.
pub fn fitting<S: BaseReader>(header: &Header, slot: S, durable: u64) -> Result<u64, Fault> {
    let layout = &header.tables().result_layout;
    let length = header.result().length;
    let (_, expanded) = layout.resume(durable.min(length));
    let mut slot = ExpandedBase::new(slot, layout, length)?;
    let mut content = Vec::new();
    let mut fits = 0;
    for frame in header.frames() {
        let end = frame.result_offset.saturating_add(frame.result_length.into());
        if end > expanded {
            break;
        }
        content.resize(usize::try_from(frame.result_length).unwrap_or(usize::MAX), 0);
        let is_read = slot.read_at(frame.result_offset, &mut content).is_ok();
        if !is_read || Frame::digest_of(&content) != frame.digest {
            break;
        }
        fits = end;
    }
    Ok(layout_offset(header, fits))
}

/// The bytes on disk that the first `expanded` bytes of the result make; a part that is not whole
/// does not count.
fn layout_offset(header: &Header, expanded: u64) -> u64 {
    let layout = &header.tables().result_layout;
    let mut placed = layout.placed().take_while(|placed| placed.expanded_offset <= expanded);
    let Some(last) = placed.by_ref().last() else { return expanded };
    let into = expanded.saturating_sub(last.expanded_offset);
    let into = match last.segment {
        Segment::Plain { length } => into.min(length),
        Segment::Packed { packed, unpacked, .. } if into >= unpacked.into() => packed.into(),
        Segment::Packed { .. } => 0,
    };
    last.packed_offset.saturating_add(into)
}

impl<B: BaseReader> Application<B> {
    /// Begins where `durable` bytes of the image are there, and says how many of them are kept: the
    /// caller goes on writing there. A part that was under way is packed again from its start.
    ///
    /// # Errors
    /// When the delta takes more than `memory_max` bytes or [`ram::BYTES_MAX`], or has parts that
    /// cannot be handled here.
    pub fn begin<W: core::error::Error + 'static>(
        header: Header,
        base: B,
        durable: u64,
        memory_max: u64,
    ) -> Result<(Application<B>, u64), ApplyError<B::Error, W>> {
        let needed = needed_bytes(&header)?;
        let allowed = memory_max.min(ram::BYTES_MAX);
        if needed > allowed {
            return Err(ApplyError::Memory { needed, allowed });
        }
        let length = header.result().length;
        let layout = &header.tables().result_layout;
        let (keep, expanded) = layout.resume(durable.min(length));
        let sink = Repacker::new(layout, length, keep)?;
        let base = ExpandedBase::new(base, &header.tables().base_layout, header.base().length)?;
        let end = |frame: &Frame| frame.result_offset.saturating_add(frame.result_length.into());
        let frame = header.frames().partition_point(|frame| end(frame) <= expanded);
        let start = header.frames().get(frame).map_or(expanded, |frame| frame.result_offset);
        let skip = usize::try_from(expanded.saturating_sub(start)).unwrap_or(usize::MAX);
        let decoder = Decoder::new(header);
        Ok((Application { decoder, base, sink, frame, skip, content: Vec::new() }, keep))
    }

    /// Which bytes of the delta come next; `None` when the image is complete.
    pub fn wanted(&self) -> Option<Range<u64>> {
        let range = |offset: u64, length: u32| offset..offset.saturating_add(length.into());
        if let Some((_, section)) = self.decoder.control_wanted(self.frame) {
            return Some(range(section.control_offset, section.control_length));
        }
        let frame = self.decoder.header().frames().get(self.frame)?;
        Some(range(frame.payload_offset, frame.payload_length))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        self.decoder.header()
    }

    /// The base.
    pub fn base(&mut self) -> &mut ExpandedBase<B> {
        &mut self.base
    }

    /// The number of the frame that comes next.
    pub fn frame(&self) -> usize {
        self.frame
    }

    /// Takes the bytes that were wanted, and calls `write` with the image's next bytes, if they
    /// make any. After an error it is of no further use.
    ///
    /// # Errors
    /// When the bytes are not what an encoder makes, the base cannot be read, or `write` fails.
    pub fn take<W: core::error::Error + 'static>(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> Result<(), W>,
    ) -> Result<(), ApplyError<B::Error, W>> {
        let expected = self.wanted().map_or(0, |range| range.end.saturating_sub(range.start));
        let actual = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if actual != expected {
            return Err(ApplyError::Unasked { expected, actual });
        }
        if let Some((section, _)) = self.decoder.control_wanted(self.frame) {
            return self.decoder.load_control(section, bytes).map_err(ApplyError::Control);
        }
        let mut content = std::mem::take(&mut self.content);
        let decoded = self.decoder.frame(self.frame, bytes, &mut self.base, &mut content);
        decoded.map_err(ApplyError::Delta)?;
        self.frame = self.frame.saturating_add(1);
        let new = content.get(std::mem::take(&mut self.skip)..).unwrap_or_default();
        self.sink.push(new, |packed| write(packed).map_err(ApplyError::Write))?;
        self.content = content;
        Ok(())
    }

    /// Whether all bytes of the image have been handed out.
    pub fn is_done(&self) -> bool {
        self.sink.is_done()
    }
}
