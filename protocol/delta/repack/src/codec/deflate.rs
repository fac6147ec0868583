//! The codec deflate: one raw stream. Packed by zlib itself, because its output is what most
//! programs wrote; unpacked in Rust, because that state can be copied and gone back to.

use super::Out;
use crate::error::Fault;
use flate2::{Compress, Compression, FlushCompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The version of zlib that is linked, as a number: 1320 is 1.3.2, which `libz-sys` 1.1.31 carries.
pub const DEFLATE_VERSION: u16 = 1320;

/// How far back a stream may refer.
const WINDOW_BYTES: usize = 32 << 10;

/// What zlib allocates for packing (its own figure is 268 KiB at the highest memory level), with
/// the output buffer.
pub(crate) const PACK_BYTES: u64 = 400 << 10;

/// What one unpacker takes.
pub(crate) const UNPACKER_BYTES: u64 = 48 << 10;

/// Unpacks a stream that is held whole.
pub(crate) fn unpack(packed: &[u8], unpacked: usize) -> Result<Vec<u8>, Fault> {
    let mut content = vec![0; unpacked];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = DecompressorOxide::new();
    let (status, taken, made) = decompress(&mut state, packed, &mut content, 0, flags);
    let is_whole = status == TINFLStatus::Done && taken == packed.len() && made == unpacked;
    if is_whole { Ok(content) } else { Err(Fault::Malformed) }
}

/// Packs as the bytes come.
pub(crate) struct Packer {
    state: Compress,
    buffer: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(level: u8, _memory_level: u8) -> Packer {
        let state = Compress::new(Compression::new(level.into()), false);
        Packer { state, buffer: vec![0; WINDOW_BYTES] }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], out: Out<'_>) -> Result<(), Fault> {
        self.run(bytes, FlushCompress::None, out)
    }

    pub(crate) fn finish(mut self, out: Out<'_>) -> Result<(), Fault> {
        self.run(&[], FlushCompress::Finish, out)
    }

    fn run(&mut self, mut bytes: &[u8], flush: FlushCompress, out: Out<'_>) -> Result<(), Fault> {
        loop {
            let (taken, made) = (self.state.total_in(), self.state.total_out());
            let status = self.state.compress(bytes, &mut self.buffer, flush);
            let status = status.map_err(|_| Fault::Malformed)?;
            let length = |total: u64, before| usize::try_from(total.saturating_sub(before));
            let taken = length(self.state.total_in(), taken).map_err(|_| Fault::Malformed)?;
            let made = length(self.state.total_out(), made).map_err(|_| Fault::Malformed)?;
            out(self.buffer.get(..made).unwrap_or_default());
            bytes = bytes.get(taken..).unwrap_or_default();
            let is_done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => bytes.is_empty() && made < self.buffer.len(),
            };
            if is_done {
                return Ok(());
            }
            if taken == 0 && made == 0 {
                return Err(Fault::Malformed);
            }
        }
    }
}

/// Unpacks piece by piece; a copy of it goes on from the same place.
#[derive(Clone)]
pub(crate) struct Unpacker {
    state: Box<DecompressorOxide>,
    window: Vec<u8>,
    /// Where in the window the next byte goes.
    at: usize,
    /// How many bytes before that have not been handed out.
    ready: usize,
    is_done: bool,
}

impl Unpacker {
    pub(crate) fn new() -> Unpacker {
        let window = vec![0; WINDOW_BYTES];
        Unpacker { state: Box::default(), window, at: 0, ready: 0, is_done: false }
    }

    /// Hands out the next bytes: how many of `input` were used, and how many of `out` were filled.
    /// Neither means that more input is needed.
    pub(crate) fn next(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), Fault> {
        let mut taken = 0;
        if self.ready == 0 && !self.is_done {
            let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
            let (status, used, made) =
                decompress(&mut self.state, input, &mut self.window, self.at, flags);
            self.is_done = status == TINFLStatus::Done;
            if !self.is_done
                && !matches!(status, TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput)
            {
                return Err(Fault::Malformed);
            }
            taken = used;
            self.at = (self.at.saturating_add(made)) % WINDOW_BYTES;
            self.ready = made;
        }
        let count = self.ready.min(out.len());
        let from = (self.at.saturating_add(WINDOW_BYTES).saturating_sub(self.ready)) % WINDOW_BYTES;
        let first = count.min(WINDOW_BYTES.saturating_sub(from));
        let (head, tail) = out.split_at_mut(count).0.split_at_mut(first);
        head.copy_from_slice(self.window.get(from..from.saturating_add(first)).unwrap_or_default());
        tail.copy_from_slice(self.window.get(..tail.len()).unwrap_or_default());
        self.ready = self.ready.saturating_sub(count);
        Ok((taken, count))
    }

    /// Whether the stream has ended and all of it has been handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done && self.ready == 0
    }
}
