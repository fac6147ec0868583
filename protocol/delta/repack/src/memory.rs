//! How much memory unpacking and packing take, from the layouts alone. The encoder adds it to what
//! the header declares; the device asks before it allocates.

use crate::codec::{Codec, deflate, lz4, zstd};
use crate::error::Fault;
use lazaret_protocol_delta::layout::{Layout, Placed, Segment};

/// How many bytes are handed to a packer or an unpacker at a time.
pub(crate) const PIECE_BYTES: usize = 16 << 10;

/// How much unpacked content of a base is kept.
pub const CACHE_BYTES: usize = 1 << 20;

/// Parts of a base up to this length are unpacked whole; longer ones piece by piece, from marks.
pub const WHOLE_BYTES_MAX: u32 = 1 << 20;

/// How many places of piecewise unpacking are kept to go back to.
pub(crate) const MARKS_MAX: usize = 24;

/// How many places of the last reads are kept.
pub(crate) const LAST_MAX: usize = 5;

/// The memory that this base and this result take beside the decoding of frames: in bytes.
///
/// # Errors
/// When a segment's codec is unknown, of another version, or cannot be bounded.
pub fn memory_bytes(base: &Layout, result: &Layout) -> Result<u64, Fault> {
    Ok(base_bytes(base)?.saturating_add(result_bytes(result)?))
}

/// The memory for packing one part of `unpacked` bytes; `None` if it is not bounded.
pub fn pack_bytes(codec: Codec, unpacked: u32) -> Option<u64> {
    match codec {
        Codec::Zstd { level, .. } => zstd::pack_bytes(level, unpacked),
        Codec::Deflate { .. } => Some(deflate::PACK_BYTES),
        Codec::Lz4 { buffer_log, .. } => Some(lz4::pack_bytes(buffer_log)),
    }
}

/// The index of a layout, and the piece that is on its way.
fn index_bytes(layout: &Layout) -> u64 {
    let entry = size_of::<Placed>() + size_of::<Segment>();
    let index = u64::try_from(layout.len().saturating_mul(entry)).unwrap_or(u64::MAX);
    index.saturating_add((2 * 16) << 10)
}

fn base_bytes(layout: &Layout) -> Result<u64, Fault> {
    if layout.is_plain() {
        return Ok(0);
    }
    let (mut whole, mut stream) = (0u64, 0u64);
    let marks = u64::try_from(MARKS_MAX).unwrap_or(u64::MAX);
    for (codec, packed, unpacked) in parts(layout) {
        let codec = codec?;
        if unpacked <= WHOLE_BYTES_MAX {
            let work = zstd::UNPACK_WORK_BYTES.saturating_add(packed.into());
            whole = whole.max(work.saturating_add(unpacked.into()));
        } else {
            let name = codec.name();
            // The unpacker that is at work, those of the last reads, and the marks.
            let (own, mark) = match codec {
                Codec::Zstd { .. } => return Err(Fault::TooLong { name, unpacked }),
                Codec::Deflate { .. } => (deflate::UNPACKER_BYTES, deflate::UNPACKER_BYTES),
                Codec::Lz4 { .. } => (lz4::UNPACKER_BYTES, lz4::MARK_BYTES),
            };
            let places = u64::try_from(LAST_MAX).unwrap_or(u64::MAX).saturating_add(1);
            stream =
                stream.max(own.saturating_mul(places).saturating_add(mark.saturating_mul(marks)));
        }
    }
    let cache = u64::try_from(CACHE_BYTES).unwrap_or(u64::MAX);
    Ok(index_bytes(layout).saturating_add(cache).saturating_add(whole).saturating_add(stream))
}

fn result_bytes(layout: &Layout) -> Result<u64, Fault> {
    if layout.is_plain() {
        return Ok(0);
    }
    let mut most = 0;
    for (codec, _, unpacked) in parts(layout) {
        let codec = codec?;
        let bytes = pack_bytes(codec, unpacked);
        most = most.max(bytes.ok_or(Fault::TooLong { name: codec.name(), unpacked })?);
    }
    Ok(index_bytes(layout).saturating_add(most))
}

/// The packed parts: codec, packed and unpacked length.
fn parts(layout: &Layout) -> impl Iterator<Item = (Result<Codec, Fault>, u32, u32)> {
    layout.placed().filter_map(|placed| match placed.segment {
        Segment::Plain { .. } => None,
        Segment::Packed { codec, parameter, packed, unpacked } => {
            Some((Codec::from_numbers(codec, parameter), packed, unpacked))
        }
    })
}
