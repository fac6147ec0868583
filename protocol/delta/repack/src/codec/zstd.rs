//! The codec zstd: one frame, packed and unpacked in one call by libzstd. Nothing about images.

use super::Out;
use crate::error::Fault;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective, compress_bound, version_number};

/// What unpacking takes beside packed and unpacked bytes.
pub(crate) const UNPACK_WORK_BYTES: u64 = 160 << 10;

/// The version of libzstd that is linked, as a number: 10505 is 1.5.5.
pub fn version() -> u16 {
    u16::try_from(version_number()).unwrap_or(u16::MAX)
}

/// KiB that libzstd's context takes: the longest content, the highest level, KiB. The first row
/// that fits counts. Measured with libzstd 1.5.5 (`ZSTD_sizeof_CCtx`) and rounded up; a test holds
/// the library to it.
const CONTEXT_KIB: [(u32, u8, u64); 15] = [
    (16 << 10, 10, 288),
    (16 << 10, 22, 576),
    (32 << 10, 22, 968),
    (64 << 10, 22, 1760),
    (128 << 10, 11, 1544),
    (128 << 10, 22, 2824),
    (256 << 10, 5, 1792),
    (256 << 10, 10, 3072),
    (256 << 10, 22, 5384),
    (512 << 10, 3, 1280),
    (512 << 10, 6, 3072),
    (512 << 10, 12, 5632),
    (1 << 20, 3, 1280),
    (1 << 20, 6, 3072),
    (1 << 20, 8, 5632),
];

/// The memory for packing: context, content, and the frame. `None` if it is not bounded.
pub(crate) fn pack_bytes(level: u8, unpacked: u32) -> Option<u64> {
    let row = CONTEXT_KIB.iter().find(|(length, top, _)| unpacked <= *length && level <= *top);
    let (_, _, context) = row?;
    let content = usize::try_from(unpacked).ok()?;
    let frame = u64::try_from(compress_bound(content)).ok()?;
    Some(context.saturating_mul(1024).saturating_add(unpacked.into()).saturating_add(frame))
}

/// Unpacks one frame. Its content must have the length said.
pub(crate) fn unpack(packed: &[u8], unpacked: usize) -> Result<Vec<u8>, Fault> {
    let mut content = vec![0; unpacked];
    let length =
        DCtx::create().decompress(&mut content[..], packed).map_err(|_| Fault::Malformed)?;
    if length == unpacked { Ok(content) } else { Err(Fault::Malformed) }
}

/// Holds the content until it is complete.
pub(crate) struct Packer {
    level: u8,
    has_checksum: bool,
    content: Vec<u8>,
    unpacked: usize,
}

impl Packer {
    pub(crate) fn new(level: u8, has_checksum: bool, unpacked: u32) -> Result<Packer, Fault> {
        pack_bytes(level, unpacked).ok_or(Fault::TooLong { name: "zstd", unpacked })?;
        let unpacked = usize::try_from(unpacked).map_err(|_| Fault::Overrun)?;
        Ok(Packer { level, has_checksum, content: Vec::with_capacity(unpacked), unpacked })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > self.unpacked.saturating_sub(self.content.len()) {
            return Err(Fault::Overrun);
        }
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn finish(self, out: Out<'_>) -> Result<(), Fault> {
        let mut frame = vec![0; compress_bound(self.content.len())];
        let length = compress(&self, &mut frame).map_err(|_| Fault::Malformed)?;
        out(frame.get(..length).unwrap_or_default());
        Ok(())
    }
}

/// One call, as programs make it that pack blocks: no parameter but the level and the checksum.
fn compress(packer: &Packer, frame: &mut [u8]) -> Result<usize, zstd::zstd_safe::ErrorCode> {
    let mut context = CCtx::create();
    context.reset(ResetDirective::SessionAndParameters)?;
    context.set_parameter(CParameter::CompressionLevel(packer.level.into()))?;
    context.set_parameter(CParameter::ChecksumFlag(packer.has_checksum))?;
    context.compress2(frame, &packer.content)
}
