//! Bytes to header. Nothing is allocated before the declared sizes have been held against the
//! limits, and then only what the index itself takes.

use super::{DecodeLimits, Frame, Header, ImageId, ram_needed};
use crate::codec::Codec;
use crate::error::{DeltaError, IndexFault};
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
    let fixed = fixed(&mut fields).ok_or(incomplete)??;
    check_limits(&fixed, limits)?;
    let frames = frames(fields.0, &fixed, needed)?;
    let ram_needed = ram_needed(&frames);
    if fixed.ram_bytes < ram_needed {
        let declared = fixed.ram_bytes;
        return Err(DeltaError::MemoryUnderstated { declared, needed: ram_needed });
    }
    let Fixed { base, result, ram_bytes, .. } = fixed;
    Ok((Header { base, result, ram_bytes, frames }, needed))
}

/// The part of the header before the index.
struct Fixed {
    frames: u32,
    ram_bytes: u64,
    base: ImageId,
    result: ImageId,
}

/// Reads the fixed part; `None` when it ends early.
fn fixed(fields: &mut Fields<'_>) -> Option<Result<Fixed, DeltaError>> {
    let length = fields.u32()?;
    let frames = fields.u32()?;
    let ram_bytes = fields.u64()?;
    let base = ImageId { length: fields.u64()?, sha256: fields.array()? };
    let result = ImageId { length: fields.u64()?, sha256: fields.array()? };
    let reserved = fields.u64()?;
    let fits = usize::try_from(frames).ok().and_then(|count| count.checked_mul(FRAME_ENTRY_BYTES));
    if fits != Some(fields.0.len()) {
        return Some(Err(DeltaError::HeaderLength { length, frames }));
    }
    if reserved != 0 {
        return Some(Err(DeltaError::Reserved));
    }
    Some(Ok(Fixed { frames, ram_bytes, base, result }))
}

/// Holds what the header declares against what the caller allows. The index is counted even where
/// the header understates it.
fn check_limits(fixed: &Fixed, limits: &DecodeLimits) -> Result<(), DeltaError> {
    let index = u64::from(fixed.frames).saturating_mul(ram::INDEX_ENTRY_BYTES);
    let needed = fixed.ram_bytes.max(index);
    let allowed = limits.ram_bytes_max;
    if needed > allowed {
        return Err(DeltaError::Memory { needed, allowed });
    }
    let length = fixed.result.length;
    let allowed = limits.result_bytes_max;
    if length > allowed {
        return Err(DeltaError::ResultTooLong { length, allowed });
    }
    Ok(())
}

/// Reads the index and gives every frame its offsets.
fn frames(index: &[u8], fixed: &Fixed, header_length: usize) -> Result<Vec<Frame>, DeltaError> {
    let mut frames = Vec::with_capacity(index.len() / FRAME_ENTRY_BYTES);
    let mut payload_offset = u64::try_from(header_length).unwrap_or(u64::MAX);
    let mut result_offset = 0u64;
    for (number, entry) in index.chunks_exact(FRAME_ENTRY_BYTES).enumerate() {
        let mut frame = frame(entry, fixed.base.length)
            .map_err(|fault| DeltaError::Index { frame: number, fault })?;
        frame.payload_offset = payload_offset;
        frame.result_offset = result_offset;
        // Neither sum can overflow: there are fewer than 2^15 frames of less than 2^21 bytes.
        payload_offset = payload_offset.saturating_add(u64::from(frame.payload_length));
        result_offset = result_offset.saturating_add(u64::from(frame.result_length));
        frames.push(frame);
    }
    if result_offset != fixed.result.length {
        let declared = fixed.result.length;
        return Err(DeltaError::ResultLength { frames: result_offset, declared });
    }
    Ok(frames)
}

/// Reads one entry of the index; its offsets are still zero.
fn frame(entry: &[u8], base_length: u64) -> Result<Frame, IndexFault> {
    let mut fields = Fields(entry);
    let window_offset = fields.u64().ok_or(IndexFault::Window)?;
    let window_length = fields.u64().ok_or(IndexFault::Window)?;
    let result_length = fields.u32().ok_or(IndexFault::ResultLength)?;
    let payload_length = fields.u32().ok_or(IndexFault::PayloadLength)?;
    let [codec, reserved @ ..] = fields.array::<4>().ok_or(IndexFault::Reserved)?;
    let digest = fields.array().ok_or(IndexFault::Reserved)?;
    if reserved != [0; 3] {
        return Err(IndexFault::Reserved);
    }
    let codec = Codec::from_number(codec).ok_or(IndexFault::Codec(codec))?;
    let window_end = window_offset.checked_add(window_length).ok_or(IndexFault::Window)?;
    if window_end > base_length {
        return Err(IndexFault::Window);
    }
    if result_length == 0 || result_length > FRAME_RESULT_BYTES_MAX {
        return Err(IndexFault::ResultLength);
    }
    let payload_fits = match codec {
        Codec::Stored => payload_length == result_length,
        Codec::Copy => payload_length == 0,
        Codec::Zstd | Codec::Bsdiff | Codec::Split => payload_length <= result_length,
    };
    if !payload_fits {
        return Err(IndexFault::PayloadLength);
    }
    if codec == Codec::Copy && window_length != u64::from(result_length) {
        return Err(IndexFault::Window);
    }
    let (payload_offset, result_offset) = (0, 0);
    Ok(Frame {
        payload_offset,
        payload_length,
        result_offset,
        result_length,
        window_offset,
        window_length,
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
