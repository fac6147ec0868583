//! The codec lz4: one block. The packer makes the choices of liblz4's high-compression levels 3 to
//! 9, but sees its input through a sliding buffer, where the library wants a whole block (8 MiB in
//! a kernel) and its output in memory; and being ours, it gives the same bytes on every device.

mod parse;
mod search;
mod unpack;
mod window;

use super::Out;
use crate::error::Fault;
use std::ops::RangeInclusive;

pub(crate) use unpack::{Unpacker, unpack};

/// The version of this packer; to be raised whenever its output changes.
pub const LZ4_VERSION: u16 = 1;

/// Which buffers a packer may have, as binary logarithms.
pub(crate) const BUFFER_LOGS: RangeInclusive<u8> = 17..=22;

/// What a packer's tables take beside its buffer.
const TABLE_BYTES: u64 = (128 << 10) + (128 << 10);

/// What one unpacker takes: what a match may reach, as much again while it works, and its place.
pub(crate) const UNPACKER_BYTES: u64 = (128 << 10) + 128;

/// What a copy of one takes.
pub(crate) const MARK_BYTES: u64 = (64 << 10) + 128;

/// The memory for packing with a buffer of this size.
pub(crate) fn pack_bytes(buffer_log: u8) -> u64 {
    let recent = u64::try_from(window::RECENT_BYTES_MAX).unwrap_or(u64::MAX);
    let tables = TABLE_BYTES.saturating_add(recent);
    tables.saturating_add(1u64 << buffer_log.min(*BUFFER_LOGS.end()))
}

/// Packs as the bytes come.
pub(crate) struct Packer(parse::Parse);

impl Packer {
    pub(crate) fn new(level: u8, buffer_log: u8, unpacked: u32) -> Packer {
        let buffer = 1usize << buffer_log.clamp(*BUFFER_LOGS.start(), *BUFFER_LOGS.end());
        let unpacked = usize::try_from(unpacked).unwrap_or(usize::MAX);
        Packer(parse::Parse::new(1 << level.clamp(3, 9).saturating_sub(1), buffer, unpacked))
    }

    pub(crate) fn push(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Fault> {
        self.0.push(bytes, out)
    }

    pub(crate) fn finish(self, out: Out<'_>) -> Result<(), Fault> {
        self.0.finish(out)
    }
}
