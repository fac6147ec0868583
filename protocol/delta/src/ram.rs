//! How much memory decoding takes, as a function of the frame index alone. The encoder writes the
//! figure, the decoder recomputes it, and a test with a counting allocator holds the code to it.

use crate::codec::Codec;

/// Through how much memory windows of the base are read.
pub const BASE_CHUNK_BYTES: usize = 16 << 10;

/// What one zstd stream may hold while it is decoded: the ring buffer (window, one block, one
/// sequence; rounded up to a power of two, and once more while it grows: 2 MiB), the sequences of a
/// block (98,559 of 12 bytes), and literals, tables and a block's input (512 KiB). An LZMA stream
/// takes less: twice its own length, at most 2 MiB, and 32 KiB of probabilities.
pub const ZSTD_WORK_BYTES: u64 = (2 << 20) + (1200 << 10) + (512 << 10);

/// What a parsed entry of the index takes.
pub const INDEX_ENTRY_BYTES: u64 = core::mem::size_of::<crate::Frame>() as u64;

/// The memory for one frame: its payload, its result, and the work space of its codec.
pub fn frame_bytes(codec: Codec, result_length: u32, payload_length: u32) -> u64 {
    let result = u64::from(result_length);
    let chunk = u64::try_from(BASE_CHUNK_BYTES).unwrap_or(u64::MAX);
    let work = match codec {
        Codec::Stored | Codec::Copy => 0,
        Codec::Zstd => ZSTD_WORK_BYTES,
        Codec::Bsdiff => ZSTD_WORK_BYTES.saturating_add(chunk),
        // The literals are decoded beside the result; the control stream is no longer than the
        // result, and its instructions are read straight from it.
        Codec::Split => ZSTD_WORK_BYTES.saturating_add(chunk).saturating_add(result),
    };
    work.saturating_add(result).saturating_add(u64::from(payload_length))
}
