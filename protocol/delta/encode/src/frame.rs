//! One frame: tries the codecs and keeps the shortest payload. Where the steps come from is in
//! `matching`.

use crate::compress;
use crate::matching::Steps;
use crate::streams;
use lazaret_protocol_delta::{Codec, Frame, Instruction};
use std::io;

/// Below this, the codec with a single stream is tried too.
const SMALL_PAYLOAD_BYTES: usize = 2 << 10;

/// A finished frame. Its offsets are not set; the header sets them.
pub(crate) struct EncodedFrame {
    pub(crate) frame: Frame,
    pub(crate) payload: Vec<u8>,
}

impl EncodedFrame {
    /// A frame whose piece stands in the base unchanged, at `place`.
    pub(crate) fn copied(piece: &[u8], place: u64) -> EncodedFrame {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        finished(piece, Codec::Copy, (place, length), Vec::new())
    }

    /// A frame made by `steps` from a window that begins at `window_start` in the base: the codec
    /// with the shortest payload; of equals, the one that is simpler to decode.
    pub(crate) fn shortest(
        piece: &[u8],
        steps: &Steps,
        window: &[u8],
        window_start: u64,
        level: i32,
    ) -> io::Result<EncodedFrame> {
        let (start, length) = steps.range();
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let instructions = steps.instructions(start).ok_or_else(invalid)?;
        let part = window.get(start..).and_then(|from| from.get(..length)).ok_or_else(invalid)?;
        let (codec, payload) = smallest(part, piece, &instructions, level)?;
        let range = match codec {
            Codec::Stored | Codec::Zstd => (0, 0),
            Codec::Copy | Codec::Bsdiff | Codec::Split => {
                let start = u64::try_from(start).map_err(|_| invalid())?;
                (window_start + start, u64::try_from(length).map_err(|_| invalid())?)
            }
        };
        Ok(finished(piece, codec, range, payload))
    }
}

fn smallest(
    window: &[u8],
    piece: &[u8],
    instructions: &[Instruction],
    level: i32,
) -> io::Result<(Codec, Vec<u8>)> {
    let split = streams::split(window, piece, instructions, level)?;
    let mut candidates = vec![(Codec::Stored, piece.to_vec())];
    // Compressed by itself, a piece takes about a third: no use trying where the base helps much.
    if split.len() > piece.len() / 8 {
        candidates.push((Codec::Zstd, compress::zstd(piece, level)?));
    }
    // One stream instead of three saves their heads, and loses everything else: it is worth a try
    // only where the heads count.
    if split.len() < SMALL_PAYLOAD_BYTES {
        let stream = streams::bsdiff(window, piece, instructions)?;
        candidates.push((Codec::Bsdiff, compress::zstd(&stream, level)?));
    }
    candidates.push((Codec::Split, split));
    let shortest = candidates.into_iter().min_by_key(|(_, payload)| payload.len());
    shortest.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn finished(piece: &[u8], codec: Codec, window: (u64, u64), payload: Vec<u8>) -> EncodedFrame {
    let frame = Frame {
        payload_offset: 0,
        payload_length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        result_offset: 0,
        result_length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
        window_offset: window.0,
        window_length: window.1,
        codec,
        digest: Frame::digest_of(piece),
    };
    EncodedFrame { frame, payload }
}
