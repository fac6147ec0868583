//! Bytes to header. Nothing is allocated before the declared sizes have been held against the
//! limits, and then only what the tables themselves take.

use super::{DecodeLimits, Frame, Header, ImageId, Images, Section, Tables};
use crate::address::Addresses;
use crate::codec::Codec;
use crate::control::{CONTROL_BYTES_MAX, OPS_MAX};
use crate::error::{DeltaError, IndexFault, TableFault};
use crate::layout::Layout;
use crate::left;
use crate::number::Numbers;
use crate::stream::Stream;
use crate::{
    FRAME_ENTRY_BYTES, FRAME_RESULT_BYTES_MAX, HEADER_BYTES_MAX, HEADER_BYTES_MIN, MAGIC, ram,
};
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// The magic and the header's length.
const PREFIX_BYTES: usize = 20;

/// The length of the checksum at the header's end.
const CHECKSUM_BYTES: usize = 32;

/// See [`Header::length_needed`].
pub(super) fn length_needed(prefix: &[u8]) -> Result<usize, DeltaError> {
    let known = prefix.len().min(MAGIC.len());
    if prefix.get(..known) != MAGIC.get(..known) {
        return Err(DeltaError::WrongMagic);
    }
    let mut fields = Fields(prefix.get(MAGIC.len()..).unwrap_or_default());
    let Some(length) = fields.u32() else { return Ok(PREFIX_BYTES) };
    match usize::try_from(length) {
        Ok(needed) if (HEADER_BYTES_MIN..=HEADER_BYTES_MAX).contains(&needed) => Ok(needed),
        _ => Err(DeltaError::HeaderLength { length, frames: 0 }),
    }
}

/// See [`Header::parse`].
pub(super) fn header(bytes: &[u8], limits: &DecodeLimits) -> Result<(Header, usize), DeltaError> {
    let needed = length_needed(bytes)?;
    let incomplete = DeltaError::HeaderIncomplete { needed, available: bytes.len() };
    let covered = needed.saturating_sub(CHECKSUM_BYTES);
    let body = bytes.get(..covered).ok_or(incomplete.clone())?;
    let checksum = bytes.get(covered..needed).ok_or(incomplete.clone())?;
    if Sha256::digest(body).as_slice() != checksum {
        return Err(DeltaError::HeaderChecksum);
    }
    let mut fields = Fields(body.get(MAGIC.len()..).unwrap_or_default());
    let fixed = Fixed::read(&mut fields).ok_or(incomplete)?;
    let index = usize::try_from(fixed.frames)
        .ok()
        .and_then(|count| count.checked_mul(FRAME_ENTRY_BYTES))
        .and_then(|length| fields.0.split_at_checked(length));
    let Some((index, mut rest)) = index else {
        return Err(DeltaError::HeaderLength { length: fixed.length, frames: fixed.frames });
    };
    let tables = Stream::cut(&mut rest).map_err(|_| TableFault::Stream)?;
    if !rest.is_empty() {
        return Err(TableFault::Stream.into());
    }
    let raw_length = tables.length();
    fixed.check_limits(limits, raw_length, needed)?;
    let mut raw = Vec::new();
    tables.read_to(&mut raw).map_err(|_| TableFault::Stream)?;
    let header = assemble(&fixed, index, &raw, needed)?;
    let needed_ram = ram::header_bytes(needed, raw_length, &header);
    if fixed.ram_bytes < needed_ram {
        let declared = fixed.ram_bytes;
        return Err(DeltaError::MemoryUnderstated { declared, needed: needed_ram });
    }
    Ok((header, needed))
}

/// The part of the header before the index.
struct Fixed {
    length: u32,
    frames: u32,
    ram_bytes: u64,
    images: Images,
    frame_bytes: u32,
}

impl Fixed {
    /// Reads the fixed part; `None` when it ends early.
    fn read(fields: &mut Fields<'_>) -> Option<Fixed> {
        let length = fields.u32()?;
        let frames = fields.u32()?;
        let ram_bytes = fields.u64()?;
        let base = ImageId { length: fields.u64()?, sha256: fields.array()? };
        let result = ImageId { length: fields.u64()?, sha256: fields.array()? };
        let images = Images { base, result };
        Some(Fixed { length, frames, ram_bytes, images, frame_bytes: fields.u32()? })
    }

    /// Holds what the header declares against what the caller allows. What parsing takes is counted
    /// even where the header understates it.
    fn check_limits(
        &self,
        limits: &DecodeLimits,
        tables: usize,
        header: usize,
    ) -> Result<(), DeltaError> {
        let needed = self.ram_bytes.max(ram::parse_bytes(header, tables, self.frames));
        let allowed = limits.ram_bytes_max;
        if needed > allowed {
            return Err(DeltaError::Memory { needed, allowed });
        }
        let length = self.images.result.length;
        let allowed = limits.result_bytes_max;
        if length > allowed {
            return Err(DeltaError::ResultTooLong { length, allowed });
        }
        Ok(())
    }
}

/// Gives every section and frame its place.
fn assemble(
    fixed: &Fixed,
    index: &[u8],
    raw: &[u8],
    header_length: usize,
) -> Result<Header, DeltaError> {
    let mut tables = read_tables(raw)?;
    let expanded = |layout: &Layout, length: u64| {
        layout.expanded_length(length).ok_or(DeltaError::from(TableFault::Layout))
    };
    let base_expanded = expanded(&tables.base_layout, fixed.images.base.length)?;
    let mut left = expanded(&tables.result_layout, fixed.images.result.length)?;
    if fixed.frame_bytes == 0 || fixed.frame_bytes > FRAME_RESULT_BYTES_MAX {
        return Err(TableFault::FrameLength.into());
    }
    let mut frames = Vec::with_capacity(index.len() / FRAME_ENTRY_BYTES);
    let mut entries = index.chunks_exact(FRAME_ENTRY_BYTES);
    let mut payload_offset = u64::try_from(header_length).unwrap_or(u64::MAX);
    let mut result_offset = 0u64;
    // No sum here can overflow: there are fewer than 2^16 frames and sections of less than 2^25.
    for (section, number) in tables.sections.iter_mut().zip(0u32..) {
        section.control_offset = payload_offset;
        section.result_offset = result_offset;
        payload_offset = payload_offset.saturating_add(section.control_length.into());
        for _ in 0..section.frames {
            let entry = entries.next().ok_or(TableFault::Sections)?;
            let length = left.min(fixed.frame_bytes.into());
            let fault = |fault| DeltaError::Index { frame: frames.len(), fault };
            let result_length = u32::try_from(length).ok().filter(|length| *length > 0);
            let result_length = result_length.ok_or(fault(IndexFault::ResultLength))?;
            let mut frame = frame(entry, result_length).map_err(fault)?;
            (frame.payload_offset, frame.result_offset) = (payload_offset, result_offset);
            frame.section = number;
            payload_offset = payload_offset.saturating_add(frame.payload_length.into());
            result_offset = result_offset.saturating_add(length);
            left = left.saturating_sub(length);
            frames.push(frame);
        }
        let made = result_offset.saturating_sub(section.result_offset);
        section.result_length = u32::try_from(made).map_err(|_| TableFault::Sections)?;
    }
    if entries.next().is_some() || left != 0 {
        return Err(TableFault::Sections.into());
    }
    Ok(Header {
        images: fixed.images,
        ram_bytes: fixed.ram_bytes,
        frame_bytes: fixed.frame_bytes,
        frames,
        tables,
        base_expanded,
    })
}

fn read_tables(raw: &[u8]) -> Result<Tables, TableFault> {
    let mut numbers = Numbers(raw);
    let base_layout = Layout::parse(&mut numbers).ok_or(TableFault::Layout)?;
    let result_layout = Layout::parse(&mut numbers).ok_or(TableFault::Layout)?;
    let addresses = Addresses::parse(&mut numbers).ok_or(TableFault::Addresses)?;
    let count = numbers.next().ok_or(TableFault::Sections)?;
    let least = numbers.0.len() / 4;
    let mut sections = Vec::with_capacity(usize::try_from(count).unwrap_or(least).min(least));
    for _ in 0..count {
        sections.push(section(&mut numbers).ok_or(TableFault::Sections)?);
    }
    let left_alone = left::parse(&mut numbers).ok_or(TableFault::Stream)?;
    if !numbers.0.is_empty() {
        return Err(TableFault::Stream);
    }
    Ok(Tables { base_layout, result_layout, addresses, sections, left_alone })
}

/// Reads one section; its place is still unknown.
fn section(numbers: &mut Numbers<'_>) -> Option<Section> {
    let mut next = |max: usize| {
        let number = usize::try_from(numbers.next()?).ok().filter(|number| *number <= max)?;
        u32::try_from(number).ok()
    };
    let frames = next(HEADER_BYTES_MAX / FRAME_ENTRY_BYTES).filter(|frames| *frames > 0)?;
    let ops = next(OPS_MAX)?;
    let columns_length = next(CONTROL_BYTES_MAX)?;
    let control_length = next(CONTROL_BYTES_MAX)?;
    Some(Section {
        control_offset: 0,
        control_length,
        columns_length,
        ops,
        frames,
        result_offset: 0,
        result_length: 0,
    })
}

/// Reads one entry of the index; its offsets are still zero.
fn frame(entry: &[u8], result_length: u32) -> Result<Frame, IndexFault> {
    let mut fields = Fields(entry);
    let [codec, a, b, c] = fields.array::<4>().ok_or(IndexFault::PayloadLength)?;
    let payload_length = u32::from_le_bytes([a, b, c, 0]);
    let digest = fields.array().ok_or(IndexFault::PayloadLength)?;
    let codec = Codec::from_number(codec).ok_or(IndexFault::Codec(codec))?;
    let payload_fits = match codec {
        Codec::Stored => payload_length == result_length,
        Codec::Copy => payload_length == 0,
        Codec::Zstd | Codec::Bsdiff | Codec::Split => payload_length <= result_length,
    };
    if !payload_fits {
        return Err(IndexFault::PayloadLength);
    }
    let (payload_offset, result_offset, section) = (0, 0, 0);
    Ok(Frame {
        payload_offset,
        result_offset,
        payload_length,
        result_length,
        section,
        codec,
        digest,
    })
}

/// The fields still unread.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
