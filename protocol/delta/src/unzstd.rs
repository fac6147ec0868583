//! A zstd stream read in pieces of known length. It is the only file that knows `ruzstd`. What the
//! stream can make it hold or do is bounded here: see [`crate::ram::ZSTD_WORK_BYTES`].

#[cfg(test)]
mod tests;

use crate::ZSTD_WINDOW_BYTES_MAX;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read;

/// A block may regenerate this many literals (RFC 8878, 3.1.1.2.4). The decoder below would also
/// take the 2^20 that the field can hold.
const LITERALS_MAX: u32 = 128 << 10;

/// The stream is malformed, breaks a limit, or is shorter or longer than expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One zstd frame that fills exactly the bytes given.
pub(crate) struct ZstdStream<'a> {
    decoder: FrameDecoder,
    source: &'a [u8],
}

impl<'a> ZstdStream<'a> {
    /// Reads the frame's header.
    pub(crate) fn new(mut source: &'a [u8]) -> Result<ZstdStream<'a>, Malformed> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        decoder.init(&mut source).map_err(|_| Malformed)?;
        Ok(ZstdStream { decoder, source })
    }

    /// Fills `buf` with the next bytes. Blocks are decoded only as they are needed, so a bomb costs
    /// one block more than the caller wanted.
    pub(crate) fn read_exact(&mut self, mut buf: &mut [u8]) -> Result<(), Malformed> {
        while !buf.is_empty() {
            let got = self.decoder.read(buf).map_err(|_| Malformed)?;
            buf = buf.get_mut(got..).unwrap_or_default();
            if got == 0 {
                self.next_block()?;
            }
        }
        Ok(())
    }

    /// Checks that nothing is left, neither compressed nor decompressed.
    pub(crate) fn finish(mut self) -> Result<(), Malformed> {
        while !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
            self.next_block()?;
        }
        if self.decoder.can_collect() != 0 || !self.source.is_empty() {
            return Err(Malformed);
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<(), Malformed> {
        if self.decoder.is_finished() || !literals_are_bounded(self.source) {
            return Err(Malformed);
        }
        self.decoder
            .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Malformed)?;
        Ok(())
    }
}

/// Looks into the next block's literals section (RFC 8878, 3.1.1.3.1) for its regenerated size. Raw
/// and RLE literals say it in 5, 12 or 20 bits after a head of 3 or 4 bits; compressed ones in 10,
/// 14 or 18 bits after 4.
fn literals_are_bounded(block: &[u8]) -> bool {
    let Some(([b0, _, _], body)) = block.split_first_chunk::<3>() else { return false };
    let is_compressed = b0 >> 1 & 3 == 2;
    if !is_compressed {
        return true;
    }
    let mut head = [0; 4];
    for (to, from) in head.iter_mut().zip(body) {
        *to = *from;
    }
    let head = u32::from_le_bytes(head);
    let is_coded = head & 3 >= 2;
    let size = match (is_coded, head >> 2 & 3) {
        (false, 0 | 2) => head >> 3 & 0x1f,
        (false, 1) => head >> 4 & 0xfff,
        (false, _) => head >> 4 & 0xf_ffff,
        (true, 0 | 1) => head >> 4 & 0x3ff,
        (true, 2) => head >> 4 & 0x3fff,
        (true, _) => head >> 4 & 0x3_ffff,
    };
    size <= LITERALS_MAX
}
