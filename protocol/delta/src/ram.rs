//! How much memory decoding takes, as a function of the header alone. The encoder writes the
//! figure, the decoder recomputes it, and a test with a counting allocator holds the code to it.

use crate::FRAME_RESULT_BYTES_MAX;
use crate::codec::Codec;
use crate::control::{MAP_BYTES, OP_BYTES, OP_WORK_BYTES};
use crate::header::{Header, Section};
use crate::model::MODEL_BYTES;
use crate::unlzma::WORK_BYTES;

/// Through how much memory windows of the base are read.
pub const BASE_CHUNK_BYTES: usize = 16 << 10;

/// What one zstd stream may hold while it is decoded: the ring buffer (window, one block, one
/// sequence; rounded up to a power of two, and once more while it grows: 2 MiB), the sequences of a
/// block (98,559 of 12 bytes), and literals, tables and a block's input (512 KiB).
pub const ZSTD_WORK_BYTES: u64 = (2 << 20) + (1200 << 10) + (512 << 10);

/// What a parsed entry of the index takes.
const INDEX_ENTRY_BYTES: u64 = size_of::<crate::Frame>() as u64;

/// No delta takes more on a device, packing and unpacking of compressed parts included.
pub const BYTES_MAX: u64 = 8 << 20;

/// What a byte of the tables takes at most once it is parsed, itself included: a segment of a
/// layout has at least three bytes and takes 24, twice while it is read; a region and a section
/// have four and take 32 and 40, a shift three and 24. Lists are allocated once.
const TABLE_BYTE_BYTES: u64 = 17;

/// What parsing takes, before it is known what the tables say.
pub(crate) fn parse_bytes(header: usize, tables: usize, frames: u32) -> u64 {
    let tables = u64::try_from(tables).unwrap_or(u64::MAX).saturating_mul(TABLE_BYTE_BYTES);
    u64::from(frames)
        .saturating_mul(INDEX_ENTRY_BYTES)
        .saturating_add(tables)
        .saturating_add(u64::try_from(header).unwrap_or(u64::MAX))
        .saturating_add(WORK_BYTES)
}

/// The memory that a delta with this header takes.
pub(crate) fn header_bytes(length: usize, tables: usize, header: &Header) -> u64 {
    let count = u32::try_from(header.frames().len()).unwrap_or(u32::MAX);
    let parsing = parse_bytes(length, tables, count);
    // While frames are decoded, the bytes of the header are gone.
    let kept = parsing.saturating_sub(u64::try_from(length).unwrap_or(0));
    let most = |largest: Option<u64>| largest.unwrap_or(0);
    let control = most(header.sections().iter().map(control_bytes).max());
    let reading = most(header.sections().iter().map(control_reading_bytes).max());
    let frame = most(
        header
            .frames()
            .iter()
            .map(|frame| frame_bytes(frame.codec, frame.result_length, frame.payload_length))
            .max(),
    );
    let decoding = control.saturating_add(frame.max(reading));
    parsing.max(kept.saturating_add(decoding))
}

/// A parsed control block.
fn control_bytes(section: &Section) -> u64 {
    let op = u64::try_from(OP_BYTES).unwrap_or(u64::MAX);
    let map = u64::try_from(MAP_BYTES).unwrap_or(u64::MAX);
    u64::from(section.ops).saturating_mul(op).saturating_add(map)
}

/// The memory that a delta takes at most whose tables have `tables` bytes, whose sections have at
/// most `ops` instructions, and whose `frames` frames are of these codecs and at most so long each;
/// for encoders, which choose these before they know the rest.
pub fn bound(tables: u64, ops: u32, frames: u32, longest: &[(Codec, u32)]) -> u64 {
    let tables_length = usize::try_from(tables).unwrap_or(usize::MAX);
    let section = Section { ops, ..Section::default() };
    let frame = longest.iter().map(|(codec, length)| frame_bytes(*codec, *length, *length)).max();
    parse_bytes(tables_length, tables_length, frames)
        .saturating_add(control_bytes(&section))
        .saturating_add(frame.unwrap_or(0))
}

/// What reading it takes besides: its bytes and its columns.
fn control_reading_bytes(section: &Section) -> u64 {
    let op = u64::try_from(OP_WORK_BYTES).unwrap_or(u64::MAX);
    u64::from(section.control_length)
        .saturating_add(section.columns_length.into())
        .saturating_add(WORK_BYTES)
        .saturating_add(u64::from(section.ops).saturating_mul(op))
}

/// The memory for one frame: its payload, its result, and the work space of its codec.
fn frame_bytes(codec: Codec, result_length: u32, payload_length: u32) -> u64 {
    let result = u64::from(result_length.min(FRAME_RESULT_BYTES_MAX));
    let chunk = u64::try_from(BASE_CHUNK_BYTES).unwrap_or(u64::MAX);
    let work = match codec {
        Codec::Stored | Codec::Copy => 0,
        Codec::Zstd => ZSTD_WORK_BYTES,
        Codec::Bsdiff => ZSTD_WORK_BYTES.saturating_add(chunk),
        // Differences, or literals, are decoded beside the result.
        Codec::Split => WORK_BYTES.max(MODEL_BYTES).saturating_add(result),
    };
    work.saturating_add(result).saturating_add(u64::from(payload_length))
}
